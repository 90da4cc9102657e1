"""report.html: a run on one page that needs nothing else: funnel, reasons, signals with thresholds, losses, samples.

The page depends on the run's outputs alone (no times, no dates), so the same run gives the same page. Texts and URLs
come from the crawl and are written escaped; the page holds no script.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

import msgspec

from autoclave.corpus.checksums import read_checked, write_recorded
from autoclave.corpus.storage import Folder
from autoclave.pipelines.reading.histograms import Histogram, count_values, find_thresholds, numeric_signals
from autoclave.pipelines.reading.ledgers import Event, StageView, open_stages, read_errors
from autoclave.pipelines.reading.samples import draw
from autoclave.pipelines.running.funnel import StageRow, Summary, find_alarms, read_summary

MAX_HISTOGRAMS = 12
"""Signals shown of a stage: those whose thresholds dropped most."""

ALWAYS_SHOWN = ("bits_per_byte", "language_score")
"""Signals shown where they were measured, with or without a threshold."""

SAMPLES, SAMPLE_CHARACTERS = 2, 400
"""Dropped texts shown of each filter, and how much of each."""

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1d2b33; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1, h2, h3 { line-height: 1.2 } h2 { margin-top: 2.5rem; border-bottom: 1px solid #ccd5da }
table { border-collapse: collapse; margin: 1rem 0 } td, th { padding: .25rem .7rem; border-bottom: 1px solid #e3e8eb }
th { text-align: left } td.number, th.number { text-align: right; font-variant-numeric: tabular-nums }
.alarm { background: #fdecea; border-left: 4px solid #c0392b; padding: .5rem .8rem; margin: .5rem 0 }
.good { color: #1d7a6b } .note { color: #5b6b73 } .plots { display: flex; flex-wrap: wrap; gap: .5rem }
.bar { background: #e76f51; height: .7rem; display: inline-block; min-width: 1px }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f5f7f8; padding: .7rem; font-size: 13px }
svg { max-width: 100%; height: auto }
"""


def write_report(run: Folder) -> None:
    """Write report.html of a run directory, from its summary, ledgers, texts and metrics."""
    stages = open_stages(run.url)
    rows = [stage.row for stage in stages]
    if run.exists("summary.json"):
        summary = read_summary(run)
    else:
        summary = Summary(name=run.url.rsplit("/", 1)[-1], stages=rows, alarms=find_alarms(rows))
    parts = [
        _head(summary),
        _funnel(rows),
        _reasons(rows),
        _signals(stages),
        _losses(stages),
        _samples(stages),
        _errors(stages),
        _recipe(run),
    ]
    page = f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{_text(summary.name)}</title>'
    page += f"<style>{STYLE}</style></head><body>\n{''.join(parts)}</body></html>\n"
    write_recorded(run, "report.html", page.encode(), "run")


def _text(value: object) -> str:
    return html.escape(str(value))


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}"


def _table(headings: Sequence[str], rows: Iterable[Sequence[object]], raw: int = -1) -> str:
    """Return a table: numbers to the right, text escaped; column `raw` holds HTML of our own."""

    def cell(index: int, value: object) -> str:
        if index == raw:
            return f"<td>{value}</td>"
        if isinstance(value, (int, float)):
            return f'<td class="number">{_number(value)}</td>'
        return f"<td>{_text(value)}</td>"

    body = "".join(f"<tr>{''.join(cell(i, value) for i, value in enumerate(row))}</tr>\n" for row in rows)
    head = "".join(f"<th>{_text(heading)}</th>" for heading in headings)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>\n"


def _head(summary: Summary) -> str:
    alarms = "".join(f'<p class="alarm">{_text(alarm)}</p>\n' for alarm in summary.alarms)
    results = _table(("figure", "value"), summary.results.items()) if summary.results else ""
    return f"<h1>{_text(summary.name)}</h1>\n{alarms}{results}"


def _funnel(rows: Sequence[StageRow]) -> str:
    from autoclave.pipelines.reading.report_plots import plot_funnel

    rows = [row for row in rows if row.documents_in]
    if not rows:
        return ""
    headings = ("stage", "documents in", "kept", "dropped", "errors", "kept, %", "bytes in", "bytes kept")
    shares = [round(100 * row.kept / row.documents_in, 1) for row in rows]
    lines = [
        (row.label, row.documents_in, row.kept, row.dropped, row.errors, share, row.bytes_in, row.bytes_kept)
        for row, share in zip(rows, shares, strict=True)
    ]
    table = _table(headings, lines)
    exact = all(row.accounted for row in rows)
    note = '<p class="good">documents in = kept + dropped + errors, at every stage</p>\n' if exact else ""
    return f"<h2>Funnel</h2>\n{plot_funnel(rows)}\n{table}{note}"


