"""The training stage: token shards in, a TransNormerLLM checkpoint out; also what `autoclave train` calls."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec
import xxhash

from autoclave.corpus.output import ShardOutput
from autoclave.corpus.storage import Folder
from autoclave.errors import InputError, RecipeError
from autoclave.model.config import ModelConfig, preset
from autoclave.model.metrics import METRICS_FILE, MetricsFile
from autoclave.model.optimizer import OptimizerSettings
from autoclave.model.training import TrainResult, TrainSettings, checkpoint_matches, train
from autoclave.pipelines.engine import Resources
from autoclave.pipelines.stage import ShardTask, Stage, StageContext
from autoclave.tokenize.loader import TokenLoader
from autoclave.tokenize.shards import MANIFEST, TOKENIZER, Manifest, read_manifest

Report = Callable[[dict[str, Any]], None]


class TrainStageSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to train, and how; `train:` in a recipe.

    preset: tnl-nano, tnl-tiny, tnl-small (CPUs), tnl-385m, tnl-1b, tnl-3b, tnl-7b, tnl-15b
    model: fields of the preset to replace; the vocabulary is always the shards' tokenizer's
    steps, sequence_length, batch_size, accumulation: a step reads batch_size * accumulation rows of sequence_length
    learning_rate, minimum_ratio, warmup_steps, schedule, decay_share, beta1, beta2, weight_decay, clip_norm, z_loss:
        the optimizer's (see autoclave/model/optimizer.py)
    threads: CPU threads; the loss curve is bit-identical for one value of it
    device, precision, compile, activation_checkpointing, tensor_parallel, sequence_parallel: see
        autoclave/model/training.py
    gpus: of the worker that trains, with --engine ray (which needs a folder that all machines see)
    checkpoint_every: steps between checkpoints; keep_checkpoints: newest ones kept
    tensorboard: also write the metrics as a TensorBoard event file
    """

    preset: str = "tnl-tiny"
    model: dict[str, Any] = {}
    steps: int = 200
    sequence_length: int = 512
    batch_size: int = 8
    accumulation: int = 1
    learning_rate: float = 3e-3
    minimum_ratio: float = 0.1
    warmup_steps: int = 20
    schedule: Literal["cosine", "wsd", "constant"] = "cosine"
    decay_share: float = 0.2
    beta1: float = 0.9
    beta2: float = 0.95
    weight_decay: float = 0.1
    clip_norm: float = 1.0
    z_loss: float = 0.0
    threads: int = 1
    gpus: float = 0
    device: str = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: bool = False
    activation_checkpointing: Literal["none", "full", "selective"] = "none"
    tensor_parallel: int = 1
    sequence_parallel: int = 1
    checkpoint_every: int = 100
    keep_checkpoints: int = 2
    tensorboard: bool = False

    def __post_init__(self) -> None:
        if min(self.steps, self.sequence_length, self.batch_size, self.accumulation, self.threads) < 1:
            raise RecipeError("train: steps, sequence_length, batch_size, accumulation and threads must be at least 1")
        preset(self.preset, **self.model)

    def training(self, seed: int) -> TrainSettings:
        """The part that the training loop reads."""
        given = msgspec.to_builtins(self)
        optimizer = {name: given[name] for name in OptimizerSettings.__struct_fields__ if name in given}
        rest = {name: given[name] for name in TrainSettings.__struct_fields__ if name in given}
        return TrainSettings(**rest, optimizer=OptimizerSettings(**optimizer), seed=seed)

    def model_config(self, manifest: Manifest) -> ModelConfig:
        """The model for these shards: the preset, its overrides, and the tokenizer's vocabulary."""
        meaning = manifest.meaning
        vocabulary = {"vocabulary_size": meaning.vocabulary_size, "bos_id": meaning.bos_id, "eos_id": meaning.eos_id}
        return preset(self.preset, **(self.model | vocabulary | {"pad_id": 0}))


def tokens_folder(url: str) -> str:
    """The folder that holds manifest.json: `url`, or `tokens/` inside it (a stage directory).

    Raises InputError where neither has one.
    """
    for candidate in (url, f"{url.rstrip('/')}/tokens"):
        if Folder(candidate).exists(MANIFEST):
            return candidate
    raise InputError(f"{url}: no {MANIFEST} here or in tokens/; give the output of a finished tokenize stage")


