"""Counting words and phrases of a list, a list a language, in lower-cased text."""

# mypy: disable-error-code="call-arg,arg-type,var-annotated,assignment,has-type,return-value,operator,call-overload"
# (numba, not mypy, types the bodies of kernels)

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from autoclave.kernels.text.characters import ALNUM, character_width, decode
from autoclave.kernels.text.ideographs import find_slot, mix_point, mix_points
from autoclave.kernels.text.memory import inlined, kernel, load

_DOTTED_I, _I, _DOT_ABOVE, _UNDERSCORE = 0x130, 0x69, 0x307, 0x5F
PREFIX, ENTRY = 1, 2


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


def list_table(lists: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray]:
    """Return (keys uint64, kinds uint8), an open-addressing table of the prefixes of the words of each list."""
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
    return keys, found


def pair_table(lists: Sequence[Sequence[str]]) -> np.ndarray:
    """Return for each list which two ASCII characters some entry begins with, in any case; uint8 [lists * 16384]."""
    table = np.zeros((len(lists), 128, 128), dtype=np.uint8)
    for number, words in enumerate(lists):
        for word in words:
            firsts, seconds = ({mark, mark.upper()} for mark in (word[0], word[1:2]))
            for first in firsts:
                if len(word) == 1 and first.isascii():
                    table[number, ord(first)] = 1
                elif first.isascii() and word[1].isascii():
                    table[number, ord(first), [ord(second) for second in seconds if second.isascii()]] = 1
    return table.reshape(-1)


def _root(number: int) -> int:
    return mix_points(chr(0xF0000 + number))


def roots(count: int) -> np.ndarray:
    """Return the hash of nothing in each list, uint64 [count]."""
    return np.array([_root(number) for number in range(count)], dtype=np.uint64)


@inlined
def _in_word(point: int, classes: np.ndarray) -> bool:
    return load(classes, point) & ALNUM != 0 or point == _UNDERSCORE


@inlined
def _ascii_in_word(byte: int, classes: np.ndarray) -> bool:
    return byte < 0x80 and _in_word(byte, classes)


@inlined
def _longest(
    data: np.ndarray,
    at: int,
    stop: int,
    value: np.uint64,
    inside: bool,
    lower: np.ndarray,
    classes: np.ndarray,
    keys: np.ndarray,
    kinds: np.ndarray,
) -> int:
    """Return the byte after the longest entry that begins at byte `at`; -1 for none."""
    best, pending = -1, 0
    while pending or at < stop:
        point = pending
        pending = 0
        if point == 0:
            point = decode(data, at)
            at += character_width(np.int64(load(data, at)))
            if point == _DOTTED_I:
                point, pending = _I, _DOT_ABOVE
            point = np.int64(load(lower, point))
        value = mix_point(value, point)
        slot = find_slot(keys, value)
        if load(keys, slot) == 0:
            break
        if load(kinds, slot) & ENTRY and (
            inside
            or pending
            or at >= stop
            or (decode(data, at) != _DOTTED_I and not _in_word(np.int64(load(lower, decode(data, at))), classes))
        ):
            best = at
    return best


@kernel
def count_listed(
    data: np.ndarray,
    offsets: np.ndarray,
    lists: np.ndarray,
    inside: np.ndarray,
    roots: np.ndarray,
    lower: np.ndarray,
    classes: np.ndarray,
    keys: np.ndarray,
    kinds: np.ndarray,
    pairs: np.ndarray,
    out: np.ndarray,
) -> None:
    """Count the entries in each document, from left to right, the longest first, none over another.

    lists: int32, the list of each document, negative for none (counts 0); inside: bool a list, whether an entry may
    stand inside a word; elsewhere no letter, digit or underscore may be next to it; roots, keys, kinds: of `roots` and
    `list_table`; lower: of `lower_table`; pairs: of `pair_table`; out: int32 [documents].
    """
    for document in range(len(offsets) - 1):
        number = np.int64(lists[document])
        out[document] = 0
        if number < 0:
            continue
        at, stop = offsets[document], offsets[document + 1]
        within, root, free = inside[number], roots[number], True
        while at < stop:
            byte, after = np.int64(load(data, at)), np.int64(-1)
            if (free or within) and (
                byte >= 0x80
                or at + 1 == stop
                or load(data, at + 1) >= 0x80
                or load(pairs, number << 14 | byte << 7 | np.int64(load(data, at + 1)))
            ):
                after = _longest(data, at, stop, root, within, lower, classes, keys, kinds)
            if after > at:
                out[document] += 1
                at = after
                free = False  # what follows is the mark that ends the entry
                continue
            if byte < 0x80:
                at += 1
                free = not _in_word(byte, classes)
                while not free and not within and at < stop and _ascii_in_word(np.int64(load(data, at)), classes):
                    at += 1
                continue
            point = decode(data, at)
            at += character_width(byte)
            free = point == _DOTTED_I or not _in_word(np.int64(load(lower, point)), classes)
