"""Loaders of made-up tokens for the training tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Batch:
    inputs: np.ndarray
    targets: np.ndarray
    cu_seqlens: np.ndarray


class PatternLoader:
    """Rows of short documents that count upwards by a stride: learnable, and a pure function of the step."""

    def __init__(self, rows: int = 4, length: int = 48, vocabulary: int = 97, seed: int = 0) -> None:
        self.rows, self.length, self.vocabulary, self.seed = rows, length, vocabulary, seed

    def batch(self, step: int) -> Batch:
        random = np.random.default_rng([self.seed, step])
        inputs = np.zeros((self.rows, self.length), np.int64)
        targets = np.full((self.rows, self.length), -100, np.int64)
        bounds = {0, self.rows * self.length}
        for row in range(self.rows):
            bounds.add(row * self.length)
            place = 0
            while place < self.length:
                size = min(int(random.integers(5, 25)), self.length - place)
                stride = int(random.integers(1, 4))
                tokens = 3 + (int(random.integers(0, 90)) + stride * np.arange(size)) % (self.vocabulary - 3)
                inputs[row, place : place + size] = np.concatenate([[1], tokens[:-1]])
                targets[row, place : place + size] = tokens
                bounds.add(row * self.length + place)
                place += size
        targets[0, :3] = -100
        return Batch(inputs, targets, np.array(sorted(bounds), np.int32))
