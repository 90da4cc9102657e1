"""The extract stage: raw files in, documents out; every record kept, dropped by name, or an error with its place."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from autoclave.cleaning.language.codes import declared_code
from autoclave.corpus.batches import split_batch
from autoclave.corpus.charset import decode, replaced_share
from autoclave.corpus.encoding.labels import WIDE
from autoclave.corpus.inputs.account import ACCOUNT, account_bytes
from autoclave.corpus.inputs.splitting import plan_pieces
from autoclave.corpus.output import ShardOutput, Verdicts
from autoclave.corpus.readers.detect import read_raw
from autoclave.corpus.readers.fields import FieldMap
from autoclave.corpus.readers.pieces.reading import PieceReader
from autoclave.corpus.readers.raw import RAW_SCHEMA
from autoclave.corpus.schema import CONVERTED_TYPE, HTML_TYPES, make_documents
from autoclave.corpus.sources import find_inputs
from autoclave.corpus.storage import naming
from autoclave.corpus.tidy import tidy
from autoclave.corpus.xml_types import NO_PAGES, PAGE_TYPE, XML_TYPES, begins_as_xml, xml_type
from autoclave.errors import InputError, MissingDependencyError
from autoclave.extraction.child import Extracted, Extractor
from autoclave.extraction.engines import EXTRACTORS, PageText
from autoclave.extraction.metadata import FIELDS
from autoclave.pipelines.extract_plan import account, make_tasks, number_lines, plan_shards, settle
from autoclave.pipelines.running.guards.mask import UNITS, Mask
from autoclave.pipelines.running.stage import ShardTask, Stage, StageContext

FILTER = "extract"
TEXT_TYPES = frozenset({"text/plain", CONVERTED_TYPE, "text/markdown", "text/x-rst", "text/gemini"})
# Declarations that say nothing; the bytes decide.
VAGUE_TYPES = frozenset({None, "application/octet-stream", "application/x-unknown", "unknown/unknown", "text", "html"})
_MARKUP = re.compile(rb"<(?:!doctype\s+html|html|head|body|title|meta|div|table|p)\b", re.IGNORECASE)
_BINARY = re.compile(
    rb"^(?:%PDF-|\x89PNG|GIF8|\xff\xd8\xff|PK\x03\x04|\x1f\x8b\x08|RIFF|BZh|7z\xbc\xaf|\x00\x00\x00.ftyp)"
)


class ExtractSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of the extract stage."""

    extractor: str = "autoclave"
    """autoclave (main text as Markdown), autoclave-all (all visible text), resiliparse (main content by rules),
    resiliparse-all, trafilatura (slow)."""
    http_statuses: tuple[int, ...] = (200,)
    """Responses with another status are dropped; records without one (WET, JSONL) are not concerned."""
    min_text_characters: int = 1
    """Documents with less text are dropped as empty."""
    max_payload_bytes: int = 16 << 20
    """Pages larger than this, content codings removed, are dropped unread (at most 32 MiB)."""
    max_text_bytes: int = 16 << 20
    """Documents with more text than this are dropped."""
    max_replaced_share: float = 0.02
    """Documents with more places of U+FFFD (characters lost in decoding, here or before) than this share of their
    characters are dropped as replaced_characters: at 0.02 about one word in eight is damaged."""
    page_seconds: float = 10.0
    """CPU time for a page that is risky to parse; one that exceeds it is an error."""
    fields: dict[str, str] = {}
    """Names in JSONL, Parquet and Arrow of: text, html, url, crawled_at, language, metadata; `doc.text` reaches into
    objects, structs and maps. With `html` the page in that field is extracted. A declared language is the document's
    until clean identifies it, as its short code (eng_Latn, en-US: en)."""
    paths_base: str | None = None
    """What relative lines of path lists (warc.paths.gz) are relative to: https://data.commoncrawl.org/,
    s3://commoncrawl/, a local folder. null: lines that begin with crawl-data/ are taken from
    https://data.commoncrawl.org/, others lie beside the list."""
    split_bytes: int = 256 << 20
    """Larger files are several shards of about this many bytes as stored: WARC (plain, or a gzip member or zstd frame a
    record), uncompressed JSONL, Parquet by row group, Arrow files by batch. 0: every file is one."""
    group_bytes: int = 32 << 20
    """Small files (single pages, archives under 64 KiB) share a shard up to this many bytes as stored."""
    group_files: int = 2000
    """... and up to this many files."""

    def __post_init__(self) -> None:
        if self.extractor not in EXTRACTORS:
            raise ValueError(f"extractor: {self.extractor!r} is none of {', '.join(EXTRACTORS)}")
        if not 0 < self.max_payload_bytes <= 32 << 20:
            raise ValueError("max_payload_bytes: must lie between 1 and 33554432 (32 MiB)")
        if self.min_text_characters < 1:
            raise ValueError("min_text_characters: must be at least 1: a document without text is never kept")
        if not 0 <= self.max_replaced_share <= 1:
            raise ValueError("max_replaced_share: must lie between 0 and 1 (1: none is dropped)")
        if self.split_bytes < 0:
            raise ValueError("split_bytes: must be 0 (never split) or above")
        if not self.page_seconds > 0:
            raise ValueError("page_seconds: must be above 0")
        FieldMap(self.fields)


