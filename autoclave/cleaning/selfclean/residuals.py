"""Scores as distances from what is usual in their stratum, so that no domain is odd for being itself.

Of each score the middle and the width of the good half are found in every stratum of a sample of the table of scores.
A small stratum is drawn towards its parent (its name without the last key); a document's residual is its distance from
the middle of its stratum, in widths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from autoclave.cleaning.selfclean.thresholds import FEWEST, SEPARATOR

REACH = 8.0
"""Residuals are cut off at so many widths to either side."""

PULL = 30
"""A stratum of so many documents takes half of its width and middle from its parent."""


class Usual(msgspec.Struct, frozen=True):
    """What is usual in a stratum: the middle of a score, and the distance to it of the good side's 15.87 % quantile."""

    middle: float
    width: float


def column_of(rows: pa.Table | pa.RecordBatch, name: str) -> np.ndarray:
    """Return a column of the table of scores as float64 [n], NaN where there is no value."""
    found = rows.column(name)
    plain = found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
    return plain.cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False)


def fit_usual(values: np.ndarray, names: pa.Array, least_width: float) -> dict[str, Usual]:
    """Return what is usual in each stratum and in each of its ancestors.

    values: float64 [n], higher is worse, NaN where unknown; names: string [n], strata; least_width: values that lie
    nearer together do not differ.
    """
    encoded = pc.dictionary_encode(names)
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    known = encoded.dictionary.to_pylist()
    levels: dict[str, list[int]] = {}
    for code, name in enumerate(known):
        for level in ancestors(name):
            levels.setdefault(level, []).append(code)
    result: dict[str, Usual] = {}
    for level in sorted(levels, key=lambda one: one.count(SEPARATOR)):
        here = values[np.isin(codes, levels[level])]
        own = _usual(here[~np.isnan(here)], least_width)
        parent = result.get(level.rpartition(SEPARATOR)[0]) if SEPARATOR in level else None
        result[level] = own if parent is None else _pulled(own, parent, len(here))
    return result


def ancestors(name: str) -> list[str]:
    """Return a stratum and its parents, down to its first key alone."""
    parts = name.split(SEPARATOR)
    return [SEPARATOR.join(parts[:length]) for length in range(len(parts), 0, -1)]


def _usual(values: np.ndarray, least_width: float) -> Usual:
    if len(values) < FEWEST:
        return Usual(float(np.median(values)) if len(values) else 0.0, float("inf"))
    lower, middle = np.quantile(values, [0.1587, 0.5])
    return Usual(float(middle), max(float(middle - lower), least_width))


def _pulled(own: Usual, parent: Usual, documents: int) -> Usual:
    weight = documents / (documents + PULL)
    width = parent.width if np.isinf(own.width) else weight * own.width + (1 - weight) * max(parent.width, own.width)
    return Usual(own.middle, width)


def residuals(values: np.ndarray, names: pa.Array, usual: Mapping[str, Usual]) -> np.ndarray:
    """Return (value - middle) / width of each document's stratum, float64 [n], cut off at REACH; 0 where unknown.

    A stratum that the sample did not hold takes its nearest ancestor's; one without any has residual 0.
    """
    encoded = pc.dictionary_encode(names)
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    chosen = [_nearest(name, usual) for name in encoded.dictionary.to_pylist()] or [_NOTHING]
    middle = np.array([one.middle for one in chosen])[codes]
    width = np.array([one.width for one in chosen])[codes]
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(np.clip((values - middle) / width, -REACH, REACH))


_NOTHING = Usual(0.0, float("inf"))


def _nearest(name: str, usual: Mapping[str, Usual]) -> Usual:
    return next((usual[level] for level in ancestors(name) if level in usual), _NOTHING)


def residual_matrix(
    rows: pa.Table | pa.RecordBatch, names: pa.Array, columns: Sequence[str], usual: Mapping[str, Mapping[str, Usual]]
) -> np.ndarray:
    """Return the residuals of several columns, float64 [n, columns]."""
    return np.stack([residuals(column_of(rows, one), names, usual[one]) for one in columns], axis=1)
