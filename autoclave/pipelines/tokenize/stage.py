"""The tokenize stage: a tokenizer (trained on a sample, or given), then token shards and their manifest.

Output beside the usual folders: `tokens/<shard>.arrow`, `tokens/tokenizer.json`, and `tokens/manifest.json`, which is
written last. Phases: strata (how much text of each kind there is), sample, train; then the stage itself encodes.
"""

from __future__ import annotations

import contextlib
import functools
import os
import posixpath
import tempfile
from collections.abc import Iterator, Mapping, Sequence

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from autoclave.corpus.commits import Commit, merge_counts
from autoclave.corpus.output import ShardOutput, Verdicts
from autoclave.corpus.schema import read_documents
from autoclave.corpus.storage import Folder, open_read
from autoclave.errors import RecipeError
from autoclave.pipelines.running.engine import make_engine
from autoclave.pipelines.running.stage import DocumentShard, ShardTask, Silent, Stage, StageContext
from autoclave.tokenize.encoding import Encoder
from autoclave.tokenize.shards import (
    MANIFEST,
    TOKENIZER,
    Manifest,
    ShardEntry,
    TokenMeaning,
    TokenShardWriter,
    write_manifest,
)
from autoclave.tokenize.training import TokenizerSettings, train_tokenizer, truncate_text

TOKENS = "tokens"
"""Folder of the token shards, below the stage's own."""


class SampleSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which text the tokenizer is trained on."""

    size: int = 200_000_000
    """Bytes of text, about; all of it where the corpus is smaller."""
    exponent: float = 0.7
    """A language and source with b bytes gets a share in proportion to b ** exponent: 1 samples as the corpus is, 0
    gives all the same. 0.7 is the smoothing of multilingual BERT: small languages are lifted, large ones still lead."""
    document_size: int = 65_536
    """Bytes taken of one document at most, so that no single file decides the vocabulary."""

    def __post_init__(self) -> None:
        if self.size < 1 or self.document_size < 1 or not 0 <= self.exponent <= 1:
            raise ValueError("sample: size and document_size are at least 1, exponent is between 0 and 1")


class TokenizeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of the tokenize stage."""

    tokenizer: str | None = None
    """A tokenizer.json to use; none: train one on this corpus."""
    training: TokenizerSettings = TokenizerSettings()
    """What the trained vocabulary is made of."""
    sample: SampleSettings = SampleSettings()
    """Which text it is trained on."""


def run_tokenize(context: StageContext[TokenizeSettings]) -> None:
    """Run the stage: find or train the tokenizer, encode every shard, write the manifest."""
    settings = context.settings
    tokens = context.folder.child(TOKENS)
    tokens.remove(MANIFEST)
    encoder = Encoder.open(settings.tokenizer) if settings.tokenizer else train_on(context, context.inputs, settings)
    tokens.write_bytes(TOKENIZER, encoder.json.encode())
    tasks = context.document_tasks(tokenizer=encoder.fingerprint, _tokenizer=tokens.path(TOKENIZER))
    commits = context.map_shards(encode_shard, tasks)
    manifest = finish(context.folder, encoder, commits)
    context.results |= {
        "tokens": manifest.tokens,
        "vocabulary": encoder.vocabulary_size,
        "bytes per token": round(manifest.text_bytes / max(1, manifest.tokens), 3),
    }


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
        msgspec.json.decode(folder.read_bytes(f"entries/{commit.shard}.json"), type=ShardEntry) for commit in commits
    ]
    return write_manifest(folder.child(TOKENS), meaning_of(encoder), entries)


def train_on(
    context: StageContext[TokenizeSettings], shards: Sequence[DocumentShard], settings: TokenizeSettings
) -> Encoder:
    """Return a tokenizer trained on a sample of the shards, stratified by language and source."""
    tasks = [context.task(s.name, [s], phase="strata", settings=settings.sample) for s in shards]
    measured = context.map_shards(measure_shard, tasks, phase="strata")
    rates = sampling_rates(merge_counts([commit.counts for commit in measured]), settings.sample)
    tasks = [context.task(s.name, [s], phase="sample", settings=settings.sample, rates=rates) for s in shards]
    sampled = context.map_shards(sample_shard, tasks, phase="sample")
    folder = context.phase_folder("sample")
    samples = [
        DocumentShard(commit.shard, folder.path(name), file.checksum, 0)
        for commit in sampled
        for name, file in commit.outputs.items()
    ]
    task = context.task("tokenizer", samples, phase="train", settings=settings.training)
    context.map_shards(train_shard, [task], phase="train")
    return Encoder.open(context.phase_folder("train").path(TOKENIZER))


