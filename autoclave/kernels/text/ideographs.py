"""Cutting runs of Chinese characters into words with a unigram dictionary."""

# mypy: disable-error-code="call-arg,arg-type,var-annotated,assignment,has-type,return-value,operator,call-overload"
# (numba, not mypy, types the bodies of kernels)

from __future__ import annotations

import numpy as np

from autoclave.kernels.text.characters import character_width, decode
from autoclave.kernels.text.memory import inlined, kernel

LONGEST_ENTRY = 8
"""Most characters of a dictionary word."""

UNKNOWN_COST = 26.0
"""-log2 probability of a character that is no entry."""

_POINT_SEED = np.uint64(0x2545F4914F6CDD1D)
_POINT_MULTIPLIER = np.uint64(0xD6E8FEB86659FD93)
_SHIFT = np.uint64(32)
_1 = np.uint64(1)


@inlined
def mix_point(value: np.uint64, point: int) -> np.uint64:
    """Return the hash of a character sequence lengthened by `point`; begin with 0."""
    value = (value ^ np.uint64(point) ^ _POINT_SEED) * _POINT_MULTIPLIER
    return value ^ (value >> _SHIFT)


def mix_points(word: str) -> int:
    """Return what `mix_point` makes of all characters, in plain integers: no compiled call at start-up."""
    value = 0
    for letter in word:
        value = ((value ^ ord(letter) ^ int(_POINT_SEED)) * int(_POINT_MULTIPLIER)) % 2**64
        value ^= value >> 32
    return value


@kernel
def build_table(data: np.ndarray, keys: np.ndarray, entry_costs: np.ndarray) -> int:
    """Fill the open-addressing table of a dictionary and of the prefixes of its words; return the number of entries.

    data: uint8, lines of a cost in eighths of a bit and words after it, all separated by single spaces; keys: uint64
    zeros, a power of two of them, at least twice the entries; entry_costs: float32, infinite for prefixes.
    """
    mask = np.uint64(len(keys) - 1)
    at, entries, size = 0, 0, len(data)
    while at < size:
        cost = 0
        while data[at] != 32:
            cost = 10 * cost + np.int64(data[at]) - 48
            at += 1
        while at < size and data[at] != 10:
            at += 1
            value = np.uint64(0)
            while at < size and data[at] != 32 and data[at] != 10:
                value = mix_point(value, decode(data, at))
                at += character_width(np.int64(data[at]))
                slot = value & mask
                while keys[slot] != 0 and keys[slot] != value:
                    slot = (slot + _1) & mask
                if keys[slot] == 0:
                    keys[slot], entry_costs[slot] = value, np.inf
                    entries += 1
                if at == size or data[at] == 32 or data[at] == 10:
                    entry_costs[slot] = min(entry_costs[slot], np.float32(cost / 8))
        at += 1
    return entries


@inlined
def segment_ideographs(
    points: np.ndarray,
    places: np.ndarray,
    first: int,
    last: int,
    keys: np.ndarray,
    entry_costs: np.ndarray,
    costs: np.ndarray,
    steps: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    words: int,
) -> int:
    """Emit the most probable split of a run of ideographs under a unigram dictionary (Viterbi from the right).

    keys, entry_costs: an open-addressing table of hashed entries and their prefixes; cost = -log2 probability,
    infinite for what is only a prefix. A character that is no entry costs as much as the rarest.
    """
    mask = np.uint64(len(keys) - 1)
    unknown = np.float32(UNKNOWN_COST)
    costs[last] = 0.0
    for at in range(last - 1, first - 1, -1):
        best, step = np.float32(np.inf), 1
        value = np.uint64(0)
        for length in range(1, min(LONGEST_ENTRY, last - at) + 1):
            value = mix_point(value, np.int64(points[at + length - 1]))
            slot = value & mask
            while keys[slot] != value and keys[slot] != 0:
                slot = (slot + _1) & mask
            if keys[slot] == 0:
                if length == 1:
                    best = unknown + costs[at + 1]
                break
            cost = entry_costs[slot]
            if length == 1 and cost > unknown:
                cost = unknown
            if cost + costs[at + length] < best:
                best, step = cost + costs[at + length], length
        costs[at], steps[at] = best, step
    at = first
    while at < last:
        step = np.int64(steps[at])
        start[words], end[words] = places[at], places[at + step]
        words += 1
        at += step
    return words
