"""The ways that most words of most texts go: eight bytes at a time, with few branches.

Most are ASCII letters, maybe with a mark behind them, before white space (`swift_token`, `swift_word`); half of the
others have been met before (`known_chunk`).
"""

from __future__ import annotations

import numpy as np

from autoclave.kernels.text.characters import ATTACHED, LOWER, WHITE_SPACE
from autoclave.kernels.text.code_points import ASCII_LIMIT, DOLLAR, EQUALS, FULL_STOP, HASH_SIGN, PERCENT, SPACE
from autoclave.kernels.text.raw.memory import TOP_BITS, bytes_below, bytes_equal, inlined, load, load64, trailing_zeros
from autoclave.kernels.text.words.arrays import Room, Words
from autoclave.kernels.text.words.kinds import (
    HAS_HASH,
    OF_LETTERS,
    copy_word,
    hash_bytes,
    hash_longer,
    hash_short,
    leading_letters,
    word_flags,
)
from autoclave.kernels.text.words.spacy_rules import may_be_cannot

KNOWN, _KNOWN_SHIFT, _SPREAD = 1 << 12, np.uint64(64 - 12), np.uint64(0x9E3779B97F4A7C15)
"""Slots of the table of chunks met before."""

_0, _1, _7 = np.uint64(0), np.uint64(1), np.uint64(7)
_LOWEST = np.uint64(0xFF)


@inlined
def swift_token(data: np.ndarray, at: int, ascii_classes: np.ndarray, words: Words, count: int) -> tuple[int, int]:
    """Append up to 15 ASCII letters before white space, or before one mark and white space, as tokens.

    Returns (the byte after the white space, the new number of words); (at, count) where something else is there.
    data: uint8[bytes], eighteen from `at` on must be readable; ascii_classes: int32[128], of `Tables`.
    """
    eight = load64(data, at)
    letters = leading_letters(eight)
    second = np.uint64(0)
    if letters == 8:
        second = load64(data, at + 8)
        letters += leading_letters(second)
    if letters == 0 or letters == 16 or may_be_cannot(letters, np.int64(eight & _LOWEST)):
        return at, count
    stop = at + letters
    after = np.int64(load(data, stop))
    if after >= ASCII_LIMIT:
        return at, count
    bits = np.int64(load(ascii_classes, after))
    if not bits & WHITE_SPACE:
        behind = np.int64(load(data, stop + 1))
        if not bits & ATTACHED or behind >= ASCII_LIMIT or not load(ascii_classes, behind) & WHITE_SPACE:
            return at, count
        if after == EQUALS or after == PERCENT or after == DOLLAR:
            return at, count
        if after == FULL_STOP and (
            letters < 3
            or not load(ascii_classes, np.int64(load(data, stop - 1))) & LOWER
            or (letters < 8 and not load(ascii_classes, np.int64(load(data, at))) & LOWER)
        ):  # maybe an abbreviation
            return at, count
    words.start[count], words.end[count], words.chars[count], words.flags[count] = at, stop, letters, OF_LETTERS
    words.hashes[count] = hash_short(eight, letters) if letters <= 8 else hash_longer(eight, second, letters)
    count += 1
    if bits & WHITE_SPACE:
        return stop + 1, count
    words.start[count], words.end[count], words.chars[count] = stop, stop + 1, 1
    words.hashes[count] = hash_short(np.uint64(after), 1)
    words.flags[count] = word_flags(bits, bits, bits, 1)
    return stop + 2, count + 1


@inlined
def known_chunk(
    data: np.ndarray, at: int, ascii_classes: np.ndarray, room: Room, words: Words, count: int
) -> tuple[int, int]:
    """Append the tokens of up to 15 ASCII bytes before white space where the same bytes were cut not long ago.

    Half of what is not just letters comes again, and copying its tokens costs a fraction of cutting it. Returns (the
    byte after the white space, the new number of words); (at, count) for what is not known: it is noted that its
    tokens begin at index `count`. data: uint8[bytes], eighteen from `at` on must be readable; ascii_classes:
    int32[128], of `Tables`.
    """
    eight, second, size = load64(data, at), load64(data, at + 8), 0
    final, first_mask, second_mask = bytes_below(eight, SPACE + 1) | eight & TOP_BITS, ~_0, _0
    if final == 0:
        size, final = 8, bytes_below(second, SPACE + 1) | second & TOP_BITS
        second_mask = ((final & (~final + _1)) >> _7) - _1
    else:
        first_mask = ((final & (~final + _1)) >> _7) - _1
    size += trailing_zeros(final) >> 3
    after = np.int64(load(data, at + size))
    if final == 0 or size == 0 or after >= ASCII_LIMIT or not load(ascii_classes, after) & WHITE_SPACE:
        return at, count
    slot = np.int64((eight & first_mask ^ (second & second_mask) * _SPREAD) * _SPREAD >> _KNOWN_SHIFT)
    known, old = np.int64(load(room.known_places, slot)), np.int64(load(room.known_words, slot))
    if (
        known < 0
        or (load64(data, known) ^ eight) & first_mask
        or (load64(data, known + 8) ^ second) & second_mask
        or load(data, known + size) > SPACE
    ):
        room.known_places[slot], room.known_words[slot] = at, count
        return at, count
    shift, last = at - known, 0
    while last < at + size:
        last = np.int64(load(words.end, old)) + shift
        count = copy_word(words, old, shift, words, count)
        old += 1
    return last + 1, count


@inlined
def swift_word(
    data: np.ndarray, at: int, swift: int, ascii_classes: np.ndarray, words: Words, count: int, whole_flag: int
) -> tuple[int, int]:
    """Append an ASCII word between white space that begins with a letter and ends before byte `swift`.

    Returns (the byte after the white space, the new number of words); (at, count) where something else is there.
    data: uint8[bytes]; ascii_classes: int32[128], of `Tables`.
    """
    eight = load64(data, at)
    letters = leading_letters(eight)
    if letters == 0:
        return at, count
    first, second, stop = eight, load64(data, at + 8), at
    final = bytes_below(eight, SPACE + 1) | eight & TOP_BITS
    sharp = bytes_equal(eight, HASH_SIGN)
    if final == 0:
        stop, eight = at + 8, second
        final = bytes_below(eight, SPACE + 1) | eight & TOP_BITS
        while final == 0:
            sharp |= bytes_equal(eight, HASH_SIGN)
            stop += 8
            if stop >= swift:
                return at, count
            eight = load64(data, stop)
            final = bytes_below(eight, SPACE + 1) | eight & TOP_BITS
        sharp |= bytes_equal(eight, HASH_SIGN) & (final ^ (final - np.uint64(1)))
    else:
        sharp &= final ^ (final - np.uint64(1))
    stop += trailing_zeros(final) >> 3
    after = np.int64(load(data, stop))
    if after >= ASCII_LIMIT or not load(ascii_classes, after) & WHITE_SPACE:
        return at, count
    size = stop - at
    words.start[count], words.end[count], words.chars[count] = at, stop, size
    if size <= 8:
        words.hashes[count] = hash_short(first, size)
    elif size <= 16:
        words.hashes[count] = hash_longer(first, second, size)
        letters += leading_letters(second) if letters == 8 else 0
    else:
        words.hashes[count] = hash_bytes(data, at, stop)
    whole = (letters >= size) & (not may_be_cannot(size, np.int64(first & _LOWEST)))
    words.flags[count] = OF_LETTERS | (sharp != 0) * HAS_HASH | whole * whole_flag
    return stop + 1, count + 1
