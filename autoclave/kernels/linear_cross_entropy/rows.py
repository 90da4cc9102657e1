"""Softmax statistics and gradients of a block of logits, row by row: PyTorch on a CPU, Triton on a GPU."""

import torch
from torch import Tensor


def row_statistics(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """logsumexp [R] and the target's logit [R] of logits [R, V], targets [R] int64."""
    if logits.is_cuda:
        from autoclave.kernels.linear_cross_entropy.triton_rows import launch_row_statistics

        return launch_row_statistics(logits, targets)
    target_logit = logits.gather(1, targets[:, None]).squeeze(1)
    return torch.logsumexp(logits, dim=1), target_logit


def row_gradients(
    logits: Tensor, log_sum: Tensor, targets: Tensor, coefficients: Tensor, z_loss: float, dtype: torch.dtype
) -> Tensor:
    """coefficient * d(lse - logit_target + z lse^2)/d logits, [R, V] in `dtype`. On a CPU `logits` is overwritten."""
    if logits.is_cuda:
        from autoclave.kernels.linear_cross_entropy.triton_rows import launch_row_gradients

        return launch_row_gradients(logits, log_sum, targets, coefficients, z_loss, dtype)
    weights = coefficients * (1.0 + 2.0 * z_loss * log_sum)
    gradients = logits.sub_(log_sum[:, None]).exp_().mul_(weights[:, None])
    gradients.scatter_add_(1, targets[:, None], -coefficients[:, None])
    return gradients.to(dtype)


def statistics_then_gradients(
    logits: Tensor, targets: Tensor, coefficients: Tensor, z_loss: float
) -> tuple[Tensor, Tensor]:
    """`row_statistics` of logits [R, V], which their gradients replace, in their dtype; one kernel on a GPU.

    targets: [R] int64; coefficients: [R], what each row's loss is weighed by.
    """
    if logits.is_cuda:
        from autoclave.kernels.linear_cross_entropy.triton_rows import launch_rows_in_place

        return launch_rows_in_place(logits, targets, coefficients, z_loss)
    statistics = row_statistics(logits, targets)
    row_gradients(logits, statistics[0], targets, coefficients, z_loss, logits.dtype)
    return statistics
