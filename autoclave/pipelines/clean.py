"""The stage `clean`: language, transforms and filters over every document, with all signals in the ledger."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from autoclave.cleaning.chain import CleanSettings, files_of
from autoclave.corpus.output import ShardOutput, Verdicts
from autoclave.corpus.schema import read_documents, text_bytes
from autoclave.corpus.storage import content_fingerprint
from autoclave.pipelines.running.stage import ShardTask, Stage, StageContext

if TYPE_CHECKING:
    from autoclave.cleaning.chain import Chain


SETTINGS_FILE = "settings.json"
FILES_FILE = "files.json"
"""Fingerprints of the models and indexes that the stage read, by path."""

EMPTY, SIZE = "empty", "text_bytes"
"""Filter and signal of documents that edits left no text of, or that came without."""


@functools.lru_cache(maxsize=4)
def _chain(settings: bytes, files: bytes) -> Chain:
    """Return the chain of encoded settings, kept for the next shard of this worker while its files are the same."""
    from autoclave.cleaning.chain import Chain

    return Chain(msgspec.json.decode(settings, type=CleanSettings))


def written_bytes(text: pa.StringArray) -> pa.Array:
    """Return the UTF-8 bytes of each text, int64 [rows], 0 for one that is nothing but white space."""
    blank = pc.utf8_is_space(text)
    return pc.if_else(blank, 0, pc.binary_length(text)).cast(pa.int64())


def drop_empty(verdicts: Verdicts, sizes: pa.Array) -> Verdicts:
    """Return the verdicts with the signal `text_bytes`, and with documents of 0 bytes dropped by the filter `empty`.

    It goes before all other filters: what these measure on no text says nothing of the document. sizes: int64 [rows],
    of `written_bytes`.
    """
    empty = pc.equal(sizes, 0)
    return Verdicts(
        verdicts.kept & ~empty.to_numpy(zero_copy_only=False),
        pc.if_else(empty, EMPTY, pa.array(verdicts.filter, pa.string())),
        pc.if_else(empty, SIZE, pa.array(verdicts.reason, pa.string())),
        {**verdicts.signals, SIZE: sizes},
        verdicts.duplicate_of,
    )


def clean_shard(task: ShardTask, output: ShardOutput) -> None:
    """Clean the documents of one shard."""
    chain = _chain(msgspec.json.encode(task.settings), msgspec.json.encode(task.arguments.get("files")))
    for path in task.inputs:
        for batch in read_documents(path):
            edited, verdicts = chain.apply(batch)
            verdicts = drop_empty(verdicts, written_bytes(edited.column("text")))
            for name in chain.transforms:
                output.count(f"{name}_changes", int(verdicts.signals[f"{name}_changes"].to_numpy().sum()))
            output.write(edited, verdicts, bytes_in=text_bytes(batch))


def run_clean(context: StageContext[CleanSettings]) -> None:
    """Clean every shard of the stage before; the settings stay in the stage's folder, for `refilter`."""
    files = {path: content_fingerprint(path) for path in files_of(context.settings)}
    context.write_file(SETTINGS_FILE, msgspec.json.format(msgspec.json.encode(context.settings)))
    context.write_file(FILES_FILE, msgspec.json.encode(files))
    contents = {"files": sorted(files.values())} if files else {}  # a job's folder may lie elsewhere each time
    context.map_shards(clean_shard, context.document_tasks(**contents))


STAGE = Stage("clean", CleanSettings, run_clean)

if __name__ == "__main__":
    from autoclave.pipelines.running.job import main

    main("clean")
