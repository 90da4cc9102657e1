"""From arguments to input files to shards."""

from __future__ import annotations

import os
from pathlib import Path

import fsspec
import pytest

from autoclave.corpus.sources import InputFile, group_files, resolve_inputs
from autoclave.errors import InputError


def plant(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * len(name))
    return root


def test_a_folder_gives_its_known_files_by_relative_name(tmp_path: Path) -> None:
    names = ["b.warc.gz", "a/x.html", "a/y.jsonl.zst", "z.parquet", "w.warc.wet.gz"]
    plant(tmp_path, *names, "README.md", ".hidden/x.html", "notes.txt", "package.json", "c.html.partial-77")
    files = resolve_inputs([str(tmp_path)])
    assert [file.source for file in files] == sorted(names)
    assert all(Path(file.path).read_bytes() == b"x" * file.size for file in files)


def test_files_globs_and_order(tmp_path: Path) -> None:
    plant(tmp_path, "one.txt", "d/two.html", "d/e/three.html", "d/four.bin")
    assert [f.source for f in resolve_inputs([str(tmp_path / "one.txt")])] == ["one.txt"]
    assert [f.source for f in resolve_inputs([str(tmp_path / "d/*.html")])] == ["two.html"]
    assert [f.source for f in resolve_inputs([str(tmp_path / "d/**/*.html")])] == ["e/three.html", "two.html"]
    assert [f.source for f in resolve_inputs([str(tmp_path / "*/four.b?n")])] == ["d/four.bin"]
    both = resolve_inputs([str(tmp_path / "d"), str(tmp_path / "d/two.html"), str(tmp_path / "d")])
    assert [f.source for f in both] == ["e/three.html", "two.html"]


def test_equal_names_go_by_their_full_path(tmp_path: Path) -> None:
    plant(tmp_path, "a/x.warc", "b/x.warc", "b/y.warc")
    files = resolve_inputs([str(tmp_path / "b"), str(tmp_path / "a")])
    assert [f.source for f in files] == sorted([f"{tmp_path}/a/x.warc", f"{tmp_path}/b/x.warc", "y.warc"])
    assert resolve_inputs([str(tmp_path / "a"), str(tmp_path / "b")]) == files


def test_a_name_with_glob_signs_is_a_file_where_it_exists(tmp_path: Path) -> None:
    plant(tmp_path, "x[1].html")
    assert [f.source for f in resolve_inputs([str(tmp_path / "x[1].html")])] == ["x[1].html"]


@pytest.mark.parametrize("name", ["missing.warc.gz", "none/*.html", "empty"])
def test_what_names_nothing_is_an_input_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=name.replace("*", r"\*")):
        resolve_inputs([str(tmp_path / name)])


def test_object_stores() -> None:
    memory = fsspec.filesystem("memory")
    for name in ("/bucket/crawl/b.warc.gz", "/bucket/crawl/sub/a.jsonl", "/bucket/crawl/x.css"):
        memory.pipe(name, b"data")
    files = resolve_inputs(["memory://bucket/crawl"])
    assert [(f.source, f.size) for f in files] == [("b.warc.gz", 4), ("sub/a.jsonl", 4)]
    assert all(f.path.startswith("memory://") for f in files)
    assert [f.source for f in resolve_inputs(["memory://bucket/crawl/*.gz"])] == ["b.warc.gz"]
    with pytest.raises(InputError):
        resolve_inputs(["memory://bucket/other"])


def make(name: str, size: int) -> InputFile:
    return InputFile(f"/{name}", name, size)


def test_small_files_share_shards_and_large_ones_do_not() -> None:
    files = [
        make("a.html", 10),
        make("b.warc.gz", 10**6),
        *(make(f"c{n}.html", 40) for n in range(5)),
        make("d.jsonl", 9),
    ]
    groups = group_files(files, group_bytes=100, group_size=10)
    assert [[f.source for f in group] for group in groups] == [
        ["a.html", "c0.html", "c1.html"],
        ["b.warc.gz"],
        ["c2.html", "c3.html"],
        ["c4.html", "d.jsonl"],
    ]
    assert [len(group) for group in group_files(files, 10**9, 2)] == [2, 1, 2, 2, 1]
    assert group_files([], 1, 1) == []


def test_a_name_that_is_not_utf8_is_refused_by_name(tmp_path: Path) -> None:
    plant(tmp_path, "good.jsonl")
    (tmp_path / os.fsdecode(b"bad\xff.jsonl")).write_bytes(b"{}")
    with pytest.raises(InputError, match=r"bad\\udcff\.jsonl.*rename"):
        resolve_inputs([str(tmp_path)])
