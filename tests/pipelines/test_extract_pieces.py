"""One large file in several shards: the same documents, ids and errors as in one, whatever the workers and kills."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from pathlib import Path
from typing import Any

import fsspec
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from autoclave.corpus.commits import read_commit
from autoclave.corpus.inputs.account import count_inputs, read_account
from autoclave.corpus.storage import Folder
from autoclave.pipelines.extract import ExtractSettings, run_extract
from autoclave.pipelines.running.engine import Engine, InProcessEngine, LocalEngine
from autoclave.pipelines.running.stage import StageContext

WORDS = ["some", "words", "that", "make", "up", "a", "text", "of", "a", "document", "which", "nobody", "will", "read"]
TEXTS = [" ".join(random.Random(n).choices(WORDS, k=40)) for n in range(60)]


def extract(out: Path, source: Path | str, engine: Engine | None = None, **settings: Any) -> StageContext[Any]:
    context = StageContext(
        name="extract", folder=Folder(out), settings=ExtractSettings(**settings), seed=0,
        engine=engine or InProcessEngine(), sources=[str(source)],
    )  # fmt: skip
    run_extract(context)
    return context


def results(out: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, str]]]:
    """Documents, ledger and errors of a stage, by file and place in it."""
    documents, ledger = (
        [row for path in sorted((out / part).glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
        for part in ("documents", "ledger")
    )
    lines = [line for path in sorted((out / "errors").glob("*.jsonl")) for line in path.read_text().splitlines()]
    documents.sort(key=lambda row: row["source"])
    ledger.sort(key=lambda row: row["doc_id"])
    return (
        documents,
        ledger,
        sorted((json.loads(line) for line in lines), key=lambda error: error["place"].split(":")[0]),
    )


def record(content: bytes) -> bytes:
    head = b"WARC/1.0\r\nWARC-Type: conversion\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(content)
    return head + content + b"\r\n\r\n"


def stored(data: bytes) -> bytes:
    packer = zlib.compressobj(0, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


def files(folder: Path) -> list[str]:
    folder.mkdir()
    members = [gzip.compress(record(text.encode()), mtime=0) for text in TEXTS]
    damaged = bytearray(members[30])
    damaged[40] ^= 0xFF
    (folder / "a.warc.gz").write_bytes(b"".join([*members[:30], bytes(damaged), *members[31:]]))
    inner = b"".join(members)
    (folder / "b.warc.gz").write_bytes(members[0] + stored(record(b"text " + inner)) + b"".join(members[1:9]))
    pairs = [record(TEXTS[n].encode()) + record(TEXTS[n + 1].encode()) for n in range(0, 60, 2)]
    (folder / "c.warc.gz").write_bytes(b"".join(gzip.compress(pair, mtime=0) for pair in pairs))
    lines = [json.dumps({"text": text, "n": n}) for n, text in enumerate(TEXTS)]
    lines[17:17] = ["", "no json", "[]"]
    (folder / "d.jsonl").write_text("\r\n".join(lines))
    table = pa.table({"text": [None if n == 33 else text for n, text in enumerate(TEXTS)], "n": list(range(60))})
    pq.write_table(table, folder / "e.parquet", row_group_size=4)
    with pa.ipc.new_file(folder / "f.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=4)
    (folder / "g.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    return sorted(path.name for path in folder.iterdir())


def test_pieces_give_what_the_file_gives(tmp_path: Path) -> None:
    names = files(tmp_path / "in")
    extract(tmp_path / "whole", tmp_path / "in", split_bytes=0)
    context = extract(tmp_path / "split", tmp_path / "in", split_bytes=1500)
    assert results(tmp_path / "split") == results(tmp_path / "whole")
    rows = {row.source: row for row in read_account(context.folder)}
    assert sorted(rows) == names
    assert {name: len(row.shards) for name, row in rows.items() if len(row.shards) < 3} == {"g.jsonl.gz": 1}
    assert "compressed JSONL" in (rows["g.jsonl.gz"].whole or "")
    assert [shard for row in rows.values() for shard in row.shards] == [f"{n:06d}" for n in range(len(context.commits))]
    counts = count_inputs(context.folder)
    assert counts is not None
    assert (counts.found, counts.read, counts.split, sum(counts.whole.values())) == (7, 7, 6, 1)
    assert sum(commit.errors for commit in context.commits) == len(results(tmp_path / "whole")[2])


def test_bytes_do_not_depend_on_workers_or_kills(tmp_path: Path) -> None:
    files(tmp_path / "in")
    one, two = tmp_path / "one", tmp_path / "two"
    extract(one, tmp_path / "in", split_bytes=2000)
    engine = LocalEngine(2)
    try:
        extract(two, tmp_path / "in", engine, split_bytes=2000)
    finally:
        engine.close()
    written = {
        path.relative_to(one): path.read_bytes() for path in one.rglob("*") if path.suffix in (".parquet", ".jsonl")
    }
    assert len(written) > 60
    assert all((two / name).read_bytes() == content for name, content in written.items())
    for number in range(3, 30, 5):  # as a kill leaves it
        (two / f"commits/{number:06d}.json").unlink(missing_ok=True)
        (two / f"documents/{number:06d}.parquet").unlink(missing_ok=True)
    extract(two, tmp_path / "in", split_bytes=2000)
    assert all((two / name).read_bytes() == content for name, content in written.items())


def test_what_stands_is_not_read_again(tmp_path: Path) -> None:
    lines = [json.dumps({"text": text}) for text in TEXTS]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    extract(tmp_path / "out", tmp_path / "a.jsonl", split_bytes=3000)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.json")}
    extract(tmp_path / "out", tmp_path / "a.jsonl", split_bytes=3000)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.json")} == before
    extract(tmp_path / "out", tmp_path / "a.jsonl", split_bytes=0)
    assert [path.name for path in (tmp_path / "out/documents").iterdir()] == ["000000.parquet"]


def test_the_facts_of_a_piece_are_in_its_commit_and_add_up_nowhere(tmp_path: Path) -> None:
    members = [gzip.compress(record(text.encode()), mtime=0) for text in TEXTS]
    (tmp_path / "a.warc.gz").write_bytes(b"".join(members))
    size = sum(map(len, members))
    context = extract(tmp_path / "out", tmp_path / "a.warc.gz", split_bytes=size // 2)
    notes = [commit.notes for commit in context.commits]
    assert notes[0]["stopped"] == notes[1]["began"] >= size // 3
    assert sum(note["length"] for note in notes) == sum(len(record(text.encode())) for text in TEXTS)
    assert all("began" not in commit.counts for commit in context.commits)


def test_a_piece_that_fails_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from autoclave.pipelines import extract as stage

    read = stage.PieceReader

    class Failing(read):  # type: ignore[valid-type,misc]
        def __iter__(self) -> Any:
            if self._piece.start > 0 and self._piece.first is None and self._piece.end < 5000:
                raise AssertionError("a fault of ours")
            return super().__iter__()

    members = [gzip.compress(record(text.encode()), mtime=0) for text in TEXTS]
    (tmp_path / "a.warc.gz").write_bytes(b"".join(members))
    monkeypatch.setattr(stage, "PieceReader", Failing)
    context = extract(tmp_path / "out", tmp_path / "a.warc.gz", split_bytes=2500)
    assert {failure.shard for failure in context.failures} == {"000001"}
    assert len(context.commits) == len(list((tmp_path / "out/documents").iterdir())) > 2
    monkeypatch.undo()
    extract(tmp_path / "out", tmp_path / "a.warc.gz", split_bytes=2500)
    assert [row["text"] for row in results(tmp_path / "out")[0]] == TEXTS


def test_pieces_of_a_file_on_an_object_store(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    lines = [json.dumps({"text": text}) for text in TEXTS]
    memory.pipe("/pieces/a.jsonl", "\n".join(lines).encode())
    context = extract(tmp_path / "out", "memory://pieces/", split_bytes=3000)
    assert len(context.commits) > 2
    assert [row["text"] for row in results(tmp_path / "out")[0]] == TEXTS
    assert [row["offset"] for row in results(tmp_path / "out")[0]] == list(range(60))
    commit = read_commit(context.folder, "000001")
    assert commit is not None
    assert msgspec.structs.asdict(commit)["inputs"] == ["memory:///pieces/a.jsonl"]


def test_the_setting_is_checked() -> None:
    with pytest.raises(ValueError, match="split_bytes"):
        ExtractSettings(split_bytes=-1)
