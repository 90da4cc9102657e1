"""Checksums that are read: what a file must be by the record that covers it, and whether it is that.

Two kinds of records cover files. A shard's commit covers its outputs. `checksums.json` of a folder covers the commits
and whatever else lies there (settings, manifests, a checkpoint's files). Both have a checksum of their own (sealed.py).
`check` finds the record from a path alone, so that whatever opens a file can ask; a file that no record covers is
foreign, and taken as it is.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec
import xxhash
from fsspec.implementations.local import LocalFileSystem

from autoclave.corpus.commits import Commit, OutputFile, commit_name, encode_commit
from autoclave.corpus.sealed import seal, unseal
from autoclave.corpus.storage import Folder, filesystem, open_read
from autoclave.errors import DamageError

CHECKSUMS = "checksums.json"

LEVELS = 4
"""Folders above a file that are searched for its record: 'models/000000/early/model.safetensors' of a phase."""

READ_BYTES = 1 << 22

MOST_REMEMBERED = 1 << 14
"""Files, and records, that a process remembers."""


class Checksums(msgspec.Struct, frozen=True, kw_only=True):
    """`checksums.json`: what the files of a folder must be, those of single shards aside."""

    made_by: str
    """Stage or command that made the folder, and makes it anew."""
    complete: bool = True
    """False while a stage works in the folder."""
    step: int | None = None
    """Of a model that a training run left: its steps."""
    files: dict[str, OutputFile] = {}
    """Relative name -> file."""


_Version = tuple[Any, ...]
_checked: dict[str, tuple[_Version, str]] = {}
"""Files whose checksum this process has seen to be right: path -> (its version then, that checksum)."""
_records: dict[str, tuple[_Version, Any]] = {}
"""Commits and lists that this process has read: path -> (its version then, what it holds)."""

Kind = TypeVar("Kind")


def _version(path: str) -> _Version | None:
    """Return what changes when a file is written again: size first, then node and time, or ETag. None: gone."""
    fs, inner = filesystem(path)
    try:
        info = fs.info(inner)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if info["type"] == "directory":
        return None
    if isinstance(fs, LocalFileSystem):
        return (info["size"], info["ino"], info["mtime"])
    return (info["size"], info.get("ETag") or info.get("etag") or str(info.get("LastModified") or info.get("created")))


def file_of(data: bytes) -> OutputFile:
    """Return what a record says of a file with these contents."""
    return OutputFile(len(data), xxhash.xxh3_128_hexdigest(data))


def hash_file(path: str) -> OutputFile:
    """Read a file and return what a record says of it."""
    state, size = xxhash.xxh3_128(), 0
    with open_read(path) as file:
        while block := file.read(READ_BYTES):
            state.update(block)
            size += len(block)
    return OutputFile(size, state.hexdigest())


def compare(path: str, expected: OutputFile) -> str | None:
    """Return what is wrong with a file, in words; None where it is as recorded. A file is hashed once a process."""
    version = _version(path)
    if version is None:
        return "it is missing"
    if version[0] != expected.bytes:
        return f"it has {version[0]} bytes, of {expected.bytes} that were written" if version[0] else "it is empty"
    if _checked.get(path) == (version, expected.checksum):
        return None
    found = hash_file(path).checksum
    if found != expected.checksum:
        return f"its checksum is {found}, not {expected.checksum}"
    if len(_checked) > MOST_REMEMBERED:
        _checked.clear()
    _checked[path] = (version, expected.checksum)
    return None


def require(path: str, expected: OutputFile, remedy: str) -> None:
    """Raise DamageError, naming the file, what is wrong and the remedy, where a file is not as recorded."""
    what = compare(path, expected)
    if what is not None:
        raise DamageError(f"{path}: damaged: {what}; {remedy}")


def check(path: str) -> None:
    """Raise DamageError where a file is not what the record that covers it says; nothing where no record does."""
    found = find_record(path)
    if found is not None:
        require(path, *found)


def find_record(path: str) -> tuple[OutputFile, str] | None:
    """Return what a file must be, and what makes it anew; None where no commit and no list covers it."""
    root, rest = posixpath.split(path)
    for _ in range(LEVELS):
        root = root or "."
        listed = read_checksums(root)
        if listed is not None and rest in listed.files:
            return listed.files[rest], remedy_of(listed.made_by)
        for shard in _shards_of(rest):
            commit = _record(f"{root}/{commit_name(shard)}", Commit)
            if commit is not None and rest in commit.outputs:
                return commit.outputs[rest], remedy_of(commit.stage)
        if root in (".", posixpath.dirname(root)) or root.endswith((":", ":/", "://")):
            break
        root, last = posixpath.split(root)
        rest = f"{last}/{rest}"
    return None


def remedy_of(stage: str) -> str:
    """Return what makes a file of a stage ('clean', 'dedup/candidates') or a command anew, in words."""
    return f"run {stage.partition('/')[0]} again, which makes it anew"


def _shards_of(name: str) -> list[str]:
    """Return the shards whose output a name may be: 'tokens/000000.fold-1.arrow', 'models/000000/config.json'."""
    parts = name.split("/")
    return [parts[-1].partition(".")[0], *parts[1:-1], "000000"]


def _record(path: str, kind: type[Kind]) -> Kind | None:
    """Read a sealed record, remembered while the file stays as it is; None where there is none."""
    version = _version(path)
    if version is None:
        return None
    known = _records.get(path)
    if known is None or known[0] != version:
        with open_read(path) as file:
            data = file.read()
        try:
            known = (version, unseal(data, kind))
        except ValueError as error:
            raise DamageError(f"{path}: damaged ({error}); run what made it again, which makes it anew") from error
        if len(_records) > MOST_REMEMBERED:
            _records.clear()
        _records[path] = known
    found: Kind = known[1]
    return found


def read_checksums(url: str) -> Checksums | None:
    """Return the list of a folder, None where it has none; DamageError where it is not what was written."""
    return _record(f"{url}/{CHECKSUMS}", Checksums)


def read_checked(folder: Folder, name: str) -> bytes:
    """Return the contents of a small file; DamageError where it is not what its record says."""
    check(folder.path(name))
    return folder.read_bytes(name)


def write_checksums(folder: Folder, listed: Checksums) -> None:
    folder.write_bytes(CHECKSUMS, seal(listed))


def _standing(folder: Folder, made_by: str) -> Checksums:
    """Return the list of a folder to change; a new one where there is none or it is damaged."""
    try:
        found = read_checksums(folder.url)
    except DamageError:
        found = None
    return Checksums(made_by=made_by, complete=False) if found is None else found


def write_recorded(folder: Folder, name: str, data: bytes, made_by: str) -> None:
    """Write a small file and enter it in the folder's list. For the one process that leads the work in a folder.

    The old entry goes first: a kill at any moment leaves a file without an entry, never one that looks damaged. A file
    that stands with the same contents is left alone.
    """
    entry = file_of(data)
    if _standing(folder, made_by).files.get(name) == entry and folder.exists(name) and folder.read_bytes(name) == data:
        return
    forget(folder, name)
    folder.write_bytes(name, data)
    listed = _standing(folder, made_by)
    write_checksums(folder, msgspec.structs.replace(listed, files=listed.files | {name: entry}))


def forget(folder: Folder, name: str) -> None:
    """Take a file out of the folder's list."""
    listed = _standing(folder, "")
    if name in listed.files:
        left = {other: file for other, file in listed.files.items() if other != name}
        write_checksums(folder, msgspec.structs.replace(listed, files=left))


