"""Permutations and interleavings against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoclave.tokenize.order import Interleaving, Permutation, floor_sum


def image(size: int, *key: int | str) -> np.ndarray:
    permutation = Permutation(size, *key)
    return np.array([permutation(index) for index in range(size)])


@pytest.mark.parametrize("size", [*range(1, 70), 255, 256, 257, 1000, 4097])
def test_permutation_is_one(size: int) -> None:
    assert sorted(image(size, "order", 3, 0).tolist()) == list(range(size))


def test_permutation_of_a_large_range_stays_inside_and_is_injective() -> None:
    size = 3 * 10**12 + 7
    permutation = Permutation(size, 1)
    values = [permutation(index) for index in range(10**12, 10**12 + 5000)]
    assert min(values) >= 0
    assert max(values) < size
    assert len(set(values)) == 5000


def test_permutations_look_independent() -> None:
    size = 4096
    first, second = (image(size, "order", 0, epoch) for epoch in (0, 1))
    assert (first == second).sum() < 10  # one is expected
    assert (first == np.arange(size)).sum() < 10
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.06
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 0.06
    # over many keys every place gets every value: chi-square of 16 x 16 cells, 99.99 % bound of 255 degrees: 344
    counts = np.zeros((16, 16))
    for key in range(400):
        counts[np.arange(16), image(16, key)] += 1
    assert ((counts - 25) ** 2 / 25).sum() < 344


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.integers(0, 60), st.integers(1, 50), st.integers(0, 200), st.integers(0, 200))
def test_floor_sum(count: int, modulus: int, step: int, start: int) -> None:
    assert floor_sum(count, modulus, step, start) == sum((step * i + start) // modulus for i in range(count))


@pytest.mark.parametrize("weights", [[1], [3, 1], [0.5, 0.3, 0.2], [1, 0, 2], [1e-4, 1, 1, 7, 0.3]])
def test_interleaving_counts_and_evenness(weights: list[float]) -> None:
    mix = Interleaving(weights)
    counts = [0] * len(weights)
    shares = np.array(weights) / sum(weights)
    for row in range(3000):
        assert [mix.count_before(source, row) for source in range(len(weights))] == counts
        assert np.abs(np.array(counts) - shares * row).max() < 4
        counts[mix.source(row)] += 1
    far = 10**15 + 3
    assert sum(mix.count_before(source, far) for source in range(len(weights))) == far
    assert mix.count_before(mix.source(far), far + 1) == mix.count_before(mix.source(far), far) + 1


@pytest.mark.parametrize("weights", [[], [0.0], [1, -1], [float("nan")], [float("inf")]])
def test_senseless_weights_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="weights"):
        Interleaving(weights)
