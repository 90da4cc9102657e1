"""Decoding steps equal the whole-sequence operator, on the PyTorch path and on the Triton kernel."""

import os
from typing import Any

import pytest
import torch

from autoclave.kernels.decode import lightning_attention_step, lightning_attention_step_gated
from autoclave.kernels.lightning_attention import lightning_attention_naive
from autoclave.kernels.norm import EPSILON

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.mark.parametrize("path", ["plain", "kernel"])
@pytest.mark.parametrize("lrpe", [False, True])
@pytest.mark.parametrize(("key", "value"), [(16, 16), (20, 33)])
def test_steps_equal_the_recurrence(path: str, lrpe: bool, key: int, value: int) -> None:
    if path == "kernel":
        pytest.importorskip("triton")
        if DEVICE == "cpu" and os.environ.get("TRITON_INTERPRET") != "1":
            pytest.skip("triton was imported before its interpreter was asked for")
    torch.manual_seed(0)
    batch, time, heads = 3, 5, 2
    q, k = (torch.randn(batch, time, heads, key, device=DEVICE) for _ in range(2))
    v = torch.randn(batch, time, heads, value, device=DEVICE)
    gate = torch.randn(batch, time, heads * value, device=DEVICE)
    decay = torch.tensor([-0.84, -1e-8], device=DEVICE)
    theta = torch.rand(heads, key, device=DEVICE) if lrpe else None
    offset = torch.tensor([0, 17, 4000], device=DEVICE)
    state = torch.randn(batch, heads, key * (2 if lrpe else 1), value, device=DEVICE)
    exact, exact_state = lightning_attention_naive(
        q,
        k,
        v,
        decay,
        scale=0.5,
        lrpe_theta=theta,
        position_offset=offset,
        initial_state=state,
        output_final_state=True,
    )
    flat = exact.flatten(2)
    exact_gated = flat * (flat.square().mean(-1, keepdim=True) + EPSILON).rsqrt() * gate
    plain_state, gated_state = state.clone(), state.clone()
    for t in range(time):
        options: dict[str, Any] = {"scale": 0.5, "lrpe_theta": theta, "positions": offset + t}
        step = (q[:, t], k[:, t], v[:, t])
        if path == "kernel":
            from autoclave.kernels.decode.triton_step import launch_step

            o = launch_step(*step, decay, plain_state, 0.5, theta, offset + t, None, EPSILON)
            gated = launch_step(*step, decay, gated_state, 0.5, theta, offset + t, gate[:, t], EPSILON)
        else:
            o, plain_state = lightning_attention_step(*step, decay, plain_state, **options)
            gated, gated_state = lightning_attention_step_gated(*step, gate[:, t], decay, gated_state, **options)
        torch.testing.assert_close(o.double(), exact[:, t], rtol=2e-3, atol=2e-3)
        torch.testing.assert_close(gated.double(), exact_gated[:, t], rtol=2e-3, atol=2e-3)
    assert exact_state is not None
    for found in (plain_state, gated_state):
        assert float((found - exact_state).norm() / exact_state.norm()) < 1e-4


def test_a_sequences_result_does_not_depend_on_its_batch() -> None:
    torch.manual_seed(0)
    q, k, v = (torch.randn(7, 2, 32) for _ in range(3))
    state = torch.randn(7, 2, 32, 32)
    decay = torch.tensor([-0.5, -0.01])
    together, states = lightning_attention_step(q, k, v, decay, state)
    for n in range(7):
        alone, alone_state = lightning_attention_step(q[n : n + 1], k[n : n + 1], v[n : n + 1], decay, state[n : n + 1])
        assert torch.equal(alone[0], together[n])
        assert torch.equal(alone_state[0], states[n])


def test_ill_fitting_state_is_refused() -> None:
    q = torch.zeros(1, 2, 16)
    with pytest.raises(ValueError, match="state"):
        lightning_attention_step(q, q, q, torch.zeros(2), torch.zeros(1, 2, 16, 8))
    with pytest.raises(ValueError, match="positions"):
        lightning_attention_step(q, q, q, torch.zeros(2), torch.zeros(1, 2, 32, 16), lrpe_theta=torch.zeros(2, 16))
