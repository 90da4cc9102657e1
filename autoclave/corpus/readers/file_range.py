"""A part of a file as a file of its own."""

from __future__ import annotations

import io
import os
from typing import BinaryIO, cast


class FileRange(io.RawIOBase):
    """The bytes of `file` from `start` up to `end`; nothing outside of them is read, but by the file's own buffer."""

    def __init__(self, file: BinaryIO, start: int, end: int) -> None:
        super().__init__()
        self._file, self._start, self._end = file, start, max(start, end)
        self._at = start
        file.seek(start)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at - self._start

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: self._start, os.SEEK_CUR: self._at, os.SEEK_END: self._end}[whence]
        self._at = max(self._start, base + offset)
        self._file.seek(self._at)
        return self.tell()

    def read(self, count: int | None = -1) -> bytes:
        left = max(0, self._end - self._at)
        data = self._file.read(left if count is None or count < 0 else min(count, left))
        self._at += len(data)
        return data


def file_range(file: BinaryIO, start: int, end: int) -> BinaryIO:
    """Return the bytes of a seekable file from `start` up to `end` as a file; the file itself must rest meanwhile."""
    return cast(BinaryIO, FileRange(file, start, end))
