"""Masks of 64 bytes, against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from autoclave.kernels.text.raw.compare import BLOCK, below_mask, equal_mask, folded_equal_mask, letter_mask, within


@njit
def masks(
    data: np.ndarray, at: int, byte: int, stop: int
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64, np.uint64]:
    equal = equal_mask(data, at, byte)
    folded = folded_equal_mask(data, at, byte)
    return equal, folded, below_mask(data, at, byte), letter_mask(data, at), within(equal, at, stop)


def bits(flags: np.ndarray) -> int:
    return sum(1 << int(place) for place in np.flatnonzero(flags))


@pytest.mark.parametrize("at", [0, 1, 63, 64])
@pytest.mark.parametrize("byte", [0, 9, 0x20, 0x61, 0x7F, 0x80, 0xC2, 0xFF])
def test_masks_are_those_of_numpy(at: int, byte: int) -> None:
    data = np.random.default_rng(byte).permutation(np.arange(256, dtype=np.uint8).repeat(2))
    data[at] = data[at + 63] = byte
    block = data[at : at + BLOCK]
    letters = ((block | 0x20) >= 0x61) & ((block | 0x20) <= 0x7A)
    for stop in (at + 1, at + 40, at + 63, at + 64, at + 200):
        equal, folded, below, letter, cut = map(int, masks(data, at, byte, stop))
        assert equal == bits(block == byte)
        assert folded == bits((block | 0x20) == byte)
        assert below == bits(block < byte)
        assert letter == bits(letters)
        assert cut == bits(block[: stop - at] == byte)
