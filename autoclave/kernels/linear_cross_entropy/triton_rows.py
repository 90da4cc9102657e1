# mypy: allow-untyped-defs, allow-incomplete-defs
"""Softmax statistics and gradients of a block of float32 logits on a GPU: one program a row, one pass over it each."""

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 4096
WARPS = 8


@triton.jit(do_not_specialize=["vocabulary"])
def row_statistics_kernel(logits_ptr, targets_ptr, log_sum_ptr, target_logit_ptr, vocabulary, BLOCK: tl.constexpr):
    """logsumexp by a running maximum a lane, combined at the end; no exponent is ever positive."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    base = logits_ptr + row * vocabulary
    largest = tl.full((BLOCK,), float("-inf"), dtype=tl.float32)
    total = tl.zeros((BLOCK,), dtype=tl.float32)
    for start in range(0, vocabulary, BLOCK):
        fits = start + columns < vocabulary
        x = tl.load(base + start + columns, mask=fits, other=float("-inf")).to(tl.float32)
        higher = tl.maximum(largest, x)
        # A lane that has seen nothing yet stays at -inf: keep inf - inf out of the exponent.
        reference = tl.where(higher == float("-inf"), 0.0, higher)
        total = total * tl.exp(largest - reference) + tl.exp(x - reference)
        largest = higher
    maximum = tl.max(largest, axis=0)
    total_sum = tl.sum(total * tl.exp(largest - maximum), axis=0)
    tl.store(log_sum_ptr + row, maximum + tl.log(total_sum))
    tl.store(target_logit_ptr + row, tl.load(base + tl.load(targets_ptr + row)).to(tl.float32))


@triton.jit(do_not_specialize=["vocabulary", "z_loss"])
def row_gradients_kernel(
    logits_ptr, log_sum_ptr, targets_ptr, coefficients_ptr, gradients_ptr, vocabulary, z_loss, BLOCK: tl.constexpr
):
    """coefficient * (softmax * (1 + 2 z lse) - onehot), one tile of a row a program."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    fits = columns < vocabulary
    log_sum = tl.load(log_sum_ptr + row)
    coefficient = tl.load(coefficients_ptr + row).to(tl.float32)
    target = tl.load(targets_ptr + row)
    x = tl.load(logits_ptr + row * vocabulary + columns, mask=fits, other=float("-inf")).to(tl.float32)
    gradient = tl.exp(x - log_sum) * (coefficient * (1.0 + 2.0 * z_loss * log_sum))
    gradient = tl.where(columns == target, gradient - coefficient, gradient)
    tl.store(gradients_ptr + row * vocabulary + columns, gradient.to(gradients_ptr.dtype.element_ty), mask=fits)


def launch_row_statistics(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """logsumexp [R] and the target's logit [R], float32, of contiguous logits [R, V]."""
    rows, vocabulary = logits.shape
    log_sum = torch.empty(rows, dtype=torch.float32, device=logits.device)
    target_logit = torch.empty_like(log_sum)
    row_statistics_kernel[(rows,)](logits, targets, log_sum, target_logit, vocabulary, BLOCK=BLOCK, num_warps=WARPS)
    return log_sum, target_logit


def launch_row_gradients(
    logits: Tensor, log_sum: Tensor, targets: Tensor, coefficients: Tensor, z_loss: float, dtype: torch.dtype
) -> Tensor:
    """Gradient to the logits [R, V] in `dtype`."""
    rows, vocabulary = logits.shape
    gradients = torch.empty(rows, vocabulary, dtype=dtype, device=logits.device)
    row_gradients_kernel[(rows, triton.cdiv(vocabulary, BLOCK))](
        logits, log_sum, targets, coefficients, gradients, vocabulary, z_loss, BLOCK=BLOCK, num_warps=WARPS
    )
    return gradients
