"""Variants of the crawl: which documents each method keeps, by the package's own decisions on the table of scores."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from autoclave.cleaning.selfclean.decisions import Rules, decide_table, strata_of
from autoclave.cleaning.selfclean.evidence import COMPRESSED, MOSTLY_REPEATED
from autoclave.cleaning.selfclean.residuals import column_of, fit_usual, residuals
from autoclave.cleaning.selfclean.thresholds import StratumKey

STRATA: tuple[StratumKey, ...] = ("language", "length")
"""The sources of the crawl are the domains themselves; as in a real crawl, a method does not know them."""

LABELS = 400
"""Documents that people judged, for the methods fitted on labels: drawn at random."""

SHARE = 0.2

Keep = Callable[[pa.Table, np.random.Generator], np.ndarray]
"""(table of scores of a crawl, generator) -> bool [n], what is kept."""


def with_derived(table: pa.Table) -> pa.Table:
    """Return the experiment's table with the columns that a stage's has."""
    bits = column_of(table, "bits_per_byte")
    for name, column in (("early_minus_late", "early_bits_per_byte"), ("trusted_difference", "trusted_bits_per_byte")):
        table = table.append_column(name, pa.array((column_of(table, column) - bits).astype(np.float32)))
    ids = [int(row).to_bytes(16, "big") for row in range(table.num_rows)]
    table = table.append_column("source", pa.array([""] * table.num_rows))
    return table.append_column("doc_id", pa.array(ids, pa.binary(16)))


def bad_rows(table: pa.Table) -> np.ndarray:
    """Return bool [n]: what is bad."""
    return np.array([bool(one) for one in table.column("bad").to_pylist()])


def labels_of(table: pa.Table, draw: np.random.Generator, count: int = LABELS) -> dict[bytes, bool]:
    """Return labels of documents drawn at random, as people would give them."""
    rows = draw.choice(table.num_rows, min(count, table.num_rows // 3), replace=False)
    bad, ids = bad_rows(table), table.column("doc_id").to_pylist()
    return {ids[row]: bool(bad[row]) for row in rows}


def by_method(
    method: str,
    *,
    labelled: bool = False,
    without: tuple[str, ...] = (),
    strata: tuple[StratumKey, ...] = STRATA,
    most: float = 0.5,
    least_chance: float = 0.5,
) -> Keep:
    """Return what the package's decision keeps; `without`: columns that it may not see."""

    def keep(table: pa.Table, draw: np.random.Generator) -> np.ndarray:
        rules = Rules(method, strata, drop_high=most, drop_low=0.02, least_chance=least_chance)
        seen = table
        for name in without:
            empty = pa.array(np.full(table.num_rows, np.nan, dtype=np.float32))
            seen = seen.set_column(seen.column_names.index(name), name, empty)
        labels = labels_of(table, draw) if labelled else None
        return decide_table(seen, rules, labels)[1].verdict == 0

    return keep


def by_share(column: str, share: float, *, stratified: bool = True, sign: float = 1.0) -> Keep:
    """Return what a fixed share leaves: the highest of a column go, within language and length, or of all."""

    def keep(table: pa.Table, draw: np.random.Generator) -> np.ndarray:
        values = sign * column_of(table, column)
        names = np.array(strata_of(table, STRATA).to_pylist()) if stratified else np.zeros(table.num_rows)
        kept = np.ones(table.num_rows, dtype=np.bool_)
        for name in np.unique(names):
            rows = np.flatnonzero(names == name)
            kept[rows[np.argsort(-values[rows], kind="stable")[: round(share * len(rows))]]] = False
        return kept

    return keep


def by_rules(table: pa.Table, draw: np.random.Generator) -> np.ndarray:
    """Return what is neither misread nor repeats itself by two signals: what needs no model."""
    names = strata_of(table, STRATA)
    packed = column_of(table, "compression_ratio")
    packed = residuals(packed, names, fit_usual(packed, names, 0.02)) < COMPRESSED
    return ~((column_of(table, "misread") > 0) | (packed & (column_of(table, "repeated_share") >= MOSTLY_REPEATED)))


def both(*ways: Keep) -> Keep:
    """Return what all of them keep."""
    return lambda table, draw: np.logical_and.reduce([keep(table, draw) for keep in ways])


PLANTED_KINDS = ("shuffled", "mojibake", "garbled", "spliced", "repeated")


def oracle_of(*kinds: str) -> Keep:
    """Return what is left without the bad ones of these kinds; of all kinds where none is named."""

    def keep(table: pa.Table, draw: np.random.Generator) -> np.ndarray:
        if not kinds:
            return ~bad_rows(table)
        return ~np.isin(np.array(table.column("bad").to_pylist()), kinds)

    return keep


def random_like(number: int) -> Keep:
    """Return a random choice that drops so many documents."""

    def keep(table: pa.Table, draw: np.random.Generator) -> np.ndarray:
        kept = np.ones(table.num_rows, dtype=np.bool_)
        kept[draw.choice(table.num_rows, number, replace=False)] = False
        return kept

    return keep


LIKELY = 0.27
"""Log-odds of -1: a good document costs the next model less than a bad one does, so that doubt may go against it."""

VARIANTS: dict[str, Keep] = {
    "raw": lambda table, draw: np.ones(table.num_rows, dtype=np.bool_),
    "oracle": oracle_of(),
    "combined": by_method("combined"),
    "rules, cross-fit 10 %": both(by_rules, by_share("bits_per_byte", 0.1)),
    "labels, likely, by topic": by_method(
        "combined", labelled=True, strata=("language", "topic"), most=0.35, least_chance=LIKELY
    ),
    "labels": by_method("combined", labelled=True, strata=("language",)),
    "combined, by topic, likely": by_method("combined", strata=("language", "topic"), least_chance=LIKELY),
    "rules alone": by_rules,
    "cross-fit, 10 %": by_share("bits_per_byte", 0.1),
    "cross-fit": by_method("cross-fit"),
    "oracle, planted kinds alone": oracle_of(*PLANTED_KINDS),
    "oracle, misread and repeated alone": oracle_of("mojibake", "repeated"),
    "single, 20 %": by_share("single_bits_per_byte", SHARE),
    "labels, likely": by_method("combined", labelled=True, strata=("language",), least_chance=LIKELY),
    "cross-fit, 20 %": by_share("bits_per_byte", SHARE),
    "kenlm, 20 %": by_share("kenlm_bits_per_byte", SHARE),
    "labels, no trusted text": by_method(
        "combined", labelled=True, strata=("language",), without=("trusted_difference",)
    ),
    "trusted, 20 %": by_share("trusted_difference", SHARE),
    "cross-fit, 20 %, one quantile for all": by_share("bits_per_byte", SHARE, stratified=False),
}
"""Name -> what it keeps, most important first; `labels` have 400 of them. A random drop of as many documents as
MATCHED drops is added."""

MATCHED = "rules, cross-fit 10 %"
"""The variant that the random control matches in number."""
