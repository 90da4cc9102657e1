# mypy: allow-untyped-defs, allow-incomplete-defs
"""Softmax statistics and gradients of a block of logits on a GPU: one program a row.

A row that is read twice in one program is read from memory once: at 132 rows in flight it is still in the L2 cache.
Sizes are specialised on divisibility by 16, without which masks break the 16-byte loads into pieces of 2.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 4096
WARPS = 8


@triton.jit
def log_sum_exp(base, vocabulary, BLOCK: tl.constexpr):
    """logsumexp of a row by a running maximum a lane, combined at the end; no exponent is ever positive."""
    columns = tl.arange(0, BLOCK)
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
    return maximum + tl.log(tl.sum(total * tl.exp(largest - maximum), axis=0))


@triton.jit
def write_gradients(base, out, vocabulary, log_sum, target, coefficient, z_loss, BLOCK: tl.constexpr):
    """coefficient * (softmax * (1 + 2 z lse) - onehot) of one row; `out` may be the row itself."""
    columns = tl.arange(0, BLOCK)
    weight = coefficient * (1.0 + 2.0 * z_loss * log_sum)
    for start in range(0, vocabulary, BLOCK):
        place = start + columns
        fits = place < vocabulary
        x = tl.load(base + place, mask=fits, other=float("-inf")).to(tl.float32)
        gradient = tl.exp(x - log_sum) * weight
        gradient = tl.where(place == target, gradient - coefficient, gradient)
        tl.store(out + place, gradient.to(out.dtype.element_ty), mask=fits)


@triton.jit
def row_statistics_kernel(logits_ptr, targets_ptr, log_sum_ptr, target_logit_ptr, vocabulary, BLOCK: tl.constexpr):
    """logsumexp and the target's logit of one row."""
    row = tl.program_id(0).to(tl.int64)
    base = logits_ptr + row * vocabulary
    tl.store(log_sum_ptr + row, log_sum_exp(base, vocabulary, BLOCK))
    tl.store(target_logit_ptr + row, tl.load(base + tl.load(targets_ptr + row)).to(tl.float32))


@triton.jit(do_not_specialize=["z_loss"])
def row_gradients_kernel(
    logits_ptr, log_sum_ptr, targets_ptr, coefficients_ptr, gradients_ptr, vocabulary, z_loss, BLOCK: tl.constexpr
):
    """Gradients of one row whose logsumexp is known."""
    row = tl.program_id(0).to(tl.int64)
    coefficient = tl.load(coefficients_ptr + row).to(tl.float32)
    log_sum, target = tl.load(log_sum_ptr + row), tl.load(targets_ptr + row)
    base, out = logits_ptr + row * vocabulary, gradients_ptr + row * vocabulary
    write_gradients(base, out, vocabulary, log_sum, target, coefficient, z_loss, BLOCK)


@triton.jit(do_not_specialize=["z_loss"])
def rows_in_place_kernel(
    logits_ptr, targets_ptr, coefficients_ptr, log_sum_ptr, target_logit_ptr, vocabulary, z_loss, BLOCK: tl.constexpr
):
    """Statistics of one row, then its gradients over its logits."""
    row = tl.program_id(0).to(tl.int64)
    base = logits_ptr + row * vocabulary
    target = tl.load(targets_ptr + row)
    coefficient = tl.load(coefficients_ptr + row).to(tl.float32)
    target_logit = tl.load(base + target).to(tl.float32)
    log_sum = log_sum_exp(base, vocabulary, BLOCK)
    tl.store(log_sum_ptr + row, log_sum)
    tl.store(target_logit_ptr + row, target_logit)
    # Every lane has read the target's logit before any lane overwrites it.
    tl.debug_barrier()
    write_gradients(base, base, vocabulary, log_sum, target, coefficient, z_loss, BLOCK)


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
    row_gradients_kernel[(rows,)](
        logits, log_sum, targets, coefficients, gradients, vocabulary, z_loss, BLOCK=BLOCK, num_warps=WARPS
    )
    return gradients


def launch_rows_in_place(logits: Tensor, targets: Tensor, coefficients: Tensor, z_loss: float) -> tuple[Tensor, Tensor]:
    """logsumexp [R] and the target's logit [R], float32; the contiguous `logits` [R, V] become their gradients."""
    rows, vocabulary = logits.shape
    log_sum = torch.empty(rows, dtype=torch.float32, device=logits.device)
    target_logit = torch.empty_like(log_sum)
    rows_in_place_kernel[(rows,)](
        logits, targets, coefficients, log_sum, target_logit, vocabulary, z_loss, BLOCK=BLOCK, num_warps=WARPS
    )
    return log_sum, target_logit
