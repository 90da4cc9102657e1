"""The definition of Lightning Attention: the token recurrence, in float64 unless told otherwise. An oracle only."""

import itertools
import math

import torch
from torch import Tensor


def lrpe_expand(x: Tensor, theta: Tensor, positions: Tensor) -> Tensor:
    """Encode relative position by LRPE: `x` [M, H, K] becomes `[x cos(phi), x sin(phi)]` [M, H, 2K].

    `phi = theta * position`, theta [H, K], positions [M] int64, so q'_t . k'_s = sum_j q_j k_j cos(theta_j (t - s)).
    Phases are exact products less their whole turns, then float32 (float64 when theta is float64), whatever the dtype
    of `x`: bfloat16 cannot count past 256, and a phase of 1e5 rounded to float32 is off by 4e-3.
    """
    phases = torch.remainder(positions.double()[:, None, None] * theta.double(), 2 * math.pi)
    phases = phases.to(torch.float64 if theta.dtype == torch.float64 else torch.float32)
    return torch.cat((x * phases.cos(), x * phases.sin()), dim=-1)


def lightning_attention_naive(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    decay: Tensor,
    *,
    scale: float = 1.0,
    lrpe_theta: Tensor | None = None,
    position_offset: Tensor | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    cu_seqlens: Tensor | None = None,
    dtype: torch.dtype = torch.float64,
) -> tuple[Tensor, Tensor | None]:
    """Token by token: S_t = exp(decay) S_{t-1} + k_t v_t^T, o_t = scale * q_t S_t, everything in `dtype`.

    Arguments, and the shapes of all, as in `lightning_attention`; o and the final state come back in `dtype`.
    Differentiable by plain autograd. Source: TransNormerLLM (arXiv 2307.14995), robust inference.
    """
    q, k, v = q.to(dtype), k.to(dtype), v.to(dtype)
    factor = decay.to(dtype).exp()[:, None, None]
    batch, time = q.shape[:2]
    bounds = [(b, 0, time) for b in range(batch)]
    if cu_seqlens is not None:
        cuts = cu_seqlens.tolist()
        bounds = [(0, start, stop) for start, stop in itertools.pairwise(cuts)]
    outputs, states = [], []
    for n, (b, start, stop) in enumerate(bounds):
        q_n, k_n, v_n = q[b, start:stop], k[b, start:stop], v[b, start:stop]
        if lrpe_theta is not None:
            first = 0 if position_offset is None else int(position_offset[n])
            positions = torch.arange(first, first + stop - start, device=q.device)
            q_n, k_n = (lrpe_expand(x, lrpe_theta.to(dtype), positions) for x in (q_n, k_n))
        state = torch.zeros(k_n.shape[1], k_n.shape[2], v_n.shape[2], dtype=dtype, device=q.device)
        if initial_state is not None:
            state = initial_state[n].to(dtype)
        rows = []
        for t in range(stop - start):
            state = factor * state + k_n[t][:, :, None] * v_n[t][:, None, :]
            rows.append(scale * torch.einsum("hk,hkv->hv", q_n[t], state))
        outputs.append(torch.stack(rows) if rows else v_n)
        states.append(state)
    o = torch.stack(outputs) if cu_seqlens is None else torch.cat(outputs)[None]
    return o, torch.stack(states) if output_final_state else None
