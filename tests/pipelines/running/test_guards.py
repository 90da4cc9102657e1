"""Guarded shards: the one document at fault is an error with its cause named, all others are kept, on both engines."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from faulty import count, keep, stage

from autoclave.corpus.output import ShardOutput
from autoclave.corpus.storage import Folder
from autoclave.errors import RunError
from autoclave.pipelines.extract import STAGE as EXTRACT
from autoclave.pipelines.extract import ExtractSettings
from autoclave.pipelines.running import attempts
from autoclave.pipelines.running.engine import Engine, InProcessEngine, LocalEngine
from autoclave.pipelines.running.guards.settings import GuardSettings
from autoclave.pipelines.running.guards.worker import cause_of_death
from autoclave.pipelines.running.stage import ShardTask, StageContext

CAUSES = {
    "SEGV": "the worker was killed by SIGSEGV (a crash in native code)",
    "EXIT": "the worker ended with exit code 139",
    "KILL": "the worker was killed by SIGKILL (out of memory, or somebody killed it",
    "HANG": "out of time: ran longer than",
    "RAISE": "ValueError: a bug in a filter",
    "EAT": "out of memory: held",
}
GUARDS = GuardSettings(task_seconds=60, task_memory_mb=900)


@pytest.fixture(scope="module")
def local() -> Iterator[Engine]:
    engine = LocalEngine(2)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def ray_engine() -> Iterator[Engine]:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'autoclave[ray]'")
    from autoclave.pipelines.running.ray_engine import RayEngine

    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    engine = RayEngine(2)
    yield engine
    engine.close()


def check_the_one_is_an_error(folder: Path, engine: Engine, word: str) -> None:
    others, place = (7, 2) if word == "HANG" else (99, 37)  # each step of the search takes its time
    guards = GuardSettings(task_seconds=5 if engine.name == "ray" else 2) if word == "HANG" else GUARDS
    texts = [f"document {number}" for number in range(others)]
    texts.insert(place, word)
    run = stage(folder, [texts, ["another shard"]], engine, guards)
    commits = run.map_shards(keep, run.document_tasks())
    assert [(c.documents_in, c.kept, c.errors) for c in commits] == [(others + 1, others, 1), (1, 1, 0)]
    (line,) = (folder / "faulty/errors/000000.jsonl").read_text().splitlines()
    assert json.loads(line)["place"] == f"s0:{place}"
    assert CAUSES[word] in json.loads(line)["cause"]
    kept = pq.read_table(folder / "faulty/documents/000000.parquet").column("text").to_pylist()
    assert kept == [text for text in texts if text != word]
    assert run.failures == []


@pytest.mark.parametrize("word", CAUSES)
def test_the_document_at_fault_is_an_error_and_the_others_are_kept(tmp_path: Path, local: Engine, word: str) -> None:
    check_the_one_is_an_error(tmp_path, local, word)


@pytest.mark.parametrize("word", ["SEGV", "HANG", "RAISE", "EAT"])
def test_the_same_on_ray(tmp_path: Path, ray_engine: Engine, word: str) -> None:
    check_the_one_is_an_error(tmp_path, ray_engine, word)


def test_several_documents_at_fault_in_several_shards(tmp_path: Path, local: Engine) -> None:
    shards = [["a", "EXIT", "b", "RAISE"], ["c"], ["RAISE"], ["d", "e", "SEGV"]]
    run = stage(tmp_path, shards, local, GUARDS)
    commits = run.map_shards(keep, run.document_tasks())
    assert [(c.kept, c.errors) for c in commits] == [(2, 2), (1, 0), (0, 1), (2, 1)]
    run.map_shards(keep, run.document_tasks())  # what was found stays found: nothing is searched again
    assert [(c.kept, c.errors) for c in run.commits] == [(2, 2), (1, 0), (0, 1), (2, 1)]


def test_rows_keep_their_places_where_other_inputs_have_a_row_for_each(tmp_path: Path, local: Engine) -> None:
    run = stage(tmp_path, [["a", "EXIT", "b"]], local, GUARDS)
    task = run.task("000000", run.inputs[:1], expected_documents=3)
    assert task.masking == "aligned"
    (commit,) = run.map_shards(keep, [task])
    assert (commit.documents_in, commit.kept, commit.errors) == (3, 2, 1)
    assert pq.read_table(tmp_path / "faulty/documents/000000.parquet").column("text").to_pylist() == ["a", "b"]
    (commit,) = run.map_shards(count, [run.task("000000", run.inputs, phase="count")], phase="count")
    assert commit.counts == {"rows": 3}  # a phase sees a row for each, the one at fault with its doc_id as text


def test_a_shard_without_a_document_at_fault_is_given_up(tmp_path: Path) -> None:
    run = stage(tmp_path, [["a"], ["b"]], InProcessEngine())
    with pytest.raises(RunError, match="every shard failed"):
        run.map_shards(fail_always, run.document_tasks())
    assert "it fails without its documents as well" in run.folder.read_bytes("quarantine/000000.json").decode()


def fail_always(task: ShardTask, output: ShardOutput) -> None:
    if task.shard != "last":
        Path(task.folder.partition("/faulty")[0], f"tried-{task.shard}").touch()
        raise ValueError("the stage is broken")


def test_a_run_in_which_everything_fails_stops_early(tmp_path: Path) -> None:
    run = stage(tmp_path, [["a"]] * 40, InProcessEngine())
    with pytest.raises(RunError, match="the first 5 shards all failed, so the other 35 are not tried") as caught:
        run.map_shards(fail_always, run.document_tasks())
    assert "ValueError: the stage is broken" in str(caught.value)
    assert len(list(tmp_path.glob("tried-*"))) == 5


def test_five_poisoned_shards_at_the_start_stop_nothing(tmp_path: Path) -> None:
    run = stage(tmp_path, [["RAISE", "a"]] * 6 + [["b"]] * 3, InProcessEngine())
    commits = run.map_shards(keep, run.document_tasks())
    assert [(c.kept, c.errors) for c in commits] == [(1, 1)] * 6 + [(1, 0)] * 3


def test_retries_do_not_block_the_driver() -> None:
    """Twenty tasks that fail three times wait together, not one after another."""
    queue = attempts.Queue(20)
    for _ in range(20):
        taken = queue.take(0.0)
        assert taken is not None
        queue.again(*taken, now=0.0)
    assert queue.take(0.1) is None
    assert queue.wait(0.1) == pytest.approx(0.1)
    second = [queue.take(0.2) for _ in range(20)]
    assert second == [(index, 2) for index in range(20)]
    assert not queue


def test_new_tasks_run_while_others_wait_to_be_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    queue = attempts.Queue(2)
    first = queue.take(0.0)
    assert first == (0, 1)
    queue.again(*first, now=0.0)
    assert queue.take(0.1) == (1, 1)
    assert queue.take(0.3) == (0, 2)
    assert slept == []


@pytest.mark.parametrize(
    ("code", "killed", "cause", "message"),
    [
        (-11, False, "died", "the worker was killed by SIGSEGV (a crash in native code)"),
        (-9, True, "memory", "the worker was killed by SIGKILL: out of memory (the kernel's choice; it held 3 MiB)"),
        (-9, False, "died", "the worker was killed by SIGKILL (out of memory, or somebody killed it; it held 3 MiB)"),
        (-15, False, "died", "the worker was killed by SIGTERM (somebody ended it)"),
        (3, False, "died", "the worker ended with exit code 3"),
        (-64, False, "died", "the worker was killed by SIGRTMAX"),
    ],
)
def test_causes_are_named(code: int, killed: bool, cause: str, message: str) -> None:
    answer = cause_of_death(code, 3 << 20, killed)
    assert (answer.cause, answer.details) == (cause, message)


def extract_context(tmp_path: Path, engine: Engine, inputs: list[Path]) -> StageContext[ExtractSettings]:
    folder = Folder(tmp_path / "extract")
    return StageContext("extract", folder, ExtractSettings(), 0, engine, sources=[str(path) for path in inputs])


@pytest.mark.parametrize("files", [1, 3])
def test_records_and_files_of_raw_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: int) -> None:
    """In one file the record is found; among small files that share a shard, the file."""
    import autoclave.pipelines.extract as module

    def tidy(text: str) -> str:
        if "POISON" in text:
            raise RuntimeError("the extractor is broken")
        return text

    monkeypatch.setattr(module, "tidy", tidy)
    texts = [f"text {number}" if number != 4 else "POISON" for number in range(9)]
    paths = [tmp_path / f"{number}.jsonl" for number in range(files)]
    for number, path in enumerate(paths):
        own = texts if files == 1 else texts[3 * number : 3 * number + 3]
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in own))
    run = extract_context(tmp_path, InProcessEngine(), paths)
    EXTRACT.run(run)
    (commit,) = run.commits
    (line,) = (tmp_path / "extract/errors/000000.jsonl").read_text().splitlines()
    error = json.loads(line)
    assert "the extractor is broken" in error["cause"]
    assert error["place"] == ("0.jsonl:4" if files == 1 else "1.jsonl")
    assert (commit.kept, commit.errors) == ((8, 1) if files == 1 else (6, 1))
