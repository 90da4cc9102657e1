"""The evaluation models of a self-cleaning round: their token files, their training, their scores.

torch is imported where it is used: recipes name these functions before any model is made.
"""

from __future__ import annotations

import contextlib
import functools
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from autoclave.corpus.checksums import read_checked
from autoclave.corpus.output import ShardOutput
from autoclave.corpus.storage import Folder, HashingFile, open_read
from autoclave.errors import ShardError
from autoclave.pipelines.running.stage import ShardTask
from autoclave.pipelines.selfclean.settings import EvaluationModel
from autoclave.pipelines.tokenize.encode import meaning_of, one_thread
from autoclave.tokenize.encoding import Encoder
from autoclave.tokenize.loader import TokenLoader
from autoclave.tokenize.shards import TokenShard, TokenShardWriter

if TYPE_CHECKING:
    from autoclave.model.inference.scoring import Scorer

CHECKPOINTS = 5
"""A training run leaves so many checkpoints on its way: what a kill costs at most is a fifth of it."""

SCORE_BATCH = 1024
"""Documents handed to the scorer at a time."""


class FoldWriter:
    """Writes documents as token shards, one file a fold. Use as a context manager."""

    def __init__(self, tokenizer: str, folds: int, shard: str, output: ShardOutput) -> None:
        self._encoder = Encoder.open(tokenizer)
        self._stack = contextlib.ExitStack()
        self._files: list[HashingFile] = [
            self._stack.enter_context(output.open(f"tokens/{shard}.fold-{fold}.arrow")) for fold in range(folds)
        ]
        self._writers = [TokenShardWriter(file, meaning_of(self._encoder)) for file in self._files]

    def __enter__(self) -> FoldWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            for writer in self._writers:
                writer.close()
        self._stack.__exit__(kind, error, trace)

    def write(self, batch: pa.RecordBatch, fold: np.ndarray) -> None:
        """Encode a batch; document i goes to the file of fold[i], and nowhere where that is negative.

        batch: `doc_id` and `text` of DOCUMENT_SCHEMA, and more; fold: integer[n].
        """
        for number, writer in enumerate(self._writers):
            rows = batch.filter(pa.array(fold == number))
            with one_thread():
                ids = self._encoder.encode_arrow(rows.column("text"))
            lengths = pc.binary_length(rows.column("text")).cast(pa.int32())
            writer.write(rows.column("doc_id"), ids, lengths)


