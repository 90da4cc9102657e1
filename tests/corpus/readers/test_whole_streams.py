"""bzip2 and xz: the same bytes as the standard library's decoders, in streams of any number, whole or damaged."""

from __future__ import annotations

import bz2
import io
import json
import lzma
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from autoclave.corpus.readers import whole_streams
from autoclave.corpus.readers.detect import detect_format, read_head, read_raw
from autoclave.corpus.readers.streams import ByteStream
from autoclave.corpus.readers.whole_streams import open_whole_stream

COMPRESS: dict[str, Callable[[bytes], bytes]] = {"bz2": bz2.compress, "xz": lzma.compress}
LINES = "".join(json.dumps({"text": f"line {n} \u4e2d", "n": n}) + "\n" for n in range(5000)).encode()
RECORD = b"WARC/1.0\r\nWARC-Type: conversion\r\nContent-Length: 11\r\n\r\nhello world\r\n\r\n"


@pytest.mark.parametrize("name", list(COMPRESS))
@pytest.mark.parametrize("between", [b"", bytes(4), bytes(9)])
def test_streams_one_after_the_other(name: str, between: bytes) -> None:
    parts = [b"", b"a" * 700_000, random.Random(1).randbytes(300_000), b"end"]
    data = between.join(COMPRESS[name](part) for part in parts) + between
    stream = ByteStream(io.BytesIO(data))
    assert stream.compression == {"bz2": "bzip2"}.get(name, name)
    assert stream.read(1 << 30) == b"".join(parts)
    assert stream.damage is None


@pytest.mark.parametrize("name", list(COMPRESS))
@pytest.mark.parametrize(("suffix", "content", "rows"), [("jsonl", LINES, 5000), ("warc", RECORD * 50, 50)])
def test_files_are_read_whatever_they_are_called(
    tmp_path: Path, name: str, suffix: str, content: bytes, rows: int
) -> None:
    for path in (tmp_path / f"a.{suffix}.{name}", tmp_path / "unnamed"):
        path.write_bytes(COMPRESS[name](content))
        found = list(read_raw(str(path), "s", lambda *e: pytest.fail(str(e))))
        assert sum(batch.num_rows for batch in found) == rows


@pytest.mark.parametrize("name", list(COMPRESS))
def test_damage_is_one_error_and_what_came_before_stays(tmp_path: Path, name: str) -> None:
    good = COMPRESS[name](LINES)
    cases = {
        "end in the middle": good + good[: len(good) // 2],
        "behind a": good + b"trailing bytes that are no stream",
        name[:2]: good + good[:60] + bytes(40) + good[100:],
    }
    for cause, data in cases.items():
        path = tmp_path / f"a.jsonl.{name}"
        path.write_bytes(data)
        errors: list[tuple[str, str]] = []
        rows = sum(batch.num_rows for batch in read_raw(str(path), "s", lambda *e: errors.append(e)))  # noqa: B023
        assert rows >= 5000
        assert len(errors) == 1
        assert cause in errors[0][1]


def test_memory_of_a_stream_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_streams, "XZ_MEMORY", 1 << 20)
    stream = ByteStream(io.BytesIO(lzma.compress(b"x" * 100)))
    assert stream.read(10) == b""
    assert "Memory usage limit" in str(stream.damage)
    monkeypatch.undo()
    bomb = ByteStream(io.BytesIO(bz2.compress(bytes(200 << 20))))
    assert bomb.peek(10) == bytes(10)
    assert len(bomb.buffered) <= 1 << 20


def test_a_block_of_bzip2_is_needed_to_tell_the_format() -> None:
    noise = [json.dumps({"text": random.Random(n).randbytes(300).hex()}) for n in range(1500)]
    data = bz2.compress("\n".join(noise).encode())
    assert detect_format(read_head(io.BytesIO(data)), "unnamed") == "jsonl"
    assert open_whole_stream(b"plain", io.BytesIO()) is None
