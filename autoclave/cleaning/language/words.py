"""Which words a dialect counts, and the scan that finds them once for all families.

A `Scan` holds the UTF-8 buffer of a slice of documents and gives, on demand and once, the words of each kind, the
lines and the characters. Families of signals take a scan and return columns; none of them sees a Python string.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
import pyarrow as pa
import zstandard

from autoclave.kernels.text.characters import WHITE_SPACE, character_tables
from autoclave.kernels.text.rules import counts, segments
from autoclave.kernels.text.words import chinese as ideographs
from autoclave.kernels.text.words import kinds as kernel
from autoclave.kernels.text.words import split as splitting
from autoclave.kernels.text.words.scripts import (
    HAN_LETTERS,
    KANA_LETTERS,
    SOUTH_EAST_ASIAN_LETTERS,
    scripts_in,
)
from autoclave.kernels.text.words.spacy_rules import exception_table
from autoclave.kernels.text.words.uax29 import split_unicode_words, word_break_table

WORD_KINDS = {
    "whitespace": kernel.WHITESPACE,
    "ascii_space": kernel.ASCII_SPACE,
    "tokens": kernel.TOKENS,
    "script": kernel.SCRIPT,
    "unicode": kernel.UNICODE_ALNUM,
}
"""Names of the ways to cut words, as settings give them; `kernels/text/words.py` defines each."""

SLICE_BYTES = 1 << 20
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

    def shortened(self, count: int) -> Words:
        """Return the first `count` words; the offsets stay."""
        spans = self.start[:count], self.end[:count], self.chars[:count]
        return Words(*spans, self.hashes[:count], self.flags[:count], self.offsets)


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

    start, end: int32[segments] byte spans; of each segment chars: int32 code points; hashes: uint64; flags: int32
    (`kernels/text/segments.py`); offsets: int64[documents + 1], segments of document d are offsets[d]:offsets[d + 1].
    """

    def __init__(self, scan: Scan, start: np.ndarray, end: np.ndarray, offsets: np.ndarray) -> None:
        self._scan, self.start, self.end, self.offsets = scan, start, end, offsets

    @functools.cached_property
    def _described(self) -> tuple[np.ndarray, np.ndarray]:
        chars, hashes = self._scan.empty(len(self.start), np.int32), self._scan.empty(len(self.start), np.uint64)
        segments.segment_hashes(self._scan.data, self.start, self.end, chars, hashes)
        return chars, hashes

    @property
    def chars(self) -> np.ndarray:
        return self._described[0]

    @property
    def hashes(self) -> np.ndarray:
        return self._described[1]

    @functools.cached_property
    def flags(self) -> np.ndarray:
        flags = self._scan.empty(len(self.start), np.int32)
        segments.segment_flags(self._scan.data, self._scan.classes, self.start, self.end, flags)
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


CHINESE_SLOTS, SOUTH_EAST_ASIAN_SLOTS, JAPANESE_SLOTS = 1 << 18, 1 << 19, 1 << 19


def dictionary_tables(scripts: int) -> tuple[np.ndarray, ...]:
    """Return (keys, costs, singles, pairs) of the Chinese dictionary, (keys, costs) of the Thai, Lao and Khmer one, and
    those of the Japanese one.

    `kernels.text.ideographs.build_table` says what they are; the words are in `assets`. scripts: of
    `kernels.text.unspaced_scripts.scripts_in`; a dictionary that the text has no letters for is an empty one, so that
    a worker builds none that it does not need.
    """
    chinese = _build_dictionary("chinese_words.txt.zst", CHINESE_SLOTS if scripts & HAN_LETTERS else 0)
    further = [
        _build_dictionary(f"{name}_words.txt.zst", slots if scripts & letters else 0)[:2]
        for name, slots, letters in (
            ("south_east_asian", SOUTH_EAST_ASIAN_SLOTS, SOUTH_EAST_ASIAN_LETTERS),
            ("japanese", JAPANESE_SLOTS, KANA_LETTERS),
        )
    ]
    return chinese + further[0] + further[1]


