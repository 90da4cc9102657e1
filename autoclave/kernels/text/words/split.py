"""Words of a batch of texts: spans, lengths, hashes and flags, in one pass over the UTF-8 bytes.

Most words of most texts go the ways of `ascii.py`, eight bytes at a time. All others are read as chunks, character by
character (`chunks.py`).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from autoclave.kernels.text.characters import character_width
from autoclave.kernels.text.code_points import SPACE
from autoclave.kernels.text.raw.memory import TOP_BITS, bytes_equal, inlined, kernel, load, load64, trailing_zeros
from autoclave.kernels.text.texts import Texts
from autoclave.kernels.text.words.arrays import Room, Tables, Words
from autoclave.kernels.text.words.ascii import KNOWN, known_chunk, swift_token, swift_word
from autoclave.kernels.text.words.chunks import MAX_CHUNK, read_chunk, split_chunk, take_plainly
from autoclave.kernels.text.words.kinds import SCRIPT, TOKENS, WHOLE, describe_words

MAX_WORDS = 1 << 22
"""Words of one document that are kept; the rest of a longer document is not measured (no recipe keeps such a one)."""

_READ_AHEAD = 18
"""Bytes that must be readable from where the ways of `ascii.py` begin."""


@inlined
def _take_swiftly(
    data: np.ndarray, at: int, swift: int, kind: int, tables: Tables, room: Room, words: Words, count: int
) -> tuple[int, int]:
    """Take the word at byte `at` eight bytes at a time, or spaces; return (the byte after it, the number of words).

    Returns (at, count) where neither can be. swift: as `swift_word` has it.
    """
    if kind == TOKENS:
        after, count = swift_token(data, at, tables.ascii_classes, words, count)
    else:
        after, count = swift_word(data, at, swift, tables.ascii_classes, words, count, WHOLE if kind == SCRIPT else 0)
    if after > at:
        return after, count
    if load(data, at) == SPACE:  # more spaces: an indented line
        return at + (trailing_zeros(bytes_equal(load64(data, at), SPACE) ^ TOP_BITS) >> 3), count
    if kind == TOKENS:
        after, count = known_chunk(data, at, tables.ascii_classes, room, words, count)
    return after, count


@kernel
def split_range(
    data: np.ndarray, at: int, stop: int, kind: int, tables: Tables, room: Room, words: Words, count: int
) -> int:
    """Append the words of data[at:stop], uint8[bytes], a text or a line of one; return the new number of words.

    kind: WHITESPACE, ASCII_SPACE, TOKENS or SCRIPT; room: of `empty_room`, the same for all calls that fill the same
    words; count: how many words there are, MAX_WORDS more at most are appended; words need room for what may come.
    """
    limit = count + MAX_WORDS
    swift = min(stop, np.int64(len(data))) - _READ_AHEAD
    while at < stop and count < limit:
        if at < swift:
            after, count = _take_swiftly(data, at, swift, kind, tables, room, words, count)
            if after > at:
                at = after
                continue
        chunk = read_chunk(data, at, stop, kind, tables, room)
        at = chunk.stop
        if chunk.length == 0:
            at += character_width(np.int64(load(data, at)))
            continue
        after = take_plainly(data, chunk, kind, tables, words, count)
        if after == count:
            room.places[chunk.length] = at
            after = split_chunk(chunk, tables, room, words, count)
            describe_words(data, tables.classes, count, after, words, WHOLE if kind == SCRIPT else 0)
        count = after
    return count


@njit(cache=True, nogil=True)
def empty_room() -> Room:
    """Return the room that `split_range` works in."""
    return Room(
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
def split_words(texts: Texts, kind: int, tables: Tables, words: Words) -> int:
    """Fill the words of all texts, which needs room for every one; return their number."""
    room = empty_room()
    count = np.int64(0)  # numba would compile `split_range` once more for a literal 0
    for text in range(len(texts.offsets) - 1):
        words.offsets[text] = count
        count = split_range(texts.data, texts.offsets[text], texts.offsets[text + 1], kind, tables, room, words, count)
    words.offsets[len(texts.offsets) - 1] = count
    return count
