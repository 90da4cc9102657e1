"""FSDP2 and tensor parallelism over gloo processes: the same losses and weights as one process."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from batches import PatternLoader
from test_model_training import CONFIG, SETTINGS, losses

from autoclave.errors import RecipeError
from autoclave.model import checkpoint as checkpoints
from autoclave.model.parallel import World
from autoclave.model.tensor_parallel import Split, join_parts, take_part
from autoclave.model.training import train

STEPS = msgspec.structs.replace(SETTINGS, steps=6, checkpoint_every=3)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def worker(rank: int, size: int, port: int, folder: str, options: dict[str, object]) -> None:
    os.environ |= {
        "RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    try:
        train(CONFIG, msgspec.structs.replace(STEPS, **options), PatternLoader(), folder)
    finally:
        torch.distributed.destroy_process_group()


def launch(size: int, folder: Path, **options: object) -> None:
    mp.spawn(worker, args=(size, free_port(), str(folder), options), nprocs=size)


def assert_same_run(folder: Path, reference: Path) -> None:
    for (step, ours), (_, theirs) in zip(losses(folder), losses(reference), strict=True):
        assert ours == pytest.approx(theirs, abs=2e-5), step
    mine = checkpoints.load_weights(folder / "model.safetensors")
    for name, value in checkpoints.load_weights(reference / "model.safetensors").items():
        torch.testing.assert_close(mine[name], value, rtol=0, atol=2e-3, msg=name)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    train(CONFIG, STEPS, PatternLoader(), folder)
    return folder


@pytest.mark.parametrize("tensor_parallel", [1, 2], ids=["fsdp", "tensor_parallel"])
def test_two_processes_train_as_one(alone: Path, tmp_path: Path, tensor_parallel: int) -> None:
    launch(2, tmp_path / "two", tensor_parallel=tensor_parallel)
    assert_same_run(tmp_path / "two", alone)


@pytest.mark.slow
def test_two_processes_in_bfloat16_follow_float32(alone: Path, tmp_path: Path) -> None:
    launch(2, tmp_path / "two", precision="bfloat16")
    for (_, ours), (_, theirs) in zip(losses(tmp_path / "two"), losses(alone), strict=True):
        assert ours == pytest.approx(theirs, rel=0.01)


@pytest.mark.slow
def test_four_processes_fsdp_times_tensor_parallel_resumed_on_one(alone: Path, tmp_path: Path) -> None:
    launch(4, tmp_path / "four", tensor_parallel=2, steps=3, activation_checkpointing="full")
    assert len(losses(tmp_path / "four")) == 3
    train(CONFIG, STEPS, PatternLoader(), tmp_path / "four")  # another world size goes on from the same files
    # the schedule of three steps differs from that of six in the second and third
    reference = tmp_path / "reference"
    train(CONFIG, msgspec.structs.replace(STEPS, steps=3), PatternLoader(), reference)
    train(CONFIG, STEPS, PatternLoader(), reference)
    assert_same_run(tmp_path / "four", reference)


@pytest.mark.slow
def test_one_process_resumed_on_two(alone: Path, tmp_path: Path) -> None:
    train(CONFIG, msgspec.structs.replace(STEPS, steps=3), PatternLoader(), tmp_path / "run")
    launch(2, tmp_path / "run", accumulation=1)
    reference = tmp_path / "reference"
    train(CONFIG, msgspec.structs.replace(STEPS, steps=3), PatternLoader(), reference)
    train(CONFIG, STEPS, PatternLoader(), reference)
    assert_same_run(tmp_path / "run", reference)


def test_cutting_and_joining_are_inverse_and_keep_whole_heads() -> None:
    full = torch.arange(4 * 6 * 5.0).view(24, 5)  # q, k, v, u of six rows each
    split = Split(0, 4)
    parts = [take_part(full, split, rank, 3) for rank in range(3)]
    assert torch.equal(join_parts(parts, split), full)
    assert parts[1][:2].tolist() == full[2:4].tolist()  # rows 2, 3 of q
    assert parts[1][2:4].tolist() == full[8:10].tolist()  # and of k
    columns = Split(1, 1)
    wide = torch.randn(3, 8)
    assert torch.equal(join_parts([take_part(wide, columns, rank, 4) for rank in range(4)], columns), wide)


def test_rows_are_cut_between_sequences() -> None:
    class Mesh:
        def __init__(self, rank: int) -> None:
            self.rank = rank

        def __getitem__(self, _: str) -> Mesh:
            return self

        def size(self) -> int:
            return 2

        def get_local_rank(self) -> int:
            return self.rank

    batch = PatternLoader().batch(0)
    seen = []
    for rank in range(2):
        world = World(rank, 2, Mesh(rank))  # type: ignore[arg-type]
        inputs, targets, bounds = world.rows_of(batch.inputs, batch.targets, batch.cu_seqlens)
        assert inputs.shape == targets.shape == (2, 48)
        assert bounds[0] == 0
        assert bounds[-1] == 96
        seen += (bounds + 96 * rank).tolist()
    assert sorted(set(seen)) == batch.cu_seqlens.tolist()
    with pytest.raises(RecipeError, match="3 rows does not divide over 2"):
        world.rows_of(np.zeros((3, 4)), np.zeros((3, 4)), np.array([0, 12]))
