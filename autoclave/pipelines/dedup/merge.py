"""How reduce tasks read their slice of many files: directly, or, of more than FAN_IN files, of files that were merged.

Without merging, M files and R reduce tasks mean M x R reads, which grow with the square of the corpus; with it they
mean M x R / FAN_IN, for one more sequential copy of what is shuffled.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from autoclave.cleaning.dedup.slices import SliceWriter, open_slices, read_slice
from autoclave.corpus.output import ShardOutput
from autoclave.pipelines.dedup.manifest import Manifest, read_manifest
from autoclave.pipelines.running.stage import ShardTask

FAN_IN = 256
"""Files that a task opens; more are first merged, this many into one."""

PHASE_OF = {"lines": "lines", "members": "members", "assignments": "verify", "frequent": "line_counts"}


def source_files(stage: str, manifest: Manifest, kind: str, count: int) -> list[tuple[str, int]]:
    """Return (URL, place) of every sliced file of a kind, in order; `place` is its shard's place in the manifest, or
    the number of the task that wrote it (`count` tasks)."""
    if kind in ("bands", "exact"):
        return [(shard.file(kind), place) for place, shard in enumerate(manifest.shards)]
    folder = f"{stage}/phases/{PHASE_OF[kind]}/{kind}"
    if kind == "lines":
        own = [(place, shard.name) for place, shard in enumerate(manifest.shards) if not shard.indexed]
        return [(f"{folder}/{name}.arrow", place) for place, name in own]
    return [(f"{folder}/{number:06d}.arrow", number) for number in range(count)]


def groups(files: int) -> int:
    """Return how many merged files there are for that many; 0 where they are read directly."""
    return -(-files // FAN_IN) if files > FAN_IN else 0


def read_slices(
    stage: str, manifest: Manifest, kind: str, index: int, count: int = 0
) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
    """Yield slice `index` of the files of a kind in order, each with the place (int64[n]) that its rows come from."""
    files = source_files(stage, manifest, kind, count)
    merged = groups(len(files))
    for number in range(merged):
        batch = read_slice(f"{stage}/phases/merge_{kind}/{kind}/{number:06d}.arrow", index)
        places = batch.column("place").to_numpy().astype(np.int64)
        yield batch.select([name for name in batch.schema.names if name != "place"]), places
    if not merged:
        for path, place in files:
            batch = read_slice(path, index)
            yield batch, np.full(batch.num_rows, place, np.int64)


def merge_slices(task: ShardTask, output: ShardOutput) -> None:
    """Merge FAN_IN files slice by slice into one, with the place of each row as a column more."""
    kind, group = task.arguments["kind"], task.arguments["group"]
    stage = task.folder.rsplit("/phases/", 1)[0]
    manifest = read_manifest(task.arguments["_manifest"])
    files = source_files(stage, manifest, kind, task.arguments["files"])[group * FAN_IN : (group + 1) * FAN_IN]
    with contextlib.ExitStack() as stack, output.open(f"{kind}/{task.shard}.arrow") as file:
        readers = [(stack.enter_context(open_slices(path)), place) for path, place in files]
        schema = readers[0][0].schema.append(pa.field("place", pa.uint32()))
        with SliceWriter(file, schema) as writer:
            for index in range(len(readers[0][0])):
                batches = []
                for reader, place in readers:
                    batch = reader.read(index)
                    column = pa.array(np.full(batch.num_rows, place, np.uint32))
                    batches.append(pa.RecordBatch.from_arrays([*batch.columns, column], schema=schema))
                table = pa.Table.from_batches(batches, schema).combine_chunks()
                found = table.to_batches()
                writer.write(found[0] if found else pa.RecordBatch.from_pylist([], schema=schema))
