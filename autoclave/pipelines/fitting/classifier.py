"""Training a quality classifier from files: what `autoclave classifier train` calls."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

import msgspec

from autoclave.cleaning.classifier.quality import ClassifierReport, ClassifierSettings, train_classifier
from autoclave.corpus.storage import Folder
from autoclave.errors import MissingDependencyError, RecipeError
from autoclave.pipelines.fitting.texts import read_texts


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
    """Draw what the scores of the held-out texts say to a PNG or SVG (by its name); needs matplotlib."""
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingDependencyError("matplotlib", "report", "drawing a calibration plot")
    if not out.endswith((".png", ".svg")):
        raise RecipeError(f"{out}: give a name that ends in .png or .svg")
    from autoclave.pipelines.reading.report_plots import draw_calibration

    parent, _, name = out.rpartition("/")
    Folder(parent or ("/" if out.startswith("/") else ".")).write_bytes(name, draw_calibration(report, out[-3:]))
