"""Counting words and phrases of a list, a list a language, in lower-cased text."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from autoclave.kernels.text.characters import ALNUM, character_width, decode, step_back
from autoclave.kernels.text.code_points import ASCII_LIMIT, DIGIT_0, UNDERSCORE, is_letter
from autoclave.kernels.text.raw.compare import BLOCK, below_mask, letter_mask
from autoclave.kernels.text.raw.memory import inlined, kernel, load, load64, trailing_zeros
from autoclave.kernels.text.texts import Texts
from autoclave.kernels.text.words.arrays import Words
from autoclave.kernels.text.words.dictionary import find_slot, mix_point, mix_points

_DOTTED_I, _I, _DOT_ABOVE = (ord(character) for character in "İi\u0307")
PREFIX, ENTRY = 1, 2

_LOWEST_BEGINNING = DIGIT_0
"""The lowest character that may begin an entry: 0."""

_LOW_FIVE, _ALL_HIGH = np.uint64(0x1F1F1F1F), np.uint64(0x80808080)
_FOUR_MULTIPLIER, _FOUR_SHIFT, _16_BITS = np.uint64(0x9E3779B97F4A7C15), np.uint64(40), np.uint64(0xFFFF)
_1, _63 = np.uint64(1), np.uint64(63)


@functools.cache
def lower_table() -> np.ndarray:
    """Return str.lower of every code point, int32[0x110000]; İ, which becomes two, is left as it is."""
    table = np.arange(0x110000, dtype=np.int32)
    for point in range(0x20000):
        lowered = chr(point).lower()
        if len(lowered) == 1:
            table[point] = ord(lowered)
    table.setflags(write=False)
    return table


class Lists(NamedTuple):
    """Lists of words, to be found in lower-cased text.

    keys: uint64, kinds: uint8, an open-addressing table of the prefixes of the words of each list; roots: uint64, the
    hash of nothing in each list; lower: of `lower_table`.
    """

    keys: np.ndarray
    kinds: np.ndarray
    roots: np.ndarray
    lower: np.ndarray


class Beginnings(NamedTuple):
    """How no entry begins: uint8 [lists * 8192], bit sets of 2**16 bits a list.

    fours: a hash of the low five bits (any case) of the first four characters, all ASCII, or of a shorter entry and
    whatever may follow it; firsts: the low 16 bits of the first character.
    """

    fours: np.ndarray
    firsts: np.ndarray


def list_tables(lists: Sequence[Sequence[str]]) -> Lists:
    """Return the tables of some lists of words."""
    kinds: dict[int, int] = {}
    for number, words in enumerate(lists):
        root = _root(number)
        for word in words:
            for size in range(1, len(word) + 1):
                value = mix_points(word[:size], root)
                kinds[value] = kinds.get(value, PREFIX) | (ENTRY if size == len(word) else 0)
    slots = 1 << (2 * len(kinds) + 1).bit_length()
    keys, found = np.zeros(slots, dtype=np.uint64), np.zeros(slots, dtype=np.uint8)
    for value, kind in kinds.items():
        slot = value % slots
        while keys[slot]:
            slot = (slot + 1) % slots
        keys[slot], found[slot] = value, kind
    roots = np.array([_root(number) for number in range(len(lists))], dtype=np.uint64)
    return Lists(keys, found, roots, lower_table())


def beginning_tables(lists: Sequence[Sequence[str]]) -> Beginnings:
    """Return the bit sets that tell how no entry of some lists begins; none may begin below `0`."""
    fours, firsts = (np.zeros((len(lists), 1 << 16), dtype=np.uint8) for _ in range(2))
    for number, words in enumerate(lists):
        for word in words:
            assert ord(word[0]) >= _LOWEST_BEGINNING
            firsts[number, ord(word[0]) & 0xFFFF] = 1
            if word[:4].isascii():
                beginnings = [0]
                for place in range(4):
                    low = (ord(word[place]) & 31,) if place < len(word) else range(32)
                    beginnings = [four | bits << 8 * place for four in beginnings for bits in low]
                for four in beginnings:
                    fours[number, four * int(_FOUR_MULTIPLIER) % 2**64 >> int(_FOUR_SHIFT) & 0xFFFF] = 1
    packed = [np.packbits(table, axis=1, bitorder="little").reshape(-1) for table in (fours, firsts)]
    return Beginnings(packed[0], packed[1])


def _root(number: int) -> int:
    return mix_points(chr(0xF0000 + number))


@inlined
def _in_word(point: int, classes: np.ndarray) -> bool:
    return load(classes, point) & ALNUM != 0 or point == UNDERSCORE


@inlined
def _has_bit(bits: np.ndarray, number: int, bit: int) -> bool:
    return np.int64(load(bits, number << 13 | bit >> 3)) >> (bit & 7) & 1 != 0


@inlined
def _beginnings(data: np.ndarray, block: int, before: np.uint64, inside: bool) -> tuple[np.uint64, np.uint64]:
    """Return where among the 64 bytes from `block` on an entry may begin, a bit each, and `before` of the next 64.

    Nowhere within a character or below 0; unless entries stand inside words, not after an ASCII letter either, which
    `before` (1 or 0) says of the byte before. After a digit, an underscore or a letter beyond ASCII is too many.
    """
    if block + BLOCK <= len(data):
        letters = letter_mask(data, block)
        continued = below_mask(data, block, 0xC0) & ~below_mask(data, block, ASCII_LIMIT)
        places = ~(below_mask(data, block, _LOWEST_BEGINNING) | continued)
    else:
        letters, places = np.uint64(0), np.uint64(0)
        for at in range(block, len(data)):
            byte = np.int64(load(data, at))
            letters |= np.uint64(is_letter(byte)) << np.uint64(at - block)
            places |= np.uint64(byte >= _LOWEST_BEGINNING and not ASCII_LIMIT <= byte < 0xC0) << np.uint64(at - block)
    if not inside:
        places &= ~(letters << _1 | before)
    return places, letters >> _63


@inlined
def _is_free(data: np.ndarray, start: int, at: int, lower: np.ndarray, classes: np.ndarray) -> bool:
    """Say whether what stands before byte `at` is no part of a word."""
    if at == start:
        return True
    point = decode(data, step_back(data, at))
    return point == _DOTTED_I or not _in_word(np.int64(load(lower, point)), classes)


@inlined
def _longest(
    data: np.ndarray, at: int, stop: int, value: np.uint64, inside: bool, lists: Lists, classes: np.ndarray
) -> int:
    """Return the byte after the longest entry that begins at byte `at`; -1 for none. value: the root of its list."""
    best, pending = -1, 0
    while pending or at < stop:
        point = pending
        pending = 0
        if point == 0:
            point = decode(data, at)
            at += character_width(np.int64(load(data, at)))
            if point == _DOTTED_I:
                point, pending = _I, _DOT_ABOVE
            point = np.int64(load(lists.lower, point))
        value = mix_point(value, point)
        slot = find_slot(lists.keys, value)
        if load(lists.keys, slot) == 0:
            break
        if load(lists.kinds, slot) & ENTRY and (
            inside
            or pending
            or at >= stop
            or (decode(data, at) != _DOTTED_I and not _in_word(np.int64(load(lists.lower, decode(data, at))), classes))
        ):
            best = at
    return best


@inlined
def _may_begin(data: np.ndarray, at: int, stop: int, number: int, lower: np.ndarray, beginnings: Beginnings) -> bool:
    """Say whether an entry of the list may begin at byte `at`, as far as its first four letters, or its first, tell."""
    if at + 8 <= stop:
        eight = load64(data, at)
        if eight & _ALL_HIGH == 0:
            four = (eight & _LOW_FIVE) * _FOUR_MULTIPLIER >> _FOUR_SHIFT & _16_BITS
            return _has_bit(beginnings.fours, number, np.int64(four))
    point = decode(data, at)
    return point == _DOTTED_I or _has_bit(beginnings.firsts, number, np.int64(load(lower, point)) & 0xFFFF)


@kernel
def count_listed(
    texts: Texts, chosen: np.ndarray, lists: Lists, beginnings: Beginnings, inside: np.ndarray, classes: np.ndarray,
    out: np.ndarray,
) -> None:  # fmt: skip
    """Count the entries in each text, from left to right, the longest first, none over another.

    chosen: int32, the list of each text, negative for none (counts 0); inside: bool a list, whether an entry may stand
    inside a word; elsewhere no letter, digit or underscore may be next to it; out: int32 [texts].
    """
    data, offsets, lower = texts.data, texts.offsets, lists.lower
    for text in range(len(offsets) - 1):
        number = np.int64(chosen[text])
        out[text] = 0
        if number < 0:
            continue
        start, stop = offsets[text], offsets[text + 1]
        within, root, allowed, before = inside[number], lists.roots[number], start, np.uint64(0)
        for block in range(start, stop, BLOCK):
            places, before = _beginnings(data, block, before, within)
            while places:
                at = block + trailing_zeros(places)
                places &= places - _1
                if at >= stop:
                    break
                if at < allowed or not _may_begin(data, at, stop, number, lower, beginnings):
                    continue
                if not within and not _is_free(data, start, at, lower, classes):
                    continue
                after = _longest(data, at, stop, root, within, lists, classes)
                if after >= 0:
                    out[text] += 1
                    allowed = after if within else after + 1  # what follows is the mark that ends the entry


@kernel
def count_equal(data: np.ndarray, words: Words, lists: Lists, number: int, out: np.ndarray) -> None:
    """Count the words of each text that are an entry of one list, given by its number. out: int32 [texts]."""
    for text in range(len(words.offsets) - 1):
        out[text] = 0
        for word in range(words.offsets[text], words.offsets[text + 1]):
            at, stop = np.int64(load(words.start, word)), np.int64(load(words.end, word))
            value, kind = lists.roots[number], np.int64(PREFIX)
            while kind and at < stop:
                value = mix_point(value, np.int64(load(lists.lower, decode(data, at))))
                slot = find_slot(lists.keys, value)
                kind = np.int64(load(lists.kinds, slot)) if load(lists.keys, slot) else np.int64(0)
                at += character_width(np.int64(load(data, at)))
            out[text] += kind & ENTRY != 0
