"""FSDP2 and tensor parallelism over gloo processes: the same losses and weights as one process."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from batches import Batch, PatternLoader
from processes import STEPS, free_port, worker
from small_training import CONFIG, gradient_norm_in_float64, losses, metrics
from torch.distributed.device_mesh import init_device_mesh

from autoclave.errors import RecipeError
from autoclave.model.formats import checkpoint as checkpoints
from autoclave.model.parallel.parallelize import World, layer_groups, shard
from autoclave.model.parallel.sequence_parallel import cut_stream
from autoclave.model.parallel.shares import gathered_products, scattered_product
from autoclave.model.parallel.tensor_parallel import Split, take_part
from autoclave.model.training.loop import train
from autoclave.model.transnormer import TransNormerLLM


class LongLoader(PatternLoader):
    """Four rows as one: a document over all of them, or with breaks in odd places."""

    def batch(self, step: int) -> Batch:
        batch = super().batch(step)
        whole = np.array([0, 48, 96, 130, 192] if step % 2 else [0, 192], np.int32)
        return Batch(batch.inputs, batch.targets, whole)


def launch(size: int, folder: Path, loader: PatternLoader | None = None, **options: object) -> None:
    runs = [(str(folder), loader or PatternLoader(), options)]
    mp.spawn(worker, args=(size, free_port(), runs), nprocs=size)


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


KINDS: dict[str, dict[str, object]] = {
    "fsdp": {},
    "tensor": {"tensor_parallel": 2},
    "sequence": {"sequence_parallel": 2},
}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One pair of processes trains with each kind of parallelism in turn."""
    folder = tmp_path_factory.mktemp("pairs")
    runs = [(str(folder / kind), PatternLoader(), options) for kind, options in KINDS.items()]
    mp.spawn(worker, args=(2, free_port(), runs), nprocs=2)
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_train_as_one(alone: Path, pairs: Path, kind: str) -> None:
    assert_same_run(pairs / kind, alone)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_norm_of_two_processes_is_that_of_one(alone: Path, pairs: Path, kind: str) -> None:
    norms = [[line["grad_norm"] for line in metrics(folder)] for folder in (pairs / kind, alone)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-3)  # the weights part slowly
    assert norms[0][0] == pytest.approx(gradient_norm_in_float64(PatternLoader().batch(0)), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [{"sequence_parallel": 4}, {"sequence_parallel": 2, "tensor_parallel": 2}],
    ids=str,
)
def test_four_processes_share_long_sequences(tmp_path: Path, options: dict[str, int]) -> None:
    """Rows of one document each, so that states cross every border, several ranks at a time."""
    train(CONFIG, STEPS, LongLoader(), tmp_path / "one")
    launch(4, tmp_path / "four", loader=LongLoader(), **options)
    assert_same_run(tmp_path / "four", tmp_path / "one")


@pytest.mark.slow
def test_four_processes_rows_times_pieces(alone: Path, tmp_path: Path) -> None:
    launch(4, tmp_path / "four", sequence_parallel=2)
    assert_same_run(tmp_path / "four", alone)


