"""The fast way through a web archive: frames that hold exactly one record, with nothing odd about it.

What is returned is what the careful way returns. A frame that its checksum proves, whose record ends where the frame
does, needs no look at what follows.
"""

from __future__ import annotations

import re

from autoclave.corpus.readers.http_message import wanted_headers
from autoclave.corpus.readers.records import DOCUMENT_TYPES, WarcRecord

HEADER_BYTES = 1 << 14
_VERSIONS = (b"WARC/1.0\r\n", b"WARC/1.1\r\n")
_VERSION_BYTES = 10
_LONGEST_TAIL = 8
_TYPE = re.compile(rb"\nwarc-type:[ \t]*([a-z]+)[ \t]*\r\n")
_LENGTH = re.compile(rb"\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*\r\n")
_ODD = re.compile(rb"\n[ \t\n]|\nwarc/|\n(?:warc-type|content-length)[^:]")


def sound_record(
    offset: int, frame: bytes | bytearray, limit: int, wanted: tuple[str, ...]
) -> WarcRecord | None:
    """Return the record of a frame; None where it must be read with care, or where its content is above `limit`.

    frame: all that the gzip member or zstd frame at `offset` holds. wanted: the headers that
    are needed of a record that holds a document; of others, only the type is. The content is a view of `frame`.
    """
    end = frame.find(b"\r\n\r\n", _VERSION_BYTES - 2, HEADER_BYTES)
    if end < 0 or not frame.startswith(_VERSIONS):
        return None
    block = bytes(memoryview(frame)[_VERSION_BYTES - 2 : end + 2])
    lowered = block.lower()
    lengths, types = _LENGTH.findall(lowered), _TYPE.findall(lowered)
    if len(lengths) != 1 or len(types) != 1 or _ODD.search(lowered) is not None:
        return None
    length = int(lengths[0])
    begin = end + 4
    tail = len(frame) - begin - length
    if length > limit or not 0 <= tail <= _LONGEST_TAIL or frame[begin + length :].strip(b"\r\n"):
        return None
    kind = types[0].decode()
    content = memoryview(frame)[begin : begin + length]
    headers = wanted_headers(block, wanted) if kind in DOCUMENT_TYPES else {"warc-type": kind}
    return WarcRecord(offset, headers, content, length)
