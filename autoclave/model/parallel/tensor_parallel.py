"""Tensor parallelism of the token and channel mixers, exact: the output norm spans all heads on all ranks.

SGLU: value and gate split by columns, output by rows. GLA: q, k, v, u split by whole heads; attention is local; the
output norm needs one all-reduce of a number a token (the sum of squares); output split by rows (arXiv 2307.14995,
section on model parallelism). Embedding and head are replicated.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from autoclave.errors import RecipeError
from autoclave.model.config import ModelConfig
from autoclave.model.transnormer import Layer, TokenMixer, TransNormerLLM


class Split(NamedTuple):
    """How a full tensor is cut: along `dimension`, inside each of `blocks` equal blocks stacked along it."""

    dimension: int
    blocks: int


def split_of(name: str, config: ModelConfig) -> Split | None:
    """How the named parameter (or its moments) is split over tensor-parallel ranks; None = replicated."""
    name = name.removesuffix("/exp_avg").removesuffix("/exp_avg_sq")
    if name.endswith("mixer.qkvu.weight"):
        return Split(0, 4 if config.gate == "full" else 3)
    if name.endswith(("mixer.gate_up.weight", "lrpe.theta", "channel.value.weight", "channel.gate.weight")):
        return Split(0, 1)
    if name.endswith(("mixer.output.weight", "channel.output.weight")):
        return Split(1, 1)
    return None


def take_part(full: Tensor, split: Split, rank: int, size: int) -> Tensor:
    """This rank's part of a full tensor, a copy in its dtype: its shape but for the split dimension, 1 / size of it."""
    blocks = full.chunk(split.blocks, split.dimension)
    return torch.cat([block.chunk(size, split.dimension)[rank] for block in blocks], split.dimension).clone()


class _CopyToRanks(torch.autograd.Function):
    """Identity forward, all-reduce backward: where a replicated tensor enters split matrices."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: dist.ProcessGroup) -> Tensor:
        ctx.group = group
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        grad = grads[0].contiguous().clone()
        dist.all_reduce(grad, group=ctx.group)
        return grad, None


class _ReduceFromRanks(torch.autograd.Function):
    """All-reduce forward, identity backward: where partial products leave split matrices."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: dist.ProcessGroup) -> Tensor:
        total = x.contiguous().clone()
        dist.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0], None


class _SumOverRanks(torch.autograd.Function):
    """All-reduce both ways: every rank uses the sum, so every rank's gradient flows into each term."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: dist.ProcessGroup) -> Tensor:
        ctx.group = group
        total = x.contiguous().clone()
        dist.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        grad = grads[0].contiguous().clone()
        dist.all_reduce(grad, group=ctx.group)
        return grad, None


class SplitNorm(nn.Module):
    """SRMSNorm over the heads of all ranks, times the gate."""

    def __init__(self, width: int, epsilon: float, group: dist.ProcessGroup) -> None:
        super().__init__()
        self.width, self.epsilon, self.group = width, epsilon, group

    def gated(self, x: Tensor, gate: Tensor | None) -> Tensor:
        """gate * x * rsqrt(mean over all ranks' heads of x^2 + eps); x, gate [..., local width] of one dtype."""
        wide = x if x.dtype == torch.float64 else x.float()
        squares = _SumOverRanks.apply(wide.square().sum(-1, keepdim=True), self.group)
        normed = (wide * torch.rsqrt(squares / self.width + self.epsilon)).to(x.dtype)
        return normed if gate is None else gate * normed


def split_model(model: TransNormerLLM, group: dist.ProcessGroup) -> None:
    """Keep this rank's part of every layer's matrices, in place.

    Raises RecipeError when heads or glu_size do not divide, or the norm has weights.
    """
    config, size, rank = model.config, dist.get_world_size(group), dist.get_rank(group)
    if config.heads % size or config.glu_size % size:
        raise RecipeError(f"tensor_parallel {size} must divide heads {config.heads} and glu_size {config.glu_size}")
    if config.norm != "simple":
        raise RecipeError(f"tensor_parallel needs norm 'simple', the model has '{config.norm}'")
    for name, parameter in list(model.named_parameters()):
        split = split_of(name, config)
        if split is not None:
            owner_name, _, attribute = name.rpartition(".")
            part = take_part(parameter.detach(), split, rank, size)
            setattr(model.get_submodule(owner_name), attribute, nn.Parameter(part))
    for layer in model.layers:
        assert isinstance(layer, Layer)
        _split_mixer(layer.mixer, config, group)
        layer.channel.register_forward_pre_hook(lambda _, args: (_CopyToRanks.apply(args[0], group), *args[1:]))
        layer.channel.register_forward_hook(lambda _, __, out: _ReduceFromRanks.apply(out, group))


def _split_mixer(mixer: TokenMixer, config: ModelConfig, group: dist.ProcessGroup) -> None:
    size, rank = dist.get_world_size(group), dist.get_rank(group)
    mixer.heads = config.heads // size
    mixer.norm = SplitNorm(config.mixer_width, config.norm_epsilon, group)  # type: ignore[assignment]

    def enter(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        x, decay, *rest = args
        return (_CopyToRanks.apply(x, group), decay.chunk(size)[rank], *rest)

    def leave(_: nn.Module, __: Any, out: tuple[Tensor, Tensor | None]) -> tuple[Tensor, Tensor | None]:
        return _ReduceFromRanks.apply(out[0], group), out[1]

    mixer.register_forward_pre_hook(enter)
    mixer.register_forward_hook(leave)
