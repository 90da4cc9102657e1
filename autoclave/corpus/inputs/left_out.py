"""Files that are found and not read, each with the reason."""

from __future__ import annotations

import json
import posixpath
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import fsspec

from autoclave.corpus.readers.detect import COMPRESSIONS, format_of_name
from autoclave.corpus.storage import PARTIAL

REASONS: Mapping[str, str] = {
    "hidden": "hidden or unfinished: a name that begins with a dot, or holds .partial",
    "unknown": "no known format by its name; name the file itself to have its content looked at",
    "text": "plain text in a folder is rather notes than documents; name it, or a glob, to have it read",
    "json": "a single .json in a folder is rather settings than documents; name it, or a glob, to have it read",
    "path_list": "a list of paths in a folder; name it to have the files read that it names",
    "missing": "named by a path list, and not there; is paths_base right?",
    "csv": "CSV and TSV are not read; make Parquet or JSONL of it, as with pandas.read_csv(...).to_parquet(...)",
    "wat": "WAT files hold metadata of pages and no text; give the WARC or the WET files of the same crawl",
    "index": "an index of archives, which holds no documents",
    "archive": "archives of files are not read (but WACZ); unpack it and name the folder",
    "compression": "its compression is not read; write it as gzip, zstd, lz4, bzip2 or xz",
    "dataset_info": "describes an Arrow dataset, whose data files are read",
    "dataset_cache": "beside an Arrow dataset and no part of it, by its state.json",
}
"""Why files are left out: the name of the reason, and what to tell a person."""

_SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "csv": (".csv", ".tsv"),
    "wat": (".wat",),
    "index": (".cdx", ".cdxj"),
    "archive": (".zip", ".tar", ".tgz", ".7z", ".rar"),
    "compression": (".z", ".lzma", ".lzo", ".lz", ".sz", ".snappy", ".br"),
}
_DATASET_FILES = ("state.json", "dataset_info.json", "dataset_dict.json")
PATH_LIST = ".paths"


@dataclass(frozen=True)
class LeftOut:
    """A file that is not read: its path or URL, its name as for files that are, its size in bytes, a key of REASONS."""

    path: str
    source: str
    size: int
    reason: str


def reason_by_name(name: str) -> str | None:
    """Return why a file is not read even where a person names it; None where it is."""
    bare = bare_name(name)
    return next((reason for reason, suffixes in _SUFFIXES.items() if bare.endswith(suffixes)), None)


def reason_in_folder(relative: str) -> str | None:
    """Return why a file that was found in a folder is not read, by its path in it; None where it is."""
    if any(part.startswith(".") for part in relative.split("/")) or PARTIAL in relative:
        return "hidden"
    if posixpath.basename(relative) in _DATASET_FILES:
        return "dataset_info"
    if bare_name(relative).endswith(PATH_LIST):
        return "path_list"
    form = format_of_name(relative)
    if form == "jsonl" and relative.lower().endswith(".json"):
        return "json"
    return "text" if form == "text" else reason_by_name(relative) or (None if form else "unknown")


def bare_name(name: str) -> str:
    """A name in lower case without the endings of compression."""
    name = name.lower()
    for suffix in COMPRESSIONS:
        name = name.removesuffix(suffix)
    return name


def dataset_caches(fs: fsspec.AbstractFileSystem, names: Iterable[str]) -> set[str]:
    """Return which of the files are Arrow files beside a saved dataset that its `state.json` does not list.

    `datasets` keeps there what it computes (cache-*.arrow). Where a state.json lists nothing, all are its files.
    """
    found = set(names)
    caches: set[str] = set()
    for state in (name for name in found if posixpath.basename(name) == "state.json"):
        folder = posixpath.dirname(state)
        arrow = {name for name in found if posixpath.dirname(name) == folder and name.endswith(".arrow")}
        listed = _listed_files(fs.cat_file(state)) if arrow else set()
        if listed:
            caches |= {name for name in arrow if posixpath.basename(name) not in listed}
    return caches


def _listed_files(state: bytes) -> set[str]:
    try:
        files: Any = json.loads(state)["_data_files"]
        return {str(file["filename"]) for file in files}
    except (ValueError, KeyError, TypeError):
        return set()


def describe(left_out: Iterable[LeftOut]) -> str:
    """Return in one line how many files were left out for which reasons: '2 csv (CSV and ...); 1 unknown (...)'."""
    counts = Counter(file.reason for file in left_out)
    return "; ".join(f"{number} {reason} ({REASONS[reason]})" for reason, number in sorted(counts.items()))
