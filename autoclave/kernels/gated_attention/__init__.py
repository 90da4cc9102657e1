"""The token mixer between its two projections: u * SRMSNorm(LightningAttention(silu q, silu k, v)), one operation.

    q, k, v, u = qkvu;  o = LightningAttention(silu q, silu k, v);  y = u * SRMSNorm(o over all heads)

Source: TransNormerLLM (arXiv 2307.14995, section 3; the released code). On a GPU the backward pass writes all four
gradients into one tensor, the gradient of the joint projection, so nothing is copied together afterwards.

Where the heads are on several processes the norm is too: its factor is one number a token, so it may come after the
output projection, whose partial sums have to be added up anyway (`ungathered_gated_attention`).
"""

from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor

from autoclave.kernels.lightning_attention import kernels_fit, lightning_attention
from autoclave.kernels.lightning_attention.carried import StateExchange, carried_lightning_attention
from autoclave.kernels.norm import EPSILON, simple_rms_norm_gate, squares_and_gate

__all__ = ["gated_lightning_attention", "ungathered_gated_attention"]


def gated_lightning_attention(
    qkvu: Tensor,
    decay: Tensor,
    *,
    lrpe_theta: Tensor | None = None,
    position_offset: Tensor | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    cu_seqlens: Tensor | None = None,
    exchange: StateExchange | None = None,
    eps: float = EPSILON,
) -> tuple[Tensor, Tensor | None]:
    """u * SRMSNorm(o), o = Lightning Attention of silu(q), silu(k), v.

    Args:
        qkvu: [B, T, 4 E] with E = H * dh: q, k, v, u side by side, head-major inside each; float32, float16 or bfloat16
            (float64 on a CPU).
        decay: [H] float32, log lambda, <= 0. The number of heads is taken from it.
        lrpe_theta, position_offset, initial_state, output_final_state, cu_seqlens: as in `lightning_attention`.
        exchange: gives the state that enters a piece of a packed stream; then there is no initial or final state.

    Returns:
        y [B, T, E] in qkvu's dtype, and the final state [N, H, dh (2 dh with LRPE), dh] float32 or None. Differentiable
        in qkvu, theta and the initial state.

    Raises:
        ValueError: the width is not four times a multiple of the heads, or as `lightning_attention` raises.
    """
    options = _options(lrpe_theta, position_offset, initial_state, output_final_state, cu_seqlens, exchange)
    if _uses_kernels(qkvu, decay, lrpe_theta):
        from autoclave.kernels.gated_attention.triton_gated import gpu_gated_attention

        return gpu_gated_attention(qkvu, decay, eps, **options)
    out, gate, final_state = _attention(qkvu, decay, **options)
    return simple_rms_norm_gate(out, gate, eps), final_state


def ungathered_gated_attention(
    qkvu: Tensor,
    decay: Tensor,
    *,
    lrpe_theta: Tensor | None = None,
    position_offset: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    exchange: StateExchange | None = None,
) -> tuple[Tensor, Tensor]:
    """(u * o, sum of o^2 over these heads) of some of the heads: what the norm over all heads needs of them.

    Arguments and errors as of `gated_lightning_attention`, of these heads alone: [B, T, E] in qkvu's dtype, and [B, T]
    float32 (float64 of float64). Both are differentiable.
    """
    options = _options(lrpe_theta, position_offset, None, False, cu_seqlens, exchange)
    if _uses_kernels(qkvu, decay, lrpe_theta):
        from autoclave.kernels.gated_attention.triton_gated import gpu_ungathered_attention

        return gpu_ungathered_attention(qkvu, decay, **options)
    out, gate, _ = _attention(qkvu, decay, **options)
    return squares_and_gate(out, gate)


def _options(
    lrpe_theta: Tensor | None,
    position_offset: Tensor | None,
    initial_state: Tensor | None,
    output_final_state: bool,
    cu_seqlens: Tensor | None,
    exchange: StateExchange | None,
) -> dict[str, Any]:
    if exchange is not None and (initial_state is not None or output_final_state or cu_seqlens is None):
        raise ValueError("gated_lightning_attention: a piece of a stream has cu_seqlens, and no state of its own")
    return {
        "lrpe_theta": lrpe_theta,
        "position_offset": position_offset,
        "initial_state": initial_state,
        "output_final_state": output_final_state,
        "cu_seqlens": cu_seqlens,
        "exchange": exchange,
    }


def _uses_kernels(qkvu: Tensor, decay: Tensor, lrpe_theta: Tensor | None) -> bool:
    heads = decay.shape[0]
    if qkvu.dim() != 3 or qkvu.shape[-1] % (4 * heads):
        raise ValueError(f"gated_lightning_attention: qkvu {tuple(qkvu.shape)} must be [B, T, 4 * {heads} heads * dh]")
    head = qkvu[..., : qkvu.shape[-1] // 4].view(*qkvu.shape[:2], heads, -1)
    return qkvu.is_cuda and not torch.compiler.is_compiling() and kernels_fit(head, head, lrpe_theta)


def _attention(
    qkvu: Tensor, decay: Tensor, *, exchange: StateExchange | None, **options: Any
) -> tuple[Tensor, Tensor, Tensor | None]:
    """(o [B, T, E], u [B, T, E], final state or None) by the operations one by one."""
    query, key, value, gate = qkvu.split(qkvu.shape[-1] // 4, -1)
    per_head = (*qkvu.shape[:2], decay.shape[0], -1)
    query, key = functional.silu(query).view(per_head), functional.silu(key).view(per_head)
    if exchange is None:
        out, final_state = lightning_attention(query, key, value.view(per_head), decay, **options)
        return out.flatten(-2), gate, final_state
    given = {name: options[name] for name in ("lrpe_theta", "position_offset", "cu_seqlens")}
    out = carried_lightning_attention(query, key, value.view(per_head), decay, exchange=exchange, **given)
    return out.flatten(-2), gate, None
