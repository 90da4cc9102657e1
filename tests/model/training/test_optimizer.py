"""The guarded update against PyTorch's own clipping and AdamW, fused and not."""

import copy
import os
import socket
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from autoclave.model.training.optimizer import guarded_step, hand_over_gradients, make_optimizer
from autoclave.model.training.settings import OptimizerSettings


def small_model(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(7, 5), nn.Tanh(), nn.Linear(5, 3))


def fill_gradients(model: nn.Module, step: int) -> torch.Tensor:
    """Gradients of a norm that grows with the step; returns the loss."""
    torch.manual_seed(100 + step)
    loss = (model(torch.randn(11, 7)) * (1 + step)).square().mean()
    loss.backward()
    return loss.detach()


def optimizer_of(model: nn.Module, settings: OptimizerSettings, fused: bool) -> torch.optim.AdamW:
    optimizer = make_optimizer(model, settings)
    groups = [{name: group[name] for name in ("params", "weight_decay")} for group in optimizer.param_groups]
    options = {name: optimizer.defaults[name] for name in ("lr", "betas", "eps")}
    return torch.optim.AdamW(groups, **options, fused=fused)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("clip_norm", [0.0, 0.5])
def test_guarded_step_is_clipping_and_adamw(fused: bool, clip_norm: float) -> None:
    settings = OptimizerSettings(learning_rate=0.05, weight_decay=0.2)
    ours, theirs = small_model(0), small_model(0)
    mine, other = optimizer_of(ours, settings, fused), optimizer_of(theirs, settings, fused=False)
    clipped = 0
    for step in range(8):
        loss = fill_gradients(ours, step)
        norm = nn.utils.get_total_norm([p.grad for p in ours.parameters() if p.grad is not None])
        guarded_step(mine, norm, loss, clip_norm)
        mine.zero_grad()
        fill_gradients(theirs, step)
        if clip_norm:
            clipped += int(nn.utils.clip_grad_norm_(theirs.parameters(), clip_norm) > clip_norm)
        other.step()
        other.zero_grad()
    assert clip_norm == 0 or clipped > 0
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("bad", ["gradient", "loss"])
def test_an_update_that_is_not_finite_leaves_no_trace(fused: bool, bad: str) -> None:
    model = small_model(1)
    optimizer = optimizer_of(model, OptimizerSettings(), fused)
    for step in range(2):
        loss = fill_gradients(model, step)
        norm = nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
        guarded_step(optimizer, norm, loss, 1.0)
        optimizer.zero_grad()
    weights = [p.detach().clone() for p in model.parameters()]
    state = copy.deepcopy(optimizer.state_dict()["state"])
    loss = fill_gradients(model, 2)
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    if bad == "gradient":
        gradients[0].view(-1)[0] = float("nan")
    else:
        loss = torch.tensor(float("inf"))
    guarded_step(optimizer, nn.utils.get_total_norm(gradients), loss, 1.0)
    assert all(torch.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True))
    for index, before in state.items():
        after = optimizer.state_dict()["state"][index]
        assert all(torch.equal(torch.as_tensor(before[name]), torch.as_tensor(after[name])) for name in before)


def three_updates(model: nn.Module, optimizer: torch.optim.AdamW) -> None:
    """The second of them not finite."""
    for step, norm in enumerate((2.0, float("nan"), 0.5)):
        loss = fill_gradients(model, step)
        hand_over_gradients(model)
        guarded_step(optimizer, torch.tensor(norm), loss, 1.0)
        model.zero_grad()


def sharded_updates(rank: int, port: int, folder: str) -> None:
    """One of two processes that share a model by FSDP2."""
    place = {"RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in place.items()}
    dist.init_process_group("gloo")
    model = small_model(0)
    fully_shard(model, mesh=init_device_mesh("cpu", (2,)))
    three_updates(model, optimizer_of(model, OptimizerSettings(learning_rate=0.05), fused=True))
    whole = {name: p.full_tensor() for name, p in model.named_parameters() if isinstance(p, DTensor)}
    if rank == 0:
        torch.save(whole, Path(folder) / "whole.pt")
    dist.destroy_process_group()


def test_fused_guarded_step_on_sharded_parameters(tmp_path: Path) -> None:
    """The factor and the verdict are plain scalars beside distributed tensors."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    multiprocessing.spawn(sharded_updates, args=(port, str(tmp_path)), nprocs=2)
    alone = small_model(0)
    three_updates(alone, optimizer_of(alone, OptimizerSettings(learning_rate=0.05), fused=True))
    found = torch.load(tmp_path / "whole.pt", weights_only=True)
    for name, parameter in alone.named_parameters():
        torch.testing.assert_close(found[name], parameter.detach(), rtol=1e-5, atol=1e-6)
