"""Matrix products over tokens that several ranks have shares of, while the shares travel round a ring.

A product is cut by the ranks' shares of the tokens: one part is computed while the next is on its way, so that the
links and the matrix units work at once (Wang et al., ASPLOS 2023; what PyTorch calls asynchronous tensor parallelism).
What travels is what an all-gather and a reduce-scatter would send.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


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
    own = x.new_zeros(x.shape[1], dtype=torch.float32) if squares is None else squares[0]
    total, sums = _ScatteredProduct.apply(x[0], weight.to(x.dtype), own, group, squares is not None)
    return total[None], sums[None]


class _GatheredProducts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, group: dist.ProcessGroup, *weights: Tensor) -> tuple[Tensor, ...]:
        rows = len(x) * dist.get_world_size(group)
        products = tuple(x.new_empty(rows, len(weight)) for weight in weights)

        def use(place: slice, parts: list[Tensor]) -> None:
            for product, weight in zip(products, weights, strict=True):
                torch.mm(parts[0], weight.T, out=product[place])

        (gathered,) = gather([x], group, use)
        ctx.save_for_backward(gathered, *weights)
        ctx.group = group
        return products

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        gathered, *weights = ctx.saved_tensors
        upstream = tuple(gradient.contiguous() for gradient in upstream)

        def make(place: slice) -> list[Tensor]:
            part = upstream[0][place] @ weights[0]
            for gradient, weight in zip(upstream[1:], weights[1:], strict=True):
                part.addmm_(gradient[place], weight)
            return [part]

        (dx,) = scatter(make, len(gathered), ctx.group)
        return dx, None, *(gradient.T @ gathered for gradient in upstream)


class _ScatteredProduct(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, squares: Tensor, group: dist.ProcessGroup, with_squares: bool
    ) -> tuple[Tensor, Tensor]:
        def make(place: slice) -> list[Tensor]:
            product = x[place] @ weight.T
            return [product, squares[place].clone()] if with_squares else [product]

        total, *sums = scatter(make, len(x), group)
        ctx.save_for_backward(x, weight)
        ctx.group, ctx.with_squares = group, with_squares
        return total, sums[0] if sums else squares.new_zeros(len(total))

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        dx = torch.empty_like(x)

        def use(place: slice, parts: list[Tensor]) -> None:
            torch.mm(parts[0], weight, out=dx[place])

        shares = [gradient.contiguous() for gradient in upstream[: 1 + ctx.with_squares]]
        gradient, *d_squares = gather(shares, ctx.group, use)
        return dx, gradient.T @ x, d_squares[0] if d_squares else None, None, None


def gather(shares: list[Tensor], group: dist.ProcessGroup, use: Callable[[slice, list[Tensor]], None]) -> list[Tensor]:
    """All ranks' shares [tokens, ...] of some tensors, in the order of ranks: [ranks * tokens, ...] each.

    `use` is called with each rank's place and shares as soon as they are there, while the next are on their way.
    """
    size, rank, tokens = dist.get_world_size(group), dist.get_rank(group), len(shares[0])
    gathered = [share.new_empty(size * tokens, *share.shape[1:]) for share in shares]
    own = slice(rank * tokens, (rank + 1) * tokens)
    for whole, share in zip(gathered, shares, strict=True):
        whole[own] = share
    for step in range(size):
        here = _place(rank - step, size, tokens)
        held = [whole[here] for whole in gathered]
        coming = [whole[_place(rank - step - 1, size, tokens)] for whole in gathered]
        works = _pass_on(held, coming, group) if step < size - 1 else []
        use(here, held)
        for work in works:
            work.wait()
    return gathered


def scatter(make: Callable[[slice], list[Tensor]], rows: int, group: dist.ProcessGroup) -> list[Tensor]:
    """This rank's share of sums over the ranks of what `make` makes of a place among `rows` rows.

    `make` is called for the other ranks' places first, and gives tensors [rows / ranks, ...] of its own; while one
    is on its way the next is made.
    """
    size, rank = dist.get_world_size(group), dist.get_rank(group)
    works: list[Any] = []
    coming: list[Tensor] = []
    for step in range(size):
        made = make(_place(rank - 1 - step, size, rows // size))
        for work in works:
            work.wait()
        for mine, theirs in zip(made, coming, strict=bool(step)):
            mine += theirs
        if step < size - 1:
            coming = [torch.empty_like(mine) for mine in made]
            works = _pass_on(made, coming, group)
    return made


def _place(rank: int, size: int, tokens: int) -> slice:
    first = rank % size * tokens
    return slice(first, first + tokens)


def _pass_on(held: list[Tensor], coming: list[Tensor], group: dist.ProcessGroup) -> list[Any]:
    """Begin to send to the next rank and to receive from the one before; the receipts to wait for."""
    size, rank = dist.get_world_size(group), dist.get_rank(group)
    after = dist.get_global_rank(group, (rank + 1) % size)
    before = dist.get_global_rank(group, (rank - 1) % size)
    operations = [dist.P2POp(dist.isend, tensor, after, group) for tensor in held]
    operations += [dist.P2POp(dist.irecv, tensor, before, group) for tensor in coming]
    return list(dist.batch_isend_irecv(operations))
