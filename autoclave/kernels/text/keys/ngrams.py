"""Hashes of word n-grams over UTF-8 buffers, and the table that says which of them are known.

A unit is a run of letters, digits and combining marks in lower case, or one character of a script that is written
without spaces; everything else only separates. Hashes are 64 bits: a million known n-grams meet a foreign one by chance
about once in 10^13 n-grams.
"""

from __future__ import annotations

import functools
import unicodedata
from typing import NamedTuple

import numpy as np
from numba import njit

from autoclave.kernels.text.characters import ALNUM, UNSPACED, character_tables, character_width, decode
from autoclave.kernels.text.texts import Texts

_BASE = np.uint64(0x9E3779B97F4A7C15)
_PRIME = np.uint64(0x00000100000001B3)
_OFFSET = np.uint64(0xCBF29CE484222325)
_MIX1, _MIX2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_33, _6, _63, _ONE = np.uint64(33), np.uint64(6), np.uint64(63), np.uint64(1)

SEPARATOR, SPACED, ALONE, JOINED = 0, 1, 2, 3
"""Kinds of characters: between units; part of a word; a unit of its own; a mark that goes with what precedes it."""

_LOWER_LIMIT = 0x1E980  # above this no letter has two cases


class UnitTables(NamedTuple):
    """What each code point is: kinds: uint8[0x110000]; lower: int32[0x110000], its lower case."""

    kinds: np.ndarray
    lower: np.ndarray


class Units(NamedTuple):
    """The units of some texts, in order.

    start, end: int32[units], byte spans; hashes: uint64[units]; offsets: int64[n + 1], units of text i are
    offsets[i]:offsets[i + 1].
    """

    start: np.ndarray
    end: np.ndarray
    hashes: np.ndarray
    offsets: np.ndarray


class Sizes(NamedTuple):
    """Units of an n-gram to know (size), and those that a shorter text needs to be known as a whole (least).

    unspaced, unspaced_least: the same for a text most of whose units stand alone.
    """

    size: int
    least: int
    unspaced: int
    unspaced_least: int


class ItemNgrams(NamedTuple):
    """N-grams to know.

    keys: uint64[m]; heads: uint64[m], hash of the first `least` units; texts: int64[m], which text each is of; lengths:
    uint8[m], its units; sizes: uint8[m], the size asked for, more than the length where a short text is one n-gram.
    """

    keys: np.ndarray
    heads: np.ndarray
    texts: np.ndarray
    lengths: np.ndarray
    sizes: np.ndarray


class NgramTable(NamedTuple):
    """Known n-grams by their keys. All are a power of two long.

    slots: uint64[slots], 0 where empty; values: int32[slots]; bits: uint64[words], which heads of n-grams there are;
    most look-ups end there, in the cache.
    """

    slots: np.ndarray
    values: np.ndarray
    bits: np.ndarray


class Hits(NamedTuple):
    """Known n-grams found in texts, as far as there is room.

    places, lengths, entries: int64[room], first unit, units, what the table holds; offsets: int64[n + 1], those of each
    text.
    """

    places: np.ndarray
    lengths: np.ndarray
    entries: np.ndarray
    offsets: np.ndarray


@functools.cache
def unit_tables() -> UnitTables:
    """Return the tables, read-only; full-width ASCII becomes ASCII."""
    classes = character_tables().classes
    kinds = np.zeros(0x110000, dtype=np.uint8)
    kinds[classes & ALNUM != 0] = SPACED
    kinds[classes & UNSPACED != 0] = ALONE
    lower = np.arange(0x110000, dtype=np.int32)
    for point in range(_LOWER_LIMIT):
        character = chr(point)
        if unicodedata.category(character) in ("Mn", "Mc"):
            kinds[point] = JOINED
        small = character.lower()
        if small != character and len(small) == 1:
            lower[point] = ord(small)
    lower[0xFF01:0xFF5F] = lower[0x21:0x7F]
    kinds.setflags(write=False)
    lower.setflags(write=False)
    return UnitTables(kinds, lower)


@njit(cache=True, nogil=True)
def _mix(value: np.uint64) -> np.uint64:
    value = (value ^ (value >> _33)) * _MIX1
    value = (value ^ (value >> _33)) * _MIX2
    return value ^ (value >> _33)


@njit(cache=True, nogil=True)
def split_units(texts: Texts, tables: UnitTables, units: Units) -> int:
    """Fill the units of all texts; return how many there are. Room for bytes / 2 + texts is enough."""
    data, offsets = texts.data, texts.offsets
    count = 0
    for text in range(len(offsets) - 1):
        units.offsets[text] = count
        at, stop = offsets[text], offsets[text + 1]
        value, inside, alone = _OFFSET, False, False
        while at < stop:
            point = decode(data, at)
            width = character_width(np.int64(data[at]))
            kind = tables.kinds[point]
            if inside and kind != JOINED and (kind != SPACED or alone):
                units.hashes[count] = _mix(value)
                units.end[count] = at
                count += 1
                inside = False
            if kind != SEPARATOR and (kind != JOINED or inside):
                if not inside:
                    units.start[count] = at
                    value, inside, alone = _OFFSET, True, kind == ALONE
                value = (value ^ np.uint64(tables.lower[point])) * _PRIME
            at += width
        if inside:
            units.hashes[count] = _mix(value)
            units.end[count] = stop
            count += 1
    units.offsets[len(offsets) - 1] = count
    return count


