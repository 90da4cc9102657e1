"""The bytes of a compressed file that are at hand, and frames that lie in them whole."""

from __future__ import annotations

import re
import struct
from typing import BinaryIO

import deflate
import zstandard

from autoclave.corpus.decoding.limits import EXPANSION, HELD_BYTES, MEMBER_BYTES, READ_BYTES, WINDOW_BYTES

_GZIP_BEGIN = re.compile(rb"\x1f\x8b\x08[\x00-\x1f]")
_ZSTD_BEGIN = re.compile(rb"(?:\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18)")
_GZIP_END = struct.Struct("<II")  # checksum and size of the content, RFC 1952, section 2.3.1
_GZIP_LEAST = 18
_DEFLATE_MOST = 1032  # a stored bit pair of deflate stands for at most 258 bytes


class FileWindow:
    """Reads `file` onwards: `data[at:end]` is at hand, and begins at `offset` in the file.

    The bytes lie in one block of memory that is used again: fresh memory costs more than what is read into it.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.data = bytearray(READ_BYTES)
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
        self.data[:have] = self.data[self.at : self.end]
        self._start, self.at, self.end = self._start + self.at, 0, have
        count = max(READ_BYTES, have)
        if len(self.data) < have + count:
            self.data.extend(bytes(have + count - len(self.data)))
        with memoryview(self.data) as view, view[have : have + count] as room:
            self.end += self.file.readinto(room)  # type: ignore[attr-defined]
        return self.end > have

    def peek(self, count: int) -> bytes:
        """Return the next bytes at hand, at most `count` of them."""
        return bytes(self.data[self.at : min(self.end, self.at + count)])

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

    def whole_gzip_member(self) -> bytearray | None:
        """Consume the member that begins here and return its content; None, and nothing consumed, where it is not
        small, not followed at once by another or the end, or not proved by its checksum and size."""
        end = self._end_of_frame(_GZIP_BEGIN)
        if end is None or end - self.at < _GZIP_LEAST:
            return None
        checksum, size = _GZIP_END.unpack_from(self.data, end - _GZIP_END.size)
        # Nothing tells an empty member from one with eight NUL bytes behind it.
        if not 0 < size <= min(HELD_BYTES, _DEFLATE_MOST * (end - self.at)):
            return None
        try:
            with memoryview(self.data) as view, view[self.at : end] as member:
                content = deflate.gzip_decompress(member, size)
        except deflate.DeflateError:
            return None
        if len(content) != size or deflate.crc32(content) != checksum:
            return None
        self.at = end
        return content

    def whole_zstd_frame(self, decompressor: zstandard.ZstdDecompressor) -> bytes | None:
        """The same of a zstd frame that says its size, with a decoder that holds the dictionary it needs."""
        end = self._end_of_frame(_ZSTD_BEGIN)
        if end is None:
            return None
        with memoryview(self.data) as view, view[self.at : end] as frame:
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
