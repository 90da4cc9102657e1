"""Files that stand for far more than they hold: an error with its place, in bounded memory, with bounded reading.

Each is read in a process of its own, whose address space is limited, and which says how much memory it came to hold
above what its imports take. Time is not measured; what is read and decoded is counted instead.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import brotli
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from autoclave.corpus.decoding.parquet_pages import column_chunks, page_sizes
from autoclave.corpus.readers.warc import read_warc

MEMORY_BYTES = 768 << 20
"""What reading may hold above the imports, whatever the file: batches, windows, one line or body and its copies.

Only a page of Parquet that is as large as stored text can be takes more: twice its size.
"""

ADDRESS_SPACE = 12 << 30

CHILD = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[3]),) * 2)
from autoclave.corpus.readers.detect import read_raw

def held(name):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(name))

before = held("VmRSS")
errors, rows = [], 0
for batch in read_raw(sys.argv[1], sys.argv[2], lambda *error: errors.append(error)):
    rows += batch.num_rows
print(json.dumps({"rows": rows, "errors": errors[:50], "number": len(errors), "memory": held("VmHWM") - before}))
"""


def read(path: Path) -> dict[str, Any]:
    """Read one file in a process of its own; return rows, errors and the memory that it took."""
    command = [sys.executable, "-c", CHILD, str(path), path.name, str(ADDRESS_SPACE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    result: dict[str, Any] = json.loads(done.stdout)
    assert result["memory"] < MEMORY_BYTES, result
    assert all(place.startswith(path.name) for place, _ in result["errors"])
    return result


# -- what bombs are made of -----------------------------------------------------------------------------------------


def deflated(size: int) -> bytes:
    """Raw deflate of `size` zero bytes, a multiple of 16 MiB, without its end mark."""
    packer = zlib.compressobj(9, wbits=-15)
    piece = packer.compress(bytes(16 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return piece * (size >> 24)


def gzipped(size: int, before: bytes = b"") -> bytes:
    """A gzip member of `before` and `size` zero bytes, whose end is wrong."""
    packer = zlib.compressobj(9, wbits=-15)
    head = packer.compress(before) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff" + head + deflated(size) + b"\x03\x00" + bytes(8)


def zstd_runs(size: int, before: bytes = b"", window: int = 0x58) -> bytes:
    """A zstd frame of `before` and `size` zero bytes in blocks of runs, four bytes for 128 KiB."""
    block = struct.pack("<I", 1 << 17 << 3 | 1 << 1)[:3] + b"\x00"
    head = b"\x28\xb5\x2f\xfd\x00" + bytes([window])
    raw = struct.pack("<I", len(before) << 3)[:3] + before if before else b""
    return head + raw + block * (size >> 17) + b"\x01\x00\x00"


def brotlied(size: int) -> bytes:
    packer = brotli.Compressor(quality=3)
    return b"".join(packer.process(bytes(16 << 20)) for _ in range(size >> 24)) + packer.finish()


def warc_record(content: bytes, length: int | None = None, kind: bytes = b"response") -> bytes:
    head = b"WARC/1.0\r\nWARC-Type: %s\r\nWARC-Target-URI: http://a.example/\r\nContent-Length: %d\r\n\r\n"
    return head % (kind, len(content) if length is None else length) + content + b"\r\n\r\n"


def response(body: bytes, *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 200 OK", b"Content-Type: text/html", *headers]
    return warc_record(b"\r\n".join(lines) + b"\r\n\r\n" + body)


PAGE = response(b"<html><body><p>a good page</p></body></html>")


def around(bomb: bytes) -> bytes:
    """A good page at either side."""
    return gzip.compress(PAGE) + gzip.compress(bomb) + gzip.compress(PAGE)


# -- bodies in content codings --------------------------------------------------------------------------------------

BODIES: dict[str, Callable[[], bytes]] = {
    "br": lambda: brotlied(512 << 20),
    "zstd": lambda: zstd_runs(4 << 30),
    "gzip": lambda: gzipped(1 << 30),
    "deflate": lambda: deflated(1 << 30) + b"\x03\x00",
    "gzip, gzip": lambda: gzip.compress(gzipped(1 << 30)),
    "gzip, br, zstd": lambda: zstandard.compress(brotli.compress(gzipped(1 << 30), quality=3)),
}


@pytest.mark.parametrize("coding", BODIES)
def test_a_body_that_expands_is_refused_with_its_place(tmp_path: Path, coding: str) -> None:
    path = tmp_path / "bomb.warc.gz"
    bomb = response(BODIES[coding](), b"Content-Encoding: " + coding.encode())
    path.write_bytes(around(bomb))
    result = read(path)
    place = f"{path.name}:{len(gzip.compress(PAGE))}"
    assert result["errors"] == [[place, "decoded body larger than the limit of 33554432 bytes"]]
    assert result["rows"] == 3


def test_the_shared_brotli_bomb(shared_data: Path) -> None:
    result = read(shared_data.parent / "cases" / "scale" / "br.warc")
    assert result["number"] == 1
    assert "larger than the limit" in result["errors"][0][1]


def test_codings_over_codings_are_counted(tmp_path: Path) -> None:
    body = b"<html><body><p>text</p></body></html>"
    for _ in range(6):
        body = gzip.compress(body)
    path = tmp_path / "nested.warc.gz"
    many = response(body, b"Content-Encoding: " + b", ".join([b"gzip"] * 6))
    endless = response(b"x", b"Content-Encoding: " + b",".join([b"gzip"] * 100_000))
    path.write_bytes(around(many) + around(endless))
    result = read(path)
    assert [cause for _, cause in result["errors"]] == [
        "body with 6 content codings, more than 5",
        "body with 100000 content codings, more than 5",
    ]
    assert result["rows"] == 6


def test_chunks_by_the_million(tmp_path: Path) -> None:
    path = tmp_path / "chunks.warc.gz"
    path.write_bytes(around(response(b"1\r\nx\r\n" * 1_000_000 + b"0\r\n\r\n", b"Transfer-Encoding: chunked")))
    result = read(path)
    assert (result["rows"], result["number"]) == (3, 0)


def test_headers_folded_by_the_hundred_thousand(tmp_path: Path) -> None:
    path = tmp_path / "folded.warc.gz"
    path.write_bytes(around(response(b"body", b"X-Long: y" + b"\r\n z" * 200_000)))
    result = read(path)
    assert (result["rows"], result["number"]) == (3, 0)


# -- containers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.warc.gz", "a.warc.zst", "a.jsonl.gz", "a.jsonl.zst", "a.html.gz", "a.html.zst"])
def test_a_frame_that_expands_is_read_no_further(tmp_path: Path, name: str) -> None:
    """A record, line or page of gigabytes: the frame is an error with its place, and what stands before it is kept."""
    starts = {"warc": warc_record(b"", 3 << 30)[:-4], "jsonl": b'{"text": "a"}\n{"text": "', "html": b"<html><p>"}
    start = starts[name.split(".")[1]]
    path = tmp_path / name
    path.write_bytes(gzipped(2 << 30, start) if name.endswith("gz") else zstd_runs(8 << 30, start))
    result = read(path)
    assert result["number"] >= 1
    assert "comes to more than 1000 times" in " ".join(cause for _, cause in result["errors"])
    assert result["errors"][0][0].startswith(name)


def test_windows_and_dictionaries_of_zstd_are_bounded(tmp_path: Path) -> None:
    wide = tmp_path / "wide.warc.zst"
    wide.write_bytes(zstd_runs(1 << 20, PAGE, window=0xA8) + zstandard.compress(PAGE))
    result = read(wide)
    assert result["rows"] == 1
    assert "zstd" in result["errors"][0][1]
    dictionary = zstd_runs(1 << 30, b"\x37\xa4\x30\xec")
    large = tmp_path / "dictionary.warc.zst"
    large.write_bytes(b"\x5d\x2a\x4d\x18" + struct.pack("<I", len(dictionary)) + dictionary + zstandard.compress(PAGE))
    assert "dictionary" in read(large)["errors"][0][1]
    claimed = tmp_path / "claimed.warc.zst"
    claimed.write_bytes(b"\x5d\x2a\x4d\x18" + struct.pack("<I", (1 << 32) - 1) + bytes(1 << 20))
    assert "dictionary" in read(claimed)["errors"][0][1]
    skipped = tmp_path / "skipped.warc.zst"
    skipped.write_bytes(zstandard.compress(PAGE) + b"\x50\x2a\x4d\x18" + struct.pack("<I", 64 << 20) + bytes(64 << 20))
    assert read(skipped)["rows"] == 1


class Counted(io.BytesIO):
    """A file that counts what is read of it."""

    count = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.count += len(data)
        return data

    def readinto(self, room: Any) -> int:
        size = super().readinto(room)
        self.count += size
        return size


def hostile_archives() -> Iterator[tuple[str, bytes]]:
    """Files of a few megabytes that made readers go over the same bytes again and again."""
    rng = random.Random(5)
    yield "empty gzip members", gzip.compress(b"") * 100_000 + gzip.compress(PAGE)
    yield "gzip members of a byte each", b"".join(gzip.compress(PAGE[i : i + 1]) for i in range(len(PAGE))) * 200
    yield "zstd frames of a byte each", b"".join(zstandard.compress(PAGE[i : i + 1]) for i in range(len(PAGE))) * 200
    yield "broken gzip members", b"".join(gzip.compress(rng.randbytes(20))[:-9] + rng.randbytes(1) for _ in range(5000))
    yield "lengths beyond the file", warc_record(b"", 10**12)[:-4] * 20_000
    yield "lengths over many records", warc_record(b"", 20 << 20)[:-4] * 20_000
    yield "lengths over many records, gzip", gzip.compress(warc_record(b"", 20 << 20)[:-4]) * 20_000
    yield "no lengths", b"WARC/1.0\r\nWARC-Type: response\r\n\r\nx\r\n\r\n" * 20_000
    yield "versions without end", b"WARC/1.0\r\n" * 20_000
    yield "frames folded into one another", folded_members(400, 4096)


def folded_members(count: int, step: int) -> bytes:
    """Gzip members of stored blocks, each of which holds the headers of the next and fails where all of them do."""
    pieces = []
    for number in range(count):
        head = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
        text = b"WARC/1.0\r\nX: %d\r\n" % number
        body = text + b"y" * (step - len(text) - 20)
        size = len(body) + (15 if number < count - 1 else 0)
        pieces.append(head + b"\x00" + struct.pack("<HH", size, size ^ 0xFFFF) + body)
    return b"".join(pieces) + b"\x07" * 64


@pytest.mark.parametrize("kind", [kind for kind, _ in hostile_archives()])
def test_reading_is_linear(kind: str) -> None:
    """The bytes that are read of a file are some times its size, whatever it holds."""
    data = dict(hostile_archives())[kind]
    file = Counted(data)
    errors: list[tuple[str, str]] = []
    for _ in read_warc(file, "s", lambda *error: errors.append(error)):
        pass
    assert file.count < 40 * len(data) + (64 << 20), kind
    assert len(errors) <= len(data) // 10 + 1


# -- Parquet --------------------------------------------------------------------------------------------------------


def parquet(path: Path, values: dict[str, Any], **options: Any) -> None:
    schema = pa.schema([(name, pa.large_string()) for name in values])
    pq.write_table(pa.table(values, schema=schema), path, data_page_size=1 << 30, **options)


@pytest.mark.parametrize("codec", ["zstd", "gzip", "brotli", "lz4"])
def test_a_parquet_page_that_expands_is_not_inflated(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "page.parquet"
    parquet(path, {"text": ["a" * (32 << 20)] * 4}, compression=codec, use_dictionary=False)
    result = read(path)
    assert result["rows"] == 0
    assert [place for place, _ in result["errors"]] == ["page.parquet:0"]
    assert "comes to" in result["errors"][0][1]


def test_a_column_with_such_a_page_costs_no_text(tmp_path: Path) -> None:
    path = tmp_path / "column.parquet"
    values = {"text": ["one", "two", "three", "four"], "html": ["a" * (32 << 20)] * 4}
    parquet(path, values, compression="zstd", use_dictionary=False)
    result = read(path)
    assert result["rows"] == 4
    assert ["column 'html' of row group 0 is left out" in cause for _, cause in result["errors"]] == [True]


def test_a_parquet_dictionary_that_expands(tmp_path: Path) -> None:
    """A value that is stored once: one of 80 MB, which is a page that expands, and one of 4 MB in 3,000 rows."""
    for megabytes, rows, said in ((80, 2, "a page of"), (4, 3000, "more than 1000 times")):
        path = tmp_path / f"{megabytes}.parquet"
        indices = pa.array([0] * rows, pa.int32())
        column = pa.DictionaryArray.from_arrays(indices, pa.array(["a" * (megabytes << 20)], pa.large_string()))
        pq.write_table(pa.table({"text": column}), path, compression="zstd", dictionary_pagesize_limit=1 << 30)
        result = read(path)
        assert result["number"] == 1
        assert said in result["errors"][0][1]


def test_page_sizes_are_those_that_pyarrow_wrote(tmp_path: Path) -> None:
    """Our reading of the footer and of page headers against pyarrow's sums, on pages of all kinds."""
    rng = random.Random(3)
    texts = ["".join(rng.choices("abcdef \u4e2d", k=rng.randrange(4000))) for _ in range(2000)]
    table = pa.table({"text": texts, "n": range(2000), "nested": [{"a": [n], "b": None} for n in range(2000)]})
    for version in ("1.0", "2.0"):
        for codec in ("none", "snappy", "zstd"):
            path = tmp_path / f"{version}{codec}.parquet"
            pq.write_table(table, path, compression=codec, data_page_version=version, row_group_size=700)
            described = pq.read_metadata(path)
            with open(path, "rb") as file:
                groups = column_chunks(file)
                assert len(groups) == described.num_row_groups == 3
                for number, chunks in enumerate(groups):
                    for at, chunk in enumerate(chunks):
                        theirs = described.row_group(number).column(at)
                        assert chunk.path == theirs.path_in_schema
                        pages = list(page_sizes(file, chunk))
                        headers = theirs.total_compressed_size - sum(stored for stored, _ in pages)
                        assert sum(inflated for _, inflated in pages) + headers == theirs.total_uncompressed_size
