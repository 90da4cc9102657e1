"""Quality classifiers: the measures against brute force, repeatable training, floors on labelled sets, the filter."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest
import xxhash
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from autoclave.cleaning.classifier.measures import calibration_table, roc_auc, threshold_for_share, wilson
from autoclave.cleaning.classifier.quality import (
    FILTERS,
    ClassifierReport,
    ClassifierSettings,
    QualityClassifier,
    build,
    one_line,
    train_classifier,
)
from autoclave.cleaning.filters.base import Measurement
from autoclave.cleaning.language.words import scans
from autoclave.cleaning.signals import run_filters
from autoclave.errors import InputError, RecipeError
from autoclave.pipelines.fitting.classifier import plot_calibration, train_classifier_file

SMALL = ClassifierSettings(dimension=16, buckets=100_000, epochs=25, learning_rate=0.25)
"""For sets a thousand times smaller than DCLM's."""

GOOD = ["a careful explanation of how plants make sugar from light", "the proof follows from the previous theorem"]
BAD = ["buy cheap watches now click here", "free free casino bonus win cash"]


def records(path: Path) -> Iterator[dict[str, object]]:
    for line in zstandard.decompress(path.read_bytes(), 1 << 28).splitlines():
        yield json.loads(line)


def some_texts(kinds: list[str], count: int = 200) -> list[str]:
    generator = np.random.default_rng(len(kinds[0]))
    words = " ".join(kinds).split()
    return [" ".join(generator.choice(words, 12)) for _ in range(count)]


scores_and_kinds = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(scores_and_kinds)
def test_auc_is_the_share_of_pairs_in_order(pairs: list[tuple[int, bool]]) -> None:
    scores, positive = np.array([score for score, _ in pairs]), np.array([kind for _, kind in pairs])
    if positive.all() or not positive.any():
        with pytest.raises(InputError, match="both kinds"):
            roc_auc(scores, positive)
        return
    wins = [(a > b) + (a == b) / 2 for a in scores[positive] for b in scores[~positive]]
    assert roc_auc(scores, positive) == pytest.approx(np.mean(wins))


def test_threshold_keeps_the_share() -> None:
    scores = np.random.default_rng(1).permutation(1000) / 1000
    assert (scores >= threshold_for_share(scores, 0.1)).sum() == 100
    assert (scores >= threshold_for_share(scores, 1.0)).all()
    assert (np.array([1.0, 1.0, 0.0]) >= threshold_for_share(np.array([1.0, 1.0, 0.0]), 0.1)).sum() == 2
    with pytest.raises(InputError):
        threshold_for_share(scores, 0.0)


def test_calibration_of_a_calibrated_score() -> None:
    generator = np.random.default_rng(2)
    scores = generator.random(20_000)
    table = calibration_table(scores, generator.random(20_000) < scores)
    assert [one.documents for one in table] == np.histogram(scores, 10, (0, 1))[0].tolist()
    assert sum(one.interval[0] <= one.mean_score <= one.interval[1] for one in table) >= 8
    assert all(abs(one.positives - one.mean_score) < 0.04 for one in table)
    assert calibration_table(np.array([1.0]), np.array([True]))[0].high == 1.0
    assert wilson(0.5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)  # Brown, Cai, DasGupta 2001


def test_training_is_repeatable(tmp_path: Path) -> None:
    """Whatever memory held before: fastText leaves a part of its vectors as it finds it."""
    first = train_classifier(some_texts(GOOD), some_texts(BAD), str(tmp_path / "a.bin"), SMALL)
    polluted = [np.full(200_000 + size, np.nan) for size in range(40)]
    del polluted
    second = train_classifier(some_texts(GOOD), some_texts(BAD), str(tmp_path / "b.bin"), SMALL)
    assert (tmp_path / "a.bin").read_bytes() == (tmp_path / "b.bin").read_bytes()
    assert first == second
    assert first.auc > 0.99
    assert first.positives + first.held_out_positives == 200


def test_order_of_texts_does_not_matter(tmp_path: Path) -> None:
    train_classifier(some_texts(GOOD, 50), some_texts(BAD, 50), str(tmp_path / "a.bin"), SMALL)
    train_classifier(some_texts(GOOD, 50)[::-1], some_texts(BAD, 50)[::-1], str(tmp_path / "b.bin"), SMALL)
    assert (tmp_path / "a.bin").read_bytes() == (tmp_path / "b.bin").read_bytes()


def test_spam_in_short_messages(tmp_path: Path, shared_data: Path) -> None:
    rows = list(records(shared_data / "quality_spam_en" / "sms.jsonl.zst"))
    ham, spam = ([str(row["text"]) for row in rows if row["label"] == kind] for kind in ("ham", "spam"))
    report = train_classifier(ham, spam, str(tmp_path / "sms.bin"), SMALL)
    assert report.held_out_negatives >= 30
    assert report.auc > 0.93  # measured: 0.966


