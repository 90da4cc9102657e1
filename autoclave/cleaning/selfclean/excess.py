"""How much of a stratum is bad, from its scores alone: what its upper tail holds beyond what good text would put there.

The scores of good text are taken to fall on both sides of their middle alike, but for a skew: so the lower half tells
how many good documents reach as far up (mirrored), and a normal tail of the lower half's width where it is too thin to
tell. Where the upper tail holds several times as many, most of it is something else: the local false discovery rate
of Efron 2004 (JASA 99, 96-104), with the null taken from one side. Where it does not, nothing is bad, and nothing is
dropped, however many documents there are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

PER_SIGMA = 32
"""Bins of one standard deviation in a standardised histogram."""

REACH = 24
"""A standardised histogram reaches so many standard deviations to either side."""

SIZE = 2 * REACH * PER_SIGMA + 1

SKEW = 2.0
"""The upper half of good scores may be so much wider than the lower half: bits per byte of clean text are skewed, the
more so the more kinds of text a stratum holds. Of 4,000 good documents of twelve domains 1.25 loses 5.5 %, 1.6 4.6 %,
2.0 nothing (docs/selfcleaning.md)."""

MOST_GOOD = 1 / 3
"""Largest share of good documents, by that estimate, in a tail that is dropped."""

LEAST_SIGMA = 1.0
"""Nothing nearer to the middle is dropped, in standard deviations: there both kinds look alike."""

NOISE = 5.0
"""The surplus must exceed so many standard deviations of its count."""

FEWEST_BAD = 8
"""Fewer documents than this are no evidence of a tail."""

ROUNDS = 4
"""The middle is taken again without what would be dropped: bad documents draw the median up."""


@dataclass(frozen=True)
class Centre:
    """Where the good scores of a stratum lie: their middle and the width of their lower half, both in bins."""

    middle: float
    sigma: float


def centre(counts: np.ndarray, least_sigma: float) -> Centre:
    """Return the median and its distance to the 15.87 % quantile. counts: int64 [bins], not all zero."""
    below = np.cumsum(counts)
    total = int(below[-1])
    middle = 0.5 * float(np.searchsorted(below, 0.5 * total, "left") + np.searchsorted(below, 0.5 * total, "right"))
    lower = float(np.searchsorted(below, 0.1587 * total, side="left"))
    return Centre(middle, max(middle - lower, least_sigma))


def good_centre(counts: np.ndarray, least_sigma: float) -> Centre:
    """Return the centre of what would be kept, found in ROUNDS turns. counts: int64 [bins], not all zero."""
    found = centre(counts, least_sigma)
    for _ in range(ROUNDS):
        cut = upper_cut(standardised(counts, found))
        if cut is None:
            break
        left = counts.copy()
        left[max(1, math.ceil(found.middle + cut * found.sigma)) :] = 0
        found = centre(left, least_sigma)
    return found


def standardised(counts: np.ndarray, at: Centre) -> np.ndarray:
    """Return the histogram in standard deviations from the middle, int64 [SIZE], PER_SIGMA bins each."""
    bins = np.flatnonzero(counts)
    places = np.floor((bins - at.middle) / at.sigma * PER_SIGMA).astype(np.int64) + REACH * PER_SIGMA
    result = np.zeros(SIZE, dtype=np.int64)
    np.add.at(result, np.clip(places, 0, SIZE - 1), counts[bins])
    return result


_DISTANCE = np.arange(REACH * PER_SIGMA + 1) / PER_SIGMA
_NORMAL_TAIL = np.array([math.erfc(distance / SKEW / math.sqrt(2)) for distance in _DISTANCE])


def upper_cut(histogram: np.ndarray) -> float | None:
    """Return where the tail that is dropped begins, standard deviations above the middle; None where nothing is bad.

    histogram: int64 [SIZE] of `standardised`.
    """
    middle = REACH * PER_SIGMA
    upper = np.cumsum(histogram[middle:][::-1])[::-1]
    lower = np.cumsum(histogram[: middle + 1])[::-1]
    mirrored = lower[np.minimum((_DISTANCE / SKEW * PER_SIGMA).astype(np.int64), middle)]
    good = np.maximum(mirrored, _NORMAL_TAIL * lower[0])
    surplus = upper - good
    bad = (good <= MOST_GOOD * upper) & (surplus >= NOISE * np.sqrt(good + 1)) & (surplus >= FEWEST_BAD)
    bad[: int(LEAST_SIGMA * PER_SIGMA)] = False
    bad &= _mostly_bad_here(upper, good)
    places = np.flatnonzero(bad)
    return float(_DISTANCE[places[0]]) if len(places) else None


def _mostly_bad_here(upper: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Whether most of the documents right above each distance are bad, too: a far tail must not draw the cut down into
    good text. Right above: half a width, or a quarter of the distance, since far tails are thin. upper, good: documents
    beyond each distance, all and good ones, [REACH * PER_SIGMA + 1]."""
    places = np.arange(len(upper))
    beyond = np.minimum(places + np.maximum(PER_SIGMA // 2, places // 4), len(upper) - 1)
    here, good_here = upper - upper[beyond], good - good[beyond]
    found: np.ndarray = (good_here <= MOST_GOOD * here) & (here - good_here >= 2 * np.sqrt(good_here + 1))
    return found
