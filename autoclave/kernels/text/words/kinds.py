"""What a word is and what is known of it: kinds, flags, hashes. `split.py` finds the words.

A word is what the chosen kind makes it:

WHITESPACE  what str.split() gives
ASCII_SPACE what fastText's tokenizer gives: ASCII white space and NUL separate
TOKENS      words and punctuation marks as tokens, close to spaCy's rules (`spacy_rules.py`)
SCRIPT      WHITESPACE, and within a chunk that has ideographs, kana or South-East Asian letters, TOKENS

UNICODE_ALNUM (UAX #29 words that begin with a letter or digit) is in `uax29.py`.
"""

from __future__ import annotations

import numpy as np

from autoclave.kernels.text.characters import (
    ALNUM,
    ALPHA,
    DATATROVE_PUNCTUATION,
    ELLIPSIS,
    HASH,
    PUNCTUATION,
    TERMINAL,
    character_width,
    decode,
)
from autoclave.kernels.text.code_points import ASCII_LIMIT
from autoclave.kernels.text.raw.memory import (
    ALL_BITS,
    TOP_BITS,
    ascii_letters,
    inlined,
    kernel,
    load,
    load64,
    trailing_zeros,
)
from autoclave.kernels.text.words.arrays import Words

WHITESPACE, ASCII_SPACE, TOKENS, SCRIPT, UNICODE_ALNUM = 0, 1, 2, 3, 4

HAS_ALPHA, HAS_OTHER, FIRST_ALNUM, SENTENCE_END, ALL_PUNCTUATION, HAS_HASH, HAS_ELLIPSIS = 1, 2, 4, 8, 16, 32, 64
"""Flags of a word: some str.isalpha character; some character that datatrove does not call punctuation; first
character str.isalnum; a single sentence-final mark; only category P; contains '#'; contains '…'."""

OF_LETTERS = HAS_ALPHA | HAS_OTHER | FIRST_ALNUM
"""Flags of a word of letters."""

WHOLE = 128
"""Flag of words of the kind SCRIPT that are one token as well."""

_SEED = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIER = np.uint64(0xFF51AFD7ED558CCD)
_FINAL = np.uint64(0xC4CEB9FE1A85EC53)
_32, _29, _8, _3, _64 = np.uint64(32), np.uint64(29), np.uint64(8), np.uint64(3), np.uint64(64)

_F, _3F, _F0, _E0, _16, _24 = (np.uint64(value) for value in (0x0F, 0x3F, 0xF0, 0xE0, 16, 24))
_ALPHA, _ALNUM, _PUNCTUATION, _TERMINAL = (bit.bit_length() - 1 for bit in (ALPHA, ALNUM, PUNCTUATION, TERMINAL))
_DATATROVE, _HASH, _ELLIPSIS = (bit.bit_length() - 1 for bit in (DATATROVE_PUNCTUATION, HASH, ELLIPSIS))


@inlined
def hash_bytes(data: np.ndarray, start: int, stop: int) -> np.uint64:
    """Return the 64-bit hash of data[start:stop] (uint8[bytes]) that words, lines and lists of words share."""
    value = _SEED ^ np.uint64(stop - start)
    at, limit = start, np.int64(len(data)) - 8
    while at + 8 <= stop:
        value = (value ^ load64(data, at)) * _MULTIPLIER
        value ^= value >> _29
        at += 8
    if at < stop:
        rest = np.uint64(stop - at)
        if at <= limit:
            tail = load64(data, at) & (ALL_BITS >> (_64 - (rest << _3)))
        else:
            tail, shift = np.uint64(0), np.uint64(0)
            while at < stop:
                tail |= np.uint64(load(data, at)) << shift
                shift += _8
                at += 1
        value = (value ^ tail) * _MULTIPLIER
        value ^= value >> _29
    value *= _FINAL
    return value ^ (value >> _32)


@kernel
def hash_word(data: np.ndarray) -> np.uint64:
    """Return `hash_bytes` of all of `data`, uint8[bytes], for tables that are built in Python."""
    return hash_bytes(data, 0, np.int64(len(data)))


@inlined
def hash_long(data: np.ndarray, start: int, stop: int) -> np.uint64:
    """Return a 64-bit hash of data[start:stop] (uint8[bytes]) for lines and paragraphs, in four lanes; not that of
    `hash_bytes`."""
    if stop - start < 64:
        return hash_bytes(data, start, stop)
    one, two, three, four = _SEED, ~_SEED, _MULTIPLIER, _FINAL
    at = start
    while at + 32 <= stop:
        one = (one ^ load64(data, at)) * _MULTIPLIER
        two = (two ^ load64(data, at + 8)) * _MULTIPLIER
        three = (three ^ load64(data, at + 16)) * _MULTIPLIER
        four = (four ^ load64(data, at + 24)) * _MULTIPLIER
        one, two, three, four = one ^ (one >> _29), two ^ (two >> _29), three ^ (three >> _29), four ^ (four >> _29)
        at += 32
    value = hash_bytes(data, at, stop) ^ np.uint64(stop - start)
    for lane in (one, two, three, four):
        value = (value ^ lane) * _MULTIPLIER
        value ^= value >> _29
    value *= _FINAL
    return value ^ (value >> _32)


