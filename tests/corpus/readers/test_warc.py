"""WARC and WET: well formed, and through every kind of damage."""

from __future__ import annotations

import gzip
import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from warc_reading import Reading
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from autoclave.corpus.batches import BATCH_BYTES, BATCH_ROWS
from autoclave.corpus.decoding.frames import Codec
from autoclave.corpus.decoding.window import FileWindow
from autoclave.corpus.readers import warc
from autoclave.corpus.readers.detect import read_raw
from autoclave.corpus.readers.raw import RAW_SCHEMA
from autoclave.corpus.readers.streams import INSIDE_FRAME
from autoclave.corpus.schema import CONVERTED_TYPE


def page(number: int, size: int = 400) -> bytes:
    words = random.Random(number).choices(["alpha", "beta", "gamma", "delta", "\u4e2d\u6587"], k=size // 5)
    return f"<html><body><p>page {number} {' '.join(words)}</p></body></html>".encode()


def archive(pages: list[bytes], compress: str = "gzip") -> tuple[bytes, list[int]]:
    """A WARC file written by warcio and the offset of each record in it."""
    pieces: list[bytes] = []
    offsets = []
    for number, body in enumerate(pages):
        buffer = io.BytesIO()
        writer = WARCWriter(buffer, gzip=False)
        headers = StatusAndHeaders("200 OK", [("Content-Type", "text/html; charset=UTF-8")], protocol="HTTP/1.1")
        record = writer.create_warc_record(
            f"http://site.example/{number}",
            "response",
            payload=io.BytesIO(body),
            http_headers=headers,
            warc_headers_dict={"WARC-Date": "2026-01-02T03:04:05Z"},
        )
        writer.write_record(record)
        raw = buffer.getvalue()
        offsets.append(sum(map(len, pieces)))
        pieces.append({"gzip": gzip.compress, "zstd": zstandard.compress, "plain": bytes}[compress](raw))
    return b"".join(pieces), offsets


@pytest.mark.parametrize("compress", ["gzip", "zstd", "plain"])
def test_well_formed(compress: str) -> None:
    pages = [page(n) for n in range(50)]
    data, offsets = archive(pages, compress)
    reading = Reading(io.BytesIO(data))
    assert reading.payloads == pages
    assert [row["offset"] for row in reading.rows] == offsets
    assert not reading.errors
    first = reading.rows[0]
    assert (first["url"], first["host"], first["http_status"]) == ("http://site.example/0", "site.example", 200)
    assert (first["content_type"], first["charset"]) == ("text/html", "utf-8")
    assert first["crawled_at"].isoformat() == "2026-01-02T03:04:05+00:00"
    assert len({row["doc_id"] for row in reading.rows}) == 50


def test_one_gzip_member_for_all_records() -> None:
    pages = [page(n) for n in range(20)]
    data, _ = archive(pages, "plain")
    reading = Reading(io.BytesIO(gzip.compress(data)))
    assert reading.payloads == pages
    offsets = [row["offset"] for row in reading.rows]
    assert offsets[0] == 0
    assert all(offset & INSIDE_FRAME for offset in offsets[1:])
    assert len(set(offsets)) == 20


@pytest.mark.parametrize("compress", ["gzip", "zstd", "plain"])
def test_truncation_anywhere_keeps_what_stands_before(compress: str) -> None:
    pages = [page(n) for n in range(12)]
    data, offsets = archive(pages, compress)
    for cut in range(1, len(data), 97):
        whole = sum(1 for offset in offsets[1:] if offset <= cut)
        reading = Reading(io.BytesIO(data[:cut]))
        assert reading.payloads[:whole] == pages[:whole]
        assert len(reading.rows) <= whole + 1
        if min(abs(cut - offset) for offset in [*offsets, len(data)]) > 4:
            assert reading.errors, cut


@pytest.mark.parametrize("compress", ["gzip", "zstd"])
def test_a_corrupt_frame_costs_its_own_record_only(compress: str) -> None:
    pages = [page(n, 2000) for n in range(12)]
    data, offsets = archive(pages, compress)
    ends = [*offsets[1:], len(data)]
    for victim in (0, 5, 11):
        broken = bytearray(data)
        middle = (offsets[victim] + ends[victim]) // 2
        for at in range(middle, middle + 20):
            broken[at] ^= 0x5A
        reading = Reading(io.BytesIO(bytes(broken)))
        missing = [n for n, body in enumerate(pages) if body not in reading.payloads]
        assert missing == [victim]
        assert set(reading.payloads) <= set(pages), "a damaged page was passed on"
        assert [place for place, _ in reading.errors] == [f"s:{offsets[victim]}"]


def test_garbage_between_members_is_passed_over() -> None:
    pages = [page(n) for n in range(6)]
    data, offsets = archive(pages)
    broken = data[: offsets[3]] + b"\x1f\x8b\x08 not a member \x00\x01" * 3 + data[offsets[3] :]
    reading = Reading(io.BytesIO(broken))
    assert reading.payloads == pages
    assert len(reading.errors) == 1


@pytest.mark.parametrize(
    ("change", "lost"),
    [
        (lambda length: length + 300, set()),  # runs into the next record, which is found all the same
        (lambda length: 10**12, set()),
        (lambda length: length - 50, set()),
        (lambda length: "abc", set()),
        (lambda length: "", set()),
    ],
)
def test_wrong_content_length_in_a_plain_file(change: Callable[[int], Any], lost: set[int]) -> None:
    pages = [page(n) for n in range(6)]
    data, offsets = archive(pages, "plain")
    record = data[offsets[2] : offsets[3]]
    head, _, rest = record.partition(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length"))
    wrong = head.replace(b"Content-Length: %d" % length, b"Content-Length: " + str(change(length)).encode())
    broken = data[: offsets[2]] + wrong + b"\r\n\r\n" + rest + data[offsets[3] :]
    reading = Reading(io.BytesIO(broken))
    assert reading.errors
    assert [n for n in (0, 1, 3, 4, 5) if pages[n] not in reading.payloads] == []


def test_a_record_inside_a_page_is_not_a_record() -> None:
    """A crawled WARC file, or a page about the format, holds what looks like records."""
    inner, _ = archive([page(7)], "plain")
    pages = [page(0), b"<pre>" + inner + b"</pre>", page(1)]
    for compress in ("gzip", "plain"):
        data, _ = archive(pages, compress)
        reading = Reading(io.BytesIO(data))
        assert reading.payloads == pages
        assert not reading.errors


def test_large_records_are_passed_over_without_their_payload() -> None:
    pages = [page(0), page(1, 400_000), page(2)]
    for compress in ("gzip", "plain"):
        data, _ = archive(pages, compress)
        reading = Reading(io.BytesIO(data), max_payload_bytes=100_000)
        assert reading.payloads == [pages[0], None, pages[2]]
        assert reading.rows[1]["payload_bytes"] > 400_000
        assert not reading.errors


def test_batches_are_bounded() -> None:
    pages = [page(n, 60) for n in range(BATCH_ROWS + 10)] + [b"x" * (BATCH_BYTES // 3)] * 4
    data, _ = archive(pages, "plain")
    reading = Reading(io.BytesIO(data))
    assert reading.payloads == pages
    assert all(batch.schema == RAW_SCHEMA for batch in reading.batches)
    assert max(batch.num_rows for batch in reading.batches) <= BATCH_ROWS
    sizes = [sum(len(value) for value in batch.column("payload").to_pylist()) for batch in reading.batches]
    assert max(sizes) <= BATCH_BYTES


def test_wet_and_resource_records() -> None:
    record = (
        b"WARC/1.0\r\nWARC-Type: %s\r\nWARC-Target-URI: <http://a.example/x>\r\nContent-Type: text/plain; charset=gbk"
        b"\r\nWARC-Identified-Content-Language: zho\r\nContent-Length: %d\r\n\r\n%s\r\n\r\n"
    )
    text = "\u4e2d\u6587".encode()
    data = record % (b"conversion", len(text), text) + record % (b"metadata", 3, b"a:b")
    data += record % (b"resource", len(text), text)
    reading = Reading(io.BytesIO(data))
    assert reading.payloads == [text, text]
    assert reading.skipped == {"metadata": 1}
    assert reading.rows[0]["url"] == "http://a.example/x"
    assert (reading.rows[0]["content_type"], reading.rows[0]["charset"]) == (CONVERTED_TYPE, "gbk")
    assert dict(reading.rows[0]["metadata"])["identified_language"] == "zho"


def test_a_response_without_http_headers_is_its_body() -> None:
    body = b"<html><body>bare</body></html>"
    head = b"WARC/1.0\r\nWARC-Type: response\r\nContent-Type: application/http; msgtype=response\r\n"
    head += b"Content-Length: %d\r\n\r\n"
    [row] = Reading(io.BytesIO(head % len(body) + body + b"\r\n\r\n")).rows
    assert (row["payload"], row["content_type"], row["http_status"]) == (body, None, None)


def test_lz4_and_dictionary_zstd(shared_data: Path) -> None:
    folder = shared_data / "warc/wellformed/chatnoir-eu__chatnoir-resiliparse"
    plain = Reading(folder / "warcfile.warc")
    assert Reading(folder / "warcfile.warc.lz4").payloads == plain.payloads
    with open(folder / "warcfile.warc", "rb") as file:
        raw = file.read()
    pieces = [b"WARC/1.0" + piece for piece in raw.split(b"WARC/1.0\r\n")[1:]]
    dictionary = zstandard.train_dictionary(8192, pieces)
    compressor = zstandard.ZstdCompressor(dict_data=dictionary)
    body = b"".join(compressor.compress(piece.replace(b"WARC/1.0", b"WARC/1.0\r\n", 1)) for piece in pieces)
    stored = zstandard.compress(dictionary.as_bytes())
    data = b"\x5d\x2a\x4d\x18" + len(stored).to_bytes(4, "little") + stored + body
    assert Reading(io.BytesIO(data)).payloads == plain.payloads


@pytest.mark.parametrize("compress", ["gzip", "zstd", "plain"])
def test_nul_bytes_are_an_error_with_their_place(compress: str) -> None:
    pages = [page(n) for n in range(6)]
    data, offsets = archive(pages, compress)
    behind = Reading(io.BytesIO(data + bytes(1000)))
    assert behind.payloads == pages
    assert behind.errors == [(f"s:{len(data)}", "1000 NUL bytes that belong to no record")]
    between = Reading(io.BytesIO(data[: offsets[3]] + bytes(7) + data[offsets[3] :]))
    assert between.payloads == pages
    assert between.errors == [(f"s:{offsets[3]}", "7 NUL bytes that belong to no record")]
    assert not Reading(io.BytesIO(data + b"\r\n\r\n")).errors


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_unknown_and_missing_types_are_errors(compress: Callable[[bytes], bytes]) -> None:
    head = b"WARC/1.0\r\n%sContent-Length: 4\r\n\r\ntext\r\n\r\n"
    known = [b"warcinfo", b"request", b"metadata", b"revisit", b"continuation", b"Request"]
    good = [head % (b"WARC-Type: %s\r\n" % kind) for kind in known]
    bad = [head % b"WARC-Type: respons\r\n", head % b""]
    reading = Reading(io.BytesIO(b"".join(map(compress, [*good, *bad]))))
    place = sum(len(compress(record)) for record in good)
    assert reading.errors == [
        (f"s:{place}", "unknown WARC-Type 'respons', the record is left out"),
        (f"s:{place + len(compress(bad[0]))}", "unknown WARC-Type '', the record is left out"),
    ]
    assert reading.skipped.total() == 8


def test_an_empty_file_is_an_error() -> None:
    for data in (b"", gzip.compress(b"")):
        assert [place for place, _ in Reading(io.BytesIO(data)).errors] == ["s:0"]


def damaged(number: int) -> bytes:
    """A small archive of one of many layouts, with up to three faults in it."""
    rng = random.Random(number)
    records = archive([page(n, rng.choice([50, 400, 3000])) for n in range(rng.randrange(1, 9))], "plain")
    whole, offsets = records
    pieces = [whole[begin:end] for begin, end in zip(offsets, [*offsets[1:], len(whole)], strict=True)]
    pieces.insert(
        rng.randrange(len(pieces)), b"WARC/1.1\r\nwarc-type: metadata\r\nContent-Length: 3\r\n\r\na:b\r\n\r\n"
    )
    compress = rng.choice([gzip.compress, zstandard.compress])
    layout = rng.randrange(3)
    if layout == 0:  # two records a frame
        pieces = [b"".join(pieces[at : at + 2]) for at in range(0, len(pieces), 2)]
    elif layout == 1:  # two frames a record
        pieces = [half for piece in pieces for half in (piece[: len(piece) // 2], piece[len(piece) // 2 :])]
    data = bytearray(b"".join(map(compress, pieces)))
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(data) + 1)
        fault = rng.randrange(5)
        if fault == 0:
            del data[at:]
        elif fault == 1:
            data[at:at] = rng.randbytes(rng.randrange(60))
        elif fault == 2:
            del data[at : at + rng.randrange(200)]
        elif fault == 3 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        else:
            data[at:at] = data[at : at + rng.randrange(3000)]
    return bytes(data)


def test_the_fast_way_gives_what_the_careful_way_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    files = [damaged(number) for number in range(400)]
    fast = [(r.rows, r.errors, r.skipped) for r in (Reading(io.BytesIO(data)) for data in files)]
    monkeypatch.setattr(warc, "sound_record", lambda *_: None)
    monkeypatch.setattr(Codec, "whole", lambda *_: None)
    monkeypatch.setattr(FileWindow, "gzip_members", lambda _: iter(()))
    for number, data in enumerate(files):
        careful = Reading(io.BytesIO(data))
        assert (careful.rows, careful.errors, careful.skipped) == fast[number], number


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.binary(max_size=3000), st.integers(0, 2**32))
def test_nothing_is_raised_for_any_bytes(noise: bytes, seed: int) -> None:
    rng = random.Random(seed)
    data, _ = archive([page(n) for n in range(4)], rng.choice(["gzip", "zstd", "plain"]))
    at = rng.randrange(len(data))
    broken = data[:at] + noise + data[at + rng.randrange(200) :]
    for content in (
        broken,
        noise,
        b"WARC/1.0\r\n" + noise,
        b"filedesc://x 0.0.0.0 20200101000000 text/plain 5\n" + noise,
    ):
        reading = Reading(io.BytesIO(content))
        assert all(isinstance(cause, str) for _, cause in reading.errors)


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    from autoclave.errors import InputError

    with pytest.raises(InputError, match=r"nothing\.warc\.gz"):
        list(read_raw(str(tmp_path / "nothing.warc.gz"), "s", lambda *e: None))
