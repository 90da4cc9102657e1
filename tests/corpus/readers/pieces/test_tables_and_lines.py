"""Lines, row groups and batches in pieces: the same rows, numbers and errors as the whole file."""

from __future__ import annotations

import io
import itertools
import json
import random
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.spec import AbstractBufferedFile

from autoclave.corpus.inputs.splitting import plan_pieces
from autoclave.corpus.readers.detect import read_raw
from autoclave.corpus.readers.lines import TextStream
from autoclave.corpus.readers.pieces import lines as lines_module
from autoclave.corpus.readers.pieces.lines import count_lines, line_start, whole_lines
from autoclave.corpus.readers.pieces.piece import Piece
from autoclave.corpus.readers.pieces.reading import PieceReader

Result = tuple[list[dict[str, Any]], list[tuple[str, str]]]
GOOD = [json.dumps({"text": f"line {n} \u4e2d", "n": n}).encode() for n in range(6)]
ODD = [GOOD[0], b"[1]", b"", b"no json", b'{"x": 1}', GOOD[1], b"\x1f\x8b\x08\x00 no gzip", b"\x00\x00"]
OTHERS = [GOOD[0], b"[", b"\xff\xfe\x00", b"PAR1", b"{", GOOD[1], b"\xef\xbb\xbf" + GOOD[2]]
LINES = {
    "lf": b"\n".join(GOOD) + b"\n",
    "crlf": b"\r\n".join(GOOD) + b"\r\n",
    "cr": b"\r".join(GOOD),
    "mixed": b"\n\r\r\n\n".join(GOOD[:3]) + b"\r\n\r" + GOOD[4] + b"\n\n\r",
    "mark": b"\xef\xbb\xbf" + b"\n".join(GOOD),
    "mark and nothing": b"\xef\xbb\xbf\n" + b"\n".join(GOOD[:2]),
    "errors": b"\n".join(ODD),
    "what looks like other files": b"\n".join(OTHERS),
    "spread in the middle": GOOD[0] + b'\n{\n"text": "a"}\n' + GOOD[1] + GOOD[2] + b"\n" + GOOD[3],
}


def whole(path: Path) -> Result:
    errors: list[tuple[str, str]] = []
    batches = read_raw(str(path), "s", lambda *e: errors.append(e))
    return [row for batch in batches for row in batch.to_pylist()], errors


def in_pieces(path: Path, pieces: list[Piece]) -> Result:
    errors: list[tuple[str, str]] = []
    rows = []
    for piece in pieces:
        for batch in PieceReader(str(path), "s", piece, lambda *e: errors.append(e)):
            rows += batch.to_pylist()
    return rows, errors


def line_pieces(data: bytes, bounds: list[int]) -> list[Piece]:
    pieces, first = [], 0
    for start, end in itertools.pairwise(bounds):
        pieces.append(Piece(kind="jsonl", start=start, end=end, first=first))
        first += count_lines(io.BytesIO(data), start, end)
    return pieces


@pytest.mark.parametrize("name", list(LINES))
def test_lines_cut_anywhere(tmp_path: Path, name: str) -> None:
    data = LINES[name]
    path = tmp_path / "a.jsonl"
    path.write_bytes(data)
    expected = whole(path)
    assert expected[0]
    for at in range(1, len(data)):
        assert in_pieces(path, line_pieces(data, [0, at, len(data)])) == expected, at
    for size in [1, 2, 3, *range(5, 60, 4)]:
        bounds = [*range(0, len(data), size), len(data)]
        assert in_pieces(path, line_pieces(data, bounds)) == expected, size


