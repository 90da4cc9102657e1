"""The record that says a shard is done: what went in, what came out, under which settings, with checksums."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import xxhash

from autoclave.corpus.sealed import seal, unseal
from autoclave.corpus.storage import Folder
from autoclave.errors import DamageError

SCHEMA_VERSION = 1
"""Raised whenever stored shards of an older version must not be mixed with new ones; part of every fingerprint."""


class OutputFile(msgspec.Struct, frozen=True):
    """One file that a shard wrote: its size in bytes and its xxh3-128 checksum in hexadecimal."""

    bytes: int
    checksum: str


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """What one shard of one stage did. Written last, atomically: a shard is done when its commit stands and matches."""

    stage: str
    shard: str
    fingerprint: str
    """Of the function, the settings, the seed, the inputs and the schema version: another one means run again."""
    inputs: list[str]
    documents_in: int = 0
    kept: int = 0
    dropped: int = 0
    errors: int = 0
    """Records that could not be read. documents_in = kept + dropped + errors, checked before the commit is written."""
    dropped_by: dict[str, dict[str, int]] = {}
    """filter -> reason -> documents."""
    bytes_in: int = 0
    bytes_kept: int = 0
    """UTF-8 bytes of text (bytes of payload for what the extract stage reads)."""
    counts: dict[str, int] = {}
    """Whatever else the stage counts: edits, tokens, skipped records."""
    notes: dict[str, int] = {}
    """Figures of this shard alone, which do not add up: where in a file it began and stopped."""
    groups: dict[str, dict[str, dict[str, int]]] = {}
    """language, host, source -> its largest values -> filter -> documents dropped, '' -> documents in."""
    seconds: float = 0.0
    autoclave: str = ""
    made: str = ""
    """The version that made the shard, and when (UTC)."""
    outputs: dict[str, OutputFile] = {}
    """Relative name -> file."""

    @property
    def name(self) -> str:
        return commit_name(self.shard)


def commit_name(shard: str) -> str:
    return f"commits/{shard}.json"


def encode_commit(commit: Commit) -> bytes:
    """Return the bytes of a commit's file: JSON with a checksum of its own (sealed.py)."""
    return seal(commit)


def write_commit(folder: Folder, commit: Commit) -> None:
    folder.write_bytes(commit.name, encode_commit(commit))


def read_commit(folder: Folder, shard: str) -> Commit | None:
    """Return the commit of a shard, None where there is none; DamageError where it is not what was written."""
    name = commit_name(shard)
    if not folder.exists(name):
        return None
    try:
        return unseal(folder.read_bytes(name), Commit)
    except ValueError as error:
        raise DamageError(
            f"{folder.path(name)}: damaged ({error}); run the stage again, which makes this shard anew"
        ) from error


def read_commits(folder: Folder) -> Iterator[Commit]:
    """Yield the commits of a stage in shard order; DamageError for one that is not what was written."""
    for name in folder.files("commits/*.json"):
        commit = read_commit(folder, name.removeprefix("commits/").removesuffix(".json"))
        if commit is not None:
            yield commit


def is_done(folder: Folder, commit: Commit | None, fingerprint: str) -> bool:
    """Whether the commit stands, matches the task, and its outputs are there at their recorded sizes.

    What is in them is for `checksums.find_damage` to say.
    """
    if commit is None or commit.fingerprint != fingerprint:
        return False
    return all(folder.size(name) == file.bytes for name, file in commit.outputs.items())


def fingerprint(*parts: Any) -> str:
    """Return the xxh3-128 of the canonical JSON of `parts` and of the schema version, in hexadecimal."""
    canonical = msgspec.json.encode([SCHEMA_VERSION, *parts], order="sorted")
    return xxhash.xxh3_128_hexdigest(canonical)


def merge_counts(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Return the sum of several counters, by name."""
    total: dict[str, int] = {}
    for part in counts:
        for name, value in part.items():
            total[name] = total.get(name, 0) + value
    return dict(sorted(total.items()))
