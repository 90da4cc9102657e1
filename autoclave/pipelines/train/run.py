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
from autoclave.model.training.loop import TrainResult, resume_differences, train
from autoclave.model.training.settings import TrainSettings
from autoclave.pipelines.train.settings import TrainStageSettings
from autoclave.tokenize.encoding import Encoder
from autoclave.tokenize.fingerprints import require_same_tokenizer
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


def data_fingerprint(manifest: Manifest, settings: TrainStageSettings, seed: int) -> dict[str, Any]:
    """What decides which tokens a step sees, by name: the shards' checksums, the batch's shape and the order's seed."""
    shards = xxhash.xxh3_128_hexdigest(msgspec.json.encode([entry.checksum for entry in manifest.shards]))
    shape = {"sequence_length": settings.sequence_length, "batch_size": settings.batch_size, "seed": seed}
    return {"shards": shards, "tokenizer": manifest.meaning.tokenizer} | shape


def what_is_trained(
    url: str, settings: TrainStageSettings, seed: int
) -> tuple[ModelConfig, TrainSettings, dict[str, Any]]:
    """The model, the loop's settings and the data's fingerprint, for the token shards at `url`."""
    manifest = read_manifest(url)
    return settings.model_config(manifest), settings.training(seed), data_fingerprint(manifest, settings, seed)


def changed_since(
    shards_folder: str, out: str | os.PathLike[str], settings: TrainStageSettings, *, seed: int
) -> list[str] | None:
    """What of shards and settings is not as in the checkpoints in `out`, by name; None where there are none."""
    return resume_differences(Path(out), *what_is_trained(tokens_folder(shards_folder), settings, seed))


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
    CheckpointError; see `changed_since`.
    Under torchrun every process calls this and reads its own rows of the same global batch.
    """
    url = tokens_folder(shards_folder)
    tokenizer = find_tokenizer(url)
    if tokenizer is not None:
        meaning = read_manifest(url).meaning
        found = Encoder.open(str(tokenizer)).fingerprint
        remedy = "put the tokenizer that the shards were made with there"
        require_same_tokenizer(meaning.tokenizer, found, where=str(tokenizer), remedy=remedy)
    loader = TokenLoader(url, sequence_length=settings.sequence_length, batch_size=settings.batch_size, seed=seed)
    config, training, fingerprint = what_is_trained(url, settings, seed)
    return train(
        config,
        training,
        loader,
        Path(out),
        tokenizer=tokenizer,
        resume=resume,
        data_fingerprint=fingerprint,
        progress=progress,
    )