def strata(batch: pa.RecordBatch) -> list[str]:
    """Return the stratum of each document: its language and the folder of its source."""
    pairs = zip(batch.column("language").to_pylist(), batch.column("source").to_pylist(), strict=True)
    return [f"{language or 'unknown'} {posixpath.dirname(source)}".rstrip() for language, source in pairs]


def measure_shard(task: ShardTask, output: ShardOutput) -> None:
    """Count the bytes that each stratum could give to the sample."""
    for batch in read_documents(task.inputs[0], ["text", "language", "source"]):
        lengths = pc.binary_length(batch.column("text")).to_numpy()
        for stratum, length in zip(strata(batch), np.minimum(lengths, task.settings.document_size), strict=True):
            output.count(stratum, int(length))


def sampling_rates(sizes: Mapping[str, int], settings: SampleSettings) -> dict[str, float]:
    """Return the share of the documents of each stratum (name -> bytes) to take, so that about `settings.size` bytes
    come together: in proportion to bytes ** exponent; what a stratum is too small to give, the others do."""
    rates: dict[str, float] = {}
    left = {name: float(size) for name, size in sorted(sizes.items()) if size}
    budget = float(settings.size)
    while left:
        weight = {name: size**settings.exponent for name, size in left.items()}
        unit = budget / sum(weight.values())
        whole = [name for name, size in left.items() if size <= unit * weight[name]]
        if not whole:
            return rates | {name: unit * weight[name] / size for name, size in left.items()}
        for name in whole:
            rates[name] = 1.0
            budget -= left.pop(name)
    return rates


def sample_shard(task: ShardTask, output: ShardOutput) -> None:
    """Write the texts of the documents that are drawn: those whose id hashes below the rate of their stratum."""
    rates = task.arguments["rates"]
    schema = pa.schema([pa.field("text", pa.string())])
    with (
        output.open(f"texts/{task.shard}.arrow") as file,
        pa.ipc.new_stream(file, schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer,
    ):
        for batch in read_documents(task.inputs[0], ["doc_id", "text", "language", "source"]):
            points = [
                xxhash.xxh3_64_intdigest(b"tokenizer sample" + doc_id, task.seed) / 2**64
                for doc_id in batch.column("doc_id").to_pylist()
            ]
            drawn = [point < rates.get(stratum, 0.0) for point, stratum in zip(points, strata(batch), strict=True)]
            texts = batch.column("text").filter(pa.array(drawn, pa.bool_())).to_pylist()
            texts = [truncate_text(text, task.settings.document_size) for text in texts]
            writer.write_batch(pa.RecordBatch.from_arrays([pa.array(texts, pa.string())], schema=schema))


def train_shard(task: ShardTask, output: ShardOutput) -> None:
    """Train the tokenizer on the sampled texts."""

    def texts() -> Iterator[str]:
        for path in task.inputs:
            with open_read(path) as file, pa.ipc.open_stream(file) as reader:
                for batch in reader:
                    yield from batch.column("text").to_pylist()

    with output.open(TOKENIZER) as file:
        file.write(train_tokenizer(texts, task.settings).encode())


def train_tokenizer_file(documents: str, out: str, *, vocab_size: int, seed: int = 0) -> None:
    """Train a tokenizer on the documents of a folder and write it to the file `out`.

    Raises InputError where the folder holds no documents, RecipeError where the vocabulary is too small.
    """
    from autoclave.pipelines.running.standalone import open_documents_folder  # not needed by workers

    settings = TokenizeSettings(training=TokenizerSettings(vocabulary_size=vocab_size))
    engine = make_engine("local", None)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            context = StageContext("tokenizer", Folder(scratch), settings, seed, engine)
            shards = open_documents_folder(documents, context.folder, engine, Silent())
            encoder = train_on(context, shards, settings)
    finally:
        engine.close()
    parent, _, name = out.rpartition("/")
    Folder(parent or ".").write_bytes(name, encoder.json.encode())


STAGE = Stage("tokenize", TokenizeSettings, run_tokenize, writes="tokens")
