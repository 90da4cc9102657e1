"""Repeated n-grams of words glued together, n = 5 to 10, as datatrove counts them: 'ab c' equals 'a bc'."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from autoclave.kernels.text.raw.memory import copy_bytes, inlined, kernel, load, load64, store64
from autoclave.kernels.text.rules.repeats import NgramRoom, share_a_key, table_size
from autoclave.kernels.text.words.arrays import Words
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


class JoinedRoom(NamedTuple):
    """Where the words of one text are glued together.

    stream: uint8, room for their bytes and PADDING; joints: int64, where each word begins in the stream and the last
    ends; limits: int64, bytes that a repeated n-gram of at least five words from a word on stays below; keys: uint64;
    all but the stream room for one of each word and one more.
    """

    stream: np.ndarray
    joints: np.ndarray
    limits: np.ndarray
    keys: np.ndarray


@inlined
def _join(data: np.ndarray, words: Words, word: int, count: int, joined: JoinedRoom) -> None:
    """Fill the stream and the joints with the words [word, word + count), and PADDING zeros after them."""
    stream, size, limit = joined.stream, 0, np.int64(len(data)) - 16
    for at in range(count):
        joined.joints[at] = size
        first, last = np.int64(load(words.start, word + at)), np.int64(load(words.end, word + at))
        if last - first <= 16 and first <= limit:
            store64(stream, size, load64(data, first))  # what is too much is overwritten by the next word
            store64(stream, size + 8, load64(data, first + 8))
        else:
            copy_bytes(data, first, last, stream, size)
        size += last - first
    joined.joints[count] = size
    for at in range(size, size + PADDING):
        stream[at] = 0


@inlined
def _mix(key: np.uint64, letters: np.uint64) -> np.uint64:
    value = (key ^ letters) * _MULTIPLIER
    return value ^ (value >> _SHIFT)


@inlined
def _limit_all(count: int, room: NgramRoom, joined: JoinedRoom) -> int:
    """Set all limits to _ANCHOR; return how many words share that many bytes with others, left in room.places."""
    for at in range(count):
        place = np.int64(load(joined.joints, at))
        key = _mix(load64(joined.stream, place) * _MULTIPLIER, load64(joined.stream, place + 8))
        room.grams[at] = key ^ (key >> _32)
        joined.limits[at] = _ANCHOR
    return share_a_key(room.grams, count, room.seen, room.again, room.places)


@inlined
def _limit_long(alive: int, room: NgramRoom, joined: JoinedRoom) -> None:
    """Raise the limits of the words room.places[:alive], which share their first _ANCHOR bytes with others."""
    stream, limits, keys, chosen, picked = joined.stream, joined.limits, joined.keys, room.places, room.first
    for index in range(alive):
        keys[index] = room.grams[chosen[index]]
    size = _ANCHOR
    for longer in _LONGER:
        for index in range(alive):
            at = np.int64(load(chosen, index))
            place, key = np.int64(load(joined.joints, at)), load(keys, index)
            for offset in range(size, longer, 8):
                key = _mix(key, load64(stream, place + offset))
            keys[index], limits[at] = key ^ (key >> _32), longer
        shared = share_a_key(keys, alive, room.seen, room.again, picked)
        for index in range(shared):
            chosen[index] = chosen[picked[index]]
            keys[index] = keys[picked[index]]
            limits[chosen[index]] = _NO_LIMIT
        alive, size = shared, longer


@inlined
def _limit_short(count: int, room: NgramRoom, joined: JoinedRoom) -> None:
    """Lower the limits of words whose five words are shorter than _ANCHOR bytes and share fewer with no other."""
    stream, joints, limits, keys = joined.stream, joined.joints, joined.limits, joined.keys
    chosen, picked, short = room.places, room.first, 0
    for at in range(count - 4):
        chosen[short] = at
        short += load(joints, at + 5) - load(joints, at) < _ANCHOR
    for size in (8, 12):
        for index in range(short):
            place = np.int64(load(joints, np.int64(load(chosen, index))))
            key = _mix(load64(stream, place), load64(stream, place + size - 8))
            keys[index] = key ^ (key >> _32)
        shared, first = share_a_key(keys, short, room.seen, room.again, picked), 0
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
def _joined_duplicates(count: int, room: NgramRoom, joined: JoinedRoom, result: np.ndarray) -> None:
    """Fill result[n - 5] for n = 5 to 10: characters repeated in datatrove's greedy scan over joined words."""
    joints, limits, chosen, table, hashes, sums = (
        joined.joints, joined.limits, room.places, room.table, room.grams, room.sums,
    )  # fmt: skip
    entries = 0
    for at in range(count - 4):
        chosen[entries] = at
        entries += load(joints, at + 5) - load(joints, at) < load(limits, at)
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
            if at < allowed or at > count - n:
                continue
            begin, stop = np.int64(load(joints, at)), np.int64(load(joints, at + n))
            if stop - begin >= load(limits, at):
                continue
            value = hash_bytes(joined.stream, begin, stop)
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
    data: np.ndarray, words: Words, word: int, count: int, room: NgramRoom, joined: JoinedRoom, result: np.ndarray
) -> None:
    """Fill result, int64[6], for n = 5 to 10 from the words [word, word + count) of a text in data, uint8[bytes].

    room.sums: the characters before each of them; the rest of room, and joined, may hold anything. Two equal strings
    of at least b bytes share their first b, so a word that shares its first b bytes with no other begins no repeated
    n-gram that long. That is asked for 16 bytes of all words, for more of those that share them, and for less among
    the words whose five words are shorter than that; only what is left is counted in a table.
    """
    _join(data, words, word, count, joined)
    _limit_long(_limit_all(count, room, joined), room, joined)
    _limit_short(count, room, joined)
    _joined_duplicates(count, room, joined, result)
