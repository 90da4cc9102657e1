"""Records that cover files: sealed JSON, lists that survive kills, where a file's record is, what is remembered."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from autoclave.corpus import checksums
from autoclave.corpus.checksums import Checksums, check, find_record, hash_file, read_checksums, write_recorded
from autoclave.corpus.commits import Commit, read_commit, write_commit
from autoclave.corpus.sealed import seal, unseal
from autoclave.corpus.storage import Folder
from autoclave.errors import DamageError


class Note(msgspec.Struct):
    text: str
    numbers: dict[str, int] = {}


def test_any_other_byte_in_a_sealed_file_is_found() -> None:
    note = Note('a \\ " é 中 checksum', {"b": 2, "a": 1})
    data = seal(note)
    assert unseal(data, Note) == note
    assert msgspec.json.decode(data)["checksum"]
    for at in range(len(data)):
        for bit in (1, 32, 128):
            with pytest.raises(ValueError, match="checksum"):
                unseal(data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :], Note)
    for cut in range(len(data)):
        with pytest.raises(ValueError, match=r"empty|cut short"):
            unseal(data[:cut], Note)
    with pytest.raises(ValueError, match="cut short"):
        unseal(data + b"\n", Note)
    with pytest.raises(ValueError, match="of another version"):
        unseal(seal({"other": 1}), Note)


def commit_of(folder: Folder, shard: str, *names: str) -> Commit:
    outputs = {name: hash_file(folder.path(name)) for name in names}
    commit = Commit(stage="toy/phase", shard=shard, fingerprint="f", inputs=[], outputs=outputs)
    write_commit(folder, commit)
    return commit


@pytest.mark.parametrize("url", ["{tmp}", "memory://checksums"])
def test_a_files_record_is_found_from_its_path(tmp_path: Path, url: str) -> None:
    folder = Folder(url.format(tmp=tmp_path) + "/stage")
    names = ("documents/000007.parquet", "tokens/000007.fold-1.arrow", "models/000007/model.safetensors")
    for name in (*names, "documents/000008.parquet"):
        folder.write_bytes(name, name.encode())
    commit_of(folder, "000007", *names)
    write_recorded(folder, "settings.json", b"{}", "toy")
    for name in (*names, "settings.json"):
        found = find_record(folder.path(name))
        assert found is not None
        assert found[0] == hash_file(folder.path(name))
        assert found[1] == "run toy again, which makes it anew"
        check(folder.path(name))
        folder.write_bytes(name, b"other")
        with pytest.raises(DamageError, match=rf"{name}: damaged: it has 5 bytes, of \d+ .*; run toy again"):
            check(folder.path(name))
        folder.remove(name)
        with pytest.raises(DamageError, match=rf"{name}: damaged: it is missing"):
            check(folder.path(name))
    assert find_record(folder.path("documents/000008.parquet")) is None
    check(folder.path("documents/000008.parquet"))  # nobody's: taken as it is
    check(str(tmp_path / "elsewhere" / "crawl.warc.gz"))


def test_a_file_is_hashed_once_while_it_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Folder(tmp_path)
    write_recorded(folder, "a", b"12345", "toy")
    hashed: list[str] = []
    real = checksums.hash_file
    monkeypatch.setattr(checksums, "hash_file", lambda path: hashed.append(path) or real(path))
    for _ in range(3):
        check(folder.path("a"))
    assert len(hashed) == 1
    (tmp_path / "a").write_bytes(b"12346")
    os.utime(tmp_path / "a", ns=(1, 1))
    for _ in range(2):  # what is wrong is not remembered as right
        with pytest.raises(DamageError, match="its checksum is"):
            check(folder.path("a"))
    assert len(hashed) == 3


def test_a_damaged_record_is_an_error_of_its_own(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write_bytes("documents/000000.parquet", b"x")
    commit_of(folder, "000000", "documents/000000.parquet")
    path = tmp_path / "commits/000000.json"
    path.write_bytes(path.read_bytes().replace(b'"kept": 0', b'"kept": 1'))
    with pytest.raises(DamageError, match=r"commits/000000\.json: damaged"):
        read_commit(folder, "000000")
    with pytest.raises(DamageError, match=r"commits/000000\.json: damaged"):
        check(folder.path("documents/000000.parquet"))


def test_a_kill_between_a_file_and_its_list_leaves_nothing_that_looks_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Folder(tmp_path)
    write_recorded(folder, "a", b"old", "toy")
    calls = [0]
    real = Folder.write_bytes

    def dies(self: Folder, name: str, data: bytes) -> None:
        calls[0] += 1
        if calls[0] == stop:
            raise KeyboardInterrupt
        real(self, name, data)

    for stop in (1, 2, 3):
        calls[0] = 0
        with monkeypatch.context() as patch:
            patch.setattr(Folder, "write_bytes", dies)
            with pytest.raises(KeyboardInterrupt):
                write_recorded(folder, "a", f"new {stop}".encode(), "toy")
        check(folder.path("a"))
        write_recorded(folder, "a", b"old", "toy")
        listed = read_checksums(folder.url)
        assert listed == Checksums(made_by="toy", complete=False, files={"a": checksums.file_of(b"old")})
