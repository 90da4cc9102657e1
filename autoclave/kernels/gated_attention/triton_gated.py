# mypy: allow-untyped-defs, allow-incomplete-defs
"""The token mixer's core on a GPU: SiLU, scan, norm and gate; gradients land in the joint projection's gradient."""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from autoclave.kernels.lightning_attention import triton_launch as launch
from autoclave.kernels.lightning_attention.carried import StateExchange
from autoclave.kernels.norm.triton_norm import launch_backward, launch_forward
from autoclave.kernels.norm.triton_split import launch_squares_and_gate, launch_squares_and_gate_backward

BLOCK = 2048
WARPS = 4


@triton.jit
def silu_kernel(x_ptr, y_ptr, width, x_row, BLOCK: tl.constexpr):
    """y = x * sigmoid(x) for the first `width` columns of each row."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    fits = columns < width
    x = tl.load(x_ptr + row * x_row + columns, mask=fits, other=0.0).to(tl.float32)
    tl.store(y_ptr + row * width + columns, (x * tl.sigmoid(x)).to(y_ptr.dtype.element_ty), mask=fits)


@triton.jit
def silu_backward_kernel(x_ptr, gradient_ptr, width, x_row, BLOCK: tl.constexpr):
    """gradient *= sigmoid(x) (1 + x (1 - sigmoid(x))), in place, in tensors of one layout."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    fits = columns < width
    x = tl.load(x_ptr + row * x_row + columns, mask=fits, other=0.0).to(tl.float32)
    place = gradient_ptr + row * x_row + columns
    gradient = tl.load(place, mask=fits, other=0.0).to(tl.float32)
    sigmoid = tl.sigmoid(x)
    gradient *= sigmoid * (1.0 + x * (1.0 - sigmoid))
    tl.store(place, gradient.to(gradient_ptr.dtype.element_ty), mask=fits)


def launch_silu(joint: Tensor, width: int) -> Tensor:
    """silu of the first `width` columns of contiguous joint [B, T, W]: [B, T, width] in its dtype, made in float32."""
    y = joint.new_empty(*joint.shape[:2], width)
    rows = joint.shape[0] * joint.shape[1]
    if rows:
        silu_kernel[(rows, triton.cdiv(width, BLOCK))](joint, y, width, joint.shape[-1], BLOCK=BLOCK, num_warps=WARPS)
    return y


def launch_silu_backward(joint: Tensor, gradient: Tensor, width: int) -> None:
    """Take the first `width` columns of `gradient` through silu, in place; both contiguous [B, T, W], of one dtype."""
    rows = joint.shape[0] * joint.shape[1]
    if rows:
        silu_backward_kernel[(rows, triton.cdiv(width, BLOCK))](
            joint, gradient, width, joint.shape[-1], BLOCK=BLOCK, num_warps=WARPS
        )


def _parts(joint: Tensor, heads: int) -> list[Tensor]:
    """q, k, v [B, T, H, dh] and u [B, T, E], views of joint [B, T, 4 E]."""
    parts = joint.split(joint.shape[-1] // 4, -1)
    return [part.view(*joint.shape[:2], heads, -1) for part in parts[:3]] + [parts[3]]


class _Gated(torch.autograd.Function):
    """(y, final state), or without an epsilon (u * o, sums of squares, None): the norm is then the caller's."""

    @staticmethod
    def forward(
        ctx: Any,
        joint: Tensor,
        decay: Tensor,
        theta: Tensor | None,
        offset: Tensor | None,
        initial_state: Tensor | None,
        cu_seqlens: Tensor | None,
        output_final_state: bool,
        eps: float | None,
        exchange: StateExchange | None,
    ) -> tuple[Tensor, Tensor | None]:
        joint = joint.contiguous()
        heads = decay.shape[0]
        *_, value, gate = _parts(joint, heads)
        active = launch_silu(joint, joint.shape[-1] // 2)
        query, key = (part.view(value.shape) for part in active.chunk(2, -1))
        problem = launch.make_problem(key, value, decay, theta, offset, cu_seqlens)
        state = launch.plain_state(initial_state)
        enter = None if exchange is None else exchange.enter
        scan, final = launch.forward(problem, query, key, value, state, output_final_state, enter)
        out = scan.output
        ctx.save_for_backward(joint, active, out, decay, theta, offset, scan.state, cu_seqlens, scan.entering)
        ctx.eps, ctx.exchange = eps, exchange
        if eps is None:
            return launch_squares_and_gate(out.flatten(-2), gate)
        return launch_forward(out.flatten(-2), None, gate, eps)[0], final

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor | None) -> tuple[Tensor | None, ...]:
        joint, active, out, decay, theta, offset, state, cu_seqlens, entering = ctx.saved_tensors
        dy, second = upstream
        gradient = torch.empty_like(joint)
        *_, value, gate = _parts(joint, decay.shape[0])
        dq, dk, dv, d_gate = _parts(gradient, decay.shape[0])
        query, key = (part.view(value.shape) for part in active.chunk(2, -1))
        dy = torch.zeros_like(out).flatten(-2) if dy is None else dy.contiguous()
        if ctx.eps is None:
            d_out, d_final = launch_squares_and_gate_backward(out.flatten(-2), gate, dy, second, d_gate), None
        else:
            d_out, _ = launch_backward(out.flatten(-2), gate, dy, None, ctx.eps, d_gate=d_gate)
            d_final = launch.plain_state(second)
        found = launch.backward(
            launch.make_problem(key, value, decay, theta, offset, cu_seqlens),
            query,
            key,
            value,
            state,
            d_out.view(value.shape),
            d_final,
            entering,
            into=(dq, dk, dv),
            exchange=None if ctx.exchange is None else ctx.exchange.leave,
        )
        launch_silu_backward(joint, gradient, joint.shape[-1] // 2)
        d_theta = None if found.theta is None else found.theta.to(theta.dtype)
        return gradient, None, d_theta, None, found.initial_state, None, None, None, None


def gpu_gated_attention(
    qkvu: Tensor,
    decay: Tensor,
    eps: float,
    *,
    lrpe_theta: Tensor | None = None,
    position_offset: Tensor | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    cu_seqlens: Tensor | None = None,
    exchange: StateExchange | None = None,
) -> tuple[Tensor, Tensor | None]:
    """`gated_lightning_attention` by the kernels: CUDA tensors, or CPU tensors under TRITON_INTERPRET=1.

    Shapes and dtypes are those given there; no float64.
    """
    pair: tuple[Tensor, Tensor | None] = _Gated.apply(
        qkvu, decay, lrpe_theta, position_offset, initial_state, cu_seqlens, output_final_state, eps, exchange
    )
    return pair


def gpu_ungathered_attention(qkvu: Tensor, decay: Tensor, **options: Any) -> tuple[Tensor, Tensor]:
    """`ungathered_gated_attention` by the kernels; options as of `gpu_gated_attention`, shapes and dtypes as there."""
    theta, offset = options["lrpe_theta"], options["position_offset"]
    pair: tuple[Tensor, Tensor] = _Gated.apply(
        qkvu, decay, theta, offset, None, options["cu_seqlens"], False, None, options["exchange"]
    )
    return pair
