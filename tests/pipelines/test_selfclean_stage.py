"""The self-cleaning stage as a recipe runs it, on a corpus that takes seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from autoclave.cleaning.selfclean.methods import OFFSET, Fitted, Method
from autoclave.cleaning.selfclean.table import LEDGER_SCORES
from autoclave.errors import AutoclaveError, InputError
from autoclave.pipelines.running.engine import InProcessEngine
from autoclave.pipelines.running.recipe import check_recipe
from autoclave.pipelines.running.run import run_recipe
from autoclave.pipelines.running.stage import Silent
from autoclave.pipelines.selfclean.deciding import read_labels

pytest.importorskip("torch", reason="torch is not installed: pip install 'autoclave[train]'")

SENTENCES = {
    "eng_Latn": "The quick brown fox number {} jumps over the lazy dog and then it runs home again.",
    "de-DE": "Der schnelle braune Fuchs Nummer {} springt über den faulen Hund und läuft dann nach Hause.",
}
MODEL = {"preset": "tnl-nano", "steps": 1, "batch_size": 1, "sequence_length": 64}


def _hosts_named_bad(rows: pa.Table | pa.RecordBatch, names: pa.Array, fitted: Fitted) -> np.ndarray:
    bad = [host is not None and host.startswith("bad") for host in rows.column("host").to_pylist()]
    return OFFSET + np.where(bad, 1.0, -1.0)


BAD_HOSTS = Method(("host",), _hosts_named_bad, log_odds=True)
"""A method as a user writes one."""


class Messages(Silent):
    """A progress that remembers what it was told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def message(self, text: str) -> None:
        self.said.append(text)


def selfclean(tmp_path: Path, rows: list[dict[str, Any]], **settings: Any) -> tuple[Path, Messages]:
    """Run extract and selfclean over these rows; returns the stage's folder and what was said."""
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    stage = {"vocabulary_size": 512, "strata": ["language"], "model": MODEL} | settings
    recipe = {"name": "x", "inputs": [str(tmp_path / "in.jsonl")], "stages": {"extract": {}, "selfclean": stage}}
    progress = Messages()
    run_recipe(check_recipe(recipe, "test"), str(tmp_path / "run"), InProcessEngine(), progress=progress)
    [folder] = (tmp_path / "run").glob("*-selfclean")
    return folder, progress


def two_languages(count: int) -> list[dict[str, Any]]:
    return [{"text": text.format(n), "language": code} for n in range(count) for code, text in SENTENCES.items()]


def from_hosts(bad: int, good: int) -> list[dict[str, Any]]:
    text = SENTENCES["eng_Latn"]
    rows = [{"text": text.format(n), "url": f"http://bad.example/{n}", "language": "en"} for n in range(bad)]
    return rows + [{"text": text.format(-n), "url": f"http://good{n}.example/", "language": "en"} for n in range(good)]


def ledger_of(folder: Path) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in sorted((folder / "ledger").glob("*.parquet"))])


@pytest.mark.parametrize("between", [{}, {"clean": {"language": None, "filters": [], "transforms": []}}])
def test_declared_languages_are_strata(tmp_path: Path, between: dict[str, object]) -> None:
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in two_languages(8)))
    settings = {"vocabulary_size": 512, "strata": ["language"], "min_stratum": 1, "drop_high": 0, "model": MODEL}
    stages = {"extract": {}, **between, "selfclean": settings}
    recipe = check_recipe({"name": "x", "inputs": [str(tmp_path / "in.jsonl")], "stages": stages}, "test")
    run_recipe(recipe, str(tmp_path / "run"), InProcessEngine())
    [folder] = (tmp_path / "run").glob("*-selfclean")
    assert ledger_of(folder).column("stratum").to_pylist() == ["en", "de"] * 8
    decision = json.loads((folder / "phases/round-1/decision.json").read_text())
    assert set(decision["bands"]) == {"en", "de"}


def test_the_ledger_holds_the_table_of_scores(tmp_path: Path) -> None:
    trusted = tmp_path / "trusted.jsonl"
    trusted.write_text("".join(json.dumps(row) + "\n" for row in two_languages(4)))
    folder, _ = selfclean(tmp_path, two_languages(10), trusted=str(trusted), early=True, model=MODEL | {"steps": 6})
    ledger = ledger_of(folder)
    absent = {"kenlm_bits_per_byte"}
    for name in LEDGER_SCORES:
        column = ledger.column(name)
        assert column.null_count == (ledger.num_rows if name in absent else 0), name
    bits = np.array(ledger.column("bits_per_byte").to_pylist())
    assert np.all(np.array(ledger.column("early_minus_late").to_pylist()) != 0)
    assert np.all(np.array(ledger.column("trusted_difference").to_pylist()) + bits > 0)
    assert set(ledger.column("fold").to_pylist()) == {0, 1}
    assert len({tuple(one) for one in ledger.column("pooled_hidden").to_pylist()}) == ledger.num_rows


