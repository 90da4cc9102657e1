"""The whole road: crawl in, token shards out, a model trained on them; and what a person sees of it."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import small_run
from small_run import STAGES, SmallRun, autoclave, contents, differences


def test_every_stage_accounts_for_every_document(finished: SmallRun) -> None:
    summary = json.loads((finished.run / "summary.json").read_text())
    rows = {row["label"]: row for row in summary["stages"]}
    assert tuple(rows) == STAGES
    for label in STAGES[:5]:
        row = rows[label]
        assert row["documents_in"] == row["kept"] + row["dropped"] + row["errors"] > 0, label
    for before, after in itertools.pairwise(STAGES[:5]):
        assert rows[after]["documents_in"] == rows[before]["kept"]
    assert rows["dedup"]["dropped"] >= 3  # of the repeated lines of the JSONL, those that clean kept
    assert rows["selfclean"]["dropped"] < rows["selfclean"]["kept"] / 10  # a clean crawl: hardly anything stands out


def test_the_ledger_has_every_document_with_its_signals(finished: SmallRun) -> None:
    for stage in ("01-extract", "02-clean", "03-dedup", "04-selfclean"):
        folder = finished.run / stage
        for path in sorted((folder / "ledger").glob("*.parquet")):
            ledger = pq.read_table(path)
            dropped = pq.read_table(folder / "dropped" / path.name)
            kept = pq.read_table(folder / "documents" / path.name)
            assert ledger.num_rows == kept.num_rows + dropped.num_rows
            assert sum(ledger.column("kept").to_pylist()) == kept.num_rows
            verdicts = zip(ledger.column("kept").to_pylist(), ledger.column("filter").to_pylist(), strict=True)
            assert all(row_kept == (name is None) for row_kept, name in verdicts)
    clean = pq.read_table(finished.run / "02-clean" / "ledger")
    assert {"word_count", "language_score"} <= set(clean.column_names)


def test_a_cut_file_is_a_warning_and_not_a_failure(finished: SmallRun) -> None:
    assert "warning" in finished.errors
    lines = [
        json.loads(line)
        for path in (finished.run / "01-extract" / "errors").glob("*.jsonl")
        for line in path.read_text().splitlines()
    ]
    assert any("cut.warc.gz" in line["place"] for line in lines)


def test_the_loss_falls_and_a_sample_waits_for_people(finished: SmallRun) -> None:
    lines = [json.loads(line) for line in (finished.run / "06-train" / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["loss"] < lines[0]["loss"]
    sample = [json.loads(line) for line in (finished.run / "04-selfclean/sample/sample.jsonl").read_text().splitlines()]
    key = [json.loads(line) for line in (finished.run / "04-selfclean/sample/key.jsonl").read_text().splitlines()]
    assert len(sample) == len(key) >= 5
    assert {row["number"] for row in sample} == {row["number"] for row in key}
    assert all(set(row) == {"number", "language", "text", "label"} for row in sample)


def test_running_again_changes_nothing(finished: SmallRun) -> None:
    before = {p: p.stat().st_mtime_ns for p in finished.run.rglob("*.parquet")}
    autoclave("run", finished.recipe, "--run-dir", finished.run, "--workers", "2")
    assert {p: p.stat().st_mtime_ns for p in finished.run.rglob("*.parquet")} == before


@pytest.mark.parametrize("workers", ["0", "3"])
def test_the_number_of_workers_changes_nothing(finished: SmallRun, tmp_path: Path, workers: str) -> None:
    autoclave("run", finished.recipe, "--run-dir", tmp_path / "run", "--workers", workers)
    assert differences(contents(finished.run), contents(tmp_path / "run")) == []


def test_single_stages_do_what_the_recipe_does(finished: SmallRun, tmp_path: Path) -> None:
    autoclave("extract", finished.crawl, "--out", tmp_path / "text", "--seed", "5")
    autoclave(
        "clean", tmp_path / "text", "--out", tmp_path / "clean", "--seed", "5",
        "--set", "language.keep=[en, zh]", "--set", "language.min_score=0.3",
        "--set", "filters=[gopher_quality, c4]", "--set", "thresholds.alphabetic_word_ratio=[0.5, null]",
    )  # fmt: skip
    autoclave("dedup", tmp_path / "clean", "--out", tmp_path / "dedup", "--seed", "5")
    for ours, stage in (("text", "01-extract"), ("clean", "02-clean"), ("dedup", "03-dedup")):
        for path in sorted((finished.run / stage / "documents").glob("*.parquet")):
            assert pq.read_table(path).equals(pq.read_table(tmp_path / ours / "documents" / path.name)), path


def test_what_a_person_asks_of_a_run(finished: SmallRun) -> None:
    assert "documents in = kept + dropped + errors" in finished.output
    funnel = json.loads(autoclave("inspect", finished.run, "--json").stdout)
    assert [row["label"] for row in funnel["stages"]][:3] == ["extract", "clean", "dedup"]
    dropped = pq.read_table(finished.run / "03-dedup" / "dropped").slice(0, 1).to_pylist()[0]
    story = autoclave("inspect", finished.run, "document", dropped["doc_id"].hex()).stdout
    assert "dedup" in story
    assert "extract" in story
    text = autoclave("generate", finished.run / "06-train", "--prompt", "The server", "-n", "8").stdout
    assert text.startswith("The server")
    help_text = autoclave("--help").stdout
    assert len(help_text.splitlines()) <= 40
    for name in ("run", "extract", "clean", "dedup", "selfclean", "tokenize", "train", "score", "generate", "inspect"):
        assert name in help_text


def test_scores_have_bits_per_byte(finished: SmallRun, tmp_path: Path) -> None:
    autoclave("score", finished.run / "05-tokenize", "--model", finished.run / "06-train", "--out", tmp_path / "scores")
    scores = pq.read_table(tmp_path / "scores" / "scores")
    assert scores.column_names == ["doc_id", "nll", "tokens", "bytes", "bits_per_byte"]
    assert scores.num_rows == pq.read_table(finished.run / "05-tokenize" / "ledger").num_rows
    assert 0.5 < scores.column("bits_per_byte").to_numpy().mean() < 12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "no-such.yaml"), "no-such.yaml: no such recipe"),
        (("extract", "no-such.warc.gz", "--out", "OUT"), "no-such.warc.gz"),
        (("clean", "no-such-folder", "--out", "OUT"), "no-such-folder"),
        (("clean", "CRAWL", "--out", "OUT", "--set", "langage.keep=[en]"), "did you mean 'language'"),
        (("train", "no-such-folder", "--out", "OUT"), "no-such-folder"),
        (("score", "no-such-folder", "--model", "no-such-model", "--out", "OUT"), "no-such"),
        (("inspect", "CRAWL"), "not a run"),
    ],
)
def test_a_wrong_request_is_one_clear_line(
    finished: SmallRun, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    places = {"OUT": str(tmp_path / "out"), "CRAWL": str(finished.crawl)}
    done = autoclave(*(places.get(a, a) for a in arguments), check=False)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.strip()]) == 1
    assert "Traceback" not in done.stderr


def test_an_unknown_recipe_key_names_what_was_meant(finished: SmallRun, tmp_path: Path) -> None:
    recipe = tmp_path / "bad.yaml"
    recipe.write_text(finished.recipe.read_text().replace("min_stratum", "min_startum"))
    done = autoclave("run", recipe, "--run-dir", tmp_path / "run", check=False)
    assert done.returncode == 2
    assert "min_startum" in done.stderr
    assert "did you mean 'min_stratum'" in done.stderr
    assert not (tmp_path / "run").exists()


def test_two_processes_do_not_share_a_run(finished: SmallRun, tmp_path: Path) -> None:
    import fcntl

    run = tmp_path / "run"
    run.mkdir()
    with open(run / ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = autoclave("run", finished.recipe, "--run-dir", run, check=False)
    assert done.returncode == 1
    assert "another autoclave process" in done.stderr
    assert small_run.contents(run) == {}


def test_no_document_is_scored_by_a_model_that_saw_it(finished: SmallRun) -> None:
    """The models' commits name the token files they trained on; scores name the fold whose model gave them."""
    rounds = finished.run / "04-selfclean" / "phases" / "round-1"
    held: dict[int, set[bytes]] = {}
    for path in sorted((rounds / "tokens" / "tokens").glob("*.arrow")):
        fold = int(path.stem.rsplit("-", 1)[1])
        held.setdefault(fold, set()).update(read_ipc(path).column("doc_id").to_pylist())
    assert len(held) == 2
    assert not held[0] & held[1]
    for path in sorted((rounds / "models" / "commits").glob("*.json")):
        commit = json.loads(path.read_text())
        seen = {Path(name).stem.rsplit("-", 1)[1] for name in commit["inputs"] if name.endswith(".arrow")}
        assert seen == {str(1 - int(commit["shard"]))}
    scores = pq.read_table(rounds / "scores" / "scores")
    assert all(
        doc_id in held[fold]
        for doc_id, fold in zip(*(scores.column(c).to_pylist() for c in ("doc_id", "fold")), strict=True)
    )
    assert scores.num_rows == sum(map(len, held.values()))


