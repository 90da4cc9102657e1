"""The Triton kernels against the float64 recurrence: on a GPU, else under Triton's interpreter (fp32, fp16)."""

import itertools
import os
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch

pytest.importorskip("triton")

from autoclave.kernels.lightning_attention import lightning_attention_chunk, lightning_attention_naive
from autoclave.kernels.lightning_attention import triton_launch as launch
from autoclave.kernels.lightning_attention.triton_op import lightning_attention_triton

ON_GPU = torch.cuda.is_available()
DEVICE = "cuda" if ON_GPU else "cpu"
pytestmark = pytest.mark.skipif(
    not ON_GPU and os.environ.get("TRITON_INTERPRET") != "1",
    reason="triton was imported before its interpreter was asked for",
)
TOLERANCE = {torch.float32: 1e-5, torch.float16: 3e-3, torch.bfloat16: 2e-2}


@dataclass(frozen=True)
class Case:
    """One problem."""

    batch: int = 1
    time: int = 37
    heads: int = 2
    key: int = 16
    value: int = 16
    lrpe: bool = False
    state: bool = False
    lengths: tuple[int, ...] | None = None
    offset: bool = False
    dtype: torch.dtype = torch.float32
    chunk: int | None = 16
    segment: int | None = None  # force a two-level scan

    @property
    def name(self) -> str:
        changed = [f"{k}={v}" for k, v in vars(self).items() if v != getattr(Case(), k)]
        return ",".join(changed).replace("torch.", "").replace(" ", "") or "plain"


CASES = [
    Case(batch=2),
    Case(time=1),
    Case(time=16),
    Case(time=17, state=True),
    Case(key=20, value=33, state=True),
    Case(key=33, value=17, batch=2, dtype=torch.float16),
    Case(time=50, segment=16, state=True, batch=2),
    Case(time=50, segment=32, dtype=torch.float16),
    Case(time=50, lengths=(1, 0, 19, 30), state=True),
    Case(time=50, lengths=(1, 0, 19, 30), state=True, segment=16),
    Case(time=50, lengths=(50,), segment=16),
    Case(lrpe=True),
    Case(lrpe=True, key=20, value=33, state=True, offset=True, time=50, segment=16),
    Case(lrpe=True, lengths=(1, 19, 0, 30), state=True, offset=True, time=50, segment=16),
    Case(lrpe=True, key=32, value=32, dtype=torch.float16, offset=True),
    Case(time=70, key=64, value=64, chunk=None),
    Case(time=40, key=140, value=20, state=True, lengths=(1, 0, 39), segment=16),
    Case(time=40, key=140, value=20, dtype=torch.float16),
]


def force_segments(monkeypatch: pytest.MonkeyPatch, size: int | None) -> None:
    if size is not None:
        monkeypatch.setattr(launch, "PACKED_SEGMENT", size)
        monkeypatch.setattr(launch, "dense_segment", lambda *_: size)


def poisoned(x: torch.Tensor) -> torch.Tensor:
    """The same numbers inside a larger allocation whose every other element is NaN."""
    frame = torch.full((x.shape[0] + 2, x.shape[1] + 64, x.shape[2], x.shape[3] + 8), float("nan"), dtype=x.dtype)
    frame = frame.to(DEVICE)
    view = frame[1:-1, 32:-32, :, : x.shape[3]]
    view.copy_(x)
    return view.detach()


def make(case: Case) -> tuple[list[torch.Tensor], dict[str, Any], list[torch.Tensor]]:
    """Inputs that have gradients, the other arguments, and upstream gradients for o and the final state."""
    generator = torch.Generator().manual_seed(7)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    sequences = case.batch if case.lengths is None else len(case.lengths)
    shape = (case.batch, case.time, case.heads)
    inputs = [poisoned(normal(*shape, width).to(case.dtype)) for width in (case.key, case.key, case.value)]
    wide = case.key * (2 if case.lrpe else 1)
    arguments: dict[str, Any] = {"scale": 0.7, "output_final_state": True, "chunk_size": case.chunk}
    if case.lengths is not None:
        bounds = torch.tensor([0, *itertools.accumulate(case.lengths)], dtype=torch.int32)
        arguments["cu_seqlens"] = bounds.to(DEVICE)
    if case.offset:
        arguments["position_offset"] = torch.arange(sequences, device=DEVICE) * 100
    named: dict[str, torch.Tensor] = {}
    if case.state:
        named["initial_state"] = normal(sequences, case.heads, wide, case.value).to(DEVICE)
    if case.lrpe:
        named["lrpe_theta"] = torch.rand(case.heads, case.key, generator=generator).to(DEVICE)
    for tensor in (*inputs, *named.values()):
        tensor.requires_grad_()
    upstream = [
        normal(*shape, case.value).to(DEVICE, case.dtype),
        normal(sequences, case.heads, wide, case.value).to(DEVICE),
    ]
    return inputs, arguments | named, upstream