@functools.cache
def _build_dictionary(asset: str, slots: int) -> tuple[np.ndarray, ...]:
    if slots == 0:
        nothing = np.zeros(1, dtype=np.uint64), np.zeros(1, dtype=np.float32)
        return *nothing, np.zeros(1 << 16, dtype=np.float32), np.zeros(1 << ideographs.PAIR_BITS - 3, dtype=np.uint8)
    packed = files("autoclave").joinpath(f"assets/{asset}").read_bytes()
    data = np.frombuffer(zstandard.ZstdDecompressor().decompress(packed), dtype=np.uint8)
    keys = np.zeros(slots, dtype=np.uint64)
    costs = np.full(slots, np.inf, dtype=np.float32)
    singles = np.full(1 << 16, ideographs.UNKNOWN_COST, dtype=np.float32)
    pairs = np.zeros(1 << ideographs.PAIR_BITS - 3, dtype=np.uint8)
    entries = ideographs.build_table(data, keys, costs, singles, pairs)
    assert entries < 0.7 * slots
    return keys, costs, singles, pairs


@functools.cache
def _exceptions() -> np.ndarray:
    return exception_table()


@functools.cache
def _ascii_classes(nul_separates: bool) -> np.ndarray:
    """Return the classes of ASCII; for fastText's words, with what separates there as white space."""
    classes = character_tables()[0][:128].copy()
    if nul_separates:
        classes &= ~WHITE_SPACE
        classes[[0, 9, 10, 11, 12, 13, 32]] |= WHITE_SPACE
    return classes


