"""Which reader a file needs, told by its first bytes and, where they say nothing, by its name."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping

import pyarrow as pa

from autoclave.corpus.readers.html import read_html
from autoclave.corpus.readers.jsonl import read_jsonl
from autoclave.corpus.readers.parquet import read_parquet
from autoclave.corpus.readers.raw import MAX_PAYLOAD_BYTES, ErrorReport, SkipReport, ignore_skipped
from autoclave.corpus.readers.streams import ByteStream
from autoclave.corpus.readers.warc import plausible_record, read_warc
from autoclave.corpus.storage import open_read

COMPRESSIONS = (".gz", ".zst", ".zstd", ".lz4")
EXTENSIONS: Mapping[str, str] = {
    ".warc": "warc",
    ".wet": "warc",
    ".arc": "warc",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".txt": "text",
}
HEAD_BYTES = 1 << 16
_MARKUP = re.compile(rb"<(?:!doctype|html|head|body|\?xml|!--|meta|title|div|p|table)\b|<!--|<\?xml", re.IGNORECASE)


def format_of_name(name: str) -> str | None:
    """The format that a file name promises ("x.warc.wet.gz" is warc); None where it promises none."""
    lowered = name.lower()
    for suffix in COMPRESSIONS:
        lowered = lowered.removesuffix(suffix)
    return next((form for extension, form in EXTENSIONS.items() if lowered.endswith(extension)), None)


def detect_format(head: bytes, name: str) -> str | None:
    """Return warc, jsonl, parquet, html or text for a file with this beginning and name; None when it is unknown.

    Content decides before the name does. `head` may be compressed; 64 KiB are enough.
    """
    if head[:4] == b"PAR1":
        return "parquet"
    inner = ByteStream(io.BytesIO(head)).peek(4096)
    start = inner.removeprefix(b"\xef\xbb\xbf").lstrip()
    if plausible_record(start):
        return "warc"
    named = format_of_name(name)
    if start[:1] == b"{" and named in (None, "jsonl", "warc"):
        return "jsonl"
    if _MARKUP.match(start) and named in (None, "html", "warc"):
        return "html"
    return named


def read_raw(
    path: str,
    source: str,
    errors: ErrorReport,
    skipped: SkipReport = ignore_skipped,
    fields: Mapping[str, str] | None = None,
    max_payload_bytes: int = MAX_PAYLOAD_BYTES,
) -> Iterator[pa.RecordBatch]:
    """Yield the raw records (RAW_SCHEMA) of any supported file; one that is of no known format is one error.

    Raises InputError where the file does not exist; nothing for what it holds.
    """
    with open_read(path) as file:
        form = detect_format(file.read(HEAD_BYTES), path)
        file.seek(0)
        if form == "warc":
            yield from read_warc(file, source, errors, skipped, max_payload_bytes)
        elif form == "jsonl":
            yield from read_jsonl(file, source, errors, fields)
        elif form == "parquet":
            yield from read_parquet(file, source, errors, fields)
        elif form in ("html", "text"):
            kind = "text/html" if form == "html" else "text/plain"
            yield from read_html(file, source, errors, kind, max_payload_bytes)
        else:
            errors(source, "not WARC, ARC, JSONL, Parquet, HTML or text by content or name")
