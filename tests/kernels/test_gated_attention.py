"""The token mixer's core and SGLU's product: Triton kernels and PyTorch path against the float64 recurrence."""

import os
from typing import Any

import pytest
import torch

from autoclave.kernels.gated_attention import gated_lightning_attention
from autoclave.kernels.lightning_attention import lightning_attention_naive
from autoclave.kernels.norm import EPSILON
from autoclave.kernels.sglu import gated_product

pytest.importorskip("triton")
from autoclave.kernels.gated_attention.triton_gated import gpu_gated_attention
from autoclave.kernels.lightning_attention import triton_launch as launch
from autoclave.kernels.sglu.triton_product import launch_product_backward

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
needs_kernels = pytest.mark.skipif(
    DEVICE == "cpu" and os.environ.get("TRITON_INTERPRET") != "1",
    reason="triton was imported before its interpreter was asked for",
)
HEADS, WIDTH = 2, 16


def exact(qkvu: torch.Tensor, decay: torch.Tensor, **options: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The same from its definition, token by token."""
    query, key, value, gate = qkvu.chunk(4, -1)
    heads = [x.view(*x.shape[:2], HEADS, WIDTH) for x in (query * query.sigmoid(), key * key.sigmoid(), value)]
    out, final = lightning_attention_naive(*heads, decay, **options)
    out = out.flatten(-2)
    return gate * out * (out.square().mean(-1, keepdim=True) + EPSILON).rsqrt(), final


CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "packed, in segments": {"cu_seqlens": torch.tensor([0, 30, 30, 31, 83]), "segment": 16},
    "lrpe and state": {"lrpe": True},
    "lrpe and state, in segments": {"lrpe": True, "segment": 32},
}


def relative(ours: torch.Tensor, reference: torch.Tensor) -> float:
    return float(((ours.double() - reference).norm() / reference.norm()).detach())


@needs_kernels
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("path", ["kernels", "plain"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float16, 3e-3)])
def test_outputs_and_gradients(
    path: str, case: str, dtype: torch.dtype, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    given = CASES[case]
    if "segment" in given:
        monkeypatch.setattr(launch, "PACKED_SEGMENT", given["segment"])
        monkeypatch.setattr(launch, "dense_segment", lambda *_: given["segment"])
    batch, length = (1, 83) if "cu_seqlens" in given else (2, 83)
    decay = torch.tensor([-0.5, -0.01], device=DEVICE)
    qkvu = torch.randn(batch, length, 4 * HEADS * WIDTH, device=DEVICE).to(dtype).requires_grad_()
    options: dict[str, Any] = {"output_final_state": True}
    if "cu_seqlens" in given:
        options["cu_seqlens"] = given["cu_seqlens"].to(DEVICE)
    inputs = {"qkvu": qkvu}
    if given.get("lrpe"):
        inputs["lrpe_theta"] = torch.rand(HEADS, WIDTH, device=DEVICE).requires_grad_()
        inputs["initial_state"] = torch.randn(batch, HEADS, 2 * WIDTH, WIDTH, device=DEVICE).requires_grad_()
        options["position_offset"] = torch.tensor([0, 7], device=DEVICE)
    wide = {name: x.detach().double().requires_grad_() for name, x in inputs.items()}

    def run(function: Any, tensors: dict[str, torch.Tensor], *eps: float) -> list[torch.Tensor]:
        named = {name: x for name, x in tensors.items() if name != "qkvu"}
        y, final = function(tensors["qkvu"], decay, *eps, **named, **options)
        generator = torch.Generator().manual_seed(1)
        upstream = [torch.randn(x.shape, generator=generator).to(x.device, x.dtype) for x in (y, final)]
        return [y, final, *torch.autograd.grad((y, final), list(tensors.values()), upstream)]

    if path == "kernels":
        found = run(gpu_gated_attention, inputs, EPSILON)
    else:
        found = run(gated_lightning_attention, inputs)
    for ours, reference in zip(found, run(exact, wide), strict=True):
        assert relative(ours, reference) < tolerance


@needs_kernels
def test_gradient_of_one_output_alone() -> None:
    torch.manual_seed(0)
    decay = torch.tensor([-0.5, -0.01], device=DEVICE)
    qkvu = torch.randn(1, 40, 4 * HEADS * WIDTH, device=DEVICE).requires_grad_()
    wide = qkvu.detach().double().requires_grad_()
    final = gpu_gated_attention(qkvu, decay, EPSILON, output_final_state=True)[1]
    reference = exact(wide, decay, output_final_state=True)[1]
    assert final is not None
    assert reference is not None
    (ours,) = torch.autograd.grad(final.sum(), qkvu)
    (theirs,) = torch.autograd.grad(reference.sum(), wide)
    assert relative(ours, theirs) < 2e-6


@needs_kernels
def test_product_gradients() -> None:
    torch.manual_seed(0)
    dy, value, gate = (torch.randn(3, 5, 1111, device=DEVICE) for _ in range(3))
    d_value, d_gate = launch_product_backward(dy, value, gate)
    assert torch.equal(d_value, dy * gate)
    assert torch.equal(d_gate, dy * value)
    assert torch.equal(gated_product(value, gate), value * gate)


def test_ill_fitting_widths_are_refused() -> None:
    with pytest.raises(ValueError, match="4 \\* 3 heads"):
        gated_lightning_attention(torch.zeros(1, 4, 40), torch.zeros(3))
