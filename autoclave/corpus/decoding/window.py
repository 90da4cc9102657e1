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
    """Reads `file` onwards: `data[at:]` is at hand, and begins at `offset` in the file."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.data = file.read(READ_BYTES)
        self.at = 0
        self._start = 0

    @property
    def offset(self) -> int:
        return self._start + self.at

    @property
    def have(self) -> int:
        return len(self.data) - self.at

    def more(self) -> bool:
        """Read on; False at the end of the file. As much as is at hand is read, so that long runs cost linear time."""
        piece = self.file.read(max(READ_BYTES, self.have))
        self._start += self.at
        self.data, self.at = self.data[self.at :] + piece, 0
        return bool(piece)

    def take(self, count: int | None = None) -> bytes:
        """Consume what is at hand, at most `count` bytes of it, and return it."""
        piece = self.data[self.at :] if count is None else self.data[self.at : self.at + count]
        self.at += len(piece)
        return piece

    def seek(self, offset: int) -> None:
        """Move to `offset` in the file; what is at hand is kept where it lies there."""
        if self._start <= offset <= self._start + len(self.data):
            self.file.seek(self._start + len(self.data))
            self.at = offset - self._start
        else:
            self.file.seek(offset)
            self.data, self.at, self._start = b"", 0, offset

    def _end_of_frame(self, begin: re.Pattern[bytes]) -> int | None:
        """Where in `data` the next frame begins, or the file ends; None where that is too far off."""
        ahead = _GZIP_LEAST
        while True:
            found = begin.search(self.data, self.at + ahead)
            if found is not None:
                return found.start()
            if self.have > MEMBER_BYTES:
                return None
            ahead = max(ahead, self.have - 3)
            if not self.more():
                return len(self.data)

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
            content = deflate.gzip_decompress(memoryview(self.data)[self.at : end], size)
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
        frame = memoryview(self.data)[self.at : end]
        try:
            said = zstandard.get_frame_parameters(frame)
            if not 0 < said.content_size <= min(HELD_BYTES, EXPANSION * len(frame)) or said.window_size > WINDOW_BYTES:
                return None
            content = decompressor.decompress(frame, read_across_frames=False, allow_extra_data=False)
        except zstandard.ZstdError:
            return None
        if len(content) != said.content_size:
            return None
        self.at = end
        return content
