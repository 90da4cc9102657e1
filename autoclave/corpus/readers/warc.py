"""WARC and WET files (plain, gzip or zstd a record, lz4), read so that damage costs the damaged record only.

The usual readers stop at the first bad record, or skip what follows silently. Here a record whose end is not followed
by another record, or whose frame does not inflate, is reported with its place, and reading goes on at the next thing
that begins like a record.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from os import PathLike
from typing import BinaryIO

import pyarrow as pa

from autoclave.corpus.readers.arc import arc_records
from autoclave.corpus.readers.http_message import parse_header_lines, parse_http_response
from autoclave.corpus.readers.raw import (
    MAX_PAYLOAD_BYTES,
    ErrorReport,
    RawBatchBuilder,
    SkipReport,
    ignore_skipped,
    parse_content_type,
    parse_date,
)
from autoclave.corpus.readers.records import DOCUMENT_TYPES, OTHER_TYPES, WarcRecord
from autoclave.corpus.readers.sound import sound_record
from autoclave.corpus.readers.streams import INSIDE_FRAME, ByteStream
from autoclave.corpus.schema import CONVERTED_TYPE
from autoclave.corpus.storage import open_read

HEADER_LIMIT = 1 << 20
_VERSION = re.compile(rb"WARC/\d+\.\d+", re.IGNORECASE)
_VERSION_LINE = re.compile(rb"^WARC/\d+\.\d+", re.IGNORECASE | re.MULTILINE)
_RECORD = re.compile(rb"WARC/\d+\.\d+[^\S\n]*\n[^\S\n]*[A-Za-z][\w-]*[^\S\n]*:", re.IGNORECASE)
_ARC_FIRST = re.compile(rb"filedesc:|[A-Za-z][A-Za-z0-9+.-]*:[^\n]* \d{12,18} [^\n]*-?\d+\r?\n")
_METADATA = (
    ("record_id", "warc-record-id"),
    ("truncated", "warc-truncated"),
    ("identified_language", "warc-identified-content-language"),
)


def plausible_record(head: bytes) -> bool:
    """Whether uncompressed bytes begin like a WARC or ARC record."""
    return bool(_VERSION.match(head)) or bool(_ARC_FIRST.match(head))


class WarcParser:
    """Iterates over the records of one file; see the module's docstring for what happens at damage.

    Sound records of the types that hold no document are passed to `skipped` at once.
    """

    def __init__(
        self, file: BinaryIO, source: str, errors: ErrorReport, skipped: SkipReport, max_payload_bytes: int
    ) -> None:
        self.stream = ByteStream(file, plausible_record)
        self._source = source
        self._errors, self._skipped = errors, skipped
        self._limit = max_payload_bytes

    def _report(self, offset: int, cause: str) -> None:
        self._errors(f"{self._source}:{offset & ~INSIDE_FRAME}", cause)

    def _is_behind(self, offset: int) -> bool:
        """Whether reading ends before the record at `offset`: never, but for a piece of a file (see PieceParser)."""
        return False

    def __iter__(self) -> Iterator[WarcRecord]:
        stream = self.stream
        while True:
            for offset, frame in stream.whole_frames():
                sound = None if self._is_behind(offset) else sound_record(offset, frame, self._limit)
                if isinstance(sound, WarcRecord):
                    yield sound
                elif sound is not None:
                    self._skipped(sound)
                else:
                    stream.give_back(offset, frame)
                    break
            stream.skip_blank()
            if stream.padding is not None:
                first, count = stream.padding
                stream.padding = None
                self._report(first, f"{count} NUL bytes that belong to no record")
            if stream.ensure(1) == 0:
                if stream.damage is None:
                    if not stream.position:
                        self._report(0, "an empty file: it holds no record")
                    return
                self._report(stream.damage_offset, stream.damage)
                if not stream.recover():
                    return
                continue
            offset = stream.offset()
            if not _VERSION.match(stream.peek(16)):
                self._report(offset, "bytes that belong to no record")
                self._resynchronise()
                continue
            if self._is_behind(offset):
                return
            record = self._record(offset)
            if record is not None:
                yield record

    def _record(self, offset: int) -> WarcRecord | None:
        """Read the record at the cursor; None where nothing of it can be used (already reported)."""
        stream = self.stream
        stream.readline(HEADER_LIMIT)
        stream.ensure(4096)
        block = stream.read_block()
        if block is None or _VERSION_LINE.search(block):
            block = self._header_by_lines(offset, block or b"")
            if block is None:
                return None
        headers = parse_header_lines(block)
        declared = headers.get("content-length", "")
        if not declared.isascii() or not declared.isdigit():
            self._report(offset, f"record without a Content-Length ({declared[:40]!r})")
            return self._content_to_next(offset, headers)
        return self._content(offset, headers, int(declared))

    def _header_by_lines(self, offset: int, taken: bytes) -> bytes | None:
        """Read a header that is long, that the file ends in, or that another record begins in; None where it is bad."""
        stream = self.stream
        stream.unread(taken)
        lines: list[bytes] = []
        size = 0
        while True:
            if _VERSION.match(stream.peek(16)):
                self._report(offset, "record header without end")
                return None
            line = stream.readline(HEADER_LIMIT)
            size += len(line)
            if not line.strip(b"\r\n"):
                # Where there is no end because of damage, the main loop reports that, with the cause.
                return None if not line and stream.damage is not None else b"".join(lines)
            if size > HEADER_LIMIT:
                self._report(offset, "record header without end")
                self._resynchronise()
                return None
            lines.append(line)

    def _content(self, offset: int, headers: dict[str, str], length: int) -> WarcRecord | None:
        stream = self.stream
        if length > self._limit:
            return self._large(offset, headers, length)
        if stream.ensure(length) >= length and self._ends_well(length):
            return WarcRecord(offset, headers, stream.read(length), length)
        available = len(stream.buffered)
        if stream.damage is not None and not stream.truncated:
            if available >= length and stream.position + length <= stream.sound_until:
                return WarcRecord(offset, headers, stream.read(length), length)
            # The fault lies in this record, or nobody knows how much before the place where it was noticed; the main
            # loop reports it.
            stream.skip(available)
            return None
        cut = self._find_record(length)
        if cut is not None:
            self._report(offset, f"Content-Length {length} runs into the next record")
            content = stream.read(cut).rstrip(b"\r\n")
            return WarcRecord(offset, headers, content, len(content))
        if available < length and stream.damage is None:
            self._report(offset, f"record cut off after {available} of {length} bytes")
        content = stream.read(min(length, available))
        return WarcRecord(offset, headers, content, len(content))

    def _ends_well(self, length: int) -> bool:
        """Whether the content at the cursor, `length` bytes long, is followed by a record or by the end."""
        stream = self.stream
        ahead = 24
        while True:
            available = stream.ensure(length + ahead)
            tail = bytes(memoryview(stream.buffered)[length : length + ahead])
            rest = tail.lstrip(b"\r\n\x00")
            if len(rest) >= 10:
                return bool(_VERSION.match(rest))
            if available < length + ahead:
                return stream.damage is None and (not rest or bool(_VERSION.match(rest)))
            ahead *= 2

    def _find_record(self, end: int) -> int | None:
        """Bytes from the cursor to the first record that begins at or after it and before `end`; None without one."""
        stream = self.stream
        buffered = stream.buffered
        at = -1
        while True:
            match = _RECORD.search(buffered, at + 1, min(end + 256, len(buffered)))
            if match is None or match.start() >= end:
                return None
            at = match.start()
            if at == 0 or buffered[at - 1] == 0x0A or stream.frame_begins_at(stream.position + at):
                return at

    def _large(self, offset: int, headers: dict[str, str], length: int) -> WarcRecord | None:
        """Pass over content that is longer than the limit without holding it."""
        stream = self.stream
        available = stream.bytes_left()
        if available is not None and available < length:
            self._report(offset, f"record cut off after {available} of {length} bytes")
            self._resynchronise()
            return None
        begin = stream.position
        left = length
        while left and stream.ensure(1):
            frame = stream.next_frame()
            step = min(left, len(stream.buffered), *([frame - stream.position] if frame is not None else []))
            left -= stream.skip(step)
            if left and stream.position == frame and _VERSION.match(stream.peek(16)):
                self._report(offset, f"Content-Length {length} runs into the next record")
                return None
        if not left:
            return WarcRecord(offset, headers, None, length)
        if stream.damage is None:
            self._report(offset, f"record cut off after {length - left} of {length} bytes")
        # A wrong length may have run over the rest of the file; look for records in it where that is possible.
        if stream.rewind(begin):
            self._resynchronise()
        return None

    def _content_to_next(self, offset: int, headers: dict[str, str]) -> WarcRecord | None:
        """Take everything up to the next record as content, where a record does not say its length."""
        stream = self.stream
        window = 1 << 16
        while True:
            available = stream.ensure(window)
            cut = self._find_record(window)
            if cut is not None or available < window:
                content = stream.read(available if cut is None else cut).rstrip(b"\r\n")
                return WarcRecord(offset, headers, content, len(content))
            if window > self._limit:
                self._resynchronise()
                return None
            window *= 2

    def _resynchronise(self) -> None:
        """Move the cursor to the next beginning of a record (or to the end, or to damage)."""
        stream = self.stream
        stream.skip(1)
        while True:
            have = len(stream.buffered)
            at = self._find_record(have)
            if at is not None:
                stream.skip(at)
                return
            keep = min(have, 256)
            if stream.ensure(have + 1) == have:
                stream.skip(have)
                return
            stream.skip(have - keep)


def read_warc(
    file: BinaryIO | str | PathLike[str],
    source: str,
    errors: ErrorReport,
    skipped: SkipReport = ignore_skipped,
    max_payload_bytes: int = MAX_PAYLOAD_BYTES,
    parser: WarcParser | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the documents of a WARC, WET or ARC file as batches of RAW_SCHEMA.

    Args:
        file: open binary file, or a path or URL.
        source: name of the file in doc_ids and error places.
        errors: called with (place, cause) for every record or stretch of bytes that is bad.
        skipped: called with the record type of every record that is not a document (request, metadata, ...).
        max_payload_bytes: bodies above this are left out (payload null, payload_bytes tells the size).
        parser: reads other records than all of the file (see readers/pieces).

    The `offset` of a record is where its gzip member or zstd frame begins in the file, as a CDX index has it; of a
    record that has no frame of its own, its position in the uncompressed stream with bit 62 set; in a plain file, its
    position. Never raises for what the file holds.
    """
    with contextlib.ExitStack() as stack:
        if isinstance(file, (str, PathLike)):
            file = stack.enter_context(open_read(str(file)))
        parser = parser or WarcParser(file, source, errors, skipped, max_payload_bytes)
        builder = RawBatchBuilder(source)
        if _ARC_FIRST.match(parser.stream.peek(4096)):
            records = arc_records(parser.stream, source, errors, max_payload_bytes)
        else:
            records = iter(parser)
        for record in records:
            kind = record.kind
            if kind not in DOCUMENT_TYPES:
                skipped(kind or "untyped")
                if kind not in OTHER_TYPES:
                    place = f"{source}:{record.offset & ~INSIDE_FRAME}"
                    errors(place, f"unknown WARC-Type {kind[:40]!r}, the record is left out")
                continue
            batch = _add_document(builder, record, kind, max_payload_bytes, errors)
            if batch is not None:
                yield batch
        last = builder.flush()
        if last is not None:
            yield last


