"""Verifying folders on any filesystem; the whole of a run is in tests/end_to_end/test_damage.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoclave.corpus import checksums
from autoclave.corpus.output import ShardOutput, Verdicts
from autoclave.corpus.schema import make_documents
from autoclave.corpus.storage import Folder
from autoclave.errors import InputError
from autoclave.pipelines.reading import verification
from autoclave.pipelines.reading.verification import verify


def write_stage(folder: Folder, shards: int) -> None:
    commits = []
    for number in range(shards):
        with ShardOutput(folder, "clean", f"{number:06d}") as output:
            output.write(make_documents([f"text {number}"], "s"), Verdicts.keep_all(1))
            commits.append(output.commit("f", []))
    checksums.close(folder, commits, "clean")


@pytest.mark.parametrize("place", ["local", "memory"])
def test_a_stage_on_any_filesystem(tmp_path: Path, place: str) -> None:
    folder = Folder(tmp_path / "stage" if place == "local" else "memory://verification/stage")
    write_stage(folder, 2)
    whole = verify(folder.url)
    assert (whole.files, whole.findings, whole.unrecorded) == (2 * 4 + 2, [], [])
    folder.write_bytes("documents/000001.parquet", b"")
    folder.remove("commits/000000.json")
    folder.write_bytes("notes.txt", b"mine")
    found = verify(folder.url)
    assert [(one.file, one.what) for one in found.findings] == [
        ("commits/000000.json", "it is missing"),
        ("documents/000001.parquet", "it is empty"),
    ]
    assert {one.remedy for one in found.findings} == {f"the same autoclave clean again with --out {folder.url}"}
    assert "notes.txt" in found.unrecorded
    folder.remove("checksums.json")
    assert "checksums.json" in {one.file for one in verify(folder.url).findings}


def test_processes_find_what_one_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "TASK_BYTES", 1)
    folder = Folder(tmp_path)
    write_stage(folder, 3)
    folder.write_bytes("ledger/000002.parquet", b"other")
    seen: list[tuple[int, int]] = []
    found = verify(folder.url, 2, lambda done, total: seen.append((done, total)))
    assert found == verify(folder.url, 1)
    assert [one.file for one in found.findings] == ["ledger/000002.parquet"]
    assert seen == [(number, found.files) for number in range(1, found.files + 1)]


def test_a_folder_without_checksums_is_a_wrong_request(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(InputError, match="nothing here has checksums"):
        verify(str(tmp_path))
    with pytest.raises(InputError, match="no such folder"):
        verify(str(tmp_path / "nowhere"))
