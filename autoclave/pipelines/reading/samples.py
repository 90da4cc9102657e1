"""Samples of a stage's documents: at random, or nearest to a threshold.

The same question gives the same answer: a random draw follows the hash of a document's id.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from autoclave.errors import RecipeError
from autoclave.pipelines.reading.conditions import parse_conditions
from autoclave.pipelines.reading.ledgers import Event, StageView, check_signal, load_events, read_ledger

Rank = Callable[[pa.RecordBatch | pa.Table], Sequence[float]]
"""Gives each ledger row a number; those with the smallest are chosen. NaN leaves a row out."""


def choose(
    stage: StageView, rank: Rank, count: int, columns: Sequence[str], where: pc.Expression | None = None
) -> list[Event]:
    """Return the `count` documents of a stage with the smallest rank, in that order, with their texts."""
    best: list[tuple[float, bytes, str]] = []  # a heap of the negated ranks: the worst of the best is on top
    names = [*dict.fromkeys(["doc_id", "kept", "filter", "reason", *columns])]
    for shard, batch in read_ledger(stage, names):
        rows = batch if where is None else pa.Table.from_batches([batch]).filter(where)
        for doc_id, value in zip(rows.column("doc_id").to_pylist(), rank(rows), strict=True):
            if math.isnan(value):
                continue
            item = (-value, doc_id, shard)
            if len(best) < count:
                heapq.heappush(best, item)
            elif item > best[0]:
                heapq.heapreplace(best, item)
    return load_events(stage, [(doc_id, shard) for _, doc_id, shard in sorted(best, reverse=True)])


def draw(
    stage: StageView,
    *,
    kept: bool | None = False,
    reason: str | None = None,
    conditions: Sequence[str] = (),
    count: int = 10,
    seed: int = 0,
) -> list[Event]:
    """Draw documents of a stage at random, the same ones each time for a seed.

    kept: only kept ones, only dropped ones, or (None) both; reason: only those dropped by the filter of that name, for
    that reason, or for a limit of that signal; conditions: only those whose signals meet them (`parse_conditions`).
    Raises RecipeError where the stage dropped nothing of that name or has no such signal.
    """
    signals, met = parse_conditions(conditions)
    for signal in signals:
        check_signal(stage, signal)
    where = None if kept is None else (pc.field("kept") == kept)
    if reason is not None:
        if not dropped_for(stage, reason):
            names = ", ".join(stage.row.dropped_by) or "no drops"
            raise RecipeError(f"{stage.label} dropped nothing for '{reason}'; filters that dropped: {names}")
        where = (pc.field("filter") == reason) | (pc.field("reason") == reason)
        where |= pc.starts_with(pc.field("reason"), f"{reason} ")
    if met is not None:
        where = met if where is None else where & met

    def rank(batch: pa.RecordBatch | pa.Table) -> list[float]:
        return [float(xxhash.xxh3_64_intdigest(i, seed)) for i in batch.column("doc_id").to_pylist()]

    try:
        return choose(stage, rank, count, signals, where)
    except pa.ArrowNotImplementedError as error:
        raise RecipeError(f"--where {', '.join(conditions)}: a number and a text cannot be compared") from error


def dropped_for(stage: StageView, reason: str) -> int:
    """Return how many documents a stage dropped by the filter, for the reason, or for the signal of that name."""
    return sum(
        number
        for name, reasons in stage.row.dropped_by.items()
        for said, number in reasons.items()
        if reason in (name, said) or said.startswith(f"{reason} ")
    )


BAND = ("band_low", "band_high")
"""Signals that hold each document's own limits: self-cleaning's, which differ from stratum to stratum."""


def nearest(stage: StageView, signal: str, threshold: float | None, count: int = 10) -> list[Event]:
    """Return the documents of a stage whose signal is nearest to a threshold, below and above it, nearest first.

    threshold: None for the limits that stand beside the signal in the ledger (see BAND). Raises RecipeError where the
    ledger has no such signal.
    """
    limits = [threshold] if threshold is not None else BAND
    for name in (signal, *(limit for limit in limits if isinstance(limit, str))):
        check_signal(stage, name)

    def rank(batch: pa.RecordBatch | pa.Table) -> list[float]:
        value = _floats(batch, signal)
        away = [np.abs(value - (_floats(batch, at) if isinstance(at, str) else at)) for at in limits]
        smallest: list[float] = np.fmin.reduce(away).tolist()
        return smallest

    return choose(stage, rank, count, [signal, *BAND] if threshold is None else [signal])


def _floats(batch: pa.RecordBatch | pa.Table, name: str) -> np.ndarray:
    """Return a column as float64, NaN where there is no value."""
    column = batch.column(name).cast(pa.float64())
    return column.fill_null(math.nan).to_numpy()
