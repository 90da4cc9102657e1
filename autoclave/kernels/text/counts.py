"""Per-document sums over characters and words."""

# mypy: disable-error-code="call-arg,arg-type,var-annotated,assignment,has-type,return-value,operator,call-overload"
# (numba, not mypy, types the bodies of kernels)

from __future__ import annotations

import numpy as np
from numba import njit

from autoclave.kernels.text.characters import ALNUM, decode
from autoclave.kernels.text.memory import kernel, load
from autoclave.kernels.text.words import (
    ALL_PUNCTUATION,
    FIRST_ALNUM,
    HAS_ALPHA,
    HAS_ELLIPSIS,
    HAS_HASH,
    HAS_OTHER,
    SENTENCE_END,
    hash_bytes,
)

CHARACTERS, NEWLINES, HASHES, DOTS, ELLIPSES, SPACED_DOTS = 0, 1, 2, 3, 4, 5
"""Columns of `count_marks`: code points; '\\n'; '#'; '...' without overlap; '…'; '. . .' without overlap."""

WORDS, WORD_CHARS, OTHER_WORDS, OTHER_CHARS, ALPHA_WORDS, ALNUM_WORDS = 0, 1, 2, 3, 4, 5
SYMBOL_WORDS, CURATOR_SYMBOLS, STOP_TOTAL, STOP_DISTINCT, MEDIAN_TWICE, SENTENCES = 6, 7, 8, 9, 10, 11
LONGEST = 12
"""Columns of `word_statistics`: words and their characters; those with a character that is not punctuation, and their
characters; with a letter; with a letter or digit first; with # or …; that are an ellipsis or more than half runs of #;
occurrences of stop words; distinct stop words; twice the median length; sentences; characters of the longest word."""

STATISTICS = 13
STOP_SLOTS = 256
"""Slots of the open-addressing table of one stop-word list."""

_LENGTHS = 1024
_1 = np.uint64(1)


@kernel
def count_spaced_words(data: np.ndarray, offsets: np.ndarray, classes: np.ndarray, out: np.ndarray) -> None:
    """Fill out[d] (int64) with the words between ASCII white space or NUL that begin with a letter or digit (DCLM)."""
    for document in range(len(offsets) - 1):
        words, apart = 0, True
        for at in range(offsets[document], offsets[document + 1]):
            byte = np.int64(load(data, at))
            space = byte <= 32 and (byte == 32 or 9 <= byte <= 13 or byte == 0)
            if apart and not space:
                words += load(classes, byte if byte < 0x80 else decode(data, at)) & ALNUM != 0
            apart = space
        out[document] = words


@njit(cache=True, nogil=True)
def count_marks(data: np.ndarray, offsets: np.ndarray, out: np.ndarray) -> None:
    """Fill out[d] with the columns CHARACTERS to SPACED_DOTS. out: int64 [documents, 6]."""
    for document in range(len(offsets) - 1):
        start, stop = offsets[document], offsets[document + 1]
        chars, newlines, hashes, dots, ellipses, spaced = 0, 0, 0, 0, 0, 0
        for at in range(start, stop):  # three sums that compilers turn into vector instructions
            byte = data[at]
            chars += byte & 0xC0 != 0x80
            newlines += byte == 10
            hashes += byte == 0x23
        dots_free, spaced_free, at = start, start, start
        while at < stop:
            byte = load(data, at)
            if byte == 0x2E:
                if at >= dots_free and at + 2 < stop and data[at + 1] == 0x2E and data[at + 2] == 0x2E:
                    dots += 1
                    dots_free = at + 3
                if (
                    at >= spaced_free
                    and at + 4 < stop
                    and data[at + 1] == 32
                    and data[at + 2] == 0x2E
                    and data[at + 3] == 32
                    and data[at + 4] == 0x2E
                ):
                    spaced += 1
                    spaced_free = at + 5
            elif byte == 0xE2 and load(data, at + 1) == 0x80 and load(data, at + 2) == 0xA6:
                ellipses += 1
            at += 1
        out[document, CHARACTERS], out[document, NEWLINES], out[document, HASHES] = chars, newlines, hashes
        out[document, DOTS], out[document, ELLIPSES], out[document, SPACED_DOTS] = dots, ellipses, spaced


