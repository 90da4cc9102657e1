"""One function turns a plain model into a distributed one: tensor parallel, then activation checkpointing, compile and
FSDP2, in that order. A single process passes through the same calls at no cost."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor
from torch.utils.checkpoint import checkpoint

from autoclave.errors import RecipeError
from autoclave.model.config import ModelConfig
from autoclave.model.parallel.sequence_parallel import Carry, cut_stream
from autoclave.model.parallel.tensor_parallel import split_model, split_of
from autoclave.model.training.sharded import Piece
from autoclave.model.transnormer import Layer, TransNormerLLM

KEPT_SHARE = 16
"""Layers gathered by FSDP are kept for the backward pass where they take at most this part of the memory, 1 / 16."""

GROUP_PARAMETERS = 25_000_000
"""FSDP gathers at least so many parameters at once: a collective costs the host as much for few as for many, and small
layers are computed in less time than the host takes to launch them."""


@dataclass(frozen=True)
class World:
    """This process's place: data ranks hold different rows, sequence ranks consecutive pieces of the same rows laid end
    to end, tensor ranks different heads of the same tokens, and between the layers' matrices a share of the tokens."""

    rank: int = 0
    size: int = 1
    mesh: DeviceMesh | None = None
    shard_mesh: DeviceMesh | None = None

    @classmethod
    def current(cls, tensor_parallel: int, sequence_parallel: int, device: str) -> World:
        """The world that torchrun (or a process group made before) describes; a single process otherwise.

        Raises RecipeError when the degrees of parallelism do not divide the number of processes.
        """
        if not dist.is_initialized() and int(os.environ.get("WORLD_SIZE", "1")) > 1:
            if device == "cuda":
                torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
                # What travels under a matrix product must get its few multiprocessors while the product runs.
                os.environ.setdefault("TORCH_NCCL_HIGH_PRIORITY", "1")
            dist.init_process_group("nccl" if device == "cuda" else "gloo")
        size = dist.get_world_size() if dist.is_initialized() else 1
        together = tensor_parallel * sequence_parallel
        if size % together:
            raise RecipeError(
                f"tensor_parallel {tensor_parallel} x sequence_parallel {sequence_parallel} does not divide the "
                f"{size} processes"
            )
        if size == 1:
            return cls()
        shape = (size // together, sequence_parallel, tensor_parallel)
        mesh = init_device_mesh(device, shape, mesh_dim_names=("data", "sequence", "tensor"))
        return cls(dist.get_rank(), size, mesh, mesh["data", "sequence"]._flatten("shard"))

    @property
    def data_size(self) -> int:
        """Number of different row blocks."""
        return 1 if self.mesh is None else self.mesh["data"].size()

    @property
    def data_rank(self) -> int:
        """Which row block is ours."""
        return 0 if self.mesh is None else self.mesh["data"].get_local_rank()

    @property
    def sequence_size(self) -> int:
        """Processes that share one packed stream."""
        return 1 if self.mesh is None else self.mesh["sequence"].size()

    @property
    def shard_size(self) -> int:
        """Processes with tokens of their own: FSDP shards parameters over them and averages their gradients."""
        return self.data_size * self.sequence_size

    @property
    def tensor_size(self) -> int:
        """Processes that share the matrices."""
        return 1 if self.mesh is None else self.mesh["tensor"].size()

    def rows_of(
        self, inputs: np.ndarray, targets: np.ndarray, cu_seqlens: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Our share of the global batch's rows; rows start sequences, so cutting between them is exact.

        inputs, targets: int64 [rows, length]; cu_seqlens: int32 [sequences + 1]; the share likewise, counted from 0.
        """
        if self.data_size == 1:
            return inputs, targets, cu_seqlens
        rows, length = inputs.shape
        if rows % self.data_size:
            raise RecipeError(f"batch of {rows} rows does not divide over {self.data_size} data ranks")
        share = rows // self.data_size
        first = self.data_rank * share
        start, stop = first * length, (first + share) * length
        inside = cu_seqlens[(cu_seqlens >= start) & (cu_seqlens <= stop)] - start
        block = slice(first, first + share)
        return np.ascontiguousarray(inputs[block]), np.ascontiguousarray(targets[block]), inside.astype(np.int32)

    def piece_of(
        self, inputs: np.ndarray, targets: np.ndarray, cu_seqlens: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, Carry | None]:
        """Our rows laid end to end [tokens], or our piece of them, and what is carried between the pieces.

        Arguments as `rows_of` returns them: (inputs, targets, cu_seqlens) of the piece in their dtypes, and the carry.
        Of tensor ranks each gets its share of the piece's tokens, with the cu_seqlens of the piece.
        """
        tokens, carry = slice(0, inputs.size), None
        if self.mesh is not None and self.sequence_size > 1:
            rank = self.mesh["sequence"].get_local_rank()
            tokens, cu_seqlens, reach, offset, last = cut_stream(cu_seqlens, self.sequence_size, rank, inputs.size)
            carry = Carry(self.mesh["sequence"].get_group(), reach, offset, last)
        if self.mesh is not None and self.tensor_size > 1:
            tokens = self._share_of(tokens)
        return inputs.reshape(-1)[tokens], targets.reshape(-1)[tokens], cu_seqlens, carry

    def _share_of(self, tokens: slice) -> slice:
        """This tensor rank's share of a piece of the stream."""
        assert self.mesh is not None
        share, rest = divmod(tokens.stop - tokens.start, self.tensor_size)
        if rest:
            raise RecipeError(
                f"{tokens.stop - tokens.start} tokens do not divide over {self.tensor_size} tensor ranks; change "
                "sequence_length or batch_size"
            )
        first = tokens.start + self.mesh["tensor"].get_local_rank() * share
        return slice(first, first + share)

    def synchronise_gradients(self, model: nn.Module, last: bool) -> None:
        """Reduce gradients over data ranks only in the last of the accumulated batches."""
        if isinstance(model, FSDPModule):
            model.set_requires_gradient_sync(last)

    def sum_replicated_gradients(self, model: TransNormerLLM) -> None:
        """Sum, in place, the gradients of what tensor ranks have whole: each saw other tokens or columns only."""
        if self.mesh is None or self.tensor_size == 1:
            return
        for name, parameter in model.named_parameters():
            if split_of(name, model.config) is None and parameter.grad is not None:
                dist.all_reduce(_local(parameter.grad), group=self.mesh["tensor"].get_group())

    def sum_over_tokens(self, value: Tensor) -> Tensor:
        """Sum of a scalar, shape [], any dtype, over all processes, each with tokens of its own; in place."""
        if self.size > 1:
            dist.all_reduce(value)
        return value

    def sum_over_shards(self, value: Tensor) -> Tensor:
        """Sum of a scalar of any dtype over the processes with tokens of their own; shape [], in place."""
        if self.shard_mesh is not None and self.shard_size > 1:
            dist.all_reduce(value, group=self.shard_mesh.get_group())
        return value

    def gradient_norm(self, model: TransNormerLLM) -> Tensor:
        """The norm of the whole model's gradient, over all processes: shape [], the gradients' dtype, on the model's
        device, not read here."""
        parameters = [(n, p) for n, p in model.named_parameters() if p.grad is not None]
        split = [p for n, p in parameters if self.tensor_size > 1 and split_of(n, model.config)]
        whole = [p for n, p in parameters if not (self.tensor_size > 1 and split_of(n, model.config))]
        if self.mesh is None:
            return _norm(whole)
        squares = _norm(whole).square()
        split_squares = _norm(split).square().to(squares.device)
        dist.all_reduce(split_squares, group=self.mesh["tensor"].get_group())
        return self.sum_over_shards(squares + split_squares).sqrt()

    def pieces_of(self, name: str, tensor: Tensor, config: ModelConfig) -> Iterator[Piece]:
        """The boxes of the whole tensor that this process holds, as views of its memory.

        name: a parameter, or one of its moments as `<parameter>/<moment>`; tensor: what the process has of it, whose
        dtype the pieces keep; each names the whole's shape and its place there.
        """
        local = tensor.to_local() if isinstance(tensor, DTensor) else tensor
        shape, first = list(tensor.shape), 0
        if isinstance(tensor, DTensor):  # FSDP2 cuts along the first dimension, as torch.chunk does
            assert self.shard_mesh is not None
            share = -(-shape[0] // self.shard_size)
            first = min(self.shard_mesh.get_local_rank() * share, shape[0])
        split = split_of(name, config) if self.tensor_size > 1 and local.dim() else None
        if not local.numel():
            return
        if split is None:
            yield Piece(name, tuple(shape), (first, *[0] * (local.dim() - 1))[: local.dim()], local)
            return
        assert self.mesh is not None
        part, parts = self.mesh["tensor"].get_local_rank(), self.tensor_size
        whole = tuple(size * parts if at == split.dimension else size for at, size in enumerate(shape))
        if split.dimension == 1:
            yield Piece(name, whole, (first, part * shape[1]), local)
            return
        block = shape[0] // split.blocks
        for number in range(split.blocks):
            start, stop = max(first, number * block), min(first + len(local), (number + 1) * block)
            if start < stop:
                row = (number * parts + part) * block + start - number * block
                yield Piece(name, whole, (row, *[0] * (local.dim() - 1)), local[start - first : stop - first])

    def writes(self, piece: Piece, config: ModelConfig) -> bool:
        """Whether this process is the one that writes the piece: of copies, the first process's."""
        if not piece.shape:
            return self.rank == 0
        shared = split_of(piece.name, config) is None
        return not (shared and self.mesh is not None and self.mesh["tensor"].get_local_rank() > 0)

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.mesh is not None:
            dist.barrier()


def leave_process_group() -> None:
    """End this process's part in the group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def _local(gradient: Tensor | None) -> Tensor:
    assert gradient is not None
    return gradient.to_local() if isinstance(gradient, DTensor) else gradient


def _norm(parameters: list[nn.Parameter]) -> Tensor:
    return torch.nn.utils.get_total_norm([_local(p.grad) for p in parameters])


def recomputes(activation_checkpointing: str, layer: int) -> bool:
    """Whether this layer (0-based) keeps its inputs only: none, all ("full"), or every second one ("selective")."""
    return activation_checkpointing == "full" or (activation_checkpointing == "selective" and layer % 2 == 0)


def parallelise(
    model: TransNormerLLM,
    world: World,
    *,
    compile_layers: bool = False,
    activation_checkpointing: str = "none",
    bfloat16: bool = False,
    keep_gathered: bool = False,
) -> TransNormerLLM:
    """Apply tensor parallelism, activation checkpointing, compilation and FSDP2 to a plain model, in place.

    activation_checkpointing: "none", "full", or "selective" (every second layer).
    bfloat16: gather matrices in bfloat16 under FSDP; masters, gradient sums and LRPE's theta stay float32. Without
    FSDP nothing is done for it here: the training loop uses autocast.
    keep_gathered: keep the gathered layers from the forward pass for the backward pass (see `keeps_gathered`).
    """
    if world.mesh is not None and max(world.tensor_size, world.sequence_size) > 1 and model.config.absolute_positions:
        raise RecipeError("tensor_parallel and sequence_parallel need a model without absolute_positions")
    if world.mesh is not None and world.tensor_size > 1:
        split_model(model, world.mesh["tensor"].get_group())
    for index, layer in enumerate(model.layers):
        if recomputes(activation_checkpointing, index):
            layer.forward = functools.partial(checkpoint, layer.forward, use_reentrant=False)
        if compile_layers:
            layer.compile()
    if world.shard_mesh is not None and world.shard_size > 1:
        shard(model, world.shard_mesh, bfloat16, keep_gathered)
    return model


def shard(model: TransNormerLLM, mesh: DeviceMesh, bfloat16: bool, keep_gathered: bool) -> None:
    """FSDP2 over the mesh, some layers at a time (`layer_groups`), in place; options as of `parallelise`."""
    policy = MixedPrecisionPolicy(
        param_dtype=torch.bfloat16 if bfloat16 else None,
        reduce_dtype=torch.float32,
        # Else the decay, and with it theta, would come to the layers rounded to bfloat16.
        cast_forward_inputs=False,
    )
    groups = layer_groups(model)
    for group in groups:
        for layer in group:
            if layer.mixer.lrpe is not None:
                fully_shard(layer.mixer.lrpe, mesh=mesh, mp_policy=MixedPrecisionPolicy(cast_forward_inputs=False))
        fully_shard(list(group), mesh=mesh, mp_policy=policy, reshard_after_forward=not keep_gathered)
    fully_shard(model, mesh=mesh, mp_policy=policy)
    # The next layers' matrices are asked for before these layers' work is launched, so that they travel under it.
    for before, after in itertools.pairwise(groups):
        first, following = before[0], after[0]
        assert isinstance(first, FSDPModule)
        assert isinstance(following, FSDPModule)
        first.set_modules_to_forward_prefetch([following])


def layer_groups(model: TransNormerLLM) -> list[list[Layer]]:
    """Consecutive layers whose matrices travel together: as few as have GROUP_PARAMETERS."""
    groups: list[list[Layer]] = []
    held = GROUP_PARAMETERS
    for layer in model.layers:
        assert isinstance(layer, Layer)
        if held >= GROUP_PARAMETERS:
            groups.append([])
            held = 0
        groups[-1].append(layer)
        held += sum(parameter.numel() for parameter in layer.parameters())
    return groups


def keeps_gathered(config: ModelConfig, tensor_parallel: int, memory: float) -> bool:
    """Whether all layers' matrices, gathered in bfloat16, take at most 1/16 of a GPU's `memory` in bytes.

    Then they stay from the forward to the backward pass, which spares gathering them twice.
    """
    counts = config.parameter_count()
    return 2 * (counts["token_mixers"] + counts["channel_mixers"]) / tensor_parallel <= memory / KEPT_SHARE
