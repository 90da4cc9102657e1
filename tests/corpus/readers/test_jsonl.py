"""JSON lines and what comes under their name: arrays, other encodings, other line ends, damaged members, odd values."""

from __future__ import annotations

import gzip
import io
import json
import random
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from autoclave.corpus.decoding import frames
from autoclave.corpus.readers import json_values
from autoclave.corpus.readers.detect import detect_format, read_raw
from autoclave.corpus.readers.fields import FIELD_NAMES, FieldMap
from autoclave.corpus.readers.jsonl import read_jsonl
from autoclave.corpus.schema import make_doc_id

COMPRESS = {"plain": bytes, "gz": gzip.compress, "zst": zstandard.compress}
Rows = list[dict[str, Any]]
Errors = list[tuple[str, str]]


def read(data: bytes, **options: Any) -> tuple[Rows, Errors]:
    errors: Errors = []
    batches = read_jsonl(io.BytesIO(data), "s", lambda *e: errors.append(e), **options)
    return [row for batch in batches for row in batch.to_pylist()], errors


def texts(rows: Rows) -> list[str]:
    return [row["text"] for row in rows]


@pytest.mark.parametrize("compression", list(COMPRESS))
def test_jsonl(compression: str) -> None:
    lines = [
        {"text": "one \u4e2d", "id": "a", "url": "http://H.example:80/x", "timestamp": "2020-01-02T00:00:00Z", "n": 3},
        {"content": "two", "meta": {"k": [1, 2], "z": None}, "language": "zh", "date": 1577923200},
    ]
    data = b"\xef\xbb\xbf" + "\n\n".join(json.dumps(line) for line in lines).encode()
    rows, errors = read(COMPRESS[compression](data))
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
    rows, errors = read(data)
    assert [row["text"] for row in rows] == ["a", "b \ufffd c", "\ufffd"]
    assert [place for place, _ in errors] == ["s:2", "s:3", "s:4", "s:5"]
    assert "set fields.text" in errors[2][1]


def test_fields_are_renamed() -> None:
    data = b'{"body": "a", "text": "not this", "link": "http://x.example/"}\n'
    rows, errors = read(data, fields={"text": "body", "url": "link"})
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
    rows, errors = read(data[: len(data) // 2])
    assert len(errors) == 1
    assert [row["text"] for row in rows] == [json.loads(line)["text"] for line in lines[: len(rows)]]
    assert compression == "zst" or len(rows) > 500


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("array.json", ["one of an array", "two of an array"]),
        ("cr_only.jsonl", ["first", "second"]),
        ("utf16.jsonl", ["utf-16 line"] * 3),
    ],
)
def test_shared_cases(shared_data: Path, name: str, expected: list[str]) -> None:
    errors: Errors = []
    path = str(shared_data.parent / "cases" / "jsonl" / name)
    batches = list(read_raw(path, name, lambda *e: errors.append(e)))
    assert [text for batch in batches for text in batch.column("text").to_pylist()] == expected
    assert not errors


RECORDS = [{"text": f"{n} \u4e2d\U0001f600 " + "word " * 300, "m": {"a": [{"b": n}]}} for n in range(40)]


@pytest.mark.parametrize("compression", list(COMPRESS))
@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
)
def test_unicode_encodings_and_line_ends(encoding: str, compression: str) -> None:
    for end in ("\n", "\r\n", "\r"):
        lines = end.join(json.dumps(record, ensure_ascii=False) for record in RECORDS) + end
        rows, errors = read(COMPRESS[compression](lines.encode(encoding)))
        assert not errors
        assert texts(rows) == [record["text"] for record in RECORDS]
        assert [row["offset"] for row in rows] == list(range(len(RECORDS)))


