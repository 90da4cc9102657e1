"""What every reader yields: raw records, before anything was decided about them."""

from __future__ import annotations

import datetime
import functools
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa

from autoclave.corpus.batches import BATCH_BYTES, BATCH_ROWS
from autoclave.corpus.schema import make_doc_id

# A record whose body is larger is passed on without it, so that the stage can drop it by name.
MAX_PAYLOAD_BYTES = 32 << 20

FEW_BYTES = 1 << 20
"""Payloads of a batch that come to less are given to Arrow at its end; others get a buffer of BATCH_BYTES at once."""

ErrorReport = Callable[[str, str], None]
SkipReport = Callable[[str], None]
ValueReport = Callable[[int], None]

RAW_SCHEMA = pa.schema(
    [
        pa.field("doc_id", pa.binary(16), nullable=False),
        pa.field("payload", pa.binary()),  # body bytes, content codings removed; null when `text` is given
        pa.field("text", pa.string()),  # for formats that hold text, not pages
        pa.field("url", pa.string()),
        pa.field("host", pa.string()),
        pa.field("crawled_at", pa.timestamp("s", tz="UTC")),
        pa.field("source", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("content_type", pa.string()),  # media type in lower case, without parameters, or CONVERTED_TYPE
        pa.field("charset", pa.string()),  # as declared by the transport, not checked
        pa.field("http_status", pa.int32()),
        pa.field("payload_bytes", pa.int64(), nullable=False),  # also where the payload itself was too large to carry
        pa.field("language", pa.string()),
        pa.field("metadata", pa.map_(pa.string(), pa.string())),
    ]
)


def ignore_skipped(kind: str) -> None:
    """Default report for records that are not documents: count nothing."""


def ignore_unreadable(number: int) -> None:
    """Default report for values that could not be expressed: count nothing."""


def raise_if_machine(error: BaseException) -> None:
    """Raise the error again where it is the machine's (memory, disk, store, permission), not the data's."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None):
        raise error


class PayloadColumn:
    """A column of bytes, each copied once, to where it stays: objects that wait for a batch's end cost fresh memory.

    Its values come to BATCH_BYTES at most, or are one.
    """

    def __init__(self) -> None:
        self._few: list[bytes | memoryview | None] = []
        self._ends = [0]
        self._nulls: list[int] = []
        self._buffer: pa.Buffer | None = None
        self._view = memoryview(b"")

    def append(self, payload: bytes | memoryview | None) -> None:
        begin = self._ends[-1]
        if payload is None:
            self._nulls.append(len(self._ends) - 1)
        end = begin + (0 if payload is None else len(payload))
        self._ends.append(end)
        if self._buffer is not None:
            if payload is not None:
                self._view[begin:end] = payload
            return
        self._few.append(payload)
        if end > FEW_BYTES:
            self._move(end)

    def _move(self, size: int) -> None:
        """Copy what is there into a buffer that has room for a batch."""
        self._buffer = pa.allocate_buffer(max(BATCH_BYTES, size))
        self._view = memoryview(self._buffer).cast("B")
        for begin, payload in zip(self._ends, self._few, strict=False):
            if payload is not None:
                self._view[begin : begin + len(payload)] = payload
        self._few = []

    def finish(self) -> pa.Array:
        """Return the column: binary [appended values]."""
        if self._buffer is None:
            return pa.array(self._few, pa.binary())
        present = np.ones(len(self._ends) - 1, bool)
        present[self._nulls] = False
        validity = pa.py_buffer(np.packbits(present, bitorder="little")) if self._nulls else None
        ends = pa.py_buffer(np.array(self._ends, np.int32))
        return pa.Array.from_buffers(
            pa.binary(), len(present), [validity, ends, self._buffer.slice(0, self._ends[-1])], len(self._nulls)
        )


class RawBatchBuilder:
    """Collects raw records of one source into batches of RAW_SCHEMA, of at most BATCH_ROWS rows and about BATCH_BYTES
    bytes."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._rows: list[tuple[Any, ...]] = []
        self._payloads = PayloadColumn()
        self._bytes = 0

    def add(
        self,
        offset: int,
        *,
        payload: bytes | memoryview | None = None,
        text: str | None = None,
        url: str | None = None,
        crawled_at: int | None = None,
        content_type: str | None = None,
        charset: str | None = None,
        http_status: int | None = None,
        payload_bytes: int | None = None,
        language: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> pa.RecordBatch | None:
        """Add one record; return the batch that had to be closed to make room for it, if any."""
        size = len(payload) if payload is not None else len(text.encode()) if text else 0
        pairs = list(metadata.items()) if metadata else []
        weight = size
        for name, value in pairs:
            weight += len(name) + len(value)
        closed = self.flush() if self._rows and self._bytes + weight > BATCH_BYTES else None
        self._rows.append(
            (
                make_doc_id(self.source, offset),
                text,
                url,
                host_of(url),
                crawled_at,
                self.source,
                offset,
                content_type,
                charset,
                http_status,
                size if payload_bytes is None else payload_bytes,
                language,
                pairs,
            )
        )
        self._payloads.append(payload)
        self._bytes += weight
        if closed is None and (len(self._rows) >= BATCH_ROWS or self._bytes >= BATCH_BYTES):
            return self.flush()
        return closed

    def flush(self) -> pa.RecordBatch | None:
        """Return what was collected as one batch and start anew; None when there is nothing."""
        if not self._rows:
            return None
        fields = [field for field in RAW_SCHEMA if field.name != "payload"]
        columns = zip(fields, zip(*self._rows, strict=True), strict=True)
        arrays = [pa.array(values, type=field.type) for field, values in columns]
        arrays.insert(RAW_SCHEMA.get_field_index("payload"), self._payloads.finish())
        self._rows, self._payloads, self._bytes = [], PayloadColumn(), 0
        return pa.RecordBatch.from_arrays(arrays, schema=RAW_SCHEMA)


_PLAIN_HOST = re.compile(r"https?://([a-z0-9.-]+)(?::[0-9]+)?(?:[/?#]|\Z)")


def host_of(url: str | None) -> str | None:
    """Return the host of a URL in lower case without port, or None where there is none."""
    if not url:
        return None
    plain = _PLAIN_HOST.match(url)  # what `urlsplit` says of them, too, at a tenth of the time
    if plain is not None:
        return plain.group(1)
    try:
        return urlsplit(url).hostname or None
    except ValueError:
        return None


_DATE = re.compile(
    r"\s*(\d{4})-?(\d\d)-?(\d\d)(?:[T ]?(\d\d):?(\d\d):?(\d\d)(?:[.,]\d+)?\s*(Z|[+-]\d\d:?\d\d)?)?\s*$", re.ASCII
)


_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799  # 0001-01-01 and 9999-12-31, the range of `datetime`


def seconds_in_range(seconds: float) -> bool:
    """Whether a number of seconds since 1970 lies in the years 1 to 9999; False for what is not a number."""
    return _FIRST_SECOND <= seconds <= _LAST_SECOND


def parse_date(value: str | None) -> int | None:
    """Seconds since 1970 (UTC) of an ISO 8601 or 14-digit date; None when it is not one (ClueWeb has day 65)."""
    if not value:
        return None
    if len(value) == 20 and value[4] == "-" == value[7] and value[10] == "T" and value[19] == "Z":
        try:
            return int(datetime.datetime.fromisoformat(value).timestamp())
        except ValueError:
            pass
    match = _DATE.match(value)
    if match is None:
        return None
    year, month, day, hour, minute, second, zone = match.groups(default="0")
    try:
        moment = datetime.datetime(
            int(year), int(month), int(day), int(hour), int(minute), min(int(second), 59), tzinfo=datetime.UTC
        )
    except ValueError:
        return None
    seconds = int(moment.timestamp())
    if zone not in ("0", "Z"):
        sign = -1 if zone[0] == "-" else 1
        seconds -= sign * (int(zone[1:3]) * 3600 + int(zone[-2:]) * 60)
    return seconds if seconds_in_range(seconds) else None


def parse_content_type(value: str | None) -> tuple[str | None, str | None]:
    """Split a Content-Type value into (media type, charset), both lower case, None where absent."""
    if not value:
        return None, None
    return _split_content_type(value) if len(value) < 100 else _split_content_type.__wrapped__(value)


@functools.lru_cache(maxsize=512)  # a crawl has few of them, a million times each
def _split_content_type(value: str) -> tuple[str | None, str | None]:
    media, _, parameters = value.partition(";")
    charset = None
    for parameter in parameters.split(";"):
        name, _, content = parameter.partition("=")
        if name.strip().lower() == "charset":
            charset = content.strip().strip("\"'").lower() or None
    return media.strip().lower() or None, charset
