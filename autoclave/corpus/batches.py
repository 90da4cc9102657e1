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

STREAM_BYTES = 1 << 20


def row_bytes(array: pa.Array) -> np.ndarray:
    """Return the bytes of each row's values: int64 [rows]; nested values with all they hold, validity not counted."""
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        return row_bytes(array.storage)
    if pa.types.is_dictionary(kind):
        return np.append(row_bytes(array.dictionary), 0)[pc.fill_null(array.indices, -1).to_numpy()]
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
    """Yield slices of `batch` that keep to BATCH_ROWS and BATCH_BYTES (one row may be larger alone)."""
    start, size = 0, 0
    for row, length in enumerate(batch_bytes(batch).tolist()):
        if row > start and (row - start >= BATCH_ROWS or size + length > BATCH_BYTES):
            yield batch.slice(start, row - start)
            start, size = row, 0
        size += length
    if batch.num_rows > start:
        yield batch.slice(start)


def joined(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the same rows in the largest batches that keep to BATCH_ROWS and BATCH_BYTES; a row may be larger alone."""
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
    return pq.ParquetFile(
        file,
        pre_buffer=False,
        buffer_size=STREAM_BYTES,
        coerce_int96_timestamp_unit="us",  # nanoseconds reach from 1677 to 2262 only, and wrap beyond
        page_checksum_verification=True,
    )


def row_group_batches(
    parquet: pq.ParquetFile, group: int, columns: list[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield one row group in order, in batches that keep to BATCH_ROWS and, by what its footer says, to BATCH_BYTES.

    What Parquet itself asks for comes on top: a page, and twice a dictionary, at once. columns: names, None for all;
    a name stands for all columns that have it, and for those below it. Raises pyarrow.ArrowException or OSError where
    the bytes are damaged.
    """
    rows = _batch_rows(parquet.metadata.row_group(group), columns)
    for batch in parquet.iter_batches(batch_size=rows, row_groups=[group], columns=columns, use_threads=False):
        yield from split_batch(batch)


def _batch_rows(group: pq.RowGroupMetaData, columns: list[str] | None) -> int:
    """How many rows to read at once, by the sizes in the footer.

    A column stored mostly as a dictionary may hold its largest value in every row; of others, rows weigh as the mean.
    """
    rows = max(group.num_rows, 1)
    weight, shared = 0.0, 0.0
    for number in range(group.num_columns):
        chunk = group.column(number)
        path = chunk.path_in_schema
        if columns is not None and not any(path == name or path.startswith(f"{name}.") for name in columns):
            continue
        weight += chunk.total_uncompressed_size / rows
        if chunk.has_dictionary_page and chunk.physical_type in ("BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"):
            pages = chunk.data_page_offset - (chunk.dictionary_page_offset or chunk.data_page_offset)
            if pages > chunk.total_compressed_size / 2:
                shared += chunk.total_uncompressed_size * max(1.0, chunk.num_values / rows)
    by_mean = BATCH_BYTES / max(weight, 1.0)
    by_shared = SHARED_BYTES / max(shared, 1.0)
    return int(max(1, min(BATCH_ROWS, by_mean, by_shared)))
