"""Words of a page's title, and which of a block's words are among them."""

from __future__ import annotations

import numpy as np
from numba import njit

from autoclave.kernels.markup.vocabulary import HASH_PRIME, HASH_START


@njit(cache=True, nogil=True)
def hash_words(data: np.ndarray, start: int, end: int, out: np.ndarray) -> int:
    """Fill `out`, uint64[words], with hashes of the words of data[start:end], uint8[bytes]; returns their number."""
    count = size = 0
    value = HASH_START
    for at in range(start, end + 1):
        byte = data[at] if at < end else 32
        if byte > 64 or 48 <= byte <= 57:
            value = (value ^ np.uint64(byte | 32 if byte < 128 else byte)) * HASH_PRIME
            size += 1
        elif size:
            if count < len(out):
                out[count] = value
                count += 1
            value, size = HASH_START, 0
    return count


@njit(cache=True, nogil=True)
def count_title_words(data: np.ndarray, start: int, end: int, title: np.ndarray) -> tuple[int, int]:
    """How many words of a text are words of the title, and how many words there are.

    data: uint8[bytes], the text is data[start:end]; title: uint64[words], as `hash_words` gives them.
    """
    words = np.empty((end - start) // 2 + 1, np.uint64)
    total = hash_words(data, start, end, words)
    found = 0
    for word in words[:total]:
        for said in title:
            if said == word:
                found += 1
                break
    return found, total
