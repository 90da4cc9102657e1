"""Finding, over the buffers of a batch, the rows whose text may have been read in another encoding than its own."""

from __future__ import annotations

import functools

import numpy as np
import pyarrow as pa
from numba import njit

from autoclave.cleaning.language.script import string_buffers
from autoclave.kernels.text.characters import character_width, decode

MISREAD = 1 << 20
"""Hint of rows that may hold text in a wrong encoding."""

# Encodings of one byte a character that UTF-8 is read in. "mixed" is Windows-1252 where some of the bytes that it has
# signs for became C1 controls, as in Latin-1.
ENCODINGS = (
    "cp1252",
    "latin_1",
    "cp1250",
    "cp1251",
    "cp1254",
    "cp1253",
    "cp1257",
    "iso8859_2",
    "iso8859_15",
    "mac_roman",
    "cp437",
    "cp850",
    "koi8_r",
    "mixed",
)
# What the first two bytes of frequent Chinese signs and quotation marks are in GB 18030.
WIDE_SIGNS = "\u951b\u9286\u9225"


@functools.cache
def bytes_of(encoding: str) -> dict[int, int]:
    """For str.translate: code points to the bytes 0x80 to 0xFF that they are in an encoding, all others out of reach.

    Where an encoding has gaps, decoders give what Latin-1 has there.
    """
    table = dict.fromkeys(range(0x80, 0x100), 0xFFFF)
    if encoding == "mixed":
        table |= {point: point for point in range(0x80, 0xA0)}
        encoding = "cp1252"
    for byte in range(0x80, 0x100):
        table[ord(bytes([byte]).decode(encoding, "ignore") or chr(byte))] = byte
    return table


@functools.cache
def _tables() -> tuple[np.ndarray, np.ndarray]:
    """For the scan, uint16 [0x10000]: in which of ENCODINGS (bits) a code point is a first byte or a further byte of a
    character of UTF-8. Bit 15 of the second: it is a letter."""
    leads, continuations = np.zeros(0x10000, dtype=np.uint16), np.zeros(0x10000, dtype=np.uint16)
    for bit, encoding in enumerate(ENCODINGS):
        for point, byte in bytes_of(encoding).items():
            if 0xC2 <= byte <= 0xF4:
                leads[point] |= 1 << bit
            elif 0x80 <= byte <= 0xBF:
                continuations[point] |= 1 << bit
    for point in range(0x80, 0x10000):
        if chr(point).isalpha():
            continuations[point] |= 1 << 15
    return leads, continuations


@functools.cache
def _marks() -> np.ndarray:
    """Code points that are worth a look wherever they stand, bool [0x10000]: C1 controls, and what frequent characters
    become in GB 18030."""
    marks = np.zeros(0x10000, dtype=np.bool_)
    marks[[*range(0x80, 0x85), *range(0x86, 0xA0), *map(ord, WIDE_SIGNS)]] = True
    return marks


@njit(cache=True, nogil=True)
def _count_pairs(
    data: np.ndarray,
    begin: int,
    end: int,
    leads: np.ndarray,
    continuations: np.ndarray,
    always: np.ndarray,
    pairs: np.ndarray,
) -> int:
    """Add to `pairs`, for each encoding, the pairs of what a first and a further byte of UTF-8 become; return how many
    letters beyond ASCII there are. -1 at a code point of `always`, or a Chinese character between Latin letters."""
    at, letters, last = begin, 0, 0
    while at < end:
        byte = int(data[at])
        if byte < 0x80:
            last = 0
            at += 1
            while at < end and data[at] < 0x80:
                at += 1
            continue
        point = decode(data, at)
        at += character_width(byte)
        if point > 0xFFFF:
            last = 0
            continue
        between = 0x4E00 <= point < 0xA000 and at < end and at >= begin + 4
        if always[point] or (between and 97 <= data[at] <= 122 and 97 <= data[at - 4] <= 122):
            return -1
        kinds = int(continuations[point])
        letters += kinds >> 15
        both = last & kinds
        last = int(leads[point])
        bit = 0
        while both:
            pairs[bit] += both & 1
            both >>= 1
            bit += 1
    return letters


@njit(cache=True, nogil=True)
def _mark_misread(
    data: np.ndarray,
    offsets: np.ndarray,
    leads: np.ndarray,
    continuations: np.ndarray,
    always: np.ndarray,
    marks: np.ndarray,
) -> None:
    """Rows where the pairs of one encoding are many beside the letters: a character has four bytes at most, so that a
    text of which more than half is misread has more than one pair in five letters."""
    pairs = np.zeros(16, dtype=np.int64)
    for row in range(offsets.shape[0] - 1):
        letters = _count_pairs(data, offsets[row], offsets[row + 1], leads, continuations, always, pairs)
        most = 0
        for bit in range(16):
            most = max(most, pairs[bit])
            pairs[bit] = 0
        marks[row] = letters < 0 or 5 * most > letters


def find_misread(text: pa.StringArray) -> np.ndarray:
    """Which rows `repair` could change: MISREAD or 0, int64 [rows]."""
    data, offsets = string_buffers(text)
    marks = np.zeros(len(text), dtype=np.bool_)
    if len(text):
        _mark_misread(data, offsets, *_tables(), _marks(), marks)
    return marks * np.int64(MISREAD)


def encodings_of(text: str) -> list[str]:
    """Return those of ENCODINGS in which a text has what a character of UTF-8 could become; of several that are the
    same for all that the text has beyond ASCII, the first."""
    data = np.frombuffer(text.encode(), dtype=np.uint8)
    pairs = np.zeros(16, dtype=np.int64)
    _count_pairs(data, 0, len(data), *_tables(), np.zeros(0x10000, dtype=np.bool_), pairs)
    signs = [point for point in map(ord, set(text)) if point > 0x7F]
    found: dict[tuple[int, ...], str] = {}
    for encoding, count in zip(ENCODINGS, pairs.tolist(), strict=False):
        if count:
            table = bytes_of(encoding)
            found.setdefault(tuple(table.get(point, point) for point in signs), encoding)
    return list(found.values())
