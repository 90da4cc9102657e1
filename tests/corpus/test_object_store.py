"""A stage directory on an object store: the same contract through fsspec (its in-memory store stands in for one)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from autoclave.corpus.commits import is_done, read_commit
from autoclave.corpus.output import ShardOutput, Verdicts
from autoclave.corpus.schema import make_documents, read_documents
from autoclave.corpus.storage import Folder
from autoclave.errors import InputError


@pytest.fixture
def folder() -> Iterator[Folder]:
    one = Folder(f"memory://{uuid.uuid4().hex}/stage")
    yield one
    one.fs.rm(one.root, recursive=True) if one.fs.exists(one.root) else None


def batch(rows: int) -> pa.RecordBatch:
    return make_documents([f"text {i}" for i in range(rows)], "s")


def test_a_shard_is_written_and_read_back(folder: Folder) -> None:
    documents = batch(5)
    kept = np.array([True, False, True, True, False])
    names = [None if k else "toy" for k in kept]
    with ShardOutput(folder, "toy", "000000") as output:
        output.write(documents, Verdicts(kept, names, names))
        commit = output.commit("print", [])
    assert is_done(folder, read_commit(folder, "000000"), "print")
    assert not is_done(folder, commit, "other")
    read = pa.Table.from_batches(read_documents(folder.path("documents/000000.parquet")))
    assert read.column("text").to_pylist() == ["text 0", "text 2", "text 3"]
    assert folder.files("commits/*.json") == ["commits/000000.json"]
    assert folder.files("nothing/*.json") == []


def test_a_failed_write_leaves_nothing(folder: Folder) -> None:
    def fail() -> None:
        with folder.open_write("a/b.bin") as file:
            file.write(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not folder.exists("a/b.bin")
    with ShardOutput(folder, "toy", "000001") as output:
        output.expect(3)
        output.write(batch(2), Verdicts.keep_all(2))
        with pytest.raises(Exception, match="3 documents went in, 2 are accounted for"):
            output.commit("print", [])
    assert read_commit(folder, "000001") is None
    assert not folder.exists("documents/000001.parquet")


def test_a_missing_file_is_said_so(folder: Folder) -> None:
    with pytest.raises(InputError, match="no such file"):
        folder.open_read("documents/000009.parquet")
    assert folder.size("documents/000009.parquet") is None
