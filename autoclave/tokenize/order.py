"""Orders that need no table: a seeded permutation of any size, and an interleaving of sources by weight."""

from __future__ import annotations

import bisect
from collections.abc import Sequence

import numpy as np
import xxhash

ROUNDS = 6
"""Rounds of the Feistel network; four give a strong pseudo-random permutation of a random round function
(Luby and Rackoff 1988), two more because ours is only a good mixer."""


class Permutation:
    """A permutation of range(size) that is computed, not stored: a balanced Feistel network with cycle walking.

    The network permutes the 2^(2h) numbers at least as many as `size` (fewer than four times as many); a result outside
    the range is put in again until one falls inside, which keeps it a permutation (Black and Rogaway 2002).
    """

    def __init__(self, size: int, *key: int | str) -> None:
        """`key` (seed, source, epoch) chooses the permutation; ValueError where size < 1."""
        if size < 1:
            raise ValueError(f"size must be at least 1, not {size}")
        self.size = size
        self._half = max(1, ((size - 1).bit_length() + 1) // 2)
        self._mask = (1 << self._half) - 1
        name = "\x00".join(map(str, key))
        self._keys = [xxhash.xxh3_64_intdigest(f"{name}\x00{r}".encode()) for r in range(ROUNDS)]

    def __call__(self, index: int) -> int:
        """Return where `index` (0 .. size - 1) goes."""
        value = index
        while True:
            left, right = value >> self._half, value & self._mask
            for key in self._keys:
                left, right = right, left ^ (_mix((right + key) & _WORD) & self._mask)
            value = (left << self._half) | right
            if value < self.size:
                return value


_WORD = (1 << 64) - 1


def _mix(value: int) -> int:
    """Return the finaliser of SplitMix64 (Steele, Lea and Flood 2014) of a 64-bit number."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _WORD
    return value ^ (value >> 31)


_MODULUS = 1 << 32
_STEP = 0x9E3779B9
"""2^32 divided by the golden ratio, odd: multiples of it modulo 2^32 spread as evenly as any sequence can."""


class Interleaving:
    """Which source row r comes from, in proportion to weights, evenly spread, for any r at once.

    Row r falls on the point r * _STEP mod 2^32 of a circle that the sources share by weight (a Kronecker sequence: its
    discrepancy is O(log n / n)). How many of the rows before r were of a source is then a sum of floors, which a
    Euclid-like recursion gives in O(log r) steps, so that nothing has to be walked through on resume.
    """

    def __init__(self, weights: Sequence[float]) -> None:
        """ValueError where there is no weight, one is negative or not finite, or all are zero."""
        total = float(sum(weights))
        if not weights or not np.isfinite(total) or total <= 0 or min(weights) < 0:
            raise ValueError(f"weights must be finite, none negative and one above zero: {list(weights)}")
        shares = np.cumsum(np.asarray(weights, dtype=np.float64)) / total
        self._bounds = [0, *(round(float(share) * _MODULUS) for share in shares[:-1]), _MODULUS]

    def source(self, row: int) -> int:
        """Return the index of the source of row `row` (0, 1, ...)."""
        point = row * _STEP % _MODULUS
        return bisect.bisect_right(self._bounds, point) - 1

    def count_before(self, source: int, row: int) -> int:
        """Return how many of the rows 0 .. row - 1 are of `source`."""
        return self._below(self._bounds[source + 1], row) - self._below(self._bounds[source], row)

    @staticmethod
    def _below(bound: int, rows: int) -> int:
        """Number of r < rows with r * _STEP mod M < bound: floor(x / M) - floor((x - bound) / M) is 1 just there."""
        if bound in (0, _MODULUS):
            return rows if bound else 0
        shifted = floor_sum(rows, _MODULUS, _STEP, _MODULUS - bound)  # floor((x - bound) / M) + 1, summed
        return floor_sum(rows, _MODULUS, _STEP, 0) - shifted + rows


def floor_sum(count: int, modulus: int, step: int, start: int) -> int:
    """Return the sum over i in range(count) of floor((step * i + start) / modulus); all arguments at least 0."""
    total = 0
    while count > 0:
        total += (step // modulus) * (count * (count - 1) // 2) + (start // modulus) * count
        step, start = step % modulus, start % modulus
        last = step * count + start
        if last < modulus:
            break
        count, start, modulus, step = last // modulus, last % modulus, step, modulus
    return total
