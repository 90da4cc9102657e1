"""The fast way through a web archive: frames that hold exactly one record, with nothing odd about it.

What is returned is what the careful way returns. A frame that its checksum proves, whose record ends where the frame
does, needs no look at what follows.
"""

from __future__ import annotations

import re

from autoclave.corpus.readers.http_message import find_headers
from autoclave.corpus.readers.records import DOCUMENT_TYPES, OTHER_TYPES, WarcRecord

HEADER_BYTES = 1 << 14
_VERSIONS = (b"WARC/1.0\r\n", b"WARC/1.1\r\n")
_FIRST_LINE_END = 9
_LONGEST_TAIL = 8
_TYPES = DOCUMENT_TYPES | OTHER_TYPES


def sound_record(
    offset: int, frame: bytes | bytearray, limit: int, wanted: re.Pattern[bytes]
) -> WarcRecord | str | None:
    """Return the record of a frame if it holds a document, and its type if it is another; None where it must be read
    with care, or where its content is above `limit`.

    frame: all that the gzip member or zstd frame at `offset` holds. wanted: the headers that are needed, type and
    length among them. The content is a view of `frame`.
    """
    end = frame.find(b"\r\n\r\n", _FIRST_LINE_END - 1, HEADER_BYTES)
    if end < 0 or not frame.startswith(_VERSIONS):
        return None
    headers = find_headers(wanted, frame, _FIRST_LINE_END, end + 2)
    if headers is None:
        return None
    kind, declared = headers.get("warc-type", "").lower(), headers.get("content-length", "")
    if kind not in _TYPES or not declared.isdigit():
        return None
    begin, length = end + 4, int(declared)
    tail = len(frame) - begin - length
    if length > limit or not 0 <= tail <= _LONGEST_TAIL or frame[begin + length :].strip(b"\r\n"):
        return None
    if kind in OTHER_TYPES:
        return kind
    return WarcRecord(offset, headers, memoryview(frame)[begin : begin + length], length)
