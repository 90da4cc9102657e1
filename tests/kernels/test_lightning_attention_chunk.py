"""The float64 token recurrence is the oracle; the chunked PyTorch path is held to it, and to its own invariances."""

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autoclave.kernels.lightning_attention import (
    lightning_attention,
    lightning_attention_chunk,
    lightning_attention_naive,
)

DECAYS = [-0.9, -0.1, -1e-8]  # lambda 0.41 to 1 - 1e-8


def draw(time: int, heads: int = 3, key: int = 5, value: int = 7, batch: int = 1, **options: Any) -> list[torch.Tensor]:
    """q, k, v of the given sizes, seeded by them."""
    generator = torch.Generator().manual_seed(time * 1000 + key)
    dtype = options.get("dtype", torch.float64)
    return [
        torch.randn(batch, time, heads, width, generator=generator, dtype=torch.float64).to(dtype)
        for width in (key, key, value)
    ]


def quadratic_form(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, decay: torch.Tensor) -> torch.Tensor:
    """((q k^T) . M) v with the whole mask, a third way to compute the same."""
    index = torch.arange(q.shape[1])
    distance = index[:, None] - index[None, :]
    mask = (decay.double()[:, None, None] * distance.clamp_min(0)).exp() * (distance >= 0)
    scores = torch.einsum("bthk,bshk->bhts", q, k) * mask
    return torch.einsum("bhts,bshv->bthv", scores, v)