@pytest.mark.parametrize("block", [1, 2, 3, 1 << 20])
def test_lines_are_counted_as_they_are_read(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(lines_module, "BLOCK_BYTES", block)
    monkeypatch.setattr(lines_module, "EDGE_BYTES", block)
    for number in range(300):
        rng = random.Random(number)
        data = b"".join(rng.choice([b"a", b"\n", b"\r", b"\r\n", b"bb"]) for _ in range(rng.randrange(1, 30)))
        stream, starts, at = TextStream(io.BytesIO(data)), [0], 0
        while line := stream.readline(1 << 20):
            at += len(line)
            starts.append(at)
        for start in range(len(data)):
            assert line_start(io.BytesIO(data), start) == next(found for found in starts if found >= start)
            end = rng.randrange(start, len(data) + 1)
            assert count_lines(io.BytesIO(data), start, end) == sum(start <= one < end for one in starts[:-1])


def test_a_piece_of_lines_is_its_range(tmp_path: Path) -> None:
    data = b"x" * 10 + b"\n" + b"y" * 10 + b"\n" + b"z" * 10
    assert whole_lines(io.BytesIO(data), 5, 15).read() == b"y" * 10 + b"\n"
    assert whole_lines(io.BytesIO(data), 12, 20).read() == b""
    assert whole_lines(io.BytesIO(data), 22, 33, b"--").read() == b"--" + b"z" * 10
    view = whole_lines(io.BytesIO(data), 5, 15, b"--")
    assert (view.seek(-3, 2), view.read(2), view.tell(), view.seek(1), view.read(3)) == (10, b"yy", 12, 1, b"-yy")


TABLE = pa.table(
    {
        "text": [f"document {n} \u4e2d" if n % 7 else None for n in range(100)],
        "n": list(range(100)),
        "kind": pa.array(["a", "b"] * 50).dictionary_encode(),
    }
)


@pytest.mark.parametrize("rows", [1, 7, 30])
def test_row_groups_and_batches(tmp_path: Path, rows: int) -> None:
    pq.write_table(TABLE, tmp_path / "a.parquet", row_group_size=rows)
    with pa.ipc.new_file(tmp_path / "a.arrow", TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=rows)
    number = -(-100 // rows)
    for kind in ("parquet", "arrow"):
        path = tmp_path / f"a.{kind}"
        expected = whole(path)
        assert len(expected[0]) == 85
        for at in range(number + 1):
            pieces = [
                Piece(kind=kind, start=start, end=end, first=start * rows)
                for start, end in itertools.pairwise([0, at, number])
            ]
            assert in_pieces(path, pieces) == expected


class Store(MemoryFileSystem):
    """A store whose files are fetched in blocks, as those of S3 are; it knows which bytes were asked for."""

    protocol = "counted"
    asked: ClassVar[list[tuple[int, int]]] = []

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return MemoryFileSystem._strip_protocol(path.replace("counted://", "memory://"))

    def _open(self, path: str, mode: str = "rb", block_size: int | None = None, **options: Any) -> Any:
        if mode != "rb":
            return super()._open(path, mode, **options)
        size = self.info(path)["size"]
        return _StoredFile(self, path, mode, block_size or 1 << 18, cache_type="readahead", size=size)


class _StoredFile(AbstractBufferedFile):
    def _fetch_range(self, start: int, end: int) -> bytes:
        Store.asked.append((start, min(end, self.size)))
        return Store.store[self.path].getvalue()[start:end]


@pytest.mark.parametrize("kind", ["jsonl", "warc"])
def test_of_a_store_the_range_alone_is_fetched(kind: str) -> None:
    fsspec.register_implementation("counted", Store, clobber=True)
    texts = [random.Random(n).randbytes(1000).hex() for n in range(4000)]
    record = "WARC/1.0\r\nWARC-Type: conversion\r\nContent-Length: 2000\r\n\r\n%s\r\n\r\n"
    lines = [json.dumps({"text": text}) + "\n" if kind == "jsonl" else record % text for text in texts]
    data = "".join(lines).encode()
    Store().pipe(f"/x/a.{kind}", data)
    start, end = 4_000_000, 5_000_000
    piece = Piece(kind=kind, start=start, end=end, first=7 if kind == "jsonl" else None)
    Store.asked.clear()
    reader = PieceReader(f"counted://x/a.{kind}", "s", piece, lambda *e: pytest.fail(str(e)))
    assert 480 <= sum(batch.num_rows for batch in reader) <= 500
    fetched = sum(stop - first for first, stop in Store.asked)
    assert 1_000_000 <= fetched < 2_500_000
    far = [(first, stop) for first, stop in Store.asked if stop < start - 1 or first > end + (1 << 20)]
    assert sum(stop - first for first, stop in far) <= 1 << 17
    (plan,) = plan_pieces([(f"counted://x/a.{kind}", len(data))], 1_000_000)
    assert plan is not None
    assert len(plan) == -(-len(data) // 1_000_000)
