"""ARC files (versions 1 and 2), the format before WARC: a line of fields, then the response as it came."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from autoclave.corpus.readers.raw import ErrorReport
from autoclave.corpus.readers.records import WarcRecord
from autoclave.corpus.readers.streams import INSIDE_FRAME, ByteStream

LINE_LIMIT = 1 << 16
# URL (which may hold spaces), IP address, date, content type (may be empty), [four fields of version 2,] length.
_LINE = re.compile(
    rb"([A-Za-z][A-Za-z0-9+.-]*:[^\n]*?) ([0-9a-fA-F.:]+) (\d{12,18}) ([^\n]*?) ?(?:\S+ \S+ \S+ \S+ )?(-?\w+)\r?\n"
)
_LINE_AHEAD = re.compile(rb"\n[A-Za-z][A-Za-z0-9+.-]*:[^\n]{1,4096} [0-9a-fA-F.:]+ \d{12,18} [^\n]*\d\r?\n")


def arc_records(stream: ByteStream, source: str, errors: ErrorReport, limit: int) -> Iterator[WarcRecord]:
    """Yield the records of an ARC file in WARC terms (type `response`; the file's own description is `warcinfo`).

    Lengths that are a few bytes off (common in files of the years 2004 to 2008) are forgiven where the next line is
    found again; otherwise the record is reported through `errors` and reading goes on at the next line of fields.
    """

    def report(offset: int, cause: str) -> None:
        errors(f"{source}:{offset & ~INSIDE_FRAME}", cause)

    while True:
        stream.skip_blank()
        if stream.padding is not None:
            first, count = stream.padding
            stream.padding = None
            report(first, f"{count} NUL bytes that belong to no record")
        offset = stream.offset()
        line = stream.readline(LINE_LIMIT)
        if not line:
            if stream.damage is None:
                return
            report(stream.damage_offset, stream.damage)
            if not stream.recover():
                return
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            report(offset, "bytes that belong to no ARC record")
            _next_line(stream)
            continue
        url, _, date, content_type, declared = (part.decode("utf-8", "replace") for part in match.groups())
        if not declared.isdigit():
            report(offset, f"ARC record with length {declared[:40]!r}")
            record = _content_to_next(stream, offset, limit)
        else:
            record = _content(stream, offset, int(declared), limit, report)
        if record is None:
            continue
        record.headers.update(
            {
                "warc-type": "warcinfo" if url.startswith("filedesc:") else "response",
                "warc-target-uri": url,
                "warc-date": date[:14].ljust(14, "0"),
                "content-type": content_type,
            }
        )
        yield record


def _content(
    stream: ByteStream, offset: int, length: int, limit: int, report: Callable[[int, str], None]
) -> WarcRecord | None:
    if length > limit:
        skipped = stream.skip(length)
        if skipped < length:
            report(offset, f"record cut off after {skipped} of {length} bytes")
            return None
        return WarcRecord(offset, {}, None, length)
    available = stream.ensure(length)
    if stream.damage is not None and not stream.truncated and stream.position + length > stream.sound_until:
        stream.skip(len(stream.buffered))
        return None  # the frame is corrupt; the caller reports it
    inside = _line_ahead(stream.buffered) if available < length else None
    if inside is not None:
        report(offset, f"length {length} runs into the next record")
        content = stream.read(inside)
        return WarcRecord(offset, {}, content, len(content))
    if available < length and stream.damage is None:
        report(offset, f"record cut off after {available} of {length} bytes")
    content = stream.read(min(length, available))
    _forgive_short_length(stream)
    return WarcRecord(offset, {}, content, len(content))


def _content_to_next(stream: ByteStream, offset: int, limit: int) -> WarcRecord | None:
    """Take everything up to the next line of fields, where a record does not say its length."""
    window = 1 << 16
    while True:
        available = stream.ensure(window)
        stream.unread(b"\n")  # so that a line of fields is found at the very beginning, too
        ahead = _line_ahead(stream.buffered)
        stream.skip(1)
        if ahead is not None or available < window:
            content = stream.read(available if ahead is None else ahead - 1).strip(b"\r\n")
            return WarcRecord(offset, {}, content, len(content))
        if window > limit:
            _next_line(stream)
            return None
        window *= 2


def _forgive_short_length(stream: ByteStream) -> None:
    """Move to the next line of fields where it begins within a few bytes after the declared end."""
    head = stream.peek(LINE_LIMIT)
    stripped = head.lstrip(b"\r\n")
    if not stripped or _LINE.match(stripped):
        return
    ahead = _line_ahead(head[: 64 + 4200])
    if ahead is not None and ahead <= 65:
        stream.skip(ahead)


def _line_ahead(data: bytes | bytearray) -> int | None:
    """Where the next line of fields begins; an int, since a live match would pin the bytearray's size."""
    match = _LINE_AHEAD.search(data)
    return None if match is None else match.start() + 1


def _next_line(stream: ByteStream) -> None:
    """Move the cursor to the next line of fields, or to the end."""
    while True:
        ahead = _line_ahead(stream.buffered)
        if ahead is not None:
            stream.skip(ahead)
            return
        have = len(stream.buffered)
        keep = min(have, 4200)
        if stream.ensure(have + 1) == have:
            stream.skip(have)
            return
        stream.skip(have - keep)