def _add_document(
    builder: RawBatchBuilder, record: WarcRecord, kind: str, limit: int, errors: ErrorReport
) -> pa.RecordBatch | None:
    headers = record.headers
    content_type, charset = parse_content_type(headers.get("content-type"))
    payload, status, size = record.content, None, record.length
    metadata = {name: headers[key] for name, key in _METADATA if key in headers}
    if payload is not None and kind == "response":
        message = parse_http_response(payload, limit)
        if message is not None:
            payload, status = message.body, message.status
            size = limit + 1 if payload is None else len(payload)
            if message.refused is not None:
                errors(f"{builder.source}:{record.offset & ~INSIDE_FRAME}", message.refused)
            content_type, charset = parse_content_type(message.headers.get("content-type"))
            if message.problems:
                metadata["http_problems"] = "; ".join(message.problems)
    if kind == "conversion" and content_type == "text/plain":
        content_type = CONVERTED_TYPE
    if content_type == "application/http":
        content_type = None  # of the message, not of its body, which was too large or is no HTTP message
    return builder.add(
        record.offset,
        payload=payload,
        url=headers.get("warc-target-uri", "").strip("<> ") or None,
        crawled_at=parse_date(headers.get("warc-date")),
        content_type=content_type,
        charset=charset,
        http_status=status,
        payload_bytes=size,
        metadata=metadata,
    )
