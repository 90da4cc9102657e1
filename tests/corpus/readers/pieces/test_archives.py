"""WARC files in pieces of any size: together they give what the whole file gives, record by record, error by error."""

from __future__ import annotations

import gzip
import io
import itertools
import random
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard

from autoclave.corpus.commits import Commit
from autoclave.corpus.inputs.splitting import whole_archive
from autoclave.corpus.readers.detect import HEAD_BYTES, detect_format
from autoclave.corpus.readers.pieces.archives import find_record, piece_parser
from autoclave.corpus.readers.pieces.piece import Piece, PieceFacts
from autoclave.corpus.readers.raw import ignore_skipped
from autoclave.corpus.readers.warc import read_warc
from autoclave.corpus.sources import InputFile
from autoclave.pipelines.extract_plan import PlannedShard, settle

LIMIT = 3000
Result = tuple[list[dict[str, Any]], list[tuple[str, str]], list[str]]


def record(content: bytes, kind: bytes = b"conversion", end: bytes = b"\r\n\r\n") -> bytes:
    head = b"WARC/1.0\r\nWARC-Type: %s\r\nContent-Length: %d\r\n\r\n" % (kind, len(content))
    return head + content + end


def stored(data: bytes) -> bytes:
    """A gzip member that does not compress: what is in it stands in the file as it is."""
    packer = zlib.compressobj(0, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


def texts(number: int, most: int = 120) -> list[bytes]:
    return [random.Random(n).randbytes(n * 37 % most).hex().encode() for n in range(number)]


def blocks(data: bytes, size: int) -> bytes:
    """Gzip members of equal content, wherever the records begin."""
    return b"".join(gzip.compress(data[at : at + size], mtime=0) for at in range(0, len(data), size))


def dictionary_file(records: Sequence[bytes]) -> bytes:
    samples = [record(text) for text in texts(400)]
    dictionary = zstandard.train_dictionary(1024, samples)
    packer = zstandard.ZstdCompressor(dict_data=dictionary)
    content = dictionary.as_bytes()
    frame = b"\x5d\x2a\x4d\x18" + len(content).to_bytes(4, "little") + content
    return frame + b"".join(packer.compress(one) for one in records)


def files() -> dict[str, bytes]:
    records = [record(b"software: x", b"warcinfo"), *(record(text) for text in texts(9))]
    packed = [gzip.compress(one, mtime=0) for one in records]
    inner = b"".join(packed[:3])
    nested = record(inner + b"\n" + b"".join(records[:2]))
    damaged = bytearray(packed[4])
    damaged[25] ^= 0xFF
    wrong = record(b"x" * 50).replace(b"Content-Length: 50", b"Content-Length: 90")
    headless = b"WARC/1.0\r\nWARC-Type: conversion\r\n\r\nno length\r\n\r\n"
    large = record(random.Random(7).randbytes(2 * LIMIT))
    zstd = [zstandard.compress(one) for one in records]
    pairs = [b"".join(pair) for pair in zip(records[::2], records[1::2], strict=True)]
    return {
        "gzip, a member a record": b"".join(packed),
        "gzip, two records a member": b"".join(gzip.compress(pair, mtime=0) for pair in pairs),
        "gzip, one member": gzip.compress(b"".join(records), mtime=0),
        "gzip, members anywhere": blocks(b"".join(records), 300),
        "gzip, members that sometimes begin a record": blocks(b"".join(record(b"x" * 244) for _ in range(12)), 500),
        "gzip, empty members": gzip.compress(b"", mtime=0).join(packed),
        "gzip, an archive in a record": packed[1] + stored(nested) + packed[2] + stored(record(inner)) + packed[3],
        "gzip, a damaged member": b"".join([*packed[:4], bytes(damaged), *packed[5:]]),
        "gzip, bytes between members": packed[1] + b"\x00\x00\r\n" + packed[2] + b"junk here" + packed[3] + packed[4],
        "gzip, cut off": b"".join(packed)[:-30],
        "gzip, a large record": packed[1] + gzip.compress(large) + packed[2],
        "gzip, a wrong length": packed[1] + gzip.compress(wrong) + packed[2] + gzip.compress(headless) + packed[3],
        "zstd, a frame a record": b"".join(zstd),
        "zstd, one frame": zstandard.compress(b"".join(records)),
        "zstd with a dictionary": dictionary_file(records),
        "plain": b"".join(records),
        "plain, an archive in a record": records[1] + nested + record(b"\n" + nested) + records[3],
        "plain, nothing between": b"".join(record(text, end=b"") for text in texts(9, 60)),
        "plain, junk": records[1] + b"junk\nWARC/ is no record\n" + records[2] + bytes(7) + records[3] + b"\n" * 30,
        "plain, wrong lengths": records[1] + wrong + records[2] + headless + records[3] + large + records[4],
        "plain, cut off": b"".join(records)[:-20],
    }  # fmt: skip


FILES = files()


def read_whole(data: bytes) -> Result:
    errors: list[tuple[str, str]] = []
    skipped: list[str] = []
    batches = read_warc(io.BytesIO(data), "s", lambda *e: errors.append(e), skipped.append, LIMIT)
    return [row for batch in batches for row in batch.to_pylist()], errors, skipped


def read_piece(data: bytes, piece: Piece) -> tuple[Result, PieceFacts]:
    errors: list[tuple[str, str]] = []
    skipped: list[str] = []
    file = io.BytesIO(data)
    parser = piece_parser(file, "s", lambda *e: errors.append(e), skipped.append, LIMIT, piece)
    batches = read_warc(file, "s", lambda *e: errors.append(e), skipped.append, LIMIT, parser)
    return ([row for batch in batches for row in batch.to_pylist()], errors, skipped), parser.facts


def read_in_pieces(data: bytes, bounds: Sequence[int]) -> tuple[Result, int]:
    """Return (what all pieces give together when they are settled, how many were read again)."""
    file = (InputFile("/f", "f", len(data)),)
    pieces = [Piece(kind="warc", start=start, end=end) for start, end in itertools.pairwise(bounds)]
    shards = [PlannedShard(file, piece) for piece in pieces]
    done: dict[Piece, tuple[Result, PieceFacts]] = {}
    again = 0
    for _ in range(len(shards) + 2):
        for shard in shards:
            assert shard.piece is not None
            if shard.piece not in done:
                done[shard.piece] = read_piece(data, shard.piece)
        results = [done[shard.piece] for shard in shards if shard.piece is not None]
        commits = [
            Commit(stage="e", shard=f"{n:06d}", fingerprint="", inputs=[], notes=msgspec.structs.asdict(facts))
            for n, (_, facts) in enumerate(results)
        ]
        settled = settle(shards, commits)
        if settled == shards:
            rows, errors, skipped = ([one for result, _ in results for one in result[at]] for at in range(3))
            return (rows, errors, skipped), again
        again += sum(one != other for one, other in zip(settled, shards, strict=True))
        shards = settled
    raise AssertionError("never settled")


@pytest.mark.parametrize("name", list(FILES))
def test_two_pieces_cut_anywhere(name: str) -> None:
    data = FILES[name]
    whole = read_whole(data)
    assert whole[0]
    for at in range(1, len(data)):
        assert read_in_pieces(data, [0, at, len(data)])[0] == whole, at


@pytest.mark.parametrize("name", list(FILES))
def test_pieces_of_any_size(name: str) -> None:
    data = FILES[name]
    whole = read_whole(data)
    for size in [7, 40, *range(60, 400, 13)]:
        bounds = [*range(0, len(data), size), len(data)]
        assert read_in_pieces(data, bounds)[0] == whole, size


def test_sound_archives_need_no_second_reading() -> None:
    for name in (
        "gzip, a member a record",
        "zstd, a frame a record",
        "zstd with a dictionary",
        "plain",
        "gzip, one member",
    ):
        data = FILES[name]
        bounds = [*range(0, len(data), 101), len(data)]
        assert read_in_pieces(data, bounds)[1] == 0
    nested = FILES["gzip, an archive in a record"]
    assert read_in_pieces(nested, [*range(0, len(nested), 101), len(nested)])[1] > 0


class Ranges(io.BytesIO):
    """A file that knows which of its bytes were asked for."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.low, self.high = len(data), 0

    def read(self, count: int | None = -1) -> bytes:
        at = self.tell()
        data = super().read(count)
        if at >= 8:  # not the look at the beginning that tells the container
            self.low, self.high = min(self.low, at), max(self.high, at + len(data))
        return data


def test_a_piece_reads_its_range_alone() -> None:
    packed = [gzip.compress(record(random.Random(n).randbytes(30_000)), mtime=0) for n in range(200)]
    data = b"".join(packed)
    file = Ranges(data)
    piece = Piece(kind="warc", start=2_000_000, end=3_000_000)
    records = list(piece_parser(file, "s", lambda *e: pytest.fail(str(e)), ignore_skipped, 1 << 20, piece))
    assert 30 <= len(records) <= 35
    assert file.low >= 2_000_000 - 1
    assert file.high <= 3_000_000 + (1 << 20)


def test_where_records_begin() -> None:
    data = b"".join(packed := [gzip.compress(record(text), mtime=0) for text in texts(5)])
    starts = [0, *itertools.accumulate(map(len, packed))]
    for at in range(len(data)):
        expected = next((start for start in starts[:-1] if start >= at), None)
        assert find_record(io.BytesIO(data), at, len(data)) == expected
    assert find_record(io.BytesIO(data), starts[1] + 1, starts[2]) is None
    far = b"x" * 700_000 + b"\n" + record(b"a") + b"y" * 10
    assert find_record(io.BytesIO(record(b"") + far), 5, 800_000) == len(record(b"")) + 700_001


def test_real_archives(shared_data: Path) -> None:
    """Archives of many writers, sound and damaged ones, in some five pieces."""
    split = 0
    for path in sorted((shared_data / "warc").rglob("*")):
        if not path.is_file() or not 1000 < path.stat().st_size < 1 << 20:
            continue
        data = path.read_bytes()
        if detect_format(data, path.name) != "warc" or whole_archive(data[:HEAD_BYTES]) is not None:
            continue
        split += 1
        bounds = [*range(0, len(data), len(data) // 5 + 1), len(data)]
        assert read_in_pieces(data, bounds)[0] == read_whole(data), path.name
    assert split >= 10
