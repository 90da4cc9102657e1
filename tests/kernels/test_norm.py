"""SimpleRMSNorm: PyTorch path and Triton kernels against float64 autograd of the formula."""

import os
from typing import Any

import pytest
import torch

from autoclave.kernels.norm import add_simple_rms_norm, simple_rms_norm, simple_rms_norm_gate

pytest.importorskip("triton")
from autoclave.kernels.norm.triton_norm import gpu_add_norm, gpu_norm, gpu_norm_gate

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
pytestmark = pytest.mark.skipif(
    DEVICE == "cpu" and os.environ.get("TRITON_INTERPRET") != "1",
    reason="triton was imported before its interpreter was asked for",
)
EPS = 1e-6


def formula(x: torch.Tensor) -> torch.Tensor:
    return x / (x.square().mean(-1, keepdim=True) + EPS).sqrt()


def compare(ours: Any, exact: Any, inputs: list[torch.Tensor], tolerance: float) -> None:
    """Outputs and all gradients, by relative norm."""
    inputs = [x.requires_grad_() for x in inputs]
    wide = [x.detach().double().requires_grad_() for x in inputs]
    found, expected = ours(*inputs), exact(*wide)
    found, expected = ((x,) if isinstance(x, torch.Tensor) else x for x in (found, expected))
    upstream = [torch.randn_like(x) for x in found]
    d_found = torch.autograd.grad(sum((a * g).sum() for a, g in zip(found, upstream, strict=True)), inputs)
    d_expected = torch.autograd.grad(sum((a * g).sum() for a, g in zip(expected, upstream, strict=True)), wide)
    for a, b in zip((*found, *d_found), (*expected, *d_expected), strict=True):
        assert a.dtype == inputs[0].dtype
        assert float(((a.double() - b).norm() / b.norm()).detach()) < tolerance


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float16, 2e-3)])
@pytest.mark.parametrize("width", [3, 100, 128])
@pytest.mark.parametrize("path", ["kernel", "plain"])
def test_norm_add_and_gate(path: str, width: int, dtype: torch.dtype, tolerance: float) -> None:
    torch.manual_seed(0)
    x, y = (torch.randn(3, 4, width, device=DEVICE).to(dtype) for _ in range(2))
    kernel = path == "kernel"
    compare(lambda a: gpu_norm(a, EPS) if kernel else simple_rms_norm(a, EPS), formula, [x.clone()], tolerance)
    compare(
        lambda a, b: gpu_add_norm(a, b, EPS) if kernel else add_simple_rms_norm(a, b, EPS),
        lambda a, b: (formula(a + b), a + b),
        [x.clone(), y.clone()],
        tolerance,
    )
    compare(
        lambda a, b: gpu_norm_gate(a, b, EPS) if kernel else simple_rms_norm_gate(a, b, EPS),
        lambda a, b: formula(a) * b,
        [x.clone(), y.clone()],
        tolerance,
    )


def test_gradcheck_in_float64() -> None:
    x, y = (torch.randn(2, 6, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(simple_rms_norm, (x,))
    assert torch.autograd.gradcheck(add_simple_rms_norm, (x, y))
    assert torch.autograd.gradcheck(simple_rms_norm_gate, (x, y))


def test_zero_row_is_zero_and_has_a_finite_gradient() -> None:
    x = torch.zeros(2, 16, requires_grad=True)
    y = simple_rms_norm(x)
    y.sum().backward()
    assert not y.any()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="agree"):
        add_simple_rms_norm(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(ValueError, match="agree"):
        simple_rms_norm_gate(torch.zeros(2, 3), torch.zeros(3))
