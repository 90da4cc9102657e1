# mypy: allow-untyped-defs, allow-incomplete-defs
"""The halves of a norm that spans several processes, on a GPU: squares before their sum travels, the factor after it."""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from autoclave.kernels.norm.triton_norm import _block, _row_stride


@triton.jit
def squares_and_gate_kernel(x_ptr, gate_ptr, y_ptr, squares_ptr, width, gate_row, BLOCK: tl.constexpr):
    """y = gate * x, squares = sum of x^2, of one row."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    fits = columns < width
    x = tl.load(x_ptr + row * width + columns, mask=fits, other=0.0).to(tl.float32)
    tl.store(squares_ptr + row, tl.sum(x * x, axis=0))
    y = x * tl.load(gate_ptr + row * gate_row + columns, mask=fits, other=0.0).to(tl.float32)
    tl.store(y_ptr + row * width + columns, y.to(y_ptr.dtype.element_ty), mask=fits)


@triton.jit
def squares_and_gate_backward_kernel(
    x_ptr, gate_ptr, dy_ptr, d_squares_ptr, dx_ptr, d_gate_ptr, width, gate_row, d_gate_row, BLOCK: tl.constexpr
):
    """dx = dy gate + 2 x d_squares, d_gate = dy x, of one row."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    fits = columns < width
    x = tl.load(x_ptr + row * width + columns, mask=fits, other=0.0).to(tl.float32)
    dy = tl.load(dy_ptr + row * width + columns, mask=fits, other=0.0).to(tl.float32)
    gate = tl.load(gate_ptr + row * gate_row + columns, mask=fits, other=0.0).to(tl.float32)
    tl.store(d_gate_ptr + row * d_gate_row + columns, (dy * x).to(d_gate_ptr.dtype.element_ty), mask=fits)
    dx = dy * gate + 2.0 * tl.load(d_squares_ptr + row) * x
    tl.store(dx_ptr + row * width + columns, dx.to(dx_ptr.dtype.element_ty), mask=fits)


@triton.jit
def normalise_rows_kernel(x_ptr, squares_ptr, y_ptr, width, over, eps, BLOCK: tl.constexpr):
    """y = x rsqrt(squares / over + eps), of one row."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    fits = columns < width
    factor = tl.rsqrt(tl.load(squares_ptr + row) / over + eps)
    x = tl.load(x_ptr + row * width + columns, mask=fits, other=0.0).to(tl.float32)
    tl.store(y_ptr + row * width + columns, (x * factor).to(y_ptr.dtype.element_ty), mask=fits)


@triton.jit
def normalise_rows_backward_kernel(
    x_ptr, squares_ptr, dy_ptr, dx_ptr, d_squares_ptr, width, over, eps, BLOCK: tl.constexpr
):
    """dx = dy r, d_squares = -r^3 / (2 over) sum(dy x) with r = rsqrt(squares / over + eps), of one row."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    fits = columns < width
    factor = tl.rsqrt(tl.load(squares_ptr + row) / over + eps)
    x = tl.load(x_ptr + row * width + columns, mask=fits, other=0.0).to(tl.float32)
    dy = tl.load(dy_ptr + row * width + columns, mask=fits, other=0.0).to(tl.float32)
    tl.store(dx_ptr + row * width + columns, (dy * factor).to(dx_ptr.dtype.element_ty), mask=fits)
    tl.store(d_squares_ptr + row, -0.5 * factor * factor * factor / over * tl.sum(dy * x, axis=0))


def launch_squares_and_gate(x: Tensor, gate: Tensor) -> tuple[Tensor, Tensor]:
    """(gate * x in the gate's dtype, sum of x^2 float32 [...]); x [..., D] contiguous, the gate evenly spaced."""
    y = torch.empty_like(x, dtype=gate.dtype)
    squares = torch.empty(x.shape[:-1], dtype=torch.float32, device=x.device)
    if x.numel():
        block, warps = _block(x.shape[-1])
        squares_and_gate_kernel[(squares.numel(),)](
            x, gate, y, squares, x.shape[-1], _row_stride(gate), BLOCK=block, num_warps=warps
        )
    return y, squares


def launch_squares_and_gate_backward(
    x: Tensor, gate: Tensor, dy: Tensor, d_squares: Tensor | None, d_gate: Tensor
) -> Tensor:
    """dx in x's dtype; writes d_gate. x, dy [..., D] contiguous, d_squares float32 [...]; gates evenly spaced."""
    dx = torch.empty_like(x)
    d_squares = x.new_zeros(x.shape[:-1], dtype=torch.float32) if d_squares is None else d_squares.contiguous()
    if x.numel():
        block, warps = _block(x.shape[-1])
        squares_and_gate_backward_kernel[(d_squares.numel(),)](
            x,
            gate,
            dy,
            d_squares,
            dx,
            d_gate,
            x.shape[-1],
            _row_stride(gate),
            _row_stride(d_gate),
            BLOCK=block,
            num_warps=warps,
        )
    return dx


class _NormaliseRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, squares: Tensor, over: int, eps: float) -> Tensor:
        x, squares = x.contiguous(), squares.contiguous()
        ctx.save_for_backward(x, squares)
        ctx.over, ctx.eps = over, eps
        y = torch.empty_like(x)
        if x.numel():
            block, warps = _block(x.shape[-1])
            grid = (squares.numel(),)
            normalise_rows_kernel[grid](x, squares, y, x.shape[-1], over, eps, BLOCK=block, num_warps=warps)
        return y

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        x, squares = ctx.saved_tensors
        dx, d_squares = torch.empty_like(x), torch.empty_like(squares)
        if x.numel():
            block, warps = _block(x.shape[-1])
            dy, width = upstream[0].contiguous(), x.shape[-1]
            normalise_rows_backward_kernel[(squares.numel(),)](
                x, squares, dy, dx, d_squares, width, ctx.over, ctx.eps, BLOCK=block, num_warps=warps
            )
        return dx, d_squares, None, None


def gpu_normalise_rows(x: Tensor, squares: Tensor, over: int, eps: float) -> Tensor:
    """`normalise_rows` by the kernels, of its shapes and dtypes."""
    y: Tensor = _NormaliseRows.apply(x, squares, over, eps)
    return y
