"""A training run that takes a second: model, settings, and what it left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import torch
from batches import Batch

from autoclave.model.config import ModelConfig
from autoclave.model.training.settings import OptimizerSettings, TrainSettings
from autoclave.model.transnormer import TransNormerLLM

CONFIG = ModelConfig(vocabulary_size=97, hidden_size=32, layers=2, heads=2, glu_size=48)
SETTINGS = TrainSettings(
    steps=12, checkpoint_every=4, optimizer=OptimizerSettings(learning_rate=1e-2, warmup_steps=3), z_loss=1e-4
)


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in (folder / "metrics.jsonl").read_bytes().splitlines()]


def losses(folder: Path) -> list[tuple[int, float]]:
    return [(line["step"], line["loss"]) for line in metrics(folder)]


def gradient_norm_in_float64(batch: Batch) -> float:
    """torch's total norm of the first step's gradients: mean cross-entropy + z_loss log^2 Z, from whole logits."""
    model = TransNormerLLM(CONFIG).initialise(SETTINGS.seed).double()
    rows, targets = (torch.from_numpy(array).reshape(1, -1) for array in (batch.inputs, batch.targets))
    logits = model.logits(model(rows, cu_seqlens=torch.from_numpy(batch.cu_seqlens)).hidden)[0]
    counted = targets[0] != -100
    normaliser = logits.logsumexp(-1)[counted]
    loss = torch.nn.functional.cross_entropy(logits, targets[0]) + SETTINGS.z_loss * normaliser.square().mean()
    loss.backward()
    return float(torch.nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None]))
