"""Per-document sums over characters and words."""

from __future__ import annotations

import string
from typing import NamedTuple

import numpy as np

from autoclave.kernels.text.characters import ALNUM, WHITE_SPACE, character_width, count_characters, decode
from autoclave.kernels.text.code_points import (
    ASCII_LIMIT,
    DIGIT_0,
    DIGIT_9,
    FULL_STOP,
    HASH_SIGN,
    HORIZONTAL_ELLIPSIS,
    HYPHEN,
    LEFT_BRACKET,
    LEFT_PARENTHESIS,
    NEWLINE,
    NUL,
    RETURN,
    RIGHT_BRACKET,
    RIGHT_GUILLEMET,
    RIGHT_PARENTHESIS,
    SPACE,
    TAB,
    lower_byte,
)
from autoclave.kernels.text.raw.compare import BLOCK, below_mask, equal_mask, letter_mask
from autoclave.kernels.text.raw.memory import bytes_equal, count_bits, inlined, kernel, load, load64, trailing_zeros
from autoclave.kernels.text.rules.segments import ends_in_dots
from autoclave.kernels.text.texts import Texts
from autoclave.kernels.text.words.arrays import Words
from autoclave.kernels.text.words.kinds import (
    FIRST_ALNUM,
    HAS_ALPHA,
    HAS_ELLIPSIS,
    HAS_HASH,
    HAS_OTHER,
    hash_bytes,
)

CHARACTERS, NEWLINES, HASHES, DOTS, ELLIPSES, SPACED_DOTS = 0, 1, 2, 3, 4, 5
"""Columns of `count_marks`: code points; '\\n'; '#'; '...' without overlap; '…'; '. . .' without overlap."""

WORDS, WORD_CHARS, OTHER_WORDS, OTHER_CHARS, ALPHA_WORDS, ALNUM_WORDS = 0, 1, 2, 3, 4, 5
SYMBOL_WORDS, CURATOR_SYMBOLS, STOP_TOTAL, STOP_DISTINCT = 6, 7, 8, 9
"""Columns of `word_statistics`: words and their characters; those with a character that is not punctuation, and their
characters; with a letter; with a letter or digit first; with # or …; that are an ellipsis or more than half runs of #;
occurrences of stop words; distinct stop words."""

STATISTICS = 10
STOP_SLOTS = 512
"""Slots of the open-addressing table of one stop-word list."""


class StopWords(NamedTuple):
    """Lists of stop words, and which is each document's.

    tables: uint64[lists, STOP_SLOTS], hashes of the words, 0 where empty; numbers: int64[lists, STOP_SLOTS], the same
    number for forms of one word; rows: int32[documents].
    """

    tables: np.ndarray
    numbers: np.ndarray
    rows: np.ndarray


class StopRoom(NamedTuple):
    """Working room. seen: int64[STOP_SLOTS], zeros; lowered: uint8[64]."""

    seen: np.ndarray
    lowered: np.ndarray


LENGTHS = 1024
"""Lengths of words that `median_lengths` tells apart."""

_SLOT = np.uint64(STOP_SLOTS - 1)
_1, _63 = np.uint64(1), np.uint64(63)

_MOST_SUMMED = 1 << 15
_16_BITS, _16, _32, _48 = np.uint64(0xFFFF), np.uint64(16), np.uint64(32), np.uint64(48)
_SUMMED = np.array(
    [
        sum(1 << 16 * place for place, mask in enumerate(masks) if flags & mask)
        for flags in range(256)
        for masks in [(HAS_OTHER, HAS_ALPHA, FIRST_ALNUM, HAS_HASH | HAS_ELLIPSIS)]
    ],
    dtype=np.uint64,
)
"""What the flags of a word add to four sums of 16 bits in one number, for `_MOST_SUMMED` words at most."""

_DOTS_1, _DOTS_2, _DOTS_3 = chr(HORIZONTAL_ELLIPSIS).encode()
_SYMBOLIC = np.zeros(256, dtype=np.uint8)
_SYMBOLIC[[ord(letter) for letter in "#[(.-"]] = _SYMBOLIC[_DOTS_1] = 1

