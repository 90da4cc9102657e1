"""From what a person names (files, folders, globs, s3://...) to a sorted list of input files, and those to shards."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import fsspec
from fsspec.implementations.local import LocalFileSystem

from autoclave.corpus.readers.detect import format_of_name
from autoclave.corpus.storage import PARTIAL, filesystem
from autoclave.errors import InputError

SMALL_FILE_BYTES = 64 << 10
GLOB_SIGNS = frozenset("*?[")


@dataclass(frozen=True)
class InputFile:
    """One file to read: its path or URL, its name in doc_ids and ledgers, its size in bytes as stored."""

    path: str
    source: str
    size: int

    @property
    def is_small(self) -> bool:
        """Whether the file is one page, or so little that a shard of its own would be waste."""
        return self.size < SMALL_FILE_BYTES or format_of_name(self.source) in ("html", "text")


def resolve_inputs(arguments: Sequence[str]) -> list[InputFile]:
    """Return every file that the arguments name, once each, sorted by source name.

    A file is taken whatever its name. A folder gives the files below it whose names promise a known format (hidden
    and unfinished files, plain text and single `.json` files are left; name them to have them). A glob gives what it
    matches, `**` crossing folders. The source name of a file is its path below the named folder (below the fixed part
    of a glob), so that a corpus that moves keeps its doc_ids; where two files would get the same one, both go by
    their full path.

    Raises InputError where an argument names nothing, and for a file whose name is not UTF-8.
    """
    found: dict[str, tuple[str, int]] = {}
    for argument in arguments:
        fs, path = filesystem(argument)
        named = _expand(fs, path, argument)
        for full, relative, size in named:
            url = full if isinstance(fs, LocalFileSystem) else fs.unstrip_protocol(full)
            if not url.isprintable() and any("\ud800" <= sign <= "\udfff" for sign in url):
                raise InputError(f"{url!a}: the name is not UTF-8, and ledgers name files in it; rename the file")
            found.setdefault(url, (relative, size))
    names = Counter(relative for relative, _ in found.values())
    files = [InputFile(url, relative if names[relative] == 1 else url, size) for url, (relative, size) in found.items()]
    return sorted(files, key=lambda file: (file.source, file.path))


def _expand(fs: fsspec.AbstractFileSystem, path: str, argument: str) -> list[tuple[str, str, int]]:
    """Return (path, path below the named root, size) of the files that one argument names."""
    if GLOB_SIGNS & set(argument) and not fs.exists(path):
        root = _fixed_part(path)
        matches = fs.glob(path, detail=True)
        infos = [info for info in matches.values() if info["type"] == "file"]
        if not infos:
            raise InputError(f"{argument}: no file matches this pattern")
        return [(info["name"], posixpath.relpath(info["name"], root), int(info["size"])) for info in infos]
    try:
        info = fs.info(path)
    except FileNotFoundError as error:
        raise InputError(f"{argument}: no such file or folder") from error
    if info["type"] == "file":
        return [(info["name"], posixpath.basename(info["name"]), int(info["size"]))]
    infos = [info for info in fs.find(path, detail=True).values() if _is_walked(posixpath.relpath(info["name"], path))]
    if not infos:
        raise InputError(f"{argument}: no WARC, WET, ARC, HTML, JSONL or Parquet file in this folder")
    return [(info["name"], posixpath.relpath(info["name"], path), int(info["size"])) for info in infos]


def _is_walked(relative: str) -> bool:
    parts = relative.split("/")
    if any(part.startswith(".") for part in parts) or PARTIAL in relative:
        return False
    form = format_of_name(relative)
    if form == "jsonl" and relative.lower().endswith(".json"):
        return False
    return form is not None and form != "text"


def _fixed_part(pattern: str) -> str:
    """The folders of a glob before its first wildcard."""
    fixed = []
    for part in pattern.split("/")[:-1]:
        if GLOB_SIGNS & set(part):
            break
        fixed.append(part)
    return "/".join(fixed) or "/"


def group_files(files: Sequence[InputFile], group_bytes: int, group_size: int) -> list[list[InputFile]]:
    """Distribute sorted input files over shards: large files alone, small ones together in their order.

    A group is closed before it would exceed `group_bytes` bytes as stored or `group_size` files. Shards are ordered
    by the name of their first file. The result depends on nothing but the arguments.
    """
    groups: list[list[InputFile]] = []
    small: list[InputFile] = []
    size = 0
    for file in files:
        if not file.is_small:
            groups.append([file])
            continue
        if small and (size + file.size > group_bytes or len(small) >= group_size):
            groups.append(small)
            small, size = [], 0
        small.append(file)
        size += file.size
    if small:
        groups.append(small)
    return sorted(groups, key=lambda group: (group[0].source, group[0].path))