def decays(heads: int) -> torch.Tensor:
    return torch.tensor([-0.84, -1e-8, -0.1][:heads], device=DEVICE)


def results(function: Any, case: Case) -> dict[str, torch.Tensor]:
    """o, final state and all gradients, by name."""
    inputs, arguments, upstream = make(case)
    named = {n: arguments[n] for n in ("initial_state", "lrpe_theta") if n in arguments}
    if function is lightning_attention_naive:
        arguments.pop("chunk_size")
    output, final = function(*inputs, decays(case.heads), **arguments)
    wanted = dict(zip("qkv", inputs, strict=True)) | named
    loss = (output.double() * upstream[0]).sum() + (final.double() * upstream[1]).sum()
    gradients = torch.autograd.grad(loss, list(wanted.values()))
    found = {"o": output, "final": final}
    found |= {f"d {name}": gradient for name, gradient in zip(wanted, gradients, strict=True)}
    return {name: x.detach() for name, x in found.items()}


def relative_error(ours: torch.Tensor, exact: torch.Tensor) -> float:
    return float((ours.double() - exact.double()).norm().detach() / exact.double().norm().clamp_min(1e-30).detach())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_output_state_and_every_gradient(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    force_segments(monkeypatch, case.segment)
    exact = results(lightning_attention_naive, case)
    for name, ours in results(lightning_attention_triton, case).items():
        error = relative_error(ours, exact[name])
        assert error < TOLERANCE[case.dtype], f"{name}: {error}"


@pytest.mark.gpu
@pytest.mark.skipif(not ON_GPU, reason="needs a GPU")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize(
    "case",
    [
        Case(time=300, key=128, value=128, chunk=None, state=True),
        Case(time=300, key=128, value=128, chunk=None, lrpe=True, state=True, offset=True),
        Case(time=300, key=256, value=128, chunk=None, lengths=(1, 0, 199, 100), state=True),
        Case(time=3000, key=96, value=80, chunk=None, lengths=(1, 1999, 1000)),
    ],
    ids=lambda case: case.name,
)
def test_shipped_configurations_on_a_gpu(case: Case, dtype: torch.dtype) -> None:
    case = replace(case, dtype=dtype)
    exact = results(lightning_attention_naive, case)
    for name, ours in results(lightning_attention_triton, case).items():
        error = relative_error(ours, exact[name])
        assert error < TOLERANCE[dtype], f"{name}: {error}"


def test_half_precision_error_is_within_three_times_an_eager_reference() -> None:
    """Eager: the quadratic form with fp16 operands and probabilities and fp32 accumulation."""
    case = Case(time=100, key=32, value=32, dtype=torch.float16)
    (q, k, v), _, _ = make(case)
    decay = decays(2)
    exact, _ = lightning_attention_naive(q, k, v, decay)
    index = torch.arange(100, device=DEVICE)
    distance = (index[:, None] - index[None, :]).clamp_min(0)
    mask = torch.tril((decay[:, None, None] * distance).exp())
    scores = (torch.einsum("bthk,bshk->bhts", q.float(), k.float()) * mask).half()
    eager = torch.einsum("bhts,bshv->bthv", scores.float(), v.float()).half()
    ours, _ = lightning_attention_triton(q, k, v, decay, chunk_size=16)
    assert relative_error(ours, exact) < 3 * relative_error(eager, exact)


@pytest.mark.parametrize("lrpe", [False, True])
def test_a_document_is_bit_identical_in_any_pack(lrpe: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    force_segments(monkeypatch, 32)
    case = Case(time=90, lengths=(5, 40, 1, 44), lrpe=lrpe, dtype=torch.float16)
    (q, k, v), arguments, _ = make(case)
    bounds = arguments.pop("cu_seqlens").tolist()
    packed, states = lightning_attention_triton(
        q, k, v, decays(2), cu_seqlens=torch.tensor(bounds, device=DEVICE), **arguments
    )
    assert states is not None
    for n, (start, stop) in enumerate(itertools.pairwise(bounds)):
        alone, state = lightning_attention_triton(
            *(x[:, start:stop] for x in (q, k, v)),
            decays(2),
            cu_seqlens=torch.tensor([0, stop - start], device=DEVICE),
            **arguments,
        )
        assert state is not None
        assert torch.equal(alone, packed[:, start:stop])
        assert torch.equal(state[0], states[n])


def test_empty_calls() -> None:
    q, k, v = (torch.zeros(1, 0, 2, 16, device=DEVICE) for _ in range(3))
    state = torch.randn(1, 2, 16, 16, device=DEVICE)
    output, final = lightning_attention_triton(q, k, v, decays(2), initial_state=state, output_final_state=True)
    assert output.shape == (1, 0, 2, 16)
    assert final is not None
    assert torch.equal(final, state)
    bounds = torch.tensor([0, 0, 0], device=DEVICE)
    _, final = lightning_attention_triton(q, k, v, decays(2), output_final_state=True, cu_seqlens=bounds)
    assert final is not None
    assert final.shape == (2, 2, 16, 16)
    assert not final.any()


def test_gradients_agree_with_the_chunk_path_from_one_autograd_graph() -> None:
    """Through silu and a projection, as the model calls it, with v a slice of a wider tensor."""
    torch.manual_seed(0)
    x = torch.randn(1, 40, 32, device=DEVICE)
    weight = torch.randn(96, 32, device=DEVICE, requires_grad=True)

    def run(function: Any) -> torch.Tensor:
        q, k, v = (x @ weight.T).view(1, 40, 3, 2, 16).unbind(2)
        output, _ = function(torch.nn.functional.silu(q), torch.nn.functional.silu(k), v, decays(2), chunk_size=16)
        (gradient,) = torch.autograd.grad(output.square().sum(), weight)
        return gradient

    assert relative_error(run(lightning_attention_triton), run(lightning_attention_chunk)) < 1e-5


def test_torch_compile_and_checkpointing_know_the_operator() -> None:
    torch.manual_seed(0)
    tensors = [torch.randn(1, 30, 2, 16, device=DEVICE, requires_grad=True) for _ in range(3)]
    theta = torch.rand(2, 16, device=DEVICE, requires_grad=True)
    state = torch.randn(1, 2, 32, 16, device=DEVICE, requires_grad=True)

    def run(*x: torch.Tensor) -> torch.Tensor:
        output, final = lightning_attention_triton(
            *x[:3], decays(2), lrpe_theta=x[3], initial_state=x[4], output_final_state=True, chunk_size=16
        )
        assert final is not None
        return output.square().sum() + final.sum()

    inputs = (*tensors, theta, state)
    plain = torch.autograd.grad(run(*inputs), inputs)
    compiled = torch.autograd.grad(torch.compile(run, backend="aot_eager", fullgraph=True)(*inputs), inputs)
    recomputed = torch.utils.checkpoint.checkpoint(run, *inputs, use_reentrant=False)
    assert isinstance(recomputed, torch.Tensor)
    checkpointed = torch.autograd.grad(recomputed, inputs)
    for a, b, c in zip(plain, compiled, checkpointed, strict=True):
        torch.testing.assert_close(a, b)
        torch.testing.assert_close(a, c)
    operator: Any = torch.ops.autoclave.lightning_attention.default
    torch.library.opcheck(operator, (*tensors, decays(2), theta, None, state, None, 1.0, True, 16))


@pytest.mark.parametrize("lrpe", [False, True])
def test_one_kernel_serves_all_lengths(lrpe: bool) -> None:
    """Sizes along time must never be compile-time constants: OpenNLPLab's kernel compiles anew for each length."""
    import inspect

    kernel: Any = launch.wide_scan_kernel if lrpe else launch.scan_kernel
    signature = inspect.signature(kernel.fn)
    constants = {n for n, p in signature.parameters.items() if "constexpr" in str(p.annotation)}
    assert "CHUNK" in constants
    assert not constants & {"time", "segment_size", "segments_per_sequence", "heads", "a_row", "scale"}
