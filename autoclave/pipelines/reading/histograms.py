"""How a signal is distributed over the documents of a stage, kept and dropped, and where its thresholds lie."""

from __future__ import annotations

import re

import msgspec
import numpy as np
import pyarrow as pa
import xxhash

from autoclave.pipelines.reading.ledgers import StageView, check_signal, read_ledger

SAMPLE = 65_536
"""Documents that the range and the quantiles are taken from: those with the smallest hash of their id. A quantile q of
a sample of n has a standard error of sqrt(q (1 - q) / n), here at most 0.2 % of the documents."""

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)

_RULE = re.compile(r"^(\w+) ([<>]) (-?[\d.]+(?:e[+-]?\d+)?)$")


class Threshold(msgspec.Struct, frozen=True, kw_only=True):
    """A limit that dropped documents: those on the given side of the value."""

    filter: str
    side: str
    """'<': what lies below was dropped; '>': what lies above."""
    value: float
    dropped: int


class Histogram(msgspec.Struct, kw_only=True):
    """Counts of documents by value. edges [bins + 1]; kept, dropped [bins]; the end bins take what lies beyond."""

    stage: str
    signal: str
    edges: list[float]
    kept: list[int]
    dropped: list[int]
    missing: int
    """Documents without a value: a filter before had dropped them, or the signal does not apply."""
    quantiles: dict[str, float]
    thresholds: list[Threshold]


def find_thresholds(stage: StageView) -> dict[str, list[Threshold]]:
    """Return the limits that dropped documents in a stage, by signal: what reasons such as 'word_count < 50' say."""
    found: dict[str, list[Threshold]] = {}
    for name, reasons in stage.row.dropped_by.items():
        for reason, dropped in reasons.items():
            rule = _RULE.match(reason)
            if rule:
                limit = Threshold(filter=name, side=rule[2], value=float(rule[3]), dropped=dropped)
                found.setdefault(rule[1], []).append(limit)
    return found


def numeric_signals(stage: StageView) -> list[str]:
    """Return the signals of a stage that are numbers or yes-or-no."""
    for _, batch in read_ledger(stage):
        return [
            name
            for name in stage.signals
            if pa.types.is_floating(batch.schema.field(name).type)
            or pa.types.is_integer(batch.schema.field(name).type)
            or pa.types.is_boolean(batch.schema.field(name).type)
        ]
    return []


def count_values(stage: StageView, signal: str, bins: int = 40) -> Histogram:
    """Return the histogram of a signal over all documents of a stage.

    The range runs from the 1st to the 99th percentile, widened to hold every threshold, so that a few extreme values do
    not squeeze the rest into one bin. Raises RecipeError where the ledger has no such signal.
    """
    check_signal(stage, signal)
    thresholds = find_thresholds(stage).get(signal, [])
    values = _sampled(stage, signal)
    quantiles = np.quantile(values, QUANTILES) if len(values) else np.zeros(len(QUANTILES))
    ends = [float(quantiles[0]), float(quantiles[-1]), *(limit.value for limit in thresholds)]
    low, high = min(ends), max(ends)
    edges = np.linspace(low, high if high > low else low + 1.0, bins + 1)
    counts = {True: np.zeros(bins, dtype=np.int64), False: np.zeros(bins, dtype=np.int64)}
    missing = 0
    for _, batch in read_ledger(stage, ["kept", signal]):
        column = _floats(batch)
        present = np.isfinite(column)
        missing += int((~present).sum())
        kept = batch.column("kept").to_numpy(zero_copy_only=False)
        for verdict, total in counts.items():
            chosen = column[present & (kept == verdict)]
            place = np.clip(np.searchsorted(edges, chosen, side="right") - 1, 0, bins - 1)
            total += np.bincount(place, minlength=bins)
    return Histogram(
        stage=stage.label,
        signal=signal,
        edges=edges.tolist(),
        kept=counts[True].tolist(),
        dropped=counts[False].tolist(),
        missing=missing,
        quantiles={f"{q:g}": float(v) for q, v in zip(QUANTILES, quantiles, strict=True)} if len(values) else {},
        thresholds=sorted(thresholds, key=lambda limit: (limit.value, limit.side, limit.filter)),
    )


def _floats(batch: pa.RecordBatch) -> np.ndarray:
    """Return the last column of a batch as float64, NaN where there is no value."""
    column = batch.column(batch.num_columns - 1).cast(pa.float64())
    return column.fill_null(float("nan")).to_numpy(zero_copy_only=False)


def _sampled(stage: StageView, signal: str) -> np.ndarray:
    """Return the finite values of the signal in the sample of documents."""
    values = np.empty(0)
    total = sum(commit.documents_in for commit in stage.commits)
    limit = 2**64 if total <= SAMPLE else int(2**64 * (SAMPLE / total))
    for _, batch in read_ledger(stage, ["doc_id", signal]):
        column = _floats(batch)
        if limit < 2**64:
            drawn = [xxhash.xxh3_64_intdigest(doc_id) < limit for doc_id in batch.column("doc_id").to_pylist()]
            column = column[np.array(drawn, dtype=np.bool_)]
        values = np.concatenate([values, column[np.isfinite(column)]])
    return values