def test_naive_recurrence_equals_quadratic_form() -> None:
    q, k, v = draw(40, batch=2)
    decay = torch.tensor(DECAYS)
    output, _ = lightning_attention_naive(q, k, v, decay)
    torch.testing.assert_close(output, quadratic_form(q, k, v, decay), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("lrpe", [False, True])
def test_gradcheck_in_float64_with_states_and_packing(lrpe: bool) -> None:
    q, k, v = draw(12, key=3, value=2)
    bounds = torch.tensor([0, 1, 1, 7, 12])
    state = torch.randn(4, 3, 6 if lrpe else 3, 2, dtype=torch.float64)
    theta = torch.rand(3, 3, dtype=torch.float64)
    inputs = [x.requires_grad_() for x in (q, k, v, state, *([theta] if lrpe else []))]

    def run(*tensors: torch.Tensor) -> Any:
        return lightning_attention(
            *tensors[:3],
            torch.tensor(DECAYS),
            scale=0.7,
            initial_state=tensors[3],
            lrpe_theta=tensors[4] if lrpe else None,
            position_offset=torch.tensor([0, 3, 5, 7]),
            output_final_state=True,
            cu_seqlens=bounds,
            chunk_size=4,
        )

    assert torch.autograd.gradcheck(run, inputs)


@pytest.mark.parametrize("lrpe", [False, True])
@pytest.mark.parametrize("time", [0, 1, 63, 64, 65, 200])
def test_chunk_path_equals_the_recurrence(time: int, lrpe: bool) -> None:
    q, k, v = draw(time, batch=2)
    theta = torch.rand(3, 5, dtype=torch.float64) if lrpe else None
    state = torch.randn(2, 3, 10 if lrpe else 5, 7, dtype=torch.float64)
    arguments: dict[str, Any] = {
        "scale": 0.3,
        "lrpe_theta": theta,
        "initial_state": state,
        "output_final_state": True,
        "position_offset": torch.tensor([0, 1000]),
    }
    decay = torch.tensor(DECAYS)
    for ours, oracle in zip(
        lightning_attention(q, k, v, decay, **arguments),
        lightning_attention_naive(q, k, v, decay, **arguments),
        strict=True,
    ):
        torch.testing.assert_close(ours, oracle, rtol=1e-11, atol=1e-11)


@settings(max_examples=25, derandomize=True, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 90), min_size=1, max_size=6),
    chunk_size=st.sampled_from([1, 4, 16, 64, 128]),
    cut=st.floats(0, 1),
)
def test_splitting_and_chunk_size_do_not_matter(lengths: list[int], chunk_size: int, cut: float) -> None:
    """prefill(a + b) == prefill(a) then prefill(b) from its state, for packed sequences and any chunk size."""
    total = sum(lengths)
    q, k, v = draw(total, heads=2, key=4, value=3)
    decay = torch.tensor([-0.8, -1e-3])
    bounds = torch.tensor([0, *itertools.accumulate(lengths)])
    theta = torch.rand(2, 4, dtype=torch.float64)
    options: dict[str, Any] = {"lrpe_theta": theta, "output_final_state": True, "chunk_size": chunk_size}
    whole, whole_state = lightning_attention(q, k, v, decay, cu_seqlens=bounds, **options)
    for n, (start, stop) in enumerate(itertools.pairwise(bounds.tolist())):
        middle = start + int(cut * (stop - start))
        first, state = lightning_attention(*(x[:, start:middle] for x in (q, k, v)), decay, **options)
        second, state = lightning_attention(
            *(x[:, middle:stop] for x in (q, k, v)),
            decay,
            initial_state=state,
            position_offset=torch.tensor([middle - start]),
            **options,
        )
        torch.testing.assert_close(torch.cat((first, second), 1), whole[:, start:stop], rtol=1e-9, atol=1e-9)
        assert whole_state is not None
        assert state is not None
        torch.testing.assert_close(state[0], whole_state[n], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("lrpe", [False, True])
@pytest.mark.parametrize("width", [7, 20, 64, 128])
def test_a_document_is_bit_identical_in_any_pack(width: int, lrpe: bool, dtype: torch.dtype) -> None:
    lengths = [1, 3, 64, 65, 100, 300, 0, 17, 128]
    bounds = torch.tensor([0, *itertools.accumulate(lengths)])
    q, k, v = draw(sum(lengths), heads=2, key=width, value=width, dtype=dtype)
    decay = torch.tensor([-0.3, -1e-4])
    options: dict[str, Any] = {"lrpe_theta": torch.rand(2, width) if lrpe else None, "output_final_state": True}
    packed, states = lightning_attention(q, k, v, decay, cu_seqlens=bounds, **options)
    assert states is not None
    for n, (start, stop) in enumerate(itertools.pairwise(bounds.tolist())):
        alone, state = lightning_attention(*(x[:, start:stop] for x in (q, k, v)), decay, **options)
        assert state is not None
        assert torch.equal(alone, packed[:, start:stop])
        assert torch.equal(state[0], states[n])
    order = [5, 2, 8, 0]
    pieces = [[x[:, bounds[n] : bounds[n + 1]] for n in order] for x in (q, k, v)]
    again = torch.tensor([0, *itertools.accumulate(lengths[n] for n in order)])
    shuffled, _ = lightning_attention(*(torch.cat(p, 1) for p in pieces), decay, cu_seqlens=again, **options)
    for n, (start, stop) in zip(order, itertools.pairwise(again.tolist()), strict=True):
        assert torch.equal(shuffled[:, start:stop], packed[:, bounds[n] : bounds[n + 1]])


def test_state_grouping_does_not_change_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long calls keep the states of a few chunks at a time; that is bookkeeping only."""
    q, k, v = (x.requires_grad_() for x in draw(300, dtype=torch.float32))
    decay = torch.tensor(DECAYS)
    bounds = torch.tensor([0, 100, 300])

    def gradients() -> list[torch.Tensor]:
        output = lightning_attention_chunk(q, k, v, decay, cu_seqlens=bounds, chunk_size=16)[0]
        return [output, *torch.autograd.grad(output.square().sum(), (q, k, v))]

    whole = gradients()
    monkeypatch.setattr("autoclave.kernels.lightning_attention.chunk.STATE_BYTES_PER_GROUP", 1)
    for a, b in zip(whole, gradients(), strict=True):
        assert torch.equal(a, b)


def test_hundred_thousand_tokens_stay_finite_and_accurate() -> None:
    """The decoupled form lambda^t, lambda^-t overflows after 105 tokens at s = 0.84; this one never does."""
    time = 100_000
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, time, 2, 8, generator=generator) for _ in range(3))
    decay = torch.tensor([-0.84, -1e-8])
    output, state = lightning_attention(q, k, v, decay, output_final_state=True)
    exact, exact_state = lightning_attention_chunk(*(x.double() for x in (q, k, v)), decay, output_final_state=True)
    assert state is not None
    assert exact_state is not None
    assert torch.isfinite(output).all()
    assert (output - exact).norm() / exact.norm() < 1e-4
    assert (state - exact_state).norm() / exact_state.norm() < 1e-4


def test_bfloat16_error_is_that_of_the_inputs() -> None:
    """The chunk path computes bfloat16 inputs in float32: only the rounding of o is left."""
    q, k, v = draw(300, key=32, value=32, dtype=torch.bfloat16)
    decay = torch.tensor(DECAYS)
    exact, _ = lightning_attention_naive(q, k, v, decay)
    output, _ = lightning_attention(q, k, v, decay)
    assert (output - exact).norm() / exact.norm() < 3e-3


def test_lrpe_positions_are_exact_past_256_in_bfloat16() -> None:
    """Released code counts positions in the activation dtype, where 257 is 256 (spec fact 5)."""
    q, k, v = draw(8, key=4, value=4, heads=1, dtype=torch.bfloat16)
    theta = torch.full((1, 4), 0.5)
    decay = torch.tensor([-0.1])
    outputs = [
        lightning_attention(q, k, v, decay, lrpe_theta=theta, position_offset=torch.tensor([p]))[0] for p in (0, 4097)
    ]
    # A shift of all positions changes nothing in exact arithmetic.
    assert (outputs[0].float() - outputs[1].float()).norm() / outputs[0].float().norm() < 1e-2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decay": torch.zeros(2)}, "decay"),
        ({"cu_seqlens": torch.tensor([0, 4, 3, 10])}, "cu_seqlens"),
        ({"cu_seqlens": torch.tensor([0, 9])}, "cu_seqlens"),
        ({"initial_state": torch.zeros(1, 3, 5, 6)}, "initial_state"),
        ({"lrpe_theta": torch.zeros(3, 4)}, "lrpe_theta"),
        ({"chunk_size": 48}, "chunk_size"),
        ({"k": torch.zeros(1, 10, 3, 4)}, "must be"),
        ({"v": torch.zeros(1, 10, 3, 7, dtype=torch.float16)}, "dtype"),
    ],
)
def test_ill_fitting_arguments_are_refused(change: dict[str, Any], message: str) -> None:
    q, k, v = draw(10, dtype=torch.float32)
    arguments: dict[str, Any] = {"q": q, "k": k, "v": v, "decay": torch.tensor(DECAYS)} | change
    with pytest.raises(ValueError, match=message):
        lightning_attention(**arguments)
