"""Searching for byte strings in documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit

from autoclave.kernels.text.code_points import CASE_BIT, SPACE, lower_byte
from autoclave.kernels.text.raw.compare import BLOCK, folded_equal_mask, within
from autoclave.kernels.text.raw.memory import inlined, kernel, load, trailing_zeros
from autoclave.kernels.text.texts import SegmentSpans, Texts
from autoclave.kernels.text.words.arrays import Words


@kernel
def find(data: np.ndarray, start: int, stop: int, needle: np.ndarray, size: int) -> int:
    """Return where needle[:size] begins in data[start:stop], both uint8[bytes]; -1 where it does not."""
    first = needle[0]
    for at in range(start, stop - size + 1):
        if data[at] != first:
            continue
        offset = 1
        while offset < size and data[at + offset] == needle[offset]:
            offset += 1
        if offset == size:
            return at
    return -1


@njit(cache=True, nogil=True)
def replaced_characters(texts: Texts, words: Words, place: np.ndarray, n: int) -> np.ndarray:
    """Return the characters that text.replace(gram, '') takes from each text, int64[texts].

    The gram is the n words from place[i] on, joined by single spaces; place: int64[texts], < 0 takes nothing.
    """
    data, start, end, chars, offsets = texts.data, words.start, words.end, words.chars, texts.offsets
    out = np.zeros(len(place), np.int64)
    for text in range(len(place)):
        if place[text] < 0:
            continue
        word, stop = words.offsets[text] + place[text], offsets[text + 1]
        size, length = 0, n - 1
        for index in range(word, word + n):
            size += np.int64(end[index]) - np.int64(start[index])
            length += chars[index]
        size += n - 1
        needle = np.empty(size, np.uint8)
        at = 0
        for index in range(word, word + n):
            if index > word:
                needle[at] = SPACE
                at += 1
            for byte in range(start[index], end[index]):
                needle[at] = data[byte]
                at += 1
        found = find(data, offsets[text], stop, needle, size)
        while found >= 0:
            out[text] += length
            found = find(data, found + size, stop, needle, size)
    return out


class Phrases(NamedTuple):
    """Lower-case ASCII phrases as `find_phrases` looks for them, each with a bit of its own or one that some share.

    pairs: int64 [pairs, 2], two neighbours of each phrase that are rare, with the bit 0x20 set, the second 0 for a
    phrase of one character; table: int32 [phrases, 4]: where the pair begins in the phrase, where the phrase begins
    in `letters` (uint8), its bytes, its bit.
    """

    pairs: np.ndarray
    table: np.ndarray
    letters: np.ndarray


_LETTERS = b"etaoinshrdlcumwfgypbvkjxqz"
"""The letters, the most frequent in English first."""


def phrase_tables(phrases: Sequence[tuple[bytes, int]]) -> Phrases:
    """Return the tables of some lower-case ASCII phrases, each with its bit."""
    pairs, table, letters = set(), [], b""
    for phrase, bit in phrases:
        anchor = 0
        if len(phrase) > 1:
            rank = [_LETTERS.find(byte) for byte in phrase]
            anchor = max(range(len(phrase) - 1), key=lambda at: (min(rank[at : at + 2]) >= 0, rank[at] + rank[at + 1]))
        pair = [byte | CASE_BIT for byte in phrase[anchor : anchor + 2]]
        pairs.add((pair[0], pair[1] if len(pair) > 1 else 0))
        table.append((anchor, len(letters), len(phrase), bit))
        letters += phrase
    return Phrases(np.array(sorted(pairs)), np.array(table, dtype=np.int32), np.frombuffer(letters, dtype=np.uint8))


@inlined
def _phrases_at(data: np.ndarray, at: int, start: int, stop: int, phrases: Phrases) -> int:
    """Return the bits of the phrases that lie in data[start:stop] with their pair at `at`, in any case."""
    found, table = 0, phrases.table
    for phrase in range(len(table)):
        begin, first, size = at - table[phrase, 0], table[phrase, 1], table[phrase, 2]
        if begin < start or begin + size > stop:
            continue
        same = 0
        while same < size:
            if lower_byte(load(data, begin + same)) != load(phrases.letters, first + same):
                break
            same += 1
        if same == size:
            found |= table[phrase, 3]
    return found


@inlined
def find_phrases(data: np.ndarray, start: int, stop: int, phrases: Phrases) -> int:
    """Return the bits of all phrases that data[start:stop], uint8[bytes], has, in any case."""
    found, size, pairs = 0, len(data), phrases.pairs
    for at in range(start, stop, BLOCK):
        some = np.uint64(0) if at + BLOCK < size else ~np.uint64(0)
        if some == 0:
            for pair in range(len(pairs)):
                begins = folded_equal_mask(data, at, pairs[pair, 0])
                if pairs[pair, 1]:
                    begins &= folded_equal_mask(data, at + 1, pairs[pair, 1])
                some |= begins
        some = within(some, at, stop)
        while some:
            found |= _phrases_at(data, at + trailing_zeros(some), start, stop, phrases)
            some &= some - np.uint64(1)
    return found


@kernel
def phrases_in_segments(data: np.ndarray, segments: SegmentSpans, phrases: Phrases, found: np.ndarray) -> None:
    """Fill found, int32[segments], with what `find_phrases` gives for each segment of data, uint8[bytes]."""
    for segment in range(len(segments.start)):
        first, last = np.int64(segments.start[segment]), np.int64(segments.end[segment])
        found[segment] = find_phrases(data, first, last, phrases)
