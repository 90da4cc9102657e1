"""Compressed containers taken apart frame by frame: gzip members, zstd frames; and a file for those that are not."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import BinaryIO

import zstandard

from autoclave.corpus.decoding.limits import (
    DICTIONARY_BYTES,
    EXPANSION,
    HELD_BYTES,
    READ_BYTES,
    STEP_BYTES,
    WINDOW_BYTES,
    expands_hugely,
)
from autoclave.corpus.decoding.window import GZIP_BEGIN, ZSTD_BEGIN, FileWindow
from autoclave.corpus.decoding.zstd_blocks import ZstdFrame

GZIP_MAGIC = b"\x1f\x8b\x08"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
LZ4_MAGIC = b"\x04\x22\x4d\x18"

FIRST_BYTES = 1 << 12
"""Bytes of a frame that its decoder is fed first; then four times as many each time, up to READ_BYTES.

Small frames by the million then cost no copy of all that is read beside them.
"""


class GzipMember:
    """Decoder of one gzip member; a call of `step` gives at most STEP_BYTES."""

    def __init__(self) -> None:
        self._object = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._object.eof

    def step(self, data: bytes | memoryview) -> tuple[bytes, bytes | memoryview]:
        """Feed `data`; return (uncompressed bytes, input not yet consumed). Raises zlib.error."""
        out = self._object.decompress(data, STEP_BYTES)
        return out, self._object.unused_data if self._object.eof else self._object.unconsumed_tail


class Codec:
    """One compressed container: its magic number and a decoder of one frame at a time."""

    def __init__(self, name: str, magic: bytes) -> None:
        self.name = name
        self.magic = magic
        self.begin = GZIP_BEGIN if name == "gzip" else ZSTD_BEGIN
        self.errors = (zlib.error, zstandard.ZstdError)
        self._dictionary: zstandard.ZstdCompressionDict | None = None
        self._whole_frames = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES)

    def set_dictionary(self, data: bytes) -> None:
        """Take the dictionary of a `.warc.zst` (itself zstd-compressed or not); ZstdError where it is none."""
        if data[:4] == ZSTD_MAGIC:
            data = inflate_dictionary(data)
        self._dictionary = zstandard.ZstdCompressionDict(data)
        self._whole_frames = zstandard.ZstdDecompressor(dict_data=self._dictionary, max_window_size=WINDOW_BYTES)

    def new(self) -> GzipMember | ZstdFrame:
        return GzipMember() if self.name == "gzip" else ZstdFrame(self._dictionary)

    def whole(self, window: FileWindow) -> bytes | bytearray | None:
        """The content of the frame that begins in `window`, consumed, where it is small and sound; else None."""
        if self.name == "gzip":
            return next(window.gzip_members(), (0, None))[1]
        return window.whole_zstd_frame(self._whole_frames)

    def has_checksum(self, head: bytes) -> bool:
        """Whether a frame that begins so ends in a checksum; `head`: its first 18 bytes or more."""
        if self.name == "gzip":
            return True
        try:
            return bool(zstandard.get_frame_parameters(head).has_checksum)
        except zstandard.ZstdError:
            return True


def inflate_dictionary(data: bytes) -> bytes:
    """Return a dictionary that is stored as a zstd frame; ZstdError where it is none, or above DICTIONARY_BYTES."""
    frame, out = ZstdFrame(window_bytes=DICTIONARY_BYTES), bytearray()
    rest: bytes | memoryview = data
    while rest and not frame.eof:
        piece, rest = frame.step(rest)
        out += piece
        if len(out) > DICTIONARY_BYTES:
            raise zstandard.ZstdError(f"it comes to more than {DICTIONARY_BYTES} bytes")
    return bytes(out)


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
    raw: bytes | memoryview = b""
    end, ahead = start, FIRST_BYTES
    while not inflater.eof:
        if not raw:
            raw = file.read(ahead)
            end, ahead = end + len(raw), min(4 * ahead, READ_BYTES)
            if not raw:
                return Proof(None, lines, None, end)
        try:
            data, raw = inflater.step(raw)
        except codec.errors as error:
            believed = codec.name == "zstd" and "checksum" not in str(error)
            lines += salvage(codec, file, start, end - len(raw) - start, raw).count(b"\n")
            return Proof(None if believed else f"{codec.name}: {error}", lines, None, end)
        size += len(data)
        lines += data.count(b"\n")
        if expands_hugely(end - start, size):
            return Proof(expansion_fault(codec, end - start), lines, None, end)
        if held is not None:
            held.append(data)
            if size > HELD_BYTES:
                held = None
    return Proof(None, lines, None if held is None else b"".join(held), end - len(raw))


def expansion_fault(codec: Codec, stored: int) -> str:
    """What is said of a frame that is read no further (see `expands_hugely`)."""
    return f"{codec.name} frame comes to more than {EXPANSION} times its first {stored} bytes"


def salvage(codec: Codec, file: BinaryIO, start: int, fed: int, failing: bytes | memoryview) -> bytes:
    """Return what the failing piece of a frame still gives: inflate the frame again, that piece byte by byte.

    start: where in the file the frame begins; fed: its bytes that were inflated without a fault. Moves the file.
    """
    file.seek(start)
    again = codec.new()
    saved = bytearray()
    try:
        while fed:
            piece: bytes | memoryview = file.read(min(fed, READ_BYTES))
            fed -= len(piece)
            while piece:
                _, piece = again.step(piece)
        for at in range(len(failing)):
            rest: bytes | memoryview = failing[at : at + 1]
            while rest and not again.eof:
                given, rest = again.step(rest)
                saved += given
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
