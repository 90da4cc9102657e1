"""Parquet files: whatever one column or one value is, the documents stay; memory goes by bytes, not by rows."""

from __future__ import annotations

import base64
import datetime
import decimal
import io
import itertools
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from autoclave.corpus import batches
from autoclave.corpus.readers.detect import read_raw
from autoclave.corpus.readers.fields import UNREADABLE
from autoclave.corpus.readers.tables import rows as table_rows
from autoclave.corpus.readers.tables.columns import plain_values, texts, unique_names
from autoclave.corpus.readers.tables.parquet import read_parquet

Rows = list[dict[str, Any]]
Errors = list[tuple[str, str]]


def read(data: bytes, **options: Any) -> tuple[Rows, Errors]:
    errors: Errors = []
    found = read_parquet(io.BytesIO(data), "s", lambda *e: errors.append(e), **options)
    return [row for batch in found for row in batch.to_pylist()], errors


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
    rows, errors = read(parquet(table, row_group_size=2))
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
    rows, errors = read(bytes(data))
    offsets = [row["offset"] for row in rows]
    assert [n for n in offsets if n < 300] == list(range(300))
    assert [n for n in offsets if n >= 600] == list(range(600, 900))
    assert len(errors) == 1
    assert "row group 1" in errors[0][1]


def test_unusable_parquet() -> None:
    assert "not a readable Parquet file" in read(b"PAR1 nothing")[1][0][1]
    assert "set fields.text" in read(parquet(pa.table({"x": [1]})))[1][0][1]


# -- odd columns ---------------------------------------------------------------------------------------------------

FAR = 568971820800  # the year 20000


@pytest.mark.parametrize(
    ("name", "row", "expected"),
    [
        ("decimal", 0, {"x": "1.00"}),
        ("dup_columns", 0, {"a": "x", "a_2": "y"}),
        ("duration", 0, {"t": "PT4611686018427387.904S"}),
        ("large_string", 4, {}),
        ("struct_list_meta", 0, {"a": "[1,2]", "b": '{"c":null}'}),
        ("ts_other_column_far", 1, {"when": "100000000000000000 ms"}),
        ("ts_year_20000", 1, {"crawled_at": "10031-09-09T01:46:40"}),
        ("mixed/decimal", 4, {"x": "5.00"}),
    ],
)
def test_shared_cases(shared_data: Path, name: str, row: int, expected: dict[str, str]) -> None:
    path = shared_data.parent / "cases" / "parquet" / f"{name}.parquet"
    rows, errors = read(path.read_bytes())
    assert len(rows) == 5
    assert not errors
    wanted = pq.read_table(path, columns=["text"]).column("text").to_pylist()
    assert [found["text"] for found in rows] == wanted
    assert dict(rows[row]["metadata"]) == expected


def int64(values: list[int | None], kind: pa.DataType) -> pa.Array:
    return pa.array(values, pa.int64()).view(kind)