def train_fold(task: ShardTask, output: ShardOutput) -> None:
    """Train one evaluation model on the token files given; the model's folder becomes the shard's output.

    inputs: tokenizer, token files. A kill resumes at the last checkpoint where the stage's folder is a local one.
    """
    from autoclave.model.config import preset
    from autoclave.model.training.loop import train
    from autoclave.model.training.settings import OptimizerSettings, TrainSettings

    settings: EvaluationModel = task.settings
    tokenizer, files = task.inputs[0], list(task.inputs[1:])
    vocabulary = Encoder.open(tokenizer).vocabulary_size
    config = preset(settings.preset, **{"vocabulary_size": vocabulary, **settings.overrides})
    training = TrainSettings(
        steps=settings.steps,
        optimizer=OptimizerSettings(learning_rate=settings.learning_rate, warmup_steps=max(1, settings.steps // 10)),
        seed=task.seed,
        threads=settings.threads,
        device=settings.device,
        checkpoint_every=max(1, settings.steps // CHECKPOINTS),
        keep_checkpoints=1,
    )
    loader = _loader(files, settings, task.seed)
    with _work_folder(Folder(task.folder), task.shard) as work:
        local = work / "tokenizer.json"
        with open_read(tokenizer) as source:
            local.write_bytes(source.read())
        result = train(config, training, loader, work, tokenizer=local, data_fingerprint=task.fingerprint)
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            with output.open(f"models/{task.shard}/{name}") as file, open(work / name, "rb") as made:
                shutil.copyfileobj(made, file, 1 << 20)
        with output.open(f"models/{task.shard}/metrics.jsonl") as file:
            file.write(_timeless(work / "metrics.jsonl"))
        output.count("loss_millinats", round(result.loss * 1000))
        output.count("tokens", result.tokens)
        if (work / "checkpoints").is_dir():
            shutil.rmtree(work / "checkpoints")


def _timeless(metrics: Path) -> bytes:
    """Return the metrics without what depends on the machine's speed, so that outputs are the same bytes every time."""
    lines = [msgspec.json.decode(line) for line in metrics.read_bytes().splitlines()]
    kept = ("step", "loss", "lr", "grad_norm", "tokens", "skipped")
    return b"".join(msgspec.json.encode({k: line[k] for k in kept if k in line}) + b"\n" for line in lines)


def _loader(files: list[str], settings: EvaluationModel, seed: int) -> TokenLoader:
    filled = []
    for path in files:
        shard = TokenShard(path)
        if len(shard):
            filled.append(path)
    if not filled:
        raise ShardError("too few documents to cross-fit: all of them fell into one fold; set method: single")
    return TokenLoader(filled, sequence_length=settings.sequence_length, batch_size=settings.batch_size, seed=seed)


@contextlib.contextmanager
def _work_folder(folder: Folder, shard: str) -> Any:
    """Give a local folder to train in: one that outlives a kill where the stage's folder is local."""
    if folder.is_local:
        work = Path(folder.root) / "work" / shard
        work.mkdir(parents=True, exist_ok=True)
        yield work
        shutil.rmtree(work)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            yield Path(scratch)


def score_fold_files(
    folds: np.ndarray, files: Sequence[str], models: Sequence[str], checksums: Sequence[str], settings: EvaluationModel
) -> pa.Table:
    """Return one row a document of the shard: fold, nll, tokens, bytes, bits_per_byte; null where it is gone.

    folds: int8 [documents]; files: token file of each fold, in document order; models, checksums: folder of each fold's
    model and what its weights must be.
    """
    rows = len(folds)
    columns = {name: np.full(rows, np.nan) for name in ("nll", "tokens", "bytes", "bits_per_byte")}
    ids: list[bytes | None] = [None] * rows
    for fold, (file, model, checksum) in enumerate(zip(files, models, checksums, strict=True)):
        scorer = _scorer(model, checksum, settings.device, settings.threads)
        places = np.flatnonzero(folds == fold)
        start = 0
        for batch in TokenShard(file).batches():
            for part in (batch.slice(at, SCORE_BATCH) for at in range(0, batch.num_rows, SCORE_BATCH)):
                here = places[start : start + part.num_rows]
                start += part.num_rows
                _score_part(part, here, scorer, columns)
                for place, doc_id in zip(here, part.column("doc_id").to_pylist(), strict=True):
                    ids[place] = doc_id
        if start != len(places):
            raise ShardError(
                f"{file}: {start} documents, but {len(places)} were put in fold {fold}; remove the stage's folder"
            )
    return pa.table(
        {
            "doc_id": pa.array(ids, pa.binary(16)),
            "fold": pa.array(folds, pa.int8()),
            "nll": pa.array(columns["nll"], pa.float64(), from_pandas=True),
            "tokens": pa.array(columns["tokens"], from_pandas=True).cast(pa.int64()),
            "bytes": pa.array(columns["bytes"], from_pandas=True).cast(pa.int64()),
            "bits_per_byte": pa.array(columns["bits_per_byte"], pa.float64(), from_pandas=True),
        }
    )


def _score_part(part: pa.RecordBatch, places: np.ndarray, scorer: Scorer, columns: dict[str, np.ndarray]) -> None:
    """Score one slice of a token file and put the results in their documents' places."""
    from autoclave.pipelines.score import score_batch

    scored = score_batch(scorer, part)
    for name, column in columns.items():
        column[places] = scored.column(name).to_numpy()


@functools.lru_cache(maxsize=8)
def _scorer(model: str, checksum: str, device: str, threads: int) -> Scorer:
    """A worker keeps the models of a round from shard to shard; `checksum` keeps it from taking an older one."""
    from autoclave.model.inference.scoring import Scorer

    folder = Folder(model)
    if folder.is_local:
        return Scorer.from_checkpoint(folder.root, device=device, threads=threads)
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("config.json", "model.safetensors"):
            (Path(scratch) / name).write_bytes(read_checked(folder, name))
        return Scorer.from_checkpoint(scratch, device=device, threads=threads)
