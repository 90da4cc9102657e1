"""Scoring shard by shard: documents or tokens in, one row a document out: nll, tokens, bytes, bits per byte."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from autoclave.corpus.commits import Commit
from autoclave.corpus.output import ShardOutput
from autoclave.corpus.schema import read_documents
from autoclave.corpus.storage import Folder
from autoclave.errors import CheckpointError
from autoclave.model.formats.checkpoint import TOKENIZER_FILE, checkpoint_folder, weights_files
from autoclave.model.inference.scoring import Scorer
from autoclave.pipelines.running.attempts import Resources
from autoclave.pipelines.running.engine import Engine
from autoclave.pipelines.running.stage import DocumentShard, Progress, ShardTask, Silent, StageContext
from autoclave.tokenize.encoding import Encoder
from autoclave.tokenize.fingerprints import require_same_tokenizer
from autoclave.tokenize.shards import MANIFEST, TokenShard, read_manifest

SCORE_SCHEMA = pa.schema(
    [
        pa.field("doc_id", pa.binary(16), nullable=False),
        pa.field("nll", pa.float64(), nullable=False),
        pa.field("tokens", pa.int64(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("bits_per_byte", pa.float64(), nullable=False),
    ]
)
"""nll in nats over t1..tn and eos, tokens = n + 1, bytes of UTF-8 text, bits_per_byte = nll / (ln 2 * bytes)."""

BATCH_DOCUMENTS = 1024


class ScoreSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to score.

    device: "auto" (CUDA if there is one), "cpu", "cuda"
    threads: CPU threads a worker; gpus: GPUs a worker (with --engine ray)
    pack_tokens: tokens a forward pass; None chooses by device. Another value may change the last bits of a score
    """

    device: str = "auto"
    threads: int = 1
    gpus: float = 0
    pack_tokens: int | None = None


@functools.lru_cache(maxsize=2)
def open_scorer(model: str, version: str, device: str, threads: int, pack_tokens: int | None) -> Scorer:
    """A scorer, kept while this worker lives; `version` (of the weights) makes a replaced checkpoint a new one."""
    del version
    return Scorer.from_checkpoint(model, device=device, threads=threads, pack_tokens=pack_tokens)


def model_version(model: str) -> str:
    """xxh3-128 of a checkpoint's weights: a model trained again to the same bits is the same model."""
    state = xxhash.xxh3_128()
    for path in weights_files(checkpoint_folder(model)):
        with open(path, "rb") as file:
            while block := file.read(1 << 22):
                state.update(block)
    return state.hexdigest()


def scorer_for(model: str, settings: ScoreSettings) -> Scorer:
    """The scorer for a checkpoint folder under these settings. Raises CheckpointError where it is not one."""
    files = [path.stat() for path in weights_files(checkpoint_folder(model))]
    version = ",".join(f"{file.st_mtime_ns}:{file.st_size}" for file in files)
    return open_scorer(model, version, settings.device, settings.threads, settings.pack_tokens)