ODD: dict[str, tuple[pa.Array, list[str | None]]] = {
    "far dates": (int64([FAR * 1000, None], pa.timestamp("ms")), ["20000-01-01T00:00:00", None]),
    "dates beyond all": (int64([2**62, -(2**62)], pa.timestamp("ms")), [f"{2**62} ms", f"{-(2**62)} ms"]),
    "unknown zone": (int64([1500, None], pa.timestamp("ms", "Mars/Base")), ["1970-01-01T00:00:01.5Z", None]),
    "known zone": (int64([10**6, None], pa.timestamp("us", "Asia/Tokyo")), ["1970-01-01T00:00:01Z", None]),
    "nanoseconds": (int64([1, 10**9], pa.timestamp("ns")), ["1970-01-01T00:00:00.000000001", "1970-01-01T00:00:01"]),
    "date32": (pa.array([2**31 - 1, 0], pa.int32()).view(pa.date32()), [f"{2**31 - 1} days", "1970-01-01"]),
    "time": (int64([86399999999999, 0], pa.time64("ns")), ["23:59:59.999999999", "00:00:00"]),
    "duration": (int64([2**62, -1500], pa.duration("ms")), ["PT4611686018427387.904S", "PT-1.5S"]),
    "decimal": (pa.array([decimal.Decimal("1.10"), None], pa.decimal256(60, 2)), ["1.10", None]),
    "large string": (pa.array(["a", None], pa.large_string()), ["a", None]),
    "view": (pa.array(["a", "b" * 20], pa.string_view()), ["a", "b" * 20]),
    "bytes": (pa.array([b"\xff\x00", b"ok"]), [base64.b64encode(b"\xff\x00").decode(), "ok"]),
    "fixed bytes": (pa.array([b"\xff\xff", b"ok"], pa.binary(2)), [base64.b64encode(b"\xff\xff").decode(), "ok"]),
    "not UTF-8": (pa.array([b"a\xffb", b"ok"]).view(pa.string()), ["a\ufffdb", "ok"]),
    "uuid": (pa.array([uuid.UUID(int=7).bytes, None], pa.uuid()), [str(uuid.UUID(int=7)), None]),
    "null": (pa.nulls(2), [None, None]),
    "dictionary": (pa.array(["a", None]).dictionary_encode(), ["a", None]),
    "numbers": (pa.array([2**64 - 1, 1], pa.uint64()), [str(2**64 - 1), "1"]),
    "nan": (pa.array([float("nan"), 1.5]), ["null", "1.5"]),
    "half": (pa.array([1.5, None], pa.float16()), ["1.5", None]),
    "boolean": (pa.array([True, None]), ["true", None]),
    "list": (pa.array([["a"], None]), ['["a"]', None]),
    "fixed list": (pa.array([[1, 2], None], pa.list_(pa.int8(), 2)), ["[1,2]", None]),
    "far in a list": (
        pa.ListArray.from_arrays([0, 1, 2], int64([FAR, 0], pa.timestamp("s", "No/Zone"))),
        ['["20000-01-01T00:00:00Z"]', '["1970-01-01T00:00:00Z"]'],
    ),
    "struct": (pa.array([{"a": None, "b": [b"\xff"]}, None]), ['{"a":null,"b":["/w=="]}', None]),
    "empty struct list": (pa.array([[], [{"a": 1}]]), ["[]", '[{"a":1}]']),
    "map": (pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int8())), ['{"k":1}', "{}"]),
    "map of other keys": (pa.array([[(1, 1)], []], pa.map_(pa.int8(), pa.int8())), ['{"1":1}', "{}"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", list(ODD))
@pytest.mark.parametrize("name", ["other", "url", "crawled_at", "language", "metadata", "with.dot"])
def test_no_column_of_any_type_costs_a_document(kind: str, name: str) -> None:
    column, expected = ODD[kind]
    table = pa.Table.from_arrays([pa.array(["one", "two"]), column], names=["text", name])
    rows, errors = read(parquet(table))
    assert [row["text"] for row in rows] == ["one", "two"]
    assert not errors
    if name in ("other", "with.dot"):
        assert [dict(row["metadata"]).get(name) for row in rows] == expected
    for row, value in zip(rows, expected, strict=True):
        found = [row["url"], row["crawled_at"], row["language"], *row["metadata"]]
        assert value in (None, "{}") or any(item is not None for item in found)


def test_the_text_may_be_of_any_type_of_string() -> None:
    for kind in (pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary()):
        rows, errors = read(parquet(pa.table({"text": pa.array(["a", "\u4e2d"]).cast(kind)})))
        assert [row["text"] for row in rows] == ["a", "\u4e2d"]
        assert not errors
    malformed = pa.array([b"a\xffb"])
    for column in (malformed, malformed.view(pa.string()), malformed.dictionary_encode()):
        assert texts(column) == ["a\ufffdb"]
    rows, errors = read(parquet(pa.table({"text": pa.array([decimal.Decimal("1.0"), None])})))
    assert not rows
    assert errors == [("s:0", "no text in column 'text'"), ("s:1", "no text in column 'text'")]


def test_int96_beyond_the_years_of_nanoseconds() -> None:
    """Spark and Hive write 9999-12-31 for 'never'; as nanoseconds that wraps into the 19th century."""
    moments = pa.array([datetime.datetime(9999, 12, 31), datetime.datetime(1, 1, 1)], pa.timestamp("us"))
    table = pa.table({"text": ["a", "b"], "date": moments, "other": moments})
    rows, _ = read(parquet(table, use_deprecated_int96_timestamps=True))
    assert [dict(row["metadata"])["other"] for row in rows] == ["9999-12-31T00:00:00", "0001-01-01T00:00:00"]
    assert [row["crawled_at"].year for row in rows] == [9999, 1]


def test_a_value_that_cannot_be_expressed_is_null_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = table_rows.plain_values

    def failing(array: pa.Array) -> tuple[list[Any], list[int]]:
        values, lost = plain(array)
        return ([None, *values[1:]], [0]) if pa.types.is_integer(array.type) else (values, lost)

    monkeypatch.setattr(table_rows, "plain_values", failing)
    counted: list[int] = []
    rows, errors = read(parquet(pa.table({"text": ["a", "b"], "n": [1, 2]})), unreadable=counted.append)
    assert [dict(row["metadata"]) for row in rows] == [{UNREADABLE: "n"}, {"n": "2"}]
    assert (errors, sum(counted)) == ([], 1)


def test_values_that_fail_are_found_one_by_one() -> None:
    values, lost = plain_values(pa.array([(1, 2, 3), None], pa.month_day_nano_interval()))
    assert values[1] is None
    assert (values[0], lost) == (None, [0])


def test_names_of_columns() -> None:
    assert unique_names(["a", "a", "a_2", "a", "b"]) == ["a", "a_3", "a_2", "a_4", "b"]
    column = pa.array(["x"])
    rows, errors = read(parquet(pa.Table.from_arrays([column, column, column], names=["text", "text", "url"])))
    assert not errors
    assert (rows[0]["text"], dict(rows[0]["metadata"])) == ("x", {"text_2": "x"})


def test_plain_values_are_those_of_pyarrow() -> None:
    """Where pyarrow has Python values that JSON knows, they are the same, of slices as well."""
    columns = [
        pa.array([1, None, 3]), pa.array(["a", None, "\u4e2d"]), pa.array([[1], None, []]), pa.array([1.5, None, -0.0]),
        pa.array([{"a": [{"b": "x"}], "c": None}, None, {"a": [], "c": True}]), pa.array([True, None, False]),
        pa.array([[["a"], None], [[]], None], pa.large_list(pa.list_(pa.string()))),
        pa.array([[1, None], None, [2, 3]], pa.list_(pa.int8(), 2)),
    ]  # fmt: skip
    for column in columns:
        for start, stop in itertools.combinations(range(4), 2):
            part = column.slice(start, stop - start)
            assert plain_values(part) == (part.to_pylist(), [])


# -- damage --------------------------------------------------------------------------------------------------------


def damaged(table: pa.Table, group: int, column: int, **options: Any) -> bytes:
    data = bytearray(parquet(table, compression="zstd", use_dictionary=False, **options))
    chunk = pq.ParquetFile(io.BytesIO(bytes(data))).metadata.row_group(group).column(column)
    at = chunk.data_page_offset
    data[at + 40 : at + chunk.total_compressed_size - 4] = bytes(chunk.total_compressed_size - 44)
    return bytes(data)


TABLE = pa.table(
    {
        "text": [f"document {n} {'x' * (n % 50)}" for n in range(900)],
        "n": pa.array([n * n for n in range(900)]),
        "m": pa.array([[f"{n}"] for n in range(900)]),
    }
)


def test_a_damaged_column_that_is_not_the_text_costs_its_values_only() -> None:
    for column, name in ((1, "n"), (2, "m")):
        rows, errors = read(damaged(TABLE, 1, column, row_group_size=300))
        assert [row["offset"] for row in rows] == list(range(900))
        assert [name in dict(row["metadata"]) for row in rows] == [not 300 <= n < 600 for n in range(900)]
        assert {other for row in rows for other, _ in row["metadata"]} == {"n", "m"}
        assert [place for place, _ in errors] == ["s:300"]
        assert f"column {name!r} of row group 1 is left out" in errors[0][1]


def test_checksums_of_pages_are_read() -> None:
    data = bytearray(parquet(TABLE, compression="none", use_dictionary=False, write_page_checksum=True))
    data[data.index(b"document 700 ")] = ord("D")
    rows, errors = read(bytes(data))
    assert not [row for row in rows if row["text"].startswith("D")]
    assert len(errors) == 1
    assert "row group 0 cannot be read" in errors[0][1]


# -- bytes ---------------------------------------------------------------------------------------------------------


def test_metadata_weighs_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autoclave.corpus.readers.raw.BATCH_BYTES", 1 << 16)
    table = pa.table({"text": ["a"] * 50, "other": [f"{n}" * 10_000 for n in range(10, 60)]})
    found = list(read_parquet(io.BytesIO(parquet(table)), "s", lambda *e: None))
    assert max(batch.nbytes for batch in found) < 100_000
    assert sum(batch.num_rows for batch in found) == 50


def test_texts_above_the_limit_are_left_out_with_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BATCH_BYTES", 1 << 16)
    monkeypatch.setattr(table_rows, "BATCH_BYTES", 1 << 16)
    table = pa.table({"text": ["a", "b" * 300_000, "c"], "n": [1, 2, 3]})
    rows, errors = read(parquet(table), max_text_bytes=100_000)
    assert [(row["text"], row["payload_bytes"]) for row in rows] == [("a", 1), (None, 300_000), ("c", 1)]
    assert dict(rows[1]["metadata"]) == {"n": "2"}
    assert not errors


def test_a_file_that_is_far_larger_as_rows(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1.2 KB that stand for 30 GB: one value of 10 MB and 3,000 rows that refer to it."""
    monkeypatch.setattr(batches, "EXPANDED_BYTES", 64 << 20)
    monkeypatch.setattr(batches, "SHARED_BYTES", 32 << 20)
    path = str(shared_data.parent / "cases" / "scale" / "dict.parquet")
    errors: Errors = []
    rows = sizes = 0
    for batch in read_raw(path, "s", lambda *e: errors.append(e)):
        rows, sizes = rows + batch.num_rows, max(sizes, batch.nbytes)
    assert sizes < 40 << 20
    assert 5 <= rows <= 10
    assert [place for place, _ in errors] == [f"s:{rows}"]
    assert "1000 times" in errors[0][1]
