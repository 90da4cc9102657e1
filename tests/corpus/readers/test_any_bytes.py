"""Whatever a file holds and is called, reading it yields records and errors, and raises nothing."""

from __future__ import annotations

import gzip
import io
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoclave.corpus.readers.detect import read_raw
from autoclave.corpus.readers.raw import RAW_SCHEMA

NAMES = [
    "a.warc.gz",
    "a.warc",
    "a.arc",
    "a.jsonl",
    "a.jsonl.zst",
    "a.parquet",
    "a.arrow",
    "a.html",
    "a.txt",
    "a",
    "a.json.gz",
]


def seeds() -> list[bytes]:
    """One small good file of every kind."""
    lines = b"\n".join(json.dumps({"text": f"line {n} \u4e2d", "n": n}).encode() for n in range(50))
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": [f"row {n}" for n in range(200)], "n": list(range(200))}), sink, row_group_size=64)
    table = pa.table({"text": [f"row {n}" for n in range(200)], "n": list(range(200))})
    arrow, stream = io.BytesIO(), io.BytesIO()
    for new, file in ((pa.ipc.new_file, arrow), (pa.ipc.new_stream, stream)):
        with new(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=64)
    record = b"WARC/1.0\r\nWARC-Type: conversion\r\nContent-Length: 11\r\n\r\nhello world\r\n\r\n"
    arc = b"filedesc://x 0.0.0.0 20200101000000 text/plain 3\nabc\n"
    arc += b"http://a.example/ 1.2.3.4 20200101000000 text/html 5\nhello\n"
    return [
        lines,
        gzip.compress(lines),
        zstandard.compress(lines),
        sink.getvalue(),
        arrow.getvalue(),
        stream.getvalue(),
        record * 5,
        gzip.compress(record) * 5,
        zstandard.compress(record) * 5,
        arc,
        gzip.compress(arc),
        b"<!DOCTYPE html><html><body><p>text</p></body></html>",
        b"",
    ]


def read(path: Path) -> tuple[int, int]:
    errors: list[tuple[str, str]] = []
    rows = 0
    for batch in read_raw(str(path), path.name, lambda *error: errors.append(error)):
        assert batch.schema == RAW_SCHEMA
        batch.validate(full=True)
        rows += batch.num_rows
    assert all(place.startswith(path.name) and cause for place, cause in errors)
    return rows, len(errors)


@settings(
    max_examples=200, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(seeds()), st.sampled_from(NAMES), st.integers(0, 2**32), st.binary(max_size=40))
def test_damage_of_any_kind_under_any_name(tmp_path: Path, seed: bytes, name: str, number: int, noise: bytes) -> None:
    rng = random.Random(number)
    data = bytearray(seed)
    for _ in range(rng.randrange(3)):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(4)
        if kind == 0:
            data = data[:at]
        elif kind == 1:
            data[at:at] = noise
        elif kind == 2:
            data[at : at + rng.randrange(20)] = noise
        elif at < len(data):
            data[at] ^= 1 << rng.randrange(8)
    path = tmp_path / name
    path.write_bytes(bytes(data))
    read(path)


@pytest.mark.parametrize("name", ["a.jsonl", "a.warc", "a.html", "a.txt", "a"])
def test_large_files_of_nothing(tmp_path: Path, name: str) -> None:
    for filler in (b"\x00", b"\n", b"x", b"WARC/1.0\r\n", b"{", b"\x1f\x8b\x08"):
        path = tmp_path / name
        path.write_bytes(filler * (300_000 // len(filler)))
        rows, errors = read(path)
        assert rows + errors <= 60_000
