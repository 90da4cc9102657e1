"""The tokenizer's training: a sample of the corpus, stratified by language and source, and what is learned from it."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from autoclave.corpus.commits import merge_counts
from autoclave.corpus.output import ShardOutput
from autoclave.corpus.schema import read_documents
from autoclave.corpus.storage import open_read
from autoclave.pipelines.running.stage import DocumentShard, ShardTask, StageContext
from autoclave.tokenize.encoding import Encoder
from autoclave.tokenize.shards import TOKENIZER
from autoclave.tokenize.training import TokenizerSettings, train_tokenizer, truncate_text


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


def train_on_sample(context: StageContext[Any], training: TokenizerSettings, sample: SampleSettings) -> Encoder:
    """Return a tokenizer trained on a sample of the context's inputs, stratified by language and source."""
    shards = context.inputs
    tasks = [context.task(s.name, [s], phase="strata", settings=sample) for s in shards]
    measured = context.map_shards(measure_shard, tasks, phase="strata")
    rates = sampling_rates(merge_counts([commit.counts for commit in measured]), sample)
    tasks = [context.task(s.name, [s], phase="sample", settings=sample, rates=rates) for s in shards]
    sampled = context.map_shards(sample_shard, tasks, phase="sample")
    folder = context.phase_folder("sample")
    samples = [
        DocumentShard(commit.shard, folder.path(name), file.checksum, 0)
        for commit in sampled
        for name, file in commit.outputs.items()
    ]
    task = context.task("tokenizer", samples, phase="train", settings=training)
    context.map_shards(train_shard, [task], phase="train")
    return Encoder.open(context.phase_folder("train").path(TOKENIZER))


def strata(batch: pa.RecordBatch) -> list[str]:
    """Return the stratum of each document of DOCUMENT_SCHEMA: its language and the folder of its source."""
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
