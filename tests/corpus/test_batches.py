"""Batches by bytes: what rows weigh, cutting and joining, Parquet read and written in pieces that keep to it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from autoclave.corpus import batches, output
from autoclave.corpus.batches import joined, open_parquet, row_bytes, row_group_batches, split_batch
from autoclave.corpus.output import ShardOutput, Verdicts
from autoclave.corpus.schema import make_documents, read_documents
from autoclave.corpus.storage import Folder


def parquet(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def words(rows: int, size: int) -> list[str]:
    letters = np.random.default_rng(1).integers(97, 123, (rows, size), np.uint8)
    return [row.tobytes().decode() for row in letters]


def test_row_bytes() -> None:
    array = pa.array([{"a": ["x", "yyy"], "b": "z"}, None, {"a": None, "b": ""}, {"a": [], "b": "four"}])
    assert row_bytes(array).tolist() == [5, 0, 0, 4]
    entries = pa.array([[("k", "v"), ("kk", None)], None, []], pa.map_(pa.string(), pa.string()))
    assert row_bytes(entries).tolist() == [4, 0, 0]
    assert row_bytes(entries.slice(1)).tolist() == [0, 0]
    assert row_bytes(pa.array(["a", "bb", None, "a"]).dictionary_encode()).tolist() == [1, 2, 0, 1]
    assert row_bytes(pa.array([1, None], pa.int32())).sum() >= 8


def test_batches_follow_bytes_not_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BATCH_BYTES", 1 << 20)
    table = pa.table({"text": words(60, 200_000), "n": range(60)})
    for options in ({}, {"use_dictionary": False}, {"use_dictionary": False, "data_page_size": 1 << 30}):
        parquet_file = open_parquet(io.BytesIO(parquet(table, **options)))
        pieces = list(row_group_batches(parquet_file, 0))
        assert pa.Table.from_batches(pieces).equals(table)
        assert max(piece.nbytes for piece in pieces) <= 1.2 * (1 << 20)
        together = list(joined(iter(pieces)))
        assert pa.Table.from_batches(together).equals(table)
        assert max(piece.nbytes for piece in together) <= 1.2 * (1 << 20)
        assert len(together) <= 15
    mixed = pa.RecordBatch.from_pydict({"text": ["a" * n for n in (10, 2 << 20, 10, 10, 900_000, 200_000)]})
    assert [part.num_rows for part in split_batch(mixed)] == [1, 1, 3, 1]


def test_documents_are_written_and_read_by_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BATCH_BYTES", 1 << 20)
    monkeypatch.setattr(output, "BATCH_BYTES", 1 << 20)
    texts = words(40, 300_000)
    with ShardOutput(Folder(tmp_path), "toy", "000000") as shard:
        for start in range(0, 40, 10):  # batches that are larger than a row group may be
            batch = make_documents(texts[start : start + 10], "s", offset=range(start, start + 10))
            shard.write(batch, Verdicts.keep_all(10))
        shard.commit("f", [])
    path = str(tmp_path / "documents/000000.parquet")
    metadata = pq.read_metadata(path)
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    assert max(group.total_byte_size for group in groups) < 1.1 * (1 << 20)
    assert len(groups) <= 16
    columns = {group.column(n).path_in_schema: group.column(n) for group in groups for n in range(group.num_columns)}
    assert not columns["text"].has_dictionary_page  # a reader would hold the texts of a row group, twice
    assert columns["source"].has_dictionary_page
    found = list(read_documents(path))
    assert [text for batch in found for text in batch.column("text").to_pylist()] == texts
    assert max(batch.nbytes for batch in found) < 1.1 * (1 << 20)


def test_small_pieces_are_joined(tmp_path: Path) -> None:
    """Texts stored as a dictionary are read a few at a time, small row groups by themselves: one batch comes out."""
    batch = make_documents([f"{n} " * 2000 for n in range(300)], "s")
    path = tmp_path / "documents.parquet"
    pq.write_table(pa.Table.from_batches([batch]), path, row_group_size=7)
    assert [found.num_rows for found in read_documents(str(path))] == [300]
    assert next(read_documents(str(path))).equals(batch)
    assert [found.column_names for found in read_documents(str(path), ["text"])] == [["text"]]
