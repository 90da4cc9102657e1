"""Which words a dialect counts, and the scan that finds them once for all families.

A `Scan` holds the UTF-8 buffer of a slice of documents and gives, on demand and once, the words of each kind, the
lines and the characters. Families of signals take a scan and return columns; none of them sees a Python string.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from autoclave.cleaning.language.dictionaries import load_dictionaries
from autoclave.kernels.text.characters import WHITE_SPACE, character_tables
from autoclave.kernels.text.rules import counts, segments
from autoclave.kernels.text.rules.segments import Breaks, Cut
from autoclave.kernels.text.texts import LineEdit, SegmentSpans, Texts, text_buffers
from autoclave.kernels.text.words import kinds
from autoclave.kernels.text.words.arrays import Tables, Words
from autoclave.kernels.text.words.carry import carry_words
from autoclave.kernels.text.words.chunks import MAX_CHUNK
from autoclave.kernels.text.words.scripts import scripts_in
from autoclave.kernels.text.words.spacy_rules import exception_table
from autoclave.kernels.text.words.split import MAX_WORDS, split_words
from autoclave.kernels.text.words.uax29 import split_unicode_words, word_break_table

WORD_KINDS = {
    "whitespace": kinds.WHITESPACE,
    "ascii_space": kinds.ASCII_SPACE,
    "tokens": kinds.TOKENS,
    "script": kinds.SCRIPT,
    "unicode": kinds.UNICODE_ALNUM,
}
"""Names of the ways to cut words, as settings give them; `kernels/text/words/kinds.py` defines each."""

SLICE_BYTES = 1 << 20
"""Bytes of text that are measured together: the spans of their words stay near the cache."""


class Workspace:
    """Memory that the scans of one batch use one after another, so that the system hands out its pages once.

    A scan asks for the same arrays in the same order as the scan before it, and gets the same memory; what a scan
    gave is therefore void once the next slice begins. Arrays above `LARGEST_KEPT` bytes are fresh each time.
    """

    LARGEST_KEPT, MOST_KEPT = 16 << 20, 80 << 20

    def __init__(self) -> None:
        self._blocks: list[np.ndarray] = []
        self._taken = 0

    def rewind(self) -> None:
        """Begin the next slice: all arrays taken so far are void."""
        self._taken = 0

    def empty(self, size: int, dtype: type) -> np.ndarray:
        """Return an array [size] of this dtype with any content, as np.empty."""
        needed = size * np.dtype(dtype).itemsize
        if needed > self.LARGEST_KEPT:
            return np.empty(size, dtype=dtype)
        if self._taken == len(self._blocks):
            self._blocks.append(np.empty(0, dtype=np.uint8))
        if len(self._blocks[self._taken]) < needed:
            self._blocks[self._taken] = np.empty(min(needed + needed // 4, self.LARGEST_KEPT), dtype=np.uint8)
        block = self._blocks[self._taken][:needed]
        self._taken += 1
        return block.view(dtype)

    @property
    def size(self) -> int:
        """Bytes of all arrays that are kept."""
        return sum(map(len, self._blocks))


_idle: list[Workspace] = []


@contextlib.contextmanager
def borrowed_workspace() -> Iterator[Workspace]:
    """Lend the workspace of the batch before, whose pages the system has handed out already; a new one if it is in use.

    It is kept for the next batch unless it has grown beyond `MOST_KEPT` bytes, which only long documents cause.
    """
    workspace = _idle.pop() if _idle else Workspace()
    yield workspace
    if workspace.size <= Workspace.MOST_KEPT and not _idle:
        _idle.append(workspace)


class Segments:
    """The lines or paragraphs of a slice of documents; what is derived from their spans is found when asked for.

    spans: where they are (start, end, offsets for short); chars: int32[segments], code points; hashes:
    uint64[segments]; flags: int32[segments] (`kernels/text/rules/segments.py`).
    """

    def __init__(self, scan: Scan, spans: SegmentSpans) -> None:
        # Not the scan itself, which holds its segments: a circle would keep whole batches until it is collected.
        self._data, self._classes, self._empty = scan.data, scan.classes, scan.empty
        self.spans = spans
        self.start, self.end, self.offsets = spans

    @functools.cached_property
    def _described(self) -> tuple[np.ndarray, np.ndarray]:
        chars, hashes = self._empty(len(self.start), np.int32), self._empty(len(self.start), np.uint64)
        segments.segment_hashes(self._data, self.spans, chars, hashes)
        return chars, hashes

    @property
    def chars(self) -> np.ndarray:
        return self._described[0]

    @property
    def hashes(self) -> np.ndarray:
        return self._described[1]

    @functools.cached_property
    def flags(self) -> np.ndarray:
        flags = self._empty(len(self.start), np.int32)
        segments.segment_flags(self._data, self._classes, self.spans, flags)
        return flags

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Return the sum of one value (bool or int32) a segment over each document, int64[documents]."""
        return sums(values, self.offsets)

    def flagged(self, mask: int) -> np.ndarray:
        """Return how many segments of each document have one of the flags in `mask`, int64[documents]."""
        counts = np.empty(len(self.offsets) - 1, dtype=np.int64)
        segments.count_flagged(self.flags, mask, self.offsets, counts)
        return counts


