"""Which field is what: HTML in a field, fields inside objects, structs and maps."""

from __future__ import annotations

import gzip
import io
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from autoclave.corpus.readers.detect import read_raw
from autoclave.corpus.readers.fields import FieldMap
from autoclave.corpus.readers.tables.nested import lift_columns

PAGE = "<html><body><p>\u4e2d &amp; text</p></body></html>"
RECORDS: list[dict[str, Any]] = [
    {"doc": {"text": "one", "id": 1}, "meta": {"url": "http://a.example/", "k": "v"}, "page": PAGE},
    {"doc": {"text": None, "id": 2}, "meta": {"url": None, "k": None}, "page": PAGE},
    {"doc": {"text": "three", "id": 3}, "meta": None, "page": None},
]
WRITERS = ("jsonl", "parquet", "arrow")


def write(folder: Path, form: str, records: list[dict[str, Any]], schema: pa.Schema | None = None) -> Path:
    path = folder / f"a.{form}"
    if form == "jsonl":
        path.write_text("\n".join(map(json.dumps, records)))
        return path
    table = pa.Table.from_pylist(records, schema)
    if form == "parquet":
        pq.write_table(table, path)
    else:
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)
    return path


def read(path: Path, **fields: str) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    errors: list[tuple[str, str]] = []
    found = read_raw(str(path), "s", lambda *e: errors.append(e), fields=fields)
    return [row for batch in found for row in batch.to_pylist()], errors


@pytest.mark.parametrize("form", WRITERS)
def test_nested_fields_are_reached(tmp_path: Path, form: str) -> None:
    rows, errors = read(write(tmp_path, form, RECORDS), text="doc.text", url="meta.url")
    assert [(row["text"], row["url"], row["host"]) for row in rows] == [
        ("one", "http://a.example/", "a.example"),
        ("three", None, None),
    ]
    assert len(errors) == 1
    assert "'doc.text'" in errors[0][1]
    assert dict(rows[0]["metadata"]) == {"doc": '{"id":1}', "k": "v", "page": PAGE}


@pytest.mark.parametrize("form", WRITERS)
def test_html_is_a_page_and_a_text_stands_in_where_there_is_none(tmp_path: Path, form: str) -> None:
    records = [{"html_content": PAGE, "text": "short"}, {"html_content": None, "text": "plain"}]
    rows, errors = read(write(tmp_path, form, records), html="html_content")
    assert not errors
    assert [(row["payload"], row["text"], row["content_type"]) for row in rows] == [
        (PAGE.encode(), None, "text/html"),
        (None, "plain", None),
    ]
    assert rows[0]["charset"] == "utf-8"
    assert dict(rows[0]["metadata"]) == {"text": "short"}
    assert dict(rows[1]["metadata"]) == {}


@pytest.mark.parametrize("form", WRITERS)
def test_html_that_is_not_named_is_taken_where_there_is_no_text(tmp_path: Path, form: str) -> None:
    rows, errors = read(write(tmp_path, form, [{"html": PAGE, "text": "a"}, {"html": PAGE, "text": None}, {"n": 1}]))
    assert [(row["text"], row["payload"]) for row in rows] == [("a", None), (None, PAGE.encode())]
    assert dict(rows[0]["metadata"])["html"] == PAGE
    assert [place for place, _ in errors] == ["s:3" if form == "jsonl" else "s:2"]


def test_bytes_of_pages_are_not_decoded(tmp_path: Path) -> None:
    page = "<meta charset=gbk><p>\u4e2d\u6587</p>".encode("gbk")
    path = write(tmp_path, "parquet", [{"page": page}], pa.schema([("page", pa.binary())]))
    ((row,), _) = read(path, html="page")
    assert (row["payload"], row["charset"], row["payload_bytes"]) == (page, None, len(page))


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_maps_are_looked_into(tmp_path: Path, form: str) -> None:
    schema = pa.schema([("text", pa.string()), ("m", pa.map_(pa.string(), pa.string()))])
    path = write(tmp_path, form, [{"text": "a", "m": [("u", "http://x.example/")]}, {"text": "b", "m": None}], schema)
    assert [row["url"] for row in read(path, url="m.u")[0]] == ["http://x.example/", None]


def test_a_name_with_dots_is_first_a_name(tmp_path: Path) -> None:
    records = [{"a.b": "flat", "a": {"b": "deep"}}, {"a": {"b": "deep"}}, {"a": {"b.c": {"d": "x"}}}, {"a": "b"}]
    names = FieldMap({"text": "a.b"})
    assert [names.lift(record).get("a.b") for record in records] == ["flat", "deep", None, None]
    assert names.lift(records[1]) == {"a.b": "deep"}
    assert FieldMap({"text": "a.b.c.d"}).lift(records[2]) == {"a.b.c.d": "x"}
    assert read(write(tmp_path, "parquet", records[:1]), text="a.b")[0][0]["text"] == "flat"


def test_lifted_columns_agree_with_lifted_records() -> None:
    """Two ways to the same: structs of Arrow, sliced and with nulls, and objects of JSON."""
    records = [{"a": {"b": {"c": n, "d": str(n)} if n % 3 else None, "e": n} if n % 5 else None} for n in range(40)]
    table = pa.RecordBatch.from_pylist(records).slice(7, 20)
    lifted = lift_columns(table, ["a.b.c"]).to_pylist()
    assert [row["a.b.c"] for row in lifted] == [((r["a"] or {}).get("b") or {}).get("c") for r in table.to_pylist()]
    assert lifted[1]["a"] == {"b": {"d": "8"}, "e": 8}
    assert lifted[3]["a"] is None


def test_a_damaged_column_beside_a_nested_text_costs_itself(tmp_path: Path) -> None:
    table = pa.table({"doc": [{"text": f"row {n}", "noise": random.Random(n).randbytes(40).hex()} for n in range(500)]})
    pq.write_table(table, tmp_path / "a.parquet", use_dictionary=False, compression="zstd")
    data = bytearray((tmp_path / "a.parquet").read_bytes())
    group = pq.ParquetFile(io.BytesIO(bytes(data))).metadata.row_group(0)
    paths = [group.column(number).path_in_schema for number in range(2)]
    at = group.column(paths.index("doc.noise")).data_page_offset
    data[at + 40 : at + 4000] = bytes(3960)
    (tmp_path / "a.parquet").write_bytes(bytes(data))
    rows, errors = read(tmp_path / "a.parquet", text="doc.text")
    assert [row["text"] for row in rows] == [f"row {n}" for n in range(500)]
    assert len(errors) == 1
    assert "'doc.noise'" in errors[0][1]


def test_what_is_missing_is_said_with_the_names_that_were_looked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"x": {"y": "z"}}\n'))
    ((place, cause),) = read(path, text="x.t")[1]
    assert (place, cause) == (
        "s:1",
        "no string field 'x.t' or 'html' or 'raw_html'; set fields.text or fields.html to its name",
    )
