"""A part of a file as a file of its own."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, BinaryIO, cast

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class FileRange(io.RawIOBase):
    """The bytes `head`, then those of `file` from `start` up to `end`.

    Nothing outside of them is read, but by the file's own buffer. The file must rest while this is read.
    """

    def __init__(self, file: BinaryIO, start: int, end: int, head: bytes = b"") -> None:
        super().__init__()
        self._file, self._head, self._start = file, head, start
        self._size = len(head) + max(0, end - start)
        self._at = 0
        self._seek()

    def _seek(self) -> None:
        self._file.seek(self._start + max(0, self._at - len(self._head)))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        self._seek()
        return self._at

    def read(self, count: int | None = -1) -> bytes:
        left = max(0, self._size - self._at)
        wanted = left if count is None or count < 0 else min(count, left)
        data = self._head[self._at : self._at + wanted]
        if len(data) < wanted:
            data += self._file.read(wanted - len(data))
        self._at += len(data)
        return data

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)


def file_range(file: BinaryIO, start: int, end: int, head: bytes = b"") -> BinaryIO:
    """Return `head` and the bytes of a seekable file from `start` up to `end` as one file (see FileRange)."""
    return cast(BinaryIO, FileRange(file, start, end, head))