def test_a_ledger_score_is_the_score_of_the_published_model(finished: SmallRun) -> None:
    """Scoring the documents of one fold again, alone and in another order, with the model on disk, gives the ledger."""
    import numpy as np

    from autoclave.model.inference.scoring import Scorer

    rounds = finished.run / "04-selfclean" / "phases" / "round-1"
    ledger = pq.read_table(finished.run / "04-selfclean" / "ledger")
    known = dict(zip(ledger.column("doc_id").to_pylist(), ledger.column("bits_per_byte").to_pylist(), strict=True))
    table = read_ipc(max((rounds / "tokens" / "tokens").glob("*.fold-1.arrow"), key=lambda p: p.stat().st_size))
    rows = list(range(min(table.num_rows, 8)))[::-1]
    documents = [np.array(table.column("tokens")[row].as_py()) for row in rows]
    sizes = [table.column("bytes")[row].as_py() for row in rows]
    scores = Scorer.from_checkpoint(rounds / "models" / "models" / "000001", device="cpu", threads=1).score(
        documents, sizes
    )
    expected = [known[table.column("doc_id")[row].as_py()] for row in rows]
    assert np.array_equal(scores.bits_per_byte.astype(np.float32), np.array(expected, dtype=np.float32))


def read_ipc(path: Path) -> pa.Table:
    with pa.ipc.open_file(path) as file:
        return file.read_all()
