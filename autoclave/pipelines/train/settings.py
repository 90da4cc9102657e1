"""Settings of the train stage: the training loop's, laid flat, and those that only a recipe has. No torch in here."""

from __future__ import annotations

from typing import Any

import msgspec

from autoclave.errors import RecipeError
from autoclave.model.config import ModelConfig, preset
from autoclave.model.training.settings import OptimizerSettings, TrainSettings
from autoclave.pipelines.running.derived import derive_settings, refuse_idle
from autoclave.tokenize.shards import Manifest

RECIPE_DEFAULTS = {"steps": 200, "learning_rate": 3e-3, "warmup_steps": 20, "checkpoint_every": 100}
"""Where a recipe's defaults differ from the loop's: a first run, on a CPU, is short and of a small model."""


FREE = frozenset(
    [
        "steps",
        "threads",
        "device",
        "compile",
        "activation_checkpointing",
        "tensor_parallel",
        "sequence_parallel",
        "checkpoint_every",
        "keep_checkpoints",
        "max_skipped",
        "tensorboard",
        "workers",
        "gpus",
    ]
)
"""Settings with which training goes on from a checkpoint that was made with others."""


def check_model(name: str, changes: dict[str, Any], place: str) -> None:
    """Raise RecipeError where there is no such preset, or fields to change that it lacks or the tokenizer decides."""
    for field in ("vocabulary_size", "bos_id", "eos_id", "pad_id"):
        if field in changes:
            raise RecipeError(f"{place}.{field}: the tokenizer decides it; leave it out")
    preset(name, **changes)


class _RecipeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    preset: str = "tnl-tiny"
    """tnl-nano, tnl-tiny, tnl-small (CPUs), tnl-385m, tnl-1b, tnl-3b, tnl-7b, tnl-15b."""
    model: dict[str, Any] = {}
    """Fields of the preset to replace (autoclave/model/config.py); the vocabulary is always the shards' tokenizer's."""
    sequence_length: int = 512
    """Tokens of a row."""
    batch_size: int = 8
    """Rows of one forward pass, of all processes together."""
    workers: int = 1
    """Processes that train together, with --engine ray (which needs a folder that all machines see); torchrun says it
    itself."""
    gpus: float = 0
    """GPUs of a process, with --engine ray; the local engine takes what the machine has."""


_AllSettings: Any = derive_settings(
    "_AllSettings",
    (TrainSettings, OptimizerSettings),
    base=_RecipeSettings,
    without=("optimizer", "seed"),  # its fields are keys of their own; the recipe has one seed for all stages
    defaults=RECIPE_DEFAULTS,
)


class TrainStageSettings(_AllSettings):
    """What to train, and how; `train:` in a recipe."""

    def __post_init__(self) -> None:
        counts = (self.steps, self.sequence_length, self.batch_size, self.accumulation, self.threads, self.workers)
        if min(counts) < 1:
            raise RecipeError(
                "train: steps, sequence_length, batch_size, accumulation, threads and workers must be at least 1"
            )
        if self.schedule != "wsd":
            refuse_idle(self, ["decay_share"], "train", "without schedule: wsd")
        if self.schedule == "constant":
            refuse_idle(self, ["minimum_ratio"], "train", "with schedule: constant")
        check_model(self.preset, self.model, "train.model")

    def training(self, seed: int) -> TrainSettings:
        """The part that the training loop reads."""
        given = msgspec.to_builtins(self)
        optimizer = {name: given[name] for name in OptimizerSettings.__struct_fields__}
        rest = {name: given[name] for name in TrainSettings.__struct_fields__ if name in given}
        return TrainSettings(**rest, optimizer=OptimizerSettings(**optimizer), seed=seed)

    def model_config(self, manifest: Manifest) -> ModelConfig:
        """The model for these shards: the preset, its overrides, and the tokenizer's vocabulary."""
        meaning = manifest.meaning
        vocabulary = {"vocabulary_size": meaning.vocabulary_size, "bos_id": meaning.bos_id, "eos_id": meaning.eos_id}
        return preset(self.preset, **(self.model | vocabulary | {"pad_id": 0}))
