"""The fast way through a web archive: frames that hold exactly one record, with nothing odd about it.

What is returned is what the careful way returns. A frame that its checksum proves, whose record ends where the frame
does, needs no look at what follows.
"""

from __future__ import annotations

from autoclave.corpus.readers.http_message import wanted
from autoclave.corpus.readers.records import DOCUMENT_TYPES, OTHER_TYPES, WarcRecord

HEADER_BYTES = 1 << 14
_VERSIONS = (b"WARC/1.0\r\n", b"WARC/1.1\r\n")
_FIRST_LINE_END = 9
_LONGEST_TAIL = 8
_OTHERS = {name.encode(): name for name in OTHER_TYPES}
_NAMES = {
    name.encode(): name.lower()
    for name in (
        "WARC-Type",
        "Content-Length",
        "WARC-Target-URI",
        "WARC-Date",
        "Content-Type",
        "WARC-Record-ID",
        "WARC-Truncated",
        "WARC-Identified-Content-Language",
    )
}
"""The headers that are needed, as nearly all writers spell them."""

_WANTED = wanted(*_NAMES.values())


def sound_record(offset: int, frame: bytes | bytearray, limit: int) -> WarcRecord | str | None:
    """Return the record of a frame if it holds a document, and its type if it is another; None where it must be read
    with care, or where its content is above `limit`.

    frame: all that the gzip member or zstd frame at `offset` holds. The content is a view of `frame`.
    """
    end = frame.find(b"\r\n\r\n", _FIRST_LINE_END - 1, HEADER_BYTES)
    if end < 0 or not frame.startswith(_VERSIONS):
        return None
    found = dict(reversed(_WANTED.findall(frame, _FIRST_LINE_END, end + 2)))  # of repeated names the first holds
    if not found.keys() <= _NAMES.keys():
        return None
    kind, declared = found.get(b"WARC-Type", b"").strip(), found.get(b"Content-Length", b"").strip()
    if not declared.isdigit():
        return None
    begin, length = end + 4, int(declared)
    tail = len(frame) - begin - length
    if length > limit or not 0 <= tail <= _LONGEST_TAIL or frame[begin + length :].strip(b"\r\n"):
        return None
    if kind in _OTHERS:
        return _OTHERS[kind]
    try:
        headers = {_NAMES[name]: value.decode("ascii").strip() for name, value in found.items()}
    except UnicodeDecodeError:
        return None
    if headers.get("warc-type") not in DOCUMENT_TYPES:
        return None
    return WarcRecord(offset, headers, memoryview(frame)[begin : begin + length], length)