_SPACED = np.zeros(256, dtype=np.uint8)
_SPACED[ASCII_LIMIT:] = 2
_SPACED[[ord(character) for character in string.ascii_letters + string.digits]] = 1
_SPACED[[ord(character) for character in "\0\t\n\v\f\r "]] = 4
_SPACED[[byte for byte in range(ASCII_LIMIT) if chr(byte).isspace()]] |= 8
"""What a byte is: 1 an ASCII letter or digit, 2 part of a longer character, 4 white space or NUL as fastText has them,
8 white space as str.isspace has it."""


@kernel
def count_spaced_words(texts: Texts, classes: np.ndarray, out: np.ndarray) -> None:
    """Fill out, int64[texts], with the words between ASCII white space or NUL that begin with a letter or digit (DCLM).

    classes: int32[0x110000], of `character_tables`.
    """
    data, offsets = texts.data, texts.offsets
    for document in range(len(offsets) - 1):
        words, apart, at, stop = 0, 1, offsets[document], offsets[document + 1]
        while at + BLOCK <= stop:
            controls, spaces = below_mask(data, at, RETURN + 1), equal_mask(data, at, SPACE)
            spaces |= controls & ~below_mask(data, at, TAB) | equal_mask(data, at, NUL)
            first = ~spaces & (spaces << _1 | np.uint64(apart))
            digits = below_mask(data, at, DIGIT_9 + 1) & ~below_mask(data, at, DIGIT_0)
            words += count_bits(first & (letter_mask(data, at) | digits))
            first &= ~below_mask(data, at, ASCII_LIMIT)
            while first:
                words += load(classes, decode(data, at + trailing_zeros(first))) & ALNUM != 0
                first &= first - _1
            apart = np.int64(spaces >> _63)
            at += BLOCK
        for place in range(at, stop):
            kind = np.int64(load(_SPACED, np.int64(load(data, place))))
            words += apart & kind & 1
            if apart & (kind >> 1):
                words += load(classes, decode(data, place)) & ALNUM != 0
            apart = kind >> 2 & 1
        out[document] = words


@inlined
def longest_word(data: np.ndarray, at: int, stop: int, classes: np.ndarray, least: int) -> int:
    """Return the characters of the longest word between white space in data[at:stop]; `least` if none is longer.

    Where ASCII white space lies within the next `least` bytes no word there is longer, so that most bytes are never
    looked at; what is between is measured character by character. data: uint8[bytes]; classes: int32[0x110000], of
    `character_tables`.
    """
    longest = least
    while at + longest < stop:
        back = at + longest
        while back >= at and not load(_SPACED, np.int64(load(data, back))) >> 3:
            back -= 1
        if back >= at:
            at = back + 1
            continue
        length = 0
        while at < stop:
            byte = np.int64(load(data, at))
            if load(classes, byte if byte < ASCII_LIMIT else decode(data, at)) & WHITE_SPACE:
                length = 0
                if byte < ASCII_LIMIT:
                    break
            else:
                length += 1
                longest = max(longest, length)
            at += character_width(byte)
    return longest


@kernel
def longest_words(texts: Texts, classes: np.ndarray, out: np.ndarray) -> None:
    """Fill out, int64[texts], with the characters of the longest word between white space.

    classes: int32[0x110000], of `character_tables`.
    """
    data, offsets = texts.data, texts.offsets
    for document in range(len(offsets) - 1):
        out[document] = longest_word(data, offsets[document], offsets[document + 1], classes, 0)


