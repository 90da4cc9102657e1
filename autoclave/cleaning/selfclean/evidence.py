"""Evidence without labels: how likely a document is bad by each signal, from how far it lies outside of what is usual.

For each signal the residuals of all strata together (each from its own stratum's middle) tell how many documents lie as
far on the bad side, and how many good ones would, mirrored from the other side: the tail's share of bad ones. Signals
that measure one thing form a group, of which the strongest counts; groups are taken as independent chances.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import pyarrow as pa

from autoclave.cleaning.selfclean.excess import FEWEST_BAD, SKEW
from autoclave.cleaning.selfclean.residuals import REACH, Usual, column_of, residuals


class Signal(msgspec.Struct, frozen=True):
    """A column of the table that is worse the higher it is; signals of one group measure one thing."""

    column: str
    group: str


EVIDENCE = (Signal("bits_per_byte", "surprise"), Signal("kenlm_bits_per_byte", "surprise"))
"""What is bad by being high, whatever it is about. The difference to trusted text, jumps and spreads of the losses are
not among them: without labels they find domains (docs/selfcleaning.md), and are left to the logistic regression."""

PER_WIDTH = 8
"""Steps of the table a width."""

STEPS = int(REACH * PER_WIDTH) + 1

MOST = 0.95
"""No signal alone is surer than this."""

CONFIRMED = 0.9
"""Chance that a text is bad which a rule finds misread, or which two signals find to repeat itself."""

REPEATED = 0.3
"""A text that repeats so much of itself repeats: twice Gopher's limit for word 5-grams (.15), that for lines
(Rae et al. 2021, table A1)."""

MOSTLY_REPEATED = 0.7
"""A text that repeats so much of itself, and compresses as such a text does, is dropped for it. Of 20,264 good
documents of twelve domains .3 loses 2.2 %, .5 1.0 %, .7 .3 %; of texts made of repeated sentences it finds 78, 77 and
76 %."""

COMPRESSED = -2.0
"""A text that compresses by so many widths better than is usual in its stratum repeats itself: the second signal."""


class Evidence(msgspec.Struct, frozen=True):
    """chance: of being bad, at a residual of 0, 1 / PER_WIDTH, 2 / PER_WIDTH, ... widths on the bad side."""

    column: str
    group: str
    chance: list[float]


def fit_evidence(sample: pa.Table, names: pa.Array, usual: Mapping[str, Mapping[str, Usual]]) -> list[Evidence]:
    """Return what each signal says, of those that the sample has values for (float32 [n], not all null).

    names: string [n], the strata of the rows.
    """
    found = []
    for signal in EVIDENCE:
        if signal.column in usual and signal.column in sample.column_names:
            values = column_of(sample, signal.column)
            if not np.isnan(values).all():
                distance = residuals(values, names, usual[signal.column])
                found.append(Evidence(signal.column, signal.group, tail_chances(distance).tolist()))
    return found


def tail_chances(distance: np.ndarray) -> np.ndarray:
    """Return the share of bad documents beyond each step, float64 [STEPS], never falling. distance: residuals [n]."""
    edges = np.arange(STEPS) / PER_WIDTH
    ordered = np.sort(distance)
    beyond = len(ordered) - np.searchsorted(ordered, edges, side="left")
    mirrored = np.searchsorted(ordered, -edges / SKEW, side="right")
    surplus = beyond - mirrored - 2 * np.sqrt(mirrored + 1)
    chance = np.where(surplus >= FEWEST_BAD, surplus / np.maximum(beyond, 1), 0.0)
    chance[edges < 1.0] = 0.0
    return np.minimum(np.maximum.accumulate(np.maximum(chance, 0)), MOST)


def log_odds(
    rows: pa.Table | pa.RecordBatch,
    names: pa.Array,
    usual: Mapping[str, Mapping[str, Usual]],
    evidence: Sequence[Evidence],
) -> np.ndarray:
    """Return the log-odds of being bad, float64 [n]: groups of signals as independent chances."""
    chances: dict[str, np.ndarray] = {}
    for one in evidence:
        distance = residuals(column_of(rows, one.column), names, usual[one.column])
        step = np.clip((distance * PER_WIDTH).astype(np.int64), 0, STEPS - 1)
        found = np.array(one.chance)[step]
        chances[one.group] = np.maximum(chances.get(one.group, 0), found)
    chances |= _confirmed(rows, names, usual)
    good = np.ones(rows.num_rows)
    for found in chances.values():
        good *= 1 - found
    return np.log(np.maximum(1 - good, 1e-4)) - np.log(good)


def _confirmed(
    rows: pa.Table | pa.RecordBatch, names: pa.Array, usual: Mapping[str, Mapping[str, Usual]]
) -> dict[str, np.ndarray]:
    """What rules find: misread bytes, and repetition where two signals agree."""
    found = {"misread": CONFIRMED * (column_of(rows, "misread") > 0)}
    if "compression_ratio" in usual:
        packed = residuals(column_of(rows, "compression_ratio"), names, usual["compression_ratio"]) < COMPRESSED
        found["repetition"] = CONFIRMED * (packed & (column_of(rows, "repeated_share") >= MOSTLY_REPEATED))
    return found
