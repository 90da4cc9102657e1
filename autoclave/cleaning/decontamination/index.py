"""The index of evaluation sets: their word n-grams by hash, and which items each belongs to."""

from __future__ import annotations

import functools
import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import pyarrow as pa

from autoclave.cleaning.decontamination.evaluation_sets import read_items, set_names
from autoclave.corpus.storage import Folder, open_read
from autoclave.errors import InputError, RecipeError
from autoclave.kernels.text.keys import ngrams
from autoclave.kernels.text.texts import Texts, text_buffers

_BATCH = 4096


class IndexSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How evaluation sets are indexed."""

    sizes: list[int] = msgspec.field(default_factory=lambda: [13])
    """Words of an n-gram (GPT-3: 13); of several sizes each is looked for, and the largest that was found is told."""
    least: int = 8
    """Words that a shorter text needs to be looked for as a whole; shorter ones are left out (GPT-3: 8)."""
    unspaced_sizes: list[int] = msgspec.field(default_factory=lambda: [20])
    """Units of an n-gram of a text in a script without spaces, whose characters are the units: 13 characters are but
    eight words, and Chinese statutes then share a phrase with law exams two times in three."""
    unspaced_least: int = 13
    """Units that such a text needs to be looked for as a whole."""
    max_items: int = 10
    """An n-gram of more items than this is a phrase of the set, not a trace of it (GPT-3: 10)."""
    fields: list[str] | None = None
    """Fields of JSON records, or columns, that hold text, wherever they are nested; null for all strings."""

    def __post_init__(self) -> None:
        for least, sizes, name in (
            (self.least, self.sizes, "sizes"),
            (max(self.least, self.unspaced_least), self.unspaced_sizes, "unspaced_sizes"),
        ):
            if not sizes or not 1 <= least <= min(sizes) <= max(sizes) <= 255:
                raise RecipeError(f"ngram: {name} {sizes} must each be from {least} (the least) to 255")
        if self.unspaced_least < self.least:
            raise RecipeError(f"ngram: unspaced_least {self.unspaced_least} must not be below least {self.least}")


@dataclass(frozen=True)
class Spans:
    """Spans of units, in order, none overlapping. documents, first, last: int64[spans]; units [first, last) of the
    slice."""

    documents: np.ndarray
    first: np.ndarray
    last: np.ndarray


@dataclass(frozen=True)
class Found:
    """Known n-grams in a slice of documents.

    start, end: int32[units] byte spans; unit_offsets: int64[documents + 1], units of each document; places, lengths,
    entries: int64[found], of each n-gram the first unit, its units, its number in the index; offsets:
    int64[documents + 1], those of each document.
    """

    start: np.ndarray
    end: np.ndarray
    unit_offsets: np.ndarray
    places: np.ndarray
    lengths: np.ndarray
    entries: np.ndarray
    offsets: np.ndarray

    def documents(self) -> np.ndarray:
        """Return the document of each n-gram found, int64."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def only(self, chosen: np.ndarray) -> Found:
        """Return the same with nothing found in the documents that are not chosen (bool)."""
        rows = chosen[self.documents()]
        counts = np.where(chosen, np.diff(self.offsets), 0)
        return replace(
            self,
            places=self.places[rows],
            lengths=self.lengths[rows],
            entries=self.entries[rows],
            offsets=np.concatenate([[0], np.cumsum(counts)]),
        )

    def spans(self, margin: int = 0) -> Spans:
        """Return the union of the n-grams of each document, each widened by `margin` units within the document."""
        document = self.documents()
        order = np.lexsort((self.places, document))
        document = document[order]
        first = np.maximum(self.places[order] - margin, self.unit_offsets[document])
        last = np.minimum((self.places + self.lengths)[order] + margin, self.unit_offsets[document + 1])
        # Units of the slice are numbered through, so a running maximum never reaches into the next document.
        reach = np.maximum.accumulate(last) if len(last) else last
        opens = np.concatenate([[True], (first[1:] > reach[:-1]) | (document[1:] != document[:-1])])[: len(first)]
        starts = np.flatnonzero(opens)
        ends = np.concatenate([starts[1:], [len(first)]])[: len(starts)]
        return Spans(document[starts], first[starts], reach[ends - 1])


