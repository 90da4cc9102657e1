"""Which reader a file needs, told by its first bytes and, where they say nothing, by its name."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO

import pyarrow as pa

from autoclave.corpus.readers.html import read_html
from autoclave.corpus.readers.jsonl import read_jsonl
from autoclave.corpus.readers.lines import BYTE_ORDER_MARKS, text_encoding
from autoclave.corpus.readers.raw import (
    MAX_PAYLOAD_BYTES,
    ErrorReport,
    SkipReport,
    ValueReport,
    ignore_skipped,
    ignore_unreadable,
    raise_if_machine,
)
from autoclave.corpus.readers.streams import ByteStream
from autoclave.corpus.readers.tables.arrow import FILE_MAGIC, STREAM_MAGIC, read_arrow
from autoclave.corpus.readers.tables.columns import FAULTS
from autoclave.corpus.readers.tables.parquet import read_parquet
from autoclave.corpus.readers.wacz import ZIP_MAGIC, read_wacz
from autoclave.corpus.readers.warc import plausible_record, read_warc
from autoclave.corpus.readers.whole_streams import BZIP2_MAGIC
from autoclave.corpus.storage import open_read

COMPRESSIONS = (".gz", ".zst", ".zstd", ".lz4", ".bz2", ".xz")
EXTENSIONS: Mapping[str, str] = {
    ".warc": "warc",
    ".wet": "warc",
    ".arc": "warc",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".wacz": "wacz",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".txt": "text",
}
HEAD_BYTES = 1 << 16
BZIP2_HEAD_BYTES = 1 << 20  # a block, before whose end bzip2 gives nothing
_JSON = re.compile(rb"\{|\[\s*\{")
_MARKUP = re.compile(rb"<(?:!doctype|html|head|body|\?xml|!--|meta|title|div|p|table)\b|<!--|<\?xml", re.IGNORECASE)


def format_of_name(name: str) -> str | None:
    """The format that a file name promises ("x.warc.wet.gz" is warc); None where it promises none."""
    lowered = name.lower()
    for suffix in COMPRESSIONS:
        lowered = lowered.removesuffix(suffix)
    return next((form for extension, form in EXTENSIONS.items() if lowered.endswith(extension)), None)


def detect_format(head: bytes, name: str) -> str | None:
    """Return warc, wacz, jsonl, parquet, arrow, html or text for a file that begins and is called so; None otherwise.

    Content decides before the name does. `head` may be compressed; 64 KiB are enough.
    """
    named = format_of_name(name)
    if head[:4] == b"PAR1":
        return "parquet"
    if head[:6] == FILE_MAGIC or (head[:4] == STREAM_MAGIC and named in (None, "arrow")):
        return "arrow"
    if head[:4] == ZIP_MAGIC and named in (None, "wacz"):
        return "wacz"
    start = _without_mark(ByteStream(io.BytesIO(head)).peek(4096)).lstrip()
    if plausible_record(start):
        return "warc"
    if _JSON.match(start) and named in (None, "jsonl", "warc"):
        return "jsonl"
    if _MARKUP.match(start) and named in (None, "html", "warc"):
        return "html"
    return named


def read_head(file: BinaryIO) -> bytes:
    """Return as much of the beginning of a file as tells its format, and go back to where it begins."""
    head = file.read(HEAD_BYTES)
    if head.startswith(BZIP2_MAGIC):
        head += file.read(BZIP2_HEAD_BYTES - len(head))
    file.seek(0)
    return head


def _without_mark(head: bytes) -> bytes:
    """The head without its byte order mark, and in UTF-8 where the mark says that it is in something else."""
    encoding, mark = text_encoding(head) if head.startswith(BYTE_ORDER_MARKS) else ("utf-8", 0)
    return head[mark:] if encoding == "utf-8" else head[mark:].decode(encoding, "replace").encode()


def read_raw(
    path: str,
    source: str,
    errors: ErrorReport,
    skipped: SkipReport = ignore_skipped,
    fields: Mapping[str, str] | None = None,
    max_payload_bytes: int = MAX_PAYLOAD_BYTES,
    *,
    unreadable: ValueReport = ignore_unreadable,
    max_text_bytes: int | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the raw records (RAW_SCHEMA) of any supported file; one that is of no known format is one error.

    unreadable, max_text_bytes: see `read_parquet`. Raises InputError where the file does not exist, OSError where it
    cannot be had (disk, store, permission); nothing for what it holds.
    """
    with open_read(path) as file:
        form = detect_format(read_head(file), path)
        readers: dict[str | None, Callable[[], Iterator[pa.RecordBatch]]] = {
            "warc": lambda: read_warc(file, source, errors, skipped, max_payload_bytes),
            "wacz": lambda: read_wacz(file, source, errors, skipped, max_payload_bytes),
            "jsonl": lambda: read_jsonl(file, source, errors, fields),
            "parquet": lambda: read_parquet(file, source, errors, fields, unreadable, max_text_bytes),
            "arrow": lambda: read_arrow(file, source, errors, fields, unreadable, max_text_bytes),
            "html": lambda: read_html(file, source, errors, "text/html", max_payload_bytes),
            "text": lambda: read_html(file, source, errors, "text/plain", max_payload_bytes),
        }
        if form not in readers:
            errors(source, "not WARC, ARC, WACZ, JSONL, Parquet, Arrow, HTML or text by content or name")
            return
        try:
            yield from readers[form]()
        except (*FAULTS, OSError) as error:  # no reader should raise; where one does, its shard's other files stay
            raise_if_machine(error)
            errors(source, f"reading stopped, the rest is left out: {type(error).__name__}: {error}")
