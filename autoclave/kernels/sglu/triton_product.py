# mypy: allow-untyped-defs, allow-incomplete-defs
"""Gradients of an elementwise product on a GPU: three reads, two writes.

The size is specialised on divisibility by 16: otherwise its mask breaks the 16-byte loads into pieces of 2.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 4096
WARPS = 8


@triton.jit
def product_backward_kernel(dy_ptr, value_ptr, gate_ptr, d_value_ptr, d_gate_ptr, size, BLOCK: tl.constexpr):
    """d_value = dy * gate, d_gate = dy * value."""
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    fits = place < size
    dy = tl.load(dy_ptr + place, mask=fits, other=0.0).to(tl.float32)
    value = tl.load(value_ptr + place, mask=fits, other=0.0).to(tl.float32)
    gate = tl.load(gate_ptr + place, mask=fits, other=0.0).to(tl.float32)
    tl.store(d_value_ptr + place, (dy * gate).to(d_value_ptr.dtype.element_ty), mask=fits)
    tl.store(d_gate_ptr + place, (dy * value).to(d_gate_ptr.dtype.element_ty), mask=fits)


def launch_product_backward(dy: Tensor, value: Tensor, gate: Tensor) -> tuple[Tensor, Tensor]:
    """(d_value, d_gate) for contiguous tensors of one shape, in the dtypes of value and gate."""
    d_value, d_gate = torch.empty_like(value), torch.empty_like(gate)
    if dy.numel():
        product_backward_kernel[(triton.cdiv(dy.numel(), BLOCK),)](
            dy, value, gate, d_value, d_gate, dy.numel(), BLOCK=BLOCK, num_warps=WARPS
        )
    return d_value, d_gate


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, gate: Tensor) -> Tensor:
        value, gate = value.contiguous(), gate.contiguous()
        ctx.save_for_backward(value, gate)
        return value * gate

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, Tensor]:
        value, gate = ctx.saved_tensors
        return launch_product_backward(upstream[0].contiguous(), value, gate)


def gpu_product(value: Tensor, gate: Tensor) -> Tensor:
    """`gated_product` by the kernel, of its shapes and dtypes."""
    product: Tensor = _Product.apply(value, gate)
    return product
