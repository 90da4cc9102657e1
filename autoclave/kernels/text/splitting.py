"""Words of a batch of documents: spans, lengths, hashes and flags, in one pass over the UTF-8 bytes.

Most words of most texts are ASCII letters, maybe with a mark behind them, before white space; they are taken eight
bytes at a time (`_swift_token`, `_swift_word`). All others go the general way (`split_range`).
"""

# mypy: disable-error-code="call-arg,arg-type,var-annotated,assignment,has-type,return-value,operator,call-overload"
# (numba, not mypy, types the bodies of kernels)

from __future__ import annotations

import numpy as np
from numba import njit

from autoclave.kernels.text.characters import (
    ALPHA,
    ATTACHED,
    DECIMAL,
    LOWER,
    SPACE,
    UNSPACED,
    character_width,
    decode,
)
from autoclave.kernels.text.memory import bytes_below, bytes_equal, inlined, kernel, load, load64, trailing_zeros
from autoclave.kernels.text.tokens import decode_chunk, split_chunk
from autoclave.kernels.text.words import (
    ASCII_SPACE,
    FIRST_ALNUM,
    HAS_ALPHA,
    HAS_HASH,
    HAS_OTHER,
    SCRIPT,
    TOKENS,
    WHOLE,
    describe_words,
    hash_bytes,
    hash_longer,
    hash_short,
    leading_letters,
    word_flags,
)

MAX_WORDS = 1 << 22
"""Words of one document that are kept; the rest of a longer document is not measured (no recipe keeps such a one)."""

MAX_CHUNK = 1 << 16
"""Characters without white space that are segmented at once; a longer run is cut there (bounded memory)."""

_LETTERS = HAS_ALPHA | HAS_OTHER | FIRST_ALNUM
"""Flags of a word of letters."""

_LOWEST, _C, _SMALL_C, _TOP = np.uint64(0xFF), np.uint64(0x20), np.uint64(0x63), np.uint64(0x8080808080808080)


@inlined
def _swift_token(
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
    if letters == 0 or letters == 16 or (letters == 6 and eight & _LOWEST | _C == _SMALL_C):  # cannot
        return at, words
    stop = at + letters
    after = np.int64(load(data, stop))
    if after >= 0x80:
        return at, words
    bits = np.int64(load(ascii_classes, after))
    if not bits & SPACE:
        behind = np.int64(load(data, stop + 1))
        if not bits & ATTACHED or behind >= 0x80 or not load(ascii_classes, behind) & SPACE:
            return at, words
        if after == 0x3D or after == 0x25 or after == 0x24:
            return at, words
        if after == 0x2E and (
            letters < 3
            or not load(ascii_classes, np.int64(load(data, stop - 1))) & LOWER
            or (letters < 8 and not load(ascii_classes, np.int64(load(data, at))) & LOWER)
        ):  # maybe an abbreviation
            return at, words
    start[words], end[words], chars[words], flags[words] = at, stop, letters, _LETTERS
    hashes[words] = hash_short(eight, letters) if letters <= 8 else hash_longer(eight, second, letters)
    words += 1
    if bits & SPACE:
        return stop + 1, words
    start[words], end[words], chars[words] = stop, stop + 1, 1
    hashes[words] = hash_short(np.uint64(after), 1)
    flags[words] = word_flags(bits, bits, bits, 1)
    return stop + 2, words + 1


@inlined
def _swift_word(
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
    final = bytes_below(eight, 0x21) | eight & _TOP
    sharp = bytes_equal(eight, 0x23)
    if final == 0:
        stop, eight = at + 8, second
        final = bytes_below(eight, 0x21) | eight & _TOP
        while final == 0:
            sharp |= bytes_equal(eight, 0x23)
            stop += 8
            if stop >= swift:
                return at, words
            eight = load64(data, stop)
            final = bytes_below(eight, 0x21) | eight & _TOP
        sharp |= bytes_equal(eight, 0x23) & (final ^ (final - np.uint64(1)))
    else:
        sharp &= final ^ (final - np.uint64(1))
    stop += trailing_zeros(final) >> 3
    after = np.int64(load(data, stop))
    if after >= 0x80 or not load(ascii_classes, after) & SPACE:
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
    cannot = (size == 6) & (first & _LOWEST | _C == _SMALL_C)
    whole = (letters >= size) & (not cannot)
    flags[words] = _LETTERS | (sharp != 0) * HAS_HASH | whole * whole_flag
    return stop + 1, words + 1


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
    whole_flag = WHOLE if kind == SCRIPT else 0
    swift = min(stop, np.int64(len(data))) - 18
    while at < stop and words < limit:
        if at < swift:
            if kind == TOKENS:
                new, words = _swift_token(data, at, ascii_classes, start, end, chars, hashes, flags, words)
            else:
                new, words = _swift_word(
                    data, at, swift, ascii_classes, start, end, chars, hashes, flags, words, whole_flag
                )
            if new > at:
                at = new
                continue
        if kind >= TOKENS and load(data, at) >= 0xE0 and load(classes, decode(data, at)) & UNSPACED:
            at, length, seen, mixed = decode_chunk(data, at, stop, MAX_CHUNK, classes, points, places)
            new = split_chunk(
                length, seen, mixed, classes, scripts, exceptions, dictionary, points, places, pending, costs, steps,
                start, end, words,
            )  # fmt: skip
            describe_words(data, classes, words, new, start, end, chars, hashes, flags, whole_flag)
            words = new
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
        cannot = length == 6 and load(data, begin) | 0x20 == 0x63
        one_token = length == 1 or (every & ALPHA and not cannot) or every & DECIMAL != 0
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
            flags[words] = word_flags(bits, bits, bits, 1)
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
            flags[words] = word_flags(first, first, first, 1)
            words += 1
            start[words], end[words], chars[words] = begin + 1, at, length - 1
            hashes[words] = hash_bytes(data, begin + 1, at)
            flags[words] = HAS_ALPHA | HAS_OTHER | FIRST_ALNUM
            words += 1
            continue
        _, length, seen, mixed = decode_chunk(data, begin, at, MAX_CHUNK, classes, points, places)
        new = split_chunk(
            length, seen, mixed, classes, scripts, exceptions, dictionary, points, places, pending, costs, steps,
            start, end, words,
        )  # fmt: skip
        describe_words(data, classes, words, new, start, end, chars, hashes, flags, whole_flag)
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
    dictionary: tuple[np.ndarray, ...],
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
            dictionary, points, places, pending, costs, steps, start, end, chars, hashes,
            flags, words,
        )  # fmt: skip
    document_words[len(offsets) - 1] = words
    return words
