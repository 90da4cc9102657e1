"""Words of a batch of documents: spans, lengths, hashes and flags, in one pass over the UTF-8 bytes.

A word is what the chosen kind makes it:

WHITESPACE  what str.split() gives
ASCII_SPACE what fastText's tokenizer gives: ASCII white space and NUL separate
TOKENS      words and punctuation marks as tokens, close to spaCy's rules (`tokens.py`)
SCRIPT      WHITESPACE, and within a chunk that has ideographs, kana or South-East Asian letters, TOKENS

UNICODE_ALNUM (UAX #29 words that begin with a letter or digit) is in `unicode_words.py`.
"""

# mypy: disable-error-code="call-arg,arg-type,var-annotated,assignment,has-type,return-value,operator,call-overload"
# (numba, not mypy, types the bodies of kernels)

from __future__ import annotations

import numpy as np
from numba import njit

from autoclave.kernels.text.characters import (
    ALNUM,
    ALPHA,
    ATTACHED,
    DATATROVE_PUNCTUATION,
    DECIMAL,
    ELLIPSIS,
    HASH,
    LOWER,
    PUNCTUATION,
    SPACE,
    TERMINAL,
    UNSPACED,
    character_width,
    decode,
)
from autoclave.kernels.text.memory import kernel, load, load64, trailing_zeros
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
_32, _29, _8, _3, _64 = np.uint64(32), np.uint64(29), np.uint64(8), np.uint64(3), np.uint64(64)
_ONES = np.uint64(0xFFFFFFFFFFFFFFFF)
_LOWEST, _C, _SMALL_C = np.uint64(0xFF), np.uint64(0x20), np.uint64(0x63)
_CASE, _LOW, _HIGH = (np.uint64(0x0101010101010101 * byte) for byte in (0x20, 0x7F, 0x80))
_ABOVE_BELOW_A, _ABOVE_Z = (np.uint64(0x0101010101010101 * byte) for byte in (0x80 - 0x61, 0x7F - 0x7A))


@kernel
def hash_bytes(data: np.ndarray, start: int, stop: int) -> np.uint64:
    """Return the 64-bit hash of data[start:stop] that words, lines and lists of words share."""
    value = _SEED ^ np.uint64(stop - start)
    at, limit = start, np.int64(len(data)) - 8
    while at + 8 <= stop:
        value = (value ^ load64(data, at)) * _MULTIPLIER
        value ^= value >> _29
        at += 8
    if at < stop:
        rest = np.uint64(stop - at)
        if at <= limit:
            tail = load64(data, at) & (_ONES >> (_64 - (rest << _3)))
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
def _leading_letters(eight: np.uint64) -> int:
    """Return how many of eight bytes, from the lowest on, are ASCII letters before the first that is not."""
    low = (eight | _CASE) & _LOW
    letters = (low + _ABOVE_BELOW_A) & ~(low + _ABOVE_Z) & ~eight & _HIGH
    return trailing_zeros(letters ^ _HIGH) >> 3


@kernel
def _word_flags(some: int, every: int, first: int, length: int) -> int:
    """Return the flags of a word from the OR and the AND of its characters' classes and its first class."""
    flags = 0
    if some & ALPHA:
        flags |= HAS_ALPHA
    if not every & DATATROVE_PUNCTUATION:
        flags |= HAS_OTHER
    if first & ALNUM:
        flags |= FIRST_ALNUM
    if length == 1 and first & TERMINAL:
        flags |= SENTENCE_END
    if every & PUNCTUATION:
        flags |= ALL_PUNCTUATION
    if some & HASH:
        flags |= HAS_HASH
    if some & ELLIPSIS:
        flags |= HAS_ELLIPSIS
    return flags


@kernel
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
        at, stop = np.int64(start[word]), np.int64(end[word])
        hashes[word] = hash_bytes(data, at, stop)
        length, some, every, begins = 0, 0, -1, 0
        while at < stop:
            byte = np.int64(load(data, at))
            if byte < 0x80:
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
        flags[word] = _word_flags(some, every, begins, length)


