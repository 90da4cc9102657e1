"""Limits carried over by quantiles: drop the same share of a reference in both languages."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from autoclave.cleaning.chain import Chain, CleanSettings
from autoclave.cleaning.filters.base import Bound
from autoclave.cleaning.filters.registry import load_filter
from autoclave.cleaning.signals import run_filters
from autoclave.cleaning.thresholds import fit_thresholds, transfer
from autoclave.errors import InputError


def test_a_limit_moves_to_the_same_quantile() -> None:
    reference, target = np.arange(1000) / 1000, np.arange(1000) / 100
    assert transfer(Bound("x", low=0.05, high=0.9), reference, target) == pytest.approx([0.5, 9.0], abs=0.02)
    assert transfer(Bound("x", low=-1, high=2), reference, target) == [-1, 2]  # cuts nothing: stays
    assert transfer(Bound("x", high=0.9), reference, np.ones(5)) == [None, 0.9]


def test_fitted_limits_drop_the_same_share_and_fit_a_recipe() -> None:
    """Words of the target are half as long: the limits on their mean length follow."""
    rng = np.random.default_rng(3)

    def texts(scale: float) -> pa.StringArray:
        lengths = np.maximum(1, rng.normal(6 * scale, 2.2 * scale, size=(400, 1)) + rng.normal(0, 0.3, size=(400, 120)))
        return pa.array([" ".join("a" * max(1, round(size)) for size in row) for row in lengths])

    chosen = load_filter("gopher_quality", {}, "paper", "test")
    english, other = texts(1.0), texts(0.5)
    fitted = fit_thresholds([chosen], english, other, language="xx")

    def share_dropped(column: pa.StringArray, limits: list[float | None]) -> float:
        values = run_filters(column, [chosen], [None] * len(column))[1]["mean_word_length"].to_numpy()
        return float(np.mean((values < limits[0]) | (values > limits[1])))

    wanted = share_dropped(english, [3, 10])
    assert 0.05 < wanted < 0.3
    assert share_dropped(other, fitted["mean_word_length"]) == pytest.approx(wanted, abs=0.02)
    settings = CleanSettings(language=None, transforms=[], filters=["gopher_quality"], thresholds=fitted)
    assert Chain(settings).filters[0].bounds[1].low == fitted["mean_word_length"][0]


def test_too_few_documents_are_refused() -> None:
    chosen = load_filter("gopher_quality", {}, "paper", "test")
    with pytest.raises(InputError, match="3 reference documents"):
        fit_thresholds([chosen], pa.array(["a"] * 3), pa.array(["b"] * 3), language="xx")
