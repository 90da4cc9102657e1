"""Whether a run has diverged: what a finished training must not be called done with."""

from __future__ import annotations

import math

import torch
import torch.distributed as dist

from autoclave.model.parallel.parallelize import World
from autoclave.model.transnormer import TransNormerLLM

WORSE_THAN_GUESSING = 2.0
"""A last loss above so many times that of a uniform guess, ln(vocabulary), is no model any more. Untrained models begin
at about one."""

SKIPPED_SHARE = 0.5
"""Share of the updates that may be skipped, over a whole run."""


@torch.no_grad()
def weights_are_finite(world: World, model: TransNormerLLM) -> bool:
    """Whether all weights of all processes are finite numbers."""
    device = next(model.parameters()).device
    bad = torch.zeros((), dtype=torch.int64, device=device)
    for parameter in model.parameters():
        local = parameter.to_local() if hasattr(parameter, "to_local") else parameter
        bad += (~torch.isfinite(local)).sum()
    if world.mesh is not None:
        dist.all_reduce(bad)
    return not bool(bad)


def why_diverged(loss: float, vocabulary: int, steps: int, skipped: int, skipped_in_a_row: int) -> str | None:
    """Return in words why a run that did `steps` has diverged, None where it has not.

    loss: the last finite one in nats a token, NaN where there was none; skipped: updates that were not finite, in all
    and at the end.
    """
    if math.isnan(loss):
        return "no step had a finite loss"
    if skipped_in_a_row > 1:
        return f"the last {skipped_in_a_row} updates were skipped, their loss or gradient was not finite"
    if skipped > SKIPPED_SHARE * steps:
        return f"{skipped} of {steps} updates were skipped, their loss or gradient was not finite"
    guess = math.log(vocabulary)
    if loss > WORSE_THAN_GUESSING * guess:
        return f"the last loss, {loss:.1f} nats a token, is far above that of a blind guess, {guess:.1f}"
    return None