class Scan:
    """One slice of documents: data uint8, offsets int64 (documents + 1) into it; what it finds lies in `workspace`."""

    def __init__(self, data: np.ndarray, offsets: np.ndarray, workspace: Workspace | None = None) -> None:
        if data.flags.writeable:  # as what comes from Arrow, so that kernels need one version only
            data = data.view()
            data.setflags(write=False)
        self.data, self.offsets = data, offsets
        self.workspace = workspace or Workspace()
        self.empty = self.workspace.empty
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

    def has_words(self, kind: str) -> bool:
        """Say whether the words of one kind have been found already."""
        return ("words", kind) in self._found

    def carry_words(
        self, before: Scan, applies: np.ndarray, lines: Segments, places: np.ndarray, sizes: np.ndarray
    ) -> None:
        """Take the tokens from words of the text before an edit; arguments as `kernels.text.c4.edit_lines` has them."""
        kind = next((kind for kind in ("tokens", "script") if before.has_words(kind)), None)
        if kind is not None:
            self._found["words", "tokens"] = self._cut_again(before, kind, applies, lines, places, sizes)

    def _cut_again(
        self, before: Scan, kind: str, applies: np.ndarray, lines: Segments, places: np.ndarray, sizes: np.ndarray
    ) -> Words:
        from autoclave.kernels.text.rules.c4 import carry_words

        old, new = before.words(kind), self._room()
        count = carry_words(
            before.data, self.data, before.offsets, self.offsets, applies, lines.start, lines.end, lines.offsets,
            places, sizes, _ascii_classes(False), self.classes, self.scripts, _exceptions(), self.dictionaries(),
            old.start, old.end, old.chars, old.hashes, old.flags, old.offsets,
            new.start, new.end, new.chars, new.hashes, new.flags, new.offsets, 0 if kind == "tokens" else kernel.WHOLE,
        )  # fmt: skip
        return new.shortened(count)

    def dictionaries(self) -> tuple[np.ndarray, ...]:
        """Return the dictionaries of the scripts that the text has letters of."""
        return dictionary_tables(self.once("scripts", lambda: scripts_in(self.data)))

    def _room(self) -> Words:
        """Return room for all words that the documents can have."""
        sizes = np.minimum(np.diff(self.offsets), splitting.MAX_WORDS + splitting.MAX_CHUNK)
        room = int(sizes.sum()) + 1
        start, end, chars = (self.empty(room, np.int32) for _ in range(3))
        hashes, flags = self.empty(room, np.uint64), self.empty(room, np.uint8)
        return Words(start, end, chars, hashes, flags, np.empty(len(self) + 1, dtype=np.int64))

    def marks(self) -> np.ndarray:
        """Return int64 [documents, 6], the columns of `kernels.text.counts.count_marks`."""

        def compute() -> np.ndarray:
            out = np.empty((len(self), 6), dtype=np.int64)
            counts.count_marks(self.data, self.offsets, out)
            return out

        return self.once("marks", compute)

    def lengths(self) -> np.ndarray:
        """Return int64 [documents, 2 or more], the columns CHARACTERS and NEWLINES of `marks`; it costs less."""

        def compute() -> np.ndarray:
            out = np.empty((len(self), 2), dtype=np.int64)
            counts.count_characters_and_newlines(self.data, self.offsets, out)
            return out

        return self.marks() if "marks" in self._found else self.once("lengths", compute)

    def segments(
        self, mode: int, *, strip_text: bool = False, strip: bool = False, drop_blank: bool = False
    ) -> Segments:
        """Return lines or paragraphs; mode and options as `kernels.text.segments.split_segments` has them."""

        def compute() -> Segments:
            places, widths = self._breaks(mode == segments.UNIVERSAL_LINES)
            room = len(places) + len(self)
            start, end = self.empty(room, np.int32), self.empty(room, np.int32)
            offsets = np.empty(len(self) + 1, dtype=np.int64)
            count = segments.split_segments(
                self.data, self.offsets, self.classes, places, widths, mode, strip_text, strip, drop_blank,
                start, end, offsets,
            )  # fmt: skip
            return Segments(self, start[:count], end[:count], offsets)

        return self.once(("segments", mode, strip_text, strip, drop_blank), compute)

    def _breaks(self, universal: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return (places int32, widths int32) of line breaks: of all kinds, or of '\\n' only."""

        def compute() -> tuple[np.ndarray, np.ndarray]:
            room = min(len(self.data), segments.MAX_BREAKS)  # more bytes than that are one document
            places = self.empty(room, np.int32)
            if universal:
                widths = self.empty(room, np.int32)
                count = segments.find_line_breaks(self.data, places, widths)
                return places[:count], widths[:count]
            count = segments.find_newlines(self.data, places)
            widths = self.empty(count, np.int32)
            widths.fill(1)
            return places[:count], widths

        return self.once(("breaks", universal), compute)

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
        if kind == kernel.TOKENS and self.has_words("script"):
            nothing = np.empty(0, dtype=np.int32)
            lines = Segments(self, nothing, nothing, np.zeros(len(self) + 1, dtype=np.int64))
            return self._cut_again(self, "script", np.zeros(len(self), dtype=np.bool_), lines, nothing, nothing)
        new = self._room()
        if kind == kernel.UNICODE_ALNUM:
            count = split_unicode_words(
                self.data, self.offsets, self.classes, word_break_table(), new.start, new.end, new.offsets
            )  # fmt: skip
            kernel.describe_words(
                self.data, self.classes, 0, count, new.start, new.end, new.chars, new.hashes, new.flags, 0
            )
            return new.shortened(count)
        count = splitting.split_words(
            self.data, self.offsets, kind, _ascii_classes(kind == kernel.ASCII_SPACE), self.classes, self.scripts,
            _exceptions(), self.dictionaries(), new.start, new.end, new.chars, new.hashes, new.flags, new.offsets,
        )  # fmt: skip
        return new.shortened(count)


def text_buffer(text: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    """Return (data uint8, offsets int64 of rows + 1) over the array's own buffer; a null row is an empty text."""
    if text.type not in (pa.string(), pa.large_string()):
        raise TypeError(f"text must be an Arrow string array, not {text.type}")
    offset_type = np.dtype(np.int32 if text.type == pa.string() else np.int64)
    _, places, values = text.buffers()
    if len(text) == 0:
        return np.zeros(0, dtype=np.uint8), np.zeros(1, dtype=np.int64)
    offsets = np.frombuffer(places, dtype=offset_type)[text.offset : text.offset + len(text) + 1].astype(np.int64)
    data = np.zeros(0, dtype=np.uint8) if values is None else np.frombuffer(values, dtype=np.uint8)
    return data[: offsets[-1]], offsets


def scans(text: pa.StringArray, workspace: Workspace | None = None) -> Iterator[Scan]:
    """Yield the documents of `text`, one a row, in order, as scans of at most SLICE_BYTES (or one longer document).

    With a workspace what a scan found is void once the next one is asked for.
    """
    data, offsets = text_buffer(text)
    first = 0
    while first < len(offsets) - 1:
        last = int(np.searchsorted(offsets, offsets[first] + SLICE_BYTES, side="right")) - 1
        last = min(max(last, first + 1), len(offsets) - 1)
        begin = offsets[first]
        if workspace is not None:
            workspace.rewind()
        yield Scan(data[begin : offsets[last]], offsets[first : last + 1] - begin, workspace)
        first = last