@inlined
def hash_short(eight: np.uint64, size: int) -> np.uint64:
    """Return `hash_bytes` of up to eight bytes, the low `size` of `eight`; the rest of it is not looked at."""
    value = _SEED ^ np.uint64(size)
    value = (value ^ (eight & (ALL_BITS >> (_64 - (np.uint64(size) << _3))))) * _MULTIPLIER
    value ^= value >> _29
    value *= _FINAL
    return value ^ (value >> _32)


@inlined
def hash_longer(eight: np.uint64, second: np.uint64, size: int) -> np.uint64:
    """Return `hash_bytes` of nine to sixteen bytes: those of `eight` and the low ones of `second`."""
    value = (_SEED ^ np.uint64(size) ^ eight) * _MULTIPLIER
    value ^= value >> _29
    value = (value ^ (second & (ALL_BITS >> (_64 - (np.uint64(size - 8) << _3))))) * _MULTIPLIER
    value ^= value >> _29
    value *= _FINAL
    return value ^ (value >> _32)


@inlined
def word_flags(some: int, every: int, first: int, length: int) -> int:
    """Return the flags of a word from the OR and the AND of its characters' classes and its first class."""
    flags = (some >> _ALPHA & 1) * HAS_ALPHA
    flags |= (~every >> _DATATROVE & 1) * HAS_OTHER
    flags |= (first >> _ALNUM & 1) * FIRST_ALNUM
    flags |= (first >> _TERMINAL & 1) * SENTENCE_END if length == 1 else 0
    flags |= (every >> _PUNCTUATION & 1) * ALL_PUNCTUATION
    flags |= (some >> _HASH & 1) * HAS_HASH
    return flags | (some >> _ELLIPSIS & 1) * HAS_ELLIPSIS


@inlined
def leading_letters(eight: np.uint64) -> int:
    """Return how many of eight bytes, from the lowest on, are ASCII letters before the first that is not."""
    return trailing_zeros(ascii_letters(eight) ^ TOP_BITS) >> 3


@inlined
def _ideographs(eight: np.uint64, size: int) -> int:
    """Return how many characters U+4E00 to U+9FBF the low `size` bytes, at most eight, are; 0 if anything else."""
    count = 0
    while size >= 3:
        point = np.int64(eight & _F) << 12 | np.int64(eight >> _8 & _3F) << 6 | np.int64(eight >> _16 & _3F)
        if eight & _F0 != _E0 or point < 0x4E00 or point >= 0x9FC0:
            return 0
        eight >>= _24
        size -= 3
        count += 1
    return count if size == 0 else 0


@inlined
def append_word(data: np.ndarray, begin: int, stop: int, length: int, flags: int, words: Words, count: int) -> int:
    """Set the word at index `count` to data[begin:stop], uint8[bytes], of `length` characters; return count + 1."""
    words.start[count], words.end[count], words.chars[count], words.flags[count] = begin, stop, length, flags
    words.hashes[count] = hash_bytes(data, begin, stop)
    return count + 1


@inlined
def append_span(words: Words, count: int, places: np.ndarray, first: int, last: int) -> int:
    """Set the span of the word at index `count` to that of the characters [first, last); return count + 1.

    places: int32[characters + 1], where each begins. What else is known of the word `describe_words` finds.
    """
    words.start[count], words.end[count] = load(places, first), load(places, last)
    return count + 1


@inlined
def copy_word(old: Words, index: int, shift: int, words: Words, count: int) -> int:
    """Set the word at index `count` to the old one at `index`, `shift` bytes on; return count + 1."""
    words.start[count] = np.int64(load(old.start, index)) + shift
    words.end[count] = np.int64(load(old.end, index)) + shift
    words.chars[count], words.hashes[count] = load(old.chars, index), load(old.hashes, index)
    words.flags[count] = load(old.flags, index)
    return count + 1


@kernel
def describe_words(data: np.ndarray, classes: np.ndarray, first: int, last: int, words: Words, further: int) -> None:
    """Fill chars, hashes and flags, `further` among them, of the words [first, last) from their spans.

    data: uint8[bytes]; classes: int32[0x110000], of `character_tables`.
    """
    start, end, chars, hashes, flags = words.start, words.end, words.chars, words.hashes, words.flags
    swift = np.int64(len(data)) - 7
    for word in range(first, last):
        at, stop = np.int64(load(start, word)), np.int64(load(end, word))
        if at < swift and stop - at <= 8:
            eight, count = load64(data, at), stop - at
            hashes[word] = hash_short(eight, count)
            if leading_letters(eight) < count:
                count = _ideographs(eight, count)
            if count:
                chars[word], flags[word] = count, OF_LETTERS | further
                continue
        else:
            hashes[word] = hash_bytes(data, at, stop)
        length, some, every, begins = 0, 0, -1, 0
        while at < stop:
            byte = np.int64(load(data, at))
            if byte < ASCII_LIMIT:
                bits = np.int64(load(classes, byte))
                at += 1
            else:
                bits = np.int64(load(classes, decode(data, at)))
                at += character_width(byte)
            if length == 0:
                begins = bits
            some |= bits
            every &= bits
            length += 1
        chars[word] = length
        flags[word] = word_flags(some, every, begins, length) | further
