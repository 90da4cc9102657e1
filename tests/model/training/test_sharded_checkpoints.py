"""Checkpoints of several processes: exact on another cut, whole or absent after a kill, never a pickle."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest
import torch
import torch.multiprocessing as mp
from batches import PatternLoader
from processes import STEPS, Runs, free_port, worker
from small_training import CONFIG, SETTINGS, losses

from autoclave.errors import CheckpointError
from autoclave.model.formats import checkpoint as checkpoints
from autoclave.model.formats.checkpoint import TrainingState
from autoclave.model.formats.convert import convert_from_released, convert_to_released
from autoclave.model.training import saving
from autoclave.model.training.loop import Trainer, train
from autoclave.model.training.saving import CheckpointSaver
from autoclave.model.training.sharded import CheckpointReader, Index, Piece, lay_out, read_index

HALF = {"steps": 6, "optimizer": msgspec.structs.replace(SETTINGS.optimizer, schedule="constant")}
FULL = HALF | {"steps": 10}


def spawn(size: int, runs: Runs) -> None:
    mp.spawn(worker, args=(size, free_port(), runs), nprocs=size)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two processes, three cuts: six steps with each, ten without a break, and six continued to ten."""
    folder = tmp_path_factory.mktemp("runs")
    cuts: dict[str, dict[str, object]] = {
        "fsdp": {},
        "tensor": {"tensor_parallel": 2},
        "sequence": {"sequence_parallel": 2},
    }
    first = [(str(folder / kind), PatternLoader(), HALF | cut) for kind, cut in cuts.items()]
    undisturbed = [(str(folder / f"{kind}-undisturbed"), PatternLoader(), FULL | cut) for kind, cut in cuts.items()]
    spawn(2, [*first, *undisturbed])
    for kind in cuts:
        shutil.copytree(folder / kind, folder / f"{kind}-resumed")
    spawn(2, [(str(folder / f"{kind}-resumed"), PatternLoader(), FULL | cut) for kind, cut in cuts.items()])
    return folder


def latest(folder: Path) -> Path:
    found = checkpoints.latest_checkpoint(folder)
    assert found is not None
    return found


def all_tensors(folder: Path) -> dict[str, torch.Tensor]:
    reader = CheckpointReader(latest(folder))
    return {name: reader.whole(name) for name in sorted(reader.index.tensors)}


