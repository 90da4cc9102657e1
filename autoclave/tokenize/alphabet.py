"""Which characters get a token of their own: those the sample shows often, and the common Han characters always."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Literal

import numpy as np

HanAlphabet = Literal["auto", "none", "simplified", "common"]

CHARACTERS = 0x110000
"""Size of the Unicode code space."""

COUNT_CHUNK = 1 << 20
"""Characters counted at once: large enough to amortise the pass over the code space, 4 MiB of UTF-32."""

BASE = "\t\n" + "".join(map(chr, range(0x20, 0x7F))) + "，。、；：？！“”‘’（）《》〈〉【】「」『』—…·～　"
"""ASCII and Chinese punctuation: in every alphabet."""

HAN_RANGES = (
    (0x2E80, 0x2FDF),  # radicals
    (0x3005, 0x3007),  # iteration mark, closing mark, zero
    (0x3021, 0x3029),  # Hangzhou numerals
    (0x3400, 0x4DBF),  # extension A
    (0x4E00, 0x9FFF),  # unified ideographs
    (0xF900, 0xFAFF),  # compatibility ideographs
    (0x20000, 0x323AF),  # extensions B to H
)


def gb2312_level_1() -> list[str]:
    """Return the 3,755 common simplified characters of GB 2312-80 level 1 (rows 16 to 55), in the standard's order."""
    return _decoded("gb2312", range(0xB0, 0xD8), range(0xA1, 0xFF))


def big5_level_1() -> list[str]:
    """Return the 5,401 frequently used traditional characters of Big5 level 1 (A440 to C67E), in its order."""
    trails = [*range(0x40, 0x7F), *range(0xA1, 0xFF)]
    return _decoded("big5", range(0xA4, 0xC6), trails) + _decoded("big5", [0xC6], range(0x40, 0x7F))


def _decoded(codec: str, leads: Iterable[int], trails: Iterable[int]) -> list[str]:
    trails = list(trails)
    cells = (bytes((lead, trail)).decode(codec, "ignore") for lead in leads for trail in trails)
    return [character for character in cells if character]


def common_han(kind: HanAlphabet, vocabulary_size: int) -> list[str]:
    """Return the Han characters that are in the alphabet whether or not the sample shows them, by code point.

    simplified: GB 2312 level 1 (3,755); common: with Big5 level 1 as well (6,722). auto takes the largest set that
    fills at most a quarter of the vocabulary, or none: a vocabulary of characters would leave little for words, and the
    characters that the sample does show come before those that it does not.
    """
    simplified = set(gb2312_level_1())
    both = simplified | set(big5_level_1())
    if kind == "auto":
        return next((sorted(s) for s in (both, simplified) if 4 * len(s) <= vocabulary_size), [])
    return {"none": [], "simplified": sorted(simplified), "common": sorted(both)}[kind]


def count_characters(texts: Iterable[str]) -> np.ndarray:
    """Return how often each code point occurs: int64 [0x110000]."""
    total = np.zeros(CHARACTERS, dtype=np.int64)
    pending: list[str] = []
    size = 0
    for text in texts:
        pending.append(text)
        size += len(text)
        if size >= COUNT_CHUNK:
            total += _bincount("".join(pending))
            pending, size = [], 0
    return total + _bincount("".join(pending))


def _bincount(text: str) -> np.ndarray:
    return np.bincount(np.frombuffer(text.encode("utf-32-le"), dtype="<u4"), minlength=CHARACTERS)


def is_han(code_points: np.ndarray) -> np.ndarray:
    """Return which of the code points are Han characters (blocks of Unicode 16): bool, same shape."""
    mask = np.zeros(code_points.shape, dtype=np.bool_)
    for first, last in HAN_RANGES:
        mask |= (code_points >= first) & (code_points <= last)
    return mask


def choose_alphabet(
    counts: np.ndarray, *, guaranteed: Iterable[str], minimum_han: int, minimum_other: int, limit: int
) -> list[str]:
    """Return the characters with a token of their own, by code point.

    counts: int64 [0x110000] of the sample. Always in: `guaranteed`. Then those seen at least `minimum_han` (Han) or
    `minimum_other` (rest) times, the most frequent first (ties: lower code point), until `limit` characters in all.
    Control characters, unassigned code points and private use stay with the byte tokens.
    """
    chosen = set(guaranteed)
    seen = np.flatnonzero(counts)
    seen = seen[counts[seen] >= np.where(is_han(seen), minimum_han, minimum_other)]
    for code_point in seen[np.lexsort((seen, -counts[seen]))]:
        if len(chosen) >= limit:
            break
        character = chr(code_point)
        if unicodedata.category(character) not in ("Cc", "Cn", "Co", "Cs"):
            chosen.add(character)
    return sorted(chosen)
