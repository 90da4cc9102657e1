"""What stands of an earlier run of a stage: shards that match and are not damaged, and need not be done again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from autoclave.corpus import checksums
from autoclave.corpus.commits import Commit, read_commit
from autoclave.corpus.storage import Folder
from autoclave.errors import DamageError
from autoclave.pipelines.running.attempts import Resources
from autoclave.pipelines.running.engine import Engine, InProcessEngine

IN_PROCESS_BYTES = 256 << 20
"""Outputs of an earlier run up to this size are read to their checksums in the leading process, others by workers."""

Tell = Callable[[str], None]


def standing_commit(folder: Folder, shard: str) -> Commit | None:
    """Return the commit of a shard; None where there is none, or where it is damaged and the shard must be redone."""
    try:
        return read_commit(folder, shard)
    except DamageError:
        return None


def find_standing(folder: Folder, tasks: Sequence[Any], engine: Engine, tell: Tell) -> dict[str, Commit]:
    """Return the commits, by shard, that match their task (a ShardTask) and whose outputs are as committed.

    Tells of every other matching one what is wrong with it, and removes it.
    """
    found: dict[str, Commit] = {}
    for task in tasks:
        try:
            commit = read_commit(folder, task.shard)
        except DamageError as error:
            tell(str(error))
            continue
        if commit is not None and commit.fingerprint == task.fingerprint:
            found[task.shard] = commit
    matching = [task for task in tasks if task.shard in found]
    size = sum(file.bytes for commit in found.values() for file in commit.outputs.values())
    reading = engine if size > IN_PROCESS_BYTES else InProcessEngine()
    for outcome in reading.map_shards(_damaged_part, matching, Resources()) if matching else ():
        shard = matching[outcome.index].shard
        damaged = {} if outcome.commit is None else checksums.find_damage(folder, outcome.commit.outputs)
        if outcome.failure is not None:
            damaged[shard] = outcome.failure.message
        for name, what in damaged.items():
            tell(f"shard {shard} is made anew: {folder.path(name)}: {what}")
        if damaged:
            folder.remove(found.pop(shard).name)
    return found


def _damaged_part(task: Any) -> Commit:
    """Read the outputs of a committed shard; returns its commit with the outputs alone that are not as committed."""
    folder = Folder(task.folder)
    standing = read_commit(folder, task.shard)
    assert standing is not None
    damaged = checksums.find_damage(folder, standing.outputs)
    return msgspec.structs.replace(standing, outputs={name: standing.outputs[name] for name in damaged})


def forget_others(folder: Folder, shards: set[str]) -> None:
    """Remove what an earlier run left of shards that no longer exist (the inputs changed)."""
    for name in folder.files("commits/*.json"):
        shard = name.removeprefix("commits/").removesuffix(".json")
        if shard not in shards:
            commit = standing_commit(folder, shard)
            for output in (name, *(commit.outputs if commit is not None else ())):
                folder.remove(output)
    for name in folder.files("quarantine/*.json"):
        if name.removeprefix("quarantine/").removesuffix(".json") not in shards:
            folder.remove(name)
