"""Which files are split, into what, and why others are not."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import random
import zipfile
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from autoclave.corpus.inputs.splitting import cut, plan_pieces
from autoclave.corpus.readers.pieces.piece import Piece

RECORD = b"WARC/1.0\r\nWARC-Type: conversion\r\nContent-Length: 11\r\n\r\nhello world\r\n\r\n"
LINES = "".join(json.dumps({"text": f"line {n}"}) + "\n" for n in range(400)).encode()
TABLE = pa.table({"text": [random.Random(n).randbytes(20).hex() for n in range(400)], "n": list(range(400))})
ARC = b"filedesc://x 0.0.0.0 20200101000000 text/plain 3\nabc\n" * 90


def arrow(*, stream: bool, rows: int = 50) -> bytes:
    sink = io.BytesIO()
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(sink, TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=rows)
    return sink.getvalue()


def parquet(rows: int = 50, table: pa.Table = TABLE) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=rows)
    return sink.getvalue()


def wacz() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("archive/a.warc", RECORD * 60)
    return sink.getvalue()


SPLIT = {
    "a.warc.gz": gzip.compress(RECORD) * 60,
    "a.warc": RECORD * 60,
    "a.warc.zst": zstandard.compress(RECORD) * 60,
    "a.jsonl": LINES,
    "unnamed": LINES,
    "a.parquet": parquet(),
    "a.arrow": arrow(stream=False),
}
WHOLE = {
    "one.warc.gz": (gzip.compress(RECORD * 60 + random.Random(1).randbytes(4000)), "share one gzip member"),
    "one.warc.zst": (zstandard.compress(RECORD * 60 + random.Random(1).randbytes(4000)), "share one gzip member"),
    "b.warc.bz2": (bz2.compress(RECORD * 60 + random.Random(1).randbytes(4000)), "bzip2"),
    "b.arc": (ARC, "ARC"),
    "b.arc.gz": (gzip.compress(ARC + random.Random(1).randbytes(4000)), "ARC"),
    "b.jsonl.gz": (gzip.compress(LINES + random.Random(1).randbytes(4000)), "compressed JSONL"),
    "b.jsonl": (LINES.decode().encode("utf-16"), "UTF-16"),
    "array.json": (b"[" + b",".join(LINES.splitlines()) + b"]", "arrays"),
    "b.parquet": (parquet(400), "one row group"),
    "c.parquet": (parquet(50, pa.table({"x": list(range(4000))})), "no column of text"),
    "d.parquet": (b"PAR1" + bytes(4000), "footer"),
    "b.arrow": (arrow(stream=True), "stream"),
    "c.arrow": (arrow(stream=False, rows=400), "one batch"),
    "d.arrow": (b"ARROW1" + bytes(4000), "footer"),
    "b.wacz": (wacz(), "WACZ"),
}


@pytest.mark.parametrize("name", list(SPLIT))
def test_large_files_are_split(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(SPLIT[name])
    size = len(SPLIT[name])
    (plan,) = plan_pieces([(str(path), size)], size // 4 + 1)
    assert plan is not None
    assert not isinstance(plan, str)
    assert len(plan) == 4
    assert plan[0].start == 0
    assert [piece.start for piece in plan[1:]] == [piece.end for piece in plan[:-1]]
    if plan[0].kind in ("warc", "jsonl"):
        assert plan[-1].end == size
    assert plan_pieces([(str(path), size)] * 3, size // 4 + 1) == [plan] * 3
    assert plan_pieces([(str(path), size)], size) == [None]
    assert plan_pieces([(str(path), size)], 0) == [None]


@pytest.mark.parametrize("name", list(WHOLE))
def test_what_cannot_be_split_is_said_so(tmp_path: Path, name: str) -> None:
    data, cause = WHOLE[name]
    path = tmp_path / name
    path.write_bytes(data)
    (plan,) = plan_pieces([(str(path), len(data))], 1000)
    assert isinstance(plan, str)
    assert cause in plan


def test_pages_are_never_large(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_bytes(b"<html>" + b"x" * 5000)
    assert plan_pieces([(str(tmp_path / "a.html"), 5006)], 1000) == [None]


def test_files_of_an_object_store() -> None:
    fsspec.filesystem("memory").pipe("/split/a.jsonl", LINES)
    (plan,) = plan_pieces([("memory://split/a.jsonl", len(LINES))], len(LINES) // 2)
    assert plan is not None
    assert plan[0] == Piece(kind="jsonl", start=0, end=len(LINES) // 2)


def test_runs_of_about_equal_weight() -> None:
    assert cut([1] * 10, 5) == [range(2), range(2, 4), range(4, 6), range(6, 8), range(8, 10)]
    assert cut([100, 1, 1, 1], 2) == [range(1), range(1, 4)]
    assert cut([0, 0, 0], 2) == [range(3)]
    assert cut([], 3) == []
    for number in range(200):
        rng = random.Random(number)
        weights = [rng.randrange(50) for _ in range(rng.randrange(1, 30))]
        spans = cut(weights, rng.randrange(1, 40))
        assert [at for span in spans for at in span] == list(range(len(weights)))
        assert all(len(span) for span in spans)
