"""Log-likelihoods of continuations after contexts, packed: what benchmark tasks with choices ask of a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from autoclave.model.transnormer import TransNormerLLM

PACK_TOKENS = 8192
# Rows of logits made at a time: bounds memory at rows x vocabulary.
LOGIT_ROWS = 512

Pair = tuple[Sequence[int], Sequence[int]]


@torch.inference_mode()
def continuation_log_likelihoods(model: TransNormerLLM, pairs: Sequence[Pair]) -> list[tuple[float, bool]]:
    """(log-probability in nats, whether greedy decoding would give it) of each continuation after its context.

    Token ids, without special tokens; every context begins with bos, as every training document did. Results are in
    the order given; an empty continuation has (0.0, True).
    """
    results: list[tuple[float, bool]] = [(0.0, True)] * len(pairs)
    for numbers in _packs(pairs):
        inputs, targets, bounds = [], [], [0]
        for number in numbers:
            context, continuation = pairs[number]
            inputs += [model.config.bos_id, *context, *continuation][:-1]
            targets += [-100] * len(context) + list(continuation)
            bounds.append(len(inputs))
        device = model.embedding.weight.device
        wanted = torch.tensor(targets, device=device)
        hidden = model(
            torch.tensor([inputs], device=device), cu_seqlens=torch.tensor(bounds, dtype=torch.int32, device=device)
        ).hidden[0]
        places = torch.nonzero(wanted >= 0)[:, 0]
        values, greedy = _token_log_likelihoods(model, hidden[places], wanted[places])
        owner = torch.bucketize(places, torch.tensor(bounds[1:], device=device), right=True)
        sums = torch.zeros(len(numbers), dtype=torch.float64, device=device).index_add_(0, owner, values.double())
        misses = torch.zeros(len(numbers), dtype=torch.int64, device=device).index_add_(0, owner, (~greedy).long())
        for number, total, missed in zip(numbers, sums.tolist(), misses.tolist(), strict=True):
            results[number] = (total, missed == 0)
    return results


def _packs(pairs: Sequence[Pair]) -> Iterator[list[int]]:
    """Numbers of the pairs with something to score, about PACK_TOKENS together."""
    pack: list[int] = []
    size = 0
    for number, (context, continuation) in enumerate(pairs):
        if not len(continuation):
            continue
        length = len(context) + len(continuation)
        if pack and size + length > PACK_TOKENS:
            yield pack
            pack, size = [], 0
        pack.append(number)
        size += length
    if pack:
        yield pack


def _token_log_likelihoods(model: TransNormerLLM, hidden: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """log p [n] of each target, and whether it is the most likely token [n] bool."""
    values, greedy = [], []
    for rows, wanted in zip(hidden.split(LOGIT_ROWS), targets.split(LOGIT_ROWS), strict=True):
        logits = model.logits(rows)
        values.append(torch.log_softmax(logits, -1).gather(-1, wanted[:, None])[:, 0])
        greedy.append(logits.argmax(-1) == wanted)
    return torch.cat(values), torch.cat(greedy)
