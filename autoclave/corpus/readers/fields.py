"""Which field of a JSON or Parquet record holds what, and how the rest of it is carried along as metadata."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import pyarrow as pa

from autoclave.corpus.readers.raw import RawBatchBuilder, parse_date, seconds_in_range

# Our field -> names that public data sets use for it, in the order in which they are tried.
FIELD_NAMES: Mapping[str, tuple[str, ...]] = {
    "text": ("text", "content", "raw_content"),
    "html": ("html", "raw_html"),
    "url": ("url", "warc_target_uri", "URL"),
    "crawled_at": ("crawled_at", "timestamp", "date", "warc_date"),
    "language": ("language", "lang"),
    "metadata": ("metadata", "meta"),
}
UNREADABLE = "unreadable_fields"
"""Name in a document's metadata under which the fields stand whose values could not be expressed."""


class FieldMap:
    """Which field of the data holds what. `fields` maps our names (FIELD_NAMES) to the data's own.

    A name with dots that no field has reaches into objects and structs: `doc.text` in {"doc": {"text": ...}}.
    `content` orders what a document may be made of: its text, or else its HTML, unless `fields` names the HTML.
    """

    def __init__(self, fields: Mapping[str, str] | None = None) -> None:
        chosen = dict(fields or {})
        unknown = sorted(set(chosen) - set(FIELD_NAMES))
        if unknown:
            raise ValueError(f"fields: {unknown} are no fields of a document; known are {list(FIELD_NAMES)}")
        self.names = {ours: (chosen[ours],) if ours in chosen else names for ours, names in FIELD_NAMES.items()}
        self.content = ("html", "text") if "html" in chosen else ("text", "html")
        self.paths = tuple(sorted({name for name in chosen.values() if "." in name}))

    def find(self, ours: str, present: Mapping[str, Any] | list[str]) -> str | None:
        """Return the first name for `ours` that is present."""
        return next((name for name in self.names[ours] if name in present), None)

    def found(self, present: Mapping[str, Any] | list[str]) -> dict[str, str]:
        """Return our names and the data's for all that is present."""
        named = {ours: self.find(ours, present) for ours in FIELD_NAMES}
        return {ours: name for ours, name in named.items() if name is not None}

    def missing(self) -> str:
        """Which names of content were looked for where there is none, and the remedy."""
        names = [name for ours in self.content for name in self.names[ours]]
        return f"{' or '.join(map(repr, names))}; set fields.text or fields.html to its name"

    def lift(self, record: dict[str, Any]) -> dict[str, Any]:
        """Return the record with the values that dotted names reach as fields of their own, no longer nested."""
        for path in self.paths:
            found = _take(record, path)
            if found is not None:
                record = {**found[1], path: found[0]}
        return record


def used_content(found: Mapping[str, str], ours: str) -> dict[str, str]:
    """Return `FieldMap.found` without the content (text or html) that is not `ours`, which is then metadata."""
    return {name: field for name, field in found.items() if name == ours or name not in ("text", "html")}


def _take(record: Mapping[str, Any], path: str) -> tuple[Any, dict[str, Any]] | None:
    """Return (the value at a dotted path, the record without it and what it leaves empty); None where there is none."""
    if path in record:
        return record[path], {name: value for name, value in record.items() if name != path}
    for at in (at for at, sign in enumerate(path) if sign == "."):
        inner = record.get(path[:at])
        found = _take(inner, path[at + 1 :]) if isinstance(inner, Mapping) else None
        if found is not None:
            value, rest = found
            others = {name: part for name, part in record.items() if name != path[:at]}
            return value, others | ({path[:at]: rest} if rest else {})
    return None


def add_record(
    builder: RawBatchBuilder,
    offset: int,
    content: str | bytes | None,
    record: Mapping[str, Any],
    found: Mapping[str, str],
    *,
    size: int | None = None,
    unreadable: Iterable[str] = (),
) -> pa.RecordBatch | None:
    """Add one record to the builder and return the batch that this closed, if any.

    record: JSON values by name; found: `FieldMap.found` of its names. A URL or language that is no string, and a time
    that is none or lies outside the years 1 to 9999, stay in the metadata under the data's own name, with all other
    fields. content: what stands in the field `text` or, if `found` names that, `html`, where bytes are a page in a
    charset that is not known; None, with `size` its bytes, for one that is too large to carry. unreadable: names of
    fields whose values could not be expressed; the metadata name them. Raises RecursionError for a value that is nested
    too deeply, and then has added nothing.
    """
    others = {name: value for name, value in record.items() if name not in found.values()}
    taken: dict[str, Any] = {}
    for ours, name in found.items():
        value = record.get(name)
        if ours in ("url", "language"):
            taken[ours] = replace_surrogates(value) if isinstance(value, str) else None
        elif ours == "crawled_at":
            taken[ours] = timestamp(value)
        else:
            continue
        if taken[ours] is None and value is not None:
            others[name] = value
    nested = record.get(found["metadata"]) if "metadata" in found else None
    metadata = flatten_metadata(nested, others)
    missing = sorted(unreadable)
    if missing:
        metadata[UNREADABLE] = ", ".join(missing)
    if "html" in found:
        charset = "utf-8" if isinstance(content, str) else None
        payload = replace_surrogates(content).encode() if isinstance(content, str) else content
        taken |= {"payload": payload, "content_type": "text/html", "charset": charset}
    elif isinstance(content, str):
        taken["text"] = replace_surrogates(content)
    return builder.add(offset, metadata=metadata, payload_bytes=size, **taken)


def as_text(value: Any) -> str:
    """A metadata value as a string: strings as they are, everything else as JSON, always valid UTF-8.

    Raises RecursionError for a value that is nested too deeply.
    """
    if isinstance(value, str):
        return replace_surrogates(value)
    try:
        return msgspec.json.encode(value, enc_hook=str).decode()
    except (ValueError, OverflowError, TypeError):  # lone surrogates deep inside; numbers that msgspec refuses
        return replace_surrogates(json.dumps(value, ensure_ascii=False, default=str, separators=(",", ":")))


def flatten_metadata(nested: Any, others: Mapping[str, Any]) -> dict[str, str]:
    """Merge a record's metadata object and its other fields into one map of strings, nulls left out."""
    merged: dict[str, Any] = dict(nested) if isinstance(nested, Mapping) else {}
    if nested is not None and not isinstance(nested, Mapping):
        merged["metadata"] = nested
    merged.update(others)
    return {replace_surrogates(str(name)): as_text(value) for name, value in merged.items() if value is not None}


def replace_surrogates(text: str) -> str:
    """Replace lone surrogates, which JSON can carry and UTF-8 cannot, by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def timestamp(value: Any) -> int | None:
    """Seconds since 1970 from what data sets hold: a number of seconds or an ISO date; None otherwise.

    None, too, for a number of 10^11 or more, which rather counts milliseconds, and for a moment outside the years 1
    to 9999, which Python's dates do not hold.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return int(value) if seconds_in_range(value) and value < 1e11 else None
    return parse_date(value) if isinstance(value, str) else None