def _reasons(rows: Sequence[StageRow]) -> str:
    counts = [
        (number, row.label, name, reason)
        for row in rows
        for name, reasons in row.dropped_by.items()
        for reason, number in reasons.items()
    ]
    if not counts:
        return ""
    largest = max(number for number, *_ in counts)
    lines = []
    for number, label, name, reason in sorted(counts, key=lambda item: (-item[0], item[1:])):
        bar = f'<span class="bar" style="width: {200 * number / largest:.0f}px"></span>'
        lines.append((label, name, reason, number, bar))
    return "<h2>Dropped by reason</h2>\n" + _table(("stage", "filter", "reason", "documents", ""), lines, raw=4)


def choose_signals(stage: StageView) -> list[str]:
    """Return the signals of a stage worth a plot: those that dropped most first, then what is always shown."""
    measured = numeric_signals(stage)
    dropped = {
        signal: sum(limit.dropped for limit in limits)
        for signal, limits in find_thresholds(stage).items()
        if signal in measured
    }
    chosen = sorted(dropped, key=lambda signal: (-dropped[signal], signal))[:MAX_HISTOGRAMS]
    return chosen + [signal for signal in ALWAYS_SHOWN if signal in measured and signal not in chosen]


def _signals(stages: Sequence[StageView]) -> str:
    from autoclave.pipelines.reading.report_plots import plot_histogram

    parts: list[str] = []
    for stage in stages:
        plots = "".join(_plot_with_note(count_values(stage, s), plot_histogram) for s in choose_signals(stage))
        if plots:
            parts.append(f'<h3>{_text(stage.label)}</h3>\n<div class="plots">\n{plots}</div>\n')
    intro = '<p class="note">Documents by value; dashed lines are the thresholds that dropped some.</p>\n'
    return f"<h2>Signals</h2>\n{intro}{''.join(parts)}" if parts else ""


def _plot_with_note(histogram: Histogram, plot: object) -> str:
    assert callable(plot)
    limits = ", ".join(f"{t.filter} drops {t.side} {t.value:g}: {t.dropped:,}" for t in histogram.thresholds)
    return f'<figure>{plot(histogram)}<figcaption class="note">{_text(limits)}</figcaption></figure>\n'


def read_losses(stages: Sequence[StageView]) -> dict[str, list[tuple[int, float]]]:
    """Return the loss curves of a run by name: (step, nats a token) of training and of self-cleaning's models."""
    curves: dict[str, list[tuple[int, float]]] = {}
    for stage in stages:
        for name in [*stage.folder.files("metrics.jsonl"), *_model_metrics(stage.folder)]:
            lines = [msgspec.json.decode(line) for line in read_checked(stage.folder, name).splitlines()]
            points = [(line["step"], line["loss"]) for line in lines if line.get("loss") is not None]
            if points:
                place = (
                    name.removesuffix("/metrics.jsonl").removeprefix("phases/").replace("/models/models/", " model ")
                )
                curves[stage.label if name == "metrics.jsonl" else f"{stage.label} {place}"] = points
    return curves


def _model_metrics(folder: Folder) -> list[str]:
    names = []
    for phase in folder.files("phases/round-*"):
        for model in folder.files(f"{phase}/models/models/*"):
            names += folder.files(f"{model}/metrics.jsonl")
    return names


def _losses(stages: Sequence[StageView]) -> str:
    from autoclave.pipelines.reading.report_plots import plot_losses

    curves = read_losses(stages)
    if not curves:
        return ""
    ends = [(name, len(points), points[0][1], points[-1][1]) for name, points in curves.items()]
    table = _table(("model", "steps", "first loss", "last loss"), ends)
    return f"<h2>Training loss</h2>\n{plot_losses(curves)}\n{table}"


def _samples(stages: Sequence[StageView]) -> str:
    parts: list[str] = []
    for stage in stages:
        for name in stage.row.dropped_by:
            for event in draw(stage, reason=name, count=SAMPLES):
                parts.append(_sample(event))
    note = "drawn at random; more with autoclave inspect RUN sample --reason FILTER"
    return f'<h2>Some that were dropped</h2>\n<p class="note">{note}</p>\n{"".join(parts)}' if parts else ""


def _sample(event: Event) -> str:
    document = event.document
    place = "" if document is None else document.url or document.source
    text = "text not stored" if document is None else document.text[:SAMPLE_CHARACTERS]
    title = f"{event.stage}: {event.verdict.filter}: {event.verdict.reason}"
    head = f"<strong>{_text(title)}</strong> <span class='note'>{_text(place)} · {event.verdict.doc_id}</span>"
    return f"<p>{head}</p>\n<pre>{_text(text)}</pre>\n"


def _errors(stages: Sequence[StageView]) -> str:
    rows = [(s.label, e["place"], e["cause"]) for s in stages if s.row.errors for e in read_errors(s)]
    return "<h2>Records that could not be read</h2>\n" + _table(("stage", "place", "cause"), rows) if rows else ""


def _recipe(run: Folder) -> str:
    if not run.exists("recipe.yaml"):
        return ""
    text = _text(read_checked(run, "recipe.yaml").decode())
    return f"<h2>Recipe</h2>\n<details><summary>every setting of this run</summary><pre>{text}</pre></details>\n"