@pytest.mark.parametrize("indent", [None, 0, 1, 4, "\t"])
@pytest.mark.parametrize("window", [1 << 10, 1 << 18])
def test_arrays(indent: int | str | None, window: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_values, "WINDOW_BYTES", window)
    for data in (json.dumps(RECORDS, indent=indent), json.dumps(RECORDS, indent=indent, ensure_ascii=False)):
        rows, errors = read(data.encode())
        assert not errors
        assert texts(rows) == [record["text"] for record in RECORDS]
        assert [row["offset"] for row in rows] == list(range(len(RECORDS)))
        assert dict(rows[3]["metadata"]) == {"m": '{"a":[{"b":3}]}'}


def test_values_over_several_lines_and_several_on_a_line() -> None:
    for joint in ("\n", "", ",\n", " "):
        data = joint.join(json.dumps(record, indent=2 if joint != " " else None) for record in RECORDS)
        rows, errors = read(data.encode())
        assert not errors
        assert texts(rows) == [record["text"] for record in RECORDS]


def test_a_bad_value_of_an_array_costs_itself_where_values_begin_lines() -> None:
    data = json.dumps(RECORDS, indent=2).replace('"b": 7', '"b": oops')
    rows, errors = read(data.encode())
    assert texts(rows) == [record["text"] for n, record in enumerate(RECORDS) if n != 7]
    assert [place for place, _ in errors] == ["s:8"]
    rows, errors = read(json.dumps(RECORDS).replace('"b": 7', '"b": oops').encode())
    assert texts(rows) == [record["text"] for record in RECORDS[:7]]
    assert [place for place, _ in errors] == ["s:8"]
    assert "the rest of the file is left out" in errors[0][1]
    assert "jq" in errors[0][1]