def test_lines_that_are_main_text(tmp_path: Path, shared_data: Path) -> None:
    lines: dict[tuple[str, int], list[str]] = {}
    for row in records(shared_data / "quality_lines" / "docs.jsonl.zst"):
        if row["lang"] == "en":
            for line, label in zip(row["lines"], row["labels"], strict=True):  # type: ignore[call-overload]
                lines.setdefault((str(row["split"]), label), []).append(line)
    train_classifier(lines["train", 1], lines["train", 0], str(tmp_path / "lines.bin"), SMALL)
    tested = [(line, label) for label in (0, 1) for line in lines["dev", label]]
    scores = QualityClassifier(str(tmp_path / "lines.bin")).scores(pa.array([line for line, _ in tested]))
    assert len(tested) > 1500
    assert roc_auc(scores, np.array([label for _, label in tested])) > 0.92  # measured: 0.963


def test_human_votes_on_pages(tmp_path: Path, shared_data: Path) -> None:
    """247 pages that people voted on, a third of them held out. Their length alone has an AUC of 0.78: voters like long
    pages, and 165 are few to learn from; five folds and more epochs give 0.87."""
    rows = list(records(shared_data / "quality_dclm_human" / "docs.jsonl.zst"))
    tested = [row for row in rows if xxhash.xxh3_64_intdigest(str(row["text"]).encode()) % 3 == 0]
    kinds = ([str(row["text"]) for row in rows if row not in tested and str(row["label"]) == kind] for kind in "10")
    chosen = msgspec.structs.replace(SMALL, epochs=60, held_out=0.08)
    train_classifier(*kinds, str(tmp_path / "model.bin"), chosen)
    scores = QualityClassifier(str(tmp_path / "model.bin")).scores(pa.array([str(row["text"]) for row in tested]))
    assert len(tested) > 60
    assert roc_auc(scores, np.array([str(row["label"]) == "1" for row in tested])) > 0.7


def test_filter_scores_and_drops(tmp_path: Path) -> None:
    path = str(tmp_path / "model.bin")
    train_classifier(some_texts(GOOD), some_texts(BAD), path, SMALL)
    texts = [GOOD[0], BAD[1], "", "the proof\n\nfollows from\tthe theorem", None]
    chosen = build("datatrove", {"model": path, "threshold": 0.5}, (), "clean.filters.quality_classifier")
    _, signals = run_filters(pa.array(texts), [chosen], [None] * 5)
    said = chosen.decide(signals, [None] * 5).tolist()
    assert said == [None, "quality_score < 0.5", "quality_score < 0.5", None, "quality_score < 0.5"]
    whole = QualityClassifier(path).scores(pa.array(texts))
    one_by_one = [QualityClassifier(path).scores(pa.array([text], pa.string()))[0] for text in texts]
    assert whole.tolist() == one_by_one == signals["quality_score"].to_pylist()
    other = QualityClassifier(path, "__label__cc").scores(pa.array(texts[:2]))
    assert other + whole[:2] == pytest.approx(1.0, abs=1e-3)


def test_text_cannot_pose_as_a_label(tmp_path: Path) -> None:
    assert one_line("a __label__hq\nb\x00c") == "a labelhq b c"
    path = str(tmp_path / "model.bin")
    train_classifier(some_texts(GOOD), [text + " __label__hq __label__new" for text in some_texts(BAD)], path, SMALL)
    assert QualityClassifier(path).scores(pa.array([BAD[0]]))[0] < 0.5


def test_faults_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="0 negatives"):
        train_classifier(some_texts(GOOD), [], str(tmp_path / "model.bin"), SMALL)
    (tmp_path / "no.bin").write_bytes(b"no model")
    with pytest.raises(InputError, match="not a fastText model"):
        QualityClassifier(str(tmp_path / "no.bin"))
    with pytest.raises(RecipeError, match="name a model"):
        build("datatrove", {}, (), "clean.filters.quality_classifier")
    measure = FILTERS["datatrove"].measure
    assert measure is not None
    with pytest.raises(RecipeError, match="name a model"):
        measure(next(scans(pa.array(["text"]))), Measurement([None]))


def test_training_from_files(tmp_path: Path) -> None:
    for name, kinds in (("good", GOOD), ("bad", BAD)):
        lines = [json.dumps({"text": text, "language": "en"}) for text in some_texts(kinds)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join([*lines, json.dumps({"text": "fremd", "language": "de"})]))
    out = str(tmp_path / "quality.bin")
    good, bad = str(tmp_path / "good.jsonl"), str(tmp_path / "bad.jsonl")
    report = train_classifier_file([good], [bad], out, SMALL, language="en", limit=150)
    assert report.positives + report.held_out_positives == 150
    assert msgspec.json.decode((tmp_path / "quality.bin.json").read_bytes(), type=ClassifierReport) == report
    pytest.importorskip("matplotlib")
    plot_calibration(report, str(tmp_path / "calibration.svg"))
    assert b"<svg" in (tmp_path / "calibration.svg").read_bytes()