def find_tokenizer(url: str) -> Path | None:
    """The local tokenizer.json beside the shards or one folder up, None where there is none."""
    root = Path(Folder(url).root)
    return next((path for path in (root / TOKENIZER, root.parent / TOKENIZER) if path.is_file()), None)


def data_fingerprint(manifest: Manifest, settings: TrainStageSettings, seed: int) -> str:
    """What decides which tokens a step sees: the shards' checksums, the batch's shape and the order's seed."""
    shards = [entry.checksum for entry in manifest.shards]
    shape = [settings.sequence_length, settings.batch_size, seed]
    return xxhash.xxh3_128_hexdigest(msgspec.json.encode([shards, manifest.meaning.tokenizer, shape]))


def train_on_shards(
    shards_folder: str,
    out: str | os.PathLike[str],
    settings: TrainStageSettings,
    *,
    seed: int = 0,
    resume: bool = True,
    restart_if_changed: bool = False,
    progress: Report | None = None,
) -> TrainResult:
    """Train on a folder of token shards and leave a checkpoint, with its tokenizer, in `out`.

    resume: go on from the newest checkpoint in `out`. One made with other shards or settings is refused with a
    CheckpointError, or with restart_if_changed replaced by a run from the beginning.
    Under torchrun every process calls this and reads its own rows of the same global batch.
    """
    url = tokens_folder(shards_folder)
    manifest = read_manifest(url)
    loader = TokenLoader(url, sequence_length=settings.sequence_length, batch_size=settings.batch_size, seed=seed)
    config, training = settings.model_config(manifest), settings.training(seed)
    fingerprint = data_fingerprint(manifest, settings, seed)
    if restart_if_changed and resume:
        resume = checkpoint_matches(Path(out), config, training, fingerprint)
    return train(
        config,
        training,
        loader,
        Path(out),
        tokenizer=find_tokenizer(url),
        resume=resume,
        data_fingerprint=fingerprint,
        progress=progress,
    )


def train_shard(task: ShardTask, output: ShardOutput) -> None:
    """Train on a worker of the engine, into a folder that the driver sees as well."""
    arguments = task.arguments
    result = train_on_shards(
        arguments["_tokens"], arguments["_out"], task.settings, seed=task.seed, restart_if_changed=True
    )
    output.count("tokens", result.tokens)


def run_train(context: StageContext[TrainStageSettings]) -> None:
    """Train on the shards of the stage before; resumes at the newest checkpoint, restarts where they changed.

    The local engine trains in this process and shows every step; Ray trains on a worker with `gpus` GPUs.
    """
    if context.previous is None:
        raise RecipeError(f"{context.name}: needs the output of a tokenize stage")
    if not context.folder.is_local:
        raise RecipeError(f"{context.name}: writes checkpoints to a local folder, not to {context.folder.url}")
    if context.engine.name == "ray":
        _train_on_worker(context, context.previous.url)
    else:
        _train_here(context, context.previous.url)
    lines = MetricsFile(Path(context.folder.root) / METRICS_FILE).read()
    losses = [line["loss"] for line in lines if line["loss"] is not None]
    if losses:
        context.progress.message(f"{context.name}: loss {losses[0]:.3f} -> {losses[-1]:.3f} nats a token")
        context.results |= {"training_loss": losses[-1], "training_tokens": float(lines[-1]["tokens"])}


def _train_here(context: StageContext[TrainStageSettings], tokens: str) -> None:
    settings = context.settings

    def report(line: dict[str, Any]) -> None:
        shown = "not finite, skipped" if line["loss"] is None else f"loss {line['loss']:.3f}"
        note = f"{shown}  {line['tokens_per_second']:,.0f} tokens/s"
        context.progress.update(context.name, line["step"], settings.steps, note)

    context.progress.begin(context.name, settings.steps)
    train_on_shards(tokens, context.folder.root, settings, seed=context.seed, restart_if_changed=True, progress=report)
    context.progress.end(context.name)


def _train_on_worker(context: StageContext[TrainStageSettings], tokens: str) -> None:
    settings = context.settings
    shards = read_manifest(tokens_folder(tokens)).shards
    task = context.task(
        "000000", phase="run", shards=[entry.checksum for entry in shards], _tokens=tokens, _out=context.folder.root
    )
    context.map_shards(train_shard, [task], phase="run", resources=Resources(settings.threads, settings.gpus))


STAGE = Stage("train", TrainStageSettings, run_train, reads="tokens", writes="model")

if __name__ == "__main__":
    from autoclave.pipelines.stage_main import main

    main("train")
