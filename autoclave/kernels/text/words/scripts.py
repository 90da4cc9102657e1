"""Which of the scripts that need a dictionary a text may have letters of, from the first bytes of their characters."""

from __future__ import annotations

import numpy as np

from autoclave.kernels.text.raw.compare import BLOCK, below_mask, equal_mask
from autoclave.kernels.text.raw.memory import kernel, load

HAN_LETTERS, SOUTH_EAST_ASIAN_LETTERS, KANA_LETTERS = 1, 2, 4


@kernel
def scripts_in(data: np.ndarray) -> int:
    """Return the scripts (HAN_LETTERS, ...) that data, UTF-8 as uint8[bytes], has letters of, and maybe one that it has
    none of.

    Han begins at E3 and above, Thai, Lao and Khmer with E0 or E1; kana are E3 81 to E3 87 and, half as wide, EF BD and
    EF BE.
    """
    at, size = 0, len(data)
    han, asian, kana = np.uint64(0), np.uint64(0), np.uint64(0)
    while at + BLOCK + 1 <= size:
        han |= ~below_mask(data, at, 0xE3)
        asian |= below_mask(data, at, 0xE2) & ~below_mask(data, at, 0xE0)
        kana |= equal_mask(data, at, 0xE3) & ~below_mask(data, at + 1, 0x81) & below_mask(data, at + 1, 0x88)
        kana |= equal_mask(data, at, 0xEF) & (equal_mask(data, at + 1, 0xBD) | equal_mask(data, at + 1, 0xBE))
        at += BLOCK
    found = HAN_LETTERS * (han != 0) | SOUTH_EAST_ASIAN_LETTERS * (asian != 0) | KANA_LETTERS * (kana != 0)
    while at < size:
        first, second = load(data, at), load(data, at + 1) if at + 1 < size else 0
        found |= HAN_LETTERS * (first >= 0xE3) | SOUTH_EAST_ASIAN_LETTERS * (0xE0 <= first <= 0xE1)
        if (first == 0xE3 and 0x81 <= second <= 0x87) or (first == 0xEF and 0xBD <= second <= 0xBE):
            found |= KANA_LETTERS
        at += 1
    return found
