# mypy: allow-untyped-defs, allow-incomplete-defs
"""The decoding step on a GPU: state update and read in one pass over the state, then output norm and gate. CUDA-graph safe.

Two launches: the norm spans all heads, and the heads are spread over the card to share its bandwidth.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from autoclave.kernels.lightning_attention.triton_config import block_width
from autoclave.kernels.lightning_attention.triton_phase import phase_at, sine_cosine, turn_fraction
from autoclave.kernels.norm.triton_norm import launch_forward

BLOCK_VALUE = 16
WARPS = 4


@triton.jit(do_not_specialize=["heads", "scale"])
def step_kernel(
    q_ptr,
    k_ptr,
    v_ptr,
    o_ptr,
    state_ptr,
    decay_ptr,
    theta_ptr,
    positions_ptr,
    scale,
    heads,
    q_row,
    k_row,
    v_row,
    KEY: tl.constexpr,
    VALUE: tl.constexpr,
    BLOCK_KEY: tl.constexpr,
    BLOCK_VALUE: tl.constexpr,
    LRPE: tl.constexpr,
):
    """One [K, BLOCK_VALUE] piece of one head's state: S' = lambda S + k v^T in place, o = scale * q S'."""
    blocks: tl.constexpr = (VALUE + BLOCK_VALUE - 1) // BLOCK_VALUE
    program = tl.program_id(0)
    head = (program // blocks) % heads
    row = (program // (blocks * heads)).to(tl.int64)
    key = tl.arange(0, BLOCK_KEY)
    value = (program % blocks) * BLOCK_VALUE + tl.arange(0, BLOCK_VALUE)
    key_fits = key < KEY
    value_fits = value < VALUE
    q = tl.load(q_ptr + row * q_row + head * KEY + key, mask=key_fits, other=0.0).to(tl.float32)
    k = tl.load(k_ptr + row * k_row + head * KEY + key, mask=key_fits, other=0.0).to(tl.float32)
    v = tl.load(v_ptr + row * v_row + head * VALUE + value, mask=value_fits, other=0.0).to(tl.float32)
    factor = tl.exp(tl.load(decay_ptr + head))
    parts: tl.constexpr = 2 if LRPE else 1
    place = (row * heads + head) * (parts * KEY * VALUE) + key[:, None] * VALUE + value[None, :]
    fits = key_fits[:, None] & value_fits[None, :]
    state = tl.load(state_ptr + place, mask=fits, other=0.0)
    if LRPE:
        theta = tl.load(theta_ptr + head * KEY + key, mask=key_fits, other=0.0)
        position = tl.load(positions_ptr + row).to(tl.int64)
        sine, cosine = sine_cosine(phase_at(turn_fraction(theta, False), position, False))
        second = tl.load(state_ptr + place + KEY * VALUE, mask=fits, other=0.0)
        second = factor * second + (k * sine)[:, None] * v[None, :]
        state = factor * state + (k * cosine)[:, None] * v[None, :]
        tl.store(state_ptr + place + KEY * VALUE, second, mask=fits)
        o = tl.sum((q * cosine)[:, None] * state + (q * sine)[:, None] * second, axis=0)
    else:
        state = factor * state + k[:, None] * v[None, :]
        o = tl.sum(q[:, None] * state, axis=0)
    tl.store(state_ptr + place, state, mask=fits)
    o_place = o_ptr + (row * heads + head) * VALUE + value
    tl.store(o_place, (o * scale).to(o_ptr.dtype.element_ty), mask=value_fits)


def _rows(x: Tensor) -> Tensor:
    """Heads of a row side by side; rows may be apart (a slice of a wider projection)."""
    return x if x.stride(2) == 1 and x.stride(1) == x.shape[2] else x.contiguous()


def launch_step(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    decay: Tensor,
    state: Tensor,
    scale: float,
    lrpe_theta: Tensor | None,
    positions: Tensor | None,
    gate: Tensor | None,
    eps: float,
) -> Tensor:
    """o [B, H, V], or with a gate [B, H * V]: gate * norm(o) [B, H * V]. `state` is updated in place.

    Raises:
        ValueError: the state is not contiguous float32, and so cannot be updated in place.
    """
    if not state.is_contiguous() or state.dtype != torch.float32:
        raise ValueError("step: on a GPU the state must be contiguous float32, because it is updated in place")
    q, k, v = _rows(q), _rows(k), _rows(v)
    batch, heads, key = q.shape
    value = v.shape[-1]
    # Between the two launches o stays in float32: the step is bound by the state's traffic, not by this.
    o = torch.empty(batch, heads, value, dtype=v.dtype if gate is None else torch.float32, device=v.device)
    step_kernel[(batch * heads * triton.cdiv(value, BLOCK_VALUE),)](
        q,
        k,
        v,
        o,
        state,
        decay.float(),
        None if lrpe_theta is None else lrpe_theta.float().contiguous(),
        positions,
        scale,
        heads,
        q.stride(0),
        k.stride(0),
        v.stride(0),
        KEY=key,
        VALUE=value,
        BLOCK_KEY=block_width(key),
        BLOCK_VALUE=BLOCK_VALUE,
        LRPE=lrpe_theta is not None,
        num_warps=WARPS,
    )
    if gate is None:
        return o
    return launch_forward(o.flatten(1), None, gate.contiguous(), eps)[0]
