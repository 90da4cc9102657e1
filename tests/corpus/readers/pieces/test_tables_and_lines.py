"""Lines, row groups and batches in pieces: the same rows, numbers and errors as the whole file."""

from __future__ import annotations

import io
import itertools
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

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
