"""Batches bounded by bytes: what rows weigh, how batches are cut by it, and Parquet read in pieces that keep to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

BATCH_ROWS = 2048
"""Most rows of a batch: enough to amortise a call into native code, small enough to stay in cache."""

BATCH_BYTES = 32 << 20
"""Most bytes of a batch; a single row that is larger is a batch of its own. Offsets fit in int32."""

SHARED_BYTES = 128 << 20
"""Most bytes that a batch can come to where Parquet stores a value once and rows only refer to it."""

EXPANSION, EXPANDED_BYTES = 1000, 256 << 20
"""A row group that comes to more bytes than both this many times what is stored, and this, is read no further."""

STREAM_BYTES = 1 << 20
"""Bytes of a column of Parquet that are fetched at once; fewer where there are many columns."""


class ExpansionError(Exception):
    """A row group comes to far more than it takes: some kilobytes of Parquet can stand for terabytes."""


def row_bytes(array: pa.Array) -> np.ndarray:
    """Return the bytes of each row's values: int64 [rows]; nested values with all they hold, validity not counted."""
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        return row_bytes(array.storage)
    if pa.types.is_dictionary(kind):
        sizes = np.append(row_bytes(array.dictionary), 0)  # the last for null, and for what points to no value
        rows = pc.fill_null(array.indices, -1).to_numpy().astype(np.int64)
        return sizes[np.where((rows >= 0) & (rows < len(sizes)), rows, len(sizes) - 1)]
    if pa.types.is_struct(kind):
        return _total([row_bytes(child) for child in array.flatten()], len(array))
    if pa.types.is_nested(kind) and hasattr(array, "flatten"):  # lists of all kinds, and maps
        inner, ends = list_values(array)
        sizes = np.concatenate(([0], np.cumsum(row_bytes(inner))))
        return np.diff(sizes[ends])
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        array = array.cast(pa.large_binary())
    try:
        return pc.fill_null(pc.binary_length(array), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    except pa.ArrowNotImplementedError:
        return np.full(len(array), -(-array.nbytes // max(len(array), 1)), np.int64)


def _total(parts: list[np.ndarray], rows: int) -> np.ndarray:
    return np.sum(parts, axis=0) if parts else np.zeros(rows, np.int64)


def list_values(array: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Return (the values of all rows of a list or map one after the other, where each row ends: int64 [rows + 1]).

    The first end is 0. A map's values are structs of key and value; a null row has none.
    """
    if pa.types.is_map(array.type):
        pairs = pa.StructArray.from_arrays([array.keys, array.items], names=["key", "value"])
        ends = array.offsets.to_numpy().astype(np.int64)
        return pairs.slice(ends[0], ends[-1] - ends[0]), ends - ends[0]
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    return array.flatten(), np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))


def batch_bytes(batch: pa.RecordBatch) -> np.ndarray:
    """Return the bytes of each row of a batch: int64 [rows]."""
    return _total([row_bytes(column) for column in batch.columns], batch.num_rows)


def split_batch(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Yield slices of `batch`, of any dtypes, that keep to BATCH_ROWS and BATCH_BYTES (one row may be larger alone)."""
    start, size = 0, 0
    for row, length in enumerate(batch_bytes(batch).tolist()):
        if row > start and (row - start >= BATCH_ROWS or size + length > BATCH_BYTES):
            yield batch.slice(start, row - start)
            start, size = row, 0
        size += length
    if batch.num_rows > start:
        yield batch.slice(start)


def joined(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the same rows in the largest batches that keep to BATCH_ROWS and BATCH_BYTES; a row may be larger alone.

    Batches are of one schema, of any dtypes.
    """
    pending: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        for part in split_batch(batch):
            weight = int(batch_bytes(part).sum())
            if pending and (rows + part.num_rows > BATCH_ROWS or size + weight > BATCH_BYTES):
                yield pending[0] if len(pending) == 1 else pa.concat_batches(pending)
                pending, rows, size = [], 0, 0
            pending.append(part)
            rows, size = rows + part.num_rows, size + weight
    if pending:
        yield pending[0] if len(pending) == 1 else pa.concat_batches(pending)


def open_parquet(file: BinaryIO) -> pq.ParquetFile:
    """Open a Parquet file so that reading holds pages, not row groups; checksums of pages are read where they stand.

    Raises pyarrow.ArrowException or OSError where it is none.
    """
    metadata = pq.read_metadata(file)
    return pq.ParquetFile(
        file,
        metadata=metadata,
        pre_buffer=False,
        buffer_size=max(STREAM_BYTES // 16, min(STREAM_BYTES, BATCH_BYTES // max(metadata.num_columns, 1))),
        coerce_int96_timestamp_unit="us",  # nanoseconds reach from 1677 to 2262 only, and wrap beyond
        page_checksum_verification=True,
    )


def row_group_batches(
    parquet: pq.ParquetFile, group: int, columns: list[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield one row group in order, in batches that keep to BATCH_ROWS and, by what its footer says, to BATCH_BYTES.

    What Parquet itself asks for comes on top: a page, and twice a dictionary, at once. columns: names, None for all;
    a name stands for all columns that have it, and for those below it; dtypes are as stored. Raises
    pyarrow.ArrowException or OSError where the bytes are damaged, ExpansionError where they come to far more than is
    stored.
    """
    chunks = _chunks(parquet, group, columns)
    stored = sum(chunk.total_compressed_size for chunk in chunks)
    rows = _batch_rows(chunks, max(parquet.metadata.row_group(group).num_rows, 1))
    expanded = 0
    for batch in parquet.iter_batches(batch_size=rows, row_groups=[group], columns=columns, use_threads=False):
        for part in split_batch(batch):
            expanded += int(batch_bytes(part).sum())
            if expanded > max(EXPANDED_BYTES, EXPANSION * stored):
                raise ExpansionError(
                    f"row group {group} comes to more than {EXPANSION} times its {stored} stored bytes"
                )
            yield part


def _chunks(parquet: pq.ParquetFile, group: int, columns: list[str] | None) -> list[pq.ColumnChunkMetaData]:
    """What the footer says of the columns of a row group.

    Reads one row first: that raises where the footer is damaged, while pyarrow ends the process if it is asked for the
    description of a column that makes no sense.
    """
    next(parquet.iter_batches(batch_size=1, row_groups=[group], columns=columns, use_threads=False), None)
    pa.default_memory_pool().release_unused()
    paths = [parquet.schema.column(number).path for number in range(parquet.metadata.num_columns)]
    described = parquet.metadata.row_group(group)
    return [
        described.column(number)
        for number, path in enumerate(paths)
        if columns is None or any(path == name or path.startswith(f"{name}.") for name in columns)
    ]


def _batch_rows(chunks: list[pq.ColumnChunkMetaData], rows: int) -> int:
    """How many of a group's rows to read at once, by the sizes of its columns.

    A column stored mostly as a dictionary may hold its largest value in every row; of others, rows weigh as the mean.
    """
    weight = sum(chunk.total_uncompressed_size for chunk in chunks) / rows
    shared = 0.0
    for chunk in chunks:
        if chunk.has_dictionary_page and chunk.physical_type in ("BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"):
            dictionary = chunk.data_page_offset - (chunk.dictionary_page_offset or chunk.data_page_offset)
            if dictionary > chunk.total_compressed_size / 2:
                shared += chunk.total_uncompressed_size * max(1.0, chunk.num_values / rows)
    return int(max(1, min(BATCH_ROWS, BATCH_BYTES / max(weight, 1.0), SHARED_BYTES / max(shared, 1.0))))
