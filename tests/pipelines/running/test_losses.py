"""Losses are said: an input that cannot be read is a failure, a shard that was given up counts, no green line lies."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from command_line import Ended, run
from rich.console import Console

from autoclave.cli.tables import print_funnel
from autoclave.corpus.output import ShardOutput, Verdicts
from autoclave.corpus.schema import make_documents
from autoclave.corpus.storage import Folder
from autoclave.errors import RunError
from autoclave.pipelines.running.attempts import Failure
from autoclave.pipelines.running.engine import InProcessEngine
from autoclave.pipelines.running.funnel import StageRow, find_alarms, fold
from autoclave.pipelines.running.guards.losses import note_missing
from autoclave.pipelines.running.guards.settings import GuardSettings
from autoclave.pipelines.running.recipe import check_recipe
from autoclave.pipelines.running.stage import ShardTask, StageContext, document_shards

Command = Callable[..., Ended]
TEXT = "The people of the town went to see what they could have, and it was the best of times that they had. " * 8


@pytest.fixture
def autoclave(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return lambda *arguments: run(capsys, monkeypatch, *arguments)


def write_good(path: Path, documents: int = 3) -> Path:
    path.write_text("".join(json.dumps({"text": f"{TEXT} {n}"}) + "\n" for n in range(documents)))
    return path


def without_text(path: Path) -> None:
    path.write_text("".join(json.dumps({"body": TEXT}) + "\n" for _ in range(3)))


def cut_parquet(path: Path) -> None:
    pq.write_table(pa.table({"text": [TEXT] * 50}), path)
    path.write_bytes(path.read_bytes()[:-20])


def no_gzip(path: Path) -> None:
    path.write_bytes(b"\x1f\x8b\x08\x00 this is no gzip stream at all")


KINDS = {
    "a.jsonl": (without_text, "set fields.text or fields.html to its name"),
    "a.parquet": (cut_parquet, "Parquet"),
    "a.warc.gz": (no_gzip, "gzip"),
    "a.pdf": (
        lambda path: path.write_bytes(b"%PDF-1.4 ..."),
        "not WARC, ARC, WACZ, JSONL, Parquet, Arrow, HTML or text",
    ),
}


@pytest.mark.parametrize("name", KINDS)
def test_an_input_of_which_nothing_can_be_read_is_a_failure(tmp_path: Path, autoclave: Command, name: str) -> None:
    write, cause = KINDS[name]
    write(tmp_path / name)
    ended = autoclave("extract", tmp_path / name, "--out", tmp_path / "out", "--workers", "0")
    assert ended.code == 1
    assert f"error: extract: nothing could be read of 1 input file; first {name}" in ended.errors
    assert cause in ended.errors
    assert "kept + dropped + errors, at every stage" not in ended.output


@pytest.mark.parametrize("name", KINDS)
def test_a_run_stops_before_the_next_stage_and_goes_on_when_told(tmp_path: Path, autoclave: Command, name: str) -> None:
    write, cause = KINDS[name]
    write(tmp_path / name)
    good = write_good(tmp_path / "good.jsonl")
    recipe = tmp_path / "r.yaml"
    stages = {"extract": {}, "clean": {"language": None, "filters": []}}
    recipe.write_text(
        yaml.safe_dump({"name": "r", "inputs": [str(good), str(tmp_path / name)], "stages": stages}, sort_keys=False)
    )
    command = ["run", recipe, "--run-dir", tmp_path / "run", "--workers", "0"]
    ended = autoclave(*command)
    assert ended.code == 1
    assert f"first {name}" in ended.errors
    assert cause in ended.errors
    assert "stopped before clean" in ended.errors
    assert not (tmp_path / "run/02-clean").exists()
    ended = autoclave(*command, "--on-lost-shard", "continue")
    assert ended.code == 1  # the loss stays one
    assert "clean │ 3 │ 3 (100%)" in ended.output
    assert f"alarm: extract: nothing could be read of {name}" in ended.output


def test_documents_that_are_read_by_another_stage_first(tmp_path: Path, autoclave: Command) -> None:
    without_text(tmp_path / "a.jsonl")
    ended = autoclave("clean", tmp_path / "a.jsonl", "--out", tmp_path / "out", "--workers", "0")
    assert ended.code == 1
    assert "set fields.text or fields.html to its name" in ended.errors


def test_one_bad_record_is_no_failure(tmp_path: Path, autoclave: Command) -> None:
    good = write_good(tmp_path / "good.jsonl")
    good.write_text(good.read_text() + "{broken\n")
    ended = autoclave("extract", good, "--out", tmp_path / "out", "--workers", "0")
    assert ended.code == 0
    assert "kept + dropped + errors, at every stage" in ended.output


def test_nothing_kept_is_never_a_green_line(tmp_path: Path, autoclave: Command) -> None:
    write_good(tmp_path / "good.jsonl")
    command = ["clean", tmp_path / "good.jsonl", "--out", tmp_path / "out", "--workers", "0"]
    ended = autoclave(*command, "--set", "language=null", "--set", "thresholds={word_count: [100000, null]}")
    assert "clean: nothing was kept of 3 documents" in ended.output
    assert "at every stage" not in ended.output


def test_inputs_without_a_document_are_a_failure(tmp_path: Path, autoclave: Command) -> None:
    (tmp_path / "empty.jsonl").write_text("\n\n")
    ended = autoclave("extract", tmp_path / "empty.jsonl", "--out", tmp_path / "out", "--workers", "0")
    assert ended.code == 1
    assert "no document was found in the inputs" in ended.errors


def shown(rows: list[StageRow]) -> str:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    print_funnel(rows, find_alarms(rows), console)
    return console.export_text()


def test_a_shard_that_was_given_up_counts_its_documents(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "02-clean")
    failure = Failure("000001", "killed by SIGSEGV", documents=40)
    folder.write_bytes("quarantine/000001.json", msgspec.json.encode(failure))
    with ShardOutput(folder, "clean", "000000") as output:
        output.write(make_documents(["text"] * 5, "s"), Verdicts.keep_all(5))
        commit = output.commit("f", [])
    row = fold("clean", folder, [commit])
    assert (row.documents_in, row.kept, row.lost, row.accounted) == (45, 5, 40, False)
    assert row.loss == "1 shard given up (40 documents lost); first 000001: killed by SIGSEGV"
    text = shown([StageRow(label="extract", folder="01-extract", documents_in=45, kept=45), row])
    assert "does NOT hold at clean: 45 in, 5 accounted for" in text
    assert "at every stage" not in text
    assert not any("but extract kept" in alarm for alarm in find_alarms([row]))


class NoSettings(msgspec.Struct, frozen=True):
    pass


def pass_on(task: ShardTask, output: ShardOutput) -> None:
    if task.shard == "000001":
        raise ValueError("a fault")
    output.count("seen", 1)


def toy_context(tmp_path: Path, guards: GuardSettings) -> StageContext[NoSettings]:
    source = Folder(tmp_path / "source")
    for number in range(3):
        with ShardOutput(source, "source", f"{number:06d}") as output:
            output.write(make_documents(["a text"] * (number + 2), f"s{number}"), Verdicts.keep_all(number + 2))
            output.commit("f", [])
    inputs = document_shards(source)
    return StageContext(
        "toy", Folder(tmp_path / "toy"), NoSettings(), 0, InProcessEngine(), inputs=inputs, guards=guards
    )


def test_a_phase_that_lost_a_shard_stops_the_stage(tmp_path: Path) -> None:
    context = toy_context(tmp_path, GuardSettings())
    tasks = [context.task(shard.name, phase="one") for shard in context.inputs]
    with pytest.raises(RunError, match=r"toy/one: 1 of 3 shards given up; first 000001: ValueError: a fault"):
        context.map_shards(pass_on, tasks, phase="one")


def test_what_a_phase_lost_counts_in_the_stage_when_told_to_go_on(tmp_path: Path) -> None:
    context = toy_context(tmp_path, GuardSettings(on_lost_shard="continue"))
    tasks = [context.task(shard.name, phase="one") for shard in context.inputs]
    assert len(context.map_shards(pass_on, tasks, phase="one")) == 2
    context.failures.clear()
    left = [context.task(s.name, [s]) for s in context.inputs if s.name != "000001"]
    context.map_shards(pass_on, left)
    note_missing(context)
    assert fold("toy", context.folder, context.commits).lost == 3


def test_guards_are_part_of_a_recipe() -> None:
    document = {"name": "x", "guards": {"task_seconds": 5, "on_lost_shard": "continue"}, "stages": {"clean": None}}
    assert check_recipe(document, "r").guards == GuardSettings(task_seconds=5, on_lost_shard="continue")
    assert GuardSettings().seconds(2_000_000) == 240
    assert GuardSettings().seconds(None) is None
    assert GuardSettings(task_seconds=5).seconds(None) == 5
    assert GuardSettings().memory(1 << 30) == 32 << 30


def test_gzip_that_is_whole_is_read(tmp_path: Path, autoclave: Command) -> None:
    good = write_good(tmp_path / "good.jsonl")
    (tmp_path / "good.jsonl.gz").write_bytes(gzip.compress(good.read_bytes()))
    assert autoclave("extract", tmp_path / "good.jsonl.gz", "--out", tmp_path / "out", "--workers", "0").code == 0
