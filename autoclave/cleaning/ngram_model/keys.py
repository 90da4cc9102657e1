"""Keys of n-grams and the hash tables that find them; the hot loops of estimation and scoring.

An n-gram is known by a 64-bit hash of its word ids, chained from the last word to the first, so that a context grows
by one step a word; as in KenLM's probing tables the words themselves are not compared (10 million n-grams collide with
probability 3e-6; a collision among the n-grams of a model is found when its table is built).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from autoclave.kernels.text.code_points import is_ascii_space
from autoclave.kernels.text.keys.xxh3 import xxh3_64
from autoclave.kernels.text.raw.memory import inlined, load
from autoclave.kernels.text.texts import Texts

UNKNOWN, BEGIN, END = 0, 1, 2
"""Ids of <unk>, <s> and </s>."""

_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX1, _MIX2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_30, _27, _31 = np.uint64(30), np.uint64(27), np.uint64(31)


@njit(cache=True, nogil=True)
def extend_key(key: np.uint64, word: int) -> np.uint64:
    """Return the key of the n-gram `word` + (n-gram of `key`); the key of nothing is 0."""
    key = (key + _STEP) ^ (np.uint64(word) * _MIX2)
    key = (key ^ (key >> _30)) * _MIX1
    key = (key ^ (key >> _27)) * _MIX2
    key ^= key >> _31
    if key == 0:
        key = _STEP
    return key


@njit(cache=True, nogil=True)
def ngram_keys(ngrams: np.ndarray, keys: np.ndarray) -> None:
    """Fill keys uint64[U] of the n-grams int32[U, n]."""
    for row in range(ngrams.shape[0]):
        key = np.uint64(0)
        for column in range(ngrams.shape[1] - 1, -1, -1):
            key = extend_key(key, np.int64(ngrams[row, column]))
        keys[row] = key


@njit(cache=True, nogil=True)
def find_slot(slots: np.ndarray, key: np.uint64) -> int:
    """Return the slot that holds `key`, or the empty one where it would be; slots uint64, a power of two, not full."""
    mask = np.uint64(len(slots) - 1)
    at = key & mask
    while slots[at] != 0 and slots[at] != key:
        at = (at + np.uint64(1)) & mask
    return np.int64(at)


@njit(cache=True, nogil=True)
def fill_table(keys: np.ndarray, first: int, slots: np.ndarray, values: np.ndarray) -> int:
    """Put keys[i] -> first + i into the table; return the number of keys that were there already.

    keys: uint64[U]; slots, values: as `new_table` makes them, uint64 and int64.
    """
    repeated = 0
    for row in range(len(keys)):
        at = find_slot(slots, keys[row])
        if slots[at] == 0:
            slots[at] = keys[row]
            values[at] = first + row
        else:
            repeated += 1
    return repeated


@njit(cache=True, nogil=True)
def find_keys(slots: np.ndarray, values: np.ndarray, keys: np.ndarray, found: np.ndarray) -> None:
    """Fill found int64[U] with the values of the keys uint64[U] in the table (slots, values), -1 where there is
    none."""
    for row in range(len(keys)):
        at = find_slot(slots, keys[row])
        found[row] = values[at] if slots[at] != 0 else -1


@njit(cache=True, nogil=True)
def hash_word(data: np.ndarray, start: int, stop: int) -> np.uint64:
    """Return the key of the word data[start:stop] (uint8[bytes]) in the vocabulary's table (never 0)."""
    key = xxh3_64(data, start, stop)
    if key == 0:
        key = _STEP
    return key


@njit(cache=True, nogil=True)
def hash_words(data: np.ndarray, offsets: np.ndarray, keys: np.ndarray) -> None:
    """Fill keys uint64[W] of the words data[offsets[i]:offsets[i + 1]]; data: uint8; offsets: int64[W + 1]."""
    for row in range(len(keys)):
        keys[row] = hash_word(data, offsets[row], offsets[row + 1])


def new_table(entries: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an empty table (slots uint64[size], values int64[size]) for so many entries, at most two thirds full."""
    size = 1 << max(4, (entries * 3 // 2).bit_length())
    return np.zeros(size, dtype=np.uint64), np.zeros(size, dtype=np.int64)


class ModelTables(NamedTuple):
    """A model of some order, at least 2, in memory.

    word_slots, word_values: uint64[slots], int64[slots], table of the words, from their hashes (`hash_word`) to their
    ids; slots, values: the same for n-grams of two words and more, from their keys to rows of the probabilities;
    probabilities, backoffs: float32[n-grams], log10; row w is word w.
    """

    order: int
    word_slots: np.ndarray
    word_values: np.ndarray
    slots: np.ndarray
    values: np.ndarray
    probabilities: np.ndarray
    backoffs: np.ndarray


@inlined
def _read_word(data: np.ndarray, at: int, stop: int, model: ModelTables) -> tuple[int, int]:
    """Return (id of the next word of data[at:stop], the byte after it); (END, -1) at the end of the text."""
    while at < stop and is_ascii_space(load(data, at)):
        at += 1
    if at >= stop:
        return END, -1
    begin = at
    while at < stop and not is_ascii_space(load(data, at)):
        at += 1
    slot = find_slot(model.word_slots, hash_word(data, begin, at))
    return model.word_values[slot] if model.word_slots[slot] != 0 else UNKNOWN, at


@njit(cache=True, nogil=True)
def score_texts(texts: Texts, model: ModelTables, totals: np.ndarray, events: np.ndarray, unknown: np.ndarray) -> None:
    """Score each text as one sentence of words between ASCII white space.

    Fills totals float64[T] (log10 probability with the end of the sentence), events int64[T] (words + 1), unknown
    int64[T].
    """
    order, slots, values = model.order, model.slots, model.values
    probabilities, backoffs = model.probabilities, model.backoffs
    history = np.zeros(order, dtype=np.int64)  # latest word first
    waiting = np.zeros(order + 1, dtype=np.float64)  # back-off of the context of l words, 1 <= l <= known
    fresh = np.zeros(order + 1, dtype=np.float64)
    for text in range(len(texts.offsets) - 1):
        at, stop = texts.offsets[text], texts.offsets[text + 1]
        history[0], size, known = BEGIN, 1, 1
        waiting[1] = backoffs[BEGIN]
        total, count, missing = 0.0, 0, 0
        while at >= 0:
            word, at = _read_word(texts.data, at, stop, model)
            missing += word == UNKNOWN
            logarithm = np.float64(probabilities[word])
            fresh[1] = backoffs[word]
            matched, key = 1, extend_key(np.uint64(0), word)
            for length in range(size):
                key = extend_key(key, history[length])
                slot = find_slot(slots, key)
                if slots[slot] == 0:
                    break
                matched = length + 2
                logarithm = np.float64(probabilities[values[slot]])
                if matched < order:
                    fresh[matched] = backoffs[values[slot]]
            for length in range(matched, known + 1):
                logarithm += waiting[length]
            total += logarithm
            count += 1
            known = min(matched, order - 1)
            for length in range(1, known + 1):
                waiting[length] = fresh[length]
            size = min(size + 1, order - 1)
            for length in range(size - 1, 0, -1):
                history[length] = history[length - 1]
            history[0] = word
        totals[text], events[text], unknown[text] = total, count, missing
