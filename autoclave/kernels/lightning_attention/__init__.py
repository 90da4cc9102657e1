"""Lightning Attention: causal linear attention with one scalar decay a head, in time linear in the length.

`naive.py` is the definition, `chunk.py` the PyTorch path, `triton_*.py` the GPU kernels; README.md has the mathematics.
"""

import torch
from torch import Tensor

from autoclave.kernels.lightning_attention.chunk import lightning_attention_chunk
from autoclave.kernels.lightning_attention.naive import lightning_attention_naive

__all__ = ["kernels_fit", "lightning_attention", "lightning_attention_chunk", "lightning_attention_naive"]

MAX_HEAD_DIM = 256
KERNEL_DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def lightning_attention(
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
    chunk_size: int | None = None,
) -> tuple[Tensor, Tensor | None]:
    """S_t = exp(decay) S_{t-1} + k_t v_t^T;  o_t = scale * q_t S_t, for every head, in time linear in T.

    Args:
        q, k: [B, T, H, K], float32, float16, bfloat16 (float64 on the PyTorch path). Last axis contiguous for speed.
        v: [B, T, H, V].
        decay: [H] float32, the logarithm of lambda, <= 0. It gets no gradient: learnt decay gave NaN in the paper.
        scale: factor on the output.
        lrpe_theta: [H, K] float32. When given, the operator works on `[x cos(phi), x sin(phi)]` of width 2K for
            x = q, k with phi = theta * position in float32; theta gets a gradient.
        position_offset: [B] (or [N] with `cu_seqlens`) int64, the absolute position of each sequence's first token.
        initial_state: [N, H, K (2K with LRPE), V] float32, N = B or the number of packed sequences. Differentiable.
        output_final_state: also return the state after each sequence's last token, float32, differentiable.
        cu_seqlens: [N + 1] int32 or int64, the bounds of sequences packed in one row (B must be 1). State and positions
            start afresh in each; empty sequences are allowed.
        chunk_size: tokens a chunk, a power of two; the default is tuned per device.

    Returns:
        o [B, T, H, V] in v's dtype, and the final state [N, H, K or 2K, V] or None.

    On the PyTorch path, and among packed calls on a GPU, a sequence's rows of `o` do not depend on the other sequences
    of the call, bit for bit.

    Raises:
        ValueError: shapes, dtypes or devices do not fit together.
    """
    problem = _problem(q, k, v, decay, lrpe_theta, position_offset, initial_state, cu_seqlens, chunk_size)
    if problem is not None:
        raise ValueError(f"lightning_attention: {problem}")
    path = lightning_attention_chunk
    if q.is_cuda and kernels_fit(q, v, lrpe_theta):
        from autoclave.kernels.lightning_attention.triton_op import lightning_attention_triton

        path = lightning_attention_triton
    return path(
        q,
        k,
        v,
        decay,
        scale=scale,
        lrpe_theta=lrpe_theta,
        position_offset=position_offset,
        initial_state=initial_state,
        output_final_state=output_final_state,
        cu_seqlens=cu_seqlens,
        chunk_size=chunk_size,
    )


def kernels_fit(q: Tensor, v: Tensor, lrpe_theta: Tensor | None) -> bool:
    """Whether the Triton kernels take these shapes and dtypes and have passed their self-check on this device."""
    widest = MAX_HEAD_DIM if lrpe_theta is None else MAX_HEAD_DIM // 2
    if q.dtype not in KERNEL_DTYPES or q.shape[-1] > widest or v.shape[-1] > MAX_HEAD_DIM:
        return False
    if torch.compiler.is_compiling() or torch.cuda.is_current_stream_capturing():
        # Neither can run the check; the eager warm-up that precedes both has.
        return True
    from autoclave.kernels.lightning_attention.self_check import kernels_are_right

    return kernels_are_right(q.device.index, q.dtype, q.shape[-1], v.shape[-1], lrpe_theta is not None)


def _problem(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    decay: Tensor,
    lrpe_theta: Tensor | None,
    position_offset: Tensor | None,
    initial_state: Tensor | None,
    cu_seqlens: Tensor | None,
    chunk_size: int | None,
) -> str | None:
    """What does not fit together, if anything. Messages are made only then: a short call is bound by the host."""
    if q.dim() != 4 or q.shape != k.shape:
        return f"q {tuple(q.shape)} and k {tuple(k.shape)} must be [B, T, H, K]"
    if v.dim() != 4 or v.shape[:3] != q.shape[:3]:
        return f"v {tuple(v.shape)} must be [B, T, H, V] like q"
    if not q.dtype == k.dtype == v.dtype:
        return f"q, k, v must share a dtype, got {q.dtype}, {k.dtype}, {v.dtype}"
    if not q.dtype.is_floating_point:
        return f"q, k, v must be floating point, got {q.dtype}"
    batch, time, heads, width = q.shape
    if decay.shape != (heads,):
        return f"decay {tuple(decay.shape)} must be [H] = [{heads}]"
    if lrpe_theta is not None and lrpe_theta.shape != (heads, width):
        return f"lrpe_theta {tuple(lrpe_theta.shape)} must be [H, K]"
    sequences = batch
    if cu_seqlens is not None:
        if batch != 1:
            return f"cu_seqlens packs sequences into one row: B must be 1, got {batch}"
        if cu_seqlens.dim() != 1 or cu_seqlens.numel() < 1:
            return "cu_seqlens must be [N + 1]"
        sequences = cu_seqlens.numel() - 1
        if cu_seqlens.device.type == "cpu":
            cuts_fit = cu_seqlens[0] == 0 and cu_seqlens[-1] == time and bool((cu_seqlens.diff() >= 0).all())
            if not cuts_fit:
                return f"cu_seqlens must rise from 0 to T = {time}, got {cu_seqlens.tolist()[:8]}..."
    if position_offset is not None and position_offset.shape != (sequences,):
        return f"position_offset must be [{sequences}]"
    if initial_state is not None:
        want = (sequences, heads, width * (1 if lrpe_theta is None else 2), v.shape[-1])
        if initial_state.shape != want:
            return f"initial_state {tuple(initial_state.shape)} must be {want}"
    if chunk_size is not None and (chunk_size <= 0 or chunk_size & (chunk_size - 1)):
        return f"chunk_size must be a power of two, got {chunk_size}"
    return None
