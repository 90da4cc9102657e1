"""Sequence parallelism: ranks hold consecutive pieces of one packed stream, and only states travel between them.

Each rank makes the state that its last sequence leaves behind as if it had begun there; all ranks gather these (one
[heads, key, value] tensor each, whatever the length) and add up what reaches their own first token. Since the decay is
one number a head, that prefix is a weighted sum: LASP, LASP-2 and MiniMax-01's LASP+ (arXiv 2404.02882, 2502.07563,
2501.08313). One collective a layer and direction, of the first of the scan's two passes over its segments: the second
needs what it brings.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from autoclave.errors import RecipeError
from autoclave.kernels.lightning_attention.carried import decayed_sum
from autoclave.model.parallel.shares import all_shares


@dataclass(frozen=True)
class Carry:
    """How states flow between the ranks of one packed stream.

    reach: int64 [ranks, ranks]; reach[r, j] is how many tokens lie between the end of rank j's piece and the start of
        rank r's where one sequence spans all of that, -1 where rank j's last state does not reach rank r
    offset: tokens of this rank's first sequence that lie on earlier ranks
    last_start: where this rank's last sequence begins in its piece
    """

    group: dist.ProcessGroup
    reach: np.ndarray
    offset: int
    last_start: int
    _on_device: dict[str, Tensor] = field(default_factory=dict, repr=False, compare=False)

    @property
    def rank(self) -> int:
        """This rank's place in the stream."""
        return dist.get_rank(self.group)

    def positions(self, cu_seqlens: Tensor) -> Tensor:
        """Where our sequences start in themselves: int64 [sequences], on the device of cu_seqlens [sequences + 1]."""
        if "positions" not in self._on_device:
            positions = np.zeros(cu_seqlens.numel() - 1, np.int64)
            positions[0] = self.offset
            self._on_device["positions"] = torch.from_numpy(positions).to(cu_seqlens.device, non_blocking=True)
        return self._on_device["positions"]

    def exchange(self, decay: Tensor) -> Exchange:
        """The exchange of one layer, whose heads have these decays [heads]."""
        if "reach" not in self._on_device:
            self._on_device["reach"] = torch.from_numpy(self.reach).to(decay.device, non_blocking=True)
        return Exchange(self.group, self._on_device["reach"], decay, self.last_start)


@dataclass(frozen=True)
class Exchange:
    """`kernels.lightning_attention.carried.StateExchange` over a process group.

    reach: as in `Carry`, on the device; decay: [heads] float32, of the layer
    """

    group: dist.ProcessGroup
    reach: Tensor
    decay: Tensor
    last_start: int

    def enter(self, own: Tensor) -> Tensor:
        """What enters this rank's piece: the sum over ranks of what reaches it, decayed on the way."""
        return self._weighted_sum(own, self.reach[dist.get_rank(self.group)])

    def leave(self, gradient: Tensor) -> Tensor:
        """The gradient to this rank's own state: from all ranks that it reaches."""
        return self._weighted_sum(gradient, self.reach[:, dist.get_rank(self.group)])

    def _weighted_sum(self, own: Tensor, reach: Tensor) -> Tensor:
        gathered, coming = all_shares(own[None], self.group)
        coming.wait()
        return decayed_sum(gathered, reach, self.decay)


def cut_stream(
    cu_seqlens: np.ndarray, ranks: int, rank: int, total: int
) -> tuple[slice, np.ndarray, np.ndarray, int, int]:
    """Rank's piece of a stream of `total` tokens: (tokens, its own cu_seqlens, reach, offset, last_start).

    cu_seqlens: integers [sequences + 1], from 0 to total; its own is int32, from 0 to total / ranks. The last three are
    the fields of `Carry`, reach int64 [ranks, ranks].
    Raises RecipeError when the stream does not divide into equal pieces.
    """
    if total % ranks:
        raise RecipeError(f"a batch of {total} tokens does not divide into {ranks} pieces; change sequence_length")
    size = total // ranks
    starts = np.asarray(cu_seqlens, dtype=np.int64)
    edges = np.arange(ranks + 1) * size
    unbroken = [edge not in starts for edge in edges[:-1]]  # whether the sequence before an edge goes on after it
    reach = np.full((ranks, ranks), -1, dtype=np.int64)
    for to in range(ranks):
        for origin in range(to - 1, -1, -1):
            if not all(unbroken[origin + 1 : to + 1]):
                break
            reach[to, origin] = (to - origin - 1) * size
            # Beyond a rank where another sequence began, its own last state is all that goes on.
            if ((starts > edges[origin]) & (starts < edges[origin + 1])).any():
                break
    first, stop = int(edges[rank]), int(edges[rank + 1])
    inside = starts[(starts > first) & (starts < stop)]
    own = np.concatenate([[first], inside, [stop]]) - first
    offset = first - int(starts[starts <= first][-1])
    return slice(first, stop), own.astype(np.int32), reach, offset, int(own[-2])
