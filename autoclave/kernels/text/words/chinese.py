"""Cutting runs of Chinese characters into words with a unigram dictionary."""

from __future__ import annotations

import numpy as np

from autoclave.kernels.text.raw.memory import inlined, load
from autoclave.kernels.text.words.arrays import Dictionary, Room, Words
from autoclave.kernels.text.words.dictionary import find_slot, mix_point, pair_bit
from autoclave.kernels.text.words.kinds import append_span

LONGEST_ENTRY = 8
"""Most characters of a dictionary word."""

UNKNOWN_COST = 26.0
"""-log2 probability of a character that is no entry."""


@inlined
def segment_ideographs(room: Room, first: int, last: int, dictionary: Dictionary, words: Words, count: int) -> int:
    """Append the spans of the most probable split of a run of ideographs (Viterbi from the right); return the count.

    The run is room.points[first:last]. A character that is no entry costs as much as the rarest. Most neighbours begin
    no entry, which the small bit set `pairs` tells without a look at the large table.
    """
    points, costs, steps = room.points, room.costs, room.steps
    keys, entry_costs, singles, pairs = dictionary.keys, dictionary.costs, dictionary.singles, dictionary.pairs
    unknown = np.float32(UNKNOWN_COST)
    costs[last] = 0.0
    for at in range(last - 1, first - 1, -1):
        point = np.int64(load(points, at))
        best = (load(singles, point) if point < len(singles) else unknown) + load(costs, at + 1)
        step = 1
        if at + 1 < last:
            value = mix_point(mix_point(np.uint64(0), point), np.int64(load(points, at + 1)))
            bit = pair_bit(value)
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
        count = append_span(words, count, room.places, at, at + step)
        at += step
    return count
