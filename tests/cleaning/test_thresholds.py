"""Limits carried over by quantiles: the same share of a reference is dropped in both languages, never more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoclave.cleaning.chain import Chain, CleanSettings
from autoclave.cleaning.filters.base import Bound, Filter
from autoclave.cleaning.thresholds import (
    FittedThreshold,
    fit_thresholds,
    load_thresholds,
    require_documents,
    save_thresholds,
    share_dropped,
    transfer,
)
from autoclave.errors import InputError, RecipeError

FREE = Bound("x")
values = st.lists(st.integers(-8, 8), min_size=1, max_size=40).map(lambda given: np.array(given, dtype=np.int32))


def test_a_limit_moves_to_the_same_quantile() -> None:
    reference, target = np.arange(1000) / 1000, np.arange(1000) / 100
    assert transfer(Bound("x", low=0.05, high=0.9), FREE, reference, target) == (0.5, 9.0)
    assert transfer(Bound("x", high=0.9), FREE, reference, np.ones(5)) == (None, 1)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(values, values, st.integers(-9, 9))
def test_the_tightest_limit_that_drops_no_larger_share(reference: np.ndarray, target: np.ndarray, limit: int) -> None:
    """Against trying every value of the target as the limit."""
    wanted = share_dropped(reference, limit, None)
    low, _ = transfer(Bound("x", low=limit), FREE, reference, target)
    if 0 < wanted < 1:
        allowed = [value for value in target.tolist() if np.mean(target < value) <= wanted + 1e-9]
        assert low == max(allowed)
    mirrored = transfer(Bound("x", high=-limit), FREE, -reference, -target)[1]
    assert mirrored == (None if low is None else -low)


def test_a_limit_that_drops_nothing_is_only_ever_loosened() -> None:
    reference = np.arange(100)
    bound = Bound("x", low=0, high=99)
    assert transfer(bound, Bound("x", low=-5, high=300), reference, np.arange(200)) == (-5, 300)
    assert transfer(bound, Bound("x", low=50, high=60), reference, np.arange(200)) == (2, 197)  # 1 in 100 goes
    assert transfer(bound, FREE, reference, np.arange(200)) == (None, None)
    assert transfer(Bound("x", low=1000), Bound("x", low=7), reference, np.arange(200)) == (7, None)


def test_rules_that_are_no_statistics_stay() -> None:
    bounds = (Bound("words", low=2), Bound("flag", high=0.5), Bound("brackets", high=0), Bound("free"))
    chosen = Filter("rules", "test", bounds)
    some = {"words": np.arange(9), "flag": np.ones(9, dtype=bool), "brackets": np.arange(9), "free": np.arange(9)}
    fitted = fit_thresholds([chosen], some, {**some, "words": np.arange(9) * 10}, language="xx")
    assert [(row.signal, row.after, row.reference_dropped) for row in fitted] == [("words", (20, None), 2 / 9)]
    english = Filter("rules", "test", bounds, languages=("en",))
    assert fit_thresholds([english], some, some, language="xx") == []


def test_limits_survive_a_file_and_decide_for_their_language_alone(tmp_path: Path) -> None:
    numbers = np.array([1 / 3, 0.1, 0.7], dtype=np.float32)
    fitted = fit_thresholds(
        [Filter("repeats", "test", (Bound("hash_ratio", high=0.5),))],
        {"hash_ratio": np.array([0.6, 0.1, 0.1], dtype=np.float32)},
        {"hash_ratio": numbers},
        language="fr",
    )
    tables = save_thresholds({"fr": fitted}, str(tmp_path / "limits.yaml"))
    assert load_thresholds(str(tmp_path / "limits.yaml")) == tables == {"fr": {"hash_ratio": [None, 0.33333334]}}
    chosen = CleanSettings(
        language=None, transforms=[], filters=["gopher_quality"], thresholds={"hash_ratio": [None, 0.5]},
        thresholds_by_language=str(tmp_path / "limits.yaml"),
    )  # fmt: skip
    assert chosen.thresholds_by_language == tables  # what a resolved recipe shows
    high = {
        language: next(
            bound.high for bound in Chain(chosen).filters[0].bounds_for(language) if bound.signal == "hash_ratio"
        )
        for language in ("fr", "en", None)
    }
    assert high == {"fr": 0.33333334, "en": 0.5, None: 0.5}
    assert numbers[0] <= np.float32(high["fr"])  # the document that gave the limit is kept


def test_limits_that_stay_are_not_written(tmp_path: Path) -> None:
    row = FittedThreshold(
        signal="x", filter="f", reference=(1, None), before=(1, None), after=(1, None),
        reference_dropped=0, before_dropped=0, after_dropped=0,
    )  # fmt: skip
    assert save_thresholds({"fr": [row]}, str(tmp_path / "limits.yaml")) == {"fr": {}}


def test_faults_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"wiki: 3 documents in fr, at least 200 .* \(there are 900 en, 3 fr\)"):
        require_documents({"fr": 3, "en": 900}, ["en", "fr"], "wiki")
    (tmp_path / "bad.yaml").write_text("fr: [1, 2]\n")
    with pytest.raises(RecipeError, match=r"bad\.yaml: not limits by language"):
        CleanSettings(thresholds_by_language=str(tmp_path / "bad.yaml"))
    with pytest.raises(RecipeError, match=r"thresholds_by_language\.fr: no filter of the chain bounds 'wrod_count'"):
        CleanSettings(thresholds_by_language={"fr": {"wrod_count": [1, 2]}})
    with pytest.raises(RecipeError, match=r"thresholds_by_language\.fr\.word_count: give \[low, high\]"):
        CleanSettings(thresholds_by_language={"fr": {"word_count": 7}})
    with pytest.raises(InputError, match=r"absent\.yaml"):
        CleanSettings(thresholds_by_language=str(tmp_path / "absent.yaml"))
