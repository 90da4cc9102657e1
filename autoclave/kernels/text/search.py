"""Searching for byte strings in documents."""

# mypy: disable-error-code="call-arg,arg-type,var-annotated,assignment,has-type,return-value,operator,call-overload"
# (numba, not mypy, types the bodies of kernels)

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def find(data: np.ndarray, start: int, stop: int, needle: np.ndarray, size: int) -> int:
    """Return where needle[:size] begins in data[start:stop]; -1 where it does not."""
    first = needle[0]
    for at in range(start, stop - size + 1):
        if data[at] != first:
            continue
        offset = 1
        while offset < size and data[at + offset] == needle[offset]:
            offset += 1
        if offset == size:
            return at
    return -1


@njit(cache=True, nogil=True)
def find_lowered(data: np.ndarray, start: int, stop: int, needle: np.ndarray, size: int) -> int:
    """Return where the lower-case ASCII needle[:size] begins in data[start:stop], in any case; -1 if nowhere."""
    first = needle[0]
    for at in range(start, stop - size + 1):
        byte = data[at]
        if byte != first and (byte | 0x20) != first:
            continue
        offset = 0
        while offset < size:
            byte = data[at + offset]
            if 65 <= byte <= 90:
                byte |= 0x20
            if byte != needle[offset]:
                break
            offset += 1
        if offset == size:
            return at
    return -1


@njit(cache=True, nogil=True)
def replaced_characters(
    data: np.ndarray,
    offsets: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    chars: np.ndarray,
    word_offsets: np.ndarray,
    place: np.ndarray,
    n: int,
) -> np.ndarray:
    """Return the characters that text.replace(gram, '') takes from each document (int64).

    The gram is the n words from place[d] on, joined by single spaces; place < 0 takes nothing.
    """
    out = np.zeros(len(place), np.int64)
    for document in range(len(place)):
        if place[document] < 0:
            continue
        word = word_offsets[document] + place[document]
        size, length = 0, n - 1
        for index in range(word, word + n):
            size += np.int64(end[index]) - np.int64(start[index])
            length += chars[index]
        size += n - 1
        needle = np.empty(size, np.uint8)
        at = 0
        for index in range(word, word + n):
            if index > word:
                needle[at] = 32
                at += 1
            for byte in range(start[index], end[index]):
                needle[at] = data[byte]
                at += 1
        found = find(data, offsets[document], offsets[document + 1], needle, size)
        while found >= 0:
            out[document] += length
            found = find(data, found + size, offsets[document + 1], needle, size)
    return out


@njit(cache=True, nogil=True)
def contains_any(
    data: np.ndarray, start: np.ndarray, end: np.ndarray, needles: np.ndarray, needle_offsets: np.ndarray
) -> np.ndarray:
    """Return per span of data whether it has one of the lower-case ASCII needles, in any case (bool).

    needles: uint8, all of them in a row; needle_offsets: int64, where each begins.
    """
    out = np.zeros(len(start), np.bool_)
    for span in range(len(start)):
        for index in range(len(needle_offsets) - 1):
            needle = needles[needle_offsets[index] : needle_offsets[index + 1]]
            if find_lowered(data, np.int64(start[span]), np.int64(end[span]), needle, len(needle)) >= 0:
                out[span] = True
                break
    return out
