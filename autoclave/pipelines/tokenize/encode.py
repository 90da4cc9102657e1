"""Encoding: one shard of documents becomes one token shard, and the shards together their manifest."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator, Sequence

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from autoclave.corpus.checksums import CHECKSUMS, close, read_checked, write_recorded
from autoclave.corpus.commits import Commit
from autoclave.corpus.output import ShardOutput, Verdicts
from autoclave.corpus.schema import read_documents
from autoclave.corpus.storage import Folder
from autoclave.errors import RecipeError
from autoclave.pipelines.running.stage import ShardTask
from autoclave.tokenize.encoding import Encoder
from autoclave.tokenize.shards import Manifest, ShardEntry, TokenMeaning, TokenShardWriter, write_manifest

TOKENS = "tokens"
"""Folder of the token shards, below the stage's own."""


def meaning_of(encoder: Encoder) -> TokenMeaning:
    """Return what the ids of `encoder` mean, as token shards record it."""
    return TokenMeaning(encoder.fingerprint, encoder.vocabulary_size, encoder.bos_id, encoder.eos_id)


def encode_shard(task: ShardTask, output: ShardOutput) -> None:
    """Encode one shard of documents; its ledger has the number of tokens of each."""
    encoder = _encoder(task.arguments["_tokenizer"], task.arguments["tokenizer"])
    name = f"{task.shard}.arrow"
    with output.open(f"{TOKENS}/{name}") as file, one_thread():
        writer = TokenShardWriter(file, meaning_of(encoder))
        for batch in read_documents(task.inputs[0]):
            ids = encoder.encode_arrow(batch.column("text"))
            lengths = pc.binary_length(batch.column("text")).cast(pa.int32())
            writer.write(batch.column("doc_id"), ids, lengths)
            counts = pc.list_value_length(ids)
            output.write(batch, Verdicts.keep_all(batch.num_rows, {"tokens": counts}), store=False)
            output.count("tokens", pc.sum(counts).as_py() or 0)
        writer.close()
        entry = writer.entry(name, file.size, file.checksum)
    with output.open(f"entries/{task.shard}.json") as file:
        file.write(msgspec.json.encode(entry))


@functools.lru_cache(maxsize=2)
def _encoder(path: str, fingerprint: str) -> Encoder:
    """A worker keeps its tokenizer from shard to shard; `fingerprint` keeps it from taking another one's."""
    encoder = Encoder.open(path)
    if encoder.fingerprint != fingerprint:
        raise RecipeError(f"{path}: the tokenizer changed while the stage ran; run it again")
    return encoder


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Keep the tokenizers library to this thread: the engine already runs a shard a core."""
    name = "TOKENIZERS_PARALLELISM"
    before = os.environ.get(name)
    os.environ[name] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def finish(folder: Folder, encoder: Encoder, commits: Sequence[Commit]) -> Manifest:
    """Write the manifest of the committed shards, in shard order."""
    entries = [
        msgspec.json.decode(read_checked(folder, f"entries/{commit.shard}.json"), type=ShardEntry) for commit in commits
    ]
    tokens = folder.child(TOKENS)
    manifest = write_manifest(tokens, meaning_of(encoder), entries)
    close(tokens, [], "tokenize")
    name = f"{TOKENS}/{CHECKSUMS}"
    write_recorded(folder, name, folder.read_bytes(name), "tokenize")
    return manifest
