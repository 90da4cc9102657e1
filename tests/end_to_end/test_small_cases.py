"""Small inputs with known right values through the stages as a user calls them: what the default chain may not harm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from autoclave.pipelines.running.engine import InProcessEngine
from autoclave.pipelines.running.recipe import load_recipe
from autoclave.pipelines.running.run import run_recipe


@pytest.fixture(scope="module")
def cases(shared_data: Path) -> Path:
    folder = shared_data.parent / "cases" / "text"
    if not folder.is_dir():
        pytest.skip(f"no small cases at {folder}")
    return folder


def rows(folder: Path) -> list[dict[str, Any]]:
    return [row for file in sorted(folder.rglob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def clean(source: Path, folder: Path, settings: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Extract and clean one file; return the documents that were kept, and the ledger of the clean stage."""
    recipe = {"name": "case", "inputs": [str(source)], "stages": {"extract": {}, "clean": settings}}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True))
    run_recipe(load_recipe(str(folder / "recipe.yaml")), str(folder / "run"), InProcessEngine())
    return rows(folder / "run/02-clean/documents"), rows(folder / "run/02-clean/ledger")


def texts(source: Path) -> list[str]:
    return [json.loads(line)["text"] for line in source.read_text(encoding="utf-8").split("\n") if line]


def test_every_letter_of_right_texts_stays(cases: Path, tmp_path: Path) -> None:
    kept, _ = clean(cases / "01_text_lost.jsonl", tmp_path, {"filters": []})
    assert [row["text"] for row in kept] == [
        text.replace("\u00a0", " ") for text in texts(cases / "01_text_lost.jsonl")
    ]  # all that is edited: blanks are of one kind


def test_code_headings_and_paragraphs_stand_after_the_default_chain(cases: Path, tmp_path: Path) -> None:
    kept, _ = clean(cases / "c4_code.jsonl", tmp_path, {})
    assert [row["text"] for row in kept] == [text.strip("\n") for text in texts(cases / "c4_code.jsonl")]


def test_language_is_told_before_edits_and_in_any_case(cases: Path, tmp_path: Path) -> None:
    source = cases / "51_language_before_edits.jsonl"
    _, ledger = clean(source, tmp_path, {"filters": []})
    assert [row["language"] for row in ledger] == ["en"] * len(texts(source))


def test_no_language_goes_for_want_of_stop_words(cases: Path, tmp_path: Path) -> None:
    source = cases / "50_languages.jsonl"
    _, ledger = clean(source, tmp_path, {})
    assert len(ledger) == len(texts(source))
    assert {row["reason"].split()[0] for row in ledger if not row["kept"]}.isdisjoint({"stop_word_count", "language"})


def test_a_bound_on_the_score_of_one_language_acts(cases: Path, tmp_path: Path) -> None:
    case = json.loads((cases / "language_score_by_language.json").read_text(encoding="utf-8"))
    french = "Tous les êtres humains naissent libres et égaux en dignité et en droits, et nul ne peut les en priver."
    english = "All human beings are born free and equal in dignity and rights, and nobody may take these from them."
    (tmp_path / "two.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in (french, english)))
    kept, ledger = clean(tmp_path / "two.jsonl", tmp_path, case["clean"])
    assert [row["text"] for row in kept] == [english]
    assert [row["reason"] for row in ledger if not row["kept"]] == [case["want"].split(" (")[0]]


def test_no_and_off_are_a_language_and_a_method(cases: Path) -> None:
    stages = yaml.safe_load(load_recipe(str(cases / "16_norwegian.yaml")).resolved())["stages"]
    assert stages["clean"]["language"]["keep"] == ["da", "no", "sv"]
    assert stages["dedup"]["verify"] == "off"
