"""Cross-entropy of a linear head without the logits of all tokens ever in memory, on CPU and GPU."""

from typing import Any, Literal

import torch
from torch import Tensor

from autoclave.kernels.linear_cross_entropy.rows import row_gradients, row_statistics, statistics_then_gradients

__all__ = ["linear_cross_entropy"]

Reduction = Literal["mean", "sum", "none"]

# Rows a block. The last block is padded to the same count, so that the matrix product never changes its shape and a
# token's NLL does not depend on the rows beside it. In training blocks are larger, since each adds once to the head's
# gradient (0.5 GB of traffic at V 64,000, D 1,024); the block of logits then takes 1 GB.
CPU_ROWS = 128
GPU_ROWS = 2048
GPU_TRAINING_ROWS = 8192


def linear_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    z_loss: float = 0.0,
) -> Tensor:
    """Negative log-likelihood (nats) of `targets` under softmax(hidden @ weight.T), block by block of rows.

    Args:
        hidden: [N, D] float32, float16, bfloat16 or float64.
        weight: [V, D], same dtype.
        targets: [N] int64, in 0..V-1 or `ignore_index`; ignored rows cost 0 and get no gradient.
        reduction: "mean" over the rows that count (0 if there is none), "sum", or "none" for one value a row.
        z_loss: adds z_loss * logsumexp^2 to each row (PaLM, arXiv 2204.02311, section 5).

    Returns:
        float32 (float64 for float64 inputs): a scalar, or [N] for "none".

    With "none" on a CPU a row's value is bit-identical whatever other rows are in the call: the matrix product always
    has `CPU_ROWS` rows, and all reductions are row by row. On a GPU the shape is fixed too (`GPU_ROWS`).
    Peak extra memory is one block of logits; the gradient of "mean" and "sum" is taken in the forward pass, while the
    block is there, that of "none" recomputes it. Logits are float32, except where a GPU trains in half precision: there
    they are rounded to it, as in every eager half-precision training, and become their own gradients in place.

    Raises:
        ValueError: shapes or dtypes do not fit together.
    """
    if hidden.dim() != 2 or weight.dim() != 2 or hidden.shape[1] != weight.shape[1]:
        raise ValueError(f"linear_cross_entropy: hidden {tuple(hidden.shape)} must be [N, D], weight [V, D]")
    if targets.shape != hidden.shape[:1]:
        raise ValueError(f"linear_cross_entropy: targets {tuple(targets.shape)} must be [N] = [{hidden.shape[0]}]")
    if hidden.dtype != weight.dtype:
        raise ValueError(f"linear_cross_entropy: hidden is {hidden.dtype}, weight {weight.dtype}; they must agree")
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"linear_cross_entropy: reduction must be mean, sum or none, got {reduction!r}")
    if reduction == "none":
        per_row: Tensor = _PerRow.apply(hidden, weight, targets, ignore_index, z_loss)
        return per_row
    total: Tensor = _Reduced.apply(hidden, weight, targets, ignore_index, reduction, z_loss)
    return total


def _accumulation_dtype(hidden: Tensor) -> torch.dtype:
    return torch.float64 if hidden.dtype == torch.float64 else torch.float32


def _matmul(a: Tensor, b: Tensor, dtype: torch.dtype) -> Tensor:
    """a @ b accumulated and returned in `dtype`: on a GPU low-precision operands go to the tensor cores as they are."""
    if a.dtype == dtype:
        return a @ b
    if a.is_cuda:
        return torch.mm(a, b, out_dtype=dtype)
    return a.to(dtype) @ b.to(dtype)


