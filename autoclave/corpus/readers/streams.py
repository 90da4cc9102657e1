"""A file as one run of uncompressed bytes that survives damage.

WARC files are usually written as one gzip member (or zstd frame) a record. `ByteStream` shows the file as a single
uncompressed stream, remembers where each frame began in the compressed file, stops at damage instead of raising,
and can go on behind it: the next frame that inflates is looked for from just after the beginning of the bad one,
because a broken frame may have eaten the start of its neighbour before the decoder noticed.

For formats without an end mark of their own (lines of JSON), a stream with `proved=True` reads each frame to its
checksum before it gives any of its bytes, so that a damaged frame gives none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import BinaryIO

import zstandard

from autoclave.corpus.readers.frames import (
    GZIP_MAGIC,
    READ_BYTES,
    ZSTD_MAGIC,
    Codec,
    Inflater,
    prove_frame,
    salvage,
)
from autoclave.corpus.readers.whole_streams import StreamDamageError, WholeStream, open_whole_stream

PROBE_BYTES = 1 << 16
BLOCK_BYTES = 1 << 14
# Set on the offset of a record that does not begin a frame of its own; the low bits are then its position in the
# uncompressed stream. It keeps offsets unique: frame starts are counted in compressed bytes.
INSIDE_FRAME = 1 << 62


class ByteStream:
    """Uncompressed view of `file` (plain, gzip, zstd, lz4, bzip2 or xz, told by its first bytes).

    `damage` is None, or says why no more bytes come; `truncated` tells a clean early end of file from corruption.
    `recover()` clears the damage and goes on behind it when that is possible. `plausible` is asked whether the
    uncompressed beginning of a frame found behind damage can be real. `proved`: see the module's docstring;
    `distrusted_lines` is then the number of line ends that a frame which is left out seemed to hold, else None.
    """

    def __init__(
        self, file: BinaryIO, plausible: Callable[[bytes], bool] | None = None, *, proved: bool = False
    ) -> None:
        self._file = file
        self._plausible = plausible
        self._proved = proved and file.seekable()
        self.distrusted_lines: int | None = None
        self._buffer = bytearray()
        self._raw = file.read(READ_BYTES)
        self._raw_start = 0
        self._frame_start = 0
        self._inflater: Inflater | None = None
        self._fed = 0
        self._marks: deque[tuple[int, int]] = deque()
        self._end = False
        self._whole_stream: WholeStream | None = None
        self.position = 0
        self.damage: str | None = None
        self.truncated = False
        self._codec: Codec | None = None
        if self._raw[:3] == GZIP_MAGIC:
            self._codec = Codec("gzip", GZIP_MAGIC)
        elif self._raw[:4] == ZSTD_MAGIC or self._raw[:4] == b"\x5d\x2a\x4d\x18":
            self._codec = Codec("zstd", ZSTD_MAGIC)
        else:
            self._whole_stream = open_whole_stream(self._raw, file)

    @property
    def compression(self) -> str:
        """Name of the container: plain, gzip, zstd, lz4, bzip2 or xz."""
        container = self._whole_stream or self._codec
        return container.name if container is not None else "plain"

    # -- reading ------------------------------------------------------------------------------------------------

    def ensure(self, count: int) -> int:
        """Try to have `count` bytes at hand; return how many there are (fewer only at the end or at damage)."""
        while len(self._buffer) < count and self._fill():
            pass
        return len(self._buffer)

    def peek(self, count: int) -> bytes:
        """Return the next `count` bytes (fewer at the end) without consuming them."""
        self.ensure(count)
        return bytes(memoryview(self._buffer)[:count])

    def skip(self, count: int) -> int:
        """Consume up to `count` bytes without keeping them; return how many were there."""
        left = count
        while left:
            if not self._buffer and not self._fill():
                break
            taken = min(left, len(self._buffer))
            del self._buffer[:taken]
            self.position += taken
            left -= taken
        return count - left

    def read(self, count: int) -> bytes:
        """Consume and return the next `count` bytes (fewer at the end)."""
        data = self.peek(count)
        del self._buffer[: len(data)]
        self.position += len(data)
        return data

    def unread(self, data: bytes) -> None:
        """Put back bytes that were consumed last."""
        self._buffer[:0] = data
        self.position -= len(data)

    def readline(self, limit: int) -> bytes:
        """Consume one line with its end, or `limit` bytes of a longer one; empty at the end."""
        searched = 0
        while True:
            at = self._buffer.find(b"\n", searched, limit)
            if at >= 0:
                return self.read(at + 1)
            searched = len(self._buffer)
            if searched >= limit or not self._fill():
                return self.read(min(limit, len(self._buffer)))

    def skip_blank(self) -> None:
        """Consume line ends and NUL padding between records."""
        while self.ensure(1):
            buffer = self._buffer
            blank = 0
            while blank < len(buffer) and buffer[blank] in b"\r\n\x00":
                blank += 1
            if blank:
                del buffer[:blank]
                self.position += blank
            if buffer:
                return

    def read_block(self) -> bytes | None:
        """Consume and return what stands before the next empty line, and the line; None where it is not at hand."""
        end = self._buffer.find(b"\r\n\r\n", 0, BLOCK_BYTES) + 4
        bare = self._buffer.find(b"\n\n", 0, end if end > 3 else BLOCK_BYTES) + 2
        if bare > 1:
            end = bare
        return self.read(end) if end > 3 else None

    @property
    def damage_offset(self) -> int:
        """Where in the file the frame that is damaged begins."""
        return self._frame_start

    @property
    def sound_until(self) -> int:
        """Uncompressed position up to which all bytes are of frames that were read without a fault."""
        if self.damage is None or self._inflater is None or not self._marks:
            return self.position + len(self._buffer)
        return self._marks[-1][0]

    @property
    def buffered(self) -> bytearray:
        """The bytes at hand, for searching; do not change it."""
        return self._buffer

    # -- positions ----------------------------------------------------------------------------------------------

    def frame_offset(self) -> int | None:
        """Compressed offset of the frame that begins exactly at the cursor; None when none does (or plain file)."""
        while len(self._marks) > 1 and self._marks[0][0] < self.position:
            self._marks.popleft()
        if self._marks and self._marks[0][0] == self.position:
            return self._marks[0][1]
        return None

    def offset(self) -> int:
        """A unique address of the record that begins at the cursor (see INSIDE_FRAME)."""
        if self._codec is None:
            return self.position
        at_frame = self.frame_offset()
        return at_frame if at_frame is not None else self.position | INSIDE_FRAME

    def frame_begins_at(self, position: int) -> bool:
        """Whether a frame begins at this uncompressed position (at or after the cursor)."""
        return any(mark == position for mark, _ in self._marks)

    def next_frame(self) -> int | None:
        """Uncompressed position of the next known frame behind the cursor; None where none is known yet."""
        return next((mark for mark, _ in self._marks if mark > self.position), None)

    def rewind(self, position: int) -> bool:
        """Go back to `position` in a plain seekable file; False where that cannot be done."""
        if self._codec is not None or self._whole_stream is not None or not self._file.seekable():
            return False
        self._file.seek(position)
        self._buffer.clear()
        self._raw = b""
        self.position = position
        self._end = False
        return True

    # -- filling ------------------------------------------------------------------------------------------------

    def _fill(self) -> bool:
        if self.damage is not None or self._end:
            return False
        if self._whole_stream is not None:
            return self._fill_whole_stream(self._whole_stream)
        if self._codec is None:
            data = self._raw or self._file.read(READ_BYTES)
            self._raw = b""
            self._buffer += data
            self._end = not data
            return bool(data)
        return self._fill_frame(self._codec)

    def _fill_whole_stream(self, whole: WholeStream) -> bool:
        try:
            data = whole.read(READ_BYTES)
        except StreamDamageError as error:
            self.damage, self.truncated = str(error), error.truncated
            return False
        self._buffer += data
        self._end = not data
        return bool(data)

    def _more_raw(self) -> bool:
        data = self._file.read(READ_BYTES)
        self._raw += data
        return bool(data)

    def _consume_raw(self, rest: bytes) -> None:
        self._raw_start += len(self._raw) - len(rest)
        self._raw = rest

    def _fill_frame(self, codec: Codec) -> bool:
        """Inflate one more piece of the current frame, opening the next one where needed."""
        if self._inflater is None and not self._open_frame(codec):
            return False
        if self._inflater is None:  # a small frame, taken whole
            return True
        if not self._raw and not self._more_raw():
            self.damage, self.truncated = f"{codec.name} data end in the middle of a frame", True
            return False
        raw = self._raw
        try:
            data, rest = codec.step(self._inflater, raw)
        except codec.errors as error:
            self._buffer += self._salvage(codec, raw)
            self.damage = f"{codec.name}: {error}"
            return True
        self._consume_raw(rest)
        self._fed += len(raw) - len(rest)
        self._buffer += data
        if self._inflater.eof:
            self._inflater = None
        return True

    def _open_frame(self, codec: Codec) -> bool:
        while True:
            while len(self._raw) < 8 and self._more_raw():
                pass
            if not self._raw.strip(b"\x00\r\n"):
                self._consume_raw(b"")
                if not self._more_raw():
                    self._end = True
                    return False
                continue
            if self._raw[0] in b"\x00\r\n":
                self._consume_raw(self._raw.lstrip(b"\x00\r\n"))
                continue
            self._frame_start = self._raw_start
            if codec.name == "zstd" and self._raw[1:4] == b"\x2a\x4d\x18" and self._raw[0] & 0xF0 == 0x50:
                if not self._skippable_frame(codec):
                    return False
                continue
            if not self._raw.startswith(codec.magic):
                self.damage = f"bytes between frames are not {codec.name}"
                return False
            self._marks.append((self.position + len(self._buffer), self._frame_start))
            self._inflater = codec.new()
            self._fed = 0
            return not self._proved or not codec.has_checksum(self._raw[:64]) or self._prove(codec)

    def _prove(self, codec: Codec) -> bool:
        """Read the frame to its end; take it at once where it is small, refuse it where it is not what was written."""
        here = self._raw_start + len(self._raw)
        proof = prove_frame(codec, self._file, self._frame_start)
        if proof.fault is not None:
            self.damage, self.distrusted_lines, self._inflater = proof.fault, proof.lines, None
            return False
        if proof.content is not None:
            self._buffer += proof.content
            self._raw, self._raw_start, self._inflater = b"", proof.end, None
            here = proof.end
        self._file.seek(here)
        return True

    def _skippable_frame(self, codec: Codec) -> bool:
        """Pass over a zstd skippable frame; the one that `.warc.zst` begins with holds the dictionary."""
        size = int.from_bytes(self._raw[4:8], "little")
        while len(self._raw) < 8 + size:
            if not self._more_raw():
                self.damage, self.truncated = "zstd data end in a skippable frame", True
                return False
        if self._raw[0] == 0x5D:
            try:
                codec.set_dictionary(self._raw[8 : 8 + size])
            except zstandard.ZstdError as error:
                self.damage = f"zstd dictionary: {error}"
                return False
        self._consume_raw(self._raw[8 + size :])
        return True

    def _salvage(self, codec: Codec, failing: bytes) -> bytes:
        """The bytes that the failing piece of the current frame still gives."""
        if not self._file.seekable():
            return b""
        here = self._file.tell()
        saved = salvage(codec, self._file, self._frame_start, self._fed, failing)
        self._file.seek(here)
        return saved

    # -- behind damage ------------------------------------------------------------------------------------------

    def recover(self) -> bool:
        """Drop what is left before the damage and go on at the next frame that inflates; False when none is left."""
        self.position += len(self._buffer)
        self._buffer.clear()
        while self._marks and self._marks[-1][0] >= self.position:  # frames that gave nothing are no record's
            self._marks.pop()
        codec = self._codec
        self.damage, self.truncated, self._inflater, self.distrusted_lines = None, False, None, None
        if codec is None or not self._file.seekable():
            self._end = True
            return False
        start = self._frame_start + 1
        self._file.seek(start)
        window = b""
        while True:
            at = window.find(codec.magic)
            if at < 0:
                keep = window[-(len(codec.magic) - 1) :]
                data = self._file.read(READ_BYTES)
                if not data:
                    self._end = True
                    return False
                start += len(window) - len(keep)
                window = keep + data
                continue
            start += at
            window = window[at:]
            if self._may_be_frame(codec, window) and self._try_frame(codec, start):
                self._file.seek(start)
                self._raw, self._raw_start = b"", start
                return True
            self._file.seek(start + len(window))
            start += 1
            window = window[1:]

    def _may_be_frame(self, codec: Codec, window: bytes) -> bool:
        """Whether what is at hand of a frame inflates: most chance finds are ruled out without reading the file."""
        try:
            out, _ = codec.step(codec.new(), window[:2048])
        except codec.errors:
            return False
        # zstd gives nothing before the end of a block, which may be far off; gzip has given something by now.
        return bool(out) or len(window) < 2048 or codec.name != "gzip"

    def _try_frame(self, codec: Codec, start: int) -> bool:
        self._file.seek(start)
        try:
            out, _ = codec.step(codec.new(), self._file.read(PROBE_BYTES))
        except codec.errors:
            return False
        return self._plausible(out) if self._plausible else len(out) > 0
