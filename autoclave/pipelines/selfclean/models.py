"""The evaluation models of a self-cleaning round: their token files, their training, their scorers.

torch is imported where it is used: recipes name these functions before any model is made.
"""

from __future__ import annotations

import contextlib
import functools
import math
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from autoclave.corpus.checksums import read_checked
from autoclave.corpus.output import ShardOutput
from autoclave.corpus.sources import resolve_inputs
from autoclave.corpus.storage import Folder, HashingFile, input_fingerprint, open_read
from autoclave.errors import ShardError
from autoclave.pipelines.fitting.texts import read_batches
from autoclave.pipelines.running.stage import ShardTask, document_shards
from autoclave.pipelines.selfclean.settings import EvaluationModel
from autoclave.pipelines.tokenize.encode import meaning_of, one_thread
from autoclave.tokenize.encoding import Encoder
from autoclave.tokenize.loader import TokenLoader
from autoclave.tokenize.shards import TokenShard, TokenShardWriter

if TYPE_CHECKING:
    from autoclave.model.inference.scoring import Scorer
    from autoclave.model.training.settings import TrainSettings

CHECKPOINTS = 5
"""A training run leaves so many checkpoints on its way: what a kill costs at most is a fifth of it."""

EARLY = "early"
"""Folder, in a model's own, of the model as it was after a fifth of its training."""

WAITS, WAIT_SECONDS = 6000, 0.05
"""A checkpoint is written beside the training: how often, and how long, it is waited for."""


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

    inputs: tokenizer, token files; arguments: early, whether the model after a fifth of the steps is written, too. A
    kill resumes at the last checkpoint where the stage's folder is a local one.
    """
    from autoclave.model.config import preset
    from autoclave.model.training.loop import train

    settings: EvaluationModel = task.settings
    tokenizer, files = task.inputs[0], list(task.inputs[1:])
    vocabulary = Encoder.open(tokenizer).vocabulary_size
    config = preset(settings.preset, **{"vocabulary_size": vocabulary, **settings.overrides})
    loader = _loader(files, settings, task.seed)
    training = _training(settings, loader, task.seed)
    names = ["config.json", "model.safetensors", "tokenizer.json"]
    with _work_folder(Folder(task.folder), task.shard) as work:
        local = work / "tokenizer.json"
        with open_read(tokenizer) as source:
            local.write_bytes(source.read())
        keep = _early_keeper(work, training.checkpoint_every) if task.arguments.get("early") else None
        result = train(
            config, training, loader, work, tokenizer=local, data_fingerprint=task.fingerprint, progress=keep
        )
        if keep is not None:
            names += [f"{EARLY}/{name}" for name in names[:2]]
            _complete_early(work)
        for name in names:
            with output.open(f"models/{task.shard}/{name}") as file, open(work / name, "rb") as made:
                shutil.copyfileobj(made, file, 1 << 20)
        with output.open(f"models/{task.shard}/metrics.jsonl") as file:
            file.write(_timeless(work / "metrics.jsonl"))
        output.count("loss_millinats", round(result.loss * 1000))
        output.count("tokens", result.tokens)
        output.count("steps", result.steps)
        if (work / "checkpoints").is_dir():
            shutil.rmtree(work / "checkpoints")


def _training(settings: EvaluationModel, loader: TokenLoader, seed: int) -> TrainSettings:
    """Return how to train: as many steps as the settings say, or as the corpus asks for."""
    from autoclave.model.training.settings import OptimizerSettings, TrainSettings

    steps = settings.steps
    if steps is None:
        tokens = min(settings.epochs * loader.tokens_per_epoch, settings.most_tokens)
        steps = max(1, math.ceil(tokens / (settings.batch_size * settings.sequence_length)))
    return TrainSettings(
        steps=steps,
        optimizer=OptimizerSettings(learning_rate=settings.learning_rate, warmup_steps=max(1, steps // 10)),
        seed=seed,
        threads=settings.threads,
        device=settings.device,
        checkpoint_every=max(1, steps // CHECKPOINTS),
        keep_checkpoints=1,
    )


def _early_keeper(work: Path, step: int) -> Callable[[dict[str, Any]], None]:
    """Return a progress function that keeps the model of this step's checkpoint, once that is written."""
    from autoclave.model.formats import checkpoint as checkpoints

    def keep(line: dict[str, Any]) -> None:
        if line["step"] != step + 1 or (work / EARLY / "config.json").is_file():  # the config is written last
            return
        (work / EARLY).mkdir(exist_ok=True)
        for _ in range(WAITS):
            latest = checkpoints.latest_checkpoint(work)
            if latest is not None and checkpoints.read_training_state(latest).step == step:
                checkpoints.publish(latest, work / EARLY, step)
                return
            time.sleep(WAIT_SECONDS)

    return keep


def _complete_early(work: Path) -> None:
    """A training of one step has no earlier model than its last."""
    (work / EARLY).mkdir(exist_ok=True)
    for name in ("config.json", "model.safetensors"):
        if not (work / EARLY / name).is_file():
            shutil.copyfile(work / name, work / EARLY / name)


def trusted_version(place: str) -> str:
    """Return a fingerprint of trusted text: of a stage's commits, or of the files."""
    folder = Folder(place)
    if folder.files("commits/*.json"):
        versions = [shard.fingerprint for shard in document_shards(folder)]
    else:
        versions = [input_fingerprint(file.path) for file in resolve_inputs([place])]
    return xxhash.xxh3_128_hexdigest("\n".join(versions).encode())


def write_trusted(task: ShardTask, output: ShardOutput) -> None:
    """Write the text that somebody vouches for as a token file. inputs: tokenizer; arguments: `_trusted`, its place."""
    count = 0
    with FoldWriter(task.inputs[0], 1, task.shard, output) as writer:
        for batch in read_batches(str(task.arguments["_trusted"])):
            rows = batch.filter(pc.is_valid(batch.column("text")))
            writer.write(rows, np.zeros(rows.num_rows, dtype=np.int64))
            count += rows.num_rows
    output.count("documents", count)


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


@functools.lru_cache(maxsize=8)
def open_scorer(model: str, checksum: str, device: str, threads: int) -> Scorer:
    """A worker keeps the models of a round from shard to shard; `checksum` keeps it from taking an older one."""
    from autoclave.model.inference.scoring import Scorer

    folder = Folder(model)
    if folder.is_local:
        return Scorer.from_checkpoint(folder.root, device=device, threads=threads)
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("config.json", "model.safetensors"):
            (Path(scratch) / name).write_bytes(read_checked(folder, name))
        return Scorer.from_checkpoint(scratch, device=device, threads=threads)