@njit(cache=True, nogil=True)
def _prefixes(hashes: np.ndarray, first: int, last: int, prefixes: np.ndarray) -> None:
    """Fill prefixes[i + 1] with the polynomial of the units first..first + i."""
    value = np.uint64(0)
    prefixes[0] = value
    for unit in range(first, last):
        value = value * _BASE + hashes[unit]
        prefixes[unit - first + 1] = value


@njit(cache=True, nogil=True)
def _power(size: int) -> np.uint64:
    value = _ONE
    for _ in range(size):
        value *= _BASE
    return value


@njit(cache=True, nogil=True)
def _key(prefixes: np.ndarray, at: int, size: int, power: np.uint64) -> np.uint64:
    key = _mix((prefixes[at + size] - prefixes[at] * power) ^ (np.uint64(size) * _MIX2))
    if key == 0:
        key = _ONE
    return key


@njit(cache=True, nogil=True)
def hash_items(data: np.ndarray, units: Units, kinds: np.ndarray, asked: Sizes, out: ItemNgrams) -> int:
    """Fill the n-grams to know: those of the size of each text; of a shorter one with `least` units all as one.

    data: uint8[bytes]; kinds: uint8[0x110000], of `unit_tables`. Returns how many there are; room for one n-gram a unit
    is enough.
    """
    count = 0
    head_power = _power(asked.least)
    for text in range(len(units.offsets) - 1):
        first, last = units.offsets[text], units.offsets[text + 1]
        total, alone = last - first, 0
        for unit in range(first, last):
            alone += kinds[decode(data, np.int64(units.start[unit]))] == ALONE
        wanted, enough = asked.size, asked.least
        if 2 * alone > total:
            wanted, enough = asked.unspaced, asked.unspaced_least
        if total < enough:
            continue
        prefixes = np.empty(total + 1, dtype=np.uint64)
        _prefixes(units.hashes, first, last, prefixes)
        length = min(wanted, total)
        power = _power(length)
        for at in range(total - length + 1):
            out.keys[count] = _key(prefixes, at, length, power)
            out.heads[count] = _key(prefixes, at, asked.least, head_power)
            out.texts[count], out.lengths[count], out.sizes[count] = text, length, wanted
            count += 1
    return count


@njit(cache=True, nogil=True)
def fill_ngram_table(keys: np.ndarray, heads: np.ndarray, table: NgramTable) -> None:
    """Put different keys[i] -> i into the table, zeros before, and set the bits of heads. keys, heads: uint64[n]."""
    slots, bits = table.slots, table.bits
    mask, bit_mask = np.uint64(len(slots) - 1), np.uint64(len(bits) * 64 - 1)
    for row in range(len(keys)):
        at = keys[row] & mask
        while slots[at] != 0:
            at = (at + _ONE) & mask
        slots[at] = keys[row]
        table.values[at] = row
    for row in range(len(heads)):
        bit = (heads[row] >> _33) & bit_mask
        bits[bit >> _6] |= _ONE << (bit & _63)


@njit(cache=True, nogil=True)
def find_ngrams(units: Units, least: int, sizes: np.ndarray, table: NgramTable, hits: Hits) -> int:
    """Find known n-grams of each of the `sizes` (int64[k]) at each unit whose head of `least` units is known.

    Returns how many there are. Call again with room for all where that is more than there is room for.
    """
    slots, bits, places = table.slots, table.bits, hits.places
    mask, bit_mask = np.uint64(len(slots) - 1), np.uint64(len(bits) * 64 - 1)
    head_power = _power(least)
    powers = np.empty(len(sizes), dtype=np.uint64)
    for number in range(len(sizes)):
        powers[number] = _power(sizes[number])
    count, room = 0, len(places)
    for text in range(len(units.offsets) - 1):
        hits.offsets[text] = count
        first, last = units.offsets[text], units.offsets[text + 1]
        prefixes = np.empty(last - first + 1, dtype=np.uint64)
        _prefixes(units.hashes, first, last, prefixes)
        for at in range(last - first - least + 1):
            bit = (_key(prefixes, at, least, head_power) >> _33) & bit_mask
            if not (bits[bit >> _6] >> (bit & _63)) & _ONE:
                continue
            for number in range(len(sizes)):
                size = sizes[number]
                if at + size > last - first:
                    continue
                key = _key(prefixes, at, size, powers[number])
                slot = key & mask
                while slots[slot] != 0 and slots[slot] != key:
                    slot = (slot + _ONE) & mask
                if slots[slot] == 0:
                    continue
                if count < room:
                    places[count], hits.lengths[count], hits.entries[count] = first + at, size, table.values[slot]
                count += 1
    hits.offsets[len(units.offsets) - 1] = count
    return count
