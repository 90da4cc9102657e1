"""Training a quality classifier from files: what `autoclave classifier train` calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from autoclave.cleaning.quality_classifier import ClassifierReport, ClassifierSettings, train_classifier
from autoclave.corpus.storage import Folder
from autoclave.errors import MissingDependencyError, RecipeError
from autoclave.pipelines.training_texts import read_texts


def train_classifier_file(
    positives: Sequence[str],
    negatives: Sequence[str],
    out: str,
    settings: ClassifierSettings | None = None,
    *,
    language: str | None = None,
    limit: int | None = None,
) -> ClassifierReport:
    """Train on stage directories or files of documents; write the model, and its report as `<out>.json`.

    out: local path that ends in .bin; language, limit: which documents of each kind, and how many at most (DCLM:
    200,000). Raises InputError for unusable texts, RecipeError for another name.
    """
    if not out.endswith(".bin") or "://" in out:
        raise RecipeError(f"{out}: fastText writes a local file whose name ends in .bin")
    report = train_classifier(
        read_texts(positives, language, limit), read_texts(negatives, language, limit), out, settings
    )
    folder, _, name = out.rpartition("/")
    encoded = msgspec.json.format(msgspec.json.encode(report), indent=1)
    Folder(folder or ("/" if out.startswith("/") else ".")).write_bytes(f"{name}.json", encoded + b"\n")
    return report


def plot_calibration(report: ClassifierReport, out: str) -> None:
    """Draw scores against shares of positives, with their intervals, to a PNG or SVG; needs matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("matplotlib", "report", "drawing a calibration plot") from error
    figure: Any = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="mean score", ylabel="share of positives", xlim=(0, 1), ylim=(0, 1))
    bins = report.calibration
    shares = [one.positives for one in bins]
    below = [max(0.0, one.positives - one.interval[0]) for one in bins]
    above = [max(0.0, one.interval[1] - one.positives) for one in bins]
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    axes.errorbar([one.mean_score for one in bins], shares, yerr=[below, above], fmt="o", capsize=3)
    axes.set_title(f"AUC {report.auc:.3f}, {report.held_out_positives + report.held_out_negatives} held-out texts")
    figure.savefig(out)
