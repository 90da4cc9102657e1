"""What the losses of a document's tokens say besides their mean: their spread, their tails, where in the text they lie.

Garbled text surprises at every token, spliced text in jumps, boilerplate and repetition hardly ever: one mean cannot
tell them apart. All features are of one document's own losses, so they are as free of its neighbours as these are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

WINDOW = 64
"""Tokens of a window."""

CERTAIN = -math.log(0.9)
"""A token of more than nine tenths probability is near-certain: its loss, nats, is below this."""

UPPER = 0.1
"""Share of the tokens that are the upper tail."""

FEATURES = (
    "surprise_mean",
    "surprise_spread",
    "surprise_upper",
    "near_certain_share",
    "surprise_trend",
    "worst_window",
    "window_spread",
)
"""mean and standard deviation of the losses; mean of their upper tenth; share of near-certain tokens; mean of the
second half minus that of the first; highest mean of a window of WINDOW tokens; standard deviation of the windows'
means. Nats a token, but for the share."""


def surprise_features(losses: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Return each of FEATURES, float32 [documents]. losses: float32 [tokens] a document, nats; none is empty."""
    rows = np.array([_features(one) for one in losses], dtype=np.float32).reshape(len(losses), len(FEATURES))
    return {name: np.ascontiguousarray(rows[:, column]) for column, name in enumerate(FEATURES)}


def _features(losses: np.ndarray) -> tuple[float, ...]:
    values = losses.astype(np.float64)
    size = len(values)
    upper = max(1, round(size * UPPER))
    half = size // 2
    windows = window_means(values)
    trend = values[half:].mean() - values[:half].mean() if half else 0.0
    return (
        values.mean(),
        values.std(),
        np.partition(values, size - upper)[size - upper :].mean(),
        float((values < CERTAIN).mean()),
        trend,
        windows.max(),
        windows.std(),
    )


def window_means(losses: np.ndarray, window: int = WINDOW) -> np.ndarray:
    """Return the mean loss of consecutive windows, float64 [windows]; what is left at the end joins the last window.

    losses: [tokens], nats; a shorter text is one window.
    """
    count = max(1, len(losses) // window)
    starts = np.arange(count) * window
    sums = np.add.reduceat(losses.astype(np.float64), starts)
    sizes = np.diff(np.append(starts, len(losses)))
    return sums / sizes
