"""The ways that most words of most texts go: eight bytes at a time, with few branches.

Most are ASCII letters, maybe with a mark behind them, before white space (`swift_token`, `swift_word`); half of the
others have been met before (`known_chunk`).
"""

from __future__ import annotations

import numpy as np

from autoclave.kernels.text.characters import ATTACHED, LOWER, WHITE_SPACE
from autoclave.kernels.text.code_points import ASCII_LIMIT, DOLLAR, EQUALS, FULL_STOP, HASH_SIGN, PERCENT, SPACE
from autoclave.kernels.text.raw.memory import TOP_BITS, bytes_below, bytes_equal, inlined, load, load64, trailing_zeros
from autoclave.kernels.text.words.kinds import (
    FIRST_ALNUM,
    HAS_ALPHA,
    HAS_HASH,
    HAS_OTHER,
    hash_bytes,
    hash_longer,
    hash_short,
    leading_letters,
    word_flags,
)
from autoclave.kernels.text.words.spacy_rules import may_be_cannot

_LETTERS = HAS_ALPHA | HAS_OTHER | FIRST_ALNUM
"""Flags of a word of letters."""

KNOWN, _KNOWN_SHIFT, _SPREAD = 1 << 12, np.uint64(64 - 12), np.uint64(0x9E3779B97F4A7C15)
"""Slots of the table of chunks met before."""

_0, _1, _7 = np.uint64(0), np.uint64(1), np.uint64(7)
_LOWEST = np.uint64(0xFF)


@inlined
def swift_token(
    data: np.ndarray,
    at: int,
    ascii_classes: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    chars: np.ndarray,
    hashes: np.ndarray,
    flags: np.ndarray,
    words: int,
) -> tuple[int, int]:
    """Append up to 15 ASCII letters before white space, or before one mark and white space, as tokens.

    Returns (the byte after the white space, the new number of words); (at, words) where something else is there.
    Eighteen bytes from `at` on must be readable.
    """
    eight = load64(data, at)
    letters = leading_letters(eight)
    second = np.uint64(0)
    if letters == 8:
        second = load64(data, at + 8)
        letters += leading_letters(second)
    if letters == 0 or letters == 16 or may_be_cannot(letters, np.int64(eight & _LOWEST)):
        return at, words
    stop = at + letters
    after = np.int64(load(data, stop))
    if after >= ASCII_LIMIT:
        return at, words
    bits = np.int64(load(ascii_classes, after))
    if not bits & WHITE_SPACE:
        behind = np.int64(load(data, stop + 1))
        if not bits & ATTACHED or behind >= ASCII_LIMIT or not load(ascii_classes, behind) & WHITE_SPACE:
            return at, words
        if after == EQUALS or after == PERCENT or after == DOLLAR:
            return at, words
        if after == FULL_STOP and (
            letters < 3
            or not load(ascii_classes, np.int64(load(data, stop - 1))) & LOWER
            or (letters < 8 and not load(ascii_classes, np.int64(load(data, at))) & LOWER)
        ):  # maybe an abbreviation
            return at, words
    start[words], end[words], chars[words], flags[words] = at, stop, letters, _LETTERS
    hashes[words] = hash_short(eight, letters) if letters <= 8 else hash_longer(eight, second, letters)
    words += 1
    if bits & WHITE_SPACE:
        return stop + 1, words
    start[words], end[words], chars[words] = stop, stop + 1, 1
    hashes[words] = hash_short(np.uint64(after), 1)
    flags[words] = word_flags(bits, bits, bits, 1)
    return stop + 2, words + 1


@inlined
def known_chunk(
    data: np.ndarray,
    at: int,
    ascii_classes: np.ndarray,
    known_places: np.ndarray,
    known_words: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    chars: np.ndarray,
    hashes: np.ndarray,
    flags: np.ndarray,
    words: int,
) -> tuple[int, int]:
    """Append the tokens of up to 15 ASCII bytes before white space where the same bytes were cut not long ago.

    Half of what is not just letters comes again, and copying its tokens costs a fraction of cutting it. Returns (the
    byte after the white space, the new number of words); (at, words) for what is not known: it is noted that its
    tokens begin at index `words`. Eighteen bytes from `at` on must be readable.
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
        return at, words
    slot = np.int64((eight & first_mask ^ (second & second_mask) * _SPREAD) * _SPREAD >> _KNOWN_SHIFT)
    known, old = np.int64(load(known_places, slot)), np.int64(load(known_words, slot))
    if (
        known < 0
        or (load64(data, known) ^ eight) & first_mask
        or (load64(data, known + 8) ^ second) & second_mask
        or load(data, known + size) > SPACE
    ):
        known_places[slot], known_words[slot] = at, words
        return at, words
    shift, last = at - known, 0
    while last < at + size:
        last = np.int64(load(end, old)) + shift
        start[words], end[words] = np.int64(load(start, old)) + shift, last
        chars[words], hashes[words], flags[words] = load(chars, old), load(hashes, old), load(flags, old)
        words += 1
        old += 1
    return last + 1, words


@inlined
def swift_word(
    data: np.ndarray,
    at: int,
    swift: int,
    ascii_classes: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    chars: np.ndarray,
    hashes: np.ndarray,
    flags: np.ndarray,
    words: int,
    whole_flag: int,
) -> tuple[int, int]:
    """Append an ASCII word between white space that begins with a letter and ends before byte `swift`.

    Returns (the byte after the white space, the new number of words); (at, words) where something else is there.
    """
    eight = load64(data, at)
    letters = leading_letters(eight)
    if letters == 0:
        return at, words
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
                return at, words
            eight = load64(data, stop)
            final = bytes_below(eight, SPACE + 1) | eight & TOP_BITS
        sharp |= bytes_equal(eight, HASH_SIGN) & (final ^ (final - np.uint64(1)))
    else:
        sharp &= final ^ (final - np.uint64(1))
    stop += trailing_zeros(final) >> 3
    after = np.int64(load(data, stop))
    if after >= ASCII_LIMIT or not load(ascii_classes, after) & WHITE_SPACE:
        return at, words
    size = stop - at
    start[words], end[words], chars[words] = at, stop, size
    if size <= 8:
        hashes[words] = hash_short(first, size)
    elif size <= 16:
        hashes[words] = hash_longer(first, second, size)
        letters += leading_letters(second) if letters == 8 else 0
    else:
        hashes[words] = hash_bytes(data, at, stop)
    whole = (letters >= size) & (not may_be_cannot(size, np.int64(first & _LOWEST)))
    flags[words] = _LETTERS | (sharp != 0) * HAS_HASH | whole * whole_flag
    return stop + 1, words + 1