def test_a_decision_is_made_again_without_a_model(tmp_path: Path) -> None:
    rows = from_hosts(25, 60)
    folder, _ = selfclean(tmp_path, rows)
    models = folder / "phases/round-1/models/commits"
    before = {path.name: path.stat().st_mtime_ns for path in models.iterdir()}
    kept = ledger_of(folder).column("kept").to_pylist()
    folder, _ = selfclean(tmp_path, rows, method=f"{__name__}:BAD_HOSTS", drop_high=0.9, floor=1.0)
    assert {path.name: path.stat().st_mtime_ns for path in models.iterdir()} == before
    again = ledger_of(folder).column("kept").to_pylist()
    assert (kept, again) == ([True] * 85, [False] * 25 + [True] * 60)


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({}, 85),
        ({"floor": 1.0}, 60),
        ({"floor_documents": 26}, 60),
        ({"confirmed": ["bad.example"]}, 60),
    ],
)
def test_a_group_that_would_lose_too_much_is_kept(tmp_path: Path, settings: dict[str, Any], kept: int) -> None:
    folder, said = selfclean(tmp_path, from_hosts(25, 60), method=f"{__name__}:BAD_HOSTS", drop_high=0.9, **settings)
    ledger = ledger_of(folder)
    assert sum(ledger.column("kept").to_pylist()) == kept
    report = json.loads((folder / "phases/round-1/report.json").read_text())
    assert report["kept_by_floor"] == (
        {"language": [], "source": [], "host": ["bad.example"]}
        if kept == 85
        else {"language": [], "source": [], "host": []}
    )
    assert sum(ledger.column("spared_by_floor").to_pylist()) == (25 if kept == 85 else 0)
    assert any("bad.example would lose more than 50%" in text for text in said.said) == (kept == 85)


@pytest.mark.parametrize(
    ("settings", "rounds", "reason"),
    [
        ({}, 2, "round 2: nothing more is found"),
        ({"stop_share": 0.9}, 1, "round 1: only 29.41% of the documents were dropped"),
    ],
)
def test_rounds_stop_and_say_why(tmp_path: Path, settings: dict[str, Any], rounds: int, reason: str) -> None:
    method = {"method": f"{__name__}:BAD_HOSTS", "drop_high": 0.9, "floor": 1.0, "rounds": 3}
    folder, said = selfclean(tmp_path, from_hosts(25, 60), **method, **settings)
    assert len(list((folder / "phases").glob("round-*"))) == rounds
    assert any(reason in text for text in said.said)
    assert sum(ledger_of(folder).column("kept").to_pylist()) == 60


def test_nothing_bad_ends_the_first_round(tmp_path: Path) -> None:
    folder, said = selfclean(tmp_path, two_languages(60), rounds=4)
    assert [path.name for path in (folder / "phases").glob("round-*")] == ["round-1"]
    assert all(ledger_of(folder).column("kept").to_pylist())
    assert any("round 1: nothing more is found" in text for text in said.said)


def test_steps_follow_the_corpus(tmp_path: Path) -> None:
    found = {}
    for count in (20, 80):
        (tmp_path / str(count)).mkdir()
        model = MODEL | {"steps": None, "epochs": 2}
        folder, _ = selfclean(tmp_path / str(count), two_languages(count), model=model)
        commits = [json.loads(path.read_text()) for path in (folder / "phases/round-1/models/commits").iterdir()]
        found[count] = sum(commit["counts"]["steps"] for commit in commits)
    assert 3.5 < found[80] / found[20] < 4.5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "crossfit"}, "'crossfit' is none of cross-fit, single, trusted"),
        ({"method": "nowhere:METHOD"}, "cannot load 'nowhere:METHOD'"),
        ({"method": "trusted"}, "name its folder as trusted"),
        ({"method": "kenlm"}, "trains no n-gram model; use the filter perplexity"),
        ({"least_chance": 0.3}, "least_chance: does nothing without method: combined"),
        ({"topics": 3}, "topics: does nothing without topic among the strata"),
        ({"labels": "x"}, "labels: does nothing without method: combined"),
        ({"model": MODEL | {"epochs": 2.0}}, "epochs: does nothing where steps are given"),
    ],
)
def test_a_wrong_setting_is_refused(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(AutoclaveError, match=message):
        selfclean(tmp_path, two_languages(2), **settings)


def test_labels_are_read_and_wrong_ones_named(tmp_path: Path) -> None:
    keys = [{"number": n, "doc_id": bytes([n] * 16).hex()} for n in range(3)]
    (tmp_path / "key.jsonl").write_text("".join(json.dumps(row) + "\n" for row in keys))
    rows = [{"number": n, "label": label} for n, label in enumerate([True, None, False])]
    (tmp_path / "sample.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_labels(str(tmp_path)) == {bytes([0] * 16): False, bytes([2] * 16): True}
    (tmp_path / "sample.jsonl").write_text('{"number": 0, "label": "good"}\n')
    with pytest.raises(InputError, match="line 1: label must be true"):
        read_labels(str(tmp_path))
