"""The contract of stages: commits, resume, accounting, quarantine, atomic files."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from autoclave.corpus.batches import BATCH_ROWS, split_batch
from autoclave.corpus.commits import read_commit, read_commits
from autoclave.corpus.output import ShardOutput, Verdicts
from autoclave.corpus.schema import DOCUMENT_SCHEMA, make_documents, read_documents
from autoclave.corpus.storage import Folder
from autoclave.errors import DamageError, InputError, RunError, ShardError
from autoclave.pipelines.running import standing
from autoclave.pipelines.running.engine import InProcessEngine, LocalEngine
from autoclave.pipelines.running.stage import DocumentShard, ShardTask, Silent, StageContext, document_shards


class ToySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    limit: int = 5


def source_shards(folder: Folder, shards: list[list[str]]) -> list[DocumentShard]:
    for index, texts in enumerate(shards):
        with ShardOutput(folder, "source", f"{index:06d}") as output:
            batch = make_documents(texts, f"toy{index}")
            output.write(batch, Verdicts.keep_all(batch.num_rows))
            output.commit(f"f{index}", [])
    return document_shards(folder)


def keep_long(task: ShardTask, output: ShardOutput) -> None:
    """Keep texts longer than the limit; a text 'boom' is a bug, 'bad' a shard error, 'die' kills the process."""
    for batch in read_documents(task.inputs[0]):
        texts = batch.column("text").to_pylist()
        if "boom" in texts:
            raise KeyError("boom")
        if "bad" in texts:
            raise ShardError(f"{task.inputs[0]}: bad document")
        if "die" in texts:
            os.kill(os.getpid(), 9)
        if "lose" in texts:
            batch = batch.slice(1)
            texts = texts[1:]
        kept = np.array([len(text) > task.settings.limit for text in texts], dtype=np.bool_)
        names = [None if k else "length" for k in kept]
        signals = {"length": pa.array([len(t) for t in texts], pa.int32())}
        output.write(batch, Verdicts(kept, names, names, signals))


def context(
    tmp_path: Path, shards: list[list[str]], engine: object = None, **settings: int
) -> StageContext[ToySettings]:
    source = Folder(tmp_path / "source")
    return StageContext(
        "toy",
        Folder(tmp_path / "toy"),
        ToySettings(**settings),
        seed=1,
        engine=engine or InProcessEngine(),  # type: ignore[arg-type]
        inputs=source_shards(source, shards),
    )


def tree(folder: Path) -> dict[str, bytes]:
    """All files but commits, which hold seconds, and their checksums."""
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and "commits" not in p.parts and p.name != "checksums.json"
    }


def test_every_document_is_kept_or_has_a_reason(tmp_path: Path) -> None:
    run = context(tmp_path, [["short", "long enough", "x"], ["another long text"]])
    commits = run.map_shards(keep_long, run.document_tasks())
    assert [(c.documents_in, c.kept, c.dropped) for c in commits] == [(3, 1, 2), (1, 1, 0)]
    assert commits[0].dropped_by == {"length": {"length": 2}}
    ledger = pq.read_table(tmp_path / "toy/ledger/000000.parquet")
    assert ledger.column("length").to_pylist() == [5, 11, 1]
    assert ledger.column("kept").to_pylist() == [False, True, False]
    dropped = pq.read_table(tmp_path / "toy/dropped/000000.parquet")
    assert dropped.column("text").to_pylist() == ["short", "x"]
    assert pq.read_table(tmp_path / "toy/documents/000000.parquet").schema.equals(DOCUMENT_SCHEMA)


def test_finished_shards_are_not_redone_and_changed_settings_are(tmp_path: Path) -> None:
    run = context(tmp_path, [["short", "long enough"], ["another long text"]])
    run.map_shards(keep_long, run.document_tasks())
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "toy").rglob("*.parquet")}
    run.map_shards(keep_long, run.document_tasks())
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "toy").rglob("*.parquet")} == before
    other = context(tmp_path, [["short", "long enough"], ["another long text"]], limit=100)
    commits = other.map_shards(keep_long, other.document_tasks())
    assert sum(c.kept for c in commits) == 0


def test_a_damaged_output_is_made_again(tmp_path: Path) -> None:
    run = context(tmp_path, [["short", "long enough"]])
    run.map_shards(keep_long, run.document_tasks())
    expected = tree(tmp_path / "toy")
    (tmp_path / "toy/documents/000000.parquet").write_bytes(b"truncated")
    run.map_shards(keep_long, run.document_tasks())
    assert tree(tmp_path / "toy") == expected


class Told(Silent):
    """Keeps what a stage says."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def message(self, text: str) -> None:
        self.messages.append(text)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_flipped_byte_in_any_output_or_commit_is_made_good(
    tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "IN_PROCESS_BYTES", -1)  # as if outputs were large: workers read them
    engine = LocalEngine(workers) if workers else InProcessEngine()
    run = context(tmp_path, [["short", "long enough"], ["another long text"]], engine)
    run.map_shards(keep_long, run.document_tasks())
    expected = tree(tmp_path / "toy")
    names = [name for name, data in expected.items() if data and "000001" in name] + ["commits/000001.json"]
    for number, name in enumerate(names):
        path = tmp_path / "toy" / name
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        os.utime(path, ns=(number, number))
        untouched = (tmp_path / "toy/documents/000000.parquet").stat().st_mtime_ns
        run.progress = Told()
        commits = run.map_shards(keep_long, run.document_tasks())
        assert [commit.shard for commit in commits] == ["000000", "000001"]
        assert tree(tmp_path / "toy") == expected
        assert (tmp_path / "toy/documents/000000.parquet").stat().st_mtime_ns == untouched
        (message,) = run.progress.messages
        assert message.startswith("warning: toy: ")
        assert name in message
    engine.close()


