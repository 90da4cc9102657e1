"""Plots of the report, as SVG text: the same bytes for the same figures."""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from autoclave.pipelines.funnel import StageRow
from autoclave.pipelines.histograms import Histogram

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
