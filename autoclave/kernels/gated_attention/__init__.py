"""The token mixer between its two projections: u * SRMSNorm(LightningAttention(silu q, silu k, v)), one operation.

    q, k, v, u = qkvu;  o = LightningAttention(silu q, silu k, v);  y = u * SRMSNorm(o over all heads)

Source: TransNormerLLM (arXiv 2307.14995, section 3; the released code). On a GPU the backward pass writes all four
gradients into one tensor, the gradient of the joint projection, so nothing is copied together afterwards.
"""

from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor

from autoclave.kernels.lightning_attention import kernels_fit, lightning_attention
from autoclave.kernels.norm import EPSILON, simple_rms_norm_gate

__all__ = ["gated_lightning_attention"]


def gated_lightning_attention(
    qkvu: Tensor,
    decay: Tensor,
    *,
    lrpe_theta: Tensor | None = None,
    position_offset: Tensor | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    cu_seqlens: Tensor | None = None,
    eps: float = EPSILON,
) -> tuple[Tensor, Tensor | None]:
    """u * SRMSNorm(o), o = Lightning Attention of silu(q), silu(k), v.

    Args:
        qkvu: [B, T, 4 E] with E = H * dh: q, k, v, u side by side, head-major inside each; float32, float16 or bfloat16
            (float64 on a CPU).
        decay: [H] float32, log lambda, <= 0. The number of heads is taken from it.
        lrpe_theta, position_offset, initial_state, output_final_state, cu_seqlens: as in `lightning_attention`.

    Returns:
        y [B, T, E] in qkvu's dtype, and the final state [N, H, dh (2 dh with LRPE), dh] float32 or None. Differentiable
        in qkvu, theta and the initial state.

    Raises:
        ValueError: the width is not four times a multiple of the heads, or as `lightning_attention` raises.
    """
    heads = decay.shape[0]
    if qkvu.dim() != 3 or qkvu.shape[-1] % (4 * heads):
        raise ValueError(f"gated_lightning_attention: qkvu {tuple(qkvu.shape)} must be [B, T, 4 * {heads} heads * dh]")
    query, key, value, gate = qkvu.split(qkvu.shape[-1] // 4, -1)
    per_head = (*qkvu.shape[:2], heads, -1)
    options: dict[str, Any] = {
        "lrpe_theta": lrpe_theta,
        "position_offset": position_offset,
        "initial_state": initial_state,
        "output_final_state": output_final_state,
        "cu_seqlens": cu_seqlens,
    }
    value = value.view(per_head)
    if qkvu.is_cuda and not torch.compiler.is_compiling() and kernels_fit(value, value, lrpe_theta):
        from autoclave.kernels.gated_attention.triton_gated import gpu_gated_attention

        return gpu_gated_attention(qkvu, decay, eps, **options)
    query, key = functional.silu(query).view(per_head), functional.silu(key).view(per_head)
    out, final_state = lightning_attention(query, key, value, decay, **options)
    return simple_rms_norm_gate(out.flatten(-2), gate, eps), final_state
