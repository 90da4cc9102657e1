"""Judging a binary classifier: area under the ROC curve, thresholds by quantile, calibration with intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autoclave.errors import InputError


def roc_auc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Return the probability that a positive scores above a negative, ties counting half.

    scores: float[n]; positive: bool[n]. It is the Mann-Whitney statistic over both group sizes. Raises InputError
    where one of the groups is empty.
    """
    scores, positive = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=np.bool_)
    good, bad = int(positive.sum()), int((~positive).sum())
    if not good or not bad:
        raise InputError(f"an AUC needs both kinds of documents; there are {good} positives and {bad} negatives")
    _, kinds, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[kinds]
    return float((ranks[positive].sum() - good * (good + 1) / 2) / (good * bad))


def threshold_for_share(scores: np.ndarray, keep: float) -> float:
    """Return the score from which on at least the share `keep` (0 to 1) of the documents lies: DCLM's quantile.

    scores: float64[n]. Raises InputError where there are none, or `keep` is no such share.
    """
    scores = np.sort(np.asarray(scores, dtype=np.float64))
    if not len(scores) or not 0 < keep <= 1:
        raise InputError(f"a threshold needs scores and a share between 0 and 1; not {len(scores)} scores, {keep}")
    wanted = max(1, int(np.ceil(keep * len(scores) - 1e-9)))
    return float(scores[len(scores) - wanted])


@dataclass(frozen=True)
class CalibrationBin:
    """Documents whose score lies in [low, high): how many, their mean score, the share of positives with its 95 %
    Wilson interval."""

    low: float
    high: float
    documents: int
    mean_score: float
    positives: float
    interval: tuple[float, float]


def calibration_table(scores: np.ndarray, positive: np.ndarray, bins: int = 10) -> list[CalibrationBin]:
    """Return the bins of equal width over [0, 1] that hold documents; the last one includes 1.

    scores: float64[n]; positive: bool[n].
    """
    scores, positive = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=np.bool_)
    places = np.clip((scores * bins).astype(np.int64), 0, bins - 1)
    table = []
    for number in range(bins):
        rows = places == number
        count = int(rows.sum())
        if count:
            share = float(positive[rows].mean())
            table.append(
                CalibrationBin(
                    number / bins, (number + 1) / bins, count, float(scores[rows].mean()), share, wilson(share, count)
                )
            )
    return table


def wilson(share: float, count: int, z: float = 1.959964) -> tuple[float, float]:
    """Return the Wilson score interval (Wilson 1927) of a share of `count` draws, 95 % by default."""
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * np.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))
