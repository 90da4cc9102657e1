"""Text files as runs of lines: any Unicode encoding, any line end, compressed or not."""

from __future__ import annotations

import codecs
import json
from typing import BinaryIO

from autoclave.corpus.readers.streams import ByteStream

_MARKS = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (codecs.BOM_UTF8, "utf-8"),
)
BYTE_ORDER_MARKS = tuple(mark for mark, _ in _MARKS)


def text_encoding(head: bytes) -> tuple[str, int]:
    """Return (utf-8, utf-16-le, ..., length of the byte order mark) of JSON text that begins with `head`.

    Without a mark it is told by where the NUL bytes of the first two characters lie (RFC 4627, section 3).
    """
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding, len(mark)
    return json.detect_encoding(head[:4]), 0


class TextStream(ByteStream):
    """The text of `file` in UTF-8, whatever Unicode encoding it is stored in; no byte order mark.

    Frames are read to their checksums first (`proved`). Malformed places of UTF-16 and UTF-32 become U+FFFD; those of
    UTF-8 are left to the reader.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, proved=True)
        self._decoder: codecs.IncrementalDecoder | None = None
        encoding, mark = text_encoding(self.peek(4))
        self.skip(mark)
        if encoding != "utf-8":
            self._decoder = codecs.getincrementaldecoder(encoding)("replace")
            self._transcode(0, final=False)

    def _fill(self) -> bool:
        have = len(self._buffer)
        more = super()._fill()
        if self._decoder is not None:
            self._transcode(have, final=not more)
        return more

    def _transcode(self, start: int, *, final: bool) -> None:
        assert self._decoder is not None
        self._buffer[start:] = self._decoder.decode(bytes(self._buffer[start:]), final).encode()

    def recover(self) -> bool:
        if self._decoder is not None:
            self._decoder.reset()
        return super().recover()

    def readline(self, limit: int) -> bytes:
        """Consume one line with its end (\\n, \\r\\n or \\r), or `limit` bytes of a longer one; empty at the end."""
        searched = 0
        while True:
            buffer = self._buffer
            feed = buffer.find(b"\n", searched, limit)
            stop = feed if feed >= 0 else min(limit, len(buffer))
            turn = buffer.find(b"\r", searched, stop)
            if 0 <= turn < len(buffer) - 1:
                return self.read(turn + (2 if buffer[turn + 1] == 0x0A else 1))
            if feed >= 0:
                return self.read(feed + 1)
            searched = turn if turn >= 0 else len(buffer)
            if len(buffer) >= limit or not self._fill():
                return self.read(min(limit, len(buffer)))
