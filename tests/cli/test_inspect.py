"""`autoclave inspect`: every answer compared with what the run was made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import typer
from typer.testing import CliRunner

from autoclave.cli import inspection
from autoclave.corpus.inputs.account import ACCOUNT, InputRow, account_bytes
from autoclave.corpus.output import ShardOutput, Verdicts
from autoclave.corpus.schema import make_doc_id, make_documents
from autoclave.corpus.storage import Folder
from autoclave.errors import AutoclaveError, InputError, RecipeError

ALL = [(shard, row) for shard in range(2) for row in range(30)]


def words(shard: int, row: int) -> int:
    return 10 * (row + 1) + shard


def doc_id(shard: int, row: int) -> str:
    return make_doc_id(f"crawl/{shard}.warc", row).hex()


def call(*arguments: object) -> str:
    app = typer.Typer()
    inspection.register(app)
    app.command("other")(lambda: None)
    result = CliRunner().invoke(app, ["inspect", *map(str, arguments)])
    if isinstance(result.exception, AutoclaveError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def answer(*arguments: object) -> Any:
    return json.loads(call(*arguments, "--json"))


def test_the_subcommand_may_be_left_out(run_folder: Path) -> None:
    assert call(run_folder) == call(run_folder, "funnel")
    assert answer(run_folder) == answer(run_folder, "funnel")


def test_funnel(run_folder: Path) -> None:
    found = answer(run_folder)
    rows = {row["label"]: row for row in found["stages"]}
    assert [rows[name]["documents_in"] for name in ("extract", "clean", "dedup")] == [61, 60, 48]
    assert [rows[name]["kept"] for name in rows] == [60, 48, 45]
    assert rows["extract"]["errors"] == 1
    assert rows["clean"]["dropped_by"] == {
        "rules_long": {"word_count > 285": 4},
        "rules_short": {"word_count < 50": 8},
    }
    text = call(run_folder)
    assert "word_count < 50" in text
    assert "\x1b" not in text  # plain where there is no terminal


def test_inputs(tmp_path: Path, run_folder: Path) -> None:
    account = [
        InputRow(source="a.jsonl", path="/in/a.jsonl", bytes=9, shards=["000000", "000001"]),
        InputRow(source="b.csv", path="/in/b.csv", bytes=8, left_out="csv"),
        InputRow(source="c.jsonl.gz", path="/in/c.jsonl.gz", bytes=7, shards=["000002"], whole="it is one stream"),
    ]
    folder = tmp_path / "extract"
    with ShardOutput(Folder(folder), "extract", "000000") as output:
        output.write(make_documents(["a"], "s"), Verdicts.keep_all(1))
        output.commit("", [])
    Folder(folder).write_bytes(ACCOUNT, account_bytes(account))
    found = answer(folder, "inputs")["extract"]
    assert found["counts"] == {
        "found": 3, "read": 2, "left_out": {"csv": 1}, "split": 1, "whole": {"it is one stream": 1},
    }  # fmt: skip
    assert [row["source"] for row in found["files"]] == ["b.csv"]
    assert [row["source"] for row in answer(folder, "inputs", "--all")["extract"]["files"]] == [
        r.source for r in account
    ]
    text = call(folder, "inputs", "--all")
    assert "3 files found, 2 read, 1 of them in several shards, 1 left out" in text
    assert "1 csv: CSV and TSV are not read" in text
    assert "1 large, in one shard: it is one stream" in text
    assert "shard 000000, 000001  a.jsonl  9 bytes" in text
    assert "3 files found" in call(folder)
    assert "no stage of this run reads files" in call(run_folder, "inputs")


def test_one_stage_alone(run_folder: Path) -> None:
    assert [row["documents_in"] for row in answer(run_folder / "02-clean")["stages"]] == [60]


def test_samples_by_reason(run_folder: Path) -> None:
    short = answer(run_folder, "sample", "--reason", "word_count < 50", "--count", 100)
    assert {event["verdict"]["doc_id"] for event in short} == {doc_id(*one) for one in ALL if words(*one) < 50}
    assert all(event["stage"] == "clean" and not event["verdict"]["kept"] for event in short)
    by_signal = answer(run_folder, "sample", "--reason", "word_count", "--count", 100)
    assert len(by_signal) == 12
    long = answer(run_folder, "sample", "--reason", "rules_long", "-n", 100)
    assert sorted(event["verdict"]["signals"]["word_count"] for event in long) == [290, 291, 300, 301]
    assert all(len(event["document"]["text"].split()) == event["verdict"]["signals"]["word_count"] for event in long)


def test_samples_are_drawn_by_seed(run_folder: Path) -> None:
    draws = [
        [
            e["verdict"]["doc_id"]
            for e in answer(run_folder, "sample", "--kept", "-s", "dedup", "-n", 10, "--seed", seed)
        ]
        for seed in (1, 1, 2)
    ]
    assert draws[0] == draws[1] != draws[2]
    assert len(set(draws[0])) == 10


def test_samples_of_all_stages(run_folder: Path) -> None:
    assert {event["stage"] for event in answer(run_folder, "sample", "-n", 3)} == {"clean", "dedup"}


def test_nearest_to_a_threshold(run_folder: Path) -> None:
    found = answer(run_folder, "sample", "--near", "word_count=100", "--stage", "clean", "-n", 5)
    expected = sorted(abs(words(*one) - 100) for one in ALL)[:5]
    assert [abs(event["verdict"]["signals"]["word_count"] - 100) for event in found] == expected
    both = answer(run_folder, "sample", "--near", "word_count", "-n", 4)
    assert [event["verdict"]["signals"]["word_count"] for event in both[:2]] in ([50, 51], [50, 51][::-1])
    assert {event["verdict"]["kept"] for event in both[:4]} == {True, False}
    assert len(both) == 8  # both thresholds


def test_story_of_a_document(run_folder: Path) -> None:
    by_url = answer(run_folder, "document", "https://site1.example/7")
    by_id = answer(run_folder, "document", doc_id(1, 7))
    by_prefix = answer(run_folder, "document", doc_id(1, 7)[:10])
    assert by_url == by_id == by_prefix
    (story,) = by_url
    assert [event["stage"] for event in story["events"]] == ["extract", "clean", "dedup"]
    assert [event["verdict"]["kept"] for event in story["events"]] == [True] * 3
    assert "[markup]" in story["events"][0]["document"]["text"]
    assert "[markup]" not in story["events"][1]["document"]["text"]
    assert story["events"][1]["verdict"]["signals"] == {"word_count": 81, "share": pytest.approx(7 / 30)}


def test_story_ends_where_the_document_was_dropped(run_folder: Path) -> None:
    (story,) = answer(run_folder, "document", doc_id(0, 0))
    assert [event["stage"] for event in story["events"]] == ["extract", "clean"]
    assert story["events"][1]["verdict"]["reason"] == "word_count < 50"
    assert "rules_short: word_count < 50" in call(run_folder, "document", doc_id(0, 0))


def test_story_names_the_representative(run_folder: Path) -> None:
    (story,) = answer(run_folder, "document", "https://site1.example/10")
    assert story["events"][-1]["verdict"]["duplicate_of"] == doc_id(0, 9)
    assert story["representatives"][doc_id(0, 9)]["url"] == "https://site0.example/9"
    assert "https://site0.example/9" in call(run_folder, "document", "https://site1.example/10")


def test_clusters(run_folder: Path) -> None:
    found = answer(run_folder, "cluster")
    assert [(c["representative"], c["size"]) for c in found["dedup"]] == [(doc_id(0, 9), 3), (doc_id(1, 9), 2)]
    assert set(found["dedup"][0]["members"]) == {doc_id(0, 8), doc_id(1, 10)}
    for member in ((0, 9), (0, 8), (1, 10)):
        events = answer(run_folder, "cluster", doc_id(*member))
        assert [event["verdict"]["kept"] for event in events] == [True, False, False]
        assert {event["verdict"]["doc_id"] for event in events} == {doc_id(0, 9), doc_id(0, 8), doc_id(1, 10)}
    assert answer(run_folder, "cluster", doc_id(0, 20)) == []
    assert doc_id(0, 9) in call(run_folder, "cluster")


def test_histogram(run_folder: Path) -> None:
    (found,) = answer(run_folder, "histogram", "word_count", "--bins", 10)
    assert (sum(found["kept"]), sum(found["dropped"]), found["missing"]) == (48, 12, 0)
    assert [(t["filter"], t["side"], t["value"], t["dropped"]) for t in found["thresholds"]] == [
        ("rules_short", "<", 50, 8),
        ("rules_long", ">", 285, 4),
    ]
    inside = [one for one in ALL if found["edges"][2] <= words(*one) < found["edges"][3]]
    assert found["kept"][2] + found["dropped"][2] == len(inside)
    (share,) = answer(run_folder, "histogram", "share")
    assert share["missing"] == 20
    assert "rules_short drops < 50" in call(run_folder, "histogram", "word_count")


def test_signals_are_listed(run_folder: Path) -> None:
    assert answer(run_folder, "histogram") == {"extract": [], "clean": ["word_count", "share"], "dedup": []}


def test_errors(run_folder: Path) -> None:
    assert answer(run_folder, "errors") == {"extract": [{"place": "0.warc:99", "cause": "cut short"}]}
    assert "0.warc:99" in call(run_folder, "errors")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["sample", "--reason", "word_count < 51"], RecipeError, "rules_short"),
        (["sample", "--stage", "cleam"], RecipeError, "extract, clean, dedup"),
        (["sample", "--near", "words"], RecipeError, "word_count, share"),
        (["sample", "--near", "share"], RecipeError, "share=VALUE"),
        (["sample", "--near", "word_count=many"], RecipeError, "not a number"),
        (["document", "https://site1.example/999"], InputError, "no document with the URL"),
        (["document", "00000000"], InputError, "no document with the id"),
        (["histogram", "words"], RecipeError, "word_count, share"),
    ],
)
def test_clear_errors(run_folder: Path, arguments: list[str], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(run_folder, *arguments)


def test_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a run directory"):
        call(tmp_path)


def test_nearest_to_limits_of_their_own(tmp_path: Path) -> None:
    ids = [make_doc_id("s", row) for row in range(6)]
    values = {
        "bits_per_byte": [1.0, 2.0, 2.9, 3.1, 5.0, None],
        "band_low": [0.5, 0.5, 0.5, 1.0, 4.95, 1.0],
        "band_high": [3.0, 3.0, 3.0, None, 9.0, 2.0],
    }
    signals = {name: pa.array(column, pa.float32()) for name, column in values.items()}
    with ShardOutput(Folder(tmp_path / "01-selfclean"), "selfclean", "000000") as output:
        output.write(make_documents(["t"] * 6, "s"), Verdicts.keep_all(6, signals))
        output.commit("f", [])
    found = answer(tmp_path, "sample", "--near", "bits_per_byte", "-n", 9)
    assert [event["verdict"]["doc_id"] for event in found] == [ids[row].hex() for row in (4, 2, 0, 1, 3)]


def test_a_near_duplicate_is_shown_with_its_differences(tmp_path: Path) -> None:
    """Two texts that differ in one sentence: the dedup stage joins them, `inspect cluster` marks what differs."""
    words = ["".join(chr(97 + i // 26**k % 26) for k in range(3)) for i in range(400)]
    texts = [" ".join(words), " ".join([*words[:200], "changed", *words[201:], "and", "one", "more"])]
    source = tmp_path / "texts.jsonl"
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    from autoclave.pipelines.running.engine import InProcessEngine
    from autoclave.pipelines.running.stage import Silent
    from autoclave.pipelines.running.standalone import run_stage

    run_stage("dedup", [str(source)], str(tmp_path / "dedup"), InProcessEngine(), Silent())
    runner = CliRunner()
    found = json.loads(runner.invoke(inspection.app, [str(tmp_path / "dedup"), "cluster", "--json"]).stdout)
    (cluster,) = next(iter(found.values()))
    shown = runner.invoke(inspection.app, [str(tmp_path / "dedup"), "cluster", cluster["representative"]])
    assert shown.exit_code == 0, shown.output
    marked = " ".join(shown.stdout.split())
    assert f"[-changed-]{{+{words[200]}+}}" in marked
    assert "[- and one more-]" in marked
