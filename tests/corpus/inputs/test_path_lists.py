"""Lists of paths: Common Crawl's and one's own, relative to a base, with what is not there."""

from __future__ import annotations

import gzip
from pathlib import Path

import fsspec
import pytest

from autoclave.corpus.inputs.path_lists import COMMON_CRAWL, path_list_of, read_path_list
from autoclave.corpus.sources import find_inputs
from autoclave.errors import InputError

CRAWL = "crawl-data/CC-MAIN-2024-10/segments/1/warc/"


def test_lines_of_common_crawl(tmp_path: Path) -> None:
    path = tmp_path / "warc.paths.gz"
    path.write_bytes(gzip.compress(f"{CRAWL}a.warc.gz\n{CRAWL}b.warc.gz\n".encode()))
    listed = read_path_list(str(path), None)
    assert [(one.line, one.url) for one in listed] == [
        (1, f"{COMMON_CRAWL}{CRAWL}a.warc.gz"),
        (2, f"{COMMON_CRAWL}{CRAWL}b.warc.gz"),
    ]
    assert read_path_list(str(path), "s3://commoncrawl/")[0].url == f"s3://commoncrawl/{CRAWL}a.warc.gz"
    assert {one.source for one in listed} == {f"{CRAWL}a.warc.gz", f"{CRAWL}b.warc.gz"}


def test_lines_of_all_kinds(tmp_path: Path) -> None:
    path = tmp_path / "own.paths"
    path.write_text("# mine\n\n  x/a.warc \r\n/data/b.warc\ns3://bucket/c.warc\n./y//d.warc\n../e.warc\n")
    assert [(one.line, one.url, one.source) for one in read_path_list(str(path), None)] == [
        (3, f"{tmp_path}/x/a.warc", "x/a.warc"),
        (4, "/data/b.warc", "b.warc"),
        (5, "s3://bucket/c.warc", "c.warc"),
        (6, f"{tmp_path}/y/d.warc", "y/d.warc"),
        (7, f"{tmp_path}/../e.warc", "e.warc"),
    ]
    assert read_path_list(str(path), "/base")[0].url == "/base/x/a.warc"


def test_a_list_gives_its_files_and_says_which_are_missing(tmp_path: Path) -> None:
    base = tmp_path / "mirror"
    for name in ("a.warc.gz", "b.warc.wat.gz", "c.warc.gz"):
        (base / CRAWL).mkdir(parents=True, exist_ok=True)
        (base / CRAWL / name).write_bytes(b"data")
    lines = [f"{CRAWL}{name}" for name in ("c.warc.gz", "a.warc.gz", "b.warc.wat.gz", "gone.warc.gz", "a.warc.gz")]
    (tmp_path / "warc.paths").write_text("\n".join(lines))
    inputs = find_inputs([str(tmp_path / "warc.paths")], str(base))
    assert [(file.source, file.path) for file in inputs.files] == [
        (f"{CRAWL}{name}", f"{base}/{CRAWL}{name}") for name in ("a.warc.gz", "c.warc.gz")
    ]
    assert [(Path(file.source).name, file.reason) for file in inputs.left_out] == [
        ("b.warc.wat.gz", "wat"),
        ("gone.warc.gz", "missing"),
    ]
    with pytest.raises(InputError, match=r"warc\.paths.*missing.*paths_base"):
        find_inputs([str(tmp_path / "warc.paths")], str(tmp_path / "elsewhere"))


def test_a_list_on_an_object_store_of_files_on_it() -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/cc/crawl-data/a.warc.gz", b"data")
    memory.pipe("/cc/wet.paths.gz", gzip.compress(b"crawl-data/a.warc.gz\n"))
    inputs = find_inputs(["memory://cc/wet.paths.gz"], "memory://cc/")
    assert [(file.path, file.size) for file in inputs.files] == [("memory:///cc/crawl-data/a.warc.gz", 4)]


def test_any_file_is_a_list_behind_an_at_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "files.txt").write_text("a.jsonl\n")
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n')
    assert [file.source for file in find_inputs([f"@{tmp_path}/files.txt"]).files] == ["a.jsonl"]
    assert [file.source for file in find_inputs([f"{tmp_path}/files.txt"]).files] == ["files.txt"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "@odd.jsonl").write_text('{"text": "a"}\n')
    assert [file.source for file in find_inputs(["@odd.jsonl"]).files] == ["@odd.jsonl"]
    assert path_list_of("x.warc.gz") is None


def test_what_is_no_list_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "binary.paths").write_bytes(b"a.warc\n\x01\x00\x02\n")
    with pytest.raises(InputError, match=r"binary\.paths:2: not a list of paths"):
        find_inputs([str(tmp_path / "binary.paths")])
    (tmp_path / "cut.paths.gz").write_bytes(gzip.compress(b"a.warc\n" * 9000)[:-20])
    with pytest.raises(InputError, match=r"cut\.paths\.gz:\d+: gzip data end.*fetch the list again"):
        find_inputs([str(tmp_path / "cut.paths.gz")])
    with pytest.raises(InputError, match="no such file"):
        find_inputs([str(tmp_path / "none.paths")])
