"""Arrow files and streams: the same rows that pyarrow and datasets read; damage costs what it touches."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from autoclave.corpus.readers.detect import detect_format, read_raw
from autoclave.corpus.readers.tables.arrow import batch_rows, read_arrow

Rows = list[dict[str, Any]]
Errors = list[tuple[str, str]]
TABLE = pa.table(
    {
        "text": pa.array([f"document {n} \u4e2d" if n % 7 else None for n in range(100)]),
        "n": list(range(100)),
        "kind": pa.array(["a", "b"] * 50).dictionary_encode(),
    }
)


def written(table: pa.Table, *, stream: bool, rows: int = 30, **options: Any) -> bytes:
    sink = io.BytesIO()
    new = pa.ipc.new_stream if stream else pa.ipc.new_file
    with new(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        for batch in table.to_batches(max_chunksize=rows):
            writer.write_batch(batch)
    return sink.getvalue()


def read(data: bytes | Path, **options: Any) -> tuple[Rows, Errors]:
    errors: Errors = []
    file = io.BytesIO(data) if isinstance(data, bytes) else str(data)
    found = read_arrow(file, "s", lambda *e: errors.append(e), **options)
    return [row for batch in found for row in batch.to_pylist()], errors


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
@pytest.mark.parametrize("mapped", [True, False])
def test_rows_are_those_of_the_table(tmp_path: Path, stream: bool, compression: str | None, mapped: bool) -> None:
    data = written(TABLE, stream=stream, compression=compression)
    (tmp_path / "a.arrow").write_bytes(data)
    rows, errors = read(tmp_path / "a.arrow" if mapped else data)
    expected = [(n, text) for n, text in enumerate(TABLE.column("text").to_pylist()) if text]
    assert [(row["offset"], row["text"]) for row in rows] == expected
    assert [dict(row["metadata"]) for row in rows] == [{"n": str(n), "kind": "ab"[n % 2]} for n, _ in expected]
    assert errors == [(f"s:{n}", "no text in column 'text'") for n in range(0, 100, 7)]
    assert detect_format(data[:4096], "x") == "arrow"


def test_a_dataset_saved_to_disk(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="the peer that writes such folders")
    saved = datasets.Dataset.from_dict({"text": [f"row {n}" for n in range(2500)], "url": ["http://x.example/"] * 2500})
    saved.save_to_disk(str(tmp_path / "saved"), num_shards=3)
    rows = []
    for path in sorted((tmp_path / "saved").glob("data-*.arrow")):
        for batch in read_raw(str(path), path.name, lambda *e: pytest.fail(str(e))):
            rows += batch.to_pylist()
    assert [row["text"] for row in rows] == datasets.load_from_disk(str(tmp_path / "saved"))["text"]
    assert {row["host"] for row in rows} == {"x.example"}


def test_batches_of_a_file_can_be_chosen() -> None:
    data = written(TABLE, stream=False)
    counts = batch_rows(io.BytesIO(data))
    assert counts == [30, 30, 30, 10]
    whole, errors = read(data)
    parts, seen = [], []
    for number in range(4):
        rows, found = read(data, batches=range(number, number + 1), first=sum(counts[:number]))
        parts += rows
        seen += found
    assert (parts, seen) == (whole, errors)


class Counting(io.BytesIO):
    """A file that knows how many bytes were read of it."""

    taken = 0

    def read(self, count: int | None = -1) -> bytes:
        data = super().read(count)
        self.taken += len(data)
        return data


def test_rows_are_counted_without_reading_texts() -> None:
    file = Counting(written(pa.table({"text": ["x" * 10_000] * 300, "n": [1] * 300}), stream=False))
    assert batch_rows(file) == [30] * 10
    assert file.taken < 20_000


def test_damage_costs_its_column_or_its_batch() -> None:
    for stream in (True, False):
        data = bytearray(written(TABLE, stream=stream, rows=25))
        at = data.index("document 26 \u4e2d".encode())  # the second batch; before its texts come their offsets
        data[at - 100 : at - 96] = b"\xff\xff\xff\x7f"
        rows, errors = read(bytes(data))
        assert [row["offset"] for row in rows] == [n for n in range(100) if n % 7 and not 25 <= n < 50]
        assert errors[4][0] == "s:25"
        assert "column 'text' is left out of a batch of 25 rows" in errors[4][1]
    whole = written(TABLE, stream=True, rows=25)
    rows, errors = read(whole[: len(whole) // 2])
    assert 0 < len(rows) < 86
    assert "the rest is left out" in errors[-1][1]
    assert read(b"ARROW1\0\0nothing")[1][0][1].startswith("not a readable Arrow file")
    assert "set fields.text" in read(written(pa.table({"x": [1]}), stream=True))[1][0][1]


def test_strings_that_are_not_utf8_stay() -> None:
    table = pa.table({"text": pa.array([b"a\xffb", b"ok"]).view(pa.string())})
    assert [row["text"] for row in read(written(table, stream=True))[0]] == ["a\ufffdb", "ok"]