def reopen(folder: Folder, made_by: str) -> None:
    """Mark a folder's list, a new one where there is none, as incomplete before a stage changes shards."""
    listed = _standing(folder, made_by)
    left = {name: file for name, file in listed.files.items() if not name.startswith(("commits/", "quarantine/"))}
    write_checksums(folder, msgspec.structs.replace(listed, complete=False, files=left))


def close(folder: Folder, commits: Iterable[Commit], made_by: str) -> None:
    """Enter the commits of a stage that has run, its failures and the lists of its phases, and mark it as complete."""
    listed = _standing(folder, made_by)
    generated = ("commits/", "phases/", "quarantine/")
    files: dict[str, OutputFile] = {
        name: file
        for name, file in listed.files.items()
        if not name.startswith(generated) or (name.startswith("phases/") and not name.endswith(f"/{CHECKSUMS}"))
    }
    files |= {commit.name: file_of(encode_commit(commit)) for commit in commits}
    names = folder.files("quarantine/*.json") + _phase_lists(folder)
    files |= {name: file_of(folder.read_bytes(name)) for name in names}
    changed = Checksums(made_by=made_by, complete=True, step=listed.step, files=files)
    if changed != listed:
        write_checksums(folder, changed)


def _phase_lists(folder: Folder) -> list[str]:
    """Return the lists of the phases of a stage: 'phases/candidates/checksums.json', 'phases/round-1/tokens/...'."""
    phases = [inner for name in folder.files("phases/*") for inner in (name, *folder.files(f"{name}/*"))]
    return [f"{name}/{CHECKSUMS}" for name in phases if folder.exists(f"{name}/{CHECKSUMS}")]


def find_damage(folder: Folder, files: Mapping[str, OutputFile]) -> dict[str, str]:
    """Return what is wrong with files of a folder: name -> words, those that are as recorded left out."""
    found = {name: compare(folder.path(name), file) for name, file in sorted(files.items())}
    return {name: what for name, what in found.items() if what is not None}
