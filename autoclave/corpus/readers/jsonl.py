"""JSON lines (plain, gzip, zstd): one document a line."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from os import PathLike
from typing import Any, BinaryIO

import msgspec
import pyarrow as pa

from autoclave.corpus.readers.raw import ErrorReport, RawBatchBuilder, parse_date
from autoclave.corpus.readers.streams import ByteStream
from autoclave.corpus.storage import open_read

LINE_LIMIT = 256 << 20

# Our field -> names that public data sets use for it, in the order in which they are tried.
FIELD_NAMES: Mapping[str, tuple[str, ...]] = {
    "text": ("text", "content", "raw_content"),
    "url": ("url", "warc_target_uri", "URL"),
    "crawled_at": ("crawled_at", "timestamp", "date", "warc_date"),
    "language": ("language", "lang"),
    "metadata": ("metadata", "meta"),
}


class FieldMap:
    """Which field of the data holds what. `fields` maps our names (FIELD_NAMES) to the data's own."""

    def __init__(self, fields: Mapping[str, str] | None = None) -> None:
        chosen = dict(fields or {})
        unknown = sorted(set(chosen) - set(FIELD_NAMES))
        if unknown:
            raise ValueError(f"fields: {unknown} are no fields of a document; known are {list(FIELD_NAMES)}")
        self.names = {ours: (chosen[ours],) if ours in chosen else names for ours, names in FIELD_NAMES.items()}

    def find(self, ours: str, present: Mapping[str, Any] | list[str]) -> str | None:
        """Return the first name for `ours` that is present."""
        return next((name for name in self.names[ours] if name in present), None)


def as_text(value: Any) -> str:
    """A metadata value as a string: strings as they are, everything else as JSON."""
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value, enc_hook=str).decode()


def flatten_metadata(nested: Any, others: Mapping[str, Any]) -> dict[str, str]:
    """Merge a record's metadata object and its other fields into one map of strings, nulls left out."""
    merged: dict[str, Any] = dict(nested) if isinstance(nested, Mapping) else {}
    if nested is not None and not isinstance(nested, Mapping):
        merged["metadata"] = nested
    merged.update(others)
    return {str(name): replace_surrogates(as_text(value)) for name, value in merged.items() if value is not None}


def replace_surrogates(text: str) -> str:
    """Replace lone surrogates, which JSON can carry and UTF-8 cannot, by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _decode(line: bytes) -> Any:
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # The standard library takes what the strict decoder does not: lone surrogates, NaN; ValueError otherwise.
        return json.loads(line.decode("utf-8", "replace"))


def read_jsonl(
    file: BinaryIO | str | PathLike[str],
    source: str,
    errors: ErrorReport,
    fields: Mapping[str, str] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the lines of a JSONL file as batches of RAW_SCHEMA; `offset` is the line number, from 0.

    Lines that are not a JSON object with a string of text go to `errors` with their line number from 1; blank lines
    are passed over. `fields` renames (see FieldMap); a timestamp is ISO 8601 or seconds since 1970. Fields that are
    not of a document are kept in `metadata` as strings.
    """
    names = FieldMap(fields)
    with contextlib.ExitStack() as stack:
        if isinstance(file, (str, PathLike)):
            file = stack.enter_context(open_read(str(file)))
        stream = ByteStream(file)
        builder = RawBatchBuilder(source)
        number = -1
        while True:
            line = stream.readline(LINE_LIMIT)
            if stream.damage is not None and not line.endswith(b"\n"):
                # What is left is the line in which the damage lies.
                errors(f"{source}:{number + 2}", stream.damage)
                if not stream.recover():
                    break
                number += 1
                stream.readline(LINE_LIMIT)  # the new frame begins in the middle of a line
                continue
            if not line:
                break
            number += 1
            if len(line) >= LINE_LIMIT and not line.endswith(b"\n"):
                errors(f"{source}:{number + 1}", f"line longer than {LINE_LIMIT} bytes")
                while line and not line.endswith(b"\n"):
                    line = stream.readline(1 << 20)
                continue
            if not line.strip():
                continue
            batch = _add_line(builder, number, line, names, errors)
            if batch is not None:
                yield batch
        last = builder.flush()
        if last is not None:
            yield last


def _add_line(
    builder: RawBatchBuilder, number: int, line: bytes, names: FieldMap, errors: ErrorReport
) -> pa.RecordBatch | None:
    place = f"{builder.source}:{number + 1}"
    try:
        record = _decode(line.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError) as error:
        errors(place, f"not JSON: {error}")
        return None
    if not isinstance(record, dict):
        errors(place, f"a JSON {type(record).__name__}, not an object")
        return None
    found = {ours: names.find(ours, record) for ours in FIELD_NAMES}
    text = record.get(found["text"]) if found["text"] is not None else None
    if not isinstance(text, str):
        errors(place, f"no string field {' or '.join(map(repr, names.names['text']))}; set fields.text to its name")
        return None
    url, language = (record.get(found[ours]) if found[ours] is not None else None for ours in ("url", "language"))
    used = {name for name in found.values() if name is not None}
    nested = record.get(found["metadata"]) if found["metadata"] is not None else None
    others = {name: value for name, value in record.items() if name not in used}
    return builder.add(
        number,
        text=replace_surrogates(text),
        url=replace_surrogates(url) if isinstance(url, str) else None,
        crawled_at=timestamp(record.get(found["crawled_at"])) if found["crawled_at"] is not None else None,
        language=replace_surrogates(language) if isinstance(language, str) else None,
        metadata=flatten_metadata(nested, others),
    )


def timestamp(value: Any) -> int | None:
    """Seconds since 1970 from what data sets hold: a number of seconds or an ISO date; None otherwise."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)) and abs(value) < 1e11:
        return int(value)
    if hasattr(value, "isoformat"):
        value = value.isoformat()
    return parse_date(value) if isinstance(value, str) else None
