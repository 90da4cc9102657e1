"""The stage `clean`: language, transforms and filters over every document, with all signals in the ledger."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import msgspec

from autoclave.cleaning.chain import CleanSettings, files_of
from autoclave.corpus.output import ShardOutput
from autoclave.corpus.schema import read_documents, text_bytes
from autoclave.corpus.storage import content_fingerprint
from autoclave.pipelines.running.stage import ShardTask, Stage, StageContext

if TYPE_CHECKING:
    from autoclave.cleaning.chain import Chain


SETTINGS_FILE = "settings.json"
FILES_FILE = "files.json"
"""Fingerprints of the models and indexes that the stage read, by path."""


@functools.lru_cache(maxsize=4)
def _chain(settings: bytes, files: bytes) -> Chain:
    """Return the chain of encoded settings, kept for the next shard of this worker while its files are the same."""
    from autoclave.cleaning.chain import Chain

    return Chain(msgspec.json.decode(settings, type=CleanSettings))


def clean_shard(task: ShardTask, output: ShardOutput) -> None:
    """Clean the documents of one shard."""
    chain = _chain(msgspec.json.encode(task.settings), msgspec.json.encode(task.arguments.get("files")))
    for path in task.inputs:
        for batch in read_documents(path):
            edited, verdicts = chain.apply(batch)
            for name in chain.transforms:
                output.count(f"{name}_changes", int(verdicts.signals[f"{name}_changes"].to_numpy().sum()))
            output.write(edited, verdicts, bytes_in=text_bytes(batch))


def run_clean(context: StageContext[CleanSettings]) -> None:
    """Clean every shard of the stage before; the settings stay in the stage's folder, for `refilter`."""
    files = {path: content_fingerprint(path) for path in files_of(context.settings)}
    context.folder.write_bytes(SETTINGS_FILE, msgspec.json.format(msgspec.json.encode(context.settings)))
    context.folder.write_bytes(FILES_FILE, msgspec.json.encode(files))
    contents = {"files": sorted(files.values())} if files else {}  # a job's folder may lie elsewhere each time
    context.map_shards(clean_shard, context.document_tasks(**contents))


STAGE = Stage("clean", CleanSettings, run_clean)

if __name__ == "__main__":
    from autoclave.pipelines.running.job import main

    main("clean")
