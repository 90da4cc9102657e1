"""One training run on token shards: its settings, and what `autoclave train` and the stage call."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec
import xxhash

from autoclave.corpus.storage import Folder
from autoclave.errors import InputError, RecipeError
from autoclave.model.config import ModelConfig, preset
from autoclave.model.training.loop import TrainResult, TrainSettings, checkpoint_matches, train
from autoclave.model.training.optimizer import OptimizerSettings
from autoclave.tokenize.loader import TokenLoader
from autoclave.tokenize.shards import MANIFEST, TOKENIZER, Manifest, read_manifest

Report = Callable[[dict[str, Any]], None]


class TrainStageSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to train, and how; `train:` in a recipe."""

    preset: str = "tnl-tiny"
    """tnl-nano, tnl-tiny, tnl-small (CPUs), tnl-385m, tnl-1b, tnl-3b, tnl-7b, tnl-15b."""
    model: dict[str, Any] = {}
    """Fields of the preset to replace (autoclave/model/config.py); the vocabulary is always the shards' tokenizer's."""
    steps: int = 200
    """Optimizer steps; each reads batch_size * accumulation rows."""
    sequence_length: int = 512
    """Tokens of a row."""
    batch_size: int = 8
    """Rows of one forward pass, of all processes together."""
    accumulation: int = 1
    """Forward and backward passes of one step."""
    learning_rate: float = 3e-3
    """The peak."""
    minimum_ratio: float = 0.1
    """Last learning rate / peak."""
    warmup_steps: int = 20
    """Linear warm-up from zero."""
    schedule: Literal["cosine", "wsd", "constant"] = "cosine"
    """After the warm-up: cosine, wsd (stable, then a linear decay) or constant."""
    decay_share: float = 0.2
    """Share of the steps in which wsd decays."""
    beta1: float = 0.9
    """Of AdamW."""
    beta2: float = 0.95
    """Of AdamW."""
    weight_decay: float = 0.1
    """On matrices; never on the embedding, LRPE's theta or norms."""
    clip_norm: float = 1.0
    """Largest global gradient norm; 0 turns clipping off."""
    z_loss: float = 0.0
    """Weight of the squared log-normaliser; 0 turns it off."""
    workers: int = 1
    """Processes that train together, with --engine ray (which needs a folder that all machines see); torchrun says it
    itself."""
    threads: int = 1
    """CPU threads of a process; the loss curve is bit-identical for one value of it."""
    gpus: float = 0
    """GPUs of a process, with --engine ray."""
    device: str = "auto"
    """auto (the GPU if there is one), cpu, cuda, cuda:1."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: bfloat16 matrix products on a GPU, float32 on a CPU; masters are float32."""
    compile: bool = False
    """Put the layers through torch.compile."""
    activation_checkpointing: Literal["none", "full", "selective"] = "none"
    """full: keep the inputs of layers only and compute the rest again; selective: in every second layer."""
    tensor_parallel: int = 1
    """Processes that share the matrices, by heads."""
    sequence_parallel: int = 1
    """Processes that share one batch, in consecutive pieces."""
    checkpoint_every: int = 100
    """Steps between checkpoints; 0: only at the end."""
    keep_checkpoints: int = 2
    """Newest checkpoints kept."""
    tensorboard: bool = False
    """Also write the metrics as a TensorBoard event file."""

    def __post_init__(self) -> None:
        counts = (self.steps, self.sequence_length, self.batch_size, self.accumulation, self.threads, self.workers)
        if min(counts) < 1:
            raise RecipeError(
                "train: steps, sequence_length, batch_size, accumulation, threads and workers must be at least 1"
            )
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


def what_is_trained(url: str, settings: TrainStageSettings, seed: int) -> tuple[ModelConfig, TrainSettings, str]:
    """The model, the loop's settings and the data's fingerprint, for the token shards at `url`."""
    manifest = read_manifest(url)
    return settings.model_config(manifest), settings.training(seed), data_fingerprint(manifest, settings, seed)


def can_resume(shards_folder: str, out: str | os.PathLike[str], settings: TrainStageSettings, *, seed: int) -> bool:
    """Whether `out` holds a checkpoint of these shards and settings."""
    return checkpoint_matches(Path(out), *what_is_trained(tokens_folder(shards_folder), settings, seed))


def train_on_shards(
    shards_folder: str,
    out: str | os.PathLike[str],
    settings: TrainStageSettings,
    *,
    seed: int = 0,
    resume: bool = True,
    progress: Report | None = None,
) -> TrainResult:
    """Train on a folder of token shards and leave a checkpoint, with its tokenizer, in `out`.

    resume: go on from the newest checkpoint in `out`. One made with other shards or settings is refused with a
    CheckpointError; see `can_resume`.
    Under torchrun every process calls this and reads its own rows of the same global batch.
    """
    url = tokens_folder(shards_folder)
    loader = TokenLoader(url, sequence_length=settings.sequence_length, batch_size=settings.batch_size, seed=seed)
    config, training, fingerprint = what_is_trained(url, settings, seed)
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