class _Blocks:
    """Walks over fixed-size row blocks; the last one is padded by rows that count for nothing."""

    def __init__(
        self, hidden: Tensor, weight: Tensor, targets: Tensor, ignore_index: int, training: bool = False
    ) -> None:
        self.rows = GPU_ROWS if hidden.is_cuda else CPU_ROWS
        if hidden.is_cuda and training:
            blocks = max(1, -(-hidden.shape[0] // GPU_TRAINING_ROWS))
            self.rows = max(1, -(-hidden.shape[0] // blocks))
        self.dtype = _accumulation_dtype(hidden)
        self.hidden, self.targets, self.ignore_index = hidden, targets, ignore_index
        self.weight = weight.detach()
        # A CPU has no fast low-precision product here: widen the head once, not once a block.
        self.head = self.weight if hidden.is_cuda else self.weight.to(self.dtype)

    def starts(self) -> range:
        return range(0, self.hidden.shape[0], self.rows)

    def block(self, start: int) -> tuple[Tensor, Tensor, Tensor]:
        """Padded hidden rows [R, D], targets clamped to 0 [R], and whether each counts [R] bool."""
        rows, targets = self.hidden[start : start + self.rows], self.targets[start : start + self.rows]
        missing = self.rows - rows.shape[0]
        if missing:
            rows = torch.nn.functional.pad(rows, (0, 0, 0, missing))
            targets = torch.nn.functional.pad(targets, (0, missing), value=self.ignore_index)
        counts = targets != self.ignore_index
        return rows, targets.where(counts, torch.zeros_like(targets)), counts

    def logits(self, rows: Tensor) -> Tensor:
        return _matmul(rows if rows.is_cuda else rows.to(self.dtype), self.head.T, self.dtype)

    def training_logits(self, rows: Tensor) -> Tensor:
        """Logits in the dtype that their gradients will have."""
        return rows @ self.head.T if rows.is_cuda else self.logits(rows)


def _row_losses(statistics: tuple[Tensor, Tensor], counts: Tensor, z_loss: float) -> Tensor:
    log_sum, target_logit = statistics
    losses = log_sum - target_logit
    if z_loss:
        losses = losses + z_loss * log_sum.square()
    return losses.where(counts, torch.zeros_like(losses))


class _Accumulator:
    """Gradients to hidden and weight, summed in the accumulation dtype."""

    def __init__(self, blocks: _Blocks, wants_hidden: bool, wants_weight: bool) -> None:
        self.blocks = blocks
        self.hidden = torch.empty_like(blocks.hidden) if wants_hidden else None
        self.weight = torch.zeros_like(blocks.weight, dtype=blocks.dtype) if wants_weight else None

    def add(self, start: int, rows: Tensor, logit_gradients: Tensor) -> None:
        """`logit_gradients` [R, V]: in the head's dtype on a GPU, in the accumulation dtype on a CPU."""
        if self.hidden is not None:
            kept = self.hidden[start : start + self.blocks.rows]
            kept.copy_((logit_gradients @ self.blocks.head)[: kept.shape[0]])
        if self.weight is not None:
            operand = rows if rows.is_cuda else rows.to(self.blocks.dtype)
            if operand.dtype == self.blocks.dtype:
                self.weight.addmm_(logit_gradients.T, operand)
            else:
                torch.addmm(self.weight, logit_gradients.T, operand, out_dtype=self.blocks.dtype, out=self.weight)

    def results(self) -> tuple[Tensor | None, Tensor | None]:
        return self.hidden, None if self.weight is None else self.weight.to(self.blocks.weight.dtype)


class _Reduced(torch.autograd.Function):
    """Sum or mean: the upstream gradient is one number, so gradients are made while each block's logits exist."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        targets: Tensor,
        ignore_index: int,
        reduction: Reduction,
        z_loss: float,
    ) -> Tensor:
        training = any(ctx.needs_input_grad[:2])
        blocks = _Blocks(hidden, weight, targets, ignore_index, training)
        gradients = _Accumulator(blocks, ctx.needs_input_grad[0], ctx.needs_input_grad[1])
        total = torch.zeros((), dtype=blocks.dtype, device=hidden.device)
        factor = torch.ones((), dtype=blocks.dtype, device=hidden.device)
        if reduction == "mean":
            factor = 1.0 / (targets != ignore_index).sum().clamp_min(1).to(blocks.dtype)
        for start in blocks.starts():
            rows, block_targets, counts = blocks.block(start)
            if training:
                # The mean's 1/N comes last: half precision would lose small gradients to underflow.
                logits = blocks.training_logits(rows)
                statistics = statistics_then_gradients(logits, block_targets, counts.to(blocks.dtype), z_loss)
                gradients.add(start, rows, logits)
            else:
                statistics = row_statistics(blocks.logits(rows), block_targets)
            total += _row_losses(statistics, counts, z_loss).sum()
        ctx.gradients, ctx.factor = gradients.results(), factor
        return total * factor

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        scale = upstream[0] * ctx.factor
        scaled = (None if g is None else (g * scale).to(g.dtype) for g in ctx.gradients)
        return *scaled, None, None, None, None


class _PerRow(torch.autograd.Function):
    """One loss a row; every row has its own upstream gradient, so backward recomputes the logits."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, ignore_index: int, z_loss: float) -> Tensor:
        blocks = _Blocks(hidden, weight, targets, ignore_index)
        losses = torch.empty(hidden.shape[0], dtype=blocks.dtype, device=hidden.device)
        for start in blocks.starts():
            rows, block_targets, counts = blocks.block(start)
            statistics = row_statistics(blocks.logits(rows), block_targets)
            kept = losses[start : start + blocks.rows]
            kept.copy_(_row_losses(statistics, counts, z_loss)[: kept.shape[0]])
        ctx.save_for_backward(hidden, weight, targets)
        ctx.settings = ignore_index, z_loss
        return losses

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, targets = ctx.saved_tensors
        ignore_index, z_loss = ctx.settings
        blocks = _Blocks(hidden, weight, targets, ignore_index)
        gradients = _Accumulator(blocks, ctx.needs_input_grad[0], ctx.needs_input_grad[1])
        for start in blocks.starts():
            rows, block_targets, counts = blocks.block(start)
            logits = blocks.logits(rows)
            log_sum = row_statistics(logits, block_targets)[0]
            given = upstream[0][start : start + blocks.rows].to(blocks.dtype)
            coefficients = torch.nn.functional.pad(given, (0, blocks.rows - given.shape[0])) * counts
            d_logits = row_gradients(logits, log_sum, block_targets, coefficients, z_loss, blocks.head.dtype)
            gradients.add(start, rows, d_logits)
        return *gradients.results(), None, None, None
