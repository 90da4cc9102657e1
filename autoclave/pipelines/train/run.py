"""One training run on token shards: what `autoclave train` and the stage call."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import xxhash

from autoclave.corpus.storage import Folder
from autoclave.errors import InputError
from autoclave.model.config import ModelConfig
from autoclave.model.training.loop import TrainResult, checkpoint_matches, train
from autoclave.model.training.settings import TrainSettings
from autoclave.pipelines.train.settings import TrainStageSettings
from autoclave.tokenize.loader import TokenLoader
from autoclave.tokenize.shards import MANIFEST, TOKENIZER, Manifest, read_manifest

Report = Callable[[dict[str, Any]], None]


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
