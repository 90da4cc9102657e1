"""The kernels as PyTorch custom operators, so that autograd, torch.compile and activation checkpointing know them."""

from typing import Any

import torch
from torch import Tensor

import autoclave.kernels.lightning_attention.triton_launch as launch


@torch.library.custom_op("autoclave::lightning_attention", mutates_args=())
def lightning_attention_forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    decay: Tensor,
    theta: Tensor | None,
    offset: Tensor | None,
    initial_state: Tensor | None,
    cu_seqlens: Tensor | None,
    scale: float,
    output_final_state: bool,
    chunk_size: int,
) -> tuple[Tensor, Tensor]:
    """o and the final state (no elements if not asked for); chunk_size 0 means the tuned default.

    Shapes and dtypes as in `lightning_attention`.
    """
    problem = launch.make_problem(k, v, decay, theta, offset, cu_seqlens, scale, chunk_size)
    scan, final = launch.forward(problem, q, k, v, launch.plain_state(initial_state), output_final_state)
    return scan.output, decay.new_empty(0, dtype=torch.float32) if final is None else final


@lightning_attention_forward.register_fake
def _forward_fake(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    decay: Tensor,
    theta: Tensor | None,
    offset: Tensor | None,
    initial_state: Tensor | None,
    cu_seqlens: Tensor | None,
    scale: float,
    output_final_state: bool,
    chunk_size: int,
) -> tuple[Tensor, Tensor]:
    output = torch.empty(v.shape, dtype=v.dtype, device=v.device)
    if not output_final_state:
        return output, decay.new_empty(0, dtype=torch.float32)
    sequences = q.shape[0] if cu_seqlens is None else cu_seqlens.shape[0] - 1
    width = k.shape[-1] * (1 if theta is None else 2)
    return output, q.new_empty((sequences, q.shape[2], width, v.shape[-1]), dtype=torch.float32)


@torch.library.custom_op("autoclave::lightning_attention_backward", mutates_args=())
def lightning_attention_backward(
    d_output: Tensor,
    d_final_state: Tensor | None,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    decay: Tensor,
    theta: Tensor | None,
    offset: Tensor | None,
    initial_state: Tensor | None,
    cu_seqlens: Tensor | None,
    scale: float,
    chunk_size: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients to q, k, v, theta and the initial state, each of its input's shape; the last two float32, with no elements
    where there is no such input. d_output: [B, T, H, V], d_final_state: [N, H, K', V], in the dtypes of o and the state."""
    problem = launch.make_problem(k, v, decay, theta, offset, cu_seqlens, scale, chunk_size)
    gradients = launch.backward(
        problem, q, k, v, launch.plain_state(initial_state), d_output, launch.plain_state(d_final_state)
    )
    none = decay.new_empty(0, dtype=torch.float32)
    d_theta = none if gradients.theta is None else gradients.theta
    d_state = decay.new_empty(0, dtype=torch.float32) if gradients.initial_state is None else gradients.initial_state
    return gradients.q, gradients.k, gradients.v, d_theta, d_state


@lightning_attention_backward.register_fake
def _backward_fake(
    d_output: Tensor,
    d_final_state: Tensor | None,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    decay: Tensor,
    theta: Tensor | None,
    offset: Tensor | None,
    initial_state: Tensor | None,
    cu_seqlens: Tensor | None,
    scale: float,
    chunk_size: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    like = (torch.empty(x.shape, dtype=x.dtype, device=x.device) for x in (q, k, v))
    optional = (decay.new_empty(0 if x is None else x.shape, dtype=torch.float32) for x in (theta, initial_state))
    return (*like, *optional)  # type: ignore[return-value]


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    q, k, v, decay, theta, offset, initial_state, cu_seqlens, scale, output_final_state, chunk_size = inputs
    ctx.save_for_backward(q, k, v, decay, theta, offset, initial_state, cu_seqlens)
    ctx.scale, ctx.chunk_size, ctx.has_final = scale, chunk_size, output_final_state


def _differentiate(ctx: Any, d_output: Tensor | None, d_final_state: Tensor | None) -> tuple[Tensor | None, ...]:
    q, k, v, decay, theta, offset, initial_state, cu_seqlens = ctx.saved_tensors
    if d_output is None:
        d_output = torch.zeros_like(v)
    dq, dk, dv, d_theta, d_state = lightning_attention_backward(
        d_output,
        d_final_state if ctx.has_final else None,
        q,
        k,
        v,
        decay,
        theta,
        offset,
        initial_state,
        cu_seqlens,
        ctx.scale,
        ctx.chunk_size,
    )
    d_theta_or_none = None if theta is None else d_theta.to(theta.dtype)
    d_state_or_none = None if initial_state is None else d_state.to(initial_state.dtype)
    return dq, dk, dv, None, d_theta_or_none, None, d_state_or_none, None, None, None, None


lightning_attention_forward.register_autograd(_differentiate, setup_context=_save)


class _Eager(torch.autograd.Function):
    """The same without the custom operator's dispatch, whose autograd wrapper costs 0.2 ms of host time a call."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, Tensor | None]:
        q, k, v, decay, theta, offset, initial_state, cu_seqlens, scale, output_final_state, chunk_size = inputs
        problem = launch.make_problem(k, v, decay, theta, offset, cu_seqlens, scale, chunk_size)
        state = launch.plain_state(initial_state)
        scan, final = launch.forward(problem, q, k, v, state, output_final_state)
        ctx.save_for_backward(q, k, v, decay, theta, offset, initial_state, cu_seqlens, scan.entering)
        ctx.scale, ctx.chunk_size = scale, chunk_size
        return scan.output, final

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor | None) -> tuple[Tensor | None, ...]:
        q, k, v, decay, theta, offset, initial_state, cu_seqlens, entering = ctx.saved_tensors
        d_output, d_final_state = upstream
        problem = launch.make_problem(k, v, decay, theta, offset, cu_seqlens, ctx.scale, ctx.chunk_size)
        d_output = torch.zeros_like(v) if d_output is None else d_output
        state, d_final = launch.plain_state(initial_state), launch.plain_state(d_final_state)
        found = launch.backward(problem, q, k, v, state, d_output, d_final, entering)
        d_theta = None if found.theta is None else found.theta.to(theta.dtype)
        d_state = None if found.initial_state is None else found.initial_state.to(initial_state.dtype)
        return found.q, found.k, found.v, None, d_theta, None, d_state, None, None, None, None


def lightning_attention_triton(
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
    """`lightning_attention` on the Triton kernels: CUDA tensors, or CPU tensors under TRITON_INTERPRET=1.

    Shapes and dtypes are those given there; no float64.
    """
    inputs = (q, k, v, decay, lrpe_theta, position_offset, initial_state, cu_seqlens, scale)
    if torch.compiler.is_compiling():
        output, final_state = lightning_attention_forward(*inputs, output_final_state, chunk_size or 0)
    else:
        output, final_state = _Eager.apply(*inputs, output_final_state, chunk_size or 0)
    return output, final_state if output_final_state else None
