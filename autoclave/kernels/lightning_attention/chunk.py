# ruff: noqa: A005 - the name says what it is; nothing here is run as a script
"""Lightning Attention in chunks, in plain PyTorch: what CPUs run, and what a GPU falls back on.

One observation keeps this short: with the operator LA(q, k, v)_t = sum_{s<=t} lambda^(t-s) (q_t . k_s) v_s,

    dq = LA(do, v, k)        dk = reversed LA(v, do, q)        dv = reversed LA(k, q, do)

so that one chunked scan, run forwards or backwards in time, is the forward pass and all of the backward pass.

Every sequence is cut into chunks of its own, the last one padded with zeros, and all matrix products have the fixed
per-chunk shape. A document's rows therefore do not depend on what else is in the call, bit for bit.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from autoclave.kernels.lightning_attention.naive import lrpe_expand

CHUNK_SIZE = 64
# States entering the chunks are kept for a group of chunks at a time: this bounds them.
STATE_BYTES_PER_GROUP = 256 * 2**20


@dataclass(frozen=True)
class ChunkPlan:
    """Where each token goes: chunks are ordered by their position in the sequence, then by sequence, longest first.

    So the j-th chunks of all sequences that have one are contiguous, and belong to the first `active[j]` sequences.
    Tensors are int64, of N sequences, NC chunks and M tokens:

    order: [N] sequence numbers, longest first
    active: sequences that have a j-th chunk
    offsets: first chunk of position j; one more entry than `active`
    lengths: [NC] tokens in each chunk, 1..chunk_size
    slots: [M] token -> row among the NC * chunk_size padded rows
    positions: [M] token -> position inside its sequence
    sequences: [M] token -> sequence number
    """

    order: Tensor
    active: list[int]
    offsets: list[int]
    lengths: Tensor
    slots: Tensor
    positions: Tensor
    sequences: Tensor
    chunk_size: int

    @property
    def count(self) -> int:
        """Number of chunks."""
        return self.offsets[-1]


def plan_chunks(lengths: Tensor, chunk_size: int) -> ChunkPlan:
    """Cut sequences of `lengths` [N] int64, laid out one after another, into chunks that restart at each sequence."""
    device = lengths.device
    chunks = (lengths + chunk_size - 1) // chunk_size
    order = torch.argsort(chunks, descending=True, stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=device)
    most = int(chunks.max()) if len(chunks) else 0
    active_tensor = (chunks[None, :] > torch.arange(most, device=device)[:, None]).sum(1)
    offsets_tensor = torch.cat((active_tensor.new_zeros(1), active_tensor.cumsum(0)))
    sequences = torch.repeat_interleave(torch.arange(len(lengths), device=device), lengths)
    starts = lengths.cumsum(0) - lengths
    positions = torch.arange(len(sequences), device=device) - starts[sequences]
    chunk_of_token = offsets_tensor[positions // chunk_size] + rank[sequences]
    slots = chunk_of_token * chunk_size + positions % chunk_size
    chunk_lengths = torch.bincount(chunk_of_token, minlength=int(offsets_tensor[-1]))
    return ChunkPlan(
        order, active_tensor.tolist(), offsets_tensor.tolist(), chunk_lengths, slots, positions, sequences, chunk_size
    )


def _aligned(width: int) -> int:
    """Widths are padded to 64 bytes: at other alignments a CPU's matrix product rounds differently in places."""
    return -(-width // 16) * 16


def _to_chunks(x: Tensor, plan: ChunkPlan, dtype: torch.dtype) -> Tensor:
    """Tokens [M, H, D] to chunks [NC, H, C, aligned D], zero where there is padding."""
    heads, width = x.shape[1:]
    padded = torch.zeros(plan.count * plan.chunk_size, heads, _aligned(width), dtype=dtype, device=x.device)
    padded[plan.slots, :, :width] = x.to(dtype)
    return padded.view(plan.count, plan.chunk_size, heads, _aligned(width)).transpose(1, 2).contiguous()


def _to_tokens(x: Tensor, plan: ChunkPlan, like: Tensor) -> Tensor:
    """Padded chunks [NC, H, C, aligned D] back to tokens [M, H, D], shaped and typed as `like`."""
    rows = x.transpose(1, 2).reshape(plan.count * plan.chunk_size, x.shape[1], x.shape[3])
    return rows[plan.slots, :, : like.shape[-1]].to(like.dtype)


def _enter(state: Tensor, plan: ChunkPlan) -> Tensor:
    """A fresh copy of states [N, H, K, V] in plan order, aligned like the chunks."""
    rows, columns = state.shape[-2:]
    padding = (0, _aligned(columns) - columns, 0, _aligned(rows) - rows)
    return torch.nn.functional.pad(state[plan.order], padding)


def _leave(state: Tensor, plan: ChunkPlan, like: Tensor) -> Tensor:
    """States in plan order back to sequence order, without the padding."""
    result = torch.empty_like(like, memory_format=torch.contiguous_format)
    result[plan.order] = state[..., : like.shape[-2], : like.shape[-1]]
    return result


def _decay_factors(
    plan: ChunkPlan, chunks: slice, decay: Tensor, reverse: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mask [H, C, C], output factor [NC, H, C, 1], input factor [NC, H, C, 1], chunk factor [NC, H, 1, 1].

    All are exponentials of non-positive numbers: decay <= 0 times a distance >= 0.
    """
    index = torch.arange(plan.chunk_size, device=decay.device)
    distance = index[:, None] - index[None, :]
    length = plan.lengths[chunks, None]
    before = (index + 1).expand(length.shape[0], -1)
    after = (length - 1 - index).clamp_min(0)
    if reverse:
        distance, before, after = -distance, after, before
    allowed = distance >= 0
    mask = (decay[:, None, None] * distance.clamp_min(0)).exp() * allowed
    output_factor = (decay[None, :, None] * before[:, None, :]).exp().unsqueeze(-1)
    input_factor = (decay[None, :, None] * after[:, None, :]).exp().unsqueeze(-1)
    chunk_factor = (decay[None, :] * length).exp()[:, :, None, None]
    return mask, output_factor, input_factor, chunk_factor


def _scan_group(
    plan: ChunkPlan, steps: range, q: Tensor, k: Tensor, v: Tensor, decay: Tensor, state: Tensor, reverse: bool
) -> Tensor:
    """Outputs [n, H, C, V] of the chunks at positions `steps`; advances `state` [N, H, K, V] in place."""
    first = plan.offsets[steps.start]
    chunks = slice(first, plan.offsets[steps.stop])
    q, k, v = q[chunks], k[chunks], v[chunks]
    mask, output_factor, input_factor, chunk_factor = _decay_factors(plan, chunks, decay, reverse)
    local = torch.matmul((k * input_factor).transpose(-1, -2), v)
    entering = torch.empty_like(local)
    for j in reversed(steps) if reverse else steps:
        here = slice(plan.offsets[j] - first, plan.offsets[j + 1] - first)
        running = state[: plan.active[j]]
        entering[here] = running
        running.mul_(chunk_factor[here]).add_(local[here])
    scores = torch.matmul(q, k.transpose(-1, -2)).mul_(mask)
    return torch.matmul(scores, v).add_(torch.matmul(q, entering).mul_(output_factor))


def _scan(
    plan: ChunkPlan, q: Tensor, k: Tensor, v: Tensor, decay: Tensor, state: Tensor, *, reverse: bool = False
) -> Tensor:
    """LA over chunks [NC, H, C, .], forwards or reversed in time; `state` [N, H, K, V] is advanced in place."""
    output = torch.empty_like(v)
    widest = max(plan.active, default=1) * state[:1].numel() * state.element_size()
    step = max(1, STATE_BYTES_PER_GROUP // max(widest, 1))
    groups = [range(j, min(j + step, len(plan.active))) for j in range(0, len(plan.active), step)]
    for steps in reversed(groups) if reverse else groups:
        rows = slice(plan.offsets[steps.start], plan.offsets[steps.stop])
        output[rows] = _scan_group(plan, steps, q, k, v, decay, state, reverse)
    return output


class _ChunkedAttention(torch.autograd.Function):
    """Tokens in, tokens out; recomputes everything from q, k, v in the backward pass."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, decay: Tensor, initial_state: Tensor, scale: float, plan: ChunkPlan
    ) -> tuple[Tensor, Tensor]:
        dtype = initial_state.dtype
        state = _enter(initial_state, plan)
        q_c, k_c, v_c = (_to_chunks(x, plan, dtype) for x in (q, k, v))
        output = _scan(plan, q_c, k_c, v_c, decay.to(dtype), state)
        ctx.save_for_backward(q, k, v, decay, initial_state)
        ctx.scale, ctx.plan = scale, plan
        return _to_tokens(output.mul_(scale), plan, v), _leave(state, plan, initial_state)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        d_output, d_final_state = gradients
        q, k, v, decay, initial_state = ctx.saved_tensors
        plan, dtype = ctx.plan, initial_state.dtype
        decay = decay.to(dtype)
        q_c, k_c, v_c, do_c = (_to_chunks(x, plan, dtype) for x in (q, k, v, d_output))
        do_c.mul_(ctx.scale)
        dq = _scan(plan, do_c, v_c, k_c, decay, _enter(initial_state.transpose(-1, -2), plan))
        dk = _scan(plan, v_c, do_c, q_c, decay, _enter(d_final_state.transpose(-1, -2), plan), reverse=True)
        d_state = _enter(d_final_state, plan)
        dv = _scan(plan, k_c, q_c, do_c, decay, d_state, reverse=True)
        d_initial_state = _leave(d_state, plan, initial_state)
        token_gradients = (_to_tokens(g, plan, x) for g, x in ((dq, q), (dk, k), (dv, v)))
        return *token_gradients, None, d_initial_state, None, None


def lightning_attention_chunk(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    decay: Tensor,
    *,
    scale: float = 1.0,
    lrpe_theta: Tensor | None = None,
    position_offset: Tensor | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    cu_seqlens: Tensor | None = None,
    chunk_size: int | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Chunked PyTorch path of `lightning_attention`: the same arguments in the same shapes and dtypes.

    Arithmetic is in float32 (float64 for float64), and so is the final state.

    Backward is hand-written (once differentiable). Time O(T C (K + V) + T K V) a head.
    """
    batch, time, heads = q.shape[:3]
    if cu_seqlens is None:
        lengths = torch.full((batch,), time, dtype=torch.int64, device=q.device)
    else:
        lengths = cu_seqlens.to(q.device, torch.int64).diff()
    plan = plan_chunks(lengths, chunk_size or CHUNK_SIZE)
    tokens = [x.reshape(batch * time, *x.shape[2:]) for x in (q, k, v)]
    if lrpe_theta is not None:
        positions = plan.positions
        if position_offset is not None:
            positions = positions + position_offset.to(q.device)[plan.sequences]
        tokens[:2] = [lrpe_expand(x, lrpe_theta, positions) for x in tokens[:2]]
    dtype = torch.float64 if q.dtype == torch.float64 else torch.float32
    if initial_state is None:
        shape = (len(lengths), heads, tokens[0].shape[-1], v.shape[-1])
        initial_state = torch.zeros(shape, dtype=dtype, device=q.device)
    output, final_state = _ChunkedAttention.apply(*tokens, decay, initial_state.to(dtype), scale, plan)
    return output.view(batch, time, heads, v.shape[-1]), final_state if output_final_state else None
