"""Locality-sensitive hashing: band keys of signatures, and candidate edges from buckets as stars.

A bucket of m documents gives m - 1 edges, from its first document to each other one: linear however skewed the bucket,
and the connected components are those of all m (m - 1) / 2 pairs.
"""

import numpy as np
from numba import njit

from autoclave.kernels.text.keys.xxh3 import xxh3_64

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@njit(cache=True, nogil=True)
def _fill_band_keys(data: np.ndarray, stride: int, bands: int, width: int, keys: np.ndarray) -> None:
    for i in range(keys.shape[0]):
        for band in range(bands):
            start = i * stride + band * width
            key = xxh3_64(data, start, start + width) ^ (np.uint64(band + 1) * _GOLDEN)
            key ^= key >> np.uint64(32)
            key *= _GOLDEN
            keys[i, band] = key ^ (key >> np.uint64(29))


def band_keys(signatures: np.ndarray, bands: int, rows: int) -> np.ndarray:
    """Return uint64[n, bands]: a key for each band of uint32[n, P] signatures; equal keys mean the same bucket.

    The key depends on the band's number, so buckets of different bands never meet but by a 64-bit collision.
    """
    keys = np.empty((signatures.shape[0], bands), np.uint64)
    data = np.ascontiguousarray(signatures, np.uint32).reshape(-1).view(np.uint8)
    _fill_band_keys(data, 4 * signatures.shape[1], bands, 4 * rows, keys)
    return keys


@njit(cache=True, nogil=True)
def _first_of_run(keys: np.ndarray) -> np.ndarray:
    first = np.empty(keys.size, np.int64)
    start = 0
    for i in range(keys.size):
        if i > 0 and keys[i] != keys[i - 1]:
            start = i
        first[i] = start
    return first


def star_edges(keys: np.ndarray, documents: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (anchors, members, first) of the buckets of `keys` sorted by (key, document).

    keys: uint64[n], documents: integer[n]. Each document of a bucket but the first gives one edge (anchor, member), of
    the documents' dtype; `first`, bool[n], marks the rows that open a bucket.
    """
    opener = _first_of_run(keys)
    is_member = opener != np.arange(keys.size)
    return documents[opener[is_member]], documents[is_member], ~is_member


def unique_edges(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct pairs (low, high) of the edges integer[m], sorted, self-loops removed, in their dtype."""
    low, high = np.minimum(left, right), np.maximum(left, right)
    real = low != high
    low, high = low[real], high[real]
    order = np.lexsort((high, low))
    low, high = low[order], high[order]
    if not low.size:
        return low, high
    new = np.ones(low.size, np.bool_)
    new[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    return low[new], high[new]
