"""Repeated word n-grams, n = 2 to 10, in the four ways that the published filters count them.

An n-gram can be repeated only where both (n-1)-grams inside it are, so the work falls off quickly with n: only
what `repeats.py` singles out for n = 2 is counted in a table. Words glued together, n = 5 to 10, are in
`joined_ngrams.py`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from autoclave.kernels.text.raw.memory import inlined, kernel, load
from autoclave.kernels.text.rules.joined_ngrams import LARGEST, PADDING, JoinedRoom, joined_statistics
from autoclave.kernels.text.rules.repeats import NgramRoom, set_size, share_a_key, table_size
from autoclave.kernels.text.words.arrays import Words

DATATROVE, UNION, DOLMA, CURATOR = 0, 1, 2, 3
"""Styles. Top n-gram: characters with the spaces between words (DATATROVE), the longest of the most frequent (UNION),
without spaces (DOLMA). Duplicates: second and later occurrences in a greedy scan over the concatenated words
(DATATROVE), words covered by any occurrence (UNION), characters of all occurrences with overlaps counted again
(DOLMA), second and later occurrences without overlap (CURATOR)."""

_MULTIPLIER = np.uint64(0x9FB21C651E98DF25)
_SHIFT = np.uint64(29)
_1 = np.uint64(1)


class NgramCounts(NamedTuple):
    """What is counted of each text.

    top: int64[texts, 3], characters of the top n-gram, n = 2 to 4; place: int64[texts, 3], the first word of its first
    occurrence, -1 for none; duplicate: int64[texts, 6], characters in repeated n-grams, n = 5 to 10; every:
    int64[texts, 6], the characters of all n-grams, the denominator of the style DOLMA, 0 in the others.
    """

    top: np.ndarray
    place: np.ndarray
    duplicate: np.ndarray
    every: np.ndarray


@inlined
def _hash_pairs(hashes: np.ndarray, word: int, total: int, room: NgramRoom) -> int:
    """Leave the pairs of words that occur more than once in `room`; return how many entries there are."""
    for at in range(total):
        value = (load(hashes, word + at) ^ (load(hashes, word + at + 1) >> _1)) * _MULTIPLIER
        room.grams[at] = value ^ (value >> _SHIFT)
    entries = share_a_key(room.grams, total, room.seen, room.again, room.places)
    for entry in range(entries):
        room.grams[entry] = load(room.grams, np.int64(load(room.places, entry)))
    return entries


@inlined
def _lengthen(hashes: np.ndarray, word: int, n: int, entries: int, room: NgramRoom) -> int:
    """Keep the n-grams both of whose (n - 1)-grams are repeated; return how many entries are left."""
    grams, places, first, counts = room.grams, room.places, room.first, room.counts
    kept = 0
    repeats = load(counts, np.int64(load(first, 0))) > 1
    for entry in range(entries - 1):  # half of them stay, so no branch
        at, next_repeats = np.int64(load(places, entry)), load(counts, np.int64(load(first, entry + 1))) > 1
        value = (load(grams, entry) ^ (load(hashes, word + at + n - 1) >> _1)) * _MULTIPLIER
        grams[kept], places[kept] = value ^ (value >> _SHIFT), at
        kept += repeats & next_repeats & (load(places, entry + 1) == at + 1)
        repeats = next_repeats
    return kept


@inlined
def _count_repeats(entries: int, n: int, style: int, room: NgramRoom) -> tuple[int, int]:
    """Fill room.first, the first entry with the n-gram of each entry, and room.counts there; return (best, place).

    best is the count of the top n-gram, place its first position: the earliest of the most frequent, in the style
    UNION the longest of them.
    """
    grams, table, first, counts, sums = room.grams, room.table, room.first, room.counts, room.sums
    size = table_size(entries)
    for slot in range(size):
        table[slot] = -1
    mask = np.uint64(size - 1)
    for entry in range(entries):
        counts[entry] = 1
        gram = load(grams, entry)
        slot = np.int64(gram & mask)
        found = np.int64(load(table, slot))
        while found >= 0 and load(grams, found) != gram:
            slot = np.int64((np.uint64(slot) + _1) & mask)
            found = np.int64(load(table, slot))
        if found < 0:
            table[slot] = found = entry
        else:
            counts[found] = np.int64(load(counts, found)) + 1
        first[entry] = found
    best, place, longest = 1, 0, 0
    for entry in range(entries):
        best = max(best, np.int64(load(counts, entry)))
    if best > 1:
        for entry in range(entries):
            if load(counts, entry) == best:
                at = np.int64(load(room.places, entry))
                length = sums[at + n] - sums[at]
                if longest == 0 or length > longest:
                    place, longest = at, length
                if style != UNION:
                    break
    return best, place


@kernel
def _duplicates(entries: int, n: int, style: int, room: NgramRoom) -> int:
    """Return the characters in repeated n-grams, by the style (not DATATROVE)."""
    first, counts, sums = room.first, room.counts, room.sums
    result, covered, last = 0, 0, -n
    for entry in range(entries):
        at = np.int64(room.places[entry])
        if style == UNION:
            if counts[first[entry]] > 1:
                begin = max(at, covered)
                result += sums[at + n] - sums[begin]
                covered = at + n
        elif style == DOLMA:
            if counts[first[entry]] > 1:
                result += sums[at + n] - sums[at]
        elif first[entry] != entry:
            overlap = max(last + n - at, 0)
            result += sums[at + n] - sums[at + overlap] + min(n - overlap, n - 1)
            last = at
    return result


@kernel
def _text_statistics(
    words: Words, word: int, count: int, style: int, room: NgramRoom, out: NgramCounts, text: int
) -> None:
    """Fill the rows of one text, the words [word, word + count); room.sums: characters before each of them."""
    room.sums[0] = 0
    for at in range(count):
        room.sums[at + 1] = room.sums[at] + np.int64(load(words.chars, word + at))
    sums, entries = room.sums, np.int64(0)  # numba would compile what it is given to once more for a literal 0
    for n in range(2, LARGEST + 1):
        total = count - n + 1
        if total < 1 or (n > 4 and style == DATATROVE):
            break
        if n == 2:
            entries = _hash_pairs(words.hashes, word, total, room)
        elif entries:
            entries = _lengthen(words.hashes, word, n, entries, room)
        best, place = 1, 0
        if entries:
            best, place = _count_repeats(entries, n, style, room)
            if best < 2:
                entries = 0
        if n <= 4:
            length = sums[place + n] - sums[place] + (n - 1 if style == DATATROVE else 0)
            out.top[text, n - 2] = 0 if style == UNION and best < 2 else length * best
            out.place[text, n - 2] = place
            continue
        if entries:
            out.duplicate[text, n - 5] = _duplicates(entries, n, style, room)
        if style == DOLMA:
            for at in range(total):
                out.every[text, n - 5] += sums[at + n] - sums[at]


@njit(cache=True, nogil=True)
def _empty_rooms(words: Words, style: int) -> tuple[NgramRoom, JoinedRoom]:
    """Return room for the longest of the texts; for joined words only where the style is DATATROVE."""
    most, size = 1, 0
    for text in range(len(words.offsets) - 1):
        word, stop = words.offsets[text], words.offsets[text + 1]
        most = max(most, stop - word)
        if style == DATATROVE and stop > word:
            size = max(size, np.int64(words.end[stop - 1]) - np.int64(words.start[word]))
    joined = most + 1 if style == DATATROVE else 0
    return (
        NgramRoom(
            np.empty(most + 1, np.uint64),
            np.empty(most + 1, np.int32),
            np.empty(most + 1, np.int32),
            np.empty(most + 1, np.int32),
            np.empty(most + 1, np.int64),
            np.empty(table_size(most), np.int32),
            np.empty(set_size(most), np.uint8),
            np.empty(set_size(most), np.uint8),
        ),
        JoinedRoom(
            np.empty(size + PADDING, np.uint8),
            np.empty(joined, np.int64),
            np.empty(joined, np.int64),
            np.empty(joined, np.uint64),
        ),
    )


@njit(cache=True, nogil=True)
def ngram_statistics(data: np.ndarray, words: Words, style: int, out: NgramCounts) -> None:
    """Fill what is counted, by the style; data: uint8[bytes]. A text shorter than n words has 0 and place -1."""
    room, joined = _empty_rooms(words, style)
    for text in range(len(words.offsets) - 1):
        word = words.offsets[text]
        count = words.offsets[text + 1] - word
        out.top[text, :], out.place[text, :] = 0, -1
        out.duplicate[text, :], out.every[text, :] = 0, 0
        _text_statistics(words, word, count, style, room, out, text)
        if style == DATATROVE and count >= 5:
            joined_statistics(data, words, word, count, room, joined, out.duplicate[text])
