"""Dictionaries of scripts without spaces: their tables, and the cheapest split that begins with an entry."""

from __future__ import annotations

import numpy as np

from autoclave.kernels.text.characters import character_width, decode
from autoclave.kernels.text.code_points import DIGIT_0, NEWLINE, SPACE
from autoclave.kernels.text.raw.memory import inlined, kernel, load
from autoclave.kernels.text.words.arrays import Dictionary

_POINT_SEED = np.uint64(0x2545F4914F6CDD1D)
_POINT_MULTIPLIER = np.uint64(0xD6E8FEB86659FD93)
_SHIFT = np.uint64(32)
_1 = np.uint64(1)

PAIR_BITS = 19
"""Bits of the hash of two characters: 64 KiB of them, one in twelve set."""

_PAIR_SHIFT = np.uint64(64 - PAIR_BITS)


@inlined
def mix_point(value: np.uint64, point: int) -> np.uint64:
    """Return the hash of a character sequence lengthened by `point`; begin with 0."""
    value = (value ^ np.uint64(point) ^ _POINT_SEED) * _POINT_MULTIPLIER
    return value ^ (value >> _SHIFT)


def mix_points(word: str, value: int = 0) -> int:
    """Return what `mix_point` makes of all characters, in plain integers: no compiled call at start-up."""
    for letter in word:
        value = ((value ^ ord(letter) ^ int(_POINT_SEED)) * int(_POINT_MULTIPLIER)) % 2**64
        value ^= value >> 32
    return value


@inlined
def find_slot(keys: np.ndarray, value: np.uint64) -> int:
    """Return the place of `value` (not 0) in an open-addressing table, uint64[slots], or the free place for it."""
    mask = np.uint64(len(keys) - 1)
    slot = np.int64(value & mask)
    while load(keys, slot) != value and load(keys, slot) != 0:
        slot = np.int64((np.uint64(slot) + _1) & mask)
    return slot


@inlined
def pair_bit(value: np.uint64) -> int:
    """Return the bit of `Dictionary.pairs` for the hash of two characters."""
    return np.int64(value >> _PAIR_SHIFT)


@kernel
def build_table(data: np.ndarray, dictionary: Dictionary) -> int:
    """Fill a dictionary with words and their prefixes; return the number of keys.

    data: uint8[bytes], lines of a cost in eighths of a bit and words after it, all separated by single spaces;
    dictionary: keys and pairs zeros, keys at least twice as many as words and prefixes; singles the cost of an unknown
    character.
    """
    keys, costs, singles = dictionary.keys, dictionary.costs, dictionary.singles
    at, entries, size = 0, 0, len(data)
    while at < size:
        cost = 0
        while data[at] != SPACE:
            cost = 10 * cost + np.int64(data[at]) - DIGIT_0
            at += 1
        while at < size and data[at] != NEWLINE:
            at += 1
            value, length, point = np.uint64(0), 0, 0
            while at < size and data[at] != SPACE and data[at] != NEWLINE:
                point = decode(data, at)
                value = mix_point(value, point)
                length += 1
                at += character_width(np.int64(data[at]))
                slot = find_slot(keys, value)
                if keys[slot] == 0:
                    keys[slot], costs[slot] = value, np.inf
                    entries += 1
                if length == 2:
                    bit = pair_bit(value)
                    dictionary.pairs[bit >> 3] |= 1 << (bit & 7)
                if at == size or data[at] == SPACE or data[at] == NEWLINE:
                    costs[slot] = min(costs[slot], np.float32(cost / 8))
                    if length == 1 and point < len(singles):
                        singles[point] = min(singles[point], costs[slot])
        at += 1
    return entries


@inlined
def best_entry(
    points: np.ndarray, at: int, longest: int, dictionary: Dictionary, costs: np.ndarray, best: np.float32, step: int
) -> tuple[np.float32, int]:
    """Return the cost and length of the cheapest split that begins with an entry of up to `longest` characters at `at`.

    points: int32[characters]; costs: float32[characters + 1], of the splits from each place to the right of `at`,
    infinite where none may begin; best, step: what holds where no entry costs at most as much; of equals the longer
    entry is taken.
    """
    value = np.uint64(0)
    for length in range(1, longest + 1):
        value = mix_point(value, np.int64(load(points, at + length - 1)))
        slot = find_slot(dictionary.keys, value)
        if load(dictionary.keys, slot) == 0:
            break
        cost = load(dictionary.costs, slot) + load(costs, at + length)
        if cost < np.float32(np.inf) and cost <= best:
            best, step = cost, length
    return best, step