@dataclass
class ContaminationIndex:
    """Known n-grams of evaluation sets.

    keys: uint64[U]; heads: uint64, of their first `least` units; sizes: int64, the lengths that occur; key_sizes:
    uint8[U], the largest size that each stands for (more than its length where a short text is one n-gram);
    item_offsets int64[U + 1], items int32: the items of each n-gram; sets: names; item_sets, item_lines: int64 of each
    item, its set and its line or row there, from 1; skipped: items too short to be looked for.
    """

    keys: np.ndarray
    heads: np.ndarray
    least: int
    sizes: np.ndarray
    key_sizes: np.ndarray
    item_offsets: np.ndarray
    items: np.ndarray
    sets: list[str]
    item_sets: np.ndarray
    item_lines: np.ndarray
    skipped: int

    @functools.cached_property
    def _table(self) -> ngrams.NgramTable:
        size = 1 << max(6, (2 * len(self.keys)).bit_length())
        slots, values = np.zeros(size, dtype=np.uint64), np.zeros(size, dtype=np.int32)
        table = ngrams.NgramTable(slots, values, np.zeros(max(1, size // 16), dtype=np.uint64))
        ngrams.fill_ngram_table(self.keys, self.heads, table)
        return table

    def find(self, data: np.ndarray, offsets: np.ndarray) -> Found:
        """Return the known n-grams of documents; data uint8, UTF-8; offsets int64, one more than documents."""
        units = _units(Texts(data, offsets))
        found_offsets = np.zeros(len(offsets), dtype=np.int64)
        room = 1024
        while True:
            places, lengths, entries = (np.empty(room, dtype=np.int64) for _ in range(3))
            hits = ngrams.Hits(places, lengths, entries, found_offsets)
            count = ngrams.find_ngrams(units, self.least, self.sizes, self._table, hits)
            if count <= room:
                columns = places[:count], lengths[:count], entries[:count], found_offsets
                return Found(units.start, units.end, units.offsets, *columns)
            room = count

    def items_hit(self, found: Found) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return (document, item, n-grams found of it, largest of their sizes), int64, sorted by document and item."""
        first, last = self.item_offsets[found.entries], self.item_offsets[found.entries + 1]
        counts = last - first
        document = np.repeat(found.documents(), counts)
        place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        item = self.items[np.repeat(first, counts) + place].astype(np.int64)
        pairs, pair, number = np.unique(
            document * (len(self.item_sets) + 1) + item, return_inverse=True, return_counts=True
        )
        size = np.zeros(len(pairs), dtype=np.int64)
        np.maximum.at(size, pair, np.repeat(self.key_sizes[found.entries], counts).astype(np.int64))
        document, item = np.divmod(pairs, len(self.item_sets) + 1)
        return document, item, number, size

    def names(self, items: np.ndarray) -> list[str | None]:
        """Return "<set>:<line>" of item numbers as the ledger has them, None for -1."""
        return [
            f"{self.sets[self.item_sets[item]]}:{self.item_lines[item]}" if item >= 0 else None
            for item in items.tolist()
        ]

    def save(self, path: str) -> None:
        """Write the index (NumPy's .npz)."""
        buffer = io.BytesIO()
        np.savez(
            buffer, keys=self.keys, heads=self.heads, least=np.array(self.least), sizes=self.sizes,
            key_sizes=self.key_sizes, item_offsets=self.item_offsets, items=self.items,
            sets=np.array(self.sets, dtype=np.str_), item_sets=self.item_sets, item_lines=self.item_lines,
            skipped=np.array(self.skipped),
        )  # fmt: skip
        parent, _, name = path.rpartition("/")
        Folder(parent or ("/" if path.startswith("/") else ".")).write_bytes(name, buffer.getvalue())


def load_index(path: str) -> ContaminationIndex:
    """Read an index; InputError where the file is none."""
    with open_read(path) as file:
        try:
            with np.load(file, allow_pickle=False) as stored:
                columns = {name: stored[name] for name in stored.files}
            return ContaminationIndex(
                **{
                    **columns,
                    "sets": columns["sets"].tolist(),
                    "skipped": int(columns["skipped"]),
                    "least": int(columns["least"]),
                }
            )
        except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(
                f"{path}: not an index of evaluation sets ({error}); make one with `autoclave decontaminate index`"
            ) from error


def _units(texts: Texts) -> ngrams.Units:
    offsets = texts.offsets
    room = int(offsets[-1] - offsets[0]) // 2 + len(offsets)
    start, end, hashes = (np.empty(room, dtype=kind) for kind in (np.int32, np.int32, np.uint64))
    units = ngrams.Units(start, end, hashes, np.empty(len(offsets), dtype=np.int64))
    count = ngrams.split_units(texts, ngrams.unit_tables(), units)
    return ngrams.Units(start[:count], end[:count], hashes[:count], units.offsets)


def build_index(
    sets: Sequence[str], settings: IndexSettings | None = None, progress: Callable[[int], None] | None = None
) -> ContaminationIndex:
    """Index evaluation sets: files as `read_items` reads them; a set is named as its file without endings.

    progress: told how many sets are read. Raises InputError for unreadable files, lines that are no JSON, and sets
    without text in the fields.
    """
    chosen = settings or IndexSettings()
    item_sets: list[int] = []
    item_lines: list[int] = []
    found = _Ngrams(chosen)
    for number, path in enumerate(sets):
        before = found.texts
        for line, texts in read_items(path, chosen.fields):
            found.add(texts, len(item_sets))
            item_sets.append(number)
            item_lines.append(line)
        if found.texts == before:
            raise InputError(f"{path}: no text{f' in the fields {chosen.fields}' if chosen.fields else ''}")
        if progress is not None:
            progress(number + 1)
    keys, items, key_sizes = found.gathered()
    skipped = len(item_sets) - len(np.unique(items))
    known, offsets, owners, sizes = _by_ngram(keys, items, key_sizes, chosen.max_items)
    return ContaminationIndex(
        known, np.unique(np.concatenate(found.heads)), chosen.least,
        np.array(sorted(found.lengths), dtype=np.int64), sizes, offsets, owners, set_names(sets),
        np.array(item_sets, dtype=np.int64), np.array(item_lines, dtype=np.int64), skipped,
    )  # fmt: skip


class _Ngrams:
    """Gathers the n-grams of texts, hashed some thousand texts at a time."""

    def __init__(self, settings: IndexSettings) -> None:
        self._settings = settings
        self._texts: list[str] = []
        self._owners: list[int] = []
        self._pieces: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self.heads: list[np.ndarray] = []
        self.lengths: set[int] = set()
        self.texts = 0

    def add(self, texts: Sequence[str], item: int) -> None:
        """Take the texts of one item."""
        self._texts.extend(texts)
        self._owners.extend([item] * len(texts))
        self.texts += len(texts)
        if len(self._texts) >= _BATCH:
            self._flush()

    def gathered(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (keys uint64, items int32, sizes uint8) of all n-grams, in the order of the texts."""
        self._flush()
        keys, items, sizes = (np.concatenate(parts) for parts in zip(*self._pieces, strict=True))
        return keys, items, sizes

    def _flush(self) -> None:
        texts = text_buffers(pa.array(self._texts, pa.large_string()))
        units, settings = _units(texts), self._settings
        spaced, unspaced = sorted(set(settings.sizes)), sorted(set(settings.unspaced_sizes))
        room = len(units.hashes)
        for place in range(max(len(spaced), len(unspaced))):  # where one list is shorter its last size comes again
            size, unspaced_size = spaced[min(place, len(spaced) - 1)], unspaced[min(place, len(unspaced) - 1)]
            asked = ngrams.Sizes(size, settings.least, unspaced_size, settings.unspaced_least)
            kinds = (np.uint64, np.uint64, np.int64, np.uint8, np.uint8)
            found = ngrams.ItemNgrams(*(np.empty(room, dtype=kind) for kind in kinds))
            count = ngrams.hash_items(texts.data, units, ngrams.unit_tables().kinds, asked, found)
            owners = np.array(self._owners, dtype=np.int32)[found.texts[:count]]
            self._pieces.append((found.keys[:count], owners, found.sizes[:count]))
            self.heads.append(found.heads[:count])
            self.lengths.update(np.unique(found.lengths[:count]).tolist())
        self._texts.clear()
        self._owners.clear()


def _by_ngram(
    keys: np.ndarray, items: np.ndarray, sizes: np.ndarray, max_items: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return (different keys, offsets, items, largest size of each key) with each item once a key, keys of too many
    items left out."""
    order = np.lexsort((items, keys))
    keys, items, sizes = keys[order], items[order], sizes[order]
    opens = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])[: len(keys)])
    largest = np.maximum.reduceat(sizes, opens) if len(opens) else sizes
    new = np.ones(len(keys), dtype=np.bool_)
    new[1:] = (keys[1:] != keys[:-1]) | (items[1:] != items[:-1])
    keys, items = keys[new], items[new]
    _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    few = counts <= max_items
    rows = few[inverse]
    return np.unique(keys[rows]), np.concatenate([[0], np.cumsum(counts[few])]), items[rows], largest[few]
