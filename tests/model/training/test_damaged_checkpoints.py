"""Checkpoints are read to their checksums; a damaged one falls back on the one before; runs that diverge, or go on with
other settings, say so."""

from __future__ import annotations

import math
import random
import shutil
import warnings
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from batches import Batch, PatternLoader
from small_training import CONFIG, SETTINGS, losses

from autoclave.corpus.checksums import Checksums, read_checksums, write_checksums
from autoclave.corpus.storage import Folder
from autoclave.errors import AutoclaveWarning, CheckpointError, DamageError, RunError
from autoclave.model.formats import checkpoint as checkpoints
from autoclave.model.training.divergence import why_diverged
from autoclave.model.training.loop import train
from autoclave.model.training.settings import OptimizerSettings


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve steps, whose last two checkpoints are step 8 and step 12."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(CONFIG, SETTINGS, PatternLoader(), folder)
    return folder


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "run")
    return tmp_path / "run"


def flip(path: Path, place: float = 0.5) -> None:
    data = bytearray(path.read_bytes())
    data[int(place * (len(data) - 1))] ^= 4
    path.unlink()
    path.write_bytes(data)


FILES = ("config.json", "model.safetensors", "training_state.safetensors", "training_state.json", "checksums.json")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("harm", ["head", "middle", "end", "cut", "empty", "removed"])
def test_a_damaged_checkpoint_falls_back_on_the_one_before(run: Path, whole: Path, name: str, harm: str) -> None:
    path = run / "checkpoints/step-00000012" / name
    if harm == "removed":
        path.unlink()
    elif harm in ("cut", "empty"):
        path.write_bytes(path.read_bytes()[: 40 if harm == "cut" else 0])
    else:
        flip(path, {"head": 0.0, "middle": 0.5, "end": 1.0}[harm])
    with pytest.warns(AutoclaveWarning, match=rf"step-00000012/{name}: damaged.* goes on from step-00000008"):
        result = train(CONFIG, SETTINGS, PatternLoader(), run)
    assert result.steps == 12
    for file in ("model.safetensors", "checkpoints/step-00000012/training_state.safetensors"):
        assert (run / file).read_bytes() == (whole / file).read_bytes()
    assert losses(run) == losses(whole)
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["step-00000008", "step-00000012"]


def test_an_older_checkpoint_that_is_damaged_goes(run: Path) -> None:
    flip(run / "checkpoints/step-00000008/model.safetensors")
    with pytest.warns(AutoclaveWarning, match=r"step-00000008/model\.safetensors: damaged.* this one is removed"):
        train(CONFIG, SETTINGS, PatternLoader(), run)
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["step-00000012"]


def test_where_no_checkpoint_is_whole_training_stops(run: Path) -> None:
    for step in ("08", "12"):
        flip(run / f"checkpoints/step-000000{step}/training_state.safetensors")
    with pytest.raises(CheckpointError, match=r"no whole checkpoint is left: --no-resume"):
        train(CONFIG, SETTINGS, PatternLoader(), run)
    assert len(list((run / "checkpoints").glob("step-*"))) == 2  # nothing is removed


def test_an_optimizer_without_its_moments_never_goes_on(run: Path) -> None:
    """Even where the checksums are right: a checkpoint that somebody put together."""
    for folder in (run / "checkpoints").iterdir():
        state = folder / "training_state.safetensors"
        tensors = checkpoints.load_weights(state)
        checkpoints.save_weights(state, {n: v for n, v in tensors.items() if n != "embedding.weight/exp_avg"})
        checkpoints.record_files(folder, "train", checkpoints.step_of(folder))
    with pytest.raises(CheckpointError, match=r"lacks the optimizer's 'embedding\.weight/exp_avg'"):
        train(CONFIG, msgspec.structs.replace(SETTINGS, steps=14), PatternLoader(), run)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_damaged_model_is_not_read_and_training_again_publishes_it_anew(run: Path, whole: Path, name: str) -> None:
    for place in (0.0, *(random.Random(3).random() for _ in range(3)), 1.0):
        flip(run / name, place)
        with pytest.raises(DamageError, match=rf"{name}: damaged: its checksum is .*run train again"):
            checkpoints.load_model(run)
        train(CONFIG, SETTINGS, PatternLoader(), run)
        assert (run / name).read_bytes() == (whole / name).read_bytes()
        checkpoints.load_model(run)


class Dies(PatternLoader):
    def batch(self, step: int) -> Batch:
        if step == 18:
            raise KeyboardInterrupt
        return super().batch(step)


