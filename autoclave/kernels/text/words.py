"""Words of a batch of documents: spans, lengths, hashes and flags, in one pass over the UTF-8 bytes.

A word is what the chosen kind makes it:

WHITESPACE  what str.split() gives
ASCII_SPACE what fastText's tokenizer gives: ASCII white space and NUL separate
TOKENS      words and punctuation marks as tokens, close to spaCy's rules (`tokens.py`)
SCRIPT      WHITESPACE, and within a chunk that has ideographs, kana or South-East Asian letters, TOKENS

UNICODE_ALNUM (UAX #29 words that begin with a letter or digit) is in `unicode_words.py`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from autoclave.kernels.text.characters import (
    ALNUM,
    ALPHA,
    DATATROVE_PUNCTUATION,
    HAN,
    HANGUL,
    MYANMAR,
    PUNCTUATION,
    SPACE,
    TERMINAL,
    character_width,
    decode,
)
from autoclave.kernels.text.tokens import split_chunk

WHITESPACE, ASCII_SPACE, TOKENS, SCRIPT, UNICODE_ALNUM = 0, 1, 2, 3, 4

HAS_ALPHA, HAS_OTHER, FIRST_ALNUM, SENTENCE_END, ALL_PUNCTUATION, HAS_HASH, HAS_ELLIPSIS = 1, 2, 4, 8, 16, 32, 64
"""Flags of a word: some str.isalpha character; some character that datatrove does not call punctuation; first
character str.isalnum; a single sentence-final mark; only category P; contains '#'; contains '…'."""

MAX_WORDS = 1 << 22
"""Words of one document that are kept; the rest of a longer document is not measured (no recipe keeps such a one)."""

MAX_CHUNK = 1 << 16
"""Characters without white space that are segmented at once; a longer run is cut there (bounded memory)."""

_SEED = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIER = np.uint64(0xFF51AFD7ED558CCD)
_FINAL = np.uint64(0xC4CEB9FE1A85EC53)
_32 = np.uint64(32)
_29 = np.uint64(29)


@njit(cache=True, nogil=True)
def hash_bytes(data: np.ndarray, start: int, stop: int) -> np.uint64:
    """Return the 64-bit hash of data[start:stop] that words, lines and lists of words share."""
    value = _SEED
    for at in range(start, stop):
        value = (value ^ np.uint64(data[at])) * _MULTIPLIER
        value ^= value >> _29
    value *= _FINAL
    return value ^ (value >> _32)


@njit(cache=True, nogil=True)
def describe_words(
    data: np.ndarray,
    classes: np.ndarray,
    first: int,
    last: int,
    start: np.ndarray,
    end: np.ndarray,
    chars: np.ndarray,
    hashes: np.ndarray,
    flags: np.ndarray,
) -> None:
    """Fill chars, hashes and flags of the words [first, last) from their spans."""
    for word in range(first, last):
        value, length, seen, alnum = _SEED, 0, 0, False
        all_marks, final_mark = True, False
        at, stop = np.int64(start[word]), np.int64(end[word])
        while at < stop:
            byte = data[at]
            if byte < 0x80:
                point, width = np.int64(byte), 1
                value = (value ^ np.uint64(byte)) * _MULTIPLIER
                value ^= value >> _29
                if byte == 0x23:
                    seen |= HAS_HASH
            else:
                point, width = decode(data, at), character_width(byte)
                for offset in range(width):
                    value = (value ^ np.uint64(data[at + offset])) * _MULTIPLIER
                    value ^= value >> _29
                if point == 0x2026:
                    seen |= HAS_ELLIPSIS
            bits = classes[point]
            if length == 0:
                alnum = bits & ALNUM != 0
                final_mark = bits & TERMINAL != 0
            if bits & ALPHA:
                seen |= HAS_ALPHA
            if not bits & DATATROVE_PUNCTUATION:
                seen |= HAS_OTHER
            if not bits & PUNCTUATION:
                all_marks = False
            length += 1
            at += width
        value *= _FINAL
        chars[word] = length
        hashes[word] = value ^ (value >> _32)
        if alnum:
            seen |= FIRST_ALNUM
        if final_mark and length == 1:
            seen |= SENTENCE_END
        if all_marks:
            seen |= ALL_PUNCTUATION
        flags[word] = seen


@njit(cache=True, nogil=True)
def split_words(
    data: np.ndarray,
    offsets: np.ndarray,
    kind: int,
    classes: np.ndarray,
    scripts: np.ndarray,
    exceptions: np.ndarray,
    dictionary_keys: np.ndarray,
    dictionary_costs: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    document_words: np.ndarray,
) -> int:
    """Fill the spans of all words; document_words[d] is the first word of document d. Return the number of words.

    data: uint8; offsets: int64 of documents + 1; start, end: int32 byte spans with room for every word.
    """
    points = np.empty(MAX_CHUNK + 8, np.int32)
    places = np.empty(MAX_CHUNK + 9, np.int32)
    pending = np.empty(2 * MAX_CHUNK + 8, np.int32)
    costs = np.empty(MAX_CHUNK + 9, np.float32)
    steps = np.empty(MAX_CHUNK + 9, np.int32)
    words = 0
    for document in range(len(offsets) - 1):
        document_words[document] = words
        limit = words + MAX_WORDS
        at, stop = offsets[document], offsets[document + 1]
        while at < stop and words < limit:
            byte = data[at]
            if byte < 0x80:
                separates = (
                    classes[byte] & SPACE != 0 if kind != ASCII_SPACE else byte == 32 or 9 <= byte <= 13 or byte == 0
                )
                if separates:
                    at += 1
                    continue
            elif kind != ASCII_SPACE and classes[decode(data, at)] & SPACE:
                at += character_width(byte)
                continue
            begin, simple, unspaced, length = at, True, False, 0
            while at < stop:
                byte = data[at]
                if byte < 0x80:
                    bits = classes[byte]
                    if kind == ASCII_SPACE:
                        if byte == 32 or 9 <= byte <= 13 or byte == 0:
                            break
                    elif bits & SPACE:
                        break
                    if not bits & ALPHA:
                        simple = False
                    at += 1
                else:
                    point = decode(data, at)
                    if kind != ASCII_SPACE and classes[point] & SPACE:
                        break
                    simple = False
                    script = scripts[point]
                    if HAN <= script <= MYANMAR and script != HANGUL:
                        unspaced = True
                    at += character_width(byte)
                length += 1
                if length == MAX_CHUNK and kind >= TOKENS:
                    break
            if (simple and kind == TOKENS and at - begin != 6) or kind < TOKENS or (kind == SCRIPT and not unspaced):
                start[words] = begin
                end[words] = at
                words += 1
            else:
                words = split_chunk(
                    data,
                    begin,
                    at,
                    classes,
                    scripts,
                    exceptions,
                    dictionary_keys,
                    dictionary_costs,
                    points,
                    places,
                    pending,
                    costs,
                    steps,
                    start,
                    end,
                    words,
                )
    document_words[len(offsets) - 1] = words
    return words
