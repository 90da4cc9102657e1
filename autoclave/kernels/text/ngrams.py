"""Repeated word n-grams, n = 2 to 10, in the four ways that the published filters count them.

An n-gram can be repeated only where both (n-1)-grams inside it are, so the work falls off quickly with n: nearly all
of it is one table look-up a word for n = 2.
"""

# mypy: disable-error-code="call-arg,arg-type,var-annotated,assignment,has-type,return-value,operator,call-overload"
# (numba, not mypy, types the bodies of kernels)

from __future__ import annotations

import numpy as np
from numba import njit

from autoclave.kernels.text.memory import load, load64, store64
from autoclave.kernels.text.words import hash_bytes

DATATROVE, UNION, DOLMA, CURATOR = 0, 1, 2, 3
"""Styles. Top n-gram: characters with the spaces between words (DATATROVE), the longest of the most frequent (UNION),
without spaces (DOLMA). Duplicates: second and later occurrences in a greedy scan over the concatenated words
(DATATROVE), words covered by any occurrence (UNION), characters of all occurrences with overlaps counted again
(DOLMA), second and later occurrences without overlap (CURATOR)."""

LARGEST = 10
_MULTIPLIER = np.uint64(0x9FB21C651E98DF25)
_SHIFT = np.uint64(29)
_1 = np.uint64(1)
_ANCHOR = 16


@njit(cache=True, nogil=True)
def _table_size(entries: int) -> int:
    size = 4
    while size < 2 * entries:
        size *= 2
    return size


@njit(cache=True, nogil=True)
def _count_repeats(
    grams: np.ndarray,
    total: int,
    n: int,
    style: int,
    only: np.ndarray,
    table: np.ndarray,
    first: np.ndarray,
    counts: np.ndarray,
    sums: np.ndarray,
) -> tuple[int, int, int]:
    """Fill first[i], the first position with the n-gram of i, and counts there; return (repeats, best, place).

    For n > 2 only positions where only[i] and only[i + 1] hold, the repeated (n-1)-grams, can repeat; the others count
    once. best is the count of the top n-gram, place its first position: the earliest of the most frequent, in the
    style UNION the longest of them.
    """
    candidates = total
    if n > 2:
        candidates = 0
        for at in range(total):
            candidates += load(only, at) & load(only, at + 1)
    size = _table_size(candidates)
    table[:size] = -1
    mask = np.uint64(size - 1)
    repeats, best, place = 0, 1, 0
    for at in range(total):
        counts[at] = 1
        first[at] = at
        if n > 2 and not (load(only, at) and load(only, at + 1)):
            continue
        gram = load(grams, at)
        slot = np.int64(gram & mask)
        found = np.int64(load(table, slot))
        while found >= 0 and load(grams, found) != gram:
            slot = np.int64((np.uint64(slot) + _1) & mask)
            found = np.int64(load(table, slot))
        if found < 0:
            table[slot] = at
            continue
        first[at] = found
        count = np.int64(load(counts, found)) + 1
        counts[found] = count
        repeats += 1
        if count > best:
            best, place = count, found
        elif count == best and found != place:
            if style == UNION:
                longer = (sums[found + n] - sums[found]) - (sums[place + n] - sums[place])
                if longer > 0 or (longer == 0 and found < place):
                    place = found
            elif found < place:
                place = found
    return repeats, best, place


@njit(cache=True, nogil=True)
def _duplicates(total: int, n: int, style: int, first: np.ndarray, counts: np.ndarray, sums: np.ndarray) -> int:
    """Return the characters in repeated n-grams, by the style (not DATATROVE)."""
    result, covered, overlap = 0, 0, 0
    for at in range(total):
        if style == UNION:
            if counts[first[at]] > 1:
                begin = max(at, covered)
                result += sums[at + n] - sums[begin]
                covered = at + n
        elif style == DOLMA:
            if counts[first[at]] > 1:
                result += sums[at + n] - sums[at]
        else:
            if first[at] != at:
                result += sums[at + n] - sums[at + overlap] + min(n - overlap, n - 1)
                overlap = n
            overlap = max(overlap - 1, 0)
    return result


