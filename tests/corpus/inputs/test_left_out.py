"""Every file that is named or found is read, or left out with a reason."""

from __future__ import annotations

import json
from pathlib import Path

import fsspec
import pytest

from autoclave.corpus.inputs.account import ACCOUNT, InputRow, account_bytes, count_inputs, read_account
from autoclave.corpus.inputs.left_out import REASONS, describe, reason_by_name, reason_in_folder
from autoclave.corpus.sources import find_inputs
from autoclave.corpus.storage import Folder, input_fingerprint
from autoclave.errors import InputError


def plant(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * len(name))
    return root


FOUND = {
    "a.warc.gz": None,
    "a.warc.xz": None,
    "a.warc.bz2": None,
    "a.wacz": None,
    "b.ARROW": None,
    "b.feather": None,
    "c.jsonl.bz2": None,
    "d.csv": "csv",
    "d.tsv.gz": "csv",
    "e.warc.wat.gz": "wat",
    "f.cdx.gz": "index",
    "f.zip": "archive",
    "f.tar.gz": "archive",
    "g.jsonl.lzma": "compression",
    "h.pdf": "unknown",
    "LICENSE": "unknown",
    "i.txt": "text",
    "i.json": "json",
    "state.json": "dataset_info",
    "warc.paths.gz": "path_list",
    ".git/config": "hidden",
    "j.html.partial-9": "hidden",
}


def test_a_folder_accounts_for_every_file(tmp_path: Path) -> None:
    plant(tmp_path, *FOUND)
    inputs = find_inputs([str(tmp_path)])
    assert {file.source for file in inputs.files} == {name for name, reason in FOUND.items() if reason is None}
    assert {file.source: file.reason for file in inputs.left_out} == {n: r for n, r in FOUND.items() if r}
    assert {file.reason for file in inputs.left_out} <= set(REASONS)
    assert all(file.version == input_fingerprint(file.path) for file in inputs.files)


def test_named_files_and_globs_are_read_unless_nothing_reads_them(tmp_path: Path) -> None:
    plant(tmp_path, *FOUND)
    named = [str(path) for path in tmp_path.rglob("*") if path.is_file()]
    by_name = find_inputs([name for name in named if not name.endswith(".paths.gz")])
    assert {Path(file.path).name for file in by_name.left_out} == {
        "d.csv", "d.tsv.gz", "e.warc.wat.gz", "f.cdx.gz", "f.zip", "f.tar.gz", "g.jsonl.lzma",
    }  # fmt: skip
    by_glob = find_inputs([str(tmp_path / "?.*")])
    assert len(by_glob.files) + len(by_glob.left_out) == len(list(tmp_path.glob("?.*")))
    assert {file.reason for file in by_glob.left_out} == {"csv", "wat", "index", "archive", "compression"}


def test_a_file_that_is_named_besides_its_folder_is_read(tmp_path: Path) -> None:
    plant(tmp_path, "a.jsonl", "b.json", "c.txt")
    inputs = find_inputs([str(tmp_path), str(tmp_path / "b.json")])
    assert [file.source for file in inputs.files] == ["a.jsonl", "b.json"]
    assert [file.source for file in inputs.left_out] == ["c.txt"]


def test_nothing_to_read_is_an_error_that_says_why(tmp_path: Path) -> None:
    plant(tmp_path, "a.csv", "b.csv", "c.pdf")
    with pytest.raises(InputError, match=r"2 csv \(CSV and TSV.*Parquet.*; 1 unknown \("):
        find_inputs([str(tmp_path)])
    with pytest.raises(InputError, match=r"a\.csv: .*1 csv"):
        find_inputs([str(tmp_path / "a.csv")])


def test_files_beside_an_arrow_dataset_that_are_no_part_of_it(tmp_path: Path) -> None:
    plant(
        tmp_path, "d/data-00000-of-00001.arrow", "d/cache-1.arrow", "d/dataset_info.json", "e/x.arrow", "e/state.json"
    )
    (tmp_path / "d/state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))
    inputs = find_inputs([str(tmp_path)])
    assert [file.source for file in inputs.files] == ["d/data-00000-of-00001.arrow", "e/x.arrow"]
    assert [(file.source, file.reason) for file in inputs.left_out] == [
        ("d/cache-1.arrow", "dataset_cache"),
        ("d/dataset_info.json", "dataset_info"),
        ("d/state.json", "dataset_info"),
        ("e/state.json", "dataset_info"),
    ]


def test_object_stores() -> None:
    memory = fsspec.filesystem("memory")
    for name in ("/store/a.warc.gz", "/store/b.csv"):
        memory.pipe(name, b"data")
    inputs = find_inputs(["memory://store"])
    assert [file.path for file in inputs.files] == ["memory:///store/a.warc.gz"]
    assert [(file.path, file.reason) for file in inputs.left_out] == [("memory:///store/b.csv", "csv")]


def test_names_are_taken_whatever_their_case_and_compression() -> None:
    assert reason_by_name("X.CSV.GZ") == "csv"
    assert reason_by_name("CC-MAIN-1.warc.wat.gz") == "wat"
    assert reason_by_name("CC-MAIN-1.warc.wet.gz") is None
    assert reason_in_folder("x.HTML") is None
    assert describe([]) == ""


def test_the_account_counts_what_it_lists(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    assert count_inputs(folder) is None
    rows = [
        InputRow(source="b", path="/b", bytes=9, shards=["000000", "000001"]),
        InputRow(source="a", path="/a", bytes=8, shards=["000000"], whole="one gzip stream"),
        InputRow(source="c", path="/c", bytes=7, left_out="csv"),
    ]
    folder.write_bytes(ACCOUNT, account_bytes(rows))
    assert [row.source for row in read_account(folder)] == ["a", "b", "c"]
    counts = count_inputs(folder)
    assert counts is not None
    assert (counts.found, counts.read, counts.split) == (3, 2, 1)
    assert (counts.left_out, counts.whole) == ({"csv": 1}, {"one gzip stream": 1})
