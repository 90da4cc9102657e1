"""The training loop: learns, resumes to the bit, survives kills and bad steps; what the optimizer decays."""

from __future__ import annotations

import itertools
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from batches import Batch, PatternLoader
from small_training import CONFIG, SETTINGS, gradient_norm_in_float64, losses, metrics

from autoclave.errors import CheckpointError, RunError
from autoclave.model.formats import checkpoint as checkpoints
from autoclave.model.training.loop import resume_differences, train
from autoclave.model.training.optimizer import decays, make_optimizer
from autoclave.model.training.settings import OptimizerSettings
from autoclave.model.transnormer import TransNormerLLM


def test_training_learns_and_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    tokenizer = tmp_path / "some_tokenizer.json"
    tokenizer.write_text('{"a": 1}')
    seen: list[dict[str, Any]] = []
    settings = msgspec.structs.replace(SETTINGS, steps=60)
    result = train(CONFIG, settings, PatternLoader(), tmp_path / "out", tokenizer=tokenizer, progress=seen.append)
    assert seen[0]["loss"] == pytest.approx(math.log(97), rel=0.05)
    assert result.loss < 0.8 * seen[0]["loss"]
    assert [line["step"] for line in seen] == list(range(1, 61))
    assert (
        result.tokens
        == seen[-1]["tokens"]
        == sum((b.targets != -100).sum() for b in map(PatternLoader().batch, range(60)))
    )
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "metrics.jsonl",
        "checksums.json",
        "checkpoints",
    }
    assert [path.name for path in sorted((tmp_path / "out/checkpoints").iterdir())] == [
        "step-00000056",
        "step-00000060",
    ]
    assert (tmp_path / "out/tokenizer.json").read_text() == '{"a": 1}'
    model = checkpoints.load_model(tmp_path / "out")
    batch = PatternLoader().batch(60)
    output = model(
        torch.from_numpy(batch.inputs).reshape(1, -1),
        targets=torch.from_numpy(batch.targets).reshape(1, -1),
        cu_seqlens=torch.from_numpy(batch.cu_seqlens),
        reduction="mean",
    )
    assert output.losses.item() == pytest.approx(result.loss, rel=0.15)


def test_resume_equals_the_undisturbed_run_bit_for_bit(tmp_path: Path) -> None:
    whole = train(CONFIG, SETTINGS, PatternLoader(), tmp_path / "whole")

    class Dies(PatternLoader):
        def batch(self, step: int) -> Batch:
            if step == 7:
                raise KeyboardInterrupt
            return super().batch(step)

    with pytest.raises(KeyboardInterrupt):
        train(CONFIG, SETTINGS, Dies(), tmp_path / "cut")
    assert [step for step, _ in losses(tmp_path / "cut")] == list(range(1, 8))
    # what a kill in the middle of a checkpoint leaves behind
    (tmp_path / "cut/checkpoints/.partial-step-00000008").mkdir()
    (tmp_path / "cut/checkpoints/.partial-step-00000008/config.json").write_text("{")
    with open(tmp_path / "cut/metrics.jsonl", "ab") as file:
        file.write(b'{"step": 8, "lo')
    resumed = train(CONFIG, SETTINGS, PatternLoader(), tmp_path / "cut")
    assert resumed == msgspec.structs.replace(whole, folder=str(tmp_path / "cut"))
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    for name in ("model.safetensors", "checkpoints/step-00000012/training_state.safetensors"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not list((tmp_path / "cut/checkpoints").glob(".partial*"))


SCRIPT = """
import sys, time
sys.path.insert(0, {tests!r})
from batches import Batch, PatternLoader
from small_training import CONFIG, SETTINGS
import msgspec
from autoclave.model.training.loop import train
class Slow(PatternLoader):
    def batch(self, step):
        time.sleep(0.05)
        return super().batch(step)
train(CONFIG, msgspec.structs.replace(SETTINGS, steps=20, checkpoint_every=2), Slow(), sys.argv[1])
"""


def test_sigkill_and_resume_leave_the_same_loss_curve(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parent.parent)))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), str(tmp_path / "killed")]
    with subprocess.Popen(command, env=environment) as process:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (tmp_path / "killed/checkpoints/step-00000006").exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    killed_at = losses(tmp_path / "killed")[-1][0]
    assert 6 <= killed_at < 20
    settings = msgspec.structs.replace(SETTINGS, steps=20, checkpoint_every=2)
    train(CONFIG, settings, PatternLoader(), tmp_path / "killed")
    train(CONFIG, settings, PatternLoader(), tmp_path / "whole")
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")
    assert (tmp_path / "killed/model.safetensors").read_bytes() == (tmp_path / "whole/model.safetensors").read_bytes()