@kernel
def _count_dots(data: np.ndarray, start: int, stop: int) -> tuple[int, int, int]:
    """Return ('...', '…', '. . .') in data[start:stop], the first and the last without overlap.

    Blocks of 64 bytes without any sign of them, nearly all, are passed over at once.
    """
    dots, ellipses, spaced, dots_free, spaced_free, at = 0, 0, 0, start, start, start
    while at < stop:
        if at + BLOCK + 2 <= stop:  # '..', '. .' or what looks like '…'
            next_dot = equal_mask(data, at + 1, SPACE) & equal_mask(data, at + 2, FULL_STOP)
            next_dot |= equal_mask(data, at + 1, FULL_STOP)
            ellipsis = equal_mask(data, at, _DOTS_1) & equal_mask(data, at + 2, _DOTS_3)
            if equal_mask(data, at, FULL_STOP) & next_dot | ellipsis == 0:
                at += BLOCK
                continue
        for place in range(at, min(at + 64, stop)):
            byte = load(data, place)
            if byte == FULL_STOP:
                if place >= dots_free and place + 2 < stop and ends_in_dots(data, place, place + 3):
                    dots += 1
                    dots_free = place + 3
                if (
                    place >= spaced_free
                    and place + 4 < stop
                    and data[place + 1] == SPACE
                    and data[place + 2] == FULL_STOP
                    and data[place + 3] == SPACE
                    and data[place + 4] == FULL_STOP
                ):
                    spaced += 1
                    spaced_free = place + 5
            elif byte == _DOTS_1 and load(data, place + 1) == _DOTS_2 and load(data, place + 2) == _DOTS_3:
                ellipses += 1
        at += 64
    return dots, ellipses, spaced


@kernel
def count_characters_and_newlines(texts: Texts, out: np.ndarray) -> None:
    """Fill out[d] with the columns CHARACTERS and NEWLINES. out: int64 [documents, 2]."""
    data, offsets = texts.data, texts.offsets
    for document in range(len(offsets) - 1):
        start, stop = offsets[document], offsets[document + 1]
        newlines, at = 0, start
        while at + 8 <= stop:
            newlines += count_bits(bytes_equal(load64(data, at), NEWLINE))
            at += 8
        while at < stop:
            newlines += load(data, at) == NEWLINE
            at += 1
        out[document, CHARACTERS], out[document, NEWLINES] = count_characters(data, start, stop), newlines


@kernel
def count_marks(texts: Texts, out: np.ndarray) -> None:
    """Fill out[d] with the columns CHARACTERS to SPACED_DOTS. out: int64 [documents, 6]."""
    data, offsets = texts.data, texts.offsets
    for document in range(len(offsets) - 1):
        start, stop = offsets[document], offsets[document + 1]
        newlines, hashes, at = 0, 0, start
        while at + 8 <= stop:
            eight = load64(data, at)
            newlines += count_bits(bytes_equal(eight, NEWLINE))
            hashes += count_bits(bytes_equal(eight, HASH_SIGN))
            at += 8
        while at < stop:
            newlines += load(data, at) == NEWLINE
            hashes += load(data, at) == HASH_SIGN
            at += 1
        dots, ellipses, spaced = _count_dots(data, start, stop)
        out[document, CHARACTERS] = count_characters(data, start, stop)
        out[document, NEWLINES], out[document, HASHES] = newlines, hashes
        out[document, DOTS], out[document, ELLIPSES], out[document, SPACED_DOTS] = dots, ellipses, spaced


@kernel
def _is_symbol_word(data: np.ndarray, start: int, stop: int, chars: int) -> bool:
    """Say whether Curator calls the word a symbol: an ellipsis mark, or more runs of # than half its characters."""
    runs = 0
    for at in range(start, stop):
        if data[at] == HASH_SIGN and (at == start or data[at - 1] != HASH_SIGN):
            runs += 1
    if 2 * runs > chars:
        return True
    first = decode(data, start)
    if chars == 1:
        return first == HORIZONTAL_ELLIPSIS
    if chars == 2:
        return first == HYPHEN and decode(data, start + 1) == RIGHT_GUILLEMET
    inner, outer = start, stop
    last = data[stop - 1]
    if (first == LEFT_BRACKET and last == RIGHT_BRACKET) or (first == LEFT_PARENTHESIS and last == RIGHT_PARENTHESIS):
        inner, outer = start + 1, stop - 1
        if first == LEFT_BRACKET and chars == 3 and decode(data, inner) == HORIZONTAL_ELLIPSIS:
            return True
    return outer - inner == 3 and ends_in_dots(data, inner, outer)


@kernel
def _lowered_hash(data: np.ndarray, start: int, stop: int, lowered: np.ndarray) -> np.uint64:
    for at in range(start, stop):
        lowered[at - start] = lower_byte(load(data, at))
    return hash_bytes(lowered, 0, stop - start)


