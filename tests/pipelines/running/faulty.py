"""A stage whose documents say what is to happen: crash, hang, raise, eat memory; for tests of the guards."""

from __future__ import annotations

import ctypes
import errno
import os
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from autoclave.corpus.output import ShardOutput, Verdicts
from autoclave.corpus.schema import make_documents, read_documents
from autoclave.corpus.storage import Folder
from autoclave.pipelines.running.engine import Engine
from autoclave.pipelines.running.guards.settings import GuardSettings
from autoclave.pipelines.running.stage import ShardTask, StageContext, document_shards


class NoSettings(msgspec.Struct, frozen=True, kw_only=True):
    pass


def keep(task: ShardTask, output: ShardOutput) -> None:
    """Keep all documents, but do what their texts say."""
    for path in task.inputs:
        for batch in read_documents(path):
            for text in batch.column("text").to_pylist():
                happen(text)
            output.write(batch, Verdicts.keep_all(batch.num_rows))


def count(task: ShardTask, output: ShardOutput) -> None:
    """A phase: write nothing but how many documents there are, and do what their texts say."""
    for batch in read_documents(task.inputs[0]):
        for text in batch.column("text").to_pylist():
            happen(text)
        output.count("rows", batch.num_rows)


def happen(text: str) -> None:
    if text == "SEGV":
        ctypes.string_at(0)
    elif text == "EXIT":
        os._exit(139)
    elif text == "KILL":
        os.kill(os.getpid(), 9)
    elif text == "HANG":
        while True:
            time.sleep(60)
    elif text == "RAISE":
        raise ValueError("a bug in a filter")
    elif text == "EAT":
        held = []
        while True:
            held.append(b"x" * (16 << 20))
    elif text == "FULL":
        raise OSError(errno.ENOSPC, "No space left on device", "/big/disk/x.parquet")
    elif text == "DOWN":
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")


def stage(
    folder: Path, shards: Sequence[Sequence[str]], engine: Engine, guards: GuardSettings | None = None
) -> StageContext[NoSettings]:
    """Return the context of a stage `faulty` in `folder`, its input shards written and committed."""
    source = Folder(folder / "source")
    for number, texts in enumerate(shards):
        with ShardOutput(source, "source", f"{number:06d}") as output:
            output.write(make_documents(texts, f"s{number}"), Verdicts.keep_all(len(texts)))
            output.commit(f"f{number}", [])
    inputs = document_shards(source)
    return StageContext(
        "faulty", Folder(folder / "faulty"), NoSettings(), 0, engine, inputs=inputs, guards=guards or GuardSettings()
    )
