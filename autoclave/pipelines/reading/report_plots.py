"""Plots of the report, as SVG text: the same bytes for the same figures."""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from autoclave.pipelines.reading.histograms import Histogram
from autoclave.pipelines.running.funnel import StageRow

if TYPE_CHECKING:
    from autoclave.cleaning.classifier.quality import ClassifierReport

KEPT, DROPPED, ERRORS, LIMIT = "#2a9d8f", "#e76f51", "#8d99ae", "#264653"
CURVES = ("#264653", "#e76f51", "#2a9d8f", "#e9c46a", "#6a4c93", "#8d99ae")

_STYLE: Any = {
    "svg.hashsalt": "autoclave",  # ids of clip paths would be random otherwise
    "svg.fonttype": "none",  # letters stay letters: small files, text that can be searched
    "text.parse_math": False,  # a dollar sign in a reason is no formula
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
}

MAX_POINTS = 2000
"""Points of a curve that are drawn: more cannot be told apart on a screen."""


def _figure(width: float, height: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    return figure, figure.add_subplot()


def _svg(figure: Figure) -> str:
    """Return the figure as an <svg> element, without the XML header and without a date."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def plot_funnel(rows: Sequence[StageRow]) -> str:
    """Return bars of kept, dropped and unreadable documents, one a stage."""
    with mpl.rc_context(_STYLE):
        figure, axes = _figure(9, 0.6 + 0.42 * len(rows))
        places = range(len(rows))
        left = [0] * len(rows)
        for name, colour in (("kept", KEPT), ("dropped", DROPPED), ("errors", ERRORS)):
            widths = [getattr(row, name) for row in rows]
            axes.barh(places, widths, left=left, color=colour, label=name, height=0.7)
            left = [a + b for a, b in zip(left, widths, strict=True)]
        axes.set_yticks(list(places), [row.label for row in rows])
        axes.invert_yaxis()
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("documents")
        figure.legend(loc="outside upper left", frameon=False, ncols=3)
        return _svg(figure)


def plot_histogram(histogram: Histogram) -> str:
    """Return bars of kept and dropped documents by value of a signal, with a line at each threshold."""
    with mpl.rc_context(_STYLE):
        figure, axes = _figure(4.4, 2.4)
        edges = histogram.edges
        widths = [high - low for low, high in itertools.pairwise(edges)]
        axes.bar(edges[:-1], histogram.kept, widths, align="edge", color=KEPT, label="kept")
        axes.bar(edges[:-1], histogram.dropped, widths, histogram.kept, align="edge", color=DROPPED, label="dropped")
        for limit in histogram.thresholds:
            axes.axvline(limit.value, color=LIMIT, linewidth=1, linestyle="--")
        axes.set_title(histogram.signal)
        axes.set_ylabel("documents")
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.xaxis.set_major_locator(MaxNLocator(6))
        return _svg(figure)


def plot_losses(curves: Mapping[str, Sequence[tuple[int, float]]]) -> str:
    """Return loss curves: name -> (step, nats a token)."""
    with mpl.rc_context(_STYLE):
        figure, axes = _figure(9, 3)
        for index, (name, points) in enumerate(curves.items()):
            every = -(-len(points) // MAX_POINTS)
            steps, losses = zip(*points[::every], strict=True)
            axes.plot(steps, losses, label=name, linewidth=1.2, color=CURVES[index % len(CURVES)])
        axes.set_xlabel("step")
        axes.set_ylabel("loss, nats a token")
        axes.legend(frameon=False)
        return _svg(figure)


def draw_calibration(report: ClassifierReport, form: str) -> bytes:
    """Return a picture (form: png or svg) of a classifier's held-out scores.

    Above the share of positives at each score with its 95 % interval, which should lie on the diagonal; below how many
    texts have that score, and the threshold.
    """
    bins = report.calibration
    middles = [(one.low + one.high) / 2 for one in bins]
    positives = [round(one.positives * one.documents) for one in bins]
    negatives = [one.documents - number for one, number in zip(bins, positives, strict=True)]
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(5.2, 5.6), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        shares = [one.positives for one in bins]
        reach = [
            [max(0.0, one.positives - one.interval[0]) for one in bins],
            [max(0.0, one.interval[1] - one.positives) for one in bins],
        ]
        upper.plot([0, 1], [0, 1], color=ERRORS, linewidth=1, label="well calibrated")
        points = {
            "fmt": "o",
            "markersize": 5,
            "capsize": 3,
            "color": LIMIT,
            "clip_on": False,
            "label": "held-out texts",
        }
        upper.errorbar([one.mean_score for one in bins], shares, yerr=reach, **points)
        upper.set(ylabel="share of positives", xlim=(0, 1), ylim=(0, 1))
        upper.legend(frameon=False, loc="upper left")
        held_out = report.held_out_positives + report.held_out_negatives
        upper.set_title(f"AUC {report.auc:.3f} on {held_out:,} held-out texts", pad=10)
        width = 0.045
        lower.bar([at - width / 2 for at in middles], negatives, width, color=DROPPED, label="negatives")
        lower.bar([at + width / 2 for at in middles], positives, width, color=KEPT, label="positives")
        lower.axvline(
            report.threshold, color=LIMIT, linewidth=1, linestyle="--", label=f"threshold {report.threshold:.3g}"
        )
        lower.set(xlabel="score", ylabel="texts", ylim=(0, 1.05 * max([1, *positives, *negatives])))
        lower.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        figure.legend(loc="outside lower left", frameon=False, ncols=3, handles=lower.get_legend_handles_labels()[0])
        buffer = io.BytesIO()
        metadata = {"Date": None, "Creator": None} if form == "svg" else {"Software": None}
        figure.savefig(buffer, format=form, metadata=metadata, dpi=150)
        return buffer.getvalue()
