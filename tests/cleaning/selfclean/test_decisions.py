"""Decisions of the self-cleaning loop: folds, bands, sample, against brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoclave.cleaning.selfclean.folds import HOST_BUCKETS, assign_folds, host_buckets, large_buckets
from autoclave.cleaning.selfclean.sample import GROUPS, Candidate, rank_of, smallest, write_sample
from autoclave.cleaning.selfclean.thresholds import (
    BINS,
    BINS_PER_BIT,
    KEEP_ALL,
    Band,
    decide,
    find_bands,
    histogram,
    merge_histograms,
    score_bins,
    strata,
)
from autoclave.corpus.schema import make_doc_id


def ids(count: int) -> pa.Array:
    return pa.array([make_doc_id("s", i) for i in range(count)], pa.binary(16))


def test_pages_of_a_host_share_a_fold_and_folds_are_balanced() -> None:
    hosts = pa.array([f"host{i % 500}.example" for i in range(5000)])
    folds = assign_folds(hosts, ids(5000), np.array([], dtype=np.int64), 4, seed=3)
    by_host = {}
    for host, fold in zip(hosts.to_pylist(), folds, strict=True):
        assert by_host.setdefault(host, fold) == fold
    counts = np.bincount(folds, minlength=4)
    assert counts.min() > 0.7 * 1250
    assert counts.max() < 1.3 * 1250


def test_folds_depend_on_nothing_but_host_id_and_seed() -> None:
    hosts = pa.array([None if i % 7 == 0 else f"h{i % 40}" for i in range(300)])
    large = np.unique(host_buckets(pa.array(["h3"])))
    whole = assign_folds(hosts, ids(300), large, 3, seed=1)
    parts = [assign_folds(hosts.slice(a, 50), ids(300).slice(a, 50), large, 3, seed=1) for a in range(0, 300, 50)]
    assert np.array_equal(whole, np.concatenate(parts))
    assert not np.array_equal(whole, assign_folds(hosts, ids(300), large, 3, seed=2))


def test_a_large_host_is_split_by_document() -> None:
    hosts = pa.array(["big.example"] * 1000 + [f"h{i}" for i in range(200)])
    buckets = host_buckets(hosts)
    sizes = np.bincount(buckets, minlength=HOST_BUCKETS)
    large = large_buckets(sizes, 2)
    assert large.tolist() == [buckets[0]]
    folds = assign_folds(hosts, ids(1200), large, 2, seed=0)
    assert 400 < folds[:1000].sum() < 600


def test_documents_without_a_host_are_spread() -> None:
    folds = assign_folds(pa.nulls(1000, pa.string()), ids(1000), np.array([], dtype=np.int64), 2, seed=0)
    assert 430 < folds.sum() < 570


def bands_of(names: pa.Array, scores: np.ndarray, **changes: float) -> dict[str, Band]:
    given = {"drop_low": 0.02, "drop_high": 0.2, "min_documents": 100} | changes
    return find_bands(merge_histograms([histogram(names, score_bins(scores))]), **given)


@settings(derandomize=True, max_examples=40, deadline=None)
@given(
    st.lists(st.floats(0, 12, width=32), min_size=1, max_size=300),
    st.sampled_from([0.0, 0.02, 0.1, 0.3]),
    st.sampled_from([0.0, 0.05, 0.2]),
)
def test_bands_never_drop_more_than_the_share(scores: list[float], drop_high: float, drop_low: float) -> None:
    bins, names = score_bins(np.array(scores)), pa.array(["a"] * len(scores))
    bands = bands_of(names, np.array(scores), drop_low=drop_low, drop_high=drop_high, min_documents=1)
    verdict, low, high = decide(names, bins, bands)
    assert (verdict == -1).sum() <= drop_low * len(scores)
    assert (verdict == 1).sum() <= drop_high * len(scores)
    assert np.all(low <= high)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("documents", [150, 3000, 100_000])
@pytest.mark.parametrize("skewed", [False, True])
def test_nothing_is_dropped_where_nothing_is_bad(seed: int, documents: int, skewed: bool) -> None:
    """The shared case clean_corpus_still_drops.py, and text whose scores have a longer upper half."""
    draw = np.random.default_rng(seed)
    scores = 2 * draw.lognormal(0, 0.08, documents) if skewed else draw.normal(2.0, 0.05, documents)
    names = pa.array(["en"] * documents)
    verdict, _, _ = decide(names, score_bins(scores), bands_of(names, scores))
    assert (verdict != 0).mean() < 0.002


@pytest.mark.parametrize("share", [0.02, 0.1, 0.2])
def test_the_share_follows_the_corpus(share: float) -> None:
    """Garbage that stands apart goes, about all of it and hardly anything else, whatever its share."""
    draw = np.random.default_rng(0)
    bad = draw.random(20_000) < share
    scores = np.where(bad, draw.normal(3.5, 0.3, len(bad)), draw.normal(2.0, 0.2, len(bad)))
    names = pa.array(["en"] * len(bad))
    verdict, _, _ = decide(names, score_bins(scores), bands_of(names, scores, drop_high=0.4))
    assert (verdict[bad] == 1).mean() > (0.7 if share < 0.05 else 0.9)  # a skew could make a thin tail
    assert (verdict[~bad] != 0).mean() < 0.01


@pytest.mark.parametrize("seed", range(5))
def test_a_rare_language_is_not_wiped_out(seed: int) -> None:
    """The shared case rare_language_wiped.py: fewer documents than min_stratum, unlike the rest."""
    draw = np.random.default_rng(seed)
    language = np.array(["en"] * 5000 + ["is"] * 90 + ["fi"] * 101)
    scores = np.concatenate([draw.normal(2.0, 0.2, 5000), draw.normal(3.2, 0.2, 191)])
    sources = pa.array([f"cc/{number % 4}/x.warc" for number in range(len(language))])
    names = strata(
        ("language", "length", "source"), pa.array(language), draw.choice([500, 2000, 8000], len(language)), sources
    )
    verdict, _, _ = decide(names, score_bins(scores), bands_of(names, scores, drop_high=0.1))
    kept = {code: (verdict[language == code] == 0).mean() for code in ("en", "is", "fi")}
    assert kept["is"] == 1.0
    assert kept["fi"] >= 0.95
    assert kept["en"] >= 0.99


def test_bands_do_not_depend_on_how_the_corpus_is_cut() -> None:
    draw = np.random.default_rng(0)
    bins = score_bins(draw.gamma(4, 0.5, 4000))
    names = pa.array(draw.choice(["en|length1", "zh|length1", "en|length2"], 4000))
    whole = merge_histograms([histogram(names, bins)])
    cuts = [0, 17, 900, 901, 4000]
    parts = [histogram(names.slice(a, b - a), bins[a:b]) for a, b in itertools.pairwise(cuts)]
    again = merge_histograms(reversed(parts))
    assert whole.keys() == again.keys()
    assert all(np.array_equal(whole[name], again[name]) for name in whole)


def test_a_small_stratum_leans_on_its_parent_and_on_no_other_language() -> None:
    """Its own middle, its parent's cut; a language that is itself too small is kept."""
    draw = np.random.default_rng(2)
    good = [draw.normal(2.0, 0.1, 900), draw.normal(5.0, 0.1, 60), draw.normal(8.0, 0.1, 40)]
    bad = [draw.normal(3.0, 0.1, 100), draw.normal(6.0, 0.1, 6), draw.normal(9.0, 0.1, 4)]
    counts = [len(one) for one in (*good, *bad)]
    names = pa.array(np.repeat(["en|a", "en|b", "xx|a"] * 2, counts))
    scores = np.concatenate([*good, *bad])
    bands = bands_of(names, scores)
    assert (bands["en|a"].stratum, bands["en|b"].stratum) == ("en|a", "en")
    assert bands["xx|a"] == KEEP_ALL
    verdict, _, _ = decide(names, score_bins(scores), bands)
    is_bad = np.arange(len(scores)) >= 1000
    large, small = np.array(names) == "en|a", np.array(names) == "en|b"
    assert (verdict[large & is_bad] == 1).all()
    assert (verdict[small & is_bad] == 1).mean() > 0.8
    assert (verdict[~is_bad] != 0).mean() < 0.01


