"""Boosted trees over the features of blocks."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit


class Forest(NamedTuple):
    """Trees one after another.

    roots: int32[trees], places of their first nodes; feature: int16[nodes], -1 for a leaf; threshold: float32[nodes],
    values up to it go left; a leaf's is what it adds; left, right: int32[nodes]; start: float64[1], what all begin with.
    """

    roots: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    start: np.ndarray


@njit(cache=True, nogil=True)
def _grow(rows: np.ndarray, forest: Forest, out: np.ndarray) -> None:
    for row in range(len(rows)):
        total = forest.start[0]
        for root in forest.roots:
            node = root
            while forest.feature[node] >= 0:
                if rows[row, forest.feature[node]] <= forest.threshold[node]:
                    node = forest.left[node]
                else:
                    node = forest.right[node]
            total += forest.threshold[node]
        out[row] = 1.0 / (1.0 + math.exp(-total))


def predict(rows: np.ndarray, forest: Forest) -> np.ndarray:
    """The probability of each row: float32[rows, features] in, float64[rows] out."""
    out = np.empty(len(rows), np.float64)
    _grow(rows, forest, out)
    return out