def test_accumulating_batches_equals_one_large_batch(tmp_path: Path) -> None:
    class Halves:
        """Each large batch of PatternLoader, two rows at a time."""

        def batch(self, step: int) -> Batch:
            whole, half = PatternLoader().batch(step // 2), step % 2
            rows, cut = slice(2 * half, 2 * half + 2), 96 * half
            bounds = whole.cu_seqlens[(whole.cu_seqlens >= cut) & (whole.cu_seqlens <= cut + 96)] - cut
            return Batch(whole.inputs[rows], whole.targets[rows], bounds.astype(np.int32))

    one = train(CONFIG, SETTINGS, PatternLoader(), tmp_path / "one")
    two = train(CONFIG, msgspec.structs.replace(SETTINGS, accumulation=2), Halves(), tmp_path / "two")
    assert two.tokens == one.tokens
    for ours, theirs in zip(metrics(tmp_path / "two"), metrics(tmp_path / "one"), strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], abs=2e-5)
        assert ours["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=1e-3)  # the weights part slowly
    first = gradient_norm_in_float64(PatternLoader().batch(0))
    for name in ("one", "two"):
        assert metrics(tmp_path / name)[0]["grad_norm"] == pytest.approx(first, rel=1e-5)


class Without(PatternLoader):
    """PatternLoader's batches, one of them left out."""

    def __init__(self, missing: int) -> None:
        super().__init__()
        self.missing = missing

    def batch(self, step: int) -> Batch:
        return super().batch(step + (step >= self.missing))


@pytest.mark.parametrize("bad", ["loss", "gradient"])
def test_a_skipped_update_leaves_the_run_as_if_the_batch_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: str
) -> None:
    # One learning rate from the second step on, since a skipped step takes its place in the schedule.
    optimizer = OptimizerSettings(learning_rate=1e-2, warmup_steps=1, schedule="constant")
    settings = msgspec.structs.replace(SETTINGS, optimizer=optimizer)
    train(CONFIG, msgspec.structs.replace(settings, steps=11), Without(4), tmp_path / "without")
    forward, calls = TransNormerLLM.losses, itertools.count()

    def poisoned(self: TransNormerLLM, *args: Any) -> torch.Tensor:
        value = forward(self, *args)
        if next(calls) != 4:
            return value
        if bad == "gradient":  # of a finite loss
            value.register_hook(lambda gradient: gradient * float("inf"))
            return value
        return value + float("inf")

    monkeypatch.setattr(TransNormerLLM, "losses", poisoned)
    result = train(CONFIG, settings, PatternLoader(), tmp_path / "with")
    assert (result.steps, result.skipped) == (12, 1)
    lines, others = metrics(tmp_path / "with"), metrics(tmp_path / "without")
    skipped = lines.pop(4)
    assert skipped["skipped"] is True
    assert skipped["step"] == 5
    assert (skipped["loss"] is None) == (bad == "loss")
    assert skipped["grad_norm"] is None or bad == "loss"
    assert not any("skipped" in line for line in lines)
    for name in ("loss", "grad_norm", "lr"):
        assert [line[name] for line in lines] == [line[name] for line in others]
    assert (tmp_path / "with/model.safetensors").read_bytes() == (tmp_path / "without/model.safetensors").read_bytes()


def test_a_step_that_is_not_finite_is_skipped_and_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = TransNormerLLM.losses
    calls = {"count": 0, "bad": {5}}

    def poisoned(self: TransNormerLLM, *args: Any) -> torch.Tensor:
        calls["count"] += 1
        value = forward(self, *args)
        return value * float("nan") if calls["count"] in calls["bad"] else value

    monkeypatch.setattr(TransNormerLLM, "losses", poisoned)
    result = train(CONFIG, SETTINGS, PatternLoader(), tmp_path / "one")
    assert result.skipped == 1
    assert math.isfinite(result.loss)
    lines = [msgspec.json.decode(line) for line in (tmp_path / "one/metrics.jsonl").read_bytes().splitlines()]
    assert [line["step"] for line in lines if line.get("skipped")] == [5]
    assert lines[4]["loss"] is None
    weights = checkpoints.load_weights(tmp_path / "one/model.safetensors")
    assert all(torch.isfinite(value).all() for value in weights.values())
    calls.update(count=0, bad=set(range(100)))
    with pytest.raises(RunError, match="not finite in 20 steps"):
        train(CONFIG, msgspec.structs.replace(SETTINGS, steps=50), PatternLoader(), tmp_path / "all")


