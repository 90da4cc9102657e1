"""The self-cleaning stage as a recipe runs it, on a corpus that takes seconds."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from autoclave.pipelines.running.engine import InProcessEngine
from autoclave.pipelines.running.recipe import check_recipe
from autoclave.pipelines.running.run import run_recipe

pytest.importorskip("torch", reason="torch is not installed: pip install 'autoclave[train]'")

SENTENCES = {
    "eng_Latn": "The quick brown fox number {} jumps over the lazy dog and then it runs home again.",
    "de-DE": "Der schnelle braune Fuchs Nummer {} springt über den faulen Hund und läuft dann nach Hause.",
}


@pytest.mark.parametrize("between", [{}, {"clean": {"language": None, "filters": [], "transforms": []}}])
def test_declared_languages_are_strata(tmp_path: Path, between: dict[str, object]) -> None:
    rows = [{"text": text.format(n), "language": code} for n in range(8) for code, text in SENTENCES.items()]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    model = {"preset": "tnl-nano", "steps": 1, "batch_size": 1, "sequence_length": 64}
    selfclean = {"vocabulary_size": 512, "strata": ["language"], "min_stratum": 1, "drop_high": 0, "model": model}
    stages = {"extract": {}, **between, "selfclean": selfclean}
    recipe = check_recipe({"name": "x", "inputs": [str(tmp_path / "in.jsonl")], "stages": stages}, "test")
    run_recipe(recipe, str(tmp_path / "run"), InProcessEngine())
    [folder] = (tmp_path / "run").glob("*-selfclean")
    [ledger] = (folder / "ledger").glob("*.parquet")
    assert pq.read_table(ledger).column("stratum").to_pylist() == ["en", "de"] * 8
    assert set(json.loads((folder / "phases/round-1/bands.json").read_text())) == {"en", "de"}
