"""Matrix products over tokens that several ranks have shares of, while shares travel under the products.

One collective a product: a rank's own share is multiplied while the others' come, and gradients of weights are made
while those of the input leave. A ring of shares (Wang et al., ASPLOS 2023) would hide the sums of the forward pass,
too, but on tnl-385m at 32K tokens its step took 209 ms where plain collectives, with nothing under them, took 137
(docs/results.md): 0.4 ms a product, which is probably the host's time for sends and receives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

# PyTorch has renamed both; the old names warn where there are new ones.
_all_gather: Any = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor
_reduce_scatter: Any = getattr(dist, "reduce_scatter_single", None) or dist.reduce_scatter_tensor


def gathered_products(x: Tensor, weights: Sequence[Tensor], group: dist.ProcessGroup) -> list[Tensor]:
    """x of all ranks' tokens times each weight transposed: [1, ranks * tokens, out] each, in x's dtype.

    x: [1, tokens, width], this rank's share; weights: [out, width], of this rank. Differentiable: the gradient to x is
    summed over the ranks, those to the weights are of all tokens.
    """
    products = _GatheredProducts.apply(x[0], group, *(weight.to(x.dtype) for weight in weights))
    return [product[None] for product in products]


def scattered_product(
    x: Tensor, weight: Tensor, group: dist.ProcessGroup, squares: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """x times the weight transposed, summed over the ranks: of this rank's share of the tokens [1, tokens, out].

    x: [1, ranks * tokens, width]; weight: [out, width]; both of this rank's columns. squares: [1, ranks * tokens]
    float32, summed over the ranks in the same way: [1, tokens], or without it zeros. Differentiable.
    """
    own = x.new_zeros(0, dtype=torch.float32) if squares is None else squares[0]
    total, sums = _ScatteredProduct.apply(x[0], weight.to(x.dtype), own, group)
    return total[None], sums[None] if squares is not None else sums.new_zeros(1, len(total))


def all_shares(share: Tensor, group: dist.ProcessGroup) -> tuple[Tensor, Any]:
    """Begin to gather all ranks' shares [tokens, ...] in the order of ranks: [ranks * tokens, ...] of
    its dtype, and its receipt."""
    share = share.contiguous()
    gathered = share.new_empty(dist.get_world_size(group) * len(share), *share.shape[1:])
    return gathered, _all_gather(gathered, share, group=group, async_op=True)


def sum_for_share(whole: Tensor, group: dist.ProcessGroup) -> tuple[Tensor, Any]:
    """Begin to sum contiguous [ranks * tokens, ...] over the ranks: this rank's [tokens, ...] of its
    dtype, and its receipt."""
    total = whole.new_empty(len(whole) // dist.get_world_size(group), *whole.shape[1:])
    return total, _reduce_scatter(total, whole, group=group, async_op=True)


def _places(tokens: int, group: dist.ProcessGroup) -> tuple[slice, list[slice]]:
    """Where our own share lies among all ranks' tokens, and what lies before and after it."""
    first = dist.get_rank(group) * tokens
    own = slice(first, first + tokens)
    rest = [slice(0, own.start), slice(own.stop, dist.get_world_size(group) * tokens)]
    return own, [place for place in rest if place.start < place.stop]


class _GatheredProducts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, group: dist.ProcessGroup, *weights: Tensor) -> tuple[Tensor, ...]:
        gathered, coming = all_shares(x, group)
        own, rest = _places(len(x), group)
        products = tuple(x.new_empty(len(gathered), len(weight)) for weight in weights)
        for product, weight in zip(products, weights, strict=True):
            torch.mm(x, weight.T, out=product[own])
        coming.wait()
        for product, weight in zip(products, weights, strict=True):
            for place in rest:
                torch.mm(gathered[place], weight.T, out=product[place])
        ctx.save_for_backward(gathered, *weights)
        ctx.group = group
        return products

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        gathered, *weights = ctx.saved_tensors
        whole = upstream[0] @ weights[0]
        for gradient, weight in zip(upstream[1:], weights[1:], strict=True):
            whole.addmm_(gradient, weight)
        dx, leaving = sum_for_share(whole, ctx.group)
        d_weights = [gradient.T @ gathered for gradient in upstream]
        leaving.wait()
        return dx, None, *d_weights


class _ScatteredProduct(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, squares: Tensor, group: dist.ProcessGroup
    ) -> tuple[Tensor, Tensor]:
        sums, squares_leaving = (squares, None) if not len(squares) else sum_for_share(squares.contiguous(), group)
        total, leaving = sum_for_share(x @ weight.T, group)
        if squares_leaving is not None:
            squares_leaving.wait()
        leaving.wait()
        ctx.save_for_backward(x, weight)
        ctx.group = group
        return total, sums.clone() if squares_leaving is None else sums

    @staticmethod
    def backward(ctx: Any, upstream: Tensor, d_sums: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        upstream = upstream.contiguous()
        gathered, coming = all_shares(upstream, ctx.group)
        d_squares, squares_coming = all_shares(d_sums, ctx.group) if len(d_sums) else (None, None)
        own, rest = _places(len(upstream), ctx.group)
        dx = torch.empty_like(x)
        torch.mm(upstream, weight, out=dx[own])
        coming.wait()
        for place in rest:
            torch.mm(gathered[place], weight, out=dx[place])
        d_weight = gathered.T @ x
        if squares_coming is not None:
            squares_coming.wait()
        return dx, d_weight, d_squares, None