@kernel
def split_range(
    data: np.ndarray,
    at: int,
    stop: int,
    kind: int,
    ascii_classes: np.ndarray,
    classes: np.ndarray,
    scripts: np.ndarray,
    exceptions: np.ndarray,
    dictionary_keys: np.ndarray,
    dictionary_costs: np.ndarray,
    points: np.ndarray,
    places: np.ndarray,
    pending: np.ndarray,
    costs: np.ndarray,
    steps: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    chars: np.ndarray,
    hashes: np.ndarray,
    flags: np.ndarray,
    words: int,
) -> int:
    """Append the words of data[at:stop], a document or a line, at index `words`; return the new number of words."""
    limit = words + MAX_WORDS
    swift = min(stop, np.int64(len(data))) - 8
    while at < stop and words < limit:
        if at < swift:  # up to seven ASCII letters and a space: most words of most texts
            eight = load64(data, at)
            letters = _leading_letters(eight)
            if (
                0 < letters < 8
                and load(data, at + letters) == 32
                and (letters != 6 or eight & _LOWEST | _C != _SMALL_C)
            ):
                start[words], end[words], chars[words] = at, at + letters, letters
                value = _SEED ^ np.uint64(letters)
                value = (value ^ (eight & (_ONES >> (_64 - (np.uint64(letters) << _3))))) * _MULTIPLIER
                value ^= value >> _29
                value *= _FINAL
                hashes[words] = value ^ (value >> _32)
                flags[words] = HAS_ALPHA | HAS_OTHER | FIRST_ALNUM
                words += 1
                at += letters + 1
                continue
        begin, some, every, before, rest, length = at, 0, -1, -1, -1, 0
        bits = 0
        first = 0
        while at < stop:
            byte = np.int64(load(data, at))
            if byte < 0x80:
                bits = np.int64(load(ascii_classes, byte))
                width = 1
            else:
                bits = np.int64(load(classes, decode(data, at)))
                if kind == ASCII_SPACE:
                    bits &= ~SPACE
                width = character_width(byte)
            if bits & SPACE:
                break
            if length == 0:
                first = bits
            else:
                rest &= bits
            before = every
            every &= bits
            some |= bits
            length += 1
            at += width
            if length == MAX_CHUNK and kind >= TOKENS:
                break
        if length == 0:
            at += width
            continue
        whole = kind < TOKENS or (kind == SCRIPT and not some & UNSPACED)
        if kind == TOKENS and not some & UNSPACED:
            cannot = length == 6 and load(data, begin) | 0x20 == 0x63
            whole = length == 1 or (every & ALPHA and not cannot) or every & DECIMAL != 0
        if whole:
            start[words], end[words], chars[words] = begin, at, length
            hashes[words] = hash_bytes(data, begin, at)
            flags[words] = _word_flags(some, every, first, length)
            words += 1
            continue
        final = np.int64(load(data, at - 1))
        if (
            kind == TOKENS
            and not some & UNSPACED
            and before & ALPHA
            and length > 3
            and length != 7
            and final < 0x80
            and load(ascii_classes, final) & ATTACHED
            and (
                final != 0x2E
                or ((first & LOWER or length > 8) and load(ascii_classes, np.int64(load(data, at - 2))) & LOWER)
            )
            and final != 0x3D
            and final != 0x25
            and final != 0x24
            and load(data, at - 2) < 0x80
        ):  # letters and one mark at the end: the common case of `split_chunk`
            start[words], end[words], chars[words] = begin, at - 1, length - 1
            hashes[words] = hash_bytes(data, begin, at - 1)
            flags[words] = HAS_ALPHA | HAS_OTHER | FIRST_ALNUM
            words += 1
            start[words], end[words], chars[words] = at - 1, at, 1
            hashes[words] = hash_bytes(data, at - 1, at)
            bits = np.int64(load(ascii_classes, final))
            flags[words] = _word_flags(bits, bits, bits, 1)
            words += 1
            continue
        opening = np.int64(load(data, begin))
        if (
            kind == TOKENS
            and opening < 0x80
            and not some & UNSPACED
            and rest & ALPHA
            and first & ATTACHED
            and 2 < length != 7
        ):
            start[words], end[words], chars[words] = begin, begin + 1, 1  # a mark and letters: (word
            hashes[words] = hash_bytes(data, begin, begin + 1)
            flags[words] = _word_flags(first, first, first, 1)
            words += 1
            start[words], end[words], chars[words] = begin + 1, at, length - 1
            hashes[words] = hash_bytes(data, begin + 1, at)
            flags[words] = HAS_ALPHA | HAS_OTHER | FIRST_ALNUM
            words += 1
            continue
        new = split_chunk(
            data, begin, at, classes, scripts, exceptions, dictionary_keys, dictionary_costs,
            points, places, pending, costs, steps, start, end, words,
        )  # fmt: skip
        describe_words(data, classes, words, new, start, end, chars, hashes, flags)
        words = new
    return words


@njit(cache=True, nogil=True)
def scratch() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the arrays points, places, pending, costs, steps that `split_range` works in."""
    return (
        np.empty(MAX_CHUNK + 8, np.int32),
        np.empty(MAX_CHUNK + 9, np.int32),
        np.empty(2 * MAX_CHUNK + 8, np.int32),
        np.empty(MAX_CHUNK + 9, np.float32),
        np.empty(MAX_CHUNK + 9, np.int32),
    )


@njit(cache=True, nogil=True)
def split_words(
    data: np.ndarray,
    offsets: np.ndarray,
    kind: int,
    ascii_classes: np.ndarray,
    classes: np.ndarray,
    scripts: np.ndarray,
    exceptions: np.ndarray,
    dictionary_keys: np.ndarray,
    dictionary_costs: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    chars: np.ndarray,
    hashes: np.ndarray,
    flags: np.ndarray,
    document_words: np.ndarray,
) -> int:
    """Fill spans, lengths, hashes and flags of all words; return their number.

    data: uint8; offsets: int64 of documents + 1; ascii_classes: classes of the first 128 code points, with SPACE where
    the kind separates; document_words[d]: the first word of document d. The outputs need room for every word.
    """
    points, places, pending, costs, steps = scratch()
    words = 0
    for document in range(len(offsets) - 1):
        document_words[document] = words
        words = split_range(
            data, offsets[document], offsets[document + 1], kind, ascii_classes, classes, scripts, exceptions,
            dictionary_keys, dictionary_costs, points, places, pending, costs, steps, start, end, chars, hashes,
            flags, words,
        )  # fmt: skip
    document_words[len(offsets) - 1] = words
    return words
