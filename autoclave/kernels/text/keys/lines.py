"""Keys of lines and paragraphs of Arrow text columns, and texts without some of them."""

from typing import Any

import numpy as np
from numba import njit

from autoclave.kernels.text.code_points import NEWLINE, is_ascii_space
from autoclave.kernels.text.keys.normalisation import (
    CLASS_SHIFT,
    DROP,
    JOINER,
    SEPARATOR,
    Normalisation,
    character_table,
    decode,
    normalise,
    room_for,
)
from autoclave.kernels.text.keys.white_space import collapse_white_space
from autoclave.kernels.text.keys.xxh3 import xxh3_64


@njit(cache=True, nogil=True, inline="always")
def _is_blank(data: np.ndarray, start: int, end: int) -> bool:
    at = start
    while at < end and is_ascii_space(data[at]):
        at += 1
    return at == end


@njit(cache=True, nogil=True)
def _has_word(data: np.ndarray, start: int, end: int, table: np.ndarray) -> bool:
    """Whether `normalise` would find a unit: in most lines the first character tells."""
    at = start
    while at < end:
        code, length = decode(data, at)
        kind = table[code] >> np.uint32(CLASS_SHIFT)
        if kind != SEPARATOR and kind != DROP and kind < JOINER:
            return True
        at += length
    return False


@njit(cache=True, nogil=True)
def _segment_ends(data: np.ndarray, start: int, end: int, by_paragraph: bool, ends: np.ndarray) -> int:
    """Fill `ends` with where each line, or each paragraph with the blank lines after it, ends; returns their number."""
    count = 0
    at = start
    after_blank = False
    while at < end:
        stop = at
        while stop < end and data[stop] != NEWLINE:
            stop += 1
        following = min(stop + 1, end)
        blank = _is_blank(data, at, stop)
        if by_paragraph and count > 0 and (blank or not after_blank):
            ends[count - 1] = following
        else:
            ends[count] = following
            count += 1
        after_blank = blank
        at = following
    return count


@njit(cache=True, nogil=True)
def _line_keys(
    data: np.ndarray, offsets: np.ndarray, table: np.ndarray, exact: bool, by_paragraph: bool, min_words: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    into = room_for(offsets)
    out, stops = into.out, np.empty(into.starts.size, np.int64)
    keys = np.empty(1024, np.uint64)
    segment_ends = np.empty(1024, np.int64)
    bounds = np.zeros(offsets.size, np.int64)
    size = 0
    for i in range(offsets.size - 1):
        count = _segment_ends(data, offsets[i], offsets[i + 1], by_paragraph, stops)
        if size + count > keys.size:
            capacity = 2 * (size + count)
            grown_keys, grown_ends = np.empty(capacity, np.uint64), np.empty(capacity, np.int64)
            grown_keys[:size], grown_ends[:size] = keys[:size], segment_ends[:size]
            keys, segment_ends = grown_keys, grown_ends
        at = offsets[i]
        for s in range(count):
            if exact and min_words == 1:
                words: Any = np.int64(_has_word(data, at, stops[s], table))
            else:
                written, words = normalise(data, at, stops[s], table, True, into)
            if exact:
                written = collapse_white_space(data, at, stops[s], out, 0)
            keys[size] = xxh3_64(out, 0, written) | np.uint64(1) if words >= min_words else np.uint64(0)
            segment_ends[size] = stops[s]
            at = stops[s]
            size += 1
        bounds[i + 1] = size
    return keys[:size], segment_ends[:size], bounds


def line_keys(
    data: np.ndarray,
    offsets: np.ndarray,
    *,
    by_paragraph: bool,
    min_words: int = 1,
    normalisation: Normalisation = "whitespace",
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (keys uint64[m], ends int64[m], bounds int64[n + 1]): each text's lines (or paragraphs), in order.

    data, offsets: UTF-8 bytes and int64[n + 1]. A key is XXH3 of the line as `normalisation` leaves it (`whitespace`:
    as it stands, each run of white space one space, none at its ends), odd; 0 for a line of fewer than
    max(1, min_words) words, which is never counted nor removed. ends: where a line ends in `data`, its newline (and,
    for a paragraph, the blank lines after it) included.
    """
    exact = normalisation == "whitespace"
    table = character_table("words" if exact else normalisation)  # in any case a rule of dashes has no words
    return _line_keys(data, offsets, table, exact, by_paragraph, max(1, min_words))


@njit(cache=True, nogil=True)
def without_lines(
    data: np.ndarray, offsets: np.ndarray, ends: np.ndarray, bounds: np.ndarray, removed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return (bytes uint8, offsets int64[n + 1]) of the texts without the lines that `removed` (bool[m]) marks.

    A text that loses its end does not keep a trailing newline that the removed end had made necessary.
    """
    out = np.empty(max(1, offsets[-1] - offsets[0]), np.uint8)
    kept = np.zeros(offsets.size, np.int64)
    size = 0
    for i in range(offsets.size - 1):
        at = offsets[i]
        begin = size
        for line in range(bounds[i], bounds[i + 1]):
            if not removed[line]:
                for position in range(at, ends[line]):
                    out[size] = data[position]
                    size += 1
            at = ends[line]
        if bounds[i + 1] > bounds[i] and removed[bounds[i + 1] - 1]:
            while size > begin and out[size - 1] == NEWLINE:
                size -= 1
        kept[i + 1] = size
    return out[:size], kept
