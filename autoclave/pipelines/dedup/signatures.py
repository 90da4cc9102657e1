"""The signatures phase: keys, MinHash signatures and preferences of one shard, partitioned by key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from autoclave.cleaning.dedup.exact import content_keys, group_exact
from autoclave.cleaning.dedup.lsh import band_keys, star_edges, unique_edges
from autoclave.cleaning.dedup.minhash import Signer
from autoclave.cleaning.dedup.slices import SliceWriter, partition_of, split_sorted, write_slices
from autoclave.corpus.output import ShardOutput
from autoclave.corpus.schema import read_documents, text_bytes
from autoclave.corpus.storage import open_read
from autoclave.errors import SchemaError
from autoclave.pipelines.running.stage import ShardTask

BANDS = pa.schema([pa.field("key", pa.uint64()), pa.field("row", pa.uint32())])
EXACT = pa.schema(
    [
        pa.field("high", pa.uint64()),
        pa.field("low", pa.uint64()),
        pa.field("row", pa.uint32()),
        pa.field("score", pa.float64()),
        pa.field("doc_id", pa.binary(16)),
    ]
)
TABLE = pa.schema([pa.field("doc_id", pa.binary(16)), pa.field("units", pa.int32()), pa.field("score", pa.float64())])
EDGES = pa.schema([pa.field("left", pa.uint64()), pa.field("right", pa.uint64())])
COPIES = pa.schema(
    [pa.field("leader", pa.uint64()), pa.field("member", pa.uint64()), pa.field("doc_id", pa.binary(16))]
)
"""Exact copies: member has the text of leader, whose doc_id is given. Rows inside a shard, ids between shards."""


def _scores(task: ShardTask, text: pa.Array, first_row: int, signal: np.ndarray | None) -> np.ndarray:
    """float64[n], higher is kept: length in bytes, a signal, or nothing."""
    if task.settings.keep == "longest":
        return np.diff(np.frombuffer(text.buffers()[1], np.int32)[text.offset : text.offset + len(text) + 1]).astype(
            np.float64
        )
    if signal is None:
        return np.zeros(len(text))
    return signal[first_row : first_row + len(text)]


def _ledger_signal(task: ShardTask) -> np.ndarray | None:
    """The signal of the documents that the previous stage kept, in their order; a missing value is the worst."""
    if task.settings.keep != "best":
        return None
    name = task.settings.keep_signal
    if len(task.inputs) < 2:
        raise SchemaError(f"{task.inputs[0]}: keep: best needs the ledger of the stage before, and there is none")
    with open_read(task.inputs[1]) as file:
        ledger = pq.ParquetFile(file, page_checksum_verification=True)
        if name not in ledger.schema_arrow.names:
            numeric = [
                f.name for f in ledger.schema_arrow if pa.types.is_floating(f.type) or pa.types.is_integer(f.type)
            ]
            raise SchemaError(f"{task.inputs[1]}: no signal '{name}'; it has {', '.join(numeric) or 'none'}")
        table = ledger.read(columns=["kept", name])
    values = table.filter(table.column("kept")).column(name).cast(pa.float64()).to_numpy()
    signed = -values if task.settings.keep_lowest else values
    return np.where(np.isnan(signed), -np.inf, signed)


def sign_shard(task: ShardTask, output: ShardOutput) -> None:
    """Write keys, signatures and preferences of one shard; buckets inside the shard become edges at once.

    A key leaves the shard only once, so a bucket of a million documents is at most one entry a shard afterwards.
    """
    settings = task.settings
    parameters = settings.minhash.parameters() if settings.minhash else None
    signer = Signer.of(parameters) if parameters else None
    signal = _ledger_signal(task)
    ids, scores, units, exact, sizes, bands = [], [], [], [], [], []
    rows = text_size = 0
    signature_schema = pa.schema([pa.field("signature", pa.binary(4 * parameters.num_perm))]) if parameters else None
    with output.open(f"signatures/{task.shard}.arrow") as file:
        writer = SliceWriter(file, signature_schema) if signature_schema else None
        for batch in read_documents(task.inputs[0], ["doc_id", "text"]):
            text = batch.column("text")
            ids.append(batch.column("doc_id"))
            scores.append(_scores(task, text, rows, signal))
            if settings.exact:
                keys, lengths = content_keys(text, settings.exact_normalisation)
                exact.append(keys)
                sizes.append(lengths)
            if signer is not None and parameters is not None and writer is not None:
                signatures, counted = signer.sign(text)
                units.append(counted)
                bands.append(band_keys(signatures, parameters.bands, parameters.rows))
                column = pa.FixedSizeBinaryArray.from_buffers(
                    pa.binary(4 * parameters.num_perm), len(text), [None, pa.py_buffer(signatures)]
                )
                writer.write(pa.RecordBatch.from_arrays([column], schema=signature_schema))
            rows += len(text)
            text_size += text_bytes(batch)
        if writer is not None:
            writer.close()
    score = _joined(scores, np.float64)
    if signal is not None and signal.size != rows:
        raise SchemaError(f"{task.inputs[1]}: {signal.size} kept documents in the ledger, {rows} in {task.inputs[0]}")
    doc_id = pa.concat_arrays(ids) if ids else pa.array([], pa.binary(16))
    counted = _joined(units, np.int32) if units else np.zeros(rows, np.int32)
    with output.open(f"table/{task.shard}.arrow") as file:
        columns = [doc_id, pa.array(counted), pa.array(score)]
        write_slices(file, TABLE, [pa.RecordBatch.from_arrays(columns, schema=TABLE)])
    alone = _write_exact(task, output, exact, sizes, score, doc_id)
    keys = np.concatenate(bands) if bands else np.zeros((rows, 0), np.uint64)
    least = parameters.min_units if parameters else 1
    write_bands(task, output, keys, np.flatnonzero(alone & (counted >= least)))
    output.count("rows", rows)
    output.count("text_bytes", text_size)


def _joined(parts: Sequence[np.ndarray], kind: Any) -> np.ndarray:
    return np.concatenate(parts) if parts else np.zeros(0, kind)


def _write_exact(
    task: ShardTask,
    output: ShardOutput,
    exact: list[np.ndarray],
    sizes: list[np.ndarray],
    score: np.ndarray,
    doc_id: pa.Array,
) -> np.ndarray:
    """Write the groups of equal texts; returns which rows lead their group (only they go on to LSH)."""
    keys = np.concatenate(exact) if exact else np.zeros((0, 2), np.uint64)
    filled = np.flatnonzero(_joined(sizes, np.int64) > 0)  # none where exact dedup is off
    order, leader = group_exact(keys[filled], score[filled], filled.astype(np.uint64))
    rows = filled[order]
    leads = leader == np.arange(rows.size)
    leaders, members = rows[leader[~leads]], rows[~leads]
    columns = [pa.array(leaders, pa.uint64()), pa.array(members, pa.uint64()), doc_id.take(pa.array(leaders))]
    with output.open(f"copies/{task.shard}.arrow") as file:
        write_slices(file, COPIES, [pa.RecordBatch.from_arrays(columns, schema=COPIES)])
    write_exact_keys(task, output, keys, rows[leads], score, doc_id)
    alone = np.ones(score.size, np.bool_)
    alone[members] = False
    return alone


def write_exact_keys(
    task: ShardTask, output: ShardOutput, keys: np.ndarray, rows: np.ndarray, score: np.ndarray, doc_id: pa.Array
) -> None:
    """Write `exact/<shard>`: the keys of `rows` (sorted by key) by partition.

    keys: uint64[n, 2]; rows: int64[k]; score: float64[n]; doc_id: binary(16), one a document.
    """
    partitions = task.arguments["partitions"]
    columns = [keys[rows, 0], keys[rows, 1], rows.astype(np.uint32), score[rows], doc_id.take(pa.array(rows))]
    with output.open(f"exact/{task.shard}.arrow") as file:
        write_slices(file, EXACT, split_sorted(EXACT, columns, partition_of(keys[rows, 0], partitions), partitions))


def write_bands(task: ShardTask, output: ShardOutput, keys: np.ndarray, rows: np.ndarray) -> None:
    """Write `bands/<shard>` (each key of `rows` once, by partition) and `edges/<shard>` (buckets inside the shard).

    keys: uint64[n, bands]; rows: int64[k], the documents that take part.
    """
    partitions = task.arguments["partitions"]
    flat = keys[rows].reshape(-1)
    owner = np.repeat(rows.astype(np.uint64), keys.shape[1])
    order = np.argsort(flat, kind="stable")
    flat, owner = flat[order], owner[order]
    anchors, members, first = star_edges(flat, owner)
    left, right = unique_edges(anchors, members)
    with output.open(f"edges/{task.shard}.arrow") as file:
        write_slices(file, EDGES, [edge_batch(left, right)])
    flat, owner = flat[first], owner[first].astype(np.uint32)
    with output.open(f"bands/{task.shard}.arrow") as file:
        write_slices(file, BANDS, split_sorted(BANDS, [flat, owner], partition_of(flat, partitions), partitions))


def edge_batch(left: np.ndarray, right: np.ndarray) -> pa.RecordBatch:
    """Return the edges, integer[n] twice, as a batch of EDGES."""
    columns = [pa.array(left, pa.uint64()), pa.array(right, pa.uint64())]
    return pa.RecordBatch.from_arrays(columns, schema=EDGES)