@njit(cache=True, nogil=True)
def _joined_duplicates(
    data: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    word: int,
    words: int,
    sums: np.ndarray,
    stream: np.ndarray,
    places: np.ndarray,
    anchors: np.ndarray,
    candidate: np.ndarray,
    chosen: np.ndarray,
    table: np.ndarray,
    result: np.ndarray,
) -> None:
    """Fill result[n - 5] for n = 5 to 10: characters repeated in datatrove's greedy scan over joined words.

    datatrove compares words glued together, so 'ab c' equals 'a bc'. Two equal strings of at least 16 bytes share
    their first 16, which singles out the few positions that can repeat; shorter n-grams are always looked up.
    """
    size, limit = 0, np.int64(len(data)) - 8
    for at in range(words):
        places[at] = size
        first, last = np.int64(start[word + at]), np.int64(end[word + at])
        if last - first <= 8 and first <= limit:
            store64(stream, size, load64(data, first))  # what is too much is overwritten by the next word
        else:
            for byte in range(last - first):
                stream[size + byte] = load(data, first + byte)
        size += last - first
    places[words] = size
    for byte in range(size, size + _ANCHOR):
        stream[byte] = 0
    for at in range(words):
        place = np.int64(places[at])
        value = (load64(stream, place) * _MULTIPLIER) ^ load64(stream, place + 8)
        value ^= value >> _SHIFT
        value *= _MULTIPLIER
        anchors[at] = value ^ (value >> _SHIFT)
    table_size = _table_size(words)
    table[:table_size] = -1
    mask = np.uint64(table_size - 1)
    for at in range(words):
        candidate[at] = False
        anchor = load(anchors, at)
        slot = np.int64(anchor & mask)
        found = np.int64(load(table, slot))
        while found >= 0 and load(anchors, found) != anchor:
            slot = np.int64((np.uint64(slot) + _1) & mask)
            found = np.int64(load(table, slot))
        if found < 0:
            table[slot] = at
        else:
            candidate[at] = True
            candidate[found] = True
    entries = 0  # what can repeat for n = 5 is all that can repeat for any n; from here on only that is looked at
    for at in range(words - 4):
        if load(candidate, at) or load(places, at + 5) - load(places, at) < _ANCHOR:
            chosen[entries] = at
            entries += 1
    table_size = _table_size(entries)
    mask = np.uint64(table_size - 1)
    for n in range(5, LARGEST + 1):
        repeated, allowed = 0, 0
        table[: table_size if entries > 1 else 0] = -1
        for index in range(entries if entries > 1 else 0):
            at = np.int64(load(chosen, index))
            if at < allowed or at > words - n:
                continue
            value = hash_bytes(stream, places[at], places[at + n])
            anchors[at] = value
            slot = np.int64(value & mask)
            while table[slot] >= 0 and anchors[table[slot]] != value:
                slot = np.int64((np.uint64(slot) + _1) & mask)
            if table[slot] < 0:
                table[slot] = at
            else:
                repeated += sums[at + n] - sums[at]
                allowed = at + n
        result[n - 5] = repeated


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
    most = 1
    for document in range(len(offsets) - 1):
        most = max(most, offsets[document + 1] - offsets[document])
    grams, table = np.empty(most + 1, np.uint64), np.empty(_table_size(most), np.int32)
    first, counts = np.empty(most + 1, np.int32), np.empty(most + 1, np.int32)
    sums, repeats = np.empty(most + 1, np.int64), np.empty(most + 2, np.bool_)
    joined = most if style == DATATROVE else 0
    size = 0
    for document in range(len(offsets) - 1 if joined else 0):
        if offsets[document + 1] > offsets[document]:
            size = max(size, np.int64(end[offsets[document + 1] - 1]) - np.int64(start[offsets[document]]))
    stream, places = np.empty(size + _ANCHOR + 8, np.uint8), np.empty(joined + 1, np.int64)
    anchors, candidate = np.empty(joined, np.uint64), np.empty(joined, np.bool_)
    chosen = np.empty(joined, np.int32)
    result = np.zeros(6, np.int64)
    for document in range(len(offsets) - 1):
        word = offsets[document]
        words = offsets[document + 1] - word
        top[document, :], top_place[document, :] = 0, -1
        duplicate[document, :], all_chars[document, :] = 0, 0
        sums[0] = 0
        for at in range(words):
            sums[at + 1] = sums[at] + np.int64(chars[word + at])
            grams[at] = hashes[word + at]
        live, best, place = True, 1, 0
        for n in range(2, LARGEST + 1):
            total = words - n + 1
            if total < 1 or (n > 4 and style == DATATROVE):
                break
            if live:
                for at in range(total):
                    value = (load(grams, at) ^ (load(hashes, word + at + n - 1) >> _1)) * _MULTIPLIER
                    grams[at] = value ^ (value >> _SHIFT)
                repeated, best, place = _count_repeats(grams, total, n, style, repeats, table, first, counts, sums)
                live = repeated > 0
                for at in range(total if live else 0):
                    repeats[at] = load(counts, np.int64(load(first, at))) > 1
            else:
                best, place = 1, 0
            if n <= 4:
                length = sums[place + n] - sums[place] + (n - 1 if style == DATATROVE else 0)
                top[document, n - 2] = 0 if style == UNION and best < 2 else length * best
                top_place[document, n - 2] = place
                continue
            if live:
                duplicate[document, n - 5] = _duplicates(total, n, style, first, counts, sums)
            if style == DOLMA:
                for at in range(total):
                    all_chars[document, n - 5] += sums[at + n] - sums[at]
        if style == DATATROVE and words >= 5:
            _joined_duplicates(
                data, start, end, word, words, sums, stream, places, anchors, candidate, chosen, table, result
            )  # fmt: skip
            for n in range(6):
                duplicate[document, n] = result[n]
