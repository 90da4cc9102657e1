"""Repeated word n-grams, n = 2 to 10, in the four ways that the published filters count them.

An n-gram can be repeated only where both (n-1)-grams inside it are, so the work falls off quickly with n: nearly all
of it is one table look-up a word for n = 2.
"""

from __future__ import annotations

import numpy as np
from numba import njit

DATATROVE, UNION, DOLMA, CURATOR = 0, 1, 2, 3
"""Styles. Top n-gram: characters with the spaces between words (DATATROVE), the longest of the most frequent (UNION),
without spaces (DOLMA). Duplicates: second and later occurrences in a greedy scan over the concatenated words
(DATATROVE), words covered by any occurrence (UNION), characters of all occurrences with overlaps counted again
(DOLMA), second and later occurrences without overlap (CURATOR)."""

LARGEST = 10
_MULTIPLIER = np.uint64(0x9FB21C651E98DF25)
_POLYNOMIAL = np.uint64(0x5851F42D4C957F2D)
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
    only: np.ndarray,
    restrict: bool,
    table: np.ndarray,
    first: np.ndarray,
    counts: np.ndarray,
) -> int:
    """Fill first[i], the first position with the n-gram of i, and counts there; return how many positions repeat.

    With restrict, only positions where only[i] and only[i + 1] hold can repeat; the others count once.
    """
    candidates = total
    if restrict:
        candidates = 0
        for at in range(total):
            if only[at] and only[at + 1]:
                candidates += 1
    size = _table_size(candidates)
    table[:size] = -1
    mask = np.uint64(size - 1)
    repeats = 0
    for at in range(total):
        counts[at] = 1
        first[at] = at
        if restrict and not (only[at] and only[at + 1]):
            continue
        slot = grams[at] & mask
        while table[slot] >= 0 and grams[table[slot]] != grams[at]:
            slot = (slot + _1) & mask
        found = table[slot]
        if found < 0:
            table[slot] = at
        else:
            first[at] = found
            counts[found] += 1
            repeats += 1 if counts[found] > 2 else 2
    return repeats


@njit(cache=True, nogil=True)
def _top(total: int, n: int, style: int, first: np.ndarray, counts: np.ndarray, sums: np.ndarray) -> tuple[int, int]:
    """Return (characters of the top n-gram times its count, its first position)."""
    best, place = 0, 0
    for at in range(total):
        if first[at] != at:
            continue
        longer = style == UNION and counts[at] == best and sums[at + n] - sums[at] > sums[place + n] - sums[place]
        if counts[at] > best or longer:
            best, place = np.int64(counts[at]), at
    length = sums[place + n] - sums[place]
    if style == DATATROVE:
        length += n - 1
    if style == UNION and best < 2:
        return 0, place
    return length * best, place


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
def _power(exponent: int) -> np.uint64:
    result, base = _1, _POLYNOMIAL
    while exponent:
        if exponent & 1:
            result *= base
        base *= base
        exponent >>= 1
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
    powers: np.ndarray,
    places: np.ndarray,
    prefix: np.ndarray,
    anchors: np.ndarray,
    candidate: np.ndarray,
    table: np.ndarray,
    grams: np.ndarray,
    result: np.ndarray,
) -> None:
    """Fill result[n - 5] for n = 5 to 10: characters repeated in datatrove's greedy scan over joined words.

    datatrove compares words glued together, so 'ab c' equals 'a bc'. Two equal strings of at least 16 bytes share
    their first 16, which singles out the few positions that can repeat; shorter n-grams are always looked up.
    """
    size, value = 0, np.uint64(0)
    for at in range(words):
        places[at], prefix[at] = size, value
        for byte in range(start[word + at], end[word + at]):
            stream[size] = data[byte]
            value = value * _POLYNOMIAL + np.uint64(data[byte]) + _1
            size += 1
    places[words], prefix[words] = size, value
    for at in range(words):
        value = np.uint64(0)
        stop = min(places[at] + _ANCHOR, size)
        for byte in range(places[at], stop):
            value = (value ^ np.uint64(stream[byte])) * _MULTIPLIER
        value ^= value >> _SHIFT
        anchors[at] = value
    table_size = _table_size(words)
    table[:table_size] = -1
    mask = np.uint64(table_size - 1)
    for at in range(words):
        candidate[at] = False
        slot = anchors[at] & mask
        while table[slot] >= 0 and anchors[table[slot]] != anchors[at]:
            slot = (slot + _1) & mask
        if table[slot] < 0:
            table[slot] = at
        else:
            candidate[at] = True
            candidate[table[slot]] = True
    for n in range(5, LARGEST + 1):
        total, entries = words - n + 1, 0
        for at in range(total):
            if candidate[at] or places[at + n] - places[at] < _ANCHOR:
                entries += 1
        repeated, allowed = 0, 0
        if entries > 1:
            table_size = _table_size(entries)
            table[:table_size] = -1
            mask = np.uint64(table_size - 1)
            for at in range(total):
                length = places[at + n] - places[at]
                if at < allowed or not (candidate[at] or length < _ANCHOR):
                    continue
                factor = powers[length] if length < len(powers) else _power(length)
                value = prefix[at + n] - prefix[at] * factor
                value = (value ^ np.uint64(length)) * _MULTIPLIER
                value ^= value >> _SHIFT
                grams[at] = value
                slot = value & mask
                while table[slot] >= 0 and grams[table[slot]] != value:
                    slot = (slot + _1) & mask
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
    if joined:
        for document in range(len(offsets) - 1):
            if offsets[document + 1] > offsets[document]:
                size = max(size, np.int64(end[offsets[document + 1] - 1]) - np.int64(start[offsets[document]]))
    stream, powers = np.empty(size, np.uint8), np.empty(1024 if joined else 0, np.uint64)
    places, prefix = np.empty(joined + 1, np.int64), np.empty(joined + 1, np.uint64)
    anchors, candidate = np.empty(joined, np.uint64), np.empty(joined, np.bool_)
    value = _1
    for at in range(len(powers)):
        powers[at] = value
        value *= _POLYNOMIAL
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
        live = True
        for n in range(2, LARGEST + 1):
            total = words - n + 1
            if total < 1 or (n > 4 and style == DATATROVE):
                break
            for at in range(total):
                grams[at] = (grams[at] ^ (hashes[word + at + n - 1] >> _1)) * _MULTIPLIER
                grams[at] ^= grams[at] >> _SHIFT
            if live:
                live = _count_repeats(grams, total, repeats, n > 2, table, first, counts) > 0
                for at in range(total):
                    repeats[at] = counts[first[at]] > 1
            elif n <= 4:
                first[0], counts[0] = 0, 1
            if n <= 4:
                top[document, n - 2], top_place[document, n - 2] = _top(
                    total if live else 1, n, style, first, counts, sums
                )
                continue
            if live:
                duplicate[document, n - 5] = _duplicates(total, n, style, first, counts, sums)
            if style == DOLMA:
                for at in range(total):
                    all_chars[document, n - 5] += sums[at + n] - sums[at]
        if style == DATATROVE and words >= 5:
            _joined_duplicates(
                data,
                start,
                end,
                word,
                words,
                sums,
                stream,
                powers,
                places,
                prefix,
                anchors,
                candidate,
                table,
                grams,
                result,
            )
            for n in range(6):
                duplicate[document, n] = result[n]
