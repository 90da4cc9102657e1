"""`autoclave thresholds fit` on real English and Chinese, and a recipe that takes what it wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
import zstandard
from commands import call

from autoclave.cleaning.chain import SURE_SCORE
from autoclave.errors import InputError, RecipeError
from autoclave.pipelines.reading.refilter import refilter
from autoclave.pipelines.running.engine import InProcessEngine
from autoclave.pipelines.running.recipe import load_recipe
from autoclave.pipelines.running.run import run_recipe


def fit(*arguments: object) -> str:
    return call("thresholds", "fit", *arguments)


CLEAN = {"language": {"keep": None}, "filters": ["gopher_repetition", "gopher_quality"]}


def pieces(texts: list[str], characters: int) -> Iterator[str]:
    """Yield parts of about so many characters, cut between lines."""
    for text in texts:
        part: list[str] = []
        for line in text.split("\n"):
            part.append(line)
            if sum(map(len, part)) > characters:
                yield "\n".join(part)
                part = []


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """Parts of the demo crawl's documents, in one file without labels; English in pages of Chinese code among them."""
    crawl = repository / "examples" / "crawl"
    with zstandard.open(crawl / "english.jsonl.zst", "rt", encoding="utf-8") as file:
        english = [json.loads(line)["text"] for line in file]
    chinese = pq.read_table(crawl / "chinese.parquet")["text"].to_pylist()
    chosen = [*list(pieces(english, 1500))[:400], *list(pieces(chinese, 300))[:700]]
    path = tmp_path_factory.mktemp("documents") / "documents.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in chosen), encoding="utf-8")
    return path


def run(folder: Path, documents: Path, clean: dict[str, Any]) -> tuple[Path, list[dict[str, Any]]]:
    """Run extract and clean; return the run's folder and the rows of its ledger."""
    recipe = {"name": "t", "inputs": [str(documents)], "stages": {"extract": {}, "clean": clean}}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    run_recipe(load_recipe(str(folder / "recipe.yaml")), str(folder / "run"), InProcessEngine())
    return folder / "run", pq.read_table(folder / "run/02-clean/ledger").to_pylist()


def outside(row: dict[str, Any], signal: str, limits: list[float | None]) -> bool:
    low, high = (None if limit is None else np.float32(limit) for limit in limits)
    value = np.float32(row[signal])
    return bool((low is not None and value < low) or (high is not None and value > high))


def test_fitted_limits_go_into_a_recipe_and_decide(documents: Path, tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(yaml.safe_dump({"name": "t", "stages": {"clean": CLEAN}}))
    limits = tmp_path / "zh.yaml"
    report = json.loads(
        fit(documents, "--language", "zh", "--out", limits, "--recipe", tmp_path / "base.yaml", "--json")
    )
    fitted = {row["signal"]: row for row in report["languages"]["zh"]}
    tables = yaml.safe_load(limits.read_text())
    for name in ("plain", "fitted"):
        (tmp_path / name).mkdir()
    plain_run, plain = run(tmp_path / "plain", documents, CLEAN)
    folder, rows = run(tmp_path / "fitted", documents, {**CLEAN, "thresholds_by_language": str(limits)})

    resolved = yaml.safe_load((folder / "recipe.yaml").read_text())
    assert resolved["stages"]["clean"]["thresholds_by_language"] == tables
    assert len(tables["zh"]) >= 8
    chinese = [row for row in rows if row["language"] == "zh"]
    assert len(chinese) == report["documents"]["zh"] >= 400
    for signal, limit in tables["zh"].items():
        share = np.mean([outside(row, signal, limit) for row in chinese])
        assert share == pytest.approx(fitted[signal]["after_dropped"], abs=1e-9), signal
        assert share <= fitted[signal]["reference_dropped"] + 1 / len(chinese) + 1e-9, signal
    sure = [row for row in chinese if row["language_score"] >= SURE_SCORE]  # others are held to the general limits
    dropped = [row for row in sure if not row["kept"]]
    assert len(dropped) >= 20
    for row in dropped:
        signal = row["reason"].split(" ")[0]
        assert outside(row, signal, tables["zh"].get(signal, fitted[signal]["before"])), row["reason"]
    kept = [row for row in sure if row["kept"]]
    assert not any(outside(row, signal, limit) for row in kept for signal, limit in tables["zh"].items())
    assert {row["doc_id"] for row in kept} != {
        row["doc_id"] for row in plain if row["kept"] and row["language"] == "zh"
    }
    assert [row for row in rows if row["language"] == "en"] == [row for row in plain if row["language"] == "en"]
    again = refilter(str(plain_run), [f"thresholds_by_language={limits}"])
    assert again.kept_after == sum(row["kept"] for row in rows)


def test_the_table_says_what_limits_drop(documents: Path, tmp_path: Path) -> None:
    said = fit(documents, documents, "-l", "zh", "--out", tmp_path / "zh.yaml", "--documents", 300)
    assert "Limits for zh (300 documents in en, 300 in zh)" in said
    assert "mean_word_length" in said
    assert f"clean: {{thresholds_by_language: {tmp_path / 'zh.yaml'}}}" in said


def test_clear_errors(documents: Path, tmp_path: Path) -> None:
    out = tmp_path / "fr.yaml"
    with pytest.raises(InputError, match=r"documents\.jsonl: \d+ documents in fr, at least 200 .*there are \d+ en"):
        fit(documents, "--language", "fr", "--out", out)
    with pytest.raises(RecipeError, match="languages other than the reference's"):
        fit(documents, "--language", "en", "--out", out)
    (tmp_path / "run" / "01-extract").mkdir(parents=True)
    with pytest.raises(InputError, match="01-extract"):
        fit(tmp_path / "run", "--language", "fr", "--out", out)
    assert not out.exists()
