"""The token mixer's core and SGLU's product: Triton kernels and PyTorch path against the float64 recurrence."""

import os
from typing import Any

import pytest
import torch

from autoclave.kernels.gated_attention import gated_lightning_attention, ungathered_gated_attention
from autoclave.kernels.lightning_attention import lightning_attention_naive
from autoclave.kernels.norm import EPSILON, normalise_rows
from autoclave.kernels.sglu import gated_product

pytest.importorskip("triton")
from autoclave.kernels.gated_attention.triton_gated import gpu_gated_attention, gpu_ungathered_attention
from autoclave.kernels.lightning_attention import triton_launch as launch
from autoclave.kernels.norm.triton_split import gpu_normalise_rows
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


class Neighbours:
    """Stands for the other processes: hands in a given state and a given gradient, and keeps what it is told."""

    def __init__(self, entering: torch.Tensor, later: torch.Tensor, last_start: int) -> None:
        self.entering, self.later, self.last_start = entering, later, last_start
        self.own = self.gradient = torch.zeros(0)

    def enter(self, own: torch.Tensor) -> torch.Tensor:
        self.own = own.clone()
        return self.entering

    def leave(self, gradient: torch.Tensor) -> torch.Tensor:
        self.gradient = gradient.clone()
        return self.later


@needs_kernels
@pytest.mark.parametrize(
    "cuts", [[0, 83], [0, 30, 47, 83], [*range(0, 81, 16), 83]], ids=["one sequence", "three", "full segments"]
)
@pytest.mark.parametrize("lrpe", [False, True])
@pytest.mark.parametrize("segment", [16, 128], ids=["segments", "whole"])
@pytest.mark.parametrize("path", ["kernels", "plain"])
def test_a_piece_of_a_stream(
    path: str, segment: int, lrpe: bool, cuts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is handed on in both directions, and all gradients where a state enters and the own one goes on."""
    torch.manual_seed(0)
    monkeypatch.setattr(launch, "PACKED_SEGMENT", segment)
    # Fast enough to overflow over the tokens by which unused segments lie beyond the border.
    decay = torch.tensor([-3.0, -0.01], device=DEVICE)
    state = (HEADS, WIDTH * (2 if lrpe else 1), WIDTH)
    neighbours = Neighbours(*torch.randn(2, *state, device=DEVICE), last_start=cuts[-2])
    options: dict[str, Any] = {"cu_seqlens": torch.tensor(cuts, device=DEVICE)}
    options["position_offset"] = torch.zeros(len(cuts) - 1, dtype=torch.int64, device=DEVICE)
    options["position_offset"][0] = 19
    qkvu = torch.randn(1, 83, 4 * HEADS * WIDTH, device=DEVICE).requires_grad_()
    inputs = [qkvu] + ([torch.rand(HEADS, WIDTH, device=DEVICE).requires_grad_()] if lrpe else [])
    upstream = torch.randn(1, 83, HEADS * WIDTH, device=DEVICE)

    given = dict(zip(["lrpe_theta"], inputs[1:], strict=False))
    function: Any = gpu_ungathered_attention if path == "kernels" else ungathered_gated_attention
    if path == "kernels":
        given.setdefault("lrpe_theta", None)  # type: ignore[arg-type]
    y, squares = function(qkvu, decay, exchange=neighbours, **given, **options)
    weight = torch.linspace(0.5, 1.5, 83, device=DEVICE)
    found = torch.autograd.grad((y * upstream).sum() + (squares * weight).sum(), inputs)

    wide = [x.detach().double().requires_grad_() for x in inputs]
    entering = neighbours.entering.double().requires_grad_()
    rest = torch.zeros(len(cuts) - 2, *state, device=DEVICE, dtype=torch.float64)
    query, key, value, gate = wide[0].chunk(4, -1)
    heads = [x.view(1, 83, HEADS, WIDTH) for x in (query * query.sigmoid(), key * key.sigmoid(), value)]
    named = dict(zip(["lrpe_theta"], wide[1:], strict=False))
    out, _ = lightning_attention_naive(
        *heads, decay, initial_state=torch.cat([entering[None], rest]), **named, **options
    )
    tail = [x[:, cuts[-2] :] for x in heads]
    offset = options["position_offset"][-1:]
    _, own = lightning_attention_naive(*tail, decay, position_offset=offset, output_final_state=True, **named)
    assert own is not None
    expected = gate * out.flatten(-2)
    expected_squares = out.square().sum((-1, -2))
    loss = (expected * upstream).sum() + (expected_squares * weight).sum()
    (d_entering,) = torch.autograd.grad(loss, entering, retain_graph=True)
    references = torch.autograd.grad(loss + (own[0] * neighbours.later).sum(), wide)
    pairs = [(y, expected), (squares, expected_squares), (neighbours.own, own[0]), (neighbours.gradient, d_entering)]
    for ours, reference in [*pairs, *zip(found, references, strict=True)]:
        assert relative(ours, reference) < 5e-6


@needs_kernels
def test_rows_are_normalised_after_their_squares() -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 5, 48, device=DEVICE).requires_grad_()
    squares = (torch.rand(3, 5, device=DEVICE) * 50).requires_grad_()
    upstream = torch.randn(3, 5, 48, device=DEVICE)
    y = gpu_normalise_rows(x, squares, 96, EPSILON)
    found = [y, *torch.autograd.grad(y, [x, squares], upstream)]
    wide = [t.detach().double().requires_grad_() for t in (x, squares)]
    reference = normalise_rows(wide[0], wide[1], 96)
    assert relative(reference, wide[0] * (wide[1] / 96 + EPSILON).rsqrt()[..., None]) == 0
    for ours, theirs in zip(found, [reference, *torch.autograd.grad(reference, wide, upstream.double())], strict=True):
        assert relative(ours, theirs) < 2e-6