@njit(cache=True, nogil=True)
def _is_symbol_word(data: np.ndarray, start: int, stop: int, chars: int) -> bool:
    """Say whether Curator calls the word a symbol: an ellipsis mark, or more runs of # than half its characters."""
    runs = 0
    for at in range(start, stop):
        if data[at] == 0x23 and (at == start or data[at - 1] != 0x23):
            runs += 1
    if 2 * runs > chars:
        return True
    first = decode(data, start)
    if chars == 1:
        return first == 0x2026
    if chars == 2:
        return first == 0x2D and decode(data, start + 1) == 0xBB
    inner, outer = start, stop
    last = data[stop - 1]
    if (first == 0x5B and last == 0x5D) or (first == 0x28 and last == 0x29):
        inner, outer = start + 1, stop - 1
        if first == 0x5B and chars == 3 and decode(data, inner) == 0x2026:
            return True
    return outer - inner == 3 and data[inner] == 0x2E and data[inner + 1] == 0x2E and data[inner + 2] == 0x2E


@njit(cache=True, nogil=True)
def _lowered_hash(data: np.ndarray, start: int, stop: int, scratch: np.ndarray) -> np.uint64:
    for at in range(start, stop):
        byte = data[at]
        scratch[at - start] = byte + 32 if 65 <= byte <= 90 else byte
    return hash_bytes(scratch, 0, stop - start)


@njit(cache=True, nogil=True)
def word_statistics(
    data: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    chars: np.ndarray,
    hashes: np.ndarray,
    flags: np.ndarray,
    offsets: np.ndarray,
    stop_tables: np.ndarray,
    stop_set: np.ndarray,
    lowercase: bool,
    out: np.ndarray,
) -> None:
    """Fill out[d] with the columns WORDS to LONGEST. out: int64 [documents, STATISTICS].

    stop_tables: uint64 [sets, STOP_SLOTS], hashed words, 0 where empty; stop_set: int32, the set of each document.
    lowercase compares stop words in lower case (ASCII).
    """
    lengths = np.zeros(_LENGTHS, np.int64)
    seen = np.zeros(STOP_SLOTS, np.int64)
    scratch = np.empty(64, np.uint8)
    for document in range(len(offsets) - 1):
        out[document, :] = 0
        lengths[:] = 0
        table = stop_tables[stop_set[document]]
        distinct, total, sentences, waiting, open_sentence = 0, 0, 0, False, False
        for word in range(offsets[document], offsets[document + 1]):
            length, flag = np.int64(chars[word]), flags[word]
            lengths[min(length, _LENGTHS - 1)] += 1
            out[document, WORDS] += 1
            out[document, WORD_CHARS] += length
            if length > out[document, LONGEST]:
                out[document, LONGEST] = length
            if flag & HAS_OTHER:
                out[document, OTHER_WORDS] += 1
                out[document, OTHER_CHARS] += length
            if flag & HAS_ALPHA:
                out[document, ALPHA_WORDS] += 1
            if flag & FIRST_ALNUM:
                out[document, ALNUM_WORDS] += 1
            if flag & (HAS_HASH | HAS_ELLIPSIS):
                out[document, SYMBOL_WORDS] += 1
            marked = flag & HAS_HASH or not flag & HAS_ALPHA
            if marked and _is_symbol_word(data, start[word], end[word], length):
                out[document, CURATOR_SYMBOLS] += 1
            if flag & SENTENCE_END:
                waiting = True
            elif waiting and not flag & ALL_PUNCTUATION:
                sentences += 1
                waiting = False
            open_sentence = True
            value = hashes[word]
            if lowercase:
                size = np.int64(end[word]) - np.int64(start[word])
                if size > 16:
                    continue
                value = _lowered_hash(data, start[word], end[word], scratch)
            slot = value & np.uint64(STOP_SLOTS - 1)
            while table[slot] != 0 and table[slot] != value:
                slot = (slot + _1) & np.uint64(STOP_SLOTS - 1)
            if table[slot] == value:
                total += 1
                if seen[slot] != document + 1:
                    seen[slot] = document + 1
                    distinct += 1
        out[document, SENTENCES] = sentences + (1 if open_sentence else 0)
        out[document, STOP_TOTAL], out[document, STOP_DISTINCT] = total, distinct
        count = out[document, WORDS]
        if count:
            low, high, below, length = -1, -1, 0, 0
            while high < 0:
                below += lengths[length]
                if low < 0 and below > (count - 1) // 2:
                    low = length
                if below > count // 2:
                    high = length
                length += 1
            out[document, MEDIAN_TWICE] = low + high
