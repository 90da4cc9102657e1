# mypy: allow-untyped-defs, allow-incomplete-defs
"""SimpleRMSNorm on a GPU: one program a row, one read and one write of each tensor, forward and backward.

Under torch.compile the plain expression is used instead, which the compiler fuses with its neighbours.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def norm_forward_kernel(x_ptr, residual_ptr, gate_ptr, y_ptr, total_ptr, width, gate_row, eps, BLOCK: tl.constexpr):
    """y = gate * norm(x + residual); `residual`, `gate` and `total` may be None. Rows of the gate may be apart."""
    program = tl.program_id(0).to(tl.int64)
    row = program * width
    columns = tl.arange(0, BLOCK)
    fits = columns < width
    x = tl.load(x_ptr + row + columns, mask=fits, other=0.0).to(tl.float32)
    if residual_ptr is not None:
        # Rounded as it is stored, so that the backward pass, which reads it back, sees the same numbers.
        total = (x + tl.load(residual_ptr + row + columns, mask=fits, other=0.0).to(tl.float32)).to(
            total_ptr.dtype.element_ty
        )
        tl.store(total_ptr + row + columns, total, mask=fits)
        x = total.to(tl.float32)
    inverse = tl.rsqrt(tl.sum(x * x, axis=0) / width + eps)
    y = x * inverse
    if gate_ptr is not None:
        y *= tl.load(gate_ptr + program * gate_row + columns, mask=fits, other=0.0).to(tl.float32)
    tl.store(y_ptr + row + columns, y.to(y_ptr.dtype.element_ty), mask=fits)


@triton.jit
def norm_backward_kernel(
    x_ptr, gate_ptr, dy_ptr, d_total_ptr, dx_ptr, d_gate_ptr, width, gate_row, d_gate_row, eps, BLOCK: tl.constexpr
):
    """dx = r (dy - xhat mean(xhat dy)) + d_total, with dy taken through the gate first; r is computed anew."""
    program = tl.program_id(0).to(tl.int64)
    row = program * width
    columns = tl.arange(0, BLOCK)
    fits = columns < width
    x = tl.load(x_ptr + row + columns, mask=fits, other=0.0).to(tl.float32)
    dy = tl.load(dy_ptr + row + columns, mask=fits, other=0.0).to(tl.float32)
    inverse = tl.rsqrt(tl.sum(x * x, axis=0) / width + eps)
    normed = x * inverse
    if gate_ptr is not None:
        gate = tl.load(gate_ptr + program * gate_row + columns, mask=fits, other=0.0).to(tl.float32)
        tl.store(d_gate_ptr + program * d_gate_row + columns, (dy * normed).to(d_gate_ptr.dtype.element_ty), mask=fits)
        dy *= gate
    dx = inverse * (dy - normed * (tl.sum(normed * dy, axis=0) / width))
    if d_total_ptr is not None:
        dx += tl.load(d_total_ptr + row + columns, mask=fits, other=0.0).to(tl.float32)
    tl.store(dx_ptr + row + columns, dx.to(dx_ptr.dtype.element_ty), mask=fits)


def _block(width: int) -> tuple[int, int]:
    """Block of the whole row, and warps for it."""
    block = triton.next_power_of_2(max(width, 1))
    return block, min(16, max(1, block // 512))


def _row_stride(gate: Tensor | None) -> int:
    """Elements from one row of [..., D] to the next, where all rows are equally far apart."""
    return 0 if gate is None else gate.stride(-2) if gate.dim() > 1 else gate.numel()


def evenly_spaced(gate: Tensor) -> Tensor:
    """The gate [..., D], of any dtype, where its rows are equally far apart (a part of a wider projection); else a copy."""
    strides, sizes = gate.stride(), gate.shape
    even = strides[-1] == 1 and all(strides[i] == strides[i + 1] * sizes[i + 1] for i in range(gate.dim() - 2))
    return gate if even else gate.contiguous()


def launch_forward(x: Tensor, residual: Tensor | None, gate: Tensor | None, eps: float) -> tuple[Tensor, Tensor | None]:
    """(gate * norm(x + residual), x + residual or None) of one shape; contiguous but for an evenly spaced gate.

    The first has the gate's dtype, x's where there is no gate; the sum has the residual's.
    """
    y = torch.empty_like(x, dtype=x.dtype if gate is None else gate.dtype)
    total = None if residual is None else torch.empty_like(residual)
    if x.numel():
        block, warps = _block(x.shape[-1])
        norm_forward_kernel[(x.numel() // x.shape[-1],)](
            x, residual, gate, y, total, x.shape[-1], _row_stride(gate), eps, BLOCK=block, num_warps=warps
        )
    return y, total


def launch_backward(
    x: Tensor,
    gate: Tensor | None,
    dy: Tensor,
    d_total: Tensor | None,
    eps: float,
    d_gate: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """(dx, d_gate or None) of one shape; contiguous but for an evenly spaced gate. `d_gate`: where it goes, if given.

    dx has x's dtype, d_gate the gate's; d_total: gradient to the sum x + residual, where that went on.
    """
    dx = torch.empty_like(x)
    if gate is not None and d_gate is None:
        d_gate = torch.empty_like(dy, dtype=gate.dtype)
    if x.numel():
        block, warps = _block(x.shape[-1])
        norm_backward_kernel[(x.numel() // x.shape[-1],)](
            x,
            gate,
            dy,
            d_total,
            dx,
            d_gate,
            x.shape[-1],
            _row_stride(gate),
            _row_stride(d_gate),
            eps,
            BLOCK=block,
            num_warps=warps,
        )
    return dx, d_gate


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float) -> Tensor:
        x = x.contiguous()
        ctx.save_for_backward(x)
        ctx.eps = eps
        return launch_forward(x, None, None, eps)[0]

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        return launch_backward(x, None, upstream[0].contiguous(), None, ctx.eps)[0], None


class _AddNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, residual: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        y, total = launch_forward(x.contiguous(), residual.contiguous(), None, eps)
        assert total is not None
        ctx.save_for_backward(total)
        ctx.eps, ctx.dtype = eps, x.dtype
        return y, total

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        (total,) = ctx.saved_tensors
        dy, d_total = (g.contiguous() for g in upstream)
        gradient = launch_backward(total, None, dy, d_total, ctx.eps)[0]
        return gradient.to(ctx.dtype), gradient, None


class _NormGate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, o: Tensor, u: Tensor, eps: float) -> Tensor:
        o, u = o.contiguous(), evenly_spaced(u)
        ctx.save_for_backward(o, u)
        ctx.eps = eps
        return launch_forward(o, None, u, eps)[0]

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        o, u = ctx.saved_tensors
        return *launch_backward(o, u, upstream[0].contiguous(), None, ctx.eps), None


def gpu_norm(x: Tensor, eps: float) -> Tensor:
    """`simple_rms_norm` by the kernels, of its shapes and dtypes."""
    y: Tensor = _Norm.apply(x, eps)
    return y


def gpu_add_norm(x: Tensor, residual: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """`add_simple_rms_norm` by the kernels, of its shapes and dtypes."""
    pair: tuple[Tensor, Tensor] = _AddNorm.apply(x, residual, eps)
    return pair


def gpu_norm_gate(o: Tensor, u: Tensor, eps: float) -> Tensor:
    """`simple_rms_norm_gate` by the kernels, of its shapes and dtypes."""
    y: Tensor = _NormGate.apply(o, u, eps)
    return y
