"""Methods over a table of scores: labels, evidence, topics, floors, low scores."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from autoclave.cleaning.selfclean.decisions import Rules, decide_table
from autoclave.cleaning.selfclean.evidence import tail_chances
from autoclave.cleaning.selfclean.floors import Loss, below_floor, count_losses, merge_losses
from autoclave.cleaning.selfclean.logistic import fit_logistic
from autoclave.cleaning.selfclean.table import SCORE_SCHEMA
from autoclave.cleaning.selfclean.topics import fit_topics, topics_of
from autoclave.errors import RecipeError


def table_of(**columns: object) -> pa.Table:
    """Return a table of scores with these columns; the others are as good text has them."""
    rows = len(next(iter(columns.values())))  # type: ignore[arg-type]
    draw = np.random.default_rng(0)
    given: dict[str, object] = {
        "doc_id": [number.to_bytes(16, "big") for number in range(rows)],
        "bits_per_byte": draw.normal(2.0, 0.1, rows),
        "bytes": np.full(rows, 2000),
        "repeated_share": np.zeros(rows),
        "compression_ratio": draw.normal(0.5, 0.02, rows),
        "misread": np.zeros(rows),
        "language": ["en"] * rows,
        "source": ["a/x"] * rows,
        "host": ["h"] * rows,
    } | columns
    return pa.table({field.name: pa.array(given.get(field.name, [None] * rows), field.type) for field in SCORE_SCHEMA})


def test_logistic_regression_is_that_of_scikit_learn() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn, the peer, is not installed")
    draw = np.random.default_rng(0)
    features = draw.normal(size=(300, 4))
    bad = draw.random(300) < 1 / (1 + np.exp(-(features @ [1.0, -2.0, 0.0, 0.5] - 1)))
    found = fit_logistic(features, bad, ["a", "b", "c", "d"])
    peer = linear_model.LogisticRegression(C=1 / found.penalty, tol=1e-10, max_iter=1000).fit(features, bad)
    assert np.allclose(found.weights, peer.coef_[0], atol=1e-4)
    assert found.bias == pytest.approx(peer.intercept_[0], abs=1e-4)
    assert found.held_out_loss < found.base_loss


def test_labels_find_what_they_show_within_a_stratum_and_too_few_are_refused() -> None:
    """What is bad differs in its spread; English and Chinese differ in everything."""
    draw = np.random.default_rng(1)
    rows = 2000
    chinese, bad = draw.random(rows) < 0.3, draw.random(rows) < 0.2
    spread = draw.normal(1.0, 0.1, rows) + 2.0 * chinese + 0.6 * bad
    table = table_of(surprise_spread=spread, language=np.where(chinese, "zh", "en").tolist())
    labels = {int(row).to_bytes(16, "big"): bool(bad[row]) for row in range(0, rows, 5)}
    rules = Rules("combined", ("language",), drop_high=0.5)
    _, said = decide_table(table, rules, labels)
    for one in (chinese, ~chinese):
        assert (said.verdict[one & bad] == 1).mean() > 0.9
        assert (said.verdict[one & ~bad] == 1).mean() < 0.03
    with pytest.raises(RecipeError, match="needs at least 40"):
        decide_table(table, rules, dict(list(labels.items())[:39]))


def test_combined_without_labels_takes_what_rules_and_tails_show() -> None:
    rows = 2000
    draw = np.random.default_rng(2)
    bits, packed = draw.normal(2.0, 0.1, rows), draw.normal(0.5, 0.02, rows)
    misread, repeated = np.zeros(rows), np.zeros(rows)
    misread[:40] = 1
    repeated[40:80], packed[40:80] = 0.8, 0.1
    repeated[80:120] = 0.8  # repeats itself, and compresses like any other text: one signal alone
    bits[120:200] += 2.0
    table = table_of(bits_per_byte=bits, compression_ratio=packed, misread=misread, repeated_share=repeated)
    _, said = decide_table(table, Rules("combined", ("language",), drop_high=0.5))
    dropped = said.verdict == 1
    assert dropped[:80].all()
    assert not dropped[80:120].any()
    assert dropped[120:200].mean() > 0.9
    assert dropped[200:].mean() < 0.005


def test_low_scores_go_only_where_the_text_repeats_itself() -> None:
    """Poems and licences are easy; so is a page of one line over and over."""
    rows = 1000
    bits = np.random.default_rng(3).normal(2.0, 0.1, rows)
    bits[:30] -= 1.6
    repeated = np.zeros(rows)
    repeated[:15] = 0.9
    _, said = decide_table(
        table_of(bits_per_byte=bits, repeated_share=repeated), Rules(strata=("language",), drop_low=0.1)
    )
    assert (said.verdict[:15] == -1).all()
    assert (said.verdict[15:] == 0).all()


def test_the_chance_of_a_tail_is_the_share_of_bad_ones_in_it() -> None:
    draw = np.random.default_rng(4)
    distance = np.concatenate([draw.normal(0, 1, 9000), draw.normal(6, 0.3, 1000)])
    chances = tail_chances(distance)
    assert np.all(np.diff(chances) >= 0)
    assert chances[0] == 0
    assert chances[5 * 8] > 0.9
    assert np.all(tail_chances(draw.normal(0, 1, 9000)) == 0)


def test_topics_are_clusters_of_each_folds_own_space() -> None:
    draw = np.random.default_rng(5)
    corners = draw.normal(size=(4, 16)) * 10
    topic = draw.integers(0, 4, 1600)
    pooled = corners[topic] + draw.normal(size=(1600, 16))
    fold = np.arange(1600) % 2
    pooled[fold == 1] = -pooled[fold == 1]
    table = table_of(fold=fold, pooled_hidden=list(pooled.astype(np.float32)))
    names = np.array(topics_of(table, fit_topics(table, 4)).to_pylist())
    assert len(set(names)) == 8
    for name in set(names):
        assert len({(topic[row], fold[row]) for row in np.flatnonzero(names == name)}) == 1


def test_losses_by_group_add_up_and_floors_name_groups() -> None:
    table = table_of(host=["a"] * 30 + ["b"] * 30 + [None] * 40)
    lost, scored = np.arange(100) % 3 == 0, np.arange(100) != 99
    lost[:28] = True
    whole = count_losses(table, lost, scored)
    parts = [count_losses(table.slice(at, 10), lost[at : at + 10], scored[at : at + 10]) for at in range(0, 100, 10)]
    assert merge_losses(parts) == merge_losses([whole])
    assert whole["host"]["a"] == Loss(30, int(lost[:30].sum()))
    assert whole["language"]["en"] == Loss(99, int((lost & scored).sum()))
    assert below_floor(whole, 0.9, 20, ()) == {"language": [], "source": [], "host": ["a"]}
    assert below_floor(whole, 0.9, 31, ())["host"] == []
    assert below_floor(whole, 0.9, 20, ("a",))["host"] == []
