"""Logistic regression by Newton's method: what people's labels say of a table of residuals."""

from __future__ import annotations

import msgspec
import numpy as np

PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0)
"""L2 penalties to choose from, by cross-validation."""

PARTS = 5
"""Of the cross-validation."""

STEPS = 25


class Logistic(msgspec.Struct, frozen=True):
    """weights: one a feature; bias; held_out_loss: nats a label in cross-validation, of the chosen penalty, and
    base_loss: that of guessing the share of bad ones."""

    columns: list[str]
    weights: list[float]
    bias: float
    penalty: float
    held_out_loss: float
    base_loss: float

    def log_odds(self, features: np.ndarray) -> np.ndarray:
        """Return the log-odds of being bad, float64 [n]; features: float64 [n, weights]."""
        return features @ np.array(self.weights) + self.bias


def fit_logistic(features: np.ndarray, bad: np.ndarray, columns: list[str]) -> Logistic:
    """Fit with the penalty that predicts held-out labels best. features: float64 [n, m]; bad: bool [n].

    Parts are by place in the table, so give rows in an order that says nothing of them.
    """
    part = np.arange(len(bad)) % PARTS
    losses = {}
    for penalty in PENALTIES:
        total = 0.0
        for held in range(PARTS):
            weights = _newton(features[part != held], bad[part != held], penalty)
            total += _losses(features[part == held], bad[part == held], weights).sum()
        losses[penalty] = total / len(bad)
    chosen = min(losses, key=losses.__getitem__)
    weights = _newton(features, bad, chosen)
    share = float(bad.mean())
    base = -share * np.log(share) - (1 - share) * np.log(1 - share)
    return Logistic(columns, weights[1:].tolist(), float(weights[0]), chosen, losses[chosen], float(base))


def _losses(features: np.ndarray, bad: np.ndarray, weights: np.ndarray) -> np.ndarray:
    logits = features @ weights[1:] + weights[0]
    return np.logaddexp(0, np.where(bad, -logits, logits))


def _newton(features: np.ndarray, bad: np.ndarray, penalty: float) -> np.ndarray:
    """Return bias and weights, float64 [m + 1]; the bias is not penalised."""
    design = np.concatenate([np.ones((len(bad), 1)), features], axis=1)
    ridge = np.full(design.shape[1], penalty)
    ridge[0] = 1e-6
    weights = np.zeros(design.shape[1])
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        gradient = design.T @ (chance - bad) + ridge * weights
        curvature = (design * (chance * (1 - chance))[:, None]).T @ design + np.diag(ridge)
        step = np.linalg.solve(curvature, gradient)
        weights -= step
        if np.abs(step).max() < 1e-8:
            break
    return weights
