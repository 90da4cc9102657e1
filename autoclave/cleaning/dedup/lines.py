"""Lines and paragraphs that many documents share: navigation, watermarks, licence notes."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
import pyarrow as pa

from autoclave.errors import RecipeError
from autoclave.kernels.text.keys.lines import line_keys, without_lines
from autoclave.kernels.text.keys.normalisation import Normalisation
from autoclave.kernels.text.keys.xxh3 import hash_slices
from autoclave.kernels.text.texts import text_buffers

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class LineSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which repeated lines are removed. A line counts once a document, and only documents that stay count."""

    unit: Literal["line", "paragraph"] = "line"
    scope: Literal["host", "all"] = "host"
    """Count over the documents of one host (boilerplate of a site), or over all documents."""
    min_count: int = 3
    """Documents that must share a line."""
    min_words: int = 1
    """Shorter lines are left alone; blank lines always are."""
    normalisation: Normalisation = "whitespace"
    """What does not count when lines are compared: `whitespace`, nothing else; `words`, case, punctuation and
    diacritics too; `fineweb`, numbers as well (every "Population: 12,345" of a site is then one line)."""
    remove: Literal["all", "repeats"] = "all"
    """Every occurrence, or all but the one in the first document."""

    def __post_init__(self) -> None:
        if self.min_count < 2:
            raise RecipeError(
                f"dedup.lines.min_count: {self.min_count}; a line that is not shared is no repeat, use 2 or more"
            )


class Lines(msgspec.Struct, frozen=True):
    """The m lines of a batch of n documents.

    data: uint8, the texts; offsets: int64[n + 1] into it; keys: uint64[m], 0 for a line that is never removed; ends:
    int64[m], where a line ends in `data`; bounds: int64[n + 1], the lines of each document.
    """

    data: np.ndarray
    offsets: np.ndarray
    keys: np.ndarray
    ends: np.ndarray
    bounds: np.ndarray


def find_lines(batch: pa.RecordBatch, settings: LineSettings) -> Lines:
    """Return the lines of a batch with `text` and `host` of DOCUMENT_SCHEMA.

    With scope host, a document without a host has no keys.
    """
    data, offsets = text_buffers(batch.column("text"))
    keys, ends, bounds = line_keys(
        data,
        offsets,
        by_paragraph=settings.unit == "paragraph",
        min_words=settings.min_words,
        normalisation=settings.normalisation,
    )
    if settings.scope == "host":
        hosts, edges = text_buffers(batch.column("host").cast(pa.string()))
        named = np.diff(edges) > 0
        mixed = hash_slices(hosts, edges[:-1], edges[1:]) * _GOLDEN
        owner = np.repeat(np.arange(batch.num_rows), np.diff(bounds))
        keys = np.where(named[owner] & (keys != 0), ((keys ^ mixed[owner]) * _GOLDEN) | np.uint64(1), np.uint64(0))
    return Lines(data, offsets, keys, ends, bounds)


def keys_by_document(lines: Lines, counted: np.ndarray) -> np.ndarray:
    """Return uint64: the keys of the documents that `counted` (bool[n]) marks, each once a document."""
    owner = np.repeat(np.arange(counted.size), np.diff(lines.bounds))
    wanted = counted[owner] & (lines.keys != 0)
    keys, owner = lines.keys[wanted], owner[wanted]
    order = np.lexsort((keys, owner))
    keys, owner = keys[order], owner[order]
    first = np.ones(keys.size, np.bool_)
    first[1:] = (keys[1:] != keys[:-1]) | (owner[1:] != owner[:-1])
    return keys[first]


def marked(lines: Lines, frequent: np.ndarray) -> np.ndarray:
    """Return bool[m]: lines whose key is in `frequent` (uint64, sorted)."""
    if not frequent.size:
        return np.zeros(lines.keys.size, np.bool_)
    at = np.minimum(np.searchsorted(frequent, lines.keys), frequent.size - 1)
    return frequent[at] == lines.keys


def remove_lines(lines: Lines, removed: np.ndarray) -> tuple[pa.Array, np.ndarray, np.ndarray]:
    """Return (text, lines removed int32[n], bytes removed int32[n]) of the batch without the marked lines."""
    out, kept = without_lines(lines.data, lines.offsets, lines.ends, lines.bounds, removed)
    text = pa.StringArray.from_buffers(kept.size - 1, pa.py_buffer(kept.astype(np.int32)), pa.py_buffer(out))
    totals = np.concatenate([[0], np.cumsum(removed)])
    count = totals[lines.bounds[1:]] - totals[lines.bounds[:-1]]
    return text, count.astype(np.int32), (np.diff(lines.offsets) - np.diff(kept)).astype(np.int32)