def test_no_language_is_dropped_because_it_is_unlike_the_rest() -> None:
    """Chinese scores twice what English does, and has as much garbage: each loses its own."""
    draw = np.random.default_rng(1)
    bad = draw.random(4000) < 0.1
    chinese = np.arange(4000) >= 3000
    scores = draw.normal(1.0, 0.1, 4000) + chinese + np.where(bad, 0.8, 0.0)
    names = pa.array(np.where(chinese, "zh", "en"))
    verdict, _, _ = decide(names, score_bins(scores), bands_of(names, scores))
    for one in (chinese, ~chinese):
        assert (verdict[one & ~bad] == 0).mean() > 0.99
        assert (verdict[one & bad] == 1).mean() > 0.9


def test_scores_that_are_no_numbers_are_the_worst() -> None:
    assert score_bins(np.array([np.nan, np.inf, -1.0, 0.0, 99.0])).tolist() == [BINS - 1, BINS - 1, 0, 0, BINS - 1]
    assert score_bins(np.array([1.5]))[0] == 1.5 * BINS_PER_BIT


def test_strata_are_named_by_their_keys() -> None:
    names = strata(
        ("language", "length", "source"),
        pa.array(["en", None]),
        np.array([10, 5000]),
        pa.array(["crawl/a|b/x.warc.gz", "x.jsonl"]),
    )
    assert names.to_pylist() == ["en|length0|crawl/a_b/", "|length4|"]


