"""Repeated word n-grams, n = 2 to 10, in the four ways that the published filters count them.

An n-gram can be repeated only where both (n-1)-grams inside it are, so the work falls off quickly with n: only
what `repeats.py` singles out for n = 2 is counted in a table. Words glued together, n = 5 to 10, are in `joined.py`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from autoclave.kernels.text.raw.memory import inlined, kernel, load
from autoclave.kernels.text.rules.joined_ngrams import LARGEST, PADDING, joined_statistics
from autoclave.kernels.text.rules.repeats import set_size, share_a_key, table_size

DATATROVE, UNION, DOLMA, CURATOR = 0, 1, 2, 3
"""Styles. Top n-gram: characters with the spaces between words (DATATROVE), the longest of the most frequent (UNION),
without spaces (DOLMA). Duplicates: second and later occurrences in a greedy scan over the concatenated words
(DATATROVE), words covered by any occurrence (UNION), characters of all occurrences with overlaps counted again
(DOLMA), second and later occurrences without overlap (CURATOR)."""

_MULTIPLIER = np.uint64(0x9FB21C651E98DF25)
_SHIFT = np.uint64(29)
_1 = np.uint64(1)


@inlined
def _count_repeats(
    grams: np.ndarray,
    places: np.ndarray,
    entries: int,
    n: int,
    style: int,
    table: np.ndarray,
    first: np.ndarray,
    counts: np.ndarray,
    sums: np.ndarray,
) -> tuple[int, int]:
    """Fill first[i], the first entry with the n-gram of entry i, and counts there; return (best, place).

    grams, places: hashes and positions of the entries, ascending. best is the count of the top n-gram, place its
    first position: the earliest of the most frequent, in the style UNION the longest of them.
    """
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
                at = np.int64(load(places, entry))
                length = sums[at + n] - sums[at]
                if longest == 0 or length > longest:
                    place, longest = at, length
                if style != UNION:
                    break
    return best, place


@kernel
def _duplicates(
    places: np.ndarray, entries: int, n: int, style: int, first: np.ndarray, counts: np.ndarray, sums: np.ndarray
) -> int:
    """Return the characters in repeated n-grams, by the style (not DATATROVE)."""
    result, covered, last = 0, 0, -n
    for entry in range(entries):
        at = np.int64(places[entry])
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
def _document_statistics(
    data: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    chars: np.ndarray,
    hashes: np.ndarray,
    word: int,
    words: int,
    style: int,
    grams: np.ndarray,
    places: np.ndarray,
    first: np.ndarray,
    counts: np.ndarray,
    sums: np.ndarray,
    table: np.ndarray,
    seen: np.ndarray,
    again: np.ndarray,
    top: np.ndarray,
    top_place: np.ndarray,
    duplicate: np.ndarray,
    all_chars: np.ndarray,
) -> None:
    """Fill top, top_place, duplicate and all_chars of one document, rows of the arrays of `ngram_statistics`."""
    sums[0] = 0
    for at in range(words):
        sums[at + 1] = sums[at] + np.int64(load(chars, word + at))
    entries = 0
    for n in range(2, LARGEST + 1):
        total = words - n + 1
        if total < 1 or (n > 4 and style == DATATROVE):
            break
        if n == 2:
            for at in range(total):
                value = (load(hashes, word + at) ^ (load(hashes, word + at + 1) >> _1)) * _MULTIPLIER
                grams[at] = value ^ (value >> _SHIFT)
            entries = share_a_key(grams, total, seen, again, places)
            for entry in range(entries):
                grams[entry] = load(grams, np.int64(load(places, entry)))
        elif entries:
            kept, before = 0, entries
            repeats = load(counts, np.int64(load(first, 0))) > 1
            for entry in range(before - 1):  # half of them stay, so no branch
                at, next_repeats = np.int64(load(places, entry)), load(counts, np.int64(load(first, entry + 1))) > 1
                value = (load(grams, entry) ^ (load(hashes, word + at + n - 1) >> _1)) * _MULTIPLIER
                grams[kept], places[kept] = value ^ (value >> _SHIFT), at
                kept += repeats & next_repeats & (load(places, entry + 1) == at + 1)
                repeats = next_repeats
            entries = kept
        best, place = 1, 0
        if entries:
            best, place = _count_repeats(grams, places, entries, n, style, table, first, counts, sums)
            if best < 2:
                entries = 0
        if n <= 4:
            length = sums[place + n] - sums[place] + (n - 1 if style == DATATROVE else 0)
            top[n - 2] = 0 if style == UNION and best < 2 else length * best
            top_place[n - 2] = place
            continue
        if entries:
            duplicate[n - 5] = _duplicates(places, entries, n, style, first, counts, sums)
        if style == DOLMA:
            for at in range(total):
                all_chars[n - 5] += sums[at + n] - sums[at]


@njit(cache=True, nogil=True)
def ngram_statistics(
    data: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    chars: np.ndarray,
    hashes: np.ndarray,
    offsets: np.ndarray,
    style: int,
    top: np.ndarray,
    top_place: np.ndarray,
    duplicate: np.ndarray,
    all_chars: np.ndarray,
) -> None:
    """Fill per document: top[:, n - 2] and its place (n = 2 to 4), duplicate[:, n - 5] (n = 5 to 10), all int64.

    all_chars[:, n - 5] is the sum of the characters of all n-grams, the denominator of the DOLMA style. A document
    shorter than n words has 0 everywhere and place -1.
    """
    most, size = 1, 0
    for document in range(len(offsets) - 1):
        word, stop = offsets[document], offsets[document + 1]
        most = max(most, stop - word)
        if style == DATATROVE and stop > word:
            size = max(size, np.int64(end[stop - 1]) - np.int64(start[word]))
    grams, table = np.empty(most + 1, np.uint64), np.empty(table_size(most), np.int32)
    places, first, counts = np.empty(most + 1, np.int32), np.empty(most + 1, np.int32), np.empty(most + 1, np.int32)
    sums = np.empty(most + 1, np.int64)
    seen, again = np.empty(set_size(most), np.uint8), np.empty(set_size(most), np.uint8)
    joined = most + 1 if style == DATATROVE else 0
    stream, keys = np.empty(size + PADDING, np.uint8), np.empty(joined, np.uint64)
    joints, limits = np.empty(joined, np.int64), np.empty(joined, np.int64)
    for document in range(len(offsets) - 1):
        word = offsets[document]
        words = offsets[document + 1] - word
        top[document, :], top_place[document, :] = 0, -1
        duplicate[document, :], all_chars[document, :] = 0, 0
        _document_statistics(
            data, start, end, chars, hashes, word, words, style, grams, places, first, counts, sums, table, seen, again,
            top[document], top_place[document], duplicate[document], all_chars[document],
        )  # fmt: skip
        if style == DATATROVE and words >= 5:
            joined_statistics(
                data, start, end, word, words, sums, stream, joints, limits, grams, keys, places, first, seen, again,
                table, duplicate[document],
            )  # fmt: skip
