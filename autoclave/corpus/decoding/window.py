"""The bytes of a compressed file that are at hand, and frames that lie in them whole."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from typing import BinaryIO, cast

import zstandard
from deflate import DeflateError, crc32, deflate_decompress, gzip_decompress

from autoclave.corpus.decoding.limits import EXPANSION, HELD_BYTES, MEMBER_BYTES, READ_BYTES, WINDOW_BYTES

GZIP_BEGIN = re.compile(rb"\x1f\x8b\x08[\x00-\x1f]")
ZSTD_BEGIN = re.compile(rb"(?:\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18)")
_gzip_end = struct.Struct("<II").unpack_from  # checksum and size of the content, RFC 1952, section 2.3.1
_GZIP_LEAST = 20
_PLAIN_MEMBER = b"\x1f\x8b\x08\x00"
_EMPTY = b"\x03\x00" + bytes(8)  # deflate of nothing, its checksum and its size
_DEFLATE_MOST = 1032  # a stored bit pair of deflate stands for at most 258 bytes


class FileWindow:
    """Reads `file` onwards: `data[at:end]` is at hand, and begins at `offset` in the file.

    The bytes lie in one block of memory that is used again: fresh memory costs more than what is read into it.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.data = bytearray(2 * READ_BYTES)
        self._view = memoryview(self.data)
        self.at = self.end = 0
        self._start = 0
        self.more()

    @property
    def offset(self) -> int:
        return self._start + self.at

    @property
    def have(self) -> int:
        return self.end - self.at

    def more(self) -> bool:
        """Read on; False at the end of the file. As much as is at hand is read, so that long runs cost linear time."""
        have = self.end - self.at
        self._view[:have] = self._view[self.at : self.end]
        self._start, self.at, self.end = self._start + self.at, 0, have
        count = max(READ_BYTES, have)
        if len(self.data) < have + count:
            self._view.release()  # a view pins the size
            self.data.extend(bytes(have + count - len(self.data)))
            self._view = memoryview(self.data)
        self.end += cast(io.BufferedIOBase, self.file).readinto(self._view[have : have + count])
        return self.end > have

    def peek(self, count: int) -> bytes:
        """Return the next bytes at hand, at most `count` of them."""
        return bytes(self.data[self.at : min(self.end, self.at + count)])

    def peek_up_to(self, begin: re.Pattern[bytes]) -> bytes:
        """Return the next bytes at hand, but not those behind what looks like the next frame: at most READ_BYTES.

        The decoder of a small frame then has no copy to make of all that stands behind it.
        """
        found = begin.search(self.data, self.at + 1, min(self.end, self.at + READ_BYTES))
        return self.peek(READ_BYTES if found is None else found.start() - self.at)

    def take(self, count: int) -> bytes:
        """Consume and return the next bytes at hand, at most `count` of them."""
        piece = self.peek(count)
        self.at += len(piece)
        return piece

    def seek(self, offset: int) -> None:
        """Move to `offset` in the file; what is at hand is kept where it lies there."""
        if self._start <= offset <= self._start + self.end:
            self.file.seek(self._start + self.end)
            self.at = offset - self._start
        else:
            self.file.seek(offset)
            self.at, self.end, self._start = 0, 0, offset

    def _end_of_frame(self, begin: re.Pattern[bytes]) -> int | None:
        """Where in `data` the next frame begins, or the file ends; None where that is too far off."""
        ahead = _GZIP_LEAST
        while True:
            found = begin.search(self.data, self.at + ahead, self.end)
            if found is not None:
                return found.start()
            if self.have > MEMBER_BYTES:
                return None
            ahead = max(ahead, self.have - 3)
            if not self.more():
                return self.end

    def gzip_members(self) -> Iterator[tuple[int, bytearray]]:
        """Consume members and yield (offset, content) of each; end, with nothing more consumed, at the first that is
        not small, not followed at once by another or the end, or not proved by its checksum and size."""
        while True:
            found = GZIP_BEGIN.search(self.data, self.at + _GZIP_LEAST, self.end)
            end = self._end_of_frame(GZIP_BEGIN) if found is None else found.start()
            del found  # it pins the size of the data
            begin = self.at
            if end is None or end - begin < _GZIP_LEAST:
                return
            if end - begin == _GZIP_LEAST and self.data.endswith(_EMPTY, begin + 10, end) and self._is_plain(begin):
                self.at = end
                continue
            checksum, size = _gzip_end(self.data, end - 8)
            # Nothing tells an empty member from one with eight NUL bytes behind it.
            if not 0 < size <= HELD_BYTES or size > _DEFLATE_MOST * (end - begin):
                return
            try:
                if self._is_plain(begin):
                    content = deflate_decompress(self._view[begin + 10 : end - 8], size)
                else:
                    content = gzip_decompress(self._view[begin:end], size)
            except DeflateError:
                return
            if len(content) != size or crc32(content) != checksum:
                return
            # The decoder takes bytes behind a member's end. They end as it does where the file's last bytes stand there
            # twice; elsewhere only where a copy ends exactly before the next member, and then nothing is lost with it.
            if self.end == end and self.data.find(self.data[end - 8 : end], begin, end) != end - 8:
                return
            self.at = end
            yield self._start + begin, content

    def _is_plain(self, begin: int) -> bool:
        """Whether the gzip member that begins there has a header of ten bytes: no name, no comment."""
        return self.data.startswith(_PLAIN_MEMBER, begin)

    def whole_zstd_frame(self, decompressor: zstandard.ZstdDecompressor) -> bytes | None:
        """The same of a zstd frame that says its size, with a decoder that holds the dictionary it needs."""
        end = self._end_of_frame(ZSTD_BEGIN)
        if end is None:
            return None
        frame = self._view[self.at : end]
        try:
            said = zstandard.get_frame_parameters(frame)
            most = min(HELD_BYTES, EXPANSION * len(frame))
            if not 0 < said.content_size <= most or said.window_size > WINDOW_BYTES:
                return None
            content = decompressor.decompress(frame, read_across_frames=False, allow_extra_data=False)
        except zstandard.ZstdError:
            return None
        if len(content) != said.content_size:
            return None
        self.at = end
        return content
