"""Finding what occurs twice: bit sets that single out the few candidates without a branch that depends on the text."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from autoclave.kernels.text.raw.memory import inlined, load


class NgramRoom(NamedTuple):
    """Where the n-grams of one text are counted; room for one of each word and one more.

    Entries are the n-grams that may be repeated, ascending: grams: uint64, their hashes; places: int32, their
    positions; first: int32, the first entry with the same n-gram; counts: int32, how many have it, at the first of
    them. sums: int64, the characters before each word. table: int32 [table_size(words)]; seen, again: uint8
    [set_size(words)].
    """

    grams: np.ndarray
    places: np.ndarray
    first: np.ndarray
    counts: np.ndarray
    sums: np.ndarray
    table: np.ndarray
    seen: np.ndarray
    again: np.ndarray


@inlined
def table_size(entries: int) -> int:
    """Return the slots of an open-addressing table for so many entries: twice as many at least, a power of two."""
    size = 4
    while size < 2 * entries:
        size *= 2
    return size


@inlined
def set_size(keys: int) -> int:
    """Return the bytes of a bit set for so many keys: at least 16 bits a key, a power of two."""
    size = 8
    while size < 2 * keys:
        size *= 2
    return size


@inlined
def share_a_key(keys: np.ndarray, total: int, seen: np.ndarray, again: np.ndarray, chosen: np.ndarray) -> int:
    """Fill chosen (int32) with the positions, ascending, whose key another one has, and a few more; return how many.

    keys: uint64, chosen: int32, both at least `total` elements long; seen, again: uint8 bit sets of at least
    `set_size(total)` bytes.
    """
    size = set_size(total)
    for byte in range(size):
        seen[byte] = 0
        again[byte] = 0
    mask = np.uint64(8 * size - 1)
    count = 0
    for at in range(total):
        slot = np.int64(load(keys, at) & mask)
        bits, bit = np.int64(load(seen, slot >> 3)), slot & 7
        chosen[count] = at
        count += bits >> bit & 1
        seen[slot >> 3] = bits | 1 << bit
    if count == 0:
        return 0
    for index in range(count):
        slot = np.int64(load(keys, np.int64(load(chosen, index))) & mask)
        again[slot >> 3] = np.int64(load(again, slot >> 3)) | 1 << (slot & 7)
    count = 0
    for at in range(total):
        slot = np.int64(load(keys, at) & mask)
        chosen[count] = at
        count += np.int64(load(again, slot >> 3)) >> (slot & 7) & 1
    return count
