"""Repeated n-grams of words glued together, n = 5 to 10, as datatrove counts them: 'ab c' equals 'a bc'."""

from __future__ import annotations

import numpy as np

from autoclave.kernels.text.raw.memory import copy_bytes, inlined, kernel, load, load64, store64
from autoclave.kernels.text.rules.repeats import share_a_key, table_size
from autoclave.kernels.text.words.kinds import hash_bytes

LARGEST = 10
"""Words of the longest n-gram."""

PADDING = 72
"""Bytes of zeros after the joined words."""

_ANCHOR = 16
_LONGER = (24, 32, 48, 64)
_NO_LIMIT = 1 << 40
_MULTIPLIER = np.uint64(0x9FB21C651E98DF25)
_SHIFT, _32, _1 = np.uint64(29), np.uint64(32), np.uint64(1)


@inlined
def _join(
    data: np.ndarray, start: np.ndarray, end: np.ndarray, word: int, words: int, stream: np.ndarray, places: np.ndarray
) -> None:
    """Write the words one after another to `stream` and where each begins, and the last ends, to `places`.

    The stream has room for `PADDING` bytes more, which are filled with zeros.
    """
    size, limit = 0, np.int64(len(data)) - 16
    for at in range(words):
        places[at] = size
        first, last = np.int64(load(start, word + at)), np.int64(load(end, word + at))
        if last - first <= 16 and first <= limit:
            store64(stream, size, load64(data, first))  # what is too much is overwritten by the next word
            store64(stream, size + 8, load64(data, first + 8))
        else:
            copy_bytes(data, first, last, stream, size)
        size += last - first
    places[words] = size
    for at in range(size, size + PADDING):
        stream[at] = 0


@inlined
def _mix(key: np.uint64, letters: np.uint64) -> np.uint64:
    value = (key ^ letters) * _MULTIPLIER
    return value ^ (value >> _SHIFT)


@inlined
def _find_limits(
    words: int,
    stream: np.ndarray,
    places: np.ndarray,
    anchors: np.ndarray,
    keys: np.ndarray,
    chosen: np.ndarray,
    picked: np.ndarray,
    seen: np.ndarray,
    again: np.ndarray,
    limits: np.ndarray,
) -> None:
    """Fill limits (int64) with bytes that a repeated joined n-gram of at least five words from a word on stays below.

    Two equal strings of at least b bytes share their first b, so a word that shares its first b bytes with no other
    begins no repeated n-gram that long. That is asked for 16 bytes of all words, for more of those that share them,
    and for less among the words whose five words are shorter than that.
    """
    for at in range(words):
        place = np.int64(load(places, at))
        key = _mix(load64(stream, place) * _MULTIPLIER, load64(stream, place + 8))
        anchors[at] = key ^ (key >> _32)
        limits[at] = _ANCHOR
    alive = share_a_key(anchors, words, seen, again, chosen)
    for index in range(alive):
        keys[index] = anchors[chosen[index]]
    size = _ANCHOR
    for longer in _LONGER:
        for index in range(alive):
            at = np.int64(load(chosen, index))
            place, key = np.int64(load(places, at)), load(keys, index)
            for offset in range(size, longer, 8):
                key = _mix(key, load64(stream, place + offset))
            keys[index], limits[at] = key ^ (key >> _32), longer
        shared = share_a_key(keys, alive, seen, again, picked)
        for index in range(shared):
            chosen[index] = chosen[picked[index]]
            keys[index] = keys[picked[index]]
            limits[chosen[index]] = _NO_LIMIT
        alive, size = shared, longer
    short = 0
    for at in range(words - 4):
        chosen[short] = at
        short += load(places, at + 5) - load(places, at) < _ANCHOR
    for size in (8, 12):
        for index in range(short):
            place = np.int64(load(places, np.int64(load(chosen, index))))
            key = _mix(load64(stream, place), load64(stream, place + size - 8))
            keys[index] = key ^ (key >> _32)
        shared, first = share_a_key(keys, short, seen, again, picked), 0
        for index in range(shared + 1):  # those in between share it with none
            last = np.int64(picked[index]) if index < shared else short
            for alone in range(first, last):
                if limits[chosen[alone]] == _ANCHOR:
                    limits[chosen[alone]] = size
            first = last + 1
        for index in range(shared):
            chosen[index] = chosen[picked[index]]
        short = shared


@inlined
def _joined_duplicates(
    words: int,
    stream: np.ndarray,
    places: np.ndarray,
    limits: np.ndarray,
    chosen: np.ndarray,
    sums: np.ndarray,
    hashes: np.ndarray,
    table: np.ndarray,
    result: np.ndarray,
) -> None:
    """Fill result[n - 5] for n = 5 to 10: characters repeated in datatrove's greedy scan over joined words.

    limits: of `_find_limits`; chosen (int32), hashes: room for one of each word.
    """
    entries = 0
    for at in range(words - 4):
        chosen[entries] = at
        entries += load(places, at + 5) - load(places, at) < load(limits, at)
    if entries < 2:
        for n in range(6):
            result[n] = 0
        return
    size = table_size(entries)
    mask = np.uint64(size - 1)
    for n in range(5, LARGEST + 1):
        repeated, allowed = 0, 0
        for slot in range(size):
            table[slot] = -1
        for index in range(entries):
            at = np.int64(load(chosen, index))
            if at < allowed or at > words - n:
                continue
            begin, stop = np.int64(load(places, at)), np.int64(load(places, at + n))
            if stop - begin >= load(limits, at):
                continue
            value = hash_bytes(stream, begin, stop)
            hashes[at] = value
            slot = np.int64(value & mask)
            found = np.int64(load(table, slot))
            while found >= 0 and load(hashes, found) != value:
                slot = np.int64((np.uint64(slot) + _1) & mask)
                found = np.int64(load(table, slot))
            if found < 0:
                table[slot] = at
            else:
                repeated += sums[at + n] - sums[at]
                allowed = at + n
        result[n - 5] = repeated


@kernel
def joined_statistics(
    data: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    word: int,
    words: int,
    sums: np.ndarray,
    stream: np.ndarray,
    places: np.ndarray,
    limits: np.ndarray,
    anchors: np.ndarray,
    keys: np.ndarray,
    chosen: np.ndarray,
    picked: np.ndarray,
    seen: np.ndarray,
    again: np.ndarray,
    table: np.ndarray,
    result: np.ndarray,
) -> None:
    """Fill result[n - 5] for n = 5 to 10 from the words [word, word + words) of a document; the rest is working room.

    sums: int64 [words + 1], characters before each word. Room: stream for the bytes of the words and PADDING;
    places, limits int64, anchors, keys uint64, chosen, picked int32, for words + 1; seen, again as `share_a_key` has
    them; table int32 [table_size(words)].
    """
    _join(data, start, end, word, words, stream, places)
    _find_limits(words, stream, places, anchors, keys, chosen, picked, seen, again, limits)
    _joined_duplicates(words, stream, places, limits, chosen, sums, anchors, table, result)
