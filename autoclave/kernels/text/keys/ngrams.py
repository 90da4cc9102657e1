"""Hashes of word n-grams over UTF-8 buffers, and the table that says which of them are known.

A unit is a run of letters, digits and combining marks in lower case, or one character of a script that is written
without spaces; everything else only separates. Hashes are 64 bits: a million known n-grams meet a foreign one by chance
about once in 10^13 n-grams.
"""

from __future__ import annotations

import functools
import unicodedata

import numpy as np
from numba import njit

from autoclave.kernels.text.characters import ALNUM, UNSPACED, character_tables, character_width, decode

_BASE = np.uint64(0x9E3779B97F4A7C15)
_PRIME = np.uint64(0x00000100000001B3)
_OFFSET = np.uint64(0xCBF29CE484222325)
_MIX1, _MIX2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_33, _6, _63, _ONE = np.uint64(33), np.uint64(6), np.uint64(63), np.uint64(1)

SEPARATOR, SPACED, ALONE, JOINED = 0, 1, 2, 3
"""Kinds of characters: between units; part of a word; a unit of its own; a mark that goes with what precedes it."""

_LOWER_LIMIT = 0x1E980  # above this no letter has two cases


@functools.cache
def unit_tables() -> tuple[np.ndarray, np.ndarray]:
    """Return (kinds uint8[0x110000], lower case int32[0x110000]); full-width ASCII becomes ASCII."""
    classes, _ = character_tables()
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
    return kinds, lower


@njit(cache=True, nogil=True)
def _mix(value: np.uint64) -> np.uint64:
    value = (value ^ (value >> _33)) * _MIX1
    value = (value ^ (value >> _33)) * _MIX2
    return value ^ (value >> _33)


@njit(cache=True, nogil=True)
def split_units(
    data: np.ndarray,
    offsets: np.ndarray,
    kinds: np.ndarray,
    lower: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    hashes: np.ndarray,
    unit_offsets: np.ndarray,
) -> int:
    """Fill byte spans (int32) and hashes (uint64) of the units of each document; return how many there are.

    data uint8; offsets int64[D + 1]; unit_offsets int64[D + 1]: units of document d. Room for bytes / 2 + D is enough.
    """
    count = 0
    for document in range(len(offsets) - 1):
        unit_offsets[document] = count
        at, stop = offsets[document], offsets[document + 1]
        value, inside, alone = _OFFSET, False, False
        while at < stop:
            point = decode(data, at)
            width = character_width(np.int64(data[at]))
            kind = kinds[point]
            if inside and kind != JOINED and (kind != SPACED or alone):
                hashes[count] = _mix(value)
                end[count] = at
                count += 1
                inside = False
            if kind != SEPARATOR and (kind != JOINED or inside):
                if not inside:
                    start[count] = at
                    value, inside, alone = _OFFSET, True, kind == ALONE
                value = (value ^ np.uint64(lower[point])) * _PRIME
            at += width
        if inside:
            hashes[count] = _mix(value)
            end[count] = stop
            count += 1
    unit_offsets[len(offsets) - 1] = count
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
def hash_items(
    data: np.ndarray,
    kinds: np.ndarray,
    start: np.ndarray,
    hashes: np.ndarray,
    unit_offsets: np.ndarray,
    size: int,
    least: int,
    unspaced_size: int,
    unspaced_least: int,
    keys: np.ndarray,
    heads: np.ndarray,
    texts: np.ndarray,
    lengths: np.ndarray,
    sizes: np.ndarray,
) -> int:
    """Fill the n-grams to know: those of `size` units of each text; of a shorter one with `least` units all as one.

    The unspaced limits hold for a text most of whose units stand alone. keys uint64; heads uint64, hash of the first
    `least` units; texts int64 (which text); lengths uint8 (units of the n-gram); sizes uint8 (the size asked for, more
    than the length where a short text is one n-gram); returns how many there are. Room for one n-gram a unit is enough.
    """
    count = 0
    head_power = _power(least)
    for text in range(len(unit_offsets) - 1):
        first, last = unit_offsets[text], unit_offsets[text + 1]
        units, alone = last - first, 0
        for unit in range(first, last):
            alone += kinds[decode(data, np.int64(start[unit]))] == ALONE
        wanted, enough = size, least
        if 2 * alone > units:
            wanted, enough = unspaced_size, unspaced_least
        if units < enough:
            continue
        prefixes = np.empty(units + 1, dtype=np.uint64)
        _prefixes(hashes, first, last, prefixes)
        length = min(wanted, units)
        power = _power(length)
        for at in range(units - length + 1):
            keys[count] = _key(prefixes, at, length, power)
            heads[count] = _key(prefixes, at, least, head_power)
            texts[count] = text
            lengths[count] = length
            sizes[count] = wanted
            count += 1
    return count


@njit(cache=True, nogil=True)
def fill_ngram_table(
    keys: np.ndarray, heads: np.ndarray, slots: np.ndarray, values: np.ndarray, bits: np.ndarray
) -> None:
    """Put different keys[i] -> i into slots (uint64) and values (int32), both a power of two long, and set head bits.

    bits: uint64, a power of two long: which heads of n-grams there are; most look-ups end there, in the cache.
    """
    mask, bit_mask = np.uint64(len(slots) - 1), np.uint64(len(bits) * 64 - 1)
    for row in range(len(keys)):
        at = keys[row] & mask
        while slots[at] != 0:
            at = (at + _ONE) & mask
        slots[at] = keys[row]
        values[at] = row
    for row in range(len(heads)):
        bit = (heads[row] >> _33) & bit_mask
        bits[bit >> _6] |= _ONE << (bit & _63)


@njit(cache=True, nogil=True)
def find_ngrams(
    hashes: np.ndarray,
    unit_offsets: np.ndarray,
    least: int,
    sizes: np.ndarray,
    slots: np.ndarray,
    values: np.ndarray,
    bits: np.ndarray,
    places: np.ndarray,
    lengths: np.ndarray,
    entries: np.ndarray,
    found_offsets: np.ndarray,
) -> int:
    """Find known n-grams of each of the `sizes` (int64) at each unit whose head of `least` units is known.

    Fills places int64 (first unit), lengths int64 and entries int64 (what the table holds) as far as they have room;
    found_offsets int64[D + 1]: those of document d; returns how many there are. Call again with room for all where
    that is more.
    """
    mask, bit_mask = np.uint64(len(slots) - 1), np.uint64(len(bits) * 64 - 1)
    head_power = _power(least)
    powers = np.empty(len(sizes), dtype=np.uint64)
    for number in range(len(sizes)):
        powers[number] = _power(sizes[number])
    count, room = 0, len(places)
    for document in range(len(unit_offsets) - 1):
        found_offsets[document] = count
        first, last = unit_offsets[document], unit_offsets[document + 1]
        prefixes = np.empty(last - first + 1, dtype=np.uint64)
        _prefixes(hashes, first, last, prefixes)
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
                    places[count], lengths[count], entries[count] = first + at, size, values[slot]
                count += 1
    found_offsets[len(unit_offsets) - 1] = count
    return count