def test_an_array_that_is_cut_off_gives_what_is_whole() -> None:
    data = json.dumps(RECORDS).encode()
    rows, errors = read(data[: len(data) // 2])
    assert texts(rows) == [record["text"] for record in RECORDS[: len(rows)]]
    assert len(rows) >= 19
    assert len(errors) == 1
    rows, errors = read(gzip.compress(data)[:-8])
    assert texts(rows) == [record["text"] for record in RECORDS]
    assert "in the middle of a frame" in errors[0][1]


def test_arrays_are_told_by_content() -> None:
    assert detect_format(b'[\n  {"text": 1}', "x") == "jsonl"
    assert detect_format('{"text": 1}'.encode("utf-16"), "x") == "jsonl"
    assert detect_format(b"[1] Smith, J.: a reference", "x.txt") == "text"


# -- damaged frames ------------------------------------------------------------------------------------------------


def members(compress: Any = gzip.compress) -> tuple[list[bytes], list[str]]:
    """Five frames of 200 lines each, and all texts."""
    rng = random.Random(4)
    lines = [json.dumps({"text": f"{n} {rng.random()} {rng.random()}"}) for n in range(1000)]
    parts = ["\n".join(lines[n : n + 200]) + "\n" for n in range(0, 1000, 200)]
    return [compress(part.encode()) for part in parts], [json.loads(line)["text"] for line in lines]


@pytest.mark.parametrize("held", [0, 1 << 20])
def test_a_gzip_member_that_fails_its_checksum_gives_no_line(held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "HELD_BYTES", held)  # small frames are taken at once, large ones read twice
    parts, expected = members()
    rng = random.Random(9)
    for _ in range(60):
        bad = rng.randrange(5)
        damaged = bytearray(parts[bad])
        damaged[rng.randrange(10, len(damaged))] ^= 1 << rng.randrange(8)
        rows, errors = read(b"".join([*parts[:bad], bytes(damaged), *parts[bad + 1 :]]))
        assert texts(rows) == expected[: bad * 200] + expected[bad * 200 + 200 :]
        assert len({row["offset"] for row in rows}) == len(rows)
        assert [place for place, _ in errors] == [f"s:{bad * 200 + 1}"]
        assert f"in the frame at byte {sum(map(len, parts[:bad]))}" in errors[0][1]
        assert "left out" in errors[0][1]


def test_a_wrong_checksum_alone_is_enough() -> None:
    parts, expected = members()
    wrong = parts[2][:-8] + bytes(4) + parts[2][-4:]
    rows, errors = read(b"".join([*parts[:2], wrong, *parts[3:]]))
    assert texts(rows) == expected[:400] + expected[600:]
    assert [row["offset"] for row in rows] == [*range(400), *range(600, 1000)]  # the lines were all there to count
    assert "about 200 lines from here on are left out" in errors[0][1]


def test_members_that_cut_lines_in_two() -> None:
    _, expected = members()
    data = "".join(json.dumps({"text": text}) + "\n" for text in expected).encode()
    parts = [gzip.compress(data[at : at + 9973]) for at in range(0, len(data), 9973)]
    wrong = bytearray(parts[2])
    wrong[-6] ^= 1
    rows, errors = read(b"".join([*parts[:2], bytes(wrong), *parts[3:]]))
    whole = data[: 2 * 9973].count(b"\n"), data[: 3 * 9973].count(b"\n") + 1
    assert texts(rows) == expected[: whole[0]] + expected[whole[1] :]
    assert [row["offset"] for row in rows] == [*range(whole[0]), *range(whole[1], 1000)]
    assert len(errors) == 1


def test_zstd_frames_are_asked_for_their_checksum() -> None:
    compressor = zstandard.ZstdCompressor(write_checksum=True)
    parts, expected = members(compressor.compress)
    wrong = parts[1][:-1] + bytes([parts[1][-1] ^ 255])
    rows, errors = read(b"".join([parts[0], wrong, *parts[2:]]))
    assert texts(rows) == expected[:200] + expected[400:]
    assert [place for place, _ in errors] == ["s:201"]


# -- odd values ----------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8) | st.sampled_from(
        ["\ud800", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+02:00", -(10**11), 253402300800, 10**40]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
NAMES = st.sampled_from(["url", "date", "timestamp", "crawled_at", "lang", "language", "metadata", "x", "\ud800"])


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.lists(st.dictionaries(NAMES, JSON, max_size=5), min_size=1, max_size=4))
def test_no_value_of_any_field_costs_its_document(records: list[dict[str, Any]]) -> None:
    data = "\n".join(json.dumps({"text": f"t{n}", **record}) for n, record in enumerate(records)).encode()
    rows, errors = read(data)
    assert texts(rows) == [f"t{n}" for n in range(len(records))]
    assert not errors
    for row, record in zip(rows, records, strict=True):
        kept = {name for name, _ in row["metadata"]}
        for ours in ("url", "crawled_at", "language"):
            kept |= set(FIELD_NAMES[ours]) if row[ours] is not None else set()
        stored = {name.replace("\ud800", "\ufffd") for name, value in record.items() if value is not None}
        assert kept >= stored - {"metadata"}


def test_what_does_not_fit_its_field_stays_in_the_metadata() -> None:
    record = {"text": "a", "url": ["http://x.example/"], "date": "next year", "language": {"en": 0.9}, "n": 10**30}
    ((row,), errors) = read(json.dumps(record).encode())
    assert not errors
    assert (row["url"], row["crawled_at"], row["language"]) == (None, None, None)
    assert dict(row["metadata"]) == {
        "url": '["http://x.example/"]', "date": "next year", "language": '{"en":0.9}', "n": str(10**30),
    }  # fmt: skip
    for far in (-(10**11), "0000-01-01", 10**12):
        ((row,), _) = read(json.dumps({"text": "a", "date": far}).encode())
        assert row["crawled_at"] is None
        assert dict(row["metadata"]) == {"date": str(far)}
    ((row,), _) = read(json.dumps({"text": "a", "m": {"\ud800": "\ud800"}}).encode())
    assert dict(row["metadata"]) == {"m": '{"\ufffd":"\ufffd"}'}
