"""The extract stage: every record kept, dropped by name, or an error with its place."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from autoclave.corpus.commits import Commit
from autoclave.corpus.inputs.account import read_account
from autoclave.corpus.readers import detect
from autoclave.corpus.schema import DOCUMENT_SCHEMA
from autoclave.corpus.storage import Folder
from autoclave.errors import InputError, MachineError
from autoclave.pipelines.extract import ExtractSettings, run_extract, sniff
from autoclave.pipelines.running.engine import Engine, InProcessEngine, LocalEngine
from autoclave.pipelines.running.funnel import fold
from autoclave.pipelines.running.stage import StageContext

PARAGRAPH = "A paragraph that is long enough to be taken for the content of a page by anybody who looks at it. " * 3
PAGE = f"<html><head><title>t</title></head><body><article><p>{PARAGRAPH}</p></article></body></html>"


def extract(
    out: Path, *sources: Path | str, engine: Engine | None = None, **settings: Any
) -> StageContext[ExtractSettings]:
    context = StageContext(
        name="extract",
        folder=Folder(out),
        settings=ExtractSettings(**settings),
        seed=0,
        engine=engine or InProcessEngine(),
        sources=[str(source) for source in sources],
    )
    run_extract(context)
    return context


def total(context: StageContext[ExtractSettings]) -> Commit:
    [commit] = context.commits
    return commit


def ledger(out: Path) -> list[dict[str, Any]]:
    return [row for path in sorted((out / "ledger").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def documents(out: Path) -> list[dict[str, Any]]:
    return [row for path in sorted((out / "documents").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def errors(out: Path) -> list[dict[str, str]]:
    return [
        json.loads(line) for path in sorted((out / "errors").glob("*.jsonl")) for line in path.read_text().splitlines()
    ]


def write_warc(path: Path, pages: list[tuple[bytes, str, str]]) -> None:
    """Write (body, status line, content type) as response records, each after its request."""
    with open(path, "wb") as file:
        writer = WARCWriter(file, gzip=path.suffix == ".gz")
        for number, (body, status, kind) in enumerate(pages):
            url = f"http://site.example/{number}"
            request = StatusAndHeaders("GET / HTTP/1.1", [("Host", "site.example")], is_http_request=True)
            writer.write_record(writer.create_warc_record(url, "request", http_headers=request))
            http = StatusAndHeaders(status, [("Content-Type", kind)] if kind else [], protocol="HTTP/1.1")
            writer.write_record(writer.create_warc_record(url, "response", payload=io.BytesIO(body), http_headers=http))


def test_every_reason(tmp_path: Path) -> None:
    html = "text/html; charset=utf-8"
    cases: list[tuple[bytes, str, str, str | None]] = [
        (PAGE.encode(), "200 OK", html, None),
        (PAGE.encode(), "404 Not Found", html, "http_status"),
        (PAGE.encode(), "301 Moved", html, "http_status"),
        (b"\x89PNG\r\n\x1a\n....", "200 OK", "image/png", "content_type"),
        (b"%PDF-1.4 ...", "200 OK", html, "content_type"),
        (b"body { color: red }", "200 OK", "text/css", "content_type"),
        (PAGE.encode(), "200 OK", "", None),
        (PAGE.encode(), "200 OK", "application/octet-stream", None),
        (b"\x00\x01\x02\x03", "200 OK", "", "content_type"),
        (b"  \n ", "200 OK", html, "empty"),
        (b"<html><body><nav><a href=/>x</a></nav></body></html>", "200 OK", html, "no_main_content"),
        (b"<html><body><script>x</script></body></html>", "200 OK", html, "empty"),
        (b"<p>" + b"word " * 40_000 + b"</p>", "200 OK", html, "too_large"),
        (f"plain {PARAGRAPH}".encode(), "200 OK", "text/plain", None),
        ("<p>P\ufffd \ufffdn bl\ufffdser det</p>".encode(), "200 OK", html, "replaced_characters"),
        (PAGE.replace("A par", "A\x00 par").encode() + b"\xff\xfe", "200 OK", html, None),
    ]
    write_warc(tmp_path / "in.warc.gz", [case[:3] for case in cases])
    context = extract(tmp_path / "out", tmp_path / "in.warc.gz", max_payload_bytes=100_000)
    rows = ledger(tmp_path / "out")
    assert [(row["url"][-2:], row["reason"]) for row in rows] == [
        (f"/{n}"[-2:], case[3]) for n, case in enumerate(cases)
    ]
    assert all((row["filter"] == "extract") == (row["reason"] is not None) for row in rows)
    commit = total(context)
    assert commit.documents_in == commit.kept + commit.dropped + commit.errors == len(cases)
    assert commit.dropped_by["extract"] == Counter(case[3] for case in cases if case[3])
    assert commit.counts["records_skipped"] == len(cases)
    assert rows[0]["charset"] == "utf-8"
    assert rows[0]["payload_bytes"] == len(PAGE)
    assert rows[0]["text_bytes"] == len(PARAGRAPH.strip())
    assert rows[0]["main_content"] in ("blocks", "relaxed", "whole_page")
    assert rows[0]["visible_characters"] >= rows[0]["text_characters"] > 0
    assert rows[10]["visible_characters"] == 1
    assert rows[3]["content_type"] == "image/png"
    last = documents(tmp_path / "out")[-1]
    assert last["text"].startswith("A par")
    assert last["host"] == "site.example"
    assert rows[-1]["charset"] != "utf-8" or rows[-1]["replaced_characters"] > 0
    assert rows[-1]["replaced_share"] == 0
    assert rows[-2]["replaced_share"] == pytest.approx(3 / len("P. .n bl.ser det"))
    schema = pq.read_schema(tmp_path / "out/documents/000000.parquet")
    assert schema.equals(DOCUMENT_SCHEMA)


def test_a_page_that_hangs_is_an_error_and_the_rest_is_kept(tmp_path: Path) -> None:
    hostile = b"<html><body>" + b"<div>" * 60_000 + b"end"
    write_warc(tmp_path / "in.warc", [(PAGE.encode(), "200 OK", "text/html"), (hostile, "200 OK", "text/html")] * 2)
    context = extract(tmp_path / "out", tmp_path / "in.warc", page_seconds=0.5, extractor="resiliparse")
    commit = total(context)
    assert (commit.kept, commit.dropped, commit.errors) == (2, 0, 2)
    assert {error["cause"] for error in errors(tmp_path / "out")} == {
        "resiliparse: timeout (http://site.example/1)",
        "resiliparse: timeout (http://site.example/3)",
    }
    assert all(error["place"].startswith("in.warc:") for error in errors(tmp_path / "out"))


def test_a_truncated_file_gives_its_good_records(tmp_path: Path) -> None:
    write_warc(
        tmp_path / "whole.warc.gz",
        [(PAGE.replace("A par", f"{n} par").encode(), "200 OK", "text/html") for n in range(30)],
    )
    data = (tmp_path / "whole.warc.gz").read_bytes()
    (tmp_path / "cut.warc.gz").write_bytes(data[: len(data) * 2 // 3])
    commit = total(extract(tmp_path / "out", tmp_path / "cut.warc.gz"))
    assert commit.kept >= 18
    assert commit.errors == 1
    assert "gzip data end" in errors(tmp_path / "out")[0]["cause"]


def test_every_format_in_one_folder(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    write_warc(source / "a.warc.gz", [(PAGE.encode(), "200 OK", "text/html")])
    (source / "b.jsonl.gz").write_bytes(gzip.compress(json.dumps({"text": "json", "id": 7, "language": "en"}).encode()))
    (source / "c.html").write_text(PAGE)
    (source / "d.html").write_text(PAGE)
    context = extract(tmp_path / "out", source)
    found = {row["source"]: row for row in documents(tmp_path / "out")}
    assert list(found) == ["a.warc.gz", "b.jsonl.gz", "c.html", "d.html"]
    assert len({row["doc_id"] for row in found.values()}) == 4
    assert dict(found["b.jsonl.gz"]["metadata"]) == {"id": "7", "declared_language": "en"}
    assert (found["b.jsonl.gz"]["language"], found["c.html"]["language"]) == ("en", None)
    assert found["c.html"]["text"] == PARAGRAPH.strip()
    # Everything here is small, so it shares one shard; one file a group gives one shard each.
    assert len(context.commits) == 1
    assert len(extract(tmp_path / "split", source, group_files=1).commits) == 4


def test_every_file_is_accounted_for(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    write_warc(source / "a.warc.gz", [(PAGE.encode(), "200 OK", "text/html")])
    with zipfile.ZipFile(source / "b.wacz", "w") as archive:
        archive.write(source / "a.warc.gz", "archive/a.warc.gz")
    (source / "c.jsonl.xz").write_bytes(lzma.compress(json.dumps({"page": PAGE}).encode()))
    (source / "d.csv").write_text("text\nlost\n")
    (source / "e.warc.wat.gz").write_bytes(gzip.compress(b"WARC/1.0\r\n"))
    context = extract(tmp_path / "out", source, fields={"html": "page"})
    assert {row["source"]: row["text"] for row in documents(tmp_path / "out")} == dict.fromkeys(
        ["a.warc.gz", "b.wacz/archive/a.warc.gz", "c.jsonl.xz"], PARAGRAPH.strip()
    )
    row = fold("extract", context.folder, context.commits)
    assert row.inputs is not None
    assert (row.inputs.found, row.inputs.read, row.inputs.left_out) == (5, 3, {"csv": 1, "wat": 1})
    rows = {row.source: row for row in read_account(context.folder)}
    assert rows["c.jsonl.xz"].shards == ["000000"]
    assert rows["d.csv"].left_out == "csv"


def test_one_bad_file_of_a_group_costs_no_other(tmp_path: Path, shared_data: Path) -> None:
    source = tmp_path / "in"
    cases = shared_data.parent / "cases"
    shutil.copytree(cases / "parquet", source)
    shutil.copytree(cases / "jsonl", source, dirs_exist_ok=True)
    good = (cases / "parquet/decimal.parquet").read_bytes()
    (source / "b_cut.parquet").write_bytes(good[:600])
    (source / "c_magic.parquet").write_bytes(b"PAR0" + good[4:-4] + b"PAR0")
    (source / "d_nothing.parquet").write_bytes(b"")
    (source / "e_cut.jsonl.gz").write_bytes(gzip.compress(b'{"text": "first"}\n{"text": "second"}\n')[:-12])
    context = extract(tmp_path / "out", source)
    assert len(context.commits) == 1
    found = Counter(row["source"] for row in documents(tmp_path / "out"))
    parquet = [str(path.relative_to(cases / "parquet")) for path in (cases / "parquet").rglob("*.parquet")]
    assert len(parquet) == 9
    assert {name: found[name] for name in parquet} == dict.fromkeys(parquet, 5)
    assert (found["cr_only.jsonl"], found["utf16.jsonl"], found["e_cut.jsonl.gz"]) == (2, 3, 1)
    causes = {error["place"].split(":")[0]: error["cause"] for error in errors(tmp_path / "out")}
    assert list(causes) == ["b_cut.parquet", "c_magic.parquet", "d_nothing.parquet", "e_cut.jsonl.gz"]
    assert all("not a readable Parquet file" in causes[name] for name in list(causes)[:3])
    commit = total(context)
    assert commit.documents_in == commit.kept + commit.dropped + commit.errors
    assert "unreadable_values" not in commit.counts


def test_a_reader_that_raises_costs_its_file_and_a_fault_of_the_machine_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"text": name}))
    read = detect.read_jsonl

    def failing(error: Exception) -> Callable[..., Iterator[pa.RecordBatch]]:
        def reader(file: BinaryIO, source: str, *rest: Any) -> Iterator[pa.RecordBatch]:
            if source == "b.jsonl":
                raise error
            yield from read(file, source, *rest)

        return reader

    monkeypatch.setattr(detect, "read_jsonl", failing(OverflowError("too large")))
    extract(tmp_path / "out", *tmp_path.glob("*.jsonl"))
    assert [row["text"] for row in documents(tmp_path / "out")] == ["a", "c"]
    assert errors(tmp_path / "out") == [
        {"place": "b.jsonl", "cause": "reading stopped, the rest is left out: OverflowError: too large"}
    ]
    monkeypatch.setattr(detect, "read_jsonl", failing(OSError(5, "Input/output error")))
    with pytest.raises(MachineError, match=r"b\.jsonl: Input/output error of the device; check the disk"):
        extract(tmp_path / "machine", *tmp_path.glob("*.jsonl"))


def test_fields_are_renamed(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"body": "hello", "text": 1}\n')
    extract(tmp_path / "out", tmp_path / "x.jsonl", fields={"text": "body"})
    assert documents(tmp_path / "out")[0]["text"] == "hello"


def test_a_declared_language_is_the_documents_until_it_is_identified(tmp_path: Path) -> None:
    declared = ["eng_Latn", "zh-CN", "pt_BR", "FRA", None, ["en"], "a language of no name that anybody knows of", ""]
    rows = [{"text": f"text {number}", "lang": value} for number, value in enumerate(declared)]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(pa.table({"text": ["t"], "language": ["deu"]}), tmp_path / "y.parquet")
    extract(tmp_path / "out", tmp_path / "x.jsonl", tmp_path / "y.parquet")
    found = documents(tmp_path / "out")
    assert [row["language"] for row in found] == ["en", "zh", "pt", "fr", None, None, None, None, "de"]
    assert {row["language_score"] for row in found} == {None}
    kept = [dict(row["metadata"]).get("declared_language") for row in found]
    assert kept == ["eng_Latn", "zh-CN", "pt_BR", "FRA", None, None, declared[6], None, "deu"]


def test_a_file_without_documents_still_has_its_outputs(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("")
    commit = total(extract(tmp_path / "out", tmp_path / "x.jsonl"))
    assert commit.documents_in == 0
    assert "text_bytes" in pq.read_schema(tmp_path / "out/ledger/000000.parquet").names


def test_same_bytes_from_any_engine(tmp_path: Path, repository: Path) -> None:
    crawl = [repository / "examples/crawl" / name for name in ("pages", "rust-docs.warc", "laws.warc.wet.gz")]
    extract(tmp_path / "one", *crawl)
    extract(tmp_path / "two", *crawl, engine=LocalEngine(2))
    names = [p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*") if p.is_file()]
    assert len(names) >= 15
    for name in names:
        if name.parts[0] != "commits" and name.name != "checksums.json":
            assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_the_demo_crawl(tmp_path: Path, repository: Path) -> None:
    """What the README of the crawl promises: several formats, English and Chinese, records to drop, doubles."""
    context = extract(tmp_path / "out", repository / "examples" / "crawl")
    assert len(context.commits) >= 4
    assert sum(commit.errors for commit in context.commits) == 0
    rows, texts = ledger(tmp_path / "out"), [row["text"] for row in documents(tmp_path / "out")]
    assert {row["reason"] for row in rows} >= {None, "http_status", "content_type"}
    assert 800 <= len(texts) <= 1500
    assert 5e6 < sum(len(text.encode()) for text in texts) < 9e6
    chinese = sum(sum("\u4e00" <= sign <= "\u9fff" for sign in text) > 0.3 * len(text) for text in texts)
    assert 300 < chinese < len(texts) - 300
    assert len(set(texts)) < len(texts), "no exact duplicates"
    assert sum(path.stat().st_size for path in (repository / "examples/crawl").rglob("*") if path.is_file()) <= 4 << 20


def test_wrong_requests(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.warc\.gz"):
        extract(tmp_path / "out", tmp_path / "missing.warc.gz")
    with pytest.raises(InputError, match="no inputs"):
        extract(tmp_path / "out")
    (tmp_path / "x.jsonl").write_text("{}")
    for wrong in (
        {"fields": {"bodies": "x"}},
        {"extractor": "boilerpipe"},
        {"max_payload_bytes": 1 << 40},
        {"page_seconds": 0},
        {"max_replaced_share": 1.5},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            ExtractSettings(**wrong)


@pytest.mark.parametrize(
    ("declared", "payload", "found"),
    [
        ("text/html", b"<html>", "text/html"),
        ("text/html", b"\xff\xd8\xff\xe0 jpeg", "application/octet-stream+binary"),
        (None, b"  <!DOCTYPE html><p>", "text/html"),
        (None, b"words", "text/plain"),
        ("application/pdf", b"<html>", "application/pdf"),
        ("unknown/unknown", b"\x00\x01", "application/octet-stream+binary"),
        (None, "<html><p>words".encode("utf-16-le"), "text/html"),
        (None, "<html><p>words".encode("utf-32"), "text/html"),
        (None, "some words and no more".encode("utf-16"), "text/plain"),
        ("text/xml", b"<?xml version='1.0'?><html><p>a</p></html>", "application/xhtml+xml"),
        ("application/xml", b"<!DOCTYPE html><html><p>a</p></html>", "application/xhtml+xml"),
        ("text/xml", b"<rss><title>a</title></rss>", "application/rss+xml"),
        ("text/xml", b"no XML", "text/xml"),
        ("text/html", b"<?xml version='1.0'?><html><p>a</p></html>", "text/html"),
        ("text/html", b"<?xml version='1.0'?><feed><title>a</title></feed>", "application/atom+xml"),
        (None, b"<?xml version='1.0'?><rss><title>a</title></rss>", "application/rss+xml"),
        (None, b"<?xml version='1.0'?><html><p>a</p></html>", "application/xhtml+xml"),
        ("text/plain", b"<?xml version='1.0'?><rss>how to write it</rss>", "text/plain"),
        (None, b"<?xml version='1.0'?><note>kept as it was</note>", "text/plain"),
    ],
)
def test_sniff(declared: str | None, payload: bytes, found: str) -> None:
    assert sniff(declared, payload) == found
