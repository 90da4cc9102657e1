"""Cutting runs of kana and ideographs of Japanese text into words with a unigram dictionary."""

from __future__ import annotations

import numpy as np

from autoclave.kernels.text.characters import IDEOGRAPH, KANA, KATAKANA
from autoclave.kernels.text.raw.memory import inlined, load
from autoclave.kernels.text.words.arrays import Room, Tables, Words
from autoclave.kernels.text.words.dictionary import best_entry
from autoclave.kernels.text.words.kinds import append_span

LONGEST_WORD = 16
"""Most characters of a dictionary word."""

LOAN_COST = 28.0
"""-log2 probability of a whole run of katakana as one word, a loan or a name; from 20 to 28 it makes no difference."""

UNKNOWN_COST = 32.0
"""-log2 probability of another character that is no entry."""

LEAST_KANA = 10
"""One in so many letters is kana where text is Japanese; names and slogans in Chinese pages have fewer."""


@inlined
def is_japanese(points: np.ndarray, length: int, classes: np.ndarray) -> bool:
    """Say whether the kana among the first `length` characters are at least a tenth of kana and ideographs.

    points: int32[characters], code points; classes: int32[0x110000], of `character_tables`.
    """
    kana, letters = 0, 0
    for at in range(length):
        bits = np.int64(load(classes, np.int64(load(points, at))))
        kana += bits & KANA != 0
        letters += bits & (KANA | IDEOGRAPH) != 0
    return LEAST_KANA * kana >= letters


@inlined
def segment_japanese(room: Room, first: int, last: int, tables: Tables, words: Words, count: int) -> int:
    """Append the spans of the most probable split of a run of kana and ideographs (Viterbi from the right).

    The run is room.points[first:last]; returns the new number of words. Of splits that cost the same the one with the
    longer word first is taken. A whole run of katakana may be one word at LOAN_COST; characters in no word are one
    word together up to the next known one.
    """
    points, costs, steps, scripts = room.points, room.costs, room.steps, tables.scripts
    costs[last] = 0.0
    loan_end = last  # where the run of katakana ends that the character at hand is in
    for at in range(last - 1, first - 1, -1):
        best, step = np.float32(UNKNOWN_COST) + load(costs, at + 1), np.int64(-1)
        best, step = best_entry(points, at, min(LONGEST_WORD, last - at), tables.japanese, costs, best, step)
        if load(scripts, np.int64(load(points, at))) == KATAKANA:
            if at + 1 == last or load(scripts, np.int64(load(points, at + 1))) != KATAKANA:
                loan_end = at + 1
            if at == first or load(scripts, np.int64(load(points, at - 1))) != KATAKANA:
                cost = np.float32(LOAN_COST) + load(costs, loan_end)
                if cost < best:
                    best, step = cost, loan_end - at
        costs[at], steps[at] = best, step
    at = first
    while at < last:
        stop = at + abs(np.int64(load(steps, at)))
        if load(steps, at) < 0:
            while stop < last and load(steps, stop) < 0:
                stop += 1
        count = append_span(words, count, room.places, at, stop)
        at = stop
    return count
