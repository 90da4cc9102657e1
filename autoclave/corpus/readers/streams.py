"""A file as one run of uncompressed bytes that survives damage.

WARC files are usually written as one gzip member (or zstd frame) a record. `ByteStream` shows the file as a single
uncompressed stream, remembers where each frame began in the compressed file, stops at damage instead of raising,
and can go on behind it: the next frame that inflates is looked for from just after the beginning of the bad one,
because a broken frame may have eaten the start of its neighbour before the decoder noticed.

For formats without an end mark of their own (lines of JSON), a stream with `proved=True` reads each frame to its
checksum before it gives any of its bytes, so that a damaged frame gives none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

from autoclave.corpus.decoding.frame_reader import BLANK, FrameReader
from autoclave.corpus.decoding.frames import Codec
from autoclave.corpus.decoding.limits import READ_BYTES
from autoclave.corpus.readers.whole_streams import StreamDamageError, WholeStream, open_whole_stream

BLOCK_BYTES = 1 << 14
# Set on the offset of a record that does not begin a frame of its own; the low bits are then its position in the
# uncompressed stream. It keeps offsets unique: frame starts are counted in compressed bytes.
INSIDE_FRAME = 1 << 62


class ByteStream(FrameReader):
    """Uncompressed view of `file` (plain, gzip, zstd, lz4, bzip2 or xz, told by its first bytes).

    `damage` is None, or says why no more bytes come; `truncated` tells a clean early end of file from corruption.
    `recover()` clears the damage and goes on behind it when that is possible. `plausible` is asked whether the
    uncompressed beginning of a frame found behind damage can be real. `proved`: see the module's docstring;
    `distrusted_lines` is then the number of line ends that a frame which is left out seemed to hold, else None.
    `padding` is (place of the first, number) of the NUL bytes that were passed over between frames and records, None
    where there were none; who reports them sets it to None.
    """

    def __init__(
        self, file: BinaryIO, plausible: Callable[[bytes], bool] | None = None, *, proved: bool = False
    ) -> None:
        super().__init__(file, plausible, proved=proved)
        head = self._window.peek(READ_BYTES)
        self._whole_stream: WholeStream | None = None if self._codec else open_whole_stream(head, file)

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
            match = BLANK.match(self._buffer)
            blank = match.end() if match else 0
            del match  # a live match would pin the size of the buffer
            if blank:
                self._note_padding(self.position, self._buffer[:blank])
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
        if self._codec is not None or self._whole_stream is not None or not self._file.seekable():
            return None
        here = self._file.tell()
        size = self._file.seek(0, 2)
        self._file.seek(here)
        return max(0, size - self.position)

    def rewind(self, position: int) -> bool:
        """Go back to `position` in a plain seekable file; False where that cannot be done."""
        if self._codec is not None or self._whole_stream is not None or not self._file.seekable():
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
        if self._whole_stream is not None:
            return self._fill_whole_stream(self._whole_stream)
        if self._codec is None:
            window = self._window
            if not window.have and not window.more():
                self._end = True
                return False
            self._buffer += window.take(READ_BYTES)
            return True
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

    def whole_frames(self) -> Iterator[tuple[int, bytes | bytearray]]:
        """Consume the frames from the cursor on and yield (offset, all it holds) of each that is small and sound.

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

    def give_back(self, offset: int, content: bytes | bytearray) -> None:
        """Put back what `whole_frames` gave last."""
        self.unread(content)
        if self._marks.after(self.position) is None:
            self._marks.add(self.position, offset)
