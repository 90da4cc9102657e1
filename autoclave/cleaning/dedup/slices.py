"""Files partitioned by key: an Arrow IPC file whose record batch p is partition p, so that a reader reads its slice."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from autoclave.corpus.storage import open_read
from autoclave.errors import ShardError


def write_slices(file: Any, schema: pa.Schema, slices: Iterable[pa.RecordBatch]) -> None:
    """Write one record batch of `schema` a partition, empty ones too, in order."""
    with pa.ipc.new_file(file, schema) as writer:
        for batch in slices:
            writer.write_batch(batch)


def read_slice(path: str, index: int) -> pa.RecordBatch:
    """Read partition `index` of a sliced file, of the file's schema; ShardError where the file is damaged."""
    with open_read(path) as file:
        try:
            batch = pa.ipc.open_file(file).get_batch(index)
        except (pa.ArrowInvalid, OSError) as error:
            raise ShardError(
                f"{path}: not a readable Arrow file ({error}); delete its commit, then run again"
            ) from error
    return batch


def partition_of(keys: np.ndarray, partitions: int) -> np.ndarray:
    """Return the partition of each key: uint64[n] -> int64[n], even for evenly spread keys, in order of the key."""
    high = keys >> np.uint64(32)
    return ((high * np.uint64(partitions)) >> np.uint64(32)).astype(np.int64)


def split_sorted(
    schema: pa.Schema, columns: Sequence[np.ndarray | pa.Array], partition: np.ndarray, partitions: int
) -> Iterable[pa.RecordBatch]:
    """Yield one batch of `schema` for each of `partitions`, from columns whose rows are already ordered by partition.

    columns: one a field of the schema, [n] each, of a dtype that casts to the field's; partition: integer[n], sorted.
    """
    bounds = np.searchsorted(partition, np.arange(partitions + 1))
    arrays = [
        column if isinstance(column, pa.Array) else pa.array(column, field.type)
        for column, field in zip(columns, schema, strict=True)
    ]
    whole = pa.RecordBatch.from_arrays(arrays, schema=schema)
    for low, high in itertools.pairwise(bounds):
        yield whole.slice(int(low), int(high - low))


def column_numpy(batch: pa.RecordBatch, name: str) -> np.ndarray:
    """Return a fixed-width column without nulls as numpy [rows], of its dtype, without a copy where Arrow allows it."""
    return np.asarray(batch.column(name).to_numpy(zero_copy_only=False))
