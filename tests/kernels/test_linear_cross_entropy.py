"""Linear cross-entropy against PyTorch's own in float64, and its memory and determinism promises."""

import os
from typing import Any

import pytest
import torch
import torch.nn.functional as functional

import autoclave.kernels.linear_cross_entropy as module
from autoclave.kernels.linear_cross_entropy import CPU_ROWS, Reduction, linear_cross_entropy
from autoclave.kernels.linear_cross_entropy.rows import row_gradients, row_statistics


def problem(rows: int, width: int = 24, vocabulary: int = 90, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(rows)
    hidden = torch.randn(rows, width, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
    weight = torch.randn(vocabulary, width, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
    targets = torch.randint(0, vocabulary, (rows,), generator=generator)
    targets[::5] = -100
    return [hidden, weight, targets]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("z_loss", [0.0, 0.1])
@pytest.mark.parametrize("rows", [1, CPU_ROWS, 2 * CPU_ROWS + 37])
def test_value_and_gradients(rows: int, reduction: Reduction, z_loss: float) -> None:
    hidden, weight, targets = problem(rows)
    targets[0] = 3
    ours = linear_cross_entropy(hidden, weight, targets, reduction=reduction, z_loss=z_loss)
    logits = hidden @ weight.T
    counts = targets != -100
    per_row = functional.cross_entropy(logits, targets, reduction="none")
    per_row = per_row + z_loss * logits.logsumexp(-1).square() * counts
    expected = {"none": per_row, "sum": per_row.sum(), "mean": per_row.sum() / counts.sum()}[reduction]
    torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)
    upstream = torch.randn_like(expected)
    for a, b in zip(
        torch.autograd.grad(ours, (hidden, weight), upstream),
        torch.autograd.grad(expected, (hidden, weight), upstream),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_gradient_to_logits_is_the_closed_formula() -> None:
    """With the identity as weight, hidden are the logits: (p - onehot + 2 z log Z p) / n for a mean of n rows."""
    z_loss, rows, vocabulary = 0.05, CPU_ROWS + 9, 31
    hidden, _, targets = problem(rows, width=vocabulary, vocabulary=vocabulary)
    hidden = (3 * hidden.detach()).requires_grad_()
    value = linear_cross_entropy(
        hidden, torch.eye(vocabulary, dtype=torch.float64), targets, reduction="mean", z_loss=z_loss
    )
    (gradient,) = torch.autograd.grad(value, hidden)
    logits, counted = hidden.detach(), targets != -100
    total = logits.exp().sum(-1)
    p, log_z = logits.exp() / total[:, None], total.log()
    one_hot = functional.one_hot(targets.clamp_min(0), vocabulary)
    expected = (p - one_hot + 2 * z_loss * log_z[:, None] * p) * counted[:, None] / counted.sum()
    torch.testing.assert_close(gradient, expected, rtol=1e-10, atol=1e-14)
    nll = log_z - logits.gather(-1, targets.clamp_min(0)[:, None])[:, 0]
    torch.testing.assert_close(value, nll[counted].mean() + z_loss * log_z[counted].square().mean(), rtol=1e-12, atol=0)


def test_gradient_to_one_input_only_and_no_target_at_all() -> None:
    hidden, weight, targets = problem(50, dtype=torch.float32)
    linear_cross_entropy(hidden, weight.detach(), targets).backward()
    assert hidden.grad is not None
    assert weight.grad is None
    nothing = torch.full_like(targets, -100)
    loss = linear_cross_entropy(hidden, weight, nothing)
    assert float(loss) == 0.0
    (gradient,) = torch.autograd.grad(loss, weight)
    assert not gradient.any()
    empty = linear_cross_entropy(hidden[:0], weight, targets[:0], reduction="none")
    assert empty.shape == (0,)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_rows_nll_is_bit_identical_whatever_is_beside_it(dtype: torch.dtype) -> None:
    hidden, weight, targets = problem(700, width=64, vocabulary=1000, dtype=dtype)
    with torch.no_grad():
        whole = linear_cross_entropy(hidden, weight, targets, reduction="none")
        assert whole.dtype == torch.float32
        for start, stop in ((0, 1), (5, 300), (127, 129), (600, 700)):
            part = linear_cross_entropy(hidden[start:stop], weight, targets[start:stop], reduction="none")
            assert torch.equal(part, whole[start:stop])


def test_logits_of_all_rows_never_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    real = module.statistics_then_gradients

    def watch(logits: torch.Tensor, *rest: Any) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(tuple(logits.shape))
        return real(logits, *rest)

    monkeypatch.setattr(module, "statistics_then_gradients", watch)
    hidden, weight, targets = problem(3 * CPU_ROWS + 1, dtype=torch.float32)
    linear_cross_entropy(hidden, weight, targets).backward()
    assert seen == [(CPU_ROWS, 90)] * 4


@pytest.mark.skipif(
    not torch.cuda.is_available() and os.environ.get("TRITON_INTERPRET") != "1",
    reason="triton was imported before its interpreter was asked for",
)
def test_triton_row_kernels_equal_the_plain_ones() -> None:
    pytest.importorskip("triton")
    from autoclave.kernels.linear_cross_entropy.triton_rows import (
        launch_row_gradients,
        launch_row_statistics,
        launch_rows_in_place,
    )

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    logits = (10 * torch.randn(5, 5000)).to(device)
    logits[1, :4200] = float("-inf")  # a masked part of the vocabulary
    targets = torch.tensor([0, 4999, 7, 4096, 4095], device=device)
    coefficients = torch.rand(5, device=device)
    log_sum, target_logit = launch_row_statistics(logits, targets)
    torch.testing.assert_close(log_sum, torch.logsumexp(logits.double(), 1).float(), rtol=1e-6, atol=1e-6)
    assert torch.equal(target_logit, logits.gather(1, targets[:, None])[:, 0])
    gradients = launch_row_gradients(logits, log_sum, targets, coefficients, 0.01, torch.float32)
    expected = row_gradients(
        logits.cpu().clone(), log_sum.cpu(), targets.cpu(), coefficients.cpu(), 0.01, torch.float32
    )
    torch.testing.assert_close(gradients.cpu(), expected, rtol=1e-5, atol=1e-6)
    assert row_statistics(logits.cpu(), targets.cpu())[0].shape == (5,)
    in_place = launch_rows_in_place(logits, targets, coefficients, 0.01)
    assert torch.equal(in_place[0], log_sum)
    assert torch.equal(in_place[1], target_logit)
    assert torch.equal(logits, gradients)


def test_ill_fitting_arguments_are_refused() -> None:
    hidden, weight, targets = problem(10)
    with pytest.raises(ValueError, match="hidden"):
        linear_cross_entropy(hidden, weight[:, :3], targets)
    with pytest.raises(ValueError, match="targets"):
        linear_cross_entropy(hidden, weight, targets[:3])
    with pytest.raises(ValueError, match="agree"):
        linear_cross_entropy(hidden, weight.float(), targets)
    with pytest.raises(ValueError, match="reduction"):
        linear_cross_entropy(hidden, weight, targets, reduction="median")  # type: ignore[arg-type]
