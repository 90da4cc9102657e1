"""Launches the scan kernel in the roles that make up Lightning Attention's forward and backward pass."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import triton
from torch import Tensor

from autoclave.kernels.lightning_attention.triton_config import (
    PACKED_SEGMENT,
    Lrpe,
    ScanConfig,
    block_width,
    dense_segment,
    limits_of,
    scan_config,
)
from autoclave.kernels.lightning_attention.triton_decayed_sum import launch_decayed_sum
from autoclave.kernels.lightning_attention.triton_scan import prefix_kernel, scan_kernel
from autoclave.kernels.lightning_attention.triton_segments import (
    Segments,
    dense_segments,
    packed_segments,
    tokens_to_border,
)
from autoclave.kernels.lightning_attention.triton_wide import wide_scan_kernel

PREFIX_BLOCK = 512


Exchange = Callable[[Tensor], Tensor]
"""From the state that this process's piece of a stream leaves behind alone to the one that enters it, [H, K', V] float32."""


@dataclass(frozen=True)
class Problem:
    """What all roles of one call share.

    decay: [H] float32; theta: [H, K] float32; offset: [N] int64, where sequences start; all contiguous
    cu_seqlens: [N + 1] int32 or int64, bounds of packed sequences
    chunk: tokens a chunk, None for the tuned default
    key_width: K before LRPE; value_width: V
    """

    decay: Tensor
    theta: Tensor | None
    offset: Tensor | None
    cu_seqlens: Tensor | None
    scale: float
    chunk: int | None
    key_width: int
    value_width: int

    @property
    def state_width(self) -> int:
        return self.key_width * (1 if self.theta is None else 2)

    def sequences(self, batch: int) -> int:
        return batch if self.cu_seqlens is None else self.cu_seqlens.numel() - 1

    def segments(self, like: Tensor) -> Segments:
        """Cut the sequences by the cost rule; packed ones always at the same places. All roles share the cuts."""
        batch, time, heads = like.shape[:3]
        if self.cu_seqlens is not None:
            return packed_segments(self.cu_seqlens, time, PACKED_SEGMENT)
        lrpe: Lrpe = 0 if self.theta is None else 1
        config = scan_config(like.dtype, self.key_width, self.value_width, lrpe, limits_of(like)[1])
        config = config if self.chunk is None else replace(config, chunk=self.chunk)
        programs = batch * heads * -(-self.value_width // config.block_value)
        # By its shared memory one program fits a multiprocessor.
        return dense_segments(batch, time, dense_segment(time, programs, limits_of(like)[0], config))


def make_problem(
    k: Tensor,
    v: Tensor,
    decay: Tensor,
    theta: Tensor | None,
    offset: Tensor | None,
    cu_seqlens: Tensor | None,
    scale: float = 1.0,
    chunk_size: int = 0,
) -> Problem:
    """The problem of keys k [B, T, H, K] and values v [B, T, H, V]; chunk_size 0 means the tuned default.

    The other tensors as in `lightning_attention`; they are brought to the dtypes that `Problem` names.
    """
    return Problem(
        decay.float().contiguous(),
        None if theta is None else theta.float().contiguous(),
        None if offset is None else offset.to(torch.int64).contiguous(),
        cu_seqlens,
        scale,
        chunk_size or None,
        k.shape[-1],
        v.shape[-1],
    )


def plain_state(state: Tensor | None) -> Tensor | None:
    """The state [N, H, K', V] as the kernels take it, float32 and contiguous; None where there is none."""
    return None if state is None or state.numel() == 0 else state.float().contiguous()


@dataclass(frozen=True)
class Role:
    """One scan: queries `a`, keys `b`, values `c` -> output; `x` is what the output is the gradient of (LRPE only).

    a, b: [B, T, H, inner width]; c, x: [B, T, H, value width]; of one dtype: float32, float16 or bfloat16
    into: where the output goes, [B, T, H, value width] in that dtype; None makes room for it
    """

    a: Tensor
    b: Tensor
    c: Tensor
    x: Tensor | None = None
    reverse: bool = False
    state_transposed: bool = False
    lrpe: Lrpe = 0
    into: Tensor | None = None


def _unit_stride(x: Tensor) -> Tensor:
    return x if x.stride(-1) == 1 or x.shape[-1] == 1 else x.contiguous()


@dataclass(frozen=True)
class Scan:
    """What a role leaves: the output [B, T, H, value width] in the values' dtype; when LRPE encodes the values, the gradient
    to theta [H, K] float32; where sequences are cut, the state that enters each segment [segments, H, K', V]; and the one
    that entered each sequence [N, H, K', V], if any; float32."""

    output: Tensor
    d_theta: Tensor | None
    entering: Tensor | None
    state: Tensor | None


def run_scan(
    problem: Problem,
    role: Role,
    state: Tensor | None,
    final: Tensor | None,
    entering: Tensor | None = None,
    config: ScanConfig | None = None,
    exchange: Exchange | None = None,
) -> Scan:
    """Run one role. `state` [N, H, K', V] enters each sequence, `final` (made by the caller) receives what leaves it: float32.

    `entering`: the segments' states as an earlier role of the same sum found them; else a first pass makes them.
    `config` overrides the shipped tile sizes.
    `exchange`: of a packed stream cut between processes, gives the state that enters our first sequence (in the scan's
    direction); it gets what our last sequence leaves behind, as if it had begun here. `state` is then None.
    """
    a, b, c = (_unit_stride(x) for x in (role.a, role.b, role.c))
    x = c if role.x is None else _unit_stride(role.x)
    batch, time, heads, inner = a.shape
    value = c.shape[-1]
    if config is None:
        config = scan_config(c.dtype, inner, value, role.lrpe, limits_of(c)[1])
    if problem.chunk is not None:
        config = replace(config, chunk=problem.chunk)
    segments = problem.segments(c)
    output = role.into
    if output is None:
        output = torch.empty(batch, time, heads, value, dtype=c.dtype, device=c.device)
    d_theta = None
    if role.lrpe == 2:
        d_theta = torch.zeros(segments.count, heads, value, dtype=torch.float32, device=c.device)
    if segments.count == 0 or heads == 0:
        return Scan(output, None if d_theta is None else d_theta.sum(0), None, state)

    tokens = (a, b, c, output, x)
    segments = replace(segments, split=segments.split or entering is not None or exchange is not None)
    if segments.split and entering is None:
        size = (segments.count, heads, problem.state_width, problem.value_width)
        entering = torch.empty(size, dtype=torch.float32, device=c.device)
        _launch(problem, role, config, segments, tokens, (state, entering, final, d_theta), False, exchange is not None)
        if exchange is not None:
            state = _exchanged(problem, role.reverse, segments, entering, exchange)
        _launch_prefix(problem, role, segments, state, entering)
    _launch(problem, role, config, segments, tokens, (state, entering, final, d_theta), True)
    return Scan(output, None if d_theta is None else d_theta.sum(0), entering, state)


def _exchanged(problem: Problem, reverse: bool, segments: Segments, local: Tensor, exchange: Exchange) -> Tensor:
    """States [N, H, K', V] that enter the sequences: the exchange's in the first one in the scan's direction, else zeros.

    local: what each segment leaves alone, [segments, H, K', V]; of our last sequence they add up to what we hand on.
    """
    first = segments.sequences - 1 if reverse else 0
    own = launch_decayed_sum(local, tokens_to_border(segments, reverse), problem.decay)
    if segments.sequences == 1:
        return exchange(own)[None]
    state = local.new_zeros(segments.sequences, *own.shape)
    state[first] = exchange(own)
    return state


def _launch(
    problem: Problem,
    role: Role,
    config: ScanConfig,
    segments: Segments,
    tokens: tuple[Tensor, Tensor, Tensor, Tensor, Tensor],
    states: tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None],
    write_output: bool,
    every_segment: bool = False,
) -> None:
    a, b, c, output, x = tokens
    state, segment_state, final, d_theta = states
    heads, inner, value = a.shape[2], a.shape[3], c.shape[3]
    columns = problem.value_width
    state_inner, state_value = (1, columns) if role.state_transposed else (columns, 1)
    operands = {"a": a, "b": b, "c": c, "o": output}
    sizes = {
        "scale": problem.scale,
        "time": segments.time,
        "segment_size": segments.size,
        "segments_per_sequence": max(segments.per_sequence, 1),
        "heads": heads,
        "state_size": problem.state_width * columns,
        "state_inner": state_inner,
        "state_value": state_value,
    }
    options: dict[str, object] = {
        "INNER": inner,
        "VALUE": value,
        "BLOCK_INNER": min(block_width(inner), 128) if config.wide else block_width(inner),
        "BLOCK_VALUE": config.block_value,
        "CHUNK": config.chunk,
        "REVERSE": role.reverse,
        "PACKED": segments.table is not None,
        "HAS_STATE": state is not None,
        "SPLIT": segments.split,
        "WRITE_OUTPUT": write_output,
        "WRITE_FINAL": final is not None,
        "EVERY_SEGMENT": every_segment,
        "PRECISION": config.precision,
        "SCALED": problem.scale != 1.0,
        "num_warps": config.warps,
        "num_stages": config.stages,
    }
    pointers = {
        "state_ptr": state,
        "segment_state_ptr": segment_state,
        "final_ptr": final,
        "decay_ptr": problem.decay,
        "table_ptr": segments.table,
    }
    if config.wide:
        operands["x"] = x
        sizes["state_half"] = problem.key_width * columns
        pointers |= {"d_theta_ptr": d_theta, "theta_ptr": problem.theta, "offset_ptr": problem.offset}
        options |= {"LRPE": role.lrpe, "FAST_PHASES": c.is_cuda and c.dtype != torch.float32}
    else:
        options |= {"KEEP_MASK": config.keep_mask, "STATE_FIRST": config.state_first}
    for name, operand in operands.items():
        pointers[f"{name}_ptr"] = operand
        sizes |= {f"{name}_row": operand.stride(0), f"{name}_head": operand.stride(2)}
        options[f"{name.upper()}_TOKEN"] = operand.stride(1)
    kernel = wide_scan_kernel if config.wide else scan_kernel
    kernel[(-(-value // config.block_value) * heads * segments.count,)](**pointers, **sizes, **options)


def _launch_prefix(
    problem: Problem, role: Role, segments: Segments, state: Tensor | None, segment_state: Tensor
) -> None:
    heads, size = segment_state.shape[1], segment_state.shape[2] * segment_state.shape[3]
    prefix_kernel[(segments.sequences * heads * triton.cdiv(size, PREFIX_BLOCK),)](
        segment_state,
        state,
        problem.decay,
        segments.table,
        segments.first,
        segments.time,
        segments.size,
        max(segments.per_sequence, 1),
        heads,
        size,
        BLOCK=PREFIX_BLOCK,
        REVERSE=role.reverse,
        PACKED=segments.table is not None,
        HAS_STATE=state is not None,
        num_warps=4,
    )


def _state_buffer(problem: Problem, like: Tensor, heads: int, entering: Tensor | None) -> Tensor:
    """Room for the states that leave; an empty sequence hands on what entered."""
    count = problem.sequences(like.shape[0])
    shape = (count, heads, problem.state_width, problem.value_width)
    if problem.cu_seqlens is None and like.shape[1] > 0:
        return torch.empty(shape, dtype=torch.float32, device=like.device)
    if entering is None:
        return torch.zeros(shape, dtype=torch.float32, device=like.device)
    return entering.clone(memory_format=torch.contiguous_format)


def forward(
    problem: Problem,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    initial_state: Tensor | None,
    output_final_state: bool,
    exchange: Exchange | None = None,
) -> tuple[Scan, Tensor | None]:
    """The scan, whose output is o [B, T, H, V], with what `backward` takes; if asked, the final state [N, H, K', V] float32.

    exchange: as in `run_scan`, which then knows the initial state.
    """
    final = _state_buffer(problem, q, q.shape[2], initial_state) if output_final_state else None
    role = Role(q, k, v, lrpe=0 if problem.theta is None else 1)
    return run_scan(problem, role, initial_state, final, exchange=exchange), final


@dataclass(frozen=True)
class Gradients:
    """What the backward pass returns; None where there is nothing to differentiate.

    q, k: [B, T, H, K], v: [B, T, H, V], in the dtype of what they are the gradients of
    theta: [H, K] float32; initial_state: [N, H, K', V] float32
    """

    q: Tensor
    k: Tensor
    v: Tensor
    theta: Tensor | None
    initial_state: Tensor | None


def backward(
    problem: Problem,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    initial_state: Tensor | None,
    d_output: Tensor,
    d_final_state: Tensor | None,
    entering: Tensor | None = None,
    into: tuple[Tensor | None, Tensor | None, Tensor | None] = (None, None, None),
    exchange: Exchange | None = None,
) -> Gradients:
    """Three scans: dq = LA(do, v, k) forwards; dk = LA(v, do, q) and dv = LA(k, q, do) backwards in time.

    dq sums the same v k^T as the forward pass did k v^T, so `entering`, its segments' states, serve again; dk and dv sum
    do q^T and q do^T, and share one first pass likewise.

    q, k: [B, T, H, K]; v, d_output: [B, T, H, V]; of one dtype. initial_state, d_final_state: [N, H, K', V] float32
    into: where dq, dk, dv go, with any strides but a last one of 1; None makes room for them
    exchange: the transpose of the forward pass's; then there is no d_final_state, nor a gradient to the initial state
    """
    encoded: tuple[Lrpe, Lrpe] = (0, 0) if problem.theta is None else (1, 2)
    dq_role = Role(d_output, v, k, x=q, state_transposed=True, lrpe=encoded[1], into=into[0])
    dk_role = Role(v, d_output, q, x=k, reverse=True, state_transposed=True, lrpe=encoded[1], into=into[1])
    dv_role = Role(k, q, d_output, reverse=True, lrpe=encoded[0], into=into[2])
    d_initial = None
    if initial_state is not None and exchange is None:
        d_initial = _state_buffer(problem, q, q.shape[2], d_final_state)
    dq = run_scan(problem, dq_role, initial_state, None, entering)
    dv = run_scan(problem, dv_role, d_final_state, d_initial, exchange=exchange)
    dk = run_scan(problem, dk_role, dv.state, None, dv.entering)
    d_theta = None if dq.d_theta is None or dk.d_theta is None else dq.d_theta + dk.d_theta
    return Gradients(dq.output, dk.output, dv.output, d_theta, d_initial)