def run_extract(context: StageContext[ExtractSettings]) -> None:
    """Turn the run's input arguments into shards and extract each. Raises InputError where an input is missing."""
    settings = context.settings
    if settings.extractor == "trafilatura" and importlib.util.find_spec("trafilatura") is None:
        raise MissingDependencyError("trafilatura", "extract", "extractor: trafilatura")
    if not context.sources:
        raise InputError("extract: no inputs named; give files, folders or globs")
    inputs = find_inputs(context.sources, settings.paths_base)
    plans = plan_pieces([(file.path, file.size) for file in inputs.files], settings.split_bytes, settings.fields)
    shards = number_lines(context, plan_shards(inputs.files, plans, settings.group_bytes, settings.group_files))
    context.write_file(ACCOUNT, account_bytes(account(inputs, plans, shards)))
    while True:
        commits = context.map_shards(extract_shard, make_tasks(context, shards, settings.page_seconds))
        settled = settle(shards, commits)
        if settled == shards:
            return
        shards = settled


def extract_shard(task: ShardTask, output: ShardOutput) -> None:
    """Extract the documents of one shard's files, in order."""
    settings: ExtractSettings = task.settings
    with Extractor(settings.extractor, settings.page_seconds) as extractor:
        for number, (path, source) in enumerate(zip(task.inputs, task.arguments["sources"], strict=True)):
            mask = task.mask or Mask()
            if task.units is not None:  # several files: they are what can be left out
                for cause in mask.causes(number, 1).values():
                    output.error(source, cause)
                if not mask.takes(number, 1)[0]:
                    continue
                mask = Mask()
            _extract_file(task, path, source, extractor, output, mask)
    # So that a shard whose files hold no document has its outputs, too, with all their columns.
    _write_documents(pa.RecordBatch.from_pylist([], RAW_SCHEMA), [], [], [], output)


def _extract_file(
    task: ShardTask, path: str, source: str, extractor: Extractor, output: ShardOutput, mask: Mask
) -> None:
    """Extract the documents of one file, or of the piece of it that the shard is; a whole file that has faults and no
    record is recorded as unread."""
    settings: ExtractSettings = task.settings
    faults: list[str] = []
    records = 0

    def skip(kind: str) -> None:
        nonlocal records
        records += 1
        output.count("records_skipped", 1)

    def report(place: str, cause: str) -> None:
        if not faults:
            faults.append(cause if place == source else f"{place.removeprefix(source).lstrip(':')}: {cause}")
        output.error(place, cause)

    start = 0
    for batch in named_errors(path, _read(task, path, source, report, skip, output)):
        for row, cause in mask.causes(start, batch.num_rows).items():
            output.error(f"{source}:{batch.column('offset')[row].as_py() & ~(1 << 62)}", cause)
        taken = mask.takes(start, batch.num_rows)
        start += batch.num_rows
        _write_batch(batch.filter(pa.array(taken)), settings, extractor, output)
    records += start
    if mask.only is not None:
        output.count(UNITS, start)
    if faults and not records and task.arguments["piece"] is None:
        output.unread(source, faults[0])


