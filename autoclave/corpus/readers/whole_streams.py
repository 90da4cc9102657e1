"""Compressed containers that are decoded from their first byte to their last: lz4, bzip2, xz.

They have no frames that a record could have for its own, so that reading cannot go on behind damage.
"""

from __future__ import annotations

import bz2
import lzma
from collections.abc import Callable
from typing import Any, BinaryIO, Protocol

import pyarrow as pa

from autoclave.corpus.decoding.frames import LZ4_MAGIC, Prefixed
from autoclave.corpus.decoding.limits import READ_BYTES

BZIP2_MAGIC = b"BZh"
XZ_MAGIC = b"\xfd7zXZ\x00"
XZ_MEMORY = 256 << 20
"""Most bytes that an xz stream may ask for: four times what `xz -9` needs."""


class StreamDamageError(Exception):
    """The stream makes no sense from here on, or (truncated) ends too early."""

    def __init__(self, cause: str, *, truncated: bool = False) -> None:
        super().__init__(cause)
        self.truncated = truncated


class WholeStream(Protocol):
    """Something that is read from its beginning."""

    name: str

    def read(self, count: int) -> bytes:
        """Return up to `count` bytes, none at the end; raises StreamDamageError."""
        ...


def open_whole_stream(head: bytes, file: BinaryIO) -> WholeStream | None:
    """Return the decoder of a file that begins with `head`, which was read of it already; None where there is none."""
    if head.startswith(LZ4_MAGIC):
        return _Lz4Stream(head, file)
    if head.startswith(BZIP2_MAGIC):
        return _ChainedStreams("bzip2", BZIP2_MAGIC, bz2.BZ2Decompressor, head, file)
    if head.startswith(XZ_MAGIC):
        return _ChainedStreams("xz", XZ_MAGIC, _new_xz, head, file)
    return None


def _new_xz() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)


class _Lz4Stream:
    name = "lz4"

    def __init__(self, head: bytes, file: BinaryIO) -> None:
        self._stream = pa.CompressedInputStream(pa.PythonFile(Prefixed(head, file), mode="r"), "lz4")

    def read(self, count: int) -> bytes:
        try:
            return self._stream.read(count)
        except OSError as error:
            raise StreamDamageError(f"lz4: {error}") from error


class _ChainedStreams:
    """bzip2 or xz: any number of streams one after the other, NUL bytes between them."""

    def __init__(self, name: str, magic: bytes, new: Callable[[], Any], head: bytes, file: BinaryIO) -> None:
        self.name = name
        self._magic, self._new, self._raw, self._file = magic, new, head, file
        self._decoder: Any = None

    def read(self, count: int) -> bytes:
        while self._decoder is not None or self._open():
            data = b""
            if self._decoder.needs_input:
                data, self._raw = self._raw or self._file.read(READ_BYTES), b""
                if not data:
                    raise StreamDamageError(f"{self.name} data end in the middle of a stream", truncated=True)
            try:
                out = self._decoder.decompress(data, count)
            except (OSError, lzma.LZMAError) as error:
                raise StreamDamageError(f"{self.name}: {error}") from error
            if self._decoder.eof:
                self._raw, self._decoder = self._decoder.unused_data, None
            if out:
                return bytes(out)
        return b""

    def _open(self) -> bool:
        """Begin the next stream; False where there is none."""
        while len(self._raw) < len(self._magic):
            data = self._file.read(READ_BYTES)
            self._raw = (self._raw + data).lstrip(b"\x00")
            if not data:
                break
        self._raw = self._raw.lstrip(b"\x00")
        if not self._raw:
            return False
        if not self._raw.startswith(self._magic):
            raise StreamDamageError(f"bytes behind a {self.name} stream are not {self.name}")
        self._decoder = self._new()
        return True
