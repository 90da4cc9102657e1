"""Sequence parallelism: ranks hold consecutive pieces of one packed stream, and only states travel between them.

Each rank makes the state that its last sequence leaves behind as if it had begun there; all ranks gather these (one
[heads, key, value] tensor each, whatever the length) and add up what reaches their own first token. Since the decay is
one number a head, that prefix is a weighted sum: LASP and MiniMax-01's LASP+ (arXiv 2404.02882, 2501.08313).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from autoclave.errors import RecipeError
from autoclave.kernels.lightning_attention import lightning_attention


@dataclass(frozen=True)
class Carry:
    """How states flow between the ranks of one packed stream.

    reach: int64 [ranks, ranks]; reach[r, j] is how many tokens lie between the end of rank j's piece and the start of
        rank r's where one sequence spans all of that, -1 where rank j's last state does not reach rank r
    offset: tokens of this rank's first sequence that lie on earlier ranks
    last_start: where this rank's last sequence begins in its piece
    """

    group: dist.ProcessGroup
    reach: np.ndarray
    offset: int
    last_start: int

    @property
    def rank(self) -> int:
        """This rank's place in the stream."""
        return dist.get_rank(self.group)


def cut_stream(
    cu_seqlens: np.ndarray, ranks: int, rank: int, total: int
) -> tuple[slice, np.ndarray, np.ndarray, int, int]:
    """Rank's piece of a stream of `total` tokens: (tokens, its own cu_seqlens, reach, offset, last_start).

    cu_seqlens: integers [sequences + 1], from 0 to total; its own is int32, from 0 to total / ranks. The last three are
    the fields of `Carry`, reach int64 [ranks, ranks].
    Raises RecipeError when the stream does not divide into equal pieces.
    """
    if total % ranks:
        raise RecipeError(f"a batch of {total} tokens does not divide into {ranks} pieces; change sequence_length")
    size = total // ranks
    starts = np.asarray(cu_seqlens, dtype=np.int64)
    edges = np.arange(ranks + 1) * size
    unbroken = [edge not in starts for edge in edges[:-1]]  # whether the sequence before an edge goes on after it
    reach = np.full((ranks, ranks), -1, dtype=np.int64)
    for to in range(ranks):
        for origin in range(to - 1, -1, -1):
            if not all(unbroken[origin + 1 : to + 1]):
                break
            reach[to, origin] = (to - origin - 1) * size
            # Beyond a rank where another sequence began, its own last state is all that goes on.
            if ((starts > edges[origin]) & (starts < edges[origin + 1])).any():
                break
    first, stop = int(edges[rank]), int(edges[rank + 1])
    inside = starts[(starts > first) & (starts < stop)]
    own = np.concatenate([[first], inside, [stop]]) - first
    offset = first - int(starts[starts <= first][-1])
    return slice(first, stop), own.astype(np.int32), reach, offset, int(own[-2])


class _GatherStates(torch.autograd.Function):
    """out = sum over ranks of weights[rank] * state, and its transpose in the backward pass.

    state: this rank's [heads, key, value]; weights: [ranks, ranks, heads], row = receiver.
    """

    @staticmethod
    def forward(ctx: Any, state: Tensor, weights: Tensor, group: dist.ProcessGroup) -> Tensor:
        rank = dist.get_rank(group)
        ctx.save_for_backward(weights[:, rank])
        ctx.group = group
        return _weighted_sum(state, weights[rank], group)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (weights,) = ctx.saved_tensors
        return _weighted_sum(gradients[0], weights, ctx.group), None, None


def _weighted_sum(own: Tensor, weights: Tensor, group: dist.ProcessGroup) -> Tensor:
    parts = [torch.empty_like(own) for _ in range(dist.get_world_size(group))]
    dist.all_gather(parts, own.contiguous(), group=group)
    return (torch.stack(parts) * weights[:, :, None, None].to(own.dtype)).sum(0)


def carried_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    decay: Tensor,
    *,
    lrpe_theta: Tensor | None,
    cu_seqlens: Tensor,
    carry: Carry,
) -> Tensor:
    """Lightning attention over this rank's piece [1, tokens, heads, dim] of the stream: [1, tokens, heads, value].

    decay: [heads], lrpe_theta: [heads, dim], float32; cu_seqlens: int32 [sequences + 1] of the piece. The result has
    value's dtype.
    The last sequence is scanned once more for its state alone; attention is a few per cent of a step.
    """
    offsets = torch.zeros(cu_seqlens.numel() - 1, dtype=torch.int64, device=query.device)
    offsets[0] = carry.offset
    tail = slice(carry.last_start, None)
    _, last = lightning_attention(
        query[:, tail].detach(),
        key[:, tail],
        value[:, tail],
        decay,
        lrpe_theta=lrpe_theta,
        position_offset=offsets[-1:],
        output_final_state=True,
    )
    assert last is not None
    reach = torch.from_numpy(carry.reach).to(query.device)
    weights = torch.exp(decay[None, None] * reach.clamp_min(0)[..., None]) * (reach >= 0)[..., None]
    entering = _GatherStates.apply(last[0], weights, carry.group)
    initial = torch.cat([entering[None], entering.new_zeros(len(offsets) - 1, *entering.shape)])
    out, _ = lightning_attention(
        query,
        key,
        value,
        decay,
        lrpe_theta=lrpe_theta,
        position_offset=offsets,
        initial_state=initial,
        cu_seqlens=cu_seqlens,
    )
    return out