def test_a_published_model_never_wins_over_a_newer_checkpoint(run: Path) -> None:
    longer = msgspec.structs.replace(SETTINGS, steps=20)
    with pytest.warns(AutoclaveWarning), pytest.raises(KeyboardInterrupt):
        train(CONFIG, longer, Dies(), run)
    assert (run / "model.safetensors").exists()
    assert checkpoints.checkpoint_folder(run).name == "step-00000016"
    newest = checkpoints.load_weights(run / "checkpoints/step-00000016/model.safetensors")
    model = checkpoints.load_model(run)
    assert torch.equal(model.embedding.weight, newest["embedding.weight"])
    flip(run / "checkpoints/step-00000016/model.safetensors")
    with pytest.warns(AutoclaveWarning, match="step-00000016.*taking the checkpoint before it"):
        assert checkpoints.checkpoint_folder(run).name == "step-00000012"
    # an older model that somebody copied back, with its list
    write_checksums(Folder(run), Checksums(made_by="train", step=8, files={}))
    with pytest.warns(AutoclaveWarning):
        assert checkpoints.checkpoint_folder(run).name == "step-00000012"


def test_a_finished_run_that_is_asked_again_changes_nothing(run: Path) -> None:
    times = {path: path.stat().st_mtime_ns for path in run.rglob("*.safetensors")}
    with warnings.catch_warnings():
        warnings.simplefilter("error", AutoclaveWarning)
        train(CONFIG, SETTINGS, PatternLoader(), run)
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*.safetensors")} == times
    listed = read_checksums(str(run))
    assert listed is not None
    assert (listed.step, listed.made_by) == (12, "train")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"z_loss": 0.5}, r"z_loss: 0\.0001 there, 0\.5 here"),
        (
            {"optimizer": msgspec.structs.replace(SETTINGS.optimizer, learning_rate=0.5)},
            r"learning_rate: 0\.01 there, 0\.5",
        ),
        ({"accumulation": 2, "seed": 4}, r"accumulation: 1 there, 2 here; seed: 0 there, 4 here"),
    ],
)
def test_other_settings_are_refused_by_name(run: Path, changes: dict[str, object], named: str) -> None:
    with pytest.raises(CheckpointError, match=named):
        train(CONFIG, msgspec.structs.replace(SETTINGS, **changes), PatternLoader(), run)
    with pytest.raises(CheckpointError, match=r"model\.layers: 2 there, 1 here"):
        train(msgspec.structs.replace(CONFIG, layers=1), SETTINGS, PatternLoader(), run)
    with pytest.raises(CheckpointError, match=r"data\.batch_size: None there, 3 here"):
        train(CONFIG, SETTINGS, PatternLoader(), run, data_fingerprint={"batch_size": 3})


def test_a_learning_rate_that_jumps_is_said(run: Path) -> None:
    longer = msgspec.structs.replace(SETTINGS, steps=40)
    said = r"goes on with steps: 12 there, 40 here; the learning rate jumps from 0\.001\d+ at step 12 to 0\.008\d+ at"
    with pytest.warns(AutoclaveWarning, match=said):
        train(CONFIG, longer, PatternLoader(), run)


@pytest.mark.parametrize("rate", [1e4, 1e30])
def test_a_run_with_too_high_a_learning_rate_ends_as_diverged(tmp_path: Path, rate: float) -> None:
    wild = OptimizerSettings(learning_rate=rate, warmup_steps=1, schedule="constant", clip_norm=0.0)
    settings = msgspec.structs.replace(SETTINGS, optimizer=wild)
    with pytest.raises(RunError, match="training diverged") as raised:
        train(CONFIG, settings, PatternLoader(), tmp_path / "wild")
    assert raised.value.exit_code == 1
    assert not (tmp_path / "wild/model.safetensors").exists()


def test_weights_that_are_not_finite_are_neither_saved_nor_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from autoclave.model.training import loop

    before = loop.guarded_step
    steps = iter(range(100))

    def broken(optimizer: torch.optim.AdamW, *rest: object) -> None:
        before(optimizer, *rest)  # type: ignore[arg-type]
        if next(steps) == 5:  # a row that no batch reads: the losses stay finite
            optimizer.param_groups[-1]["params"][0].data[96] = math.inf

    class Few(PatternLoader):
        def batch(self, step: int) -> Batch:
            whole = super().batch(step)
            return Batch(whole.inputs % 90, np.where(whole.targets == -100, -100, whole.targets % 90), whole.cu_seqlens)

    monkeypatch.setattr(loop, "guarded_step", broken)
    with pytest.raises(RunError, match=r"training diverged: .*not finite"):
        train(CONFIG, SETTINGS, Few(), tmp_path / "broken")
    assert [path.name for path in (tmp_path / "broken/checkpoints").glob("step-*")] == ["step-00000004"]
    assert not (tmp_path / "broken/model.safetensors").exists()


def test_what_counts_as_diverged() -> None:
    assert why_diverged(4.0, 97, 100, 1, 0) is None
    assert why_diverged(4.0, 97, 100, 1, 1) is None  # one bad batch at the very end
    assert "the last 2 updates were skipped" in str(why_diverged(4.0, 97, 100, 2, 2))
    assert "60 of 100 updates were skipped" in str(why_diverged(4.0, 97, 100, 60, 0))
    assert "no step had a finite loss" in str(why_diverged(math.nan, 97, 3, 3, 1))
    assert "far above that of a blind guess, 4.6" in str(why_diverged(30.0, 97, 100, 0, 0))
