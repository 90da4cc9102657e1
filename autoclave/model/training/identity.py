"""What a training run was made with, by name, so that going on with something else can say what differs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import xxhash

from autoclave.model.config import ModelConfig
from autoclave.model.training.optimizer import learning_rate
from autoclave.model.training.settings import TrainSettings

FREE = frozenset(
    {
        *("steps", "threads", "device", "compile", "activation_checkpointing", "tensor_parallel", "sequence_parallel"),
        *("checkpoint_every", "keep_checkpoints", "max_skipped", "tensorboard"),
    }
)
"""Settings that do not shape the loss curve, or only its length: a run may go on with others."""

JUMP = 0.01
"""A learning rate that changes by a larger share from one step to the next, at a resume, is worth a word."""

Data = Mapping[str, Any] | str
"""Names the tokens that steps see: a fingerprint, or several by name."""


def describe(config: ModelConfig, settings: TrainSettings, data: Data) -> dict[str, Any]:
    """Return all that a run is made with, flat, by the names that people set."""
    plain = msgspec.to_builtins(settings)
    named = {f"model.{name}": value for name, value in msgspec.to_builtins(config).items()}
    named |= plain.pop("optimizer") | plain
    given = {"data": data} if isinstance(data, str) else {f"data.{name}": value for name, value in data.items()}
    return named | given


def identity_fingerprint(identity: Mapping[str, Any]) -> str:
    """Return the xxh3-128 of what shapes the loss curve."""
    shaping = {name: value for name, value in sorted(identity.items()) if name not in FREE}
    return xxhash.xxh3_128_hexdigest(msgspec.json.encode(shaping))


def differences(before: Mapping[str, Any], now: Mapping[str, Any], *, free: bool) -> list[str]:
    """Return what differs, as 'steps: 100 there, 200 here'; free: among the settings that may differ, or the others."""
    names = [name for name in (*before, *(n for n in now if n not in before)) if (name in FREE) == free]
    pairs = [(name, before.get(name), now.get(name)) for name in names]
    return [f"{name}: {_short(old)} there, {_short(new)} here" for name, old, new in pairs if old != new]


def _short(value: Any) -> str:
    return value[:12] if isinstance(value, str) else str(value)


def learning_rate_jump(before: Mapping[str, Any], settings: TrainSettings, step: int) -> str | None:
    """Return how the learning rate jumps where a run of `before` goes on at 0-based `step`; None where it does not."""
    steps = before.get("steps")
    if not step or steps is None or steps == settings.steps:
        return None
    last = learning_rate(settings.optimizer, step - 1, steps)
    planned = learning_rate(settings.optimizer, step, steps)
    following = learning_rate(settings.optimizer, step, settings.steps)
    if abs(following - planned) <= JUMP * planned or abs(following - last) <= JUMP * last:
        return None
    return (
        f"the learning rate jumps from {last:.3g} at step {step} to {following:.3g} at step {step + 1},"
        f" since steps was {steps} and is {settings.steps}"
    )