def test_a_checkpoint_of_other_settings_is_refused_and_starting_anew_removes_it(tmp_path: Path) -> None:
    train(CONFIG, SETTINGS, PatternLoader(), tmp_path, data_fingerprint="a")
    assert resume_differences(tmp_path, CONFIG, SETTINGS, "a") == []
    assert resume_differences(tmp_path, CONFIG, SETTINGS, "b") == ["data: a there, b here"]
    assert resume_differences(tmp_path / "none", CONFIG, SETTINGS, "b") is None
    with pytest.raises(CheckpointError, match=r"other settings, model or data \(data: a there, b here\)"):
        train(CONFIG, SETTINGS, PatternLoader(), tmp_path, data_fingerprint="b")
    fresh = msgspec.structs.replace(SETTINGS, steps=3, seed=1)
    result = train(CONFIG, fresh, PatternLoader(), tmp_path, resume=False)
    assert result.steps == 3
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000003"]
    assert len(losses(tmp_path)) == 3


def test_damaged_checkpoints_name_the_file_and_the_tensor(tmp_path: Path) -> None:
    train(CONFIG, msgspec.structs.replace(SETTINGS, steps=1), PatternLoader(), tmp_path)
    with pytest.raises(CheckpointError, match=r"nowhere: holds no config\.json"):
        checkpoints.load_model(tmp_path / "nowhere")
    (tmp_path / "checksums.json").unlink()  # a folder that somebody put together
    shutil.rmtree(tmp_path / "checkpoints")
    path = tmp_path / "model.safetensors"
    weights = checkpoints.load_weights(path)
    good = path.read_bytes()
    checkpoints.save_weights(path, {name: value for name, value in weights.items() if "qkvu" not in name})
    with pytest.raises(CheckpointError, match=r"lacks 'layers\.0\.mixer\.qkvu\.weight'"):
        checkpoints.load_model(tmp_path)
    checkpoints.save_weights(path, weights | {"embedding.weight": torch.zeros(3, 3)})
    with pytest.raises(CheckpointError, match=r"'embedding\.weight' has shape \[3, 3\]"):
        checkpoints.load_model(tmp_path)
    path.write_bytes(good[: len(good) // 2])
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        checkpoints.load_model(tmp_path)
    (tmp_path / "config.json").write_text('{"layers": 2, "colour": 3}')
    with pytest.raises(CheckpointError, match="not a model configuration"):
        checkpoints.load_model(tmp_path)


def test_weight_decay_applies_to_matrices_only() -> None:
    model = TransNormerLLM(msgspec.structs.replace(CONFIG, norm="rms"))
    names = {name for name, parameter in model.named_parameters() if decays(name, parameter)}
    assert {name.split(".")[-2] for name in names} == {"qkvu", "output", "value", "gate"}
    assert len(names) == 5 * CONFIG.layers
    optimizer = make_optimizer(model, OptimizerSettings(weight_decay=0.3))
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.3, 0.0]
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(model.parameters()))


def test_activation_checkpointing_and_threads_do_not_change_the_model(tmp_path: Path) -> None:
    plain = train(CONFIG, SETTINGS, PatternLoader(), tmp_path / "plain")
    for mode in ("full", "selective"):
        other = msgspec.structs.replace(SETTINGS, activation_checkpointing=mode)
        assert train(CONFIG, other, PatternLoader(), tmp_path / mode).loss == plain.loss


def test_bfloat16_autocast_follows_float32(tmp_path: Path) -> None:
    full = train(CONFIG, SETTINGS, PatternLoader(), tmp_path / "full")
    half = train(CONFIG, msgspec.structs.replace(SETTINGS, precision="bfloat16"), PatternLoader(), tmp_path / "half")
    for (_, ours), (_, theirs) in zip(losses(tmp_path / "half"), losses(tmp_path / "full"), strict=True):
        assert ours == pytest.approx(theirs, rel=0.01)
    assert half.loss != full.loss


@pytest.mark.slow
def test_compiled_layers_follow_plain_ones(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(SETTINGS, steps=4)
    train(CONFIG, settings, PatternLoader(), tmp_path / "plain")
    torch._dynamo.utils.counters.clear()
    train(CONFIG, msgspec.structs.replace(settings, compile=True), PatternLoader(), tmp_path / "compiled")
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    for (_, ours), (_, theirs) in zip(losses(tmp_path / "compiled"), losses(tmp_path / "plain"), strict=True):
        assert ours == pytest.approx(theirs, abs=2e-5)


def test_metrics_have_loss_speed_norm_and_memory(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    train(CONFIG, msgspec.structs.replace(SETTINGS, steps=2), PatternLoader(), tmp_path, progress=seen.append)
    for line in seen:
        assert line.keys() == {"step", "loss", "lr", "grad_norm", "tokens", "tokens_per_second", "memory_bytes"}
        assert line["grad_norm"] > 0
        assert line["tokens_per_second"] > 0
        assert 50e6 < line["memory_bytes"] < 50e9  # resident bytes of a process with PyTorch in it
