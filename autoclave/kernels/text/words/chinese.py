"""Cutting runs of Chinese characters into words with a unigram dictionary."""

from __future__ import annotations

import numpy as np

from autoclave.kernels.text.characters import character_width, decode
from autoclave.kernels.text.code_points import DIGIT_0, NEWLINE, SPACE
from autoclave.kernels.text.raw.memory import inlined, kernel, load

LONGEST_ENTRY = 8
"""Most characters of a dictionary word."""

UNKNOWN_COST = 26.0
"""-log2 probability of a character that is no entry."""

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
    """Return the place of `value` (not 0) in an open-addressing table of `build_table`, or the free place for it."""
    mask = np.uint64(len(keys) - 1)
    slot = np.int64(value & mask)
    while load(keys, slot) != value and load(keys, slot) != 0:
        slot = np.int64((np.uint64(slot) + _1) & mask)
    return slot


@kernel
def build_table(
    data: np.ndarray, keys: np.ndarray, entry_costs: np.ndarray, singles: np.ndarray, pairs: np.ndarray
) -> int:
    """Fill the open-addressing table of a dictionary and of the prefixes of its words; return the number of entries.

    data: uint8, lines of a cost in eighths of a bit and words after it, all separated by single spaces; keys: uint64
    zeros, a power of two of them, at least twice the entries; entry_costs: float32, infinite for prefixes; singles:
    float32 [65536], the unknown cost, the cost of a character alone after; pairs: uint8 zeros, the bit set of the two
    characters that some entry begins with (`PAIR_BITS` bits of their hash).
    """
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
                    keys[slot], entry_costs[slot] = value, np.inf
                    entries += 1
                if length == 2:
                    bit = np.int64(value >> _PAIR_SHIFT)
                    pairs[bit >> 3] |= 1 << (bit & 7)
                if at == size or data[at] == SPACE or data[at] == NEWLINE:
                    entry_costs[slot] = min(entry_costs[slot], np.float32(cost / 8))
                    if length == 1 and point < len(singles):
                        singles[point] = min(singles[point], entry_costs[slot])
        at += 1
    return entries


@inlined
def best_entry(
    points: np.ndarray,
    at: int,
    longest: int,
    keys: np.ndarray,
    entry_costs: np.ndarray,
    costs: np.ndarray,
    best: np.float32,
    step: int,
) -> tuple[np.float32, int]:
    """Return the cost and length of the cheapest split that begins with an entry of up to `longest` characters at `at`.

    costs: float32, of the splits from each place to the right of `at`, infinite where none may begin; best, step: what
    holds where no entry costs at most as much; of equals the longer entry is taken.
    """
    value = np.uint64(0)
    for length in range(1, longest + 1):
        value = mix_point(value, np.int64(load(points, at + length - 1)))
        slot = find_slot(keys, value)
        if load(keys, slot) == 0:
            break
        cost = load(entry_costs, slot) + load(costs, at + length)
        if cost < np.float32(np.inf) and cost <= best:
            best, step = cost, length
    return best, step


@inlined
def segment_ideographs(
    points: np.ndarray,
    places: np.ndarray,
    first: int,
    last: int,
    dictionary: tuple[np.ndarray, ...],
    costs: np.ndarray,
    steps: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    words: int,
) -> int:
    """Emit the most probable split of a run of ideographs under a unigram dictionary (Viterbi from the right).

    dictionary: of `build_table`, (keys, entry_costs, singles, pairs, ...); cost = -log2 probability, infinite for
    what is only a prefix. A character that is no entry costs as much as the rarest. Most neighbours begin no entry,
    which the small bit set tells without a look at the large table.
    """
    keys, entry_costs, singles, pairs = dictionary[0], dictionary[1], dictionary[2], dictionary[3]
    unknown = np.float32(UNKNOWN_COST)
    costs[last] = 0.0
    for at in range(last - 1, first - 1, -1):
        point = np.int64(load(points, at))
        best = (load(singles, point) if point < len(singles) else unknown) + load(costs, at + 1)
        step = 1
        if at + 1 < last:
            value = mix_point(mix_point(np.uint64(0), point), np.int64(load(points, at + 1)))
            bit = np.int64(value >> _PAIR_SHIFT)
            if np.int64(load(pairs, bit >> 3)) >> (bit & 7) & 1:
                longest = min(LONGEST_ENTRY, last - at)
                length = 2
                while True:
                    slot = find_slot(keys, value)
                    if load(keys, slot) == 0:
                        break
                    cost = load(entry_costs, slot) + load(costs, at + length)
                    if cost < best:
                        best, step = cost, length
                    if length == longest:
                        break
                    value = mix_point(value, np.int64(load(points, at + length)))
                    length += 1
        costs[at], steps[at] = best, step
    at = first
    while at < last:
        step = np.int64(load(steps, at))
        start[words], end[words] = load(places, at), load(places, at + step)
        words += 1
        at += step
    return words
