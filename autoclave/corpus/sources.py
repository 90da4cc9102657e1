"""From what a person names (files, folders, globs, path lists, s3://...) to input files, and those to shards."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from autoclave.corpus.inputs.left_out import LeftOut, dataset_caches, describe, reason_by_name, reason_in_folder
from autoclave.corpus.inputs.path_lists import path_list_of, read_path_list
from autoclave.corpus.readers.detect import format_of_name
from autoclave.corpus.storage import filesystem, version_of
from autoclave.errors import InputError

SMALL_FILE_BYTES = 64 << 10
GLOB_SIGNS = frozenset("*?[")
LOOKUPS = 32
"""Files of a path list that are looked up at a time."""


@dataclass(frozen=True)
class InputFile:
    """One file to read: its path or URL, its name in doc_ids and ledgers, its size in bytes as stored.

    version tells one content of the file from another (see `input_fingerprint`).
    """

    path: str
    source: str
    size: int
    version: str = ""

    @property
    def is_small(self) -> bool:
        """Whether the file is one page, or so little that a shard of its own would be waste."""
        return self.size < SMALL_FILE_BYTES or format_of_name(self.source) in ("html", "text")


@dataclass
class Inputs:
    """Every file that was named or found: those to read and those left out, both sorted by source name."""

    files: list[InputFile] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


@dataclass(frozen=True)
class _Found:
    """A file that an argument names: as its filesystem describes it, its relative name, why it is not read or None."""

    fs: fsspec.AbstractFileSystem
    info: dict[str, Any]
    relative: str
    reason: str | None = None

    @property
    def url(self) -> str:
        name = str(self.info["name"])
        return name if isinstance(self.fs, LocalFileSystem) else str(self.fs.unstrip_protocol(name))

    @property
    def size(self) -> int:
        return int(self.info["size"] or 0)


def resolve_inputs(arguments: Sequence[str]) -> list[InputFile]:
    """Return the files to read of `find_inputs`; raises InputError as it does."""
    return find_inputs(arguments).files


def find_inputs(arguments: Sequence[str], paths_base: str | None = None) -> Inputs:
    """Return every file that the arguments name or hold, once each, those that are not read with the reason.

    A file is taken whatever its name, but where the name says what is never read (`left_out.REASONS`). A folder gives
    the files below it whose names promise a known format (plain text and single `.json` files are left out: name them
    to have them). A glob gives what it matches, `**` crossing folders. A path list (`*.paths`, `*.paths.gz`, or any
    file as `@FILE`) gives the files that it names, relative ones below `paths_base` (see `read_path_list`). The source
    name of a file is its path below the named folder (below the fixed part of a glob, below the base of a list), so
    that a corpus that moves keeps its doc_ids; where two files would get the same one, both go by their full path.

    Raises InputError where an argument names nothing, where no file is to be read, and for a name that is not UTF-8.
    """
    found: dict[str, _Found] = {}
    for argument in arguments:
        expanded = list(_expand(argument, paths_base))
        for file in expanded:
            url = file.url
            if not url.isprintable() and any("\ud800" <= sign <= "\udfff" for sign in url):
                raise InputError(f"{url!a}: the name is not UTF-8, and ledgers name files in it; rename the file")
            if url not in found or (found[url].reason is not None and file.reason is None):
                found[url] = file
        if not expanded:
            raise InputError(f"{argument}: no file here")
    names = Counter(file.relative for file in found.values())
    inputs = Inputs(left_out=sorted(_left_out(found.values()), key=lambda file: (file.source, file.path)))
    for url, file in found.items():
        if file.reason is None:
            source = file.relative if names[file.relative] == 1 else url
            inputs.files.append(InputFile(url, source, file.size, version_of(file.info)))
    inputs.files.sort(key=lambda file: (file.source, file.path))
    if found and not inputs.files:
        named = ", ".join(arguments[:3]) + (", ..." if len(arguments) > 3 else "")
        what = describe(inputs.left_out)
        raise InputError(f"{named}: no WARC, ARC, WACZ, HTML, JSONL, Parquet or Arrow file: {what}")
    return inputs


def _left_out(found: Iterable[_Found]) -> list[LeftOut]:
    return [LeftOut(file.url, file.relative, file.size, file.reason) for file in found if file.reason is not None]


def _expand(argument: str, paths_base: str | None) -> Iterator[_Found]:
    """Yield the files that one argument names."""
    fs, path = filesystem(argument)
    if GLOB_SIGNS & set(argument) and not fs.exists(path):
        root = _fixed_part(path)
        infos = [info for info in fs.glob(path, detail=True).values() if info["type"] == "file"]
        if not infos:
            raise InputError(f"{argument}: no file matches this pattern")
        for info in infos:
            yield _Found(fs, info, posixpath.relpath(info["name"], root), reason_by_name(info["name"]))
        return
    paths = path_list_of(argument)
    if paths is not None and not (paths != argument and fs.exists(path)):
        yield from _expand_list(paths, paths_base)
        return
    try:
        info = fs.info(path)
    except FileNotFoundError as error:
        raise InputError(f"{argument}: no such file or folder") from error
    if info["type"] == "file":
        yield _Found(fs, info, posixpath.basename(info["name"]), reason_by_name(info["name"]))
        return
    inside = fs.find(path, detail=True)
    caches = dataset_caches(fs, inside)
    for name, info in inside.items():
        relative = posixpath.relpath(info["name"], path)
        yield _Found(fs, info, relative, "dataset_cache" if name in caches else reason_in_folder(relative))


def _expand_list(url: str, base: str | None) -> Iterator[_Found]:
    """Yield the files that a path list names; those that are not there are left out."""
    listed = read_path_list(url, base)

    def look_up(path: str) -> tuple[fsspec.AbstractFileSystem, dict[str, Any] | None]:
        fs, inner = filesystem(path)
        try:
            info = fs.info(inner)
        except FileNotFoundError:
            return fs, None
        return fs, info if info["type"] == "file" else None

    with ThreadPoolExecutor(LOOKUPS) as pool:
        for one, (fs, info) in zip(listed, pool.map(look_up, [one.url for one in listed]), strict=True):
            if info is None:
                yield _Found(fs, {"name": one.url, "size": 0}, one.source, "missing")
            else:
                yield _Found(fs, info, one.source, reason_by_name(one.url))


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