def test_a_damaged_input_stops_the_stage_and_quarantines_nothing(tmp_path: Path) -> None:
    run = context(tmp_path, [["short", "long enough"], ["another long text"]])
    path = tmp_path / "source/documents/000001.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamageError, match=r"source/documents/000001\.parquet: damaged: .*; run source again"):
        run.map_shards(keep_long, run.document_tasks())
    assert not (tmp_path / "toy/quarantine").exists()
    with pytest.raises(InputError, match="the stage toy has not run to its end"):
        document_shards(run.folder)


def test_a_missing_commit_of_the_stage_before_is_not_a_smaller_corpus(tmp_path: Path) -> None:
    run = context(tmp_path, [["short", "long enough"], ["another long text"]])
    run.map_shards(keep_long, run.document_tasks())
    assert len(document_shards(run.folder)) == 2
    (tmp_path / "toy/commits/000001.json").unlink()
    with pytest.raises(DamageError, match=r"commits/000001\.json: damaged: it is missing; run toy again"):
        document_shards(run.folder)


def test_a_lost_document_is_noticed(tmp_path: Path) -> None:
    run = context(tmp_path, [["lose", "long enough"], ["long enough"]])
    commits = run.map_shards(keep_long, run.document_tasks())
    assert [(c.shard, c.documents_in, c.kept, c.errors) for c in commits] == [("000000", 2, 1, 1), ("000001", 1, 1, 0)]
    (error,) = (tmp_path / "toy/errors/000000.jsonl").read_text().splitlines()
    assert "1 documents went in, 0 are accounted for" in error
    assert '"place":"toy0:0"' in error


@pytest.mark.parametrize("word", ["boom", "bad", "die"])
def test_one_bad_shard_never_kills_a_run(tmp_path: Path, word: str) -> None:
    engine = LocalEngine(2)
    try:
        run = context(tmp_path, [["long enough"], [word, "long enough"], ["also long enough"]], engine)
        commits = run.map_shards(keep_long, run.document_tasks())
    finally:
        engine.close()
    assert [(c.shard, c.kept, c.errors) for c in commits] == [("000000", 1, 0), ("000001", 1, 1), ("000002", 1, 0)]
    assert run.failures == []
    assert not (tmp_path / "toy/bisection").exists()
    assert not any("partial" in name for name in tree(tmp_path / "toy"))


def test_a_run_of_failures_fails(tmp_path: Path) -> None:
    run = context(tmp_path, [["bad"] * 100])
    with pytest.raises(RunError, match="every shard failed"):
        run.map_shards(keep_long, run.document_tasks())
    assert (tmp_path / "toy/quarantine/000000.json").exists()


def test_engines_and_worker_counts_give_the_same_bytes(tmp_path: Path) -> None:
    shards = [[f"text {i} " + "x" * (i % 9) for i in range(n)] for n in (3, 50, 7, 1)]
    trees = []
    for name, engine in (("one", InProcessEngine()), ("two", LocalEngine(2)), ("three", LocalEngine(3))):
        run = context(tmp_path / name, shards, engine)
        run.map_shards(keep_long, run.document_tasks())
        engine.close()
        trees.append(tree(tmp_path / name / "toy"))
    assert trees[0] == trees[1] == trees[2]
    assert len(trees[0]) == 4 * 4


def test_shards_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    run = context(tmp_path, [["long enough"], ["long enough too"]])
    run.map_shards(keep_long, run.document_tasks())
    run.map_shards(keep_long, run.document_tasks()[:1])
    assert [c.shard for c in read_commits(run.folder)] == ["000000"]
    assert not (tmp_path / "toy/documents/000001.parquet").exists()


def test_an_empty_shard_is_a_shard(tmp_path: Path) -> None:
    run = context(tmp_path, [["x"], ["long enough"]])
    run.map_shards(keep_long, run.document_tasks())
    again = StageContext("again", Folder(tmp_path / "again"), ToySettings(), 1, InProcessEngine())
    again.inputs = document_shards(run.folder)
    commits = again.map_shards(keep_long, again.document_tasks())
    assert [c.documents_in for c in commits] == [0, 1]
    assert read_commit(again.folder, "000000") is not None


def test_dropped_share_is_a_deterministic_sample(tmp_path: Path) -> None:
    run = context(tmp_path, [["x"] * 400])
    run.dropped_share = 0.25
    run.map_shards(keep_long, run.document_tasks())
    rows = pq.read_metadata(tmp_path / "toy/dropped/000000.parquet").num_rows
    assert 60 < rows < 140
    assert pq.read_metadata(tmp_path / "toy/ledger/000000.parquet").num_rows == 400


def test_batches_keep_their_bounds() -> None:
    batch = make_documents(["a"] * (BATCH_ROWS + 3) + ["b" * (20 << 20)] * 3, "toy")
    parts = list(split_batch(batch))
    assert [p.num_rows for p in parts] == [BATCH_ROWS, 4, 1, 1]
    assert pa.Table.from_batches(parts).equals(pa.Table.from_batches([batch]))


def test_names_cannot_leave_their_folder(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    for name in ("../x", "a/../../x", "/etc/passwd", "."):
        with pytest.raises(ValueError):
            folder.path(name)


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = Folder(tmp_path)

    def fail() -> None:
        with folder.open_write("a/b.bin") as file:
            file.write(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list(tmp_path.rglob("*.bin*")) == []
    with folder.open_write("a/b.bin") as file:
        file.write(b"whole")
        assert not folder.exists("a/b.bin")
    assert folder.read_bytes("a/b.bin") == b"whole"