def assert_equal(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


@pytest.mark.parametrize("kind", ["fsdp", "tensor", "sequence"])
def test_two_processes_resume_to_the_bit(runs: Path, kind: str) -> None:
    assert [step for step, _ in losses(runs / f"{kind}-undisturbed")] == list(range(1, 11))
    assert losses(runs / f"{kind}-resumed") == losses(runs / f"{kind}-undisturbed")
    assert_equal(all_tensors(runs / f"{kind}-resumed"), all_tensors(runs / f"{kind}-undisturbed"))


def test_a_checkpoint_holds_each_number_once_and_the_folder_a_whole_model(runs: Path) -> None:
    for kind in ("fsdp", "tensor", "sequence"):
        folder = latest(runs / kind)
        names = {path.name for path in folder.iterdir()}
        shards = {f"{stem}-0000{n}-of-00002.safetensors" for stem in ("model", "training_state") for n in (1, 2)}
        assert names == shards | {"config.json", "shards.json", "training_state.json", "checksums.json"}
        weights = checkpoints.model_weights(folder)
        assert sum(path.stat().st_size for path in folder.glob("model-*")) < 1.3 * sum(
            value.nbytes for value in weights.values()
        )
        assert_equal(checkpoints.load_weights(runs / kind / "model.safetensors"), weights)
        model = checkpoints.load_model(folder)  # reads the shards themselves
        assert_equal({name: value.detach() for name, value in model.named_parameters()}, weights)


def rewrite(rank: int, size: int, port: int, source: str, out: str, cuts: list[dict[str, object]]) -> None:
    """Read the checkpoint in each cut, and write what was read from that cut, without a step between."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    for number, cut in enumerate(cuts):
        settings = msgspec.structs.replace(STEPS, **(FULL | cut))
        trainer = Trainer(CONFIG, settings, PatternLoader(), Path(source), None, "")
        trainer.start(True)
        trainer.saver.parent = Path(out) / str(number) / "checkpoints"
        trainer.save()
        trainer.saver.wait()
        trainer.world.barrier()
    torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fsdp", "tensor", "sequence"])
def test_other_cuts_read_the_same_bits(runs: Path, tmp_path: Path, kind: str) -> None:
    cuts: list[dict[str, object]] = [{}, {"tensor_parallel": 2}, {"sequence_parallel": 2, "tensor_parallel": 2}]
    mp.spawn(rewrite, args=(4, free_port(), str(runs / kind), str(tmp_path), cuts), nprocs=4)
    for number in range(len(cuts)):
        assert "model-00004-of-00004.safetensors" in {path.name for path in latest(tmp_path / str(number)).iterdir()}
        assert_equal(all_tensors(tmp_path / str(number)), all_tensors(runs / kind))


def test_one_process_goes_on_from_two_and_two_from_one(runs: Path, tmp_path: Path) -> None:
    settings = msgspec.structs.replace(STEPS, **FULL)
    for kind in ("fsdp", "tensor"):
        shutil.copytree(runs / kind, tmp_path / kind)
        train(CONFIG, settings, PatternLoader(), tmp_path / kind)
        assert len(losses(tmp_path / kind)) == 10
        for (_, ours), (_, theirs) in zip(losses(tmp_path / kind), losses(runs / f"{kind}-undisturbed"), strict=True):
            assert ours == pytest.approx(theirs, abs=2e-5)


def test_convert_reads_shards(runs: Path, tmp_path: Path) -> None:
    source = latest(runs / "tensor")
    convert_to_released(source, tmp_path / "released")
    convert_from_released(tmp_path / "released", tmp_path / "back")
    assert_equal(checkpoints.load_weights(tmp_path / "back/model.safetensors"), checkpoints.model_weights(source))


SLOW_WRITER = """
import os, sys, time
sys.path.insert(0, {tests!r})
from batches import PatternLoader
from small_training import CONFIG, SETTINGS
import msgspec, torch
from autoclave.model.formats import checkpoint
from autoclave.model.training.loop import train

whole = checkpoint.save_weights
def slowly(path, tensors):
    whole(path, tensors)
    if "step-00000006" in str(path) and "model" in path.name:
        path.with_name("begun-" + os.environ.get("RANK", "0")).touch()
        time.sleep(60)  # killed here, while the training goes on
checkpoint.save_weights = slowly
train(CONFIG, msgspec.structs.replace(SETTINGS, steps=20, checkpoint_every=2), PatternLoader(), sys.argv[1])
"""


@pytest.mark.parametrize("size", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_sigkill_during_a_save_leaves_the_one_before_and_the_same_curve(tmp_path: Path, size: int) -> None:
    script, folder = tmp_path / "run.py", tmp_path / "killed"
    script.write_text(SLOW_WRITER.format(tests=str(Path(__file__).parent.parent)))
    port, processes = str(free_port()), []
    for rank in range(size):
        environment = os.environ | {"OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        environment |= {"RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank)}
        processes.append(subprocess.Popen([sys.executable, str(script), str(folder)], env=environment))
    partial = folder / "checkpoints/.partial-step-00000006"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not all((partial / f"begun-{rank}").exists() for rank in range(size)):
        assert all(process.poll() is None for process in processes)
        time.sleep(0.01)
    for process in processes:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert [path.name for path in sorted((folder / "checkpoints").glob("step-*"))][-1] == "step-00000004"
    assert checkpoints.read_training_state(latest(folder)).step == 4
    checkpoints.load_model(latest(folder))
    options: dict[str, object] = {"steps": 20, "checkpoint_every": 2}
    if size == 1:
        settings = msgspec.structs.replace(SETTINGS, **options)
        train(CONFIG, settings, PatternLoader(), folder)
        train(CONFIG, settings, PatternLoader(), tmp_path / "whole")
    else:
        spawn(2, [(str(folder), PatternLoader(), options), (str(tmp_path / "whole"), PatternLoader(), options)])
    assert losses(folder) == losses(tmp_path / "whole")
    assert len(losses(folder)) == 20
    assert_equal(all_tensors(folder), all_tensors(tmp_path / "whole"))
    assert not list((folder / "checkpoints").glob(".partial*"))


def make_pieces(value: float) -> list[Piece]:
    return [Piece("w", (4, 3), (0, 0), torch.full((4, 3), value))]


def test_training_goes_on_while_a_checkpoint_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    may_write = threading.Event()
    write = checkpoints.save_weights
    monkeypatch.setattr(checkpoints, "save_weights", lambda *args: (may_write.wait(60), write(*args)))
    saver = CheckpointSaver(tmp_path, 0, 1, 2, None)
    pieces = make_pieces(1.0)
    saver.save(CONFIG, pieces, TrainingState(step=1))
    pieces[0].tensor.fill_(2.0)  # the optimizer's next step
    assert checkpoints.latest_checkpoint(tmp_path) is None
    may_write.set()
    saver.wait()
    assert checkpoints.load_weights(latest(tmp_path) / "model.safetensors")["w"].unique().item() == 1.0


def test_a_save_that_fails_is_reported_and_nothing_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saver = CheckpointSaver(tmp_path, 0, 1, 2, None)
    saver.save(CONFIG, make_pieces(1.0), TrainingState(step=1))
    saver.wait()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "save_weights", full)
    saver.save(CONFIG, make_pieces(2.0), TrainingState(step=2))
    with pytest.raises(OSError, match="No space left"):
        saver.wait()
    assert latest(tmp_path).name == "step-00000001"
    monkeypatch.undo()
    monkeypatch.setattr(saving, "PATIENCE", 0.1)
    alone = CheckpointSaver(tmp_path, 0, 2, 2, None)  # the other process is gone
    alone.save(CONFIG, make_pieces(3.0), TrainingState(step=3))
    with pytest.raises(CheckpointError, match="process 1 did not write its part"):
        alone.wait()
    assert latest(tmp_path).name == "step-00000001"


def test_damaged_and_hostile_indexes_are_refused(tmp_path: Path) -> None:
    files, index = lay_out([Piece("w", (4, 3), (0, 0), torch.ones(2, 3))], 0, 2)
    (name,) = [file for file, tensors in files.items() if tensors]
    checkpoints.save_weights(tmp_path / name, files[name])
    path = tmp_path / "shards.json"
    path.write_bytes(msgspec.json.encode(index))
    with pytest.raises(CheckpointError, match="'w' is not whole"):
        CheckpointReader(tmp_path).whole("w")
    with pytest.raises(CheckpointError, match="processes disagree on the shape of 'w'"):
        index.merge(Index(lay_out([Piece("w", (5, 3), (2, 0), torch.ones(3, 3))], 1, 2)[1].tensors))
    text = path.read_text()
    for wrong, message in (
        (text.replace(name, "../../secret.safetensors"), "not one of this folder"),
        (text.replace(name, "state.pkl"), "not one of this folder"),
        (text.replace("F32", "object"), "does not fit"),
        (text[:-5], "not a readable index"),
        (text.replace('"offset"', '"where"'), "not a readable index"),
    ):
        path.write_text(wrong)
        with pytest.raises(CheckpointError, match=message):
            read_index(path)
    path.write_text(text.replace("00001-of", "00003-of"))
    with pytest.raises(CheckpointError, match="no such file"):
        CheckpointReader(tmp_path).whole("w")
