"""Between a distributed model and its checkpoint: which boxes a process writes, and which it reads."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.tensor import DTensor

from autoclave.errors import CheckpointError
from autoclave.model.config import ModelConfig
from autoclave.model.formats import checkpoint as checkpoints
from autoclave.model.parallel.parallelize import World
from autoclave.model.training.optimizer import share_of
from autoclave.model.training.saving import set_aside
from autoclave.model.training.sharded import CheckpointReader, Piece
from autoclave.model.transnormer import TransNormerLLM

MOMENTS = ("exp_avg", "exp_avg_sq", "step")
"""What AdamW keeps of a parameter."""


def newest_whole(world: World, folder: Path) -> Path | None:
    """The newest checkpoint of a training folder that is as it was written; None where there are none at all.

    Damaged ones are set aside with a warning. Every process reads a part of the files, and all come to the same answer.
    Raises CheckpointError where every checkpoint is damaged.
    """
    found = list(checkpoints.newest_first(folder))
    part = (world.rank, world.size)
    damage = {path: _first_of(world, checkpoints.checkpoint_damage(path, part=part)) for path in found}
    whole = next((path for path in found if damage[path] is None), None)
    if found and whole is None:
        raise CheckpointError(f"{damage[found[0]]}; no whole checkpoint is left: --no-resume starts anew")
    for path, what in damage.items():
        if what is not None and whole is not None and world.rank == 0:
            checkpoints.warn(f"{what}; training goes on from {whole.name}, this one is removed")
            set_aside(path)
    return whole


def _first_of(world: World, message: str | None) -> str | None:
    """The message of the first process that has one."""
    if world.mesh is None:
        return message
    messages: list[str | None] = [None] * world.size
    dist.all_gather_object(messages, message)
    return next((one for one in messages if one is not None), None)


def pieces_to_write(world: World, model: TransNormerLLM, optimizer: torch.optim.Optimizer) -> list[Piece]:
    """This process's boxes of weights (by name) and of the optimizer's moments (`<name>/<moment>`), as views."""
    tensors: dict[str, Tensor] = {}
    for name, parameter in model.named_parameters():
        tensors[name] = parameter.detach()
        moments = optimizer.state.get(share_of(parameter), {})
        tensors |= {f"{name}/{key}": _placed_as(parameter, value) for key, value in moments.items()}
    pieces = (piece for name, value in tensors.items() for piece in world.pieces_of(name, value, model.config))
    return [piece for piece in pieces if world.writes(piece, model.config)]


@torch.no_grad()
def restore(
    world: World, model: TransNormerLLM, optimizer: torch.optim.Optimizer, reader: CheckpointReader, *, updated: bool
) -> None:
    """Fill this process's share of weights and moments, exactly, whatever number of processes wrote them.

    updated: whether the optimizer has done a step, so that its moments must be there. Raises CheckpointError for
    missing or unknown tensors, other shapes and damaged files.
    """
    parameters = dict(model.named_parameters())
    _check_names(set(parameters), reader)
    lacking = sorted({f"{name}/{key}" for name in parameters for key in MOMENTS} - reader.moments) if updated else []
    if lacking:
        raise CheckpointError(f"{reader.folder}: lacks the optimizer's '{lacking[0]}'; training cannot go on from it")
    for name, parameter in parameters.items():
        _fill(world, name, parameter.detach(), model.config, reader)
    for flat in sorted(reader.moments):
        name, _, key = flat.rpartition("/")
        parameter = parameters[name]
        if key == "step":  # AdamW keeps it in float32, on the CPU unless fused
            device = parameter.device if parameter.is_cuda else torch.device("cpu")
            value = reader.whole(flat).to(device)
        else:
            value = torch.empty_like(share_of(parameter), requires_grad=False)
            _fill(world, flat, _placed_as(parameter, value), model.config, reader)
        optimizer.state[share_of(parameter)][key] = value


def _placed_as(parameter: Tensor, moment: Tensor) -> Tensor:
    """A moment of this process's share of a parameter as the part of the whole that the parameter is: same memory."""
    if not isinstance(parameter, DTensor) or not moment.dim():
        return moment
    mesh, placements = parameter.device_mesh, parameter.placements
    shape, stride = parameter.shape, parameter.stride()
    return DTensor.from_local(moment, mesh, placements, run_check=False, shape=shape, stride=stride)


def _check_names(expected: set[str], reader: CheckpointReader) -> None:
    missing, surplus = sorted(expected - reader.weights), sorted(reader.weights - expected)
    strange = sorted(flat for flat in reader.moments if flat.rpartition("/")[0] not in expected)
    if missing or surplus or strange:
        what = f"lacks '{missing[0]}'" if missing else f"has an unknown tensor '{(surplus or strange)[0]}'"
        raise CheckpointError(f"{reader.folder}: {what}; it belongs to another model or layout")


def _fill(world: World, name: str, tensor: Tensor, config: ModelConfig, reader: CheckpointReader) -> None:
    for piece in world.pieces_of(name, tensor, config):
        reader.read_into(piece)