def candidate(number: int, group: str) -> Candidate:
    doc_id = make_doc_id("s", number)
    return Candidate(rank_of(doc_id, 0), group, doc_id.hex(), group != "dropped", 1.0, "en", "", f"text {number}")


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_the_sample_is_the_smallest_ranks_whatever_the_order(size: int) -> None:
    everything = [candidate(i, GROUPS[i % 3]) for i in range(300)]
    expected = [
        one
        for group in GROUPS
        for one in sorted((c for c in everything if c.group == group), key=lambda c: (c.rank, c.doc_id))[:size]
    ]
    assert smallest(everything, size) == expected
    assert smallest(reversed(everything), size) == expected
    halves = [*smallest(everything[:150], size), *smallest(everything[150:], size)]
    assert smallest(halves, size) == expected


def test_the_sample_does_not_tell_the_verdict() -> None:
    sample, key = write_sample(smallest([candidate(i, GROUPS[i % 3]) for i in range(90)], 20))
    rows, keys = sample.splitlines(), key.splitlines()
    assert len(rows) == len(keys) == 60
    assert all(word not in row for row in rows for word in (b"kept", b"dropped", b"group", b"doc_id", b"bits"))
    order = [GROUPS.index(k.split(b'"group":"')[1].split(b'"')[0].decode()) for k in keys]
    assert order != sorted(order)


def test_short_texts_are_compared_with_texts_as_short() -> None:
    """Poems of 200 bytes score higher than prose of 400 to 900 in one language: they are no surplus of its tail."""
    draw = np.random.default_rng(6)
    size = np.concatenate([draw.integers(150, 240, 60), draw.integers(400, 900, 300)])
    scores = draw.normal(np.where(size < 250, 5.8, 4.0), 0.3)
    names = strata(("language", "length"), pa.array(["zh"] * 360), size, pa.array(["x"] * 360))
    verdict, _, _ = decide(names, score_bins(scores), bands_of(names, scores, min_documents=50))
    assert (verdict == 0).all()
