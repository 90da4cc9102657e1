"""A file as one run of uncompressed bytes that survives damage.

WARC files are usually written as one gzip member (or zstd frame) a record. `ByteStream` shows the file as a single
uncompressed stream, remembers where each frame began in the compressed file, stops at damage instead of raising,
and can go on behind it: the next frame that inflates is looked for from just after the beginning of the bad one,
because a broken frame may have eaten the start of its neighbour before the decoder noticed.

For formats without an end mark of their own (lines of JSON), a stream with `proved=True` reads each frame to its
checksum before it gives any of its bytes, so that a damaged frame gives none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import BinaryIO

import pyarrow as pa
import zstandard

from autoclave.corpus.decoding.limits import DICTIONARY_BYTES, READ_BYTES, STEP_BYTES, expands_hugely
from autoclave.corpus.decoding.marks import FrameMarks
from autoclave.corpus.decoding.window import FileWindow
from autoclave.corpus.decoding.zstd_blocks import ZstdFrame
from autoclave.corpus.readers.frames import (
    GZIP_MAGIC,
    LZ4_MAGIC,
    ZSTD_MAGIC,
    Codec,
    GzipMember,
    Prefixed,
    expansion_fault,
    prove_frame,
    salvage,
)

PROBE_BYTES = 1 << 16
BLOCK_BYTES = 1 << 14
READ_AGAIN_BYTES, READ_AGAIN_TIMES = 64 << 20, 8
"""Bytes of frames that were bad that are read again to find frames in them; times, of what was read by then."""
_BLANK = re.compile(rb"[\r\n\x00]+")
# Set on the offset of a record that does not begin a frame of its own; the low bits are then its position in the
# uncompressed stream. It keeps offsets unique: frame starts are counted in compressed bytes.
INSIDE_FRAME = 1 << 62


class ByteStream:
    """Uncompressed view of `file` (plain, gzip, zstd or lz4, told by its first bytes).

    `damage` is None, or says why no more bytes come; `truncated` tells a clean early end of file from corruption.
    `recover()` clears the damage and goes on behind it when that is possible. `plausible` is asked whether the
    uncompressed beginning of a frame found behind damage can be real. `proved`: see the module's docstring;
    `padding`: (offset of the first, number) of NUL bytes passed over between frames and records, until it is set to
    None. `distrusted_lines` is then the number of line ends that a frame which is left out seemed to hold, else None.
    """

    def __init__(
        self, file: BinaryIO, plausible: Callable[[bytes], bool] | None = None, *, proved: bool = False
    ) -> None:
        self._file = file
        self._plausible = plausible
        self._proved = proved and file.seekable()
        self.distrusted_lines: int | None = None
        self._buffer = bytearray()
        self._window = FileWindow(file)
        self._frame_start = 0
        self._inflater: GzipMember | ZstdFrame | None = None
        self._fed = self._given = 0
        self._marks = FrameMarks()
        self._end = False
        self._lz4: pa.CompressedInputStream | None = None
        self._noticed = self._read_again = 0
        self._not_whole = -1  # offset of the last frame that could not be taken whole
        self.padding: tuple[int, int] | None = None
        self.position = 0
        self.damage: str | None = None
        self.truncated = False
        self._codec: Codec | None = None
        head = self._window.peek(READ_BYTES)
        if head[:3] == GZIP_MAGIC:
            self._codec = Codec("gzip", GZIP_MAGIC)
        elif head[:4] == ZSTD_MAGIC or head[:4] == b"\x5d\x2a\x4d\x18":
            self._codec = Codec("zstd", ZSTD_MAGIC)
        elif head[:4] == LZ4_MAGIC:
            self._lz4 = pa.CompressedInputStream(pa.PythonFile(Prefixed(head, file), mode="r"), "lz4")

    @property
    def compression(self) -> str:
        """Name of the container: plain, gzip, zstd or lz4."""
        return "lz4" if self._lz4 is not None else self._codec.name if self._codec else "plain"

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

    def unread(self, data: bytes | bytearray) -> None:
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
            match = _BLANK.match(self._buffer)
            blank = match.end() if match else 0
            del match  # a live match would pin the size of the buffer
            if blank:
                self._note_padding(self.offset(), self._buffer.count(b"\x00", 0, blank))
                del self._buffer[:blank]
                self.position += blank
            if self._buffer:
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
        if self.damage is None or self._inflater is None or self._marks.last is None:
            return self.position + len(self._buffer)
        return self._marks.last

    @property
    def buffered(self) -> bytearray:
        """The bytes at hand, for searching; do not change it."""
        return self._buffer

    # -- positions ----------------------------------------------------------------------------------------------

    def frame_offset(self) -> int | None:
        """Compressed offset of the frame that begins exactly at the cursor; None when none does (or plain file)."""
        self._marks.drop_before(self.position)
        return self._marks.offset_at(self.position)

    def offset(self) -> int:
        """A unique address of the record that begins at the cursor (see INSIDE_FRAME)."""
        if self._codec is None:
            return self.position
        at_frame = self.frame_offset()
        return at_frame if at_frame is not None else self.position | INSIDE_FRAME

    def frame_begins_at(self, position: int) -> bool:
        """Whether a frame begins at this uncompressed position (at or after the cursor)."""
        return self._marks.offset_at(position) is not None

    def next_frame(self) -> int | None:
        """Uncompressed position of the next known frame behind the cursor; None where none is known yet."""
        self._marks.drop_before(self.position)
        return self._marks.after(self.position)

    def bytes_left(self) -> int | None:
        """Bytes from the cursor to the end of a plain seekable file; None where nobody knows without reading them."""
        if self._codec is not None or self._lz4 is not None or not self._file.seekable():
            return None
        here = self._file.tell()
        size = self._file.seek(0, 2)
        self._file.seek(here)
        return max(0, size - self.position)

    def rewind(self, position: int) -> bool:
        """Go back to `position` in a plain seekable file; False where that cannot be done."""
        if self._codec is not None or self._lz4 is not None or not self._file.seekable():
            return False
        self._window.seek(position)
        self._buffer.clear()
        self.position = position
        self._end = False
        return True

    # -- filling ------------------------------------------------------------------------------------------------

    def _fill(self) -> bool:
        if self.damage is not None or self._end:
            return False
        if self._lz4 is not None:
            return self._fill_lz4()
        if self._codec is None:
            window = self._window
            if not window.have and not window.more():
                self._end = True
                return False
            self._buffer += window.take(READ_BYTES)
            return True
        return self._fill_frame(self._codec)

    def _fill_lz4(self) -> bool:
        assert self._lz4 is not None
        try:
            data = self._lz4.read(READ_BYTES)
        except OSError as error:
            self.damage = f"lz4: {error}"
            return False
        self._buffer += data
        self._end = not data
        return bool(data)

    def _fill_frame(self, codec: Codec) -> bool:
        """Inflate one more piece of the current frame, opening the next one where needed."""
        if self._inflater is None and not self._open_frame(codec):
            return False
        if self._inflater is None:  # a small frame, taken whole
            return True
        window = self._window
        if not window.have and not window.more():
            self.damage, self.truncated = f"{codec.name} data end in the middle of a frame", True
            return False
        self._step(codec, self._inflater)
        return True

    def _step(self, codec: Codec, inflater: GzipMember | ZstdFrame) -> None:
        """Inflate what is at hand of the current frame, at most READ_BYTES, until STEP_BYTES have come of it.

        The decoder is fed up to what looks like the next frame, so that it has no copy to make of all that stands
        behind a small one; but it is fed on where the frame does not end there, since a fault shows late.
        """
        window, fed, given = self._window, self._fed, self._given
        while window.have and not inflater.eof and self._fed - fed < READ_BYTES and self._given - given < STEP_BYTES:
            raw = window.peek_up_to(codec.begin)
            try:
                data, rest = inflater.step(raw)
            except codec.errors as error:
                self._buffer += self._salvage(codec, raw)
                self.damage = f"{codec.name}: {error}"
                return
            window.at += len(raw) - len(rest)
            self._fed += len(raw) - len(rest)
            self._given += len(data)
            self._buffer += data
        if inflater.eof:
            self._inflater = None
        elif expands_hugely(self._fed, self._given):
            self.damage, self._noticed = expansion_fault(codec, self._fed), window.offset

    def _pass_over_padding(self) -> None:
        window = self._window
        match = _BLANK.match(window.data, window.at, window.end)
        if match is None:
            return
        end = match.end()
        self._note_padding(window.offset, window.data.count(b"\x00", window.at, end))
        window.at = end

    def _note_padding(self, offset: int, count: int) -> None:
        if count:
            first, so_far = self.padding or (offset, 0)
            self.padding = first, so_far + count

    def _at_frame(self, codec: Codec) -> bool:
        """Move to the next frame of the file; False at the end, and where something else stands."""
        window = self._window
        while True:
            while window.have < 8 and window.more():
                pass
            self._pass_over_padding()
            if not window.have:
                if window.more():
                    continue
                self._end = True
                return False
            if window.have < 8 and window.more():
                continue
            self._frame_start = window.offset
            head = window.peek(8)
            if codec.name == "zstd" and head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50:
                if not self._skippable_frame(codec):
                    return False
                continue
            if not head.startswith(codec.magic):
                self.damage = f"bytes at {window.offset} are not {codec.name}"
                return False
            return True

    def _open_frame(self, codec: Codec) -> bool:
        """Open the next frame, or put what it holds into the buffer at once where it is small and sound."""
        if not self._at_frame(codec):
            return False
        self._marks.add(self.position + len(self._buffer), self._frame_start)
        content = self._whole(codec)
        if content is not None:
            self._buffer += content
            return True
        self._inflater = codec.new()
        self._fed = self._given = 0
        return not self._proved or not codec.has_checksum(self._window.peek(64)) or self._prove(codec)

    def _whole(self, codec: Codec) -> bytes | bytearray | None:
        """What the frame at hand holds, where it is small and sound; a frame is asked once."""
        if self._not_whole == self._frame_start:
            return None
        content = codec.whole(self._window)
        self._not_whole = self._frame_start if content is None else -1
        return content

    def whole_frames(self) -> Iterator[tuple[int, bytes | bytearray]]:
        """Consume the frames from the cursor on and yield (offset, all it holds) of each, while they are small and sound.

        Ends, with nothing consumed, where no frame begins, or one that is read piece by piece.
        """
        while self._codec is not None:
            if self._codec.name == "gzip" and not self._buffer and self._is_between_frames():  # the common case
                for offset, member in self._window.gzip_members():
                    self.position += len(member)
                    yield offset, member
                    if self._buffer:
                        break
                else:
                    self._not_whole = self._window.offset
            frame = self._whole_frame(self._codec)
            if frame is None:
                return
            self.position += len(frame[1])
            yield frame

    def _whole_frame(self, codec: Codec) -> tuple[int, bytes | bytearray] | None:
        offset = self._marks.offset_at(self.position)
        content: bytes | bytearray | None = None
        if self._buffer:
            content = self._buffered_frame() if offset is not None else None
        elif self._is_between_frames() and self._at_frame(codec):
            content, offset = self._whole(codec), self._frame_start
        return None if content is None or offset is None else (offset, content)

    def _buffered_frame(self) -> bytes | None:
        """Consume the frame at the cursor from the buffer, where all of it is there."""
        self._marks.drop_before(self.position)
        behind = self._marks.after(self.position)
        if behind is None and not (self._is_between_frames() and self._marks.last == self.position):
            return None
        content = bytes(self._buffer if behind is None else memoryview(self._buffer)[: behind - self.position])
        del self._buffer[: len(content)]
        return content

    def _is_between_frames(self) -> bool:
        return self._inflater is None and self.damage is None and not self._end

    def give_back(self, offset: int, content: bytes | bytearray) -> None:
        """Put back what `whole_frames` gave last."""
        self.unread(content)
        if self._marks.after(self.position) is None:
            self._marks.add(self.position, offset)

    def _prove(self, codec: Codec) -> bool:
        """Read the frame to its end; take it at once where it is small, refuse it where it is not what was written."""
        here = self._window.offset
        proof = prove_frame(codec, self._file, self._frame_start)
        if proof.fault is not None:
            self.damage, self.distrusted_lines, self._inflater = proof.fault, proof.lines, None
            self._noticed = proof.end
            return False
        if proof.content is not None:
            self._buffer += proof.content
            self._inflater = None
            here = proof.end
        self._window.seek(here)
        return True

    def _skippable_frame(self, codec: Codec) -> bool:
        """Pass over a zstd skippable frame; the one that `.warc.zst` begins with holds the dictionary."""
        window = self._window
        head = window.peek(8)
        holds_dictionary = head[0] == 0x5D
        size = int.from_bytes(head[4:], "little")
        if holds_dictionary and size > DICTIONARY_BYTES:
            self.damage = f"zstd dictionary of {size} bytes, more than {DICTIONARY_BYTES}"
            return False
        kept, left = bytearray(), 8 + size
        while left:
            if not window.have and not window.more():
                self.damage, self.truncated = "zstd data end in a skippable frame", True
                return False
            piece = window.take(left)
            left -= len(piece)
            if holds_dictionary:
                kept += piece
        try:
            if holds_dictionary:
                codec.set_dictionary(bytes(kept[8:]))
        except zstandard.ZstdError as error:
            self.damage = f"zstd dictionary: {error}"
            return False
        return True

    def _salvage(self, codec: Codec, failing: bytes) -> bytes:
        """The bytes that the failing piece of the current frame still gives."""
        self._noticed = self._window.offset + len(failing)
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
        codec, window = self._codec, self._window
        self.damage, self.truncated, self._inflater, self.distrusted_lines = None, False, None, None
        if codec is None or not self._file.seekable():
            self._end = True
            return False
        window.seek(self._behind_damage())
        while True:
            at = window.data.find(codec.magic, window.at, window.end)
            if at < 0:
                window.at = max(window.at, window.end - len(codec.magic) + 1)
                if not window.more():
                    self._end = True
                    return False
                continue
            window.at = at
            if self._inflates(codec):
                return True
            window.at += 1

    def _behind_damage(self) -> int:
        """Where in the file to look for the next frame: behind the beginning of the bad one, which may have eaten that.

        Where frames that fail late are folded into one another, that would read the same bytes again and again; beyond
        some multiple of what was read, it is behind the place where the damage was noticed.
        """
        begin = self._frame_start + 1
        self._read_again += max(0, self._noticed - begin)
        if self._read_again > READ_AGAIN_BYTES + READ_AGAIN_TIMES * self._noticed:
            begin = max(begin, self._noticed)
        return begin

    def _inflates(self, codec: Codec) -> bool:
        """Whether what begins at the window's cursor is a frame; most chance finds are ruled out by their first 2 KB."""
        window = self._window
        for size in (2048, PROBE_BYTES):
            while window.have < size and window.more():
                pass
            decoder, given = codec.new(), b""
            rest: bytes | memoryview = window.peek(size)
            try:
                while rest and len(given) < STEP_BYTES and not decoder.eof:
                    out, rest = decoder.step(rest)
                    given += out
            except codec.errors:
                return False
            # zstd gives nothing before the end of a block, which may be far off; gzip has given something by now.
            if codec.name == "gzip" and not given and window.have >= size:
                return False
        return self._plausible(given) if self._plausible else len(given) > 0
