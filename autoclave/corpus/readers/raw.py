"""What every reader yields: raw records, before anything was decided about them."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from autoclave.corpus.batches import BATCH_BYTES, BATCH_ROWS
from autoclave.corpus.schema import make_doc_id

# A record whose body is larger is passed on without it, so that the stage can drop it by name.
MAX_PAYLOAD_BYTES = 32 << 20

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


class RawBatchBuilder:
    """Collects raw records of one source into batches of RAW_SCHEMA, of at most BATCH_ROWS rows and about BATCH_BYTES
    bytes."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._columns: dict[str, list[Any]] = {name: [] for name in RAW_SCHEMA.names}
        self._rows = 0
        self._bytes = 0

    def add(
        self,
        offset: int,
        *,
        payload: bytes | None = None,
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
        pairs = list((metadata or {}).items())
        weight = size + sum(len(name) + len(value) for name, value in pairs)
        closed = self.flush() if self._rows and self._bytes + weight > BATCH_BYTES else None
        columns = self._columns
        columns["doc_id"].append(make_doc_id(self.source, offset))
        columns["payload"].append(payload)
        columns["text"].append(text)
        columns["url"].append(url)
        columns["host"].append(host_of(url))
        columns["crawled_at"].append(crawled_at)
        columns["source"].append(self.source)
        columns["offset"].append(offset)
        columns["content_type"].append(content_type)
        columns["charset"].append(charset)
        columns["http_status"].append(http_status)
        columns["payload_bytes"].append(size if payload_bytes is None else payload_bytes)
        columns["language"].append(language)
        columns["metadata"].append(pairs)
        self._rows += 1
        self._bytes += weight
        if closed is None and (self._rows >= BATCH_ROWS or self._bytes >= BATCH_BYTES):
            return self.flush()
        return closed

    def flush(self) -> pa.RecordBatch | None:
        """Return what was collected as one batch and start anew; None when there is nothing."""
        if not self._rows:
            return None
        arrays = [pa.array(self._columns[field.name], type=field.type) for field in RAW_SCHEMA]
        self._columns = {name: [] for name in RAW_SCHEMA.names}
        self._rows = self._bytes = 0
        return pa.RecordBatch.from_arrays(arrays, schema=RAW_SCHEMA)


def host_of(url: str | None) -> str | None:
    """Return the host of a URL in lower case without port, or None where there is none."""
    if not url:
        return None
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
    match = _DATE.match(value) if value else None
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
    media, _, parameters = value.partition(";")
    charset = None
    for parameter in parameters.split(";"):
        name, _, content = parameter.partition("=")
        if name.strip().lower() == "charset":
            charset = content.strip().strip("\"'").lower() or None
    return media.strip().lower() or None, charset
