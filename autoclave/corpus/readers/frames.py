"""Compressed containers taken apart frame by frame: gzip members, zstd frames, and what pyarrow needs for lz4."""

from __future__ import annotations

import zlib
from typing import BinaryIO, Protocol

import zstandard

INFLATE_BYTES = 1 << 20
GZIP_MAGIC = b"\x1f\x8b\x08"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
LZ4_MAGIC = b"\x04\x22\x4d\x18"


class Inflater(Protocol):
    """What `zlib.decompressobj` and `zstandard.decompressobj` have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...


class Codec:
    """One compressed container: its magic number and a decoder of one frame at a time."""

    def __init__(self, name: str, magic: bytes) -> None:
        self.name = name
        self.magic = magic
        self.errors = (zlib.error, zstandard.ZstdError)
        self._dictionary: zstandard.ZstdCompressionDict | None = None

    def set_dictionary(self, data: bytes) -> None:
        """Take the dictionary of a `.warc.zst` (itself zstd-compressed or not)."""
        if data[:4] == ZSTD_MAGIC:
            data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
        self._dictionary = zstandard.ZstdCompressionDict(data)

    def new(self) -> Inflater:
        if self.name == "gzip":
            return zlib.decompressobj(wbits=31)
        return zstandard.ZstdDecompressor(dict_data=self._dictionary).decompressobj()

    def step(self, inflater: Inflater, data: bytes) -> tuple[bytes, bytes]:
        """Feed `data`; return (uncompressed bytes, input not yet consumed)."""
        if self.name == "gzip":
            out = inflater.decompress(data, INFLATE_BYTES)  # type: ignore[attr-defined]
            rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail  # type: ignore[attr-defined]
            return out, rest
        out = inflater.decompress(data)  # type: ignore[attr-defined]
        return out, inflater.unused_data if inflater.eof else b""


class Prefixed:
    """A file object that gives back bytes already read before going on with the file (for pyarrow)."""

    def __init__(self, head: bytes, file: BinaryIO) -> None:
        self._head = head
        self._file = file
        self.closed = False

    def read(self, count: int = -1) -> bytes:
        if self._head:
            data, self._head = self._head[:count], self._head[count:]
            return data
        return self._file.read(count)

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True
