"""Tensor parallelism of the token and channel mixers, exact: the output norm spans all heads on all ranks.

SGLU: value and gate split by columns, output by rows. GLA: q, k, v, u split by whole heads; attention is local; output
split by rows (arXiv 2307.14995, section on model parallelism). Outside of the split matrices every rank has a share of
the tokens only: embedding, residual stream, norms and the head's cross-entropy are not done twice (Megatron's sequence
parallelism, arXiv 2205.05198). So a rank gathers the tokens before a split product and scatters sums after it
(`shares.py`), and the gradients of what is not split are summed over the ranks once a step.

The output norm needs the sum of squares over all heads. Its factor is one number a token and so commutes with the
output product: squares travel with the product's partial sums, and the norm is done on what arrives.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from autoclave.errors import RecipeError
from autoclave.kernels.gated_attention import ungathered_gated_attention
from autoclave.kernels.norm import normalise_rows, squares_and_gate
from autoclave.kernels.sglu import gated_product
from autoclave.model.config import ModelConfig
from autoclave.model.parallel.shares import gathered_products, scattered_product
from autoclave.model.state import Packing
from autoclave.model.transnormer import ChannelMixer, Layer, TokenMixer, TransNormerLLM, activate


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


class SplitTokenMixer(TokenMixer):
    """This rank's heads of a token mixer: a share of the tokens in and out, all tokens in between.

    Has the parameters of the mixer that it is made of, this rank's part of them.
    """

    def __init__(self, whole: TokenMixer, group: dist.ProcessGroup) -> None:
        nn.Module.__init__(self)
        size, rank = dist.get_world_size(group), dist.get_rank(group)
        self.config, self.group = whole.config, group
        self.heads, self.head_size = whole.heads // size, whole.head_size
        self.first = rank * self.heads
        self.qkvu, self.output, self.lrpe = whole.qkvu, whole.output, whole.lrpe
        if self.config.gate == "low_rank":
            self.gate_down, self.gate_up = whole.gate_down, whole.gate_up

    def forward(
        self, x: Tensor, decay: Tensor, packing: Packing, memory: Tensor | None, return_memory: bool
    ) -> tuple[Tensor, None]:
        """x [1, tokens of this rank, hidden] -> the same shape and dtype; decay [all heads]. Keeps no memory."""
        assert memory is None
        assert not return_memory
        decay = decay[self.first : self.first + self.heads]
        (joint,) = gathered_products(x, [self.qkvu.weight], self.group)
        if self.one_operation():
            theta = None if self.lrpe is None else self.lrpe(decay.dtype)
            with torch.autocast(x.device.type, enabled=False):  # the kernels choose their own precisions
                mixed, squares = ungathered_gated_attention(
                    joint,
                    decay,
                    lrpe_theta=theta,
                    position_offset=packing.starts(),
                    cu_seqlens=packing.cu_seqlens,
                    exchange=packing.exchange(decay),
                )
        else:
            query, key, value, gate = self.activated(joint, self.low_rank_gate(x))
            out, _ = self.attend(query, key, value, decay, packing)
            mixed, squares = squares_and_gate(out.flatten(-2), gate)
        total, squares = scattered_product(mixed, self.output.weight, self.group, squares)
        return normalise_rows(total, squares, self.config.mixer_width, self.config.norm_epsilon), None

    def low_rank_gate(self, x: Tensor) -> Tensor | None:
        """The gate of all tokens and this rank's heads, before its activation; None where there is none of its own.

        x: [batch, this rank's tokens, hidden]; the gate: [batch, tokens, this rank's width], of x's dtype.
        """
        if self.config.gate != "low_rank":
            return None
        (gate,) = gathered_products(self.gate_down(x), [self.gate_up.weight], self.group)
        return gate


class SplitChannelMixer(ChannelMixer):
    """This rank's columns of a channel mixer: a share of the tokens in and out, with parts of its parameters."""

    def __init__(self, whole: ChannelMixer, group: dist.ProcessGroup) -> None:
        nn.Module.__init__(self)
        self.activation, self.group = whole.activation, group
        self.value, self.gate, self.output = whole.value, whole.gate, whole.output

    def forward(self, x: Tensor) -> Tensor:
        """[1, tokens of this rank, hidden] -> the same shape and dtype."""
        value, gate = gathered_products(x, [self.value.weight, self.gate.weight], self.group)
        inner = gated_product(value, activate(gate, self.activation))
        return scattered_product(inner, self.output.weight, self.group)[0]


def split_model(model: TransNormerLLM, group: dist.ProcessGroup) -> None:
    """Keep this rank's part of every layer's matrices, in place. The model then takes this rank's share of the tokens,
    with the cu_seqlens of all.

    Raises RecipeError when heads or glu_size do not divide, or the model has norms with weights or absolute positions.
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
        layer.mixer = SplitTokenMixer(layer.mixer, group)
        layer.channel = SplitChannelMixer(layer.channel, group)