@kernel
def median_lengths(words: Words, lengths: np.ndarray, out: np.ndarray) -> None:
    """Fill out[d] (int64) with twice the median length of the words of a document; 0 where it has none.

    lengths: int64 zeros [LENGTHS], working room, zeros again after; longer words count as the longest there.
    """
    for document in range(len(words.offsets) - 1):
        first, last = words.offsets[document], words.offsets[document + 1]
        out[document] = 0
        if first == last:
            continue
        for word in range(first, last):
            lengths[min(np.int64(load(words.chars, word)), LENGTHS - 1)] += 1
        low, high, below, length, count = -1, -1, 0, 0, last - first
        while high < 0:
            below += lengths[length]
            if low < 0 and below > (count - 1) // 2:
                low = length
            if below > count // 2:
                high = length
            length += 1
        out[document] = low + high
        for length in range(LENGTHS):
            lengths[length] = 0


@kernel
def word_statistics(
    data: np.ndarray, words: Words, stop_words: StopWords, lowercase: bool, symbols: bool, room: StopRoom,
    out: np.ndarray,
) -> None:  # fmt: skip
    """Fill out[d] with the columns WORDS to STOP_DISTINCT. out: int64 [documents, STATISTICS].

    lowercase compares stop words in lower case (ASCII); symbols fills CURATOR_SYMBOLS, which is 0 otherwise.
    """
    start, end, chars, flags, seen = words.start, words.end, words.chars, words.flags, room.seen
    for document in range(len(words.offsets) - 1):
        first, last = words.offsets[document], words.offsets[document + 1]
        table = stop_words.tables[stop_words.rows[document]]
        numbers = stop_words.numbers[stop_words.rows[document]]
        length_sum, other_sum, other, alpha, alnum, symbol, curator = 0, 0, 0, 0, 0, 0, 0
        for begin in range(first, last, _MOST_SUMMED):
            sums = np.uint64(0)
            for word in range(begin, min(begin + _MOST_SUMMED, last)):
                length, flag = np.int64(load(chars, word)), np.int64(load(flags, word))
                length_sum += length
                other_sum += length & -(flag // HAS_OTHER & 1)
                sums += load(_SUMMED, flag)
            other += np.int64(sums & _16_BITS)
            alpha += np.int64(sums >> _16 & _16_BITS)
            alnum += np.int64(sums >> _32 & _16_BITS)
            symbol += np.int64(sums >> _48)
        if symbols:
            for word in range(first, last):
                flag, begin = np.int64(load(flags, word)), np.int64(load(start, word))
                if (flag & HAS_HASH or not flag & HAS_ALPHA) and load(_SYMBOLIC, np.int64(load(data, begin))):
                    curator += _is_symbol_word(data, begin, np.int64(load(end, word)), np.int64(load(chars, word)))
        distinct, total = 0, 0
        for word in range(first, last):
            value = load(words.hashes, word)
            if lowercase:
                begin = np.int64(load(start, word))
                if np.int64(load(end, word)) - begin > 16:
                    continue
                value = _lowered_hash(data, begin, np.int64(load(end, word)), room.lowered)
            slot = np.int64(value & _SLOT)
            found = load(table, slot)
            while (found != 0) & (found != value):
                slot = slot + 1 & STOP_SLOTS - 1
                found = load(table, slot)
            stop, number = found == value, load(numbers, slot)  # a quarter of all words, so no branch
            last_seen = load(seen, number)
            total += stop
            distinct += stop & (last_seen != document + 1)
            seen[number] = document + 1 if stop else last_seen
        out[document, WORDS], out[document, WORD_CHARS] = last - first, length_sum
        out[document, OTHER_WORDS], out[document, OTHER_CHARS] = other, other_sum
        out[document, ALPHA_WORDS], out[document, ALNUM_WORDS] = alpha, alnum
        out[document, SYMBOL_WORDS], out[document, CURATOR_SYMBOLS] = symbol, curator
        out[document, STOP_TOTAL], out[document, STOP_DISTINCT] = total, distinct
