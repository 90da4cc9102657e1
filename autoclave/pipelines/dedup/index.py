"""The index phase: what of a shard a later run needs to deduplicate against it, without the texts."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from autoclave.cleaning.dedup.lsh import band_keys
from autoclave.cleaning.dedup.slices import SliceWriter, column_numpy, open_slices, read_slice, write_slices
from autoclave.corpus.output import ShardOutput
from autoclave.pipelines.dedup.assignment import read_assignment
from autoclave.pipelines.dedup.manifest import read_manifest
from autoclave.pipelines.dedup.signatures import TABLE, write_bands, write_exact_keys
from autoclave.pipelines.dedup.verification import KEPT
from autoclave.pipelines.running.stage import ShardTask


def index_shard(task: ShardTask, output: ShardOutput) -> None:
    """Write keys and signatures of the documents of one shard that stayed; their row numbers stay what they were."""
    manifest = read_manifest(task.arguments["_manifest"])
    place = task.arguments["place"]
    shard = manifest.shards[place]
    stage = task.folder.rsplit("/phases/", 1)[0]
    kept = read_assignment(stage, manifest, place, task.arguments["verified"]).kind == KEPT
    table = read_slice(shard.file("table"), 0)
    least = manifest.parameters.min_units if manifest.parameters is not None else 1
    bands = []
    with output.open(f"signatures/{task.shard}.arrow") as file:
        if manifest.parameters is not None:
            with open_slices(shard.file("signatures")) as reader:
                with SliceWriter(file, reader.schema) as writer:
                    for index in range(len(reader)):
                        batch = reader.read(index)
                        writer.write(batch)
                        packed = np.frombuffer(batch.column("signature").buffers()[1], np.uint32)
                        signatures = packed.reshape(-1, manifest.parameters.num_perm)[: batch.num_rows]
                        bands.append(band_keys(signatures, manifest.parameters.bands, manifest.parameters.rows))
    with output.open(f"table/{task.shard}.arrow") as file:
        write_slices(file, TABLE, [table])
    keys = np.concatenate(bands) if bands else np.zeros((shard.rows, 0), np.uint64)
    write_bands(task, output, keys, np.flatnonzero(kept & (column_numpy(table, "units") >= least)))
    _write_exact(task, output, shard.file("exact"), kept, table)
    output.count("rows", shard.rows)


def _write_exact(task: ShardTask, output: ShardOutput, path: str, kept: np.ndarray, table: pa.RecordBatch) -> None:
    """Write the exact keys of the documents that stayed (each led its group in the shard)."""
    keys = np.zeros((kept.size, 2), np.uint64)
    rows = []
    for partition in range(task.arguments["partitions"]):
        batch = read_slice(path, partition)
        found = column_numpy(batch, "row")
        keys[found, 0], keys[found, 1] = column_numpy(batch, "high"), column_numpy(batch, "low")
        rows.append(found[kept[found]])
    order = np.concatenate(rows).astype(np.int64)
    write_exact_keys(task, output, keys, order, column_numpy(table, "score"), table.column("doc_id"))
