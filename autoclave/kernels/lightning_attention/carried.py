"""Lightning Attention over one process's piece of a packed stream, with the state that earlier pieces leave behind."""

from typing import Any, Protocol

import torch
from torch import Tensor

from autoclave.kernels.lightning_attention import lightning_attention


class StateExchange(Protocol):
    """How one layer's states travel between the processes that have consecutive pieces of a stream.

    Both methods are called once by every process, in the same order, and take and return [H, K', V] float32 (float64
    where the inputs are).
    """

    @property
    def last_start(self) -> int:
        """Where this piece's last sequence begins, in tokens."""
        ...

    def enter(self, own: Tensor) -> Tensor:
        """The state that enters this piece, from what its last sequence leaves behind as if it had begun here."""
        ...

    def leave(self, gradient: Tensor) -> Tensor:
        """The transpose of `enter`: the gradient to what was given there, from the gradient to what it returned."""
        ...


def decayed_sum(states: Tensor, distances: Tensor, decay: Tensor) -> Tensor:
    """sum_n exp(decay distances_n) states_n over the n with a distance >= 0: [H, K', V].

    states: [N, H, K', V], float32 (float64 on a CPU); distances: int64 [N], in tokens; decay: [H] float32 or float64
    """
    if states.is_cuda:
        from autoclave.kernels.lightning_attention.triton_decayed_sum import launch_decayed_sum

        return launch_decayed_sum(states, distances, decay)
    weights = torch.exp(decay * distances.clamp_min(0)[:, None]).to(states.dtype)
    reaching = distances >= 0
    return torch.einsum("nh,nhkv->hkv", weights[reaching], states[reaching])


class _Enter(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor, exchange: StateExchange) -> Tensor:
        ctx.exchange = exchange
        return exchange.enter(own)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None]:
        return ctx.exchange.leave(upstream[0]), None


def carried_lightning_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    decay: Tensor,
    *,
    lrpe_theta: Tensor | None,
    position_offset: Tensor | None,
    cu_seqlens: Tensor,
    exchange: StateExchange,
) -> Tensor:
    """`lightning_attention` [1, T, H, V] of this process's piece of a packed stream; arguments, shapes and
    dtypes as there.

    The last sequence is scanned once more for its state alone; the gated operation on a GPU spares that.
    """
    tail = slice(exchange.last_start, None)
    _, last = lightning_attention(
        q[:, tail].detach(),
        k[:, tail],
        v[:, tail],
        decay,
        lrpe_theta=lrpe_theta,
        position_offset=None if position_offset is None else position_offset[-1:],
        output_final_state=True,
    )
    assert last is not None
    entering: Tensor = _Enter.apply(last[0], exchange)
    later = entering.new_zeros(cu_seqlens.numel() - 2, *entering.shape)
    out, _ = lightning_attention(
        q,
        k,
        v,
        decay,
        lrpe_theta=lrpe_theta,
        position_offset=position_offset,
        initial_state=torch.cat([entering[None], later]),
        cu_seqlens=cu_seqlens,
    )
    return out
