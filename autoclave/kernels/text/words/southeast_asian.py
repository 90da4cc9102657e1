"""Cutting runs of Thai, Lao and Khmer letters into words with a unigram dictionary, never inside a cluster.

A cluster is a consonant with what is written around it: vowels before, above, below and behind it, tone marks,
subscript consonants. It is a little larger than the grapheme cluster of UAX #29, which leaves the vowels before and
behind apart; no word of these languages begins or ends inside it.
"""

from __future__ import annotations

import numpy as np

from autoclave.kernels.text.raw.memory import inlined, load
from autoclave.kernels.text.words.arrays import Dictionary, Room, Words
from autoclave.kernels.text.words.dictionary import best_entry
from autoclave.kernels.text.words.kinds import append_span

LONGEST_WORD = 32
"""Most characters of a dictionary word."""

UNKNOWN_COST = 32.0
"""-log2 probability of a cluster that begins no entry: more than the rarest entry costs."""


@inlined
def joins(point: int) -> bool:
    """Say whether a character outside the letters of these scripts belongs to the letter before it.

    ZWNJ and ZWJ, the general combining accents, variation selectors, and Lao's newest mark (U+0ECE).
    """
    return point == 0x0ECE or 0x300 <= point <= 0x36F or point == 0x200C or point == 0x200D or 0xFE00 <= point <= 0xFE0F


@inlined
def continues(before: int, point: int) -> bool:
    """Say whether a cluster goes on from one character to the next.

    Vowels and marks behind, above and below a consonant follow it; the vowels written before a consonant and Khmer's
    coeng lead the next.
    """
    if 0x0E40 <= before <= 0x0E44 or 0x0EC0 <= before <= 0x0EC4 or before == 0x17D2:
        return True
    if point < 0x0E80:
        return 0x0E30 <= point <= 0x0E3A or point == 0x0E45 or 0x0E47 <= point <= 0x0E4E or joins(point)
    if point < 0x1000:
        return 0x0EB0 <= point <= 0x0EBD or 0x0EC8 <= point <= 0x0ECE
    return 0x17B4 <= point <= 0x17D3 or point == 0x17DD or joins(point)


@inlined
def segment_clusters(room: Room, first: int, last: int, dictionary: Dictionary, words: Words, count: int) -> int:
    """Append the spans of the most probable split of a run of one script (Viterbi from the right).

    The run is room.points[first:last]; returns the new number of words. Of splits that cost the same the one with the
    longer word first is taken. Clusters in no word are one word together up to the next known one: a name, a word
    that the dictionary lacks.
    """
    points, costs, steps = room.points, room.costs, room.steps
    nothing = np.float32(np.inf)
    costs[last] = 0.0
    following = last  # where the next cluster begins
    for at in range(last - 1, first - 1, -1):
        if at > first and continues(np.int64(load(points, at - 1)), np.int64(load(points, at))):
            costs[at] = nothing
            continue
        best, step = np.float32(UNKNOWN_COST) + load(costs, following), at - following
        best, step = best_entry(points, at, min(LONGEST_WORD, last - at), dictionary, costs, best, step)
        costs[at], steps[at] = best, step
        following = at
    at = first
    while at < last:
        stop = at + abs(np.int64(load(steps, at)))
        if load(steps, at) < 0:
            while stop < last and load(steps, stop) < 0:
                stop -= np.int64(load(steps, stop))
        count = append_span(words, count, room.places, at, stop)
        at = stop
    return count
