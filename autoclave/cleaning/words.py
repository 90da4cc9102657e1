"""Which words a dialect counts, and the scan that finds them once for all families.

A `Scan` holds the UTF-8 buffer of a slice of documents and gives, on demand and once, the words of each kind, the
lines and the characters. Families of signals take a scan and return columns; none of them sees a Python string.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from autoclave.kernels.text import segments, statistics
from autoclave.kernels.text import words as kernel
from autoclave.kernels.text.characters import character_tables
from autoclave.kernels.text.tokens import exception_table

WORD_KINDS = {
    "whitespace": kernel.WHITESPACE,
    "ascii_space": kernel.ASCII_SPACE,
    "tokens": kernel.TOKENS,
    "script": kernel.SCRIPT,
    "unicode": kernel.UNICODE_ALNUM,
}
"""Names of the ways to cut words, as settings give them; `kernels/text/words.py` defines each."""

SLICE_BYTES = 1 << 21
"""Bytes of text that are measured together: the spans of their words stay near the cache."""


@dataclass(frozen=True)
class Words:
    """The words of a slice of documents, in order.

    start, end: int32 byte spans; chars: int32 code points; hashes: uint64; flags: uint8 (`kernels/text/words.py`);
    offsets: int64, words of document d are offsets[d]:offsets[d + 1].
    """

    start: np.ndarray
    end: np.ndarray
    chars: np.ndarray
    hashes: np.ndarray
    flags: np.ndarray
    offsets: np.ndarray


@dataclass(frozen=True)
class Segments:
    """The lines or paragraphs of a slice of documents.

    start, end: int32 byte spans; chars: int32; hashes: uint64; flags: int32 (`kernels/text/segments.py`); offsets:
    int64, segments of document d are offsets[d]:offsets[d + 1].
    """

    start: np.ndarray
    end: np.ndarray
    chars: np.ndarray
    hashes: np.ndarray
    flags: np.ndarray
    offsets: np.ndarray

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Return the sum of one value a segment over each document, int64."""
        totals = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
        return totals[self.offsets[1:]] - totals[self.offsets[:-1]]


@functools.cache
def dictionary_tables() -> tuple[np.ndarray, np.ndarray]:
    """Return the Chinese dictionary as (keys uint64, costs float32), an open-addressing table; empty for none."""
    return np.zeros(2, dtype=np.uint64), np.zeros(2, dtype=np.float32)


@functools.cache
def _exceptions() -> np.ndarray:
    return exception_table()


class Scan:
    """One slice of documents: data uint8, offsets int64 (documents + 1) into it."""

    def __init__(self, data: np.ndarray, offsets: np.ndarray) -> None:
        self.data, self.offsets = data, offsets
        self.classes, self.scripts = character_tables()
        self._found: dict[Hashable, Any] = {}

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def once(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        """Return what `compute` gave for `key`, computing it the first time."""
        if key not in self._found:
            self._found[key] = compute()
        return self._found[key]

    def words(self, kind: str) -> Words:
        """Return the words of one kind (a key of WORD_KINDS)."""
        return self.once(("words", kind), lambda: self._find_words(WORD_KINDS[kind]))

    def marks(self) -> np.ndarray:
        """Return int64 [documents, 6], the columns of `kernels.text.statistics.count_marks`."""

        def compute() -> np.ndarray:
            out = np.empty((len(self), 6), dtype=np.int64)
            statistics.count_marks(self.data, self.offsets, out)
            return out

        return self.once("marks", compute)

    def segments(
        self, mode: int, *, strip_text: bool = False, strip: bool = False, drop_blank: bool = False
    ) -> Segments:
        """Return lines or paragraphs; mode and options as `kernels.text.segments.split_segments` has them."""

        def compute() -> Segments:
            how = (self.data, self.offsets, self.classes, mode, strip_text, strip, drop_blank)
            nothing = np.empty(0, dtype=np.int32)
            offsets = np.empty(len(self) + 1, dtype=np.int64)
            count = segments.split_segments(*how, nothing, nothing, offsets, True)
            start, end, chars, flags = (np.empty(count, dtype=np.int32) for _ in range(4))
            hashes = np.empty(count, dtype=np.uint64)
            segments.split_segments(*how, start, end, offsets, False)
            segments.describe_segments(self.data, self.classes, start, end, chars, hashes, flags)
            return Segments(start, end, chars, hashes, flags, offsets)

        return self.once(("segments", mode, strip_text, strip, drop_blank), compute)

    def duplicates(
        self, mode: int, *, strip_text: bool = False, strip: bool = False, drop_blank: bool = False
    ) -> np.ndarray:
        """Return int64 [documents, 6], the columns of `kernels.text.segments.count_duplicates`."""

        def compute() -> np.ndarray:
            found = self.segments(mode, strip_text=strip_text, strip=strip, drop_blank=drop_blank)
            out = np.empty((len(self), 6), dtype=np.int64)
            segments.count_duplicates(found.chars, found.hashes, found.offsets, out)
            return out

        return self.once(("duplicates", mode, strip_text, strip, drop_blank), compute)

    def _find_words(self, kind: int) -> Words:
        sizes = np.minimum(np.diff(self.offsets), kernel.MAX_WORDS + kernel.MAX_CHUNK)
        room = int(sizes.sum()) + 1
        start, end = np.empty(room, dtype=np.int32), np.empty(room, dtype=np.int32)
        offsets = np.empty(len(self) + 1, dtype=np.int64)
        keys, costs = dictionary_tables()
        count = kernel.split_words(
            self.data, self.offsets, kind, self.classes, self.scripts, _exceptions(), keys, costs, start, end, offsets
        )
        start, end = start[:count], end[:count]
        chars, hashes, flags = np.empty(count, np.int32), np.empty(count, np.uint64), np.empty(count, np.uint8)
        kernel.describe_words(self.data, self.classes, 0, count, start, end, chars, hashes, flags)
        return Words(start, end, chars, hashes, flags, offsets)


def text_buffer(text: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    """Return (data uint8, offsets int64 of rows + 1) over the array's own buffer; a null row is an empty text."""
    if text.type == pa.large_string():
        offset_type = np.int64
    elif text.type == pa.string():
        offset_type = np.int32
    else:
        raise TypeError(f"text must be an Arrow string array, not {text.type}")
    _, places, values = text.buffers()
    if len(text) == 0:
        return np.zeros(0, dtype=np.uint8), np.zeros(1, dtype=np.int64)
    offsets = np.frombuffer(places, dtype=offset_type)[text.offset : text.offset + len(text) + 1].astype(np.int64)
    data = np.zeros(0, dtype=np.uint8) if values is None else np.frombuffer(values, dtype=np.uint8)
    return data[: offsets[-1]], offsets


def scans(text: pa.StringArray) -> Iterator[Scan]:
    """Yield the documents of `text` in order, as scans of at most SLICE_BYTES (or one longer document)."""
    data, offsets = text_buffer(text)
    first = 0
    while first < len(offsets) - 1:
        last = int(np.searchsorted(offsets, offsets[first] + SLICE_BYTES, side="right")) - 1
        last = min(max(last, first + 1), len(offsets) - 1)
        begin = offsets[first]
        yield Scan(data[begin : offsets[last]], offsets[first : last + 1] - begin)
        first = last