def _read(
    task: ShardTask,
    path: str,
    source: str,
    report: Callable[[str, str], None],
    skip: Callable[[str], None],
    output: ShardOutput,
) -> Iterator[pa.RecordBatch]:
    """Yield the raw records of one file of a shard, or of the piece of it that the shard is."""
    settings: ExtractSettings = task.settings
    reports: dict[str, Any] = {
        "skipped": skip,
        "fields": settings.fields,
        "max_payload_bytes": settings.max_payload_bytes,
        "unreadable": lambda number: output.count("unreadable_values", number),
        "max_text_bytes": settings.max_text_bytes,
    }
    piece = task.arguments["piece"]
    if piece is None:
        yield from read_raw(path, source, report, **reports)
        return
    reader = PieceReader(path, source, piece, report, **reports)
    yield from reader
    for name, value in msgspec.structs.asdict(reader.facts).items():
        output.note(name, value)


def named_errors(path: str, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield what a reader yields (RAW_SCHEMA, its dtypes); errors of the machine that name no file name this one."""
    with naming(path):
        yield from batches


def _write_batch(batch: pa.RecordBatch, settings: ExtractSettings, extractor: Extractor, output: ShardOutput) -> None:
    """Decide on one batch of raw records and write it as documents."""
    results: list[Extracted] = []
    reasons: list[str | None] = []
    types: list[str | None] = []
    taken: list[int] = []
    for index, row in enumerate(batch.to_pylist()):
        result, kind, reason = _extract_row(row, settings, extractor)
        if result.problem is not None:
            place = f"{row['source']}:{row['offset'] & ~(1 << 62)}"
            output.error(place, f"{settings.extractor}: {result.problem} ({row['url'] or row['source']})")
            continue
        taken.append(index)
        results.append(result)
        reasons.append(reason)
        types.append(kind)
    _write_documents(batch.take(pa.array(taken, pa.int64())), results, reasons, types, output)


def _extract_row(
    row: dict[str, Any], settings: ExtractSettings, extractor: Extractor
) -> tuple[Extracted, str | None, str | None]:
    """Return (text, content type as found, reason to drop or None) of one raw record."""
    nothing = Extracted(PageText(""), None, 0)
    kind, payload = row["content_type"], row["payload"]
    if row["http_status"] is not None and row["http_status"] not in settings.http_statuses:
        return nothing, kind, "http_status"
    if row["text"] is not None:
        result, kind = Extracted(PageText(tidy(row["text"])), None, row["text"].count("\ufffd")), kind or "text/plain"
    else:
        if payload is None:
            return nothing, kind, "too_large" if _is_readable(kind) else "content_type"
        kind = sniff(kind, payload)
        if not _is_readable(kind):
            return nothing, kind, "content_type"
        if len(payload) > settings.max_payload_bytes:
            return nothing, kind, "too_large"
        if not payload.strip():
            return nothing, kind, "empty"
        result = (extractor.page if kind in HTML_TYPES else extractor.plain)(payload, row["charset"])
    if len(result.text) < max(settings.min_text_characters, 1) or not result.text.strip():
        return result, kind, "no_main_content" if result.page.visible_characters else "empty"
    if len(result.text) * 4 > settings.max_text_bytes and len(result.text.encode()) > settings.max_text_bytes:
        return Extracted(PageText(""), result.charset, result.replaced), kind, "too_large"
    return result, kind, "replaced_characters" if replaced_share(result.text) > settings.max_replaced_share else None


def _is_readable(kind: str | None) -> bool:
    return kind in HTML_TYPES or kind in TEXT_TYPES or kind in VAGUE_TYPES


def sniff(declared: str | None, payload: bytes) -> str | None:
    """The content type to go by: the declared one, unless it says nothing or the bytes plainly contradict it.

    XML is what its first element is: XHTML under text/xml is a page, a feed under text/html is none.
    """
    head = bytes(payload[:2048])
    if declared in XML_TYPES:
        return xml_type(payload) or declared
    if declared not in HTML_TYPES and declared not in TEXT_TYPES and declared not in VAGUE_TYPES:
        return declared
    if _BINARY.match(head) is not None:
        return "application/octet-stream+binary"
    if declared not in TEXT_TYPES and begins_as_xml(head):
        found = xml_type(payload)
        if found in NO_PAGES or (found == PAGE_TYPE and declared in VAGUE_TYPES):
            return found
    if declared in VAGUE_TYPES:
        if b"\x00" in head and (opening := decode(head)).charset in WIDE:
            head = opening.text.encode()
        if _MARKUP.search(head):
            return "text/html"
        return "application/octet-stream+binary" if b"\x00" in head else "text/plain"
    return declared


def _write_documents(
    batch: pa.RecordBatch,
    results: list[Extracted],
    reasons: list[str | None],
    types: list[str | None],
    output: ShardOutput,
) -> None:
    texts = [result.text for result in results]
    declared = batch.column("language").to_pylist()
    metadata = [
        list({**result.page.metadata, **dict(pairs or []), **({"declared_language": said} if said else {})}.items())
        for result, pairs, said in zip(results, batch.column("metadata").to_pylist(), declared, strict=True)
    ]
    codes = [declared_code(language) for language in declared]
    same = {name: batch.column(name) for name in ("source", "offset", "doc_id", "url", "host", "crawled_at")}
    documents = make_documents(texts, **same, content_type=types, metadata=metadata, language=codes)
    reason = pa.array(reasons, pa.string())
    signals = {
        "url": batch.column("url"),
        "http_status": batch.column("http_status"),
        "content_type": documents.column("content_type"),
        "charset": pa.array([result.charset for result in results], pa.string()),
        "payload_bytes": batch.column("payload_bytes"),
        "text_bytes": pa.array([len(value.encode()) for value in texts], pa.int64()),
        "replaced_characters": pa.array([result.replaced for result in results], pa.int32()),
        "replaced_share": pa.array(map(replaced_share, texts), pa.float32()),
        "main_content": pa.array([result.page.how for result in results], pa.string()),
        "visible_characters": pa.array([result.page.visible_characters for result in results], pa.int64()),
        "text_characters": pa.array([len("".join(value.split())) for value in texts], pa.int64()),
        **{name: pa.array([result.page.metadata.get(name) for result in results], pa.string()) for name in FIELDS},
    }
    start = 0
    for part in split_batch(documents) if texts else [documents]:
        span = slice(start, start + part.num_rows)
        dropped = [FILTER if value is not None else None for value in reasons[span]]
        verdicts = Verdicts(
            np.array([name is None for name in dropped], dtype=np.bool_),
            pa.array(dropped, pa.string()),
            reason.slice(start, part.num_rows),
            {name: column.slice(start, part.num_rows) for name, column in signals.items()},
        )
        taken = batch.column("payload_bytes").slice(start, part.num_rows)
        output.write(part, verdicts, bytes_in=sum(taken.to_pylist()))
        start += part.num_rows


STAGE = Stage("extract", ExtractSettings, run_extract, reads="sources")

if __name__ == "__main__":
    from autoclave.pipelines.running.job import main

    main("extract")
