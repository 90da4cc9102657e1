"""The account of a stage's inputs, `inputs.jsonl` in its folder: every file found, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from autoclave.corpus.checksums import check
from autoclave.corpus.storage import Folder

ACCOUNT = "inputs.jsonl"


class InputRow(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One file that was named or found."""

    source: str
    """Its name in doc_ids and ledgers."""
    path: str
    bytes: int
    """Its size as stored."""
    shards: list[str] = []
    """The shards that read it; none where it is left out."""
    left_out: str | None = None
    """Why it is not read (`left_out.REASONS`)."""
    whole: str | None = None
    """Why it is one shard though it is larger than split_bytes."""


class InputCounts(msgspec.Struct, kw_only=True):
    """How many files were found; found = read + those left out by reason. split: files that are several shards."""

    found: int = 0
    read: int = 0
    left_out: dict[str, int] = {}
    split: int = 0
    whole: dict[str, int] = {}
    """Why large files are not split, and how many."""


def account_bytes(rows: Iterable[InputRow]) -> bytes:
    """Return the contents of a stage's account, in the order of the files' names."""
    ordered = sorted(rows, key=lambda row: (row.source, row.path))
    return b"".join(msgspec.json.encode(row) + b"\n" for row in ordered)


def read_account(folder: Folder) -> Iterator[InputRow]:
    """Yield the rows of a stage's account; none where it has none."""
    if not folder.exists(ACCOUNT):
        return
    check(folder.path(ACCOUNT))
    with folder.open_read(ACCOUNT) as file:
        for line in file:
            yield msgspec.json.decode(line, type=InputRow)


def count_inputs(folder: Folder) -> InputCounts | None:
    """Return the counts of a stage's account; None where it has none."""
    if not folder.exists(ACCOUNT):
        return None
    counts = InputCounts()
    for row in read_account(folder):
        counts.found += 1
        counts.read += row.left_out is None
        counts.split += len(row.shards) > 1
        if row.left_out is not None:
            counts.left_out[row.left_out] = counts.left_out.get(row.left_out, 0) + 1
        if row.whole is not None:
            counts.whole[row.whole] = counts.whole.get(row.whole, 0) + 1
    return counts
