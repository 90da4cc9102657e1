"""A round's decision: fitted on a sample of the table of scores, limits from counts of all of it, applied to any rows.

The table alone decides (table.py), so a decision can be made again without a model. High scores are dropped where a
stratum holds more of them than good text would; low ones only where the text repeats itself as well, since poems,
laws and licences are easy without being bad.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from autoclave.cleaning.selfclean.evidence import REPEATED
from autoclave.cleaning.selfclean.methods import OFFSET, Fitted, Labels, load_method
from autoclave.cleaning.selfclean.residuals import column_of
from autoclave.cleaning.selfclean.thresholds import (
    BINS,
    Band,
    StratumKey,
    decide,
    find_bands,
    histogram,
    limit_share,
    score_bins,
    strata,
)
from autoclave.cleaning.selfclean.topics import FoldTopics, fit_topics, topics_of


class Rules(msgspec.Struct, frozen=True):
    """What a decision is made by: the settings of the stage that need no model."""

    method: str = "cross-fit"
    strata: tuple[StratumKey, ...] = ("language", "length", "source")
    drop_high: float = 0.2
    drop_low: float = 0.02
    min_stratum: int = 100
    least_chance: float = 0.5
    topics: int = 16


class Decision(msgspec.Struct, frozen=True):
    """A method fitted, and the limits of each stratum. held_back: groups whose documents stay (floors.py)."""

    rules: Rules
    fitted: Fitted
    topics: list[FoldTopics] = []
    bands: dict[str, Band] = {}
    held_back: dict[str, list[str]] = {}


@dataclass(frozen=True)
class Said:
    """What a decision says of rows: badness, low, high (float32 [n], the method's unit); stratum (string [n]);
    verdict (int8 [n]: -1 too low, 0 kept, 1 too high); spared: bool [n], what a floor alone keeps."""

    badness: np.ndarray
    verdict: np.ndarray
    low: np.ndarray
    high: np.ndarray
    stratum: pa.Array
    spared: np.ndarray


def strata_of(
    rows: pa.Table | pa.RecordBatch, keys: tuple[StratumKey, ...], topics: Sequence[FoldTopics] = ()
) -> pa.Array:
    """Return the stratum of each row of the table of scores: string [n]."""
    topic = topics_of(rows, topics) if "topic" in keys else None
    return strata(keys, _plain(rows, "language"), _plain(rows, "bytes").to_numpy(), _plain(rows, "source"), topic)


def _plain(rows: pa.Table | pa.RecordBatch, name: str) -> pa.Array:
    found = rows.column(name)
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def fit_decision(sample: pa.Table, rules: Rules, labels: Labels | None = None) -> Decision:
    """Fit the method on a sample of the table, rows [n] of table.SCORE_SCHEMA; limits are not found yet.

    Rows without a score (a null bits_per_byte, float64) count for nothing.
    """
    scored = sample.filter(pc.is_valid(sample.column("bits_per_byte")))
    topics = fit_topics(scored, rules.topics) if "topic" in rules.strata else []
    fitted = load_method(rules.method).fit(scored, strata_of(scored, rules.strata, topics), labels)
    return Decision(rules, fitted, topics)


def badness(decision: Decision, rows: pa.Table | pa.RecordBatch) -> tuple[pa.Array, np.ndarray]:
    """Return (strata, badness float64 [n], NaN where a row has no score)."""
    names = strata_of(rows, decision.rules.strata, decision.topics)
    return names, load_method(decision.rules.method).badness(rows, names, decision.fitted)


def count_badness(decision: Decision, rows: pa.Table | pa.RecordBatch) -> dict[str, np.ndarray]:
    """Return stratum -> (bin, count), int64 [2, distinct bins], of the rows that have a score."""
    names, values = badness(decision, rows)
    known = ~np.isnan(column_of(rows, "bits_per_byte"))
    return histogram(names.filter(pa.array(known)), score_bins(values[known]))


def find_limits(decision: Decision, histograms: Mapping[str, np.ndarray]) -> Decision:
    """Return the decision with the band of every stratum. histograms: int64 [BINS] a stratum."""
    rules = decision.rules
    if load_method(rules.method).log_odds:
        limit = OFFSET + math.log(rules.least_chance / (1 - rules.least_chance))
        bands = limit_share(dict(histograms), limit, rules.drop_high)
    else:
        bands = find_bands(
            dict(histograms), drop_low=rules.drop_low, drop_high=rules.drop_high, min_documents=rules.min_stratum
        )
    return msgspec.structs.replace(decision, bands=bands)


def apply_decision(decision: Decision, rows: pa.Table | pa.RecordBatch) -> Said:
    """Return what the decision says of these rows [n], whose schema is table.SCORE_SCHEMA (float32 scores)."""
    names, values = badness(decision, rows)
    verdict, low, high = decide(names, score_bins(values), decision.bands)
    verdict = np.where((verdict < 0) & (column_of(rows, "repeated_share") < REPEATED), 0, verdict)
    verdict = np.where(np.isnan(column_of(rows, "bits_per_byte")), 0, verdict).astype(np.int8)
    spared = np.zeros(rows.num_rows, dtype=np.bool_)
    for column, members in decision.held_back.items():
        spared |= pc.is_in(_plain(rows, column), pa.array(members, pa.string())).to_numpy(zero_copy_only=False)
    spared &= verdict != 0
    return Said(values, np.where(spared, 0, verdict).astype(np.int8), low, high, names, spared)


def decide_table(table: pa.Table, rules: Rules, labels: Labels | None = None) -> tuple[Decision, Said]:
    """Return a decision on a whole table in memory ([n] rows, float32 scores), and what it says of each row."""
    decision = fit_decision(table, rules, labels)
    counts = count_badness(decision, table)
    dense = {name: np.bincount(pairs[0], pairs[1], BINS).astype(np.int64) for name, pairs in sorted(counts.items())}
    decision = find_limits(decision, dense)
    return decision, apply_decision(decision, table)
