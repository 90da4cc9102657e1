"""What the pages of a Parquet file say they come to, told before any of them is inflated.

Each page stands behind a header in Thrift's compact protocol (parquet.thrift: PageHeader). pyarrow allocates what it
says and inflates the page at once, so that some kilobytes of a page can come to two gigabytes. The footer is read
here, too, since pyarrow ends the process when it is asked for the description of a column that makes no sense.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from autoclave.corpus.decoding.limits import LARGEST_PAGE_BYTES, PAGE_BYTES, PAGE_EXPANSION

HEADER_BYTES = 1 << 16
"""More than any page header takes: its statistics may hold a value, which writers cut at some hundred bytes."""

LARGEST_FOOTER_BYTES = 32 << 20
"""A footer above this is not looked at: it would cost more than the pages of any file it could describe."""

_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_INTEGERS = frozenset({4, 5, 6})
_DEEPEST = 16
_FAULTS = (IndexError, ValueError, KeyError, TypeError, AttributeError)


@dataclass(frozen=True)
class ColumnChunk:
    """Where the pages of a column of a row group lie in the file. path: names in the schema, joined by dots."""

    path: str
    start: int
    end: int


class _Thrift:
    """Decodes compact Thrift: a struct as a dict by field number; IndexError or ValueError where the bytes are none."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def _byte(self) -> int:
        self.at += 1
        return self._data[self.at - 1]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 63:
                raise ValueError("a number of more than 64 bits")

    def _integer(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def struct(self, depth: int = 0) -> dict[int, Any]:
        if depth > _DEEPEST:
            raise ValueError("nested too deeply")
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer()
            kind = head & 15
            fields[number] = kind == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind in _INTEGERS:
            return self._integer()
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind in (_LIST, _SET):
            return self._list(depth + 1)
        sizes = {_TRUE: 1, _FALSE: 1, _BYTE: 1, _DOUBLE: 8}
        size = self._varint() if kind == _BINARY else sizes[kind]
        begin, self.at = self.at, self.at + size
        if self.at > len(self._data):
            raise IndexError("a value that is cut off")
        return self._data[begin : self.at]

    def _list(self, depth: int) -> list[Any]:
        if depth > _DEEPEST:
            raise ValueError("nested too deeply")
        head = self._byte()
        size = head >> 4 if head >> 4 < 15 else self._varint()
        if size > len(self._data) - self.at:
            raise IndexError("a list that is cut off")
        return [self._value(head & 15, depth) for _ in range(size)]


def column_chunks(file: BinaryIO) -> list[list[ColumnChunk]]:
    """Return the column chunks of each row group by the file's footer; nothing where it cannot be read."""
    size = file.seek(0, 2)
    file.seek(max(0, size - 8))
    tail = file.read(8)
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != b"PAR1" or not 0 < length <= min(size - 8, LARGEST_FOOTER_BYTES):
        return []
    file.seek(size - 8 - length)
    try:
        footer = _Thrift(file.read(length)).struct()
        return [[_chunk(column[3]) for column in group[1]] for group in footer[4]]
    except _FAULTS:
        return []


def _chunk(described: dict[int, Any]) -> ColumnChunk:
    """See ColumnMetaData in parquet.thrift: 3 path, 7 bytes as stored, 9 first data page, 11 dictionary page."""
    starts = [described[9], described.get(11, 0)]
    start = min(start for start in starts if start > 0)
    return ColumnChunk(b".".join(described[3]).decode("utf-8", "replace"), start, start + described[7])


def page_sizes(file: BinaryIO, chunk: ColumnChunk) -> Iterator[tuple[int, int]]:
    """Yield (bytes as stored, bytes when inflated) of the pages of a chunk; stops where there is no header."""
    start = chunk.start
    while start < chunk.end:
        file.seek(start)
        header = _Thrift(file.read(min(HEADER_BYTES, chunk.end - start)))
        try:
            fields = header.struct()
            inflated, stored = int(fields[2]), int(fields[3])
        except _FAULTS:
            return  # pyarrow says what is wrong with it
        yield stored, inflated
        start += header.at + max(stored, 0)


def page_fault(file: BinaryIO, chunk: ColumnChunk) -> str | None:
    """Say which page of a chunk is not to be inflated, since it would come to too much; None where all are well."""
    for stored, inflated in page_sizes(file, chunk):
        if inflated > LARGEST_PAGE_BYTES or (inflated > PAGE_BYTES and inflated > PAGE_EXPANSION * stored):
            return f"a page of {stored} bytes comes to {inflated}"
    return None
