"""The product inside SGLU, value * gate (arXiv 2307.14995, section 3): on a GPU both gradients in one pass."""

import torch
from torch import Tensor

__all__ = ["gated_product"]


def gated_product(value: Tensor, gate: Tensor) -> Tensor:
    """value * gate, both [..., F] of one dtype; differentiable.

    On a GPU the backward pass reads each operand once: 5 F elements of traffic a token in place of 6.
    """
    if value.is_cuda and value.dtype != torch.float64 and not torch.compiler.is_compiling():
        from autoclave.kernels.sglu.triton_product import gpu_product

        return gpu_product(value, gate)
    return value * gate
