"""Limits for another language, carried over by quantiles, one of the ways of FineWeb-2 (arXiv 2506.20920).

A limit that drops the lowest 3 % of an English reference is, in another language, the value that drops the lowest 3 %
of a comparable reference (Wikipedia, say) there. Shipped limits for Chinese, Japanese and Korean are FineWeb-2's own
(`FINEWEB2` in each family).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import yaml

from autoclave.cleaning.filters.base import Bound, Filter, Range
from autoclave.corpus.storage import Folder, open_read
from autoclave.corpus.yaml_values import read_yaml, write_yaml
from autoclave.errors import InputError, RecipeError

LEAST_DOCUMENTS = 200
"""Documents of each reference below which a tail quantile says nothing."""

LanguageTables = dict[str, dict[str, Any]]
"""language -> signal -> [low, high], or null to switch the rule off."""


class FittedThreshold(msgspec.Struct, frozen=True, kw_only=True):
    """One signal's limits. reference: those of the known language; before, after: those of the other one, as the chain
    had them and as they were fitted; *_dropped: share of the documents with a value that the limits drop."""

    signal: str
    filter: str
    reference: Range
    before: Range
    after: Range
    reference_dropped: float
    before_dropped: float
    after_dropped: float


def fit_thresholds(
    filters: Sequence[Filter],
    reference: Mapping[str, np.ndarray],
    target: Mapping[str, np.ndarray],
    *,
    language: str,
    reference_language: str = "en",
) -> list[FittedThreshold]:
    """Return the limits for `language` of every signal that the filters bound in both languages.

    reference, target: signal -> its values (integer, float32 or bool [texts], no nulls) over texts of comparable good
    quality in the two languages. Rules that are no statistics stay out: yes-or-no signals, and limits of 0 (what must
    not occur).
    """
    fitted: list[FittedThreshold] = []
    for chosen in filters:
        own = {bound.signal: bound for bound in chosen.bounds_for(language)}
        for bound in chosen.bounds_for(reference_language):
            old = own.get(bound.signal)
            values, others = (_defined(given.get(bound.signal)) for given in (reference, target))
            if old is None or _is_no_statistic(bound, values) or not len(values) or not len(others):
                continue
            after = transfer(bound, old, values, others)
            fitted.append(
                FittedThreshold(
                    signal=bound.signal, filter=chosen.name, reference=(bound.low, bound.high),
                    before=(old.low, old.high), after=after,
                    reference_dropped=share_dropped(values, bound.low, bound.high),
                    before_dropped=share_dropped(others, old.low, old.high),
                    after_dropped=share_dropped(others, *after),
                )
            )  # fmt: skip
    return fitted


def _defined(values: np.ndarray | None) -> np.ndarray:
    if values is None:
        return np.zeros(0)
    return values[~np.isnan(values)] if values.dtype.kind == "f" else values


def _is_no_statistic(bound: Bound, values: np.ndarray) -> bool:
    return values.dtype.kind == "b" or bound.high == 0 or (bound.low is None and bound.high is None)


def share_dropped(values: np.ndarray, low: float | None, high: float | None) -> float:
    """Return the share of values outside [low, high], compared at their own precision as filters do; 0 for none.

    values: integer or floating-point [n].
    """
    dropped = np.zeros(len(values), dtype=np.bool_)
    if low is not None:
        dropped |= values < values.dtype.type(low) if values.dtype.kind == "f" else values < low
    if high is not None:
        dropped |= values > values.dtype.type(high) if values.dtype.kind == "f" else values > high
    return float(np.mean(dropped)) if len(values) else 0.0


def transfer(bound: Bound, old: Bound, reference: np.ndarray, target: np.ndarray) -> Range:
    """Return (low, high) that drop of the target at most the share that the bound drops of the reference, on each side.

    bound: the known language's; old: the other language's so far; reference, target: values of the signal, integer or
    floating-point [n], at least one each. The limits are values of the target; where many are equal, fewer are dropped.
    Where the bound drops nothing of the reference the old limit stays, or is moved out to where it drops less than one
    in len(reference); where it drops everything it says nothing, and the old limit stays.
    """
    ordered = np.sort(target)
    last = len(ordered) - 1

    def spared(share: float) -> int:
        return min(last, int((share or 1 / len(reference)) * len(ordered) + 1e-9))

    low, high = old.low, old.high
    if bound.low is not None and (share := share_dropped(reference, bound.low, None)) < 1:
        limit = _plain(ordered[spared(share)])
        low = limit if share else None if low is None else min(low, limit)
    if bound.high is not None and (share := share_dropped(reference, None, bound.high)) < 1:
        limit = _plain(ordered[last - spared(share)])
        high = limit if share else None if high is None else max(high, limit)
    return low, high


def _plain(value: Any) -> float:
    """Return a number that is written short and read back as the same value at the signal's precision."""
    return int(value) if np.issubdtype(type(value), np.integer) else float(str(value))


def save_thresholds(fitted: Mapping[str, Sequence[FittedThreshold]], path: str) -> LanguageTables:
    """Write what was fitted as YAML for `clean.thresholds_by_language` and return it; limits that stay are left out."""
    tables: LanguageTables = {
        language: {row.signal: list(row.after) for row in rows if row.after != row.before}
        for language, rows in fitted.items()
    }
    parent, _, name = path.rpartition("/")
    text = write_yaml(tables, default_flow_style=None)
    Folder(parent or ("/" if path.startswith("/") else ".")).write_bytes(name, text.encode())
    return tables


def load_thresholds(path: str) -> LanguageTables:
    """Read limits by language from YAML; RecipeError for anything but language -> signal -> limits."""
    with open_read(path) as file:
        data = file.read()
    try:
        return msgspec.convert(read_yaml(data), LanguageTables)
    except (yaml.YAMLError, UnicodeDecodeError, msgspec.ValidationError) as error:
        cause = " ".join(str(error).split())
        raise RecipeError(
            f"{path}: not limits by language, as in 'fr: {{word_count: [40, null]}}' ({cause})"
        ) from error


def require_documents(counts: Mapping[str, int], wanted: Sequence[str], place: str) -> None:
    """Raise InputError, saying what there is, where a language has too few documents to fit limits on."""
    for language in wanted:
        if counts.get(language, 0) < LEAST_DOCUMENTS:
            there = ", ".join(
                f"{count} {code}" for code, count in sorted(counts.items(), key=lambda item: -item[1])[:5]
            )
            raise InputError(
                f"{place}: {counts.get(language, 0)} documents in {language}, at least {LEAST_DOCUMENTS} are needed to "
                f"fit limits (there are {there or 'none'})"
            )
