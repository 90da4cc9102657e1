"""Which shards the extract stage makes of its files: small ones together, large ones in pieces.

Two things a piece cannot know from its own bytes. Lines are numbered from the beginning of the file, so a first phase
counts them. And where a record of a WARC file begins can be mistaken (see `readers/pieces/archives.py`); each piece
says where it began and where it stopped, and one that did not begin where the one before stopped is read again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from autoclave.corpus.commits import Commit
from autoclave.corpus.inputs.account import InputRow
from autoclave.corpus.inputs.splitting import Plan
from autoclave.corpus.output import ShardOutput
from autoclave.corpus.readers.pieces.lines import EDGE_BYTES, count_lines
from autoclave.corpus.readers.pieces.piece import Piece, PieceFacts
from autoclave.corpus.sources import InputFile, Inputs, group_files
from autoclave.corpus.storage import open_read
from autoclave.errors import RunError
from autoclave.pipelines.running.stage import ShardTask, StageContext

LINES = "lines"
PAGE_BYTES = 10_000
"""About what a page takes in an archive."""


@dataclass(frozen=True)
class PlannedShard:
    """The files of one shard; with a piece, the only file and the part of it that the shard is."""

    files: tuple[InputFile, ...]
    piece: Piece | None = None


class _NoSettings(msgspec.Struct, frozen=True):
    """Counting lines depends on the file alone."""


def shard_name(number: int) -> str:
    return f"{number:06d}"


def plan_shards(
    files: Sequence[InputFile], plans: Sequence[Plan], group_bytes: int, group_files_most: int
) -> list[PlannedShard]:
    """Return the shards of sorted files with their plans, by the name of their first file and the place in it."""
    whole = [file for file, plan in zip(files, plans, strict=True) if plan is None or isinstance(plan, str)]
    shards = [PlannedShard(tuple(group)) for group in group_files(whole, group_bytes, group_files_most)]
    for file, plan in zip(files, plans, strict=True):
        if plan is not None and not isinstance(plan, str):
            shards += [PlannedShard((file,), piece) for piece in plan]
    return sorted(shards, key=lambda s: (s.files[0].source, s.files[0].path, s.piece.start if s.piece else 0))


def account(inputs: Inputs, plans: Sequence[Plan], shards: Sequence[PlannedShard]) -> Iterator[InputRow]:
    """Yield what becomes of every file that was found."""
    for one in inputs.left_out:
        yield InputRow(source=one.source, path=one.path, bytes=one.size, left_out=one.reason)
    names: dict[str, list[str]] = {}
    for number, shard in enumerate(shards):
        for file in shard.files:
            names.setdefault(file.path, []).append(shard_name(number))
    for file, plan in zip(inputs.files, plans, strict=True):
        whole = plan if isinstance(plan, str) else None
        yield InputRow(source=file.source, path=file.path, bytes=file.size, shards=names[file.path], whole=whole)


def make_tasks(context: StageContext[Any], shards: Sequence[PlannedShard], page_seconds: float) -> list[ShardTask]:
    """Return the task of each shard; page_seconds: what a page may take, for the time that the shard may."""
    return [
        context.task(
            shard_name(number),
            [file.path for file in shard.files],
            versions=[file.version for file in shard.files],
            masking="own",
            units=len(shard.files) if len(shard.files) > 1 else None,
            allowance=page_seconds * max(len(shard.files), _bytes(shard) / PAGE_BYTES),
            sources=[file.source for file in shard.files],
            piece=shard.piece,
        )
        for number, shard in enumerate(shards)
    ]


def _bytes(shard: PlannedShard) -> int:
    return sum(file.size for file in shard.files) if shard.piece is None else shard.piece.end - shard.piece.start


def number_lines(context: StageContext[Any], shards: Sequence[PlannedShard]) -> list[PlannedShard]:
    """Return the shards with the number of the first line of each piece of lines, counted in a phase of the stage.

    Raises RunError where a piece cannot be counted.
    """
    numbers = [n for n, shard in enumerate(shards) if shard.piece is not None and shard.piece.kind == "jsonl"]
    if not numbers:
        return list(shards)
    tasks = []
    for number in numbers:
        piece, (file,) = shards[number].piece, shards[number].files
        assert piece is not None
        task = context.task(
            shard_name(number), [file.path], phase=LINES, settings=_NoSettings(), versions=[file.version],
            start=piece.start, end=piece.end,
        )  # fmt: skip
        tasks.append(task)
    lines = {
        commit.shard: commit.counts.get(LINES, 0) for commit in context.map_shards(count_shard, tasks, phase=LINES)
    }
    numbered, first, path = list(shards), 0, ""
    for number in numbers:
        piece, (file,) = shards[number].piece, shards[number].files
        assert piece is not None
        if shard_name(number) not in lines:
            raise RunError(
                f"{file.path}: its lines could not be counted; see {context.phase_folder(LINES).url}/quarantine"
            )
        first = first if file.path == path else 0
        numbered[number] = replace(shards[number], piece=msgspec.structs.replace(piece, first=first))
        first, path = first + lines[shard_name(number)], file.path
    return numbered


def count_shard(task: ShardTask, output: ShardOutput) -> None:
    """Count the lines of one piece of a file."""
    path, start, end = task.inputs[0], task.arguments["start"], task.arguments["end"]
    with open_read(path) as file, open_read(path, EDGE_BYTES) as edges:
        output.count(LINES, count_lines(file, start, end, edges))


def settle(shards: Sequence[PlannedShard], commits: Sequence[Commit]) -> list[PlannedShard]:
    """Return the shards, those pieces of WARC files corrected that did not begin where the one before stopped.

    By induction all are right when none is corrected: the first piece begins at byte 0, and reads on until it is at a
    record behind its end. A file with a piece that failed is left as it is behind that.
    """
    facts = {c.shard: PieceFacts(**c.notes) for c in commits if c.notes}
    settled = list(shards)
    path, place, position = "", 0, 0
    for number, shard in enumerate(shards):
        piece, file = shard.piece, shard.files[0]
        if piece is None or piece.kind != "warc":
            continue
        if piece.start == 0:
            path, place, position = file.path, 0, 0
        found = facts.get(shard_name(number))
        if file.path != path or found is None:
            path = ""  # nobody knows where the next piece begins
            continue
        if place >= piece.end:
            if found.began >= 0:
                settled[number] = _corrected(shard, place, position)
            continue
        if found.began != place or found.unplaced:
            settled[number] = _corrected(shard, place, position)
            if found.began != place:
                path = ""  # what follows is known when this has been read again
                continue
        place = found.stopped if found.stopped >= 0 else file.size
        position += found.length
    return settled


def _corrected(shard: PlannedShard, place: int, position: int) -> PlannedShard:
    assert shard.piece is not None
    return replace(shard, piece=msgspec.structs.replace(shard.piece, first=place, position=position))
