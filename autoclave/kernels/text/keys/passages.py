"""Windows of tokens: what repeats word for word, and texts without the repeats.

A token is a run of characters without white space, or one character of a script that writes no spaces; its bytes count
exactly. Positions ordered by the hash of the k tokens that follow are a suffix array cut at depth k: equal windows
stand together in it, and a repeat of k tokens or more is the union of its windows of k.
"""

import numpy as np
from numba import njit

from autoclave.kernels.text.code_points import IDEOGRAPHIC_SPACE, NO_BREAK_SPACE, SPACE
from autoclave.kernels.text.keys.normalisation import CLASS_SHIFT, UNIT, character_table, decode
from autoclave.kernels.text.keys.xxh3 import xxh3_64

_BASE = np.uint64(0x9E3779B97F4A7C15)
_ONE = np.uint64(1)


@njit(cache=True, nogil=True)
def _tokens(
    data: np.ndarray, offsets: np.ndarray, table: np.ndarray, wanted: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    capacity = 1024
    starts = np.empty(capacity, np.int64)
    hashes = np.empty(capacity, np.uint64)
    bounds = np.zeros(offsets.size, np.int64)
    count = 0
    for i in range(offsets.size - 1):
        at = offsets[i]
        end = offsets[i + 1] if wanted[i] else at
        begin = -1  # of the open token
        while at <= end:
            space, unit, length = True, False, 1
            if at < end:
                code, length = decode(data, at)
                space = code <= SPACE or code == NO_BREAK_SPACE or code == IDEOGRAPHIC_SPACE
                unit = table[code] >> np.uint32(CLASS_SHIFT) == UNIT
            if begin >= 0 and (space or unit):
                hashes[count - 1] = xxh3_64(data, begin, at)
                begin = -1
            if not space:
                if begin < 0:
                    if count == capacity:
                        capacity *= 2
                        more_starts, more_hashes = np.empty(capacity, np.int64), np.empty(capacity, np.uint64)
                        more_starts[:count], more_hashes[:count] = starts[:count], hashes[:count]
                        starts, hashes = more_starts, more_hashes
                    starts[count] = at
                    count += 1
                    begin = at
                if unit:
                    hashes[count - 1] = xxh3_64(data, begin, at + length)
                    begin = -1
            at += length
        bounds[i + 1] = count
    return starts[:count], hashes[:count], bounds


def token_hashes(
    data: np.ndarray, offsets: np.ndarray, wanted: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (starts int64[t], hashes uint64[t], bounds int64[n + 1]): where each token of the texts that `wanted`
    (bool[n]) marks begins in `data`, XXH3 of its bytes, and the tokens of each text."""
    return _tokens(data, offsets, character_table("fineweb"), wanted)


@njit(cache=True, nogil=True)
def window_hashes(hashes: np.ndarray, bounds: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (positions int64[w], uint64[w]): where a window of `width` tokens lies inside one text, and its hash."""
    total = 0
    for i in range(bounds.size - 1):
        total += max(0, bounds[i + 1] - bounds[i] - width + 1)
    positions, found = np.empty(total, np.int64), np.empty(total, np.uint64)
    highest = _ONE
    for _ in range(width - 1):
        highest *= _BASE
    size = 0
    for i in range(bounds.size - 1):
        rolling = np.uint64(0)
        for t in range(bounds[i], bounds[i + 1]):
            if t - bounds[i] >= width:
                rolling -= hashes[t - width] * highest
            rolling = rolling * _BASE + hashes[t]
            if t - bounds[i] >= width - 1:
                positions[size] = t - width + 1
                found[size] = (rolling ^ (rolling >> np.uint64(32))) * _BASE
                size += 1
    return positions, found


@njit(cache=True, nogil=True)
def _same(hashes: np.ndarray, a: int, b: int, width: int) -> bool:
    for j in range(width):
        if hashes[a + j] != hashes[b + j]:
            return False
    return True


@njit(cache=True, nogil=True)
def mark_repeats(
    order: np.ndarray, keys: np.ndarray, positions: np.ndarray, hashes: np.ndarray, width: int
) -> np.ndarray:
    """Return bool[t]: tokens covered by a window that stands word for word at an earlier position.

    order: int64[w], windows sorted by (keys, position). A window that overlaps its own first occurrence (a text of
    one repeated word) leaves that one whole.
    """
    marked = np.zeros(hashes.size, np.bool_)
    start = 0
    for w in range(order.size):
        if keys[order[w]] != keys[order[start]]:
            start = w
        first, here = positions[order[start]], positions[order[w]]
        if w > start and _same(hashes, first, here, width):
            marked[max(here, first + width) : here + width] = True
    return marked


@njit(cache=True, nogil=True)
def without_tokens(
    data: np.ndarray, offsets: np.ndarray, starts: np.ndarray, bounds: np.ndarray, marked: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return (bytes uint8, offsets int64[n + 1]) of the texts without marked tokens and the white space after them."""
    out = np.empty(max(1, offsets[-1] - offsets[0]), np.uint8)
    kept = np.zeros(offsets.size, np.int64)
    size = 0
    for i in range(offsets.size - 1):
        at = offsets[i]
        for t in range(bounds[i], bounds[i + 1]):
            if marked[t]:
                for position in range(at, starts[t]):
                    out[size] = data[position]
                    size += 1
                at = starts[t + 1] if t + 1 < bounds[i + 1] else offsets[i + 1]
        for position in range(at, offsets[i + 1]):
            out[size] = data[position]
            size += 1
        kept[i + 1] = size
    return out[:size], kept
