# mypy: allow-untyped-defs, allow-incomplete-defs
"""Sums of states, each decayed by how far away it is, in one launch: what segments hand on, what ranks hand over."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from autoclave.kernels.lightning_attention.triton_program import LOG2_E

ROWS = 8
BLOCK = 256


@triton.jit(do_not_specialize=["count", "heads", "size"])
def decayed_sum_kernel(
    states_ptr, distances_ptr, decay_ptr, sum_ptr, count, heads, size, ROWS: tl.constexpr, BLOCK: tl.constexpr
):
    """sum[h] = sum_n lambda_h^distance_n states[n, h] over the n with a distance >= 0; other states are not read."""
    blocks = tl.cdiv(size, BLOCK)
    program = tl.program_id(0)
    head = program // blocks
    place = (program % blocks) * BLOCK + tl.arange(0, BLOCK)
    fits = place < size
    log_decay = tl.load(decay_ptr + head) * LOG2_E
    total = tl.zeros((BLOCK,), dtype=tl.float32)
    for start in range(0, count, ROWS):
        row = start + tl.arange(0, ROWS)
        distance = tl.load(distances_ptr + row, mask=row < count, other=-1)
        weight = tl.exp2(log_decay * tl.maximum(distance, 0).to(tl.float32))
        base = (row.to(tl.int64) * heads + head) * size
        used = (distance >= 0)[:, None] & fits[None, :]
        states = tl.load(states_ptr + base[:, None] + place[None, :], mask=used, other=0.0)
        total += tl.sum(states * weight[:, None], 0)
    tl.store(sum_ptr + head * size + place, total, mask=fits)


def launch_decayed_sum(states: Tensor, distances: Tensor, decay: Tensor) -> Tensor:
    """`decayed_sum` of contiguous float32 states [N, H, K, V]; distances int64 [N] with any stride, decay float32 [H]."""
    total = torch.empty_like(states[0]) if len(states) else states.new_zeros(states.shape[1:])
    heads, size = states.shape[1], states.shape[2] * states.shape[3]
    if len(states) and total.numel():
        decayed_sum_kernel[(heads * triton.cdiv(size, BLOCK),)](
            states,
            distances.contiguous(),
            decay.contiguous(),
            total,
            len(states),
            heads,
            size,
            ROWS=ROWS,
            BLOCK=BLOCK,
            num_warps=4,
        )
    return total
