"""WARC and ARC files of others: read like warcio and fastwarc read them, and as before the fast way was built."""

from __future__ import annotations

import csv
import hashlib
import re
from pathlib import Path
from typing import Any

import fastwarc.warc
from warc_reading import Reading
from warcio.archiveiterator import ArchiveIterator


def peer_counts(folder: Path) -> list[dict[str, str]]:
    with open(folder / "PEER_COUNTS.tsv", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_at_least_the_better_peer_on_every_real_file(shared_data: Path) -> None:
    folder = shared_data / "warc"
    worse = []
    for row in peer_counts(folder):
        reading = Reading(folder / row["file"])
        records = len(reading.rows) + reading.skipped.total()
        best = max(int(row["warcio_records"]), int(row["fastwarc_records"]))
        responses = max(int(row["warcio_response_or_conversion"]), int(row["fastwarc_response_or_conversion"]))
        if records < best or len(reading.rows) < responses:
            worse.append((row["file"], records, best, len(reading.rows), responses))
    assert not worse


def test_damaged_real_files_are_reported(shared_data: Path) -> None:
    folder = shared_data / "warc" / "malformed_edge"
    for name in (
        "toimik__WarcProtocol/incorrect_content_length.warc",
        "toimik__WarcProtocol/missing_header_field.warc",
    ):
        assert Reading(folder / name).errors, name
    clipped = Reading(folder / "chatnoir-eu__chatnoir-resiliparse/clipped.warc.gz")
    assert [cause for _, cause in clipped.errors] == ["gzip data end in the middle of a frame"]
    assert len(clipped.rows) == 1


def test_bodies_equal_those_of_warcio_on_real_files(shared_data: Path) -> None:
    """Same URLs in the same order, same decoded bodies, wherever warcio itself reads the whole file."""
    compared = 0
    for row in peer_counts(shared_data / "warc"):
        path = shared_data / "warc" / row["file"]
        # The toimik files end inside their record, which warcio takes for complete; lz4 it cannot read.
        if (
            row["warcio_error"]
            or not row["file"].startswith("wellformed")
            or path.suffix == ".lz4"
            or "toimik" in str(path)
        ):
            continue
        ours = [(r["url"], r["payload"]) for r in Reading(path).rows if r["url"].startswith("http")]
        theirs = []
        with open(path, "rb") as file:
            for record in ArchiveIterator(file, arc2warc=True):
                if record.rec_type == "response" and record.http_headers is not None:
                    theirs.append((record.rec_headers.get_header("WARC-Target-URI"), record.content_stream().read()))
        if theirs:
            assert [url for url, _ in ours] == [url for url, _ in theirs], row["file"]
            assert [body for _, body in ours] == [body for _, body in theirs], row["file"]
            compared += len(theirs)
    assert compared > 150


def test_gzip_offsets_are_those_of_fastwarc(shared_data: Path) -> None:
    path = shared_data / "warc/wellformed/chatnoir-eu__chatnoir-resiliparse/warcfile.warc.gz"
    with open(path, "rb") as file:
        theirs = [r.stream_pos for r in fastwarc.warc.ArchiveIterator(file) if r.headers["WARC-Type"] == "response"]
    assert [row["offset"] for row in Reading(path).rows] == theirs


def digest(rows: list[dict[str, Any]]) -> str:
    """Stands for all that rows hold."""
    whole = hashlib.sha256()
    for row in rows:
        payload = hashlib.sha256(row["payload"] or b"").hexdigest()
        values = [row[name] for name in ("url", "host", "offset", "content_type", "charset", "http_status", "metadata")]
        date = row["crawled_at"] and row["crawled_at"].isoformat()
        whole.update(repr([row["doc_id"].hex(), payload, row["payload_bytes"], date, *values]).encode())
    return whole.hexdigest()[:16]


def test_real_files_give_what_they_gave_before_the_fast_way(shared_data: Path) -> None:
    """Rows, their bytes and places, and errors, as the careful way alone read them (of the release before it).

    Errors of the kinds that this reader has learned since (NUL bytes, unknown types) are left out.
    """
    with open(Path(__file__).with_name("warc_digests.tsv"), encoding="utf-8") as file:
        expected = list(csv.DictReader(file, delimiter="\t"))
    assert len(expected) == 101
    for row in expected:
        reading = Reading(shared_data / row["file"])
        errors = [e for e in reading.errors if not re.search("NUL bytes|unknown WARC-Type", e[1])]
        found = (len(reading.rows), digest(reading.rows), hashlib.sha256(repr(errors).encode()).hexdigest()[:16])
        assert found == (int(row["rows"]), row["digest"], row["errors"]), row["file"]


def test_arc_files(shared_data: Path) -> None:
    folder = shared_data / "warc/wellformed"
    arc = Reading(folder / "chatnoir-eu__chatnoir-copycat/small-sample-1213893279526_0.arc")
    derived = Reading(folder / "chatnoir-eu__chatnoir-copycat/small-sample-1213893279526_0.derived.warc.gz")
    assert len(arc.rows) == 145
    assert [row["url"] for row in arc.rows] == [row["url"] for row in derived.rows]
    assert arc.payloads == derived.payloads
    both = [Reading(folder / "webrecorder__warcio" / name) for name in ("example.arc", "example.arc.gz")]
    assert both[0].payloads == both[1].payloads
    assert len(both[0].payloads[0]) > 1000
