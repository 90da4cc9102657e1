"""Plain collectives in the place of `rings.py`'s, to measure what letting shares travel under the products brings."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor

Use = Callable[[slice, list[Tensor]], None]


def plain_gather(shares: list[Tensor], group: dist.ProcessGroup, use: Use) -> list[Tensor]:
    """`rings.gather` by one all-gather a tensor, all work after it."""
    size = dist.get_world_size(group)
    gathered = [share.new_empty(size * len(share), *share.shape[1:]) for share in shares]
    for whole, share in zip(gathered, shares, strict=True):
        if whole.is_cuda:
            dist.all_gather_into_tensor(whole, share, group=group)
        else:
            dist.all_gather(list(whole.chunk(size)), share, group=group)
    use(slice(0, size * len(shares[0])), gathered)
    return gathered


def plain_scatter(make: Callable[[slice], list[Tensor]], rows: int, group: dist.ProcessGroup) -> list[Tensor]:
    """`rings.scatter` by one reduce-scatter a tensor, all work before it."""
    made = make(slice(0, rows))
    size, rank = dist.get_world_size(group), dist.get_rank(group)
    totals = []
    for whole in made:
        total = torch.empty_like(whole[: rows // size])
        if whole.is_cuda:
            dist.reduce_scatter_tensor(total, whole, group=group)
        else:
            dist.all_reduce(whole, group=group)
            total = whole[rank * len(total) : (rank + 1) * len(total)].clone()
        totals.append(total)
    return totals
