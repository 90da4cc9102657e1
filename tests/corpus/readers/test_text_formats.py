"""JSONL, Parquet, HTML files, and telling formats apart."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from autoclave.corpus.readers.detect import detect_format, format_of_name, read_raw
from autoclave.corpus.readers.html import read_html
from autoclave.corpus.readers.jsonl import FieldMap, read_jsonl
from autoclave.corpus.readers.parquet import read_parquet
from autoclave.corpus.readers.raw import parse_content_type, parse_date
from autoclave.corpus.schema import make_doc_id

COMPRESS = {"plain": bytes, "gz": gzip.compress, "zst": zstandard.compress}


def read(reader: Any, data: bytes, **options: Any) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    errors: list[tuple[str, str]] = []
    batches = reader(io.BytesIO(data), "s", lambda *e: errors.append(e), **options)
    return [row for batch in batches for row in batch.to_pylist()], errors


@pytest.mark.parametrize("compression", list(COMPRESS))
def test_jsonl(compression: str) -> None:
    lines = [
        {"text": "one \u4e2d", "id": "a", "url": "http://H.example:80/x", "timestamp": "2020-01-02T00:00:00Z", "n": 3},
        {"content": "two", "meta": {"k": [1, 2], "z": None}, "language": "zh", "date": 1577923200},
    ]
    data = b"\xef\xbb\xbf" + "\n\n".join(json.dumps(line) for line in lines).encode()
    rows, errors = read(read_jsonl, COMPRESS[compression](data))
    assert not errors
    assert [row["text"] for row in rows] == ["one \u4e2d", "two"]
    assert [row["offset"] for row in rows] == [0, 2]
    assert rows[0]["doc_id"] == make_doc_id("s", 0)
    assert (rows[0]["host"], dict(rows[0]["metadata"])) == ("h.example", {"id": "a", "n": "3"})
    assert rows[0]["crawled_at"] == rows[1]["crawled_at"]
    assert (rows[1]["language"], dict(rows[1]["metadata"])) == ("zh", {"k": "[1,2]"})


def test_bad_lines_are_reported_by_number() -> None:
    data = (
        b'{"text": "a"}\nnot json\n[1]\n{"no": 1}\n{"text": 5}\n{"text": "b \\ud800 c", "x": NaN}\n{"text": "\xff"}\n'
    )
    rows, errors = read(read_jsonl, data)
    assert [row["text"] for row in rows] == ["a", "b \ufffd c", "\ufffd"]
    assert [place for place, _ in errors] == ["s:2", "s:3", "s:4", "s:5"]
    assert "set fields.text" in errors[2][1]


def test_fields_are_renamed() -> None:
    data = b'{"body": "a", "text": "not this", "link": "http://x.example/"}\n'
    rows, errors = read(read_jsonl, data, fields={"text": "body", "url": "link"})
    assert not errors
    assert (rows[0]["text"], rows[0]["url"], dict(rows[0]["metadata"])) == (
        "a",
        "http://x.example/",
        {"text": "not this"},
    )
    with pytest.raises(ValueError, match="bodies"):
        FieldMap({"bodies": "x"})


@pytest.mark.parametrize("compression", ["gz", "zst"])
def test_truncated_compressed_jsonl(compression: str) -> None:
    lines = [json.dumps({"text": f"{n} {n * 7919 % 1000}"}) for n in range(3000)]
    data = COMPRESS[compression]("\n".join(lines).encode())
    rows, errors = read(read_jsonl, data[: len(data) // 2])
    assert len(errors) == 1
    assert [row["text"] for row in rows] == [json.loads(line)["text"] for line in lines[: len(rows)]]
    assert compression == "zst" or len(rows) > 500


def parquet(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def test_parquet() -> None:
    table = pa.table(
        {
            "text": pa.array(["a", None, "c", "d"], pa.large_string()),
            "url": ["http://x.example/", None, "bad url [", None],
            "timestamp": pa.array([1577923200, None, None, 1], pa.timestamp("s")),
            "score": [0.5, 1.0, None, 2.0],
            "metadata": pa.array([[("k", "v")], None, [], None], pa.map_(pa.string(), pa.string())),
        }
    )
    rows, errors = read(read_parquet, parquet(table, row_group_size=2))
    assert [(row["text"], row["offset"]) for row in rows] == [("a", 0), ("c", 2), ("d", 3)]
    assert errors == [("s:1", "no text in column 'text'")]
    assert dict(rows[0]["metadata"]) == {"k": "v", "score": "0.5"}
    assert rows[0]["crawled_at"].year == 2020


def test_a_damaged_row_group_costs_itself() -> None:
    table = pa.table({"text": [f"document {n} {'x' * (n % 50)}" for n in range(900)]})
    data = bytearray(parquet(table, row_group_size=300, compression="zstd", use_dictionary=False))
    metadata = pq.ParquetFile(io.BytesIO(bytes(data))).metadata
    at = metadata.row_group(1).column(0).data_page_offset
    data[at + 40 : at + 90] = bytes(50)
    rows, errors = read(read_parquet, bytes(data))
    offsets = [row["offset"] for row in rows]
    assert [n for n in offsets if n < 300] == list(range(300))
    assert [n for n in offsets if n >= 600] == list(range(600, 900))
    assert len(errors) == 1
    assert "row group 1" in errors[0][1]


def test_unusable_parquet() -> None:
    assert "not a readable Parquet file" in read(read_parquet, b"PAR1 nothing")[1][0][1]
    assert "set fields.text" in read(read_parquet, parquet(pa.table({"x": [1]})))[1][0][1]


def test_html_file() -> None:
    rows, errors = read(read_html, gzip.compress(b"<html>x</html>"))
    assert not errors
    assert (rows[0]["payload"], rows[0]["offset"], rows[0]["content_type"]) == (b"<html>x</html>", 0, "text/html")
    assert read(read_html, b"")[0][0]["payload"] == b""
    rows, _ = read(read_html, b"x" * 1000, max_payload_bytes=100)
    assert (rows[0]["payload"], rows[0]["payload_bytes"]) == (None, 1000)


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.warc", "warc"), ("a.warc.gz", "warc"), ("a.warc.wet.gz", "warc"), ("a.arc.gz", "warc"),
        ("a.JSONL", "jsonl"), ("a.json.gz", "jsonl"), ("a.parquet", "parquet"), ("a.htm", "html"), ("a.txt", "text"),
        ("a.warc.zst", "warc"), ("a.bin", None), ("README.md", None),
    ],
)  # fmt: skip
def test_format_of_name(name: str, form: str | None) -> None:
    assert format_of_name(name) == form


def test_content_decides_before_the_name() -> None:
    warc = b"WARC/1.0\r\nWARC-Type: warcinfo\r\n"
    assert detect_format(gzip.compress(warc), "x.bin") == "warc"
    assert detect_format(zstandard.compress(warc), "part-0000.json.gz") == "warc"
    assert detect_format(b' {"text": 1}', "x.unknown") == "jsonl"
    assert detect_format(b"<!DOCTYPE html>", "page") == "html"
    assert detect_format(b"PAR1", "x.jsonl") == "parquet"
    assert detect_format(b"plain words", "x.txt") == "text"
    assert detect_format(b"plain words", "x") is None
    assert detect_format(b"{ this is prose", "x.txt") == "text"


def test_a_file_of_unknown_format_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"\x00\x01")
    errors: list[tuple[str, str]] = []
    assert list(read_raw(str(tmp_path / "x.bin"), "x.bin", lambda *e: errors.append(e))) == []
    assert [place for place, _ in errors] == ["x.bin"]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2020-01-02T03:04:05Z", 1577934245), ("2020-01-02T03:04:05.999Z", 1577934245), ("20200102030405", 1577934245),
        ("2020-01-02T03:04:05+02:00", 1577927045), ("2020-01-02", 1577923200), ("2009-03-65T08:43:19-0800", None),
        ("", None), (None, None), ("yesterday", None), ("2020-01-02 03:04:60", 1577934299),
    ],
)  # fmt: skip
def test_dates(value: str | None, seconds: int | None) -> None:
    assert parse_date(value) == seconds


def test_content_types() -> None:
    assert parse_content_type('Text/HTML ; Charset="GBK"; x=y') == ("text/html", "gbk")
    assert parse_content_type("") == (None, None)
    assert parse_content_type(";charset=") == (None, None)