def sums(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return the sums, int64[documents], of values[offsets[d]:offsets[d + 1]], bool or int32; offsets as in `Scan`."""
    totals = np.empty(len(offsets) - 1, dtype=np.int64)
    segments.sum_values(values.astype(np.int32, copy=False), offsets, totals)
    return totals


@functools.cache
def _ascii_classes(nul_separates: bool) -> np.ndarray:
    """Return the classes of ASCII; for fastText's words, with what separates there as white space."""
    classes = character_tables().classes[:128].copy()
    if nul_separates:
        classes &= ~WHITE_SPACE
        classes[[ord(mark) for mark in "\0\t\n\v\f\r "]] |= WHITE_SPACE
    return classes


@functools.cache
def _exceptions() -> np.ndarray:
    return exception_table()


class Scan:
    """One slice of documents: texts (data uint8, offsets int64 into it); what it finds lies in `workspace`."""

    def __init__(self, data: np.ndarray, offsets: np.ndarray, workspace: Workspace | None = None) -> None:
        if data.flags.writeable:  # as what comes from Arrow, so that kernels need one version only
            data = data.view()
            data.setflags(write=False)
        self.texts = Texts(data, offsets)
        self.data, self.offsets = data, offsets
        self.workspace = workspace or Workspace()
        self.empty = self.workspace.empty
        self.characters = character_tables()
        self.classes = self.characters.classes
        self._found: dict[Hashable, Any] = {}

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def once(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        """Return what `compute` gave for `key`, computing it the first time."""
        if key not in self._found:
            self._found[key] = compute()
        return self._found[key]

    def room_for_edit(self) -> Texts:
        """Return room for the texts after an edit that makes none longer, but for a line break."""
        room = self.empty(len(self.data) + len(self) + 1, np.uint8)
        return Texts(room, np.empty(len(self) + 1, dtype=np.int64))

    def after_edit(self, texts: Texts) -> Scan:
        """Return the scan of the texts after an edit, in the same workspace. texts: of `room_for_edit`, filled."""
        return Scan(texts.data[: texts.offsets[-1]], texts.offsets, self.workspace)

    def words(self, kind: str) -> Words:
        """Return the words of one kind (a key of WORD_KINDS)."""
        return self.once(("words", kind), lambda: self._find_words(WORD_KINDS[kind]))

    def has_words(self, kind: str) -> bool:
        """Say whether the words of one kind have been found already."""
        return ("words", kind) in self._found

    def carry_words(self, before: Scan, edit: LineEdit) -> None:
        """Take the tokens from words of the text before an edit, where there are any."""
        kind = next((kind for kind in ("tokens", "script") if before.has_words(kind)), None)
        if kind is not None:
            self._found["words", "tokens"] = self._cut_again(before, kind, edit)

    def _cut_again(self, before: Scan, kind: str, edit: LineEdit) -> Words:
        words = self._room()
        whole = 0 if kind == "tokens" else kinds.WHOLE
        tables = self._tables(kinds.TOKENS)
        return words.shortened(carry_words(before.texts, self.texts, edit, tables, before.words(kind), words, whole))

    def _tables(self, kind: int) -> Tables:
        """Return what splitting looks up, the dictionaries of the scripts that the text has letters of among it."""
        dictionaries = load_dictionaries(self.once("scripts", lambda: scripts_in(self.data)))
        return Tables(_ascii_classes(kind == kinds.ASCII_SPACE), *self.characters, _exceptions(), *dictionaries)

    def _room(self) -> Words:
        """Return room for all words that the documents can have."""
        sizes = np.minimum(np.diff(self.offsets), MAX_WORDS + MAX_CHUNK)
        room = int(sizes.sum()) + 1
        start, end, chars = (self.empty(room, np.int32) for _ in range(3))
        hashes, flags = self.empty(room, np.uint64), self.empty(room, np.uint8)
        return Words(start, end, chars, hashes, flags, np.empty(len(self) + 1, dtype=np.int64))

    def marks(self) -> np.ndarray:
        """Return int64 [documents, 6], the columns of `kernels.text.rules.counts.count_marks`."""

        def compute() -> np.ndarray:
            out = np.empty((len(self), 6), dtype=np.int64)
            counts.count_marks(self.texts, out)
            return out

        return self.once("marks", compute)

    def lengths(self) -> np.ndarray:
        """Return int64 [documents, 2 or more], the columns CHARACTERS and NEWLINES of `marks`; it costs less."""

        def compute() -> np.ndarray:
            out = np.empty((len(self), 2), dtype=np.int64)
            counts.count_characters_and_newlines(self.texts, out)
            return out

        return self.marks() if "marks" in self._found else self.once("lengths", compute)

    def segments(
        self, mode: int, *, strip_text: bool = False, strip: bool = False, drop_blank: bool = False
    ) -> Segments:
        """Return lines or paragraphs; mode and options as `kernels.text.rules.segments.Cut` has them."""
        cut = Cut(mode, strip_text, strip, drop_blank)

        def compute() -> Segments:
            breaks = self._breaks(mode == segments.UNIVERSAL_LINES)
            room = len(breaks.places) + len(self)
            start, end = self.empty(room, np.int32), self.empty(room, np.int32)
            spans = SegmentSpans(start, end, np.empty(len(self) + 1, dtype=np.int64))
            count = segments.split_segments(self.texts, self.classes, breaks, cut, spans)
            return Segments(self, SegmentSpans(start[:count], end[:count], spans.offsets))

        return self.once(("segments", cut), compute)

    def _breaks(self, universal: bool) -> Breaks:
        """Return the line breaks: of all kinds, or '\\n' only."""

        def compute() -> Breaks:
            room = min(len(self.data), segments.MAX_BREAKS)  # more bytes than that are one document
            places = self.empty(room, np.int32)
            if universal:
                widths = self.empty(room, np.int32)
                count = segments.find_line_breaks(self.data, Breaks(places, widths))
                return Breaks(places[:count], widths[:count])
            count = segments.find_newlines(self.data, places)
            widths = self.empty(count, np.int32)
            widths.fill(1)
            return Breaks(places[:count], widths)

        return self.once(("breaks", universal), compute)

    def duplicates(
        self, mode: int, *, strip_text: bool = False, strip: bool = False, drop_blank: bool = False
    ) -> np.ndarray:
        """Return int64 [documents, 6], the columns of `kernels.text.rules.segments.count_duplicates`."""

        def compute() -> np.ndarray:
            found = self.segments(mode, strip_text=strip_text, strip=strip, drop_blank=drop_blank)
            out = np.empty((len(self), 6), dtype=np.int64)
            segments.count_duplicates(found.chars, found.hashes, found.offsets, out)
            return out

        return self.once(("duplicates", mode, strip_text, strip, drop_blank), compute)

    def _find_words(self, kind: int) -> Words:
        if kind == kinds.TOKENS and self.has_words("script"):
            nothing = np.empty(0, dtype=np.int32)
            lines = SegmentSpans(nothing, nothing, np.zeros(len(self) + 1, dtype=np.int64))
            untouched = LineEdit(np.zeros(len(self), dtype=np.bool_), lines, nothing, nothing)
            return self._cut_again(self, "script", untouched)
        words = self._room()
        if kind == kinds.UNICODE_ALNUM:
            count = split_unicode_words(self.texts, self.classes, word_break_table(), words)
            kinds.describe_words(self.data, self.classes, 0, count, words, 0)
        else:
            count = split_words(self.texts, kind, self._tables(kind), words)
        return words.shortened(count)


def scans(text: pa.StringArray, workspace: Workspace | None = None) -> Iterator[Scan]:
    """Yield the documents of `text`, one a row, in order, as scans of at most SLICE_BYTES (or one longer document).

    With a workspace what a scan found is void once the next one is asked for.
    """
    data, offsets = text_buffers(text)
    first = 0
    while first < len(offsets) - 1:
        last = int(np.searchsorted(offsets, offsets[first] + SLICE_BYTES, side="right")) - 1
        last = min(max(last, first + 1), len(offsets) - 1)
        begin = offsets[first]
        if workspace is not None:
            workspace.rewind()
        yield Scan(data[begin : offsets[last]], offsets[first : last + 1] - begin, workspace)
        first = last
