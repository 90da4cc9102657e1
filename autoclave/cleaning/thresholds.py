"""Limits for another language, carried over from English by quantiles, as FineWeb-2 does.

A limit that drops the lowest 3 % of an English reference is, in another language, the value that drops the lowest 3 %
of a comparable reference (Wikipedia, say) there. Shipped limits for Chinese, Japanese and Korean are FineWeb-2's own
(`FINEWEB2` in each family).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from autoclave.cleaning.filters.base import Bound, Filter
from autoclave.cleaning.signals import run_filters
from autoclave.errors import InputError

LEAST_DOCUMENTS = 200
"""Documents of each reference below which a tail quantile says nothing."""


def fit_thresholds(
    filters: Sequence[Filter],
    reference: pa.StringArray,
    target: pa.StringArray,
    *,
    language: str,
    reference_language: str = "en",
) -> dict[str, list[float | None]]:
    """Return signal -> [low, high] for `language`, ready for `clean.thresholds` of a recipe.

    reference, target: texts of comparable good quality in the two languages. Limits of the filters for
    `reference_language` are carried over; signals that are constant in the target, or that a limit does not cut in
    the reference, keep their limits. Raises InputError for too few texts.
    """
    for name, texts in (("reference", reference), ("target", target)):
        if len(texts) < LEAST_DOCUMENTS:
            raise InputError(
                f"fitting thresholds: {len(texts)} {name} documents, at least {LEAST_DOCUMENTS} are needed"
            )
    measured = [chosen for chosen in filters if chosen.measure is not None or chosen.edit is not None]
    before = run_filters(reference, measured, [reference_language] * len(reference))[1]
    after = run_filters(target, measured, [language] * len(target))[1]
    fitted: dict[str, list[float | None]] = {}
    for chosen in measured:
        for bound in chosen.bounds_for(reference_language):
            if bound.signal in before and (bound.low is not None or bound.high is not None):
                fitted[bound.signal] = transfer(bound, _values(before, bound.signal), _values(after, bound.signal))
    return fitted


def _values(signals: Mapping[str, pa.Array], name: str) -> np.ndarray:
    values = signals[name].drop_null().to_numpy(zero_copy_only=False).astype(np.float64)
    return values[~np.isnan(values)]


def transfer(bound: Bound, reference: np.ndarray, target: np.ndarray) -> list[float | None]:
    """Return [low, high] of the target at the quantiles where the bound cuts the reference.

    reference, target: float64 values of the signal. A limit beyond all values of the reference stays as it is.
    """
    cut = [
        None if bound.low is None else float(np.mean(reference < bound.low)),
        None if bound.high is None else float(np.mean(reference <= bound.high)),
    ]
    limits: list[float | None] = []
    for limit, below in zip((bound.low, bound.high), cut, strict=True):
        if limit is None or below is None:
            limits.append(None)
        elif not len(target) or below in (0.0, 1.0) or target.min() == target.max():
            limits.append(float(limit))
        else:
            limits.append(round(float(np.quantile(target, below)), 6))
    return limits
