"""HTML files, dates and content types, and telling formats apart."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import pytest
import zstandard

from autoclave.corpus.readers.detect import detect_format, format_of_name, read_raw
from autoclave.corpus.readers.html import read_html
from autoclave.corpus.readers.raw import parse_content_type, parse_date

COMPRESS = {"plain": bytes, "gz": gzip.compress, "zst": zstandard.compress}


def read(reader: Any, data: bytes, **options: Any) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    errors: list[tuple[str, str]] = []
    batches = reader(io.BytesIO(data), "s", lambda *e: errors.append(e), **options)
    return [row for batch in batches for row in batch.to_pylist()], errors


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
