"""One decoding step of Lightning Attention for a batch of sequences, each at its own position."""

import torch
from torch import Tensor

from autoclave.kernels.lightning_attention.naive import lrpe_expand
from autoclave.kernels.norm import EPSILON, simple_rms_norm_gate

__all__ = ["lightning_attention_step", "lightning_attention_step_gated"]


def _check(q: Tensor, k: Tensor, v: Tensor, state: Tensor, lrpe_theta: Tensor | None, positions: Tensor | None) -> None:
    width = q.shape[-1] * (1 if lrpe_theta is None else 2)
    want = (*q.shape[:2], width, v.shape[-1])
    if q.dim() != 3 or q.shape != k.shape or v.shape[:2] != q.shape[:2]:
        raise ValueError(
            f"step: q {tuple(q.shape)}, k {tuple(k.shape)} must be [B, H, K], v {tuple(v.shape)} [B, H, V]"
        )
    if state.shape != want or state.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"step: state must be {want} float32, got {tuple(state.shape)} {state.dtype}")
    if lrpe_theta is not None and positions is None:
        raise ValueError("step: lrpe_theta needs positions [B]")


def lightning_attention_step(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    decay: Tensor,
    state: Tensor,
    *,
    scale: float = 1.0,
    lrpe_theta: Tensor | None = None,
    positions: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Advance every sequence by one token: S' = exp(decay) S + k v^T, o = scale * q S'.

    Args:
        q, k: [B, H, K]; v: [B, H, V]; decay: [H] float32, <= 0.
        state: [B, H, K (2K with LRPE), V] float32; left as it was on a CPU, **updated in place** on a GPU
            (so that a CUDA graph can replay the step).
        lrpe_theta: [H, K]; positions: [B] int64, the absolute position of this token in each sequence.

    Returns:
        o [B, H, V] in v's dtype, and the new state. Inference only: no gradient on a GPU.

    Raises:
        ValueError: shapes do not fit together.
    """
    _check(q, k, v, state, lrpe_theta, positions)
    if q.is_cuda:
        from autoclave.kernels.decode.triton_step import launch_step

        return launch_step(q, k, v, decay, state, scale, lrpe_theta, positions, None, EPSILON), state
    q, k = q.to(state.dtype), k.to(state.dtype)
    if lrpe_theta is not None and positions is not None:
        q, k = lrpe_expand(q, lrpe_theta, positions), lrpe_expand(k, lrpe_theta, positions)
    factor = decay.to(state.dtype).exp()[None, :, None, None]
    state = factor * state + k.unsqueeze(-1) * v.to(state.dtype).unsqueeze(-2)
    # A product and a sum, not a matmul: the result of one sequence cannot depend on the batch.
    return (scale * (q.unsqueeze(-1) * state).sum(-2)).to(v.dtype), state


def lightning_attention_step_gated(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    u: Tensor,
    decay: Tensor,
    state: Tensor,
    *,
    scale: float = 1.0,
    lrpe_theta: Tensor | None = None,
    positions: Tensor | None = None,
    eps: float = EPSILON,
) -> tuple[Tensor, Tensor]:
    """`lightning_attention_step`, then u * SimpleRMSNorm(o) over all heads together.

    u: [B, H * V]; returns that in u's dtype, and the new state. The rest as there.
    """
    _check(q, k, v, state, lrpe_theta, positions)
    if q.is_cuda:
        from autoclave.kernels.decode.triton_step import launch_step

        return launch_step(q, k, v, decay, state, scale, lrpe_theta, positions, u, eps), state
    o, state = lightning_attention_step(q, k, v, decay, state, scale=scale, lrpe_theta=lrpe_theta, positions=positions)
    return simple_rms_norm_gate(o.flatten(1), u, eps), state
