"""Words of a batch of documents: spans, lengths, hashes and flags, in one pass over the UTF-8 bytes.

Most words of most texts go the ways of `swift_words.py`, eight bytes at a time. All others go the general way
(`split_range`).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from autoclave.kernels.text.characters import (
    ALNUM,
    ALPHA,
    ATTACHED,
    DECIMAL,
    LOWER,
    UNSPACED,
    WHITE_SPACE,
    character_width,
    decode,
)
from autoclave.kernels.text.code_points import ASCII_LIMIT, DOLLAR, EQUALS, FULL_STOP, PERCENT, SPACE
from autoclave.kernels.text.raw.memory import TOP_BITS, bytes_equal, kernel, load, load64, trailing_zeros
from autoclave.kernels.text.words.ascii import KNOWN, known_chunk, swift_token, swift_word
from autoclave.kernels.text.words.kinds import (
    ASCII_SPACE,
    FIRST_ALNUM,
    HAS_ALPHA,
    HAS_OTHER,
    SCRIPT,
    TOKENS,
    WHOLE,
    describe_words,
    hash_bytes,
    word_flags,
)
from autoclave.kernels.text.words.spacy_rules import may_be_cannot, split_chunk

MAX_WORDS = 1 << 22
"""Words of one document that are kept; the rest of a longer document is not measured (no recipe keeps such a one)."""

MAX_CHUNK = 1 << 16
"""Characters without white space that are segmented at once; a longer run is cut there (bounded memory)."""


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
    dictionary: tuple[np.ndarray, ...],
    room: tuple[np.ndarray, ...],
    start: np.ndarray,
    end: np.ndarray,
    chars: np.ndarray,
    hashes: np.ndarray,
    flags: np.ndarray,
    words: int,
) -> int:
    """Append the words of data[at:stop], a document or a line, at index `words`; return the new number of words.

    room: of `scratch`; the other arguments are those of `split_words`.
    """
    points, places, marks = room[0], room[1], room[2]
    limit = words + MAX_WORDS
    whole_flag = WHOLE if kind == SCRIPT else 0
    swift = min(stop, np.int64(len(data))) - 18
    while at < stop and words < limit:
        if at < swift:
            if kind == TOKENS:
                new, words = swift_token(data, at, ascii_classes, start, end, chars, hashes, flags, words)
            else:
                new, words = swift_word(
                    data, at, swift, ascii_classes, start, end, chars, hashes, flags, words, whole_flag
                )
            if new > at:
                at = new
                continue
            if load(data, at) == SPACE:  # more spaces: an indented line
                spaces = bytes_equal(load64(data, at), SPACE)
                at += trailing_zeros(spaces ^ TOP_BITS) >> 3
                continue
            if kind == TOKENS:
                new, words = known_chunk(
                    data, at, ascii_classes, room[6], room[7], start, end, chars, hashes, flags, words
                )
                if new > at:
                    at = new
                    continue
        begin, some, every, letters, length, mark_count = at, 0, -1, 0, 0, 0
        width, bits = 1, 0
        while at < stop:
            point, width = np.int64(load(data, at)), 1
            if point < ASCII_LIMIT:
                bits = np.int64(load(ascii_classes, point))
            else:
                width = character_width(point)
                point = decode(data, at)
                bits = np.int64(load(classes, point))
                if kind == ASCII_SPACE:
                    bits &= ~WHITE_SPACE
            if bits & WHITE_SPACE:
                break
            if kind >= TOKENS:  # what `split_chunk` needs, should it come to that
                if length == MAX_CHUNK:
                    break
                points[length], places[length], marks[mark_count] = point, at, length
                mark_count += bits & ALNUM == 0
                letters += bits & ALPHA != 0
            every &= bits
            some |= bits
            length += 1
            at += width
        if length == 0:
            at += width
            continue
        opening = np.int64(load(data, begin))
        first = np.int64(load(ascii_classes, opening) if opening < ASCII_LIMIT else load(classes, decode(data, begin)))
        one_token = length == 1 or (every & ALPHA and not may_be_cannot(length, opening)) or every & DECIMAL != 0
        if kind < TOKENS or (not some & UNSPACED and (kind == SCRIPT or one_token)):
            start[words], end[words], chars[words] = begin, at, length
            hashes[words] = hash_bytes(data, begin, at)
            flags[words] = word_flags(some, every, first, length) | (whole_flag if one_token else 0)
            words += 1
            continue
        final = np.int64(load(data, at - 1))
        if (
            kind == TOKENS
            and not some & UNSPACED
            and letters == length - 1
            and length > 3
            and not may_be_cannot(length - 1, opening)
            and final < ASCII_LIMIT
            and load(ascii_classes, final) & ATTACHED
            and (
                final != FULL_STOP
                or ((first & LOWER or length > 8) and load(ascii_classes, np.int64(load(data, at - 2))) & LOWER)
            )
            and final != EQUALS
            and final != PERCENT
            and final != DOLLAR
            and load(data, at - 2) < ASCII_LIMIT
        ):  # letters and one mark at the end: the common case of `split_chunk`
            start[words], end[words], chars[words] = begin, at - 1, length - 1
            hashes[words] = hash_bytes(data, begin, at - 1)
            flags[words] = HAS_ALPHA | HAS_OTHER | FIRST_ALNUM
            words += 1
            start[words], end[words], chars[words] = at - 1, at, 1
            hashes[words] = hash_bytes(data, at - 1, at)
            bits = np.int64(load(ascii_classes, final))
            flags[words] = word_flags(bits, bits, bits, 1)
            words += 1
            continue
        if (
            kind == TOKENS
            and opening < ASCII_LIMIT
            and not some & UNSPACED
            and letters == length - 1
            and first & ATTACHED
            and length > 2
            and not may_be_cannot(length - 1, np.int64(load(data, begin + 1)))
        ):
            start[words], end[words], chars[words] = begin, begin + 1, 1  # a mark and letters: (word
            hashes[words] = hash_bytes(data, begin, begin + 1)
            flags[words] = word_flags(first, first, first, 1)
            words += 1
            start[words], end[words], chars[words] = begin + 1, at, length - 1
            hashes[words] = hash_bytes(data, begin + 1, at)
            flags[words] = HAS_ALPHA | HAS_OTHER | FIRST_ALNUM
            words += 1
            continue
        places[length] = at
        new = split_chunk(
            length, mark_count, some, classes, scripts, exceptions, dictionary, room, start, end, words
        )  # fmt: skip
        describe_words(data, classes, words, new, start, end, chars, hashes, flags, whole_flag)
        words = new
    return words


@njit(cache=True, nogil=True)
def scratch() -> tuple[np.ndarray, ...]:
    """Return the arrays that `split_range` works in: those of `tokens.split_chunk`, and what `known_chunk` knows."""
    return (
        np.empty(MAX_CHUNK + 8, np.int32),
        np.empty(MAX_CHUNK + 9, np.int32),
        np.empty(MAX_CHUNK + 8, np.int32),
        np.empty(2 * MAX_CHUNK + 8, np.int32),
        np.empty(MAX_CHUNK + 9, np.float32),
        np.empty(MAX_CHUNK + 9, np.int32),
        np.full(KNOWN, -1, np.int32),
        np.empty(KNOWN, np.int32),
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
    dictionary: tuple[np.ndarray, ...],
    start: np.ndarray,
    end: np.ndarray,
    chars: np.ndarray,
    hashes: np.ndarray,
    flags: np.ndarray,
    document_words: np.ndarray,
) -> int:
    """Fill spans, lengths, hashes and flags of all words; return their number.

    data: uint8; offsets: int64 of documents + 1; ascii_classes: classes of the first 128 code points, with
    WHITE_SPACE where the kind separates; document_words[d]: the first word of document d. The outputs need room for
    every word.
    """
    room = scratch()
    words = np.int64(0)  # numba would compile `split_range` once more for a literal 0
    for document in range(len(offsets) - 1):
        document_words[document] = words
        words = split_range(
            data, offsets[document], offsets[document + 1], kind, ascii_classes, classes, scripts, exceptions,
            dictionary, room, start, end, chars, hashes, flags, words,
        )  # fmt: skip
    document_words[len(offsets) - 1] = words
    return words
