"""Losses are said: documents of shards that were given up are counted, and a run does not go on over them unasked."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from autoclave.errors import RunError
from autoclave.pipelines.running.attempts import Failure
from autoclave.pipelines.running.funnel import StageRow
from autoclave.pipelines.running.stage import StageContext

REMEDY = "mend the cause and run again (finished shards stay), or go on without:"


def note_missing(context: StageContext) -> None:
    """Record shards that came in and that no task of the stage itself has seen, since one of its phases lost them."""
    folder = context.folder
    seen = {commit.shard for commit in context.commits} | {failure.shard for failure in context.failures}
    for shard in context.inputs:
        if shard.name not in seen:
            failure = Failure(shard.name, "a phase before gave it up", documents=shard.documents)
            folder.write_bytes(f"quarantine/{shard.name}.json", msgspec.json.encode(failure))


def refuse_to_go_on(rows: Sequence[StageRow], next_stage: str, option: str) -> None:
    """Raise RunError where a stage so far lost documents and another stage is about to read it; `option` goes on."""
    for row in rows:
        if row.loss is not None:
            raise RunError(f"{row.label}: {row.loss}; stopped before {next_stage}; {REMEDY} {option}")


def nothing_kept(rows: Sequence[StageRow]) -> str | None:
    """Return which stage kept nothing at all, in words; None where each kept something."""
    for row in rows:
        if row.documents_in and not row.kept:
            return f"{row.label}: nothing was kept of {row.documents_in} documents"
    return None if any(row.documents_in for row in rows) else "no document was found in the inputs"
