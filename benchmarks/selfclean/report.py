"""Tables of the self-cleaning experiment: detection by share and kind, the next model by variant, its worst domain."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pyarrow as pa

from autoclave.cleaning.selfclean.decisions import Rules, badness, fit_decision, strata_of
from autoclave.cleaning.selfclean.residuals import column_of, fit_usual, residuals
from benchmarks.selfclean.variants import STRATA, bad_rows, labels_of, with_derived

SHARES = (0.01, 0.05, 0.1, 0.2, 0.3)
REDRAWS = 10


def area(score: np.ndarray, bad: np.ndarray) -> float:
    """Return the area under the ROC curve, ties counted half."""
    order = np.argsort(score, kind="stable")
    ranks = np.empty(len(score))
    ranks[order] = np.arange(1, len(score) + 1)
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.bincount(inverse, ranks) / counts)[inverse]
    positives = int(bad.sum())
    return float((ranks[bad].sum() - positives * (positives + 1) / 2) / (positives * (len(bad) - positives)))


def method_scores(table: pa.Table, seed: int = 0) -> dict[str, np.ndarray]:
    """Return what each method ranks documents by: its badness as a residual of its stratum; table: `with_derived`."""
    names = strata_of(table, STRATA)
    found = {}
    for name, column in (
        ("cross-fit", "bits_per_byte"),
        ("single", "single_bits_per_byte"),
        ("kenlm", "kenlm_bits_per_byte"),
        ("early minus late", "early_minus_late"),
        ("trusted", "trusted_difference"),
        ("worst window", "worst_window"),
        ("window spread", "window_spread"),
        ("surprise, upper tenth", "surprise_upper"),
    ):
        if column in table.column_names:
            values = column_of(table, column)
            found[name] = residuals(values, names, fit_usual(values, names, 1e-3))
    for name, labels in (("combined", None), ("combined, 400 labels", labels_of(table, np.random.default_rng(seed)))):
        decision = fit_decision(table, Rules("combined", STRATA), labels)
        found[name] = badness(decision, table)[1]
    return found


def detection(scored: pa.Table) -> dict[str, Any]:
    """Return AUC by method: at each share of bad documents (mean, 5 % and 95 % over redraws), and by kind."""
    table = with_derived(scored)
    bad = bad_rows(table)
    kinds = np.array(table.column("bad").to_pylist())
    result: dict[str, Any] = {}
    for name, values in method_scores(table).items():
        by_share = {}
        for share in SHARES:
            areas = [area(values[rows], bad[rows]) for rows in _redraws(bad, share)]
            by_share[f"{share:g}"] = [float(np.mean(areas)), *np.quantile(areas, [0.05, 0.95]).tolist()]
        by_kind = {
            str(kind): area(values[~bad | (kinds == kind)], bad[~bad | (kinds == kind)]) for kind in set(kinds) - {""}
        }
        result[name] = {"share": by_share, "kind": dict(sorted(by_kind.items()))}
    return result


def _redraws(bad: np.ndarray, share: float) -> list[np.ndarray]:
    good_rows, bad_ones = np.flatnonzero(~bad), np.flatnonzero(bad)
    rows = []
    for seed in range(REDRAWS):
        draw = np.random.default_rng([seed, 3])
        good = draw.choice(good_rows, len(good_rows) * 4 // 5, replace=False)
        count = min(round(share / (1 - share) * len(good)), len(bad_ones))
        rows.append(np.concatenate([good, draw.choice(bad_ones, count, replace=False)]))
    return rows


def detection_markdown(found: dict[str, Any]) -> str:
    """Return the detection tables as markdown."""
    kinds = sorted({kind for one in found.values() for kind in one["kind"]})
    lines = [f"| score | {' | '.join(f'{share:.0%}' for share in SHARES)} | {' | '.join(kinds)} |"]
    lines.append("| --- " * (1 + len(SHARES) + len(kinds)) + "|")
    for name, one in found.items():
        shares = [f"{mean:.3f} [{low:.2f}, {high:.2f}]" for mean, low, high in one["share"].values()]
        areas = [f"{one['kind'][kind]:.2f}" for kind in kinds]
        lines.append(f"| {name} | {' | '.join(shares + areas)} |")
    return "\n".join(lines) + "\n"


def summary(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row a variant: macro bits per byte over the seeds that raw, oracle and random have as well, the share of
    the oracle's gain, and the domain that fares worst against the random control (mean over those seeds)."""
    by: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
    for one in results:
        by[one["variant"]][one["seed"]] = one
    macro = {
        name: {seed: float(np.mean(list(one["domains"].values()))) for seed, one in seeds.items()}
        for name, seeds in by.items()
    }
    rows = []
    for name, seeds in by.items():
        shared = [s for s in seeds if all(s in by.get(other, {}) for other in ("raw", "oracle", "random"))]
        if not shared:
            continue
        gains = [macro["raw"][s] - macro[name][s] for s in shared]
        oracle = [macro["raw"][s] - macro["oracle"][s] for s in shared]
        against = {
            domain: float(np.mean([seeds[s]["domains"][domain] - by["random"][s]["domains"][domain] for s in shared]))
            for domain in next(iter(seeds.values()))["domains"]
        }
        worst = max(against, key=against.__getitem__)
        values = [macro[name][s] for s in shared]
        rows.append(
            {
                "variant": name,
                "seeds": len(shared),
                "macro": float(np.mean(values)),
                "deviation": float(np.std(values, ddof=1)) if len(values) > 1 else 0.0,
                "gain": float(np.mean(gains)),
                "gain_deviation": float(np.std(gains, ddof=1)) if len(gains) > 1 else 0.0,
                "share_of_oracle": float(np.mean(gains) / np.mean(oracle)) if np.mean(oracle) else float("nan"),
                "worst_domain": worst,
                "worst_against_random": against[worst],
                "dropped": float(np.mean([seeds[s]["dropped"] / seeds[s]["documents"] for s in shared])),
                "bad_left": float(np.mean([seeds[s]["bad_left"] / max(1, seeds[s]["bad"]) for s in shared])),
            }
        )
    return sorted(rows, key=lambda row: row["macro"])


def decides(rows: list[dict[str, Any]]) -> str:
    """Say whether the experiment can decide anything: oracle minus random against the noise of the seeds."""
    by = {row["variant"]: row for row in rows}
    if not {"oracle", "random"} <= by.keys():
        return "refuses to conclude: oracle and random are not both there"
    effect = by["random"]["macro"] - by["oracle"]["macro"]
    noise = max(by["oracle"]["gain_deviation"], by["random"]["gain_deviation"])
    if by["oracle"]["seeds"] < 2 or effect < 3 * noise:
        return f"refuses to conclude: oracle minus random is {effect:.4f}, the noise of a seed {noise:.4f}"
    return f"oracle minus random is {effect:.4f}, the noise of a seed {noise:.4f}"


def next_model_markdown(rows: list[dict[str, Any]]) -> str:
    """Return the table of the next models as markdown."""
    lines = [
        decides(rows),
        "",
        "| variant | seeds | macro bits per byte | share of the oracle's gain | worst domain against random | dropped "
        "| bad left |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        lines.append(
            f"| {row['variant']} | {row['seeds']} | {row['macro']:.4f} ± {row['deviation']:.4f} | "
            f"{row['share_of_oracle']:.0%} | {row['worst_domain']} {row['worst_against_random']:+.4f} | "
            f"{row['dropped']:.1%} | {row['bad_left']:.0%} |"
        )
    return "\n".join(lines) + "\n"
