"""What a filter is: signals it measures, bounds they must keep to, and optionally an edit of the text."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from autoclave.cleaning.language.words import Scan
from autoclave.errors import RecipeError

Columns = dict[str, np.ndarray]
"""Signals of a slice of documents by name: int32, int64, float32 or bool arrays, one value a document; a masked array
(np.ma) where a document has none."""

Range = tuple[float | None, float | None]


@dataclass(frozen=True)
class Bound:
    """One rule: keep a document whose signal lies in [low, high]; a missing or undefined value is kept.

    low, high: limits, None for none; reason: what the ledger says instead of '<signal> < <low>'.
    """

    signal: str
    low: float | None = None
    high: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Measurement:
    """What a filter may look at besides the text.

    languages: code per document, None where unknown; only: the languages that the filter applies to, None for all.
    """

    languages: Sequence[str | None]
    only: tuple[str, ...] | None = None

    @functools.cached_property
    def applies(self) -> np.ndarray:
        """Which documents the filter applies to (bool[documents]); an unknown language is no reason against."""
        if self.only is None:
            return np.ones(len(self.languages), dtype=np.bool_)
        return np.array([code is None or code in self.only for code in self.languages], dtype=np.bool_)


@dataclass(frozen=True)
class Edited:
    """A slice after an edit, and the signals of the edit."""

    scan: Scan
    signals: Columns


@dataclass(frozen=True)
class Filter:
    """A named decision over signals, with published thresholds as defaults.

    name: as recipes and the ledger say it; source: where rules and thresholds were published; bounds: in the order in
    which the first failure gives the reason; measure: slice -> signals (None where earlier filters measure them);
    edit: slice -> edited slice, in place of measure, for a filter that edits text; rewrites: whether the edited text
    replaces the document's; else it is a view that this filter and those after it judge; dialect: whose reading;
    languages: measured and applied only there (None: everywhere); by_language: bounds of one language in place of the
    general ones, None to switch a bound off; rules: settings of measure and edit besides bounds; files: paths whose
    contents the signals depend on (a model, an index); family: the name it had before a chain labelled it otherwise.
    """

    name: str
    source: str
    bounds: tuple[Bound, ...]
    measure: Callable[[Scan, Measurement], Columns] | None = None
    edit: Callable[[Scan, Measurement], Edited] | None = None
    rewrites: bool = True
    dialect: str | None = None
    languages: tuple[str, ...] | None = None
    by_language: Mapping[str, Mapping[str, Range | None]] = field(default_factory=dict)
    rules: object = None
    files: tuple[str, ...] = ()
    family: str = ""

    def __post_init__(self) -> None:
        if not self.family:
            object.__setattr__(self, "family", self.name)

    def with_bounds(self, overrides: Mapping[str, Any], where: str) -> Filter:
        """Return the filter with some bounds replaced: signal -> [low, high], or None to switch it off.

        An override holds for every language. Raises RecipeError for what is no signal of the filter.
        """
        known = self.signals
        ranges: dict[str, Range | None] = {}
        for signal, limits in overrides.items():
            if signal not in known:
                raise RecipeError(
                    f"{where}: '{self.name}' has no bound on '{signal}'; it has {', '.join(sorted(known))}"
                )
            ranges[signal] = parse_range(limits, f"{where}.{signal}")
        bounds: list[Bound] = []
        for bound in self.bounds:
            if bound.signal not in ranges:
                bounds.append(bound)
                continue
            limits = ranges[bound.signal]
            bounds.append(Bound(bound.signal, *(limits or (None, None)), reason=bound.reason))
        by_language = {
            language: {signal: limits for signal, limits in table.items() if signal not in ranges}
            for language, table in self.by_language.items()
        }
        return replace(self, bounds=tuple(bounds), by_language=by_language)

    def with_language_bounds(self, tables: Mapping[str, Mapping[str, Range | None]]) -> Filter:
        """Return the filter with bounds of single languages replaced: language -> signal -> limits, None for off."""
        known = self.signals
        changed = dict(self.by_language)
        for language, table in tables.items():
            own = {signal: limits for signal, limits in table.items() if signal in known}
            if own:
                changed[language] = {**changed.get(language, {}), **own}
        return replace(self, by_language=changed)

    def renamed(self, label: str, suffix: str) -> Filter:
        """Return the filter under another label, its signals with a suffix (a second dialect beside the first)."""
        if not suffix:
            return replace(self, name=label)
        names = {bound.signal: f"{bound.signal}{suffix}" for bound in self.bounds}
        measure, edit = self.measure, self.edit

        def measured(scan: Scan, measurement: Measurement) -> Columns:
            assert measure is not None
            return {f"{name}{suffix}": column for name, column in measure(scan, measurement).items()}

        def edited(scan: Scan, measurement: Measurement) -> Edited:
            assert edit is not None
            result = edit(scan, measurement)
            return replace(result, signals={f"{name}{suffix}": column for name, column in result.signals.items()})

        return replace(
            self,
            name=label,
            bounds=tuple(replace(bound, signal=names[bound.signal]) for bound in self.bounds),
            measure=measured if measure else None,
            edit=edited if edit else None,
            by_language={
                language: {f"{signal}{suffix}": limits for signal, limits in table.items()}
                for language, table in self.by_language.items()
            },
        )

    @property
    def signals(self) -> set[str]:
        """The signals that the filter bounds."""
        return {bound.signal for bound in self.bounds}

    def judges(self, language: str | None) -> bool:
        """Return whether the filter applies to a language; an unknown one is no reason against."""
        return self.languages is None or language is None or language in self.languages

    def bounds_for(self, language: str | None) -> tuple[Bound, ...]:
        """Return the bounds that hold for documents of one language; none where the filter does not apply."""
        if not self.judges(language):
            return ()
        table = self.by_language.get(language or "", {})
        bounds: list[Bound] = []
        for bound in self.bounds:
            if bound.signal not in table:
                bounds.append(bound)
                continue
            limits = table[bound.signal]
            if limits is not None:
                bounds.append(Bound(bound.signal, *limits, reason=bound.reason))
        return tuple(bounds)

    def decide(self, signals: Mapping[str, pa.Array], languages: Sequence[str | None]) -> np.ndarray:
        """Return the reason per document (object array [documents] of str, None where it is kept).

        Bounds are compared at the precision of the stored signal (float32), so that the same decision can be taken
        again from the ledger. Raises RecipeError where a signal is missing.
        """
        said: list[str | None] = [None]
        numbers = np.zeros(len(languages), dtype=np.int32)
        codes = np.array([language or "" for language in languages], dtype=object)
        for code in sorted(set(codes)):
            rows = codes == code
            for bound in self.bounds_for(code or None):
                if bound.signal not in signals:
                    raise RecipeError(f"filter '{self.name}': no signal '{bound.signal}' was measured")
                for failed, reason in failures(signals[bound.signal], bound):
                    numbers[rows & failed & (numbers == 0)] = len(said)
                    said.append(reason)
        return np.array(said, dtype=object)[numbers]


def parse_range(limits: Any, where: str) -> Range | None:
    """Return (low, high) from [low, high]; None stays None; RecipeError for anything else."""
    if limits is None:
        return None
    if isinstance(limits, (list, tuple)) and len(limits) == 2:
        low, high = limits
        numbers = [value for value in (low, high) if value is not None]
        if all(isinstance(value, (int, float)) and not math.isnan(value) for value in numbers):
            return low, high
    raise RecipeError(
        f"{where}: give [low, high] with null for no limit, or null to switch the rule off; not {limits!r}"
    )


def failures(column: pa.Array, bound: Bound) -> list[tuple[np.ndarray, str]]:
    """Return (failed bool[n], reason) for each limit of one bound over one column of numbers; a null never fails."""
    present = np.asarray(column.is_valid())
    filled = column.fill_null(False if pa.types.is_boolean(column.type) else 0)
    values = filled.to_numpy(zero_copy_only=False)
    kind = np.float32 if values.dtype == np.float32 else np.float64
    values = values.astype(kind)
    result = []
    if bound.low is not None:
        result.append((present & (values < kind(bound.low)), bound.reason or f"{bound.signal} < {bound.low:g}"))
    if bound.high is not None:
        result.append((present & (values > kind(bound.high)), bound.reason or f"{bound.signal} > {bound.high:g}"))
    return result


def ratio(part: np.ndarray, whole: np.ndarray, empty: float = 0.0) -> np.ndarray:
    """Return part / whole as float32, `empty` where whole is 0; divided in float64.

    part: one value a document, or several [documents, columns] over the same or as many wholes, which saves calls.
    """
    if part.ndim > whole.ndim:
        whole = whole[:, None]
    if np.count_nonzero(whole) == whole.size:
        return (part / whole).astype(np.float32)
    nothing = whole == 0
    divided = part / np.where(nothing, 1, whole)
    divided[np.broadcast_to(nothing, divided.shape)] = empty
    return divided.astype(np.float32)


def given(values: np.ndarray) -> np.ndarray:
    """Return where an object array [n] holds something, as bool[n]."""
    return np.fromiter((value is not None for value in values), np.bool_, len(values))
