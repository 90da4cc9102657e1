"""Compressed containers taken apart frame by frame: gzip members, zstd frames; and a file for those that are not."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import zstandard

INFLATE_BYTES = 1 << 20
READ_BYTES = 1 << 18
HELD_BYTES = 32 << 20
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

    def has_checksum(self, head: bytes) -> bool:
        """Whether a frame that begins so ends in a checksum; `head`: its first 18 bytes or more."""
        if self.name == "gzip":
            return True
        try:
            return bool(zstandard.get_frame_parameters(head).has_checksum)
        except zstandard.ZstdError:
            return True

    def step(self, inflater: Inflater, data: bytes) -> tuple[bytes, bytes]:
        """Feed `data`; return (uncompressed bytes, input not yet consumed)."""
        if self.name == "gzip":
            out = inflater.decompress(data, INFLATE_BYTES)  # type: ignore[attr-defined]
            rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail  # type: ignore[attr-defined]
            return out, rest
        out = inflater.decompress(data)  # type: ignore[attr-defined]
        return out, inflater.unused_data if inflater.eof else b""


@dataclass(frozen=True)
class Proof:
    """What became of a frame that was read to its end before any byte of it was used.

    fault: why none of it can be believed, None where all can; lines: line ends that it seemed to hold before the
    fault; content: the uncompressed bytes where they are at most HELD_BYTES, else None; end: where in the file the
    next frame begins.
    """

    fault: str | None
    lines: int
    content: bytes | None
    end: int


def prove_frame(codec: Codec, file: BinaryIO, start: int) -> Proof:
    """Inflate the frame at `start` to its end, in bounded memory, and say whether it is what was written.

    Of a gzip member whose checksum or length is wrong, or that stops making sense, nothing is believed: nine in ten
    faults are noticed by the checksum alone, and the others up to 385 kB of output after their place (1,200 damaged
    members of 8 to 10 MB). zstd notices a fault that is no matter for the checksum within its block (463 of 463), so
    what comes before it stands. A frame that the file ends in has no checksum to ask, and stands.
    """
    file.seek(start)
    inflater = codec.new()
    held: list[bytes] | None = []
    size = lines = 0
    raw = b""
    end = start
    while not inflater.eof:
        if not raw:
            raw = file.read(READ_BYTES)
            end += len(raw)
            if not raw:
                return Proof(None, lines, None, end)
        try:
            data, raw = codec.step(inflater, raw)
        except codec.errors as error:
            believed = codec.name == "zstd" and "checksum" not in str(error)
            lines += salvage(codec, file, start, end - len(raw) - start, raw).count(b"\n")
            return Proof(None if believed else f"{codec.name}: {error}", lines, None, end)
        size += len(data)
        lines += data.count(b"\n")
        if held is not None:
            held.append(data)
            if size > HELD_BYTES:
                held = None
    return Proof(None, lines, None if held is None else b"".join(held), end - len(raw))


def salvage(codec: Codec, file: BinaryIO, start: int, fed: int, failing: bytes) -> bytes:
    """Return what the failing piece of a frame still gives: inflate the frame again, that piece byte by byte.

    start: where in the file the frame begins; fed: its bytes that were inflated without a fault. Moves the file.
    """
    file.seek(start)
    again = codec.new()
    saved = bytearray()
    try:
        while fed:
            piece = file.read(min(fed, READ_BYTES))
            fed -= len(piece)
            while piece:
                _, piece = codec.step(again, piece)
        for byte in failing:
            saved += codec.step(again, bytes([byte]))[0]
    except codec.errors:
        pass
    return bytes(saved)


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
