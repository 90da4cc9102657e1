"""WACZ files: the documents of their WARC files; what a ZIP file can lie about is refused by name."""

from __future__ import annotations

import gzip
import io
import random
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest

from autoclave.corpus.readers import wacz
from autoclave.corpus.readers.detect import detect_format, read_raw
from autoclave.corpus.readers.wacz import read_wacz
from autoclave.corpus.readers.warc import read_warc

Rows = list[dict[str, Any]]
Errors = list[tuple[str, str]]


def warc(*texts: str, compressed: bool = True) -> bytes:
    records = [
        b"WARC/1.0\r\nWARC-Type: conversion\r\nContent-Length: %d\r\n\r\n%s\r\n\r\n" % (len(text), text.encode())
        for text in texts
    ]
    return b"".join(gzip.compress(record, mtime=0) if compressed else record for record in records)


def pack(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return sink.getvalue()


def read(data: bytes) -> tuple[Rows, Errors]:
    errors: Errors = []
    found = read_wacz(io.BytesIO(data), "a.wacz", lambda *e: errors.append(e))
    return [row for batch in found for row in batch.to_pylist()], errors


OTHERS = {"datapackage.json": b"{}", "pages/pages.jsonl": b'{"text": "no document"}\n', "indexes/index.cdx.gz": b"x"}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("compressed", [True, False])
def test_records_are_those_of_the_warc_files(method: int, compressed: bool) -> None:
    content = [warc("one", "two", compressed=compressed), warc("three", compressed=compressed)]
    ending = "warc.gz" if compressed else "warc"
    data = pack(OTHERS | {f"archive/b.{ending}": content[1], f"archive/a.{ending}": content[0]}, method)
    rows, errors = read(data)
    assert not errors
    assert [(row["source"], row["payload"]) for row in rows] == [
        (f"a.wacz/archive/a.{ending}", b"one"),
        (f"a.wacz/archive/a.{ending}", b"two"),
        (f"a.wacz/archive/b.{ending}", b"three"),
    ]
    alone = read_warc(io.BytesIO(content[0]), f"a.wacz/archive/a.{ending}", lambda *e: pytest.fail(str(e)))
    assert rows[:2] == [row for batch in alone for row in batch.to_pylist()]
    assert detect_format(data, "a.wacz") == detect_format(data, "unnamed") == "wacz"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_record_costs_itself(method: int) -> None:
    content = bytearray(warc("one", "two" * 50, "three"))
    content[len(warc("one")) + 30] ^= 0xFF
    rows, errors = read(pack({"archive/a.warc.gz": bytes(content)}, method))
    assert [row["payload"] for row in rows] == [b"one", b"three"]
    assert [place for place, _ in errors] == [f"a.wacz/archive/a.warc.gz:{len(warc('one'))}"]


def test_damage_of_the_archive_costs_what_lies_behind_it_in_its_member() -> None:
    noise = [random.Random(n).randbytes(400).hex() for n in range(400)]
    data = bytearray(pack({"archive/a.warc.gz": warc(*noise), "archive/b.warc.gz": warc("b")}, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(io.BytesIO(bytes(data))) as archive:
        info = archive.getinfo("archive/a.warc.gz")
    data[info.header_offset + info.compress_size // 2] ^= 0xFF
    rows, errors = read(bytes(data))
    assert [row["payload"] for row in rows][-1] == b"b"
    assert 100 < len(rows) < 402
    assert any("cannot be read to its end" in cause for _, cause in errors)


@pytest.mark.parametrize(
    "name", ["../archive/x.warc.gz", "archive/../../x.warc.gz", "/archive/x.warc.gz", "archive//x.warc"]
)
def test_names_that_lead_out_are_refused(name: str) -> None:
    rows, errors = read(pack({name: warc("bad"), "archive/good.warc.gz": warc("good")}))
    assert [row["payload"] for row in rows] == [b"good"]
    assert errors == [
        (
            f"a.wacz/{name}",
            "this member of the WACZ file is not read: its name leads out of the archive, or is not plain",
        )
    ]


def test_a_bomb_is_refused_and_one_that_lies_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wacz, "EXPANDED_BYTES", 1 << 20)
    bomb = {"archive/bomb.warc": bytes(30 << 20), "archive/good.warc.gz": warc("good")}
    data = pack(bomb, zipfile.ZIP_DEFLATED)
    rows, errors = read(data)
    assert [row["payload"] for row in rows] == [b"good"]
    assert f"bytes that claim to be {30 << 20}" in errors[0][1]
    claimed, lie = struct.pack("<L", 30 << 20), struct.pack("<L", 1000)
    rows, errors = read(data.replace(claimed, lie))
    assert [row["payload"] for row in rows] == [b"good"]
    assert "cannot be read to its end" in errors[-1][1]


def test_members_that_lie_in_one_another_are_refused() -> None:
    data = pack({"archive/a.warc.gz": warc("a" * 1000), "archive/b.warc.gz": warc("b")})
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        directory = archive.start_dir
    entry = data[directory : data.index(b"PK\x01\x02", directory + 4)]
    entries = b"".join(entry.replace(b"archive/a", b"archive/%c" % sign) for sign in b"cdefghijklmnopqrst")
    end = bytearray(data[data.index(b"PK\x05\x06") :])
    end[8:16] = struct.pack("<HHL", 18, 18, len(entries))
    assert read(data[:directory] + entries + bytes(end)) == (
        [],
        [("a.wacz", "not a readable WACZ file: its members lie in one another")],
    )


def test_what_is_no_wacz_is_said_so(tmp_path: Path) -> None:
    assert "without archive/*.warc.gz" in read(pack({"word/document.xml": b"<x/>"}))[1][0][1]
    assert read(b"PK\x03\x04 nothing")[1][0][1].startswith("not a readable WACZ file")
    data = bytearray(pack({"archive/a.warc.gz": warc("a")}))
    at = data.index(b"PK\x01\x02")
    for offset in (at + 8, data.index(b"PK\x03\x04") + 6):
        data[offset] |= 1
    assert "it is encrypted" in read(bytes(data))[1][0][1]
    (tmp_path / "a.docx").write_bytes(pack({"word/document.xml": b"<x/>"}))
    errors: Errors = []
    assert not list(read_raw(str(tmp_path / "a.docx"), "a.docx", lambda *e: errors.append(e)))
    assert "unpack it" in errors[0][1]
