"""`autoclave classifier train` on real text, and recipes that clean with what it made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fasttext
import msgspec
import numpy as np
import pytest
import yaml
import zstandard
from commands import call, rows

from autoclave.cleaning.classifier.quality import ClassifierReport, is_held_out, one_line
from autoclave.errors import RecipeError
from autoclave.pipelines.reading.report_plots import draw_calibration

SMALL = ["dimension=16", "buckets=100000", "epochs=15", "learning_rate=0.4"]


def train(place: Path, *arguments: object) -> str:
    files = ["--positive", place / "positives.jsonl", "--negative", place / "negatives.jsonl"]
    changes = [word for change in SMALL for word in ("--set", change)]
    return call("classifier", "train", *files, "--out", place / "quality.bin", *changes, *arguments)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """Paragraphs of text books as positives, of novels and proposals as negatives; a model of them; a crawl of both."""
    folder = tmp_path_factory.mktemp("classifier")
    texts: dict[str, list[str]] = {"positives": [], "negatives": []}
    with zstandard.open(repository / "examples/crawl/english.jsonl.zst", "rt", encoding="utf-8") as file:
        for document in map(json.loads, file):
            kind = "positives" if document["collection"] == "openstax" else "negatives"
            texts[kind] += [part for part in document["text"].split("\n\n") if len(part.split()) >= 40]
    for name, chosen in texts.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in chosen))
    (folder / "crawl").mkdir()
    for number, chosen in enumerate(texts.values()):
        held_out = [text for text in chosen if is_held_out(one_line(text), 0.1)]
        (folder / f"crawl/{number}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in held_out))
    (folder / "said").write_text(train(folder, "--keep", 0.2, "--plot", folder / "calibration.png"))
    return folder


def run(place: Path, folder: Path, classifier: dict[str, Any], *overrides: str) -> Path:
    filters = [{"quality_classifier": {"model": str(place / "quality.bin"), **classifier}}]
    clean = {"language": None, "transforms": [], "filters": filters}
    recipe = {"name": "t", "inputs": [str(place / "crawl")], "stages": {"extract": {}, "clean": clean}}
    folder.mkdir(exist_ok=True)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    call("run", folder / "recipe.yaml", "--run-dir", folder / "run", "--workers", 0)
    return folder / "run/02-clean"


def test_training_says_how_good_the_model_is(place: Path) -> None:
    said = (place / "said").read_text()
    report = json.loads((place / "quality.bin.json").read_text())
    assert report["auc"] >= 0.97
    assert f"AUC {report['auc']:.3f} on {report['held_out_positives'] + report['held_out_negatives']:,}" in said
    assert f"threshold {report['threshold']:.6f} keeps 20% of the held-out negatives" in said
    assert f"{{model: {place / 'quality.bin'}, threshold: {report['threshold']:.6f}}}" in said
    negatives = [json.loads(line)["text"] for line in (place / "crawl/1.jsonl").read_text().splitlines()]
    model = fasttext.load_model(str(place / "quality.bin"))
    scores = [dict(zip(*model.predict(one_line(text), k=2), strict=True))["__label__hq"] for text in negatives]
    assert len(negatives) == report["held_out_negatives"]
    assert np.mean(np.array(scores) >= report["threshold"]) == pytest.approx(0.2, abs=1.5 / len(scores))


def test_the_plot_is_a_picture_and_repeatable(place: Path) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.image import imread

    pixels = imread(place / "calibration.png")
    assert pixels.shape[0] > 600
    assert pixels.std() > 0.05
    report = train(place, "--json", "--plot", place / "calibration.svg")
    drawn = (place / "calibration.svg").read_text()
    assert "well calibrated" in drawn
    assert f"threshold {json.loads(report)['threshold']:.3g}" in drawn

    assert draw_calibration(msgspec.json.decode(report, type=ClassifierReport), "svg").decode() == drawn
    with pytest.raises(RecipeError, match=r"ends in \.png or \.svg"):
        train(place, "--plot", place / "calibration.pdf")


def test_a_recipe_keeps_what_scores_above_the_threshold(place: Path, tmp_path: Path) -> None:
    stage = run(place, tmp_path, {"threshold": 0.5})
    scored = rows(stage, "ledger")
    model = fasttext.load_model(str(place / "quality.bin"))
    texts = {row["doc_id"]: row["text"] for kind in ("documents", "dropped") for row in rows(stage, kind)}
    assert len(texts) == len(scored) > 200
    for row in scored:
        expected = dict(zip(*model.predict(one_line(texts[row["doc_id"]]), k=2), strict=True))["__label__hq"]
        assert row["quality_score"] == pytest.approx(expected, abs=1e-5)
        assert row["kept"] == (row["quality_score"] >= 0.5)
        assert row["reason"] == (None if row["kept"] else "quality_score < 0.5")
    assert 0.3 < np.mean([row["kept"] for row in scored]) < 0.8


@pytest.mark.parametrize("form", ["thresholds.quality_score=[0.9, null]", "filters"])
def test_refilter_with_another_threshold_is_a_fresh_run(place: Path, tmp_path: Path, form: str) -> None:
    stage = run(place, tmp_path / "first", {"threshold": 0.5})
    fresh = run(place, tmp_path / "fresh", {"threshold": 0.9})
    model = place / "quality.bin"
    change = f"filters=[{{quality_classifier: {{model: {model}, threshold: 0.9}}}}]" if form == "filters" else form
    call("refilter", stage, "--set", change, "--out", tmp_path / "again")
    for kind in ("documents", "ledger", "dropped"):
        assert rows(tmp_path / "again", kind) == rows(fresh, kind), kind
    assert len(rows(fresh, "documents")) < len(rows(stage, "documents"))


def test_a_model_that_is_trained_anew_scores_anew(place: Path, tmp_path: Path) -> None:
    (tmp_path / "quality.bin").write_bytes((place / "quality.bin").read_bytes())
    (tmp_path / "crawl").symlink_to(place / "crawl")
    first = rows(run(tmp_path, tmp_path / "run", {}), "ledger")
    files = ["--positive", place / "negatives.jsonl", "--negative", place / "positives.jsonl"]
    call(
        "classifier",
        "train",
        *files,
        "--out",
        tmp_path / "quality.bin",
        "--set",
        "dimension=8",
        "--set",
        "buckets=5000",
    )
    again = rows(run(tmp_path, tmp_path / "run", {}), "ledger")
    scores = [np.array([row["quality_score"] for row in found]) for found in (first, again)]
    assert np.corrcoef(scores[0], scores[1])[0, 1] < -0.5  # the labels are the other way round now


def test_wrong_settings_are_one_clear_line(place: Path) -> None:
    with pytest.raises(RecipeError, match=r"--set.*unknown key 'epoch'; did you mean 'epochs'"):
        train(place, "--set", "epoch=3")
    with pytest.raises(RecipeError, match=r"ends in \.bin"):
        call("classifier", "train", "--positive", "a", "--negative", "b", "--out", "model")
