"""The learning rates of each schedule against closed formulas and PyTorch's own schedulers, first step to last."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from batches import PatternLoader

from autoclave.model.config import ModelConfig
from autoclave.model.training.loop import train
from autoclave.model.training.optimizer import learning_rate
from autoclave.model.training.settings import OptimizerSettings, Schedule, TrainSettings

PEAK = 3e-3


def curve(settings: OptimizerSettings, steps: int) -> np.ndarray:
    return np.array([learning_rate(settings, step, steps) for step in range(steps)])


def cosine(after: np.ndarray, warmup: int, steps: int, low: float) -> np.ndarray:
    """Loshchilov and Hutter 2017, eq. 5, of one period: low + (1 - low) cos^2(pi t / 2 T)."""
    return low + (1 - low) * np.cos(np.pi * (after - warmup) / (2 * (steps - warmup))) ** 2


def stable_then_down(after: np.ndarray, warmup: int, steps: int, low: float) -> np.ndarray:
    """Hu et al. 2024 (MiniCPM) with a straight line down over the last fifth."""
    left = (steps - after) / round(steps / 5)
    return np.where(left >= 1, 1.0, low + (1 - low) * left)


def flat(after: np.ndarray, warmup: int, steps: int, low: float) -> np.ndarray:
    return np.ones(len(after))


FORMULAS: dict[Schedule, Callable[[np.ndarray, int, int, float], np.ndarray]] = {
    "cosine": cosine,
    "wsd": stable_then_down,
    "constant": flat,
}


@pytest.mark.parametrize("schedule", FORMULAS)
@pytest.mark.parametrize("warmup", [0, 1, 10])
@pytest.mark.parametrize("low", [0.0, 0.1, 1.0])
def test_every_step_is_the_closed_formula(schedule: Schedule, warmup: int, low: float) -> None:
    settings = OptimizerSettings(learning_rate=PEAK, warmup_steps=warmup, schedule=schedule, minimum_ratio=low)
    steps = 110
    found, after = curve(settings, steps), np.arange(warmup, steps)
    np.testing.assert_allclose(found[:warmup], PEAK * np.arange(1, warmup + 1) / max(warmup, 1), rtol=1e-14)
    np.testing.assert_allclose(found[warmup:], PEAK * FORMULAS[schedule](after, warmup, steps, low), rtol=1e-12)
    assert found[0] == pytest.approx(PEAK / max(warmup, 1))  # no step is lost at a rate of zero
    assert found[max(warmup - 1, 0)] == found[warmup] == found.max() == PEAK
    if schedule != "constant":
        assert learning_rate(settings, steps, steps) == pytest.approx(low * PEAK, abs=1e-18)  # where the curve ends
        assert found[-1] >= low * PEAK
        assert found[-1] - low * PEAK <= PEAK * (1 - low) / 22 * (1 + 1e-12)


def of_pytorch(
    make: Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler], steps: int
) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    scheduler, rates = make(optimizer), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_the_falling_parts_are_those_of_pytorch() -> None:
    schedulers = torch.optim.lr_scheduler
    settings = OptimizerSettings(learning_rate=PEAK, warmup_steps=7, minimum_ratio=0.05)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        theirs = of_pytorch(lambda o: schedulers.CosineAnnealingLR(o, 93, eta_min=0.05 * PEAK), 93)
        np.testing.assert_allclose(curve(settings, 100)[7:], theirs, rtol=1e-9)
        wsd = msgspec.structs.replace(settings, schedule="wsd", decay_share=0.3)
        theirs = of_pytorch(lambda o: schedulers.LinearLR(o, 1.0, 0.05, total_iters=30), 30)
        np.testing.assert_allclose(curve(wsd, 100)[70:], theirs, rtol=1e-9)
        assert set(curve(wsd, 100)[7:71]) == {PEAK}
        theirs = of_pytorch(lambda o: schedulers.LinearLR(o, 1 / 7, 1.0, total_iters=6), 7)
        np.testing.assert_allclose(curve(settings, 100)[:7], theirs, rtol=1e-9)


def test_runs_shorter_than_their_warm_up_and_steps_past_the_end_stay_in_bounds() -> None:
    for schedule in FORMULAS:
        settings = OptimizerSettings(learning_rate=PEAK, warmup_steps=50, schedule=schedule)
        np.testing.assert_allclose(curve(settings, 20), PEAK * np.arange(1, 21) / 50, rtol=1e-14)
        settings = OptimizerSettings(learning_rate=1.0, warmup_steps=2, schedule=schedule)
        past = [learning_rate(settings, step, 10) for step in (10, 11, 500)]
        assert past == pytest.approx([1.0 if schedule == "constant" else 0.1] * 3)


@pytest.mark.parametrize("schedule", FORMULAS)
def test_a_run_takes_its_schedules_rates(tmp_path: Path, schedule: Schedule) -> None:
    config = ModelConfig(vocabulary_size=97, hidden_size=8, layers=1, heads=1, glu_size=8)
    optimizer = OptimizerSettings(learning_rate=PEAK, warmup_steps=2, schedule=schedule, minimum_ratio=0.25)
    rates: list[float] = []
    settings = TrainSettings(steps=10, optimizer=optimizer)
    train(config, settings, PatternLoader(rows=1), tmp_path, progress=lambda line: rates.append(line["lr"]))
    expected = {
        "cosine": [0.25 + 0.375 * (1 + math.cos(math.pi * n / 8)) for n in range(8)],
        "wsd": [1.0] * 7 + [0.625],
        "constant": [1.0] * 8,
    }[schedule]
    assert rates == pytest.approx([PEAK * rate for rate in [0.5, 1.0, *expected]])
