"""Files partitioned by key: an Arrow IPC file whose record batch p is partition p, so that a reader reads its slice,
and whose last batch holds no rows but the checksums of all slices."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO

import msgspec
import numpy as np
import pyarrow as pa
import xxhash

from autoclave.corpus.sealed import seal, unseal
from autoclave.corpus.storage import open_read
from autoclave.errors import DamageError, InputError

INDEX = b"autoclave.slices"
"""Key of the metadata of a file's last record batch, which has no rows: where the slices lie, and their checksums. So a
slice is verified, as raw bytes, by whoever reads it, without the rest of the file."""


class _Index(msgspec.Struct, frozen=True):
    """schema: checksum of the serialised schema; slices: offset, bytes and checksum (xxh3-128) of each."""

    schema: str
    slices: list[tuple[int, int, str]]


class _Sink:
    """What Arrow writes to: a file that is open already, and the checksum of what was written since `mark`."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._hash = xxhash.xxh3_128()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self._hash.update(view)
        self._file.write(view)
        return view.nbytes

    def close(self) -> None:
        """Left to whoever opened the file."""

    def mark(self) -> int:
        """Begin a new checksum; returns the place in the file."""
        self._hash.reset()
        return int(self._file.tell())

    @property
    def checksum(self) -> str:
        return self._hash.hexdigest()


class SliceWriter:
    """Writes record batches of one schema as slices, each with its checksum. Use as a context manager."""

    def __init__(self, file: Any, schema: pa.Schema) -> None:
        self._sink, self._schema = _Sink(file), schema
        self._writer = pa.ipc.new_file(self._sink, schema)
        self._slices: list[tuple[int, int, str]] = []

    def __enter__(self) -> SliceWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def write(self, batch: pa.RecordBatch) -> None:
        """Write the next slice, a batch of the schema."""
        start = self._sink.mark()
        self._writer.write_batch(batch)
        self._slices.append((start, self._sink.tell() - start, self._sink.checksum))

    def close(self) -> None:
        """Write the index and the footer; the file stays open."""
        index = seal(_Index(_digest(self._schema), self._slices))
        self._writer.write_batch(pa.RecordBatch.from_pylist([], self._schema), custom_metadata={INDEX: index})
        self._writer.close()


class SliceReader:
    """The slices of an open file, read to their checksums. `path` names it in messages."""

    def __init__(self, file: BinaryIO, path: str) -> None:
        self.path, self._file = path, file
        try:
            reader = pa.ipc.open_file(file)
            last = reader.get_batch_with_custom_metadata(reader.num_record_batches - 1)
            index = unseal(dict(last.custom_metadata)[INDEX], _Index)
            self.schema: pa.Schema = reader.schema
            if _digest(self.schema) != index.schema:
                raise ValueError("its schema does not fit its checksum")
        except _UNREADABLE as error:
            raise self._damaged(f"not a readable file of slices ({_first_line(error)})") from error
        self._slices = index.slices

    def __len__(self) -> int:
        return len(self._slices)

    def read(self, index: int) -> pa.RecordBatch:
        """Return slice `index`, of the file's schema; DamageError where it is not what was written."""
        start, size, checksum = self._slices[index]
        self._file.seek(start)
        data = self._file.read(size)
        if xxhash.xxh3_128_hexdigest(data) != checksum:
            raise self._damaged(f"slice {index} does not fit its checksum")
        head = 0 if start else 8 + self.schema.serialize().size  # Arrow writes the schema with the first batch
        return pa.ipc.read_record_batch(pa.py_buffer(data).slice(head), self.schema)

    def _damaged(self, what: str) -> DamageError:
        return DamageError(f"{self.path}: damaged: {what}; run the stage again, which makes it anew")


_UNREADABLE = (pa.ArrowException, OSError, ValueError, TypeError, LookupError, MemoryError)
"""What opening damaged bytes as an Arrow file may raise."""


def _digest(schema: pa.Schema) -> str:
    return xxhash.xxh3_128_hexdigest(schema.serialize())


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def write_slices(file: Any, schema: pa.Schema, slices: Iterable[pa.RecordBatch]) -> None:
    """Write one record batch of `schema` a partition, empty ones too, in order."""
    with SliceWriter(file, schema) as writer:
        for batch in slices:
            writer.write(batch)


@contextlib.contextmanager
def open_slices(path: str) -> Iterator[SliceReader]:
    """Open a sliced file; DamageError where it is gone or no Arrow file any more."""
    try:
        file = open_read(path)
    except InputError as error:
        raise DamageError(f"{path}: it is missing; run the stage again, which makes it anew") from error
    with file:
        yield SliceReader(file, path)


def read_slice(path: str, index: int) -> pa.RecordBatch:
    """Read partition `index` of a sliced file, of the file's schema; DamageError where it is not what was written."""
    with open_slices(path) as reader:
        return reader.read(index)


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