def shares_worker(rank: int, size: int, port: int) -> None:
    """Products over shares of tokens and their gradients, beside the same of whole tensors on one process."""
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=size)
    try:
        torch.manual_seed(0)  # the same whole tensors on all ranks
        tokens, width, out = 4, 5, 3
        x = torch.randn(1, size * tokens, width, dtype=torch.float64)
        weights = [torch.randn(size, out, width, dtype=torch.float64) for _ in range(2)]
        inner = torch.randn(size, 1, size * tokens, width, dtype=torch.float64)
        squares = torch.rand(size, 1, size * tokens)
        place, group = slice(rank * tokens, (rank + 1) * tokens), dist.group.WORLD
        assert group is not None

        share = x[:, place].clone().requires_grad_()
        own = [weight[rank].clone().requires_grad_() for weight in weights]
        products = gathered_products(share, own, group)
        for product, weight in zip(products, own, strict=True):
            torch.testing.assert_close(product, x @ weight.T)
        found = torch.autograd.grad(products[0].sum() + 2 * products[1].sum(), [share, *own])
        columns = weights[0].sum((0, 1)) + 2 * weights[1].sum((0, 1))
        torch.testing.assert_close(found[0], columns.expand_as(share))
        torch.testing.assert_close(found[2], 2 * x.sum((0, 1)).expand(out, width))

        mine, weight = inner[rank].clone().requires_grad_(), weights[0][rank].clone().requires_grad_()
        numbers = squares[rank].clone().requires_grad_()
        total, sums = scattered_product(mine, weight, group, numbers)
        torch.testing.assert_close(total, torch.einsum("rbtw,row->bto", inner, weights[0])[:, place])
        torch.testing.assert_close(sums, squares.sum(0)[:, place])
        scale = torch.arange(1.0, size * tokens + 1, dtype=torch.float64)[None]  # another upstream gradient a token
        loss = (total * scale[:, place, None]).sum() + (sums * scale[:, place]).sum()
        d_inner, d_weight, d_squares = torch.autograd.grad(loss, [mine, weight, numbers])
        torch.testing.assert_close(d_inner, scale[..., None] * weight.sum(0).detach())
        torch.testing.assert_close(d_weight, (scale[..., None] * mine.detach()).sum((0, 1)).expand(out, width))
        torch.testing.assert_close(d_squares, scale.float())
    finally:
        dist.destroy_process_group()


@pytest.mark.parametrize("size", [2, 3])
def test_products_over_shares_that_travel_are_those_of_whole_tensors(size: int) -> None:
    mp.spawn(shares_worker, args=(size, free_port()), nprocs=size)


@pytest.mark.parametrize(("parameters", "groups"), [(1, 2), (10**9, 1)])
def test_decay_and_positions_stay_float32_where_matrices_are_gathered_in_bfloat16(
    tmp_path: Path, parameters: int, groups: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many layers are gathered at once."""
    monkeypatch.setattr("autoclave.model.parallel.parallelize.GROUP_PARAMETERS", parameters)
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        model = TransNormerLLM(CONFIG).initialise(0)
        assert [len(group) for group in layer_groups(model)] == [CONFIG.layers // groups] * groups
        shard(model, init_device_mesh("cpu", (1,)), bfloat16=True, keep_gathered=False)
        seen: list[tuple[torch.dtype, ...]] = []
        for layer in model.layers:
            mixer = layer.mixer
            mixer.register_forward_pre_hook(lambda _, args: seen.append((args[0].dtype, args[1].dtype)))
            if mixer.lrpe is not None:
                mixer.lrpe.register_forward_hook(lambda _, __, theta: seen.append((torch.bfloat16, theta.dtype)))
        model(torch.ones(1, 8, dtype=torch.int64))
        assert set(seen) == {(torch.bfloat16, torch.float32)}
        assert len(seen) == CONFIG.layers + 1
    finally:
        dist.destroy_process_group()


def test_streams_are_cut_with_every_state_that_reaches_a_rank() -> None:
    bounds = np.array([0, 5, 40, 48, 50, 64])
    expected_reach = [[-1, -1, -1, -1], [0, -1, -1, -1], [16, 0, -1, -1], [-1, -1, -1, -1]]
    expected = [([0, 5, 16], 0), ([0, 16], 11), ([0, 8, 16], 27), ([0, 2, 16], 0)]
    for rank in range(4):
        tokens, own, reach, offset, last = cut_stream(bounds, 4, rank, 64)
        assert tokens == slice(16 * rank, 16 * rank + 16)
        # rank 0's last sequence is the one from 5 on, which spans rank 1 and ends in rank 2
        assert reach.tolist() == expected_reach
        assert (own.tolist(), offset) == expected[rank]
        assert last == own[-2]
    with pytest.raises(RecipeError, match="does not divide into 3 pieces"):
        cut_stream(bounds, 3, 0, 64)


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


def join_parts(parts: list[torch.Tensor], split: Split) -> torch.Tensor:
    """The full tensor from all ranks' parts."""
    cut = [part.chunk(split.blocks, split.dimension) for part in parts]
    ordered = [cut[rank][block] for block in range(split.blocks) for rank in range(len(parts))]
    return torch.cat(ordered, split.dimension)


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
