"""Models of the self-cleaning experiment, trained from tokens in memory on a CPU or one GPU, and what they score."""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from autoclave.model.config import ModelConfig, preset
from autoclave.model.inference.scoring import Scorer, TokenScores
from autoclave.model.inference.surprise import surprise_features
from autoclave.model.training.loop import Trainer
from autoclave.model.training.settings import OptimizerSettings, TrainSettings
from autoclave.model.transnormer import TransNormerLLM


@dataclass(frozen=True)
class Size:
    """A model and how long it is trained: tokens are of the whole training, in rows of `length`, `rows` a step."""

    layers: int
    width: int
    heads: int
    tokens: int
    length: int
    rows: int
    learning_rate: float
    device: str

    def config(self, vocabulary: int) -> ModelConfig:
        """The model for this vocabulary."""
        return ModelConfig(
            vocabulary_size=vocabulary,
            hidden_size=self.width,
            layers=self.layers,
            heads=self.heads,
            glu_size=self.width * 11 // 4 // 16 * 16,
        )

    @property
    def steps(self) -> int:
        """Steps of the training."""
        return max(4, self.tokens // (self.length * self.rows))


SIZES = {
    "nano": Size(2, 64, 2, 400_000, 256, 8, 4e-3, "cpu"),
    "tiny": Size(4, 128, 4, 2_000_000, 256, 16, 3e-3, "cpu"),
    "gpu": Size(6, 384, 6, 12_000_000, 1024, 32, 2e-3, "cuda"),
    "spec": Size(8, 512, 8, 20_000_000, 1024, 32, 1.5e-3, "cuda"),
}


@dataclass(frozen=True)
class Rows:
    """A batch as the training loop takes it."""

    inputs: np.ndarray
    targets: np.ndarray
    cu_seqlens: np.ndarray


class PackedDocuments:
    """Documents in a new random order each epoch, laid end to end and cut into rows: batch(step) is a pure function."""

    def __init__(self, documents: Sequence[np.ndarray], size: Size, seed: int, bos: int, eos: int) -> None:
        self.documents, self.size, self.seed, self.bos, self.eos = documents, size, seed, bos, eos
        self.lengths = np.array([len(one) + 1 for one in documents])
        self.per_epoch = int(self.lengths.sum()) // (size.length * size.rows)
        if self.per_epoch < 1:
            raise ValueError("fewer tokens than one step takes")
        self._epoch = -1

    def _begin(self, epoch: int) -> None:
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.documents))
        chosen = [self.documents[one] for one in order]
        self._inputs = np.concatenate([part for one in chosen for part in ([self.bos], one)]).astype(np.int64)
        self._targets = np.concatenate([part for one in chosen for part in (one, [self.eos])]).astype(np.int64)
        self._starts = np.concatenate([[0], np.cumsum(self.lengths[order])])
        self._epoch = epoch

    def batch(self, step: int) -> Rows:
        """The rows of this 0-based step: int64 [rows, length] and where segments begin."""
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            self._begin(epoch)
        count = self.size.length * self.size.rows
        first = place * count
        starts = self._starts[(self._starts > first) & (self._starts < first + count)] - first
        rows = np.arange(0, count + 1, self.size.length)
        bounds = np.union1d(starts, rows).astype(np.int32)
        shape = (self.size.rows, self.size.length)
        cut = slice(first, first + count)
        return Rows(self._inputs[cut].reshape(shape), self._targets[cut].reshape(shape), bounds)


def train(
    documents: Sequence[np.ndarray], size: Size, vocabulary: int, seed: int, *, early: float = 0.0
) -> tuple[TransNormerLLM, TransNormerLLM | None]:
    """Return the model trained on these documents (token ids [n] each), and as it was after `early` of the steps."""
    config = size.config(vocabulary)
    settings = TrainSettings(
        steps=size.steps,
        optimizer=OptimizerSettings(learning_rate=size.learning_rate, warmup_steps=max(1, size.steps // 10)),
        seed=seed,
        device=size.device,
        checkpoint_every=0,
    )
    loader = PackedDocuments(documents, size, seed, config.bos_id, config.eos_id)
    snapshot = None
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(config, settings, loader, Path(folder), None, "benchmark")
        trainer.start(False)
        while trainer.state.step < settings.steps:
            if early and trainer.state.step == int(settings.steps * early):
                snapshot = copy.deepcopy(trainer.model)
            trainer.step()
        trainer.saver.close()
    return trainer.model, snapshot


def score(
    model: TransNormerLLM, documents: Sequence[np.ndarray], byte_counts: np.ndarray, *, pool: bool = False
) -> TokenScores:
    """Score documents with a trained model; on a GPU in bfloat16."""
    if model.embedding.weight.is_cuda:
        for name, parameter in model.named_parameters():
            if parameter.dim() == 2 and not name.endswith("lrpe.theta"):
                parameter.data = parameter.data.to(torch.bfloat16)
    return Scorer(model).score_tokens(documents, byte_counts, pool=pool)


def scoring_speed(device: str, tokens: int) -> dict[str, int]:
    """Return the tokens a second of tnl-small: scoring alone, with pooling, and with the features of the table too."""
    model = TransNormerLLM(preset("tnl-small")).initialise(0).to(device)
    draw = np.random.default_rng(0)
    lengths = draw.integers(100, 900, tokens // 500)
    documents = [draw.integers(300, model.config.vocabulary_size, one) for one in lengths]
    score(model, documents[: len(documents) // 4], lengths[: len(documents) // 4] * 4, pool=True)
    total, seconds = int(lengths.sum()), []
    for pool in (False, True):
        begun = time.perf_counter()
        losses = score(model, documents, lengths * 4, pool=pool).losses
        seconds.append(time.perf_counter() - begun)
    begun = time.perf_counter()
    surprise_features(losses)
    seconds.append(seconds[-1] + time.perf_counter() - begun)
    return {name: round(total / one) for name, one in zip(("scored", "pooled", "with_features"), seconds, strict=True)}