def score_batch(scorer: Scorer, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Rows of SCORE_SCHEMA for a batch with doc_id, tokens (list of ids) and bytes."""
    tokens = batch.column("tokens")
    values, offsets = tokens.flatten().to_numpy(), tokens.offsets.to_numpy()
    offsets = offsets - offsets[0]
    documents = [values[start:stop] for start, stop in itertools.pairwise(offsets)]
    sizes = batch.column("bytes").to_numpy()
    scores = scorer.score(documents, sizes)
    columns = [
        batch.column("doc_id"),
        pa.array(scores.nll),
        pa.array(scores.tokens),
        pa.array(sizes.astype(np.int64)),
        pa.array(scores.bits_per_byte),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCORE_SCHEMA)


def tokenized_documents(path: str, encoder: Encoder) -> Iterator[pa.RecordBatch]:
    """The documents of one Parquet shard as doc_id (binary), tokens (list<uint16 | uint32>), bytes (int32)."""
    for batch in read_documents(path, ["doc_id", "text"]):
        text = batch.column("text")
        sizes = pc.fill_null(pc.binary_length(text), 0)
        columns = [batch.column("doc_id"), encoder.encode_arrow(text), sizes]
        yield pa.RecordBatch.from_arrays(columns, names=["doc_id", "tokens", "bytes"])


def score_shard_function(task: ShardTask, output: ShardOutput) -> None:
    """Score one shard, a token shard (.arrow) or documents (.parquet), into scores/<shard>.parquet.

    arguments: `_model`, the checkpoint folder, and `model`, the version of its weights. settings: ScoreSettings.
    Raises CheckpointError where documents are given and the checkpoint has no tokenizer.json, SchemaError where tokens
    are another tokenizer's.
    """
    model = str(task.arguments["_model"])
    scorer = scorer_for(model, task.settings)
    (path,) = task.inputs
    if path.endswith(".arrow"):
        shard = TokenShard(path)
        _require_same_tokenizer(model, shard)
        batches = shard.batches()
    else:
        tokenizer = checkpoint_folder(model) / TOKENIZER_FILE
        if not tokenizer.is_file():
            raise CheckpointError(f"{model}: has no {TOKENIZER_FILE}; copy the one that the model was trained with")
        batches = tokenized_documents(path, Encoder.open(str(tokenizer)))
    documents = tokens = 0
    with output.open(f"scores/{task.shard}.parquet") as file:
        writer = pq.ParquetWriter(file, SCORE_SCHEMA, compression="zstd", write_page_checksum=True)
        for batch in batches:
            for start in range(0, batch.num_rows, BATCH_DOCUMENTS):
                scored = score_batch(scorer, batch.slice(start, BATCH_DOCUMENTS))
                writer.write_batch(scored)
                documents += scored.num_rows
                tokens += int(scored.column("tokens").to_numpy().sum())
        writer.close()
    output.count("documents_scored", documents)
    output.count("tokens_scored", tokens)


def _require_same_tokenizer(model: str, shard: TokenShard) -> None:
    """Raise SchemaError where a checkpoint has a tokenizer and it is not the shard's."""
    tokenizer = checkpoint_folder(model) / TOKENIZER_FILE
    if tokenizer.is_file():
        found, remedy = Encoder.open(str(tokenizer)).fingerprint, "score documents, or tokens of the model's tokenizer"
        require_same_tokenizer(found, shard.meaning.tokenizer, where=shard.path, remedy=remedy)


def shards_to_score(url: str) -> list[DocumentShard] | None:
    """The token shards of a folder (or of its tokens/), by their manifest; None where it has none."""
    for candidate in (url, f"{url.rstrip('/')}/tokens"):
        if Folder(candidate).exists(MANIFEST):
            entries = read_manifest(candidate).shards
            return [
                DocumentShard(Path(e.file).stem, f"{candidate.rstrip('/')}/{e.file}", e.checksum, e.documents)
                for e in entries
            ]
    return None


def score_folder(
    url: str,
    model: str,
    out: str,
    settings: ScoreSettings,
    engine: Engine,
    *,
    documents: list[DocumentShard] | None = None,
    progress: Progress | None = None,
) -> list[Commit]:
    """Score every shard of a folder into `out`/scores; shards whose commit stands and matches are not scored again.

    url: the output of a tokenize stage; for documents give their shards as `documents` (url is then not read).
    Raises CheckpointError for a bad model, InputError where there is nothing to score.
    """
    context = StageContext("score", Folder(out), settings, 0, engine, progress=progress or Silent())
    shards = documents
    if shards is None:
        shards = shards_to_score(url)
    if shards is None:
        from autoclave.pipelines.running.standalone import open_documents_folder

        shards = open_documents_folder(url, context.folder, engine, context.progress)
    folder = str(checkpoint_folder(model))
    version = model_version(folder)
    tasks = [context.task(s.name, [s], model=version, _model=folder) for s in shards]
    needs = Resources(settings.threads, settings.gpus, limited=False)
    return context.map_shards(score_shard_function, tasks, resources=needs)
