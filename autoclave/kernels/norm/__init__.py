"""SimpleRMSNorm, alone, fused with the residual add, and fused with the output gate of the token mixer.

y = x * rsqrt(mean(x^2) + eps) over the last axis, in float32, no weight, no bias (TransNormerLLM, arXiv 2307.14995).
"""

import torch
from torch import Tensor

__all__ = ["add_simple_rms_norm", "normalise_rows", "simple_rms_norm", "simple_rms_norm_gate", "squares_and_gate"]

EPSILON = 1e-6


def _normalise(x: Tensor, eps: float) -> Tensor:
    """In float32 (float64 stays), not yet cast back."""
    wide = x if x.dtype == torch.float64 else x.float()
    return wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)


def _uses_kernels(x: Tensor) -> bool:
    """On a GPU, but not while torch.compile looks: it fuses the plain expression with what stands around it."""
    return x.is_cuda and x.dtype != torch.float64 and not torch.compiler.is_compiling()


def simple_rms_norm(x: Tensor, eps: float = EPSILON) -> Tensor:
    """SimpleRMSNorm over the last axis of `x` [..., D]; statistics in float32, result in x's dtype. Differentiable."""
    if _uses_kernels(x):
        from autoclave.kernels.norm.triton_norm import gpu_norm

        return gpu_norm(x, eps)
    return _normalise(x, eps).to(x.dtype)


def add_simple_rms_norm(x: Tensor, residual: Tensor, eps: float = EPSILON) -> tuple[Tensor, Tensor]:
    """(norm(x + residual), x + residual), both [..., D]; one pass over memory on a GPU. Differentiable in both.

    The sum keeps the residual's dtype and is rounded to it before it is normalised, as if it had been written and read.
    """
    if x.shape != residual.shape:
        raise ValueError(f"add_simple_rms_norm: x {tuple(x.shape)} and residual {tuple(residual.shape)} must agree")
    if _uses_kernels(x):
        from autoclave.kernels.norm.triton_norm import gpu_add_norm

        return gpu_add_norm(x, residual, eps)
    total = residual + x.to(residual.dtype)
    return _normalise(total, eps).to(x.dtype), total


def simple_rms_norm_gate(o: Tensor, u: Tensor, eps: float = EPSILON) -> Tensor:
    """u * SimpleRMSNorm(o) over the last axis of o, u [..., D] (all heads together), in u's dtype. Differentiable."""
    if o.shape != u.shape:
        raise ValueError(f"simple_rms_norm_gate: o {tuple(o.shape)} and u {tuple(u.shape)} must agree")
    if _uses_kernels(o):
        from autoclave.kernels.norm.triton_norm import gpu_norm_gate

        return gpu_norm_gate(o, u, eps)
    return (_normalise(o, eps) * u).to(u.dtype)


def squares_and_gate(o: Tensor, u: Tensor | None) -> tuple[Tensor, Tensor]:
    """(u * o in o's dtype, sum of o^2 over the last axis in float32) of o, u [..., D]; float64 stays. Differentiable.

    `normalise_rows` makes a norm over several processes of it. Plain PyTorch: the kernels are in the gated attention.
    """
    wide = o if o.dtype == torch.float64 else o.float()
    return o if u is None else (u * o).to(o.dtype), wide.square().sum(-1)


def normalise_rows(x: Tensor, squares: Tensor, over: int, eps: float = EPSILON) -> Tensor:
    """x * rsqrt(squares / over + eps), x [..., D] in its dtype, squares [...] float32. Differentiable in both.

    `over`: how many numbers the squares are the sum of.
    """
    if _uses_kernels(x):
        from autoclave.kernels.norm.triton_split import gpu_normalise_rows

        return gpu_normalise_rows(x, squares, over, eps)
    wide = x if x.dtype == torch.float64 else x.float()
    return (wide * torch.rsqrt(squares / over + eps)[..., None]).to(x.dtype)
