"""Between a distributed model and its checkpoint: which boxes a process writes, and which it reads."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from autoclave.errors import CheckpointError
from autoclave.model.config import ModelConfig
from autoclave.model.parallel.parallelize import World
from autoclave.model.training.optimizer import share_of
from autoclave.model.training.sharded import CheckpointReader, Piece
from autoclave.model.transnormer import TransNormerLLM


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
def restore(world: World, model: TransNormerLLM, optimizer: torch.optim.Optimizer, reader: CheckpointReader) -> None:
    """Fill this process's share of weights and moments, exactly, whatever number of processes wrote them.

    Raises CheckpointError for missing or unknown tensors, other shapes and damaged files.
    """
    parameters = dict(model.named_parameters())
    _check_names(set(parameters), reader)
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
