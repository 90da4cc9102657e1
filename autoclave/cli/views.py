"""Documents, stories, histograms and clusters for the terminal; plain text where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from autoclave.cleaning.ngram_model.buckets import BUCKET_NAMES
from autoclave.cli.terminal import clean_console
from autoclave.pipelines.reading.histograms import Histogram
from autoclave.pipelines.reading.ledgers import DocumentRow, Event, LedgerRow
from autoclave.pipelines.reading.samples import BAND
from autoclave.pipelines.reading.stories import Cluster, Story
from autoclave.pipelines.running.funnel import StageRow
from autoclave.pipelines.running.guards.printable import printable

PIPE_WIDTH = 160
"""Columns where output goes to a file or a pipe: wide enough that tables need no wrapping."""

BAR_WIDTH = 50


def make_console() -> Console:
    """Return a console: colours and the terminal's width on a terminal, plain and wide elsewhere."""
    console = clean_console(highlight=False)
    return console if console.is_terminal else clean_console(highlight=False, width=PIPE_WIDTH, color_system=None)


def print_reasons(rows: list[StageRow], console: Console) -> None:
    """Print how many documents each filter dropped for each reason, the largest first."""
    table = Table(title="Dropped by reason", title_justify="left", header_style="bold")
    for heading in ("stage", "filter", "reason"):
        table.add_column(heading, overflow="fold")
    table.add_column("documents", justify="right")
    for row in rows:
        counts = [(n, name, reason) for name, reasons in row.dropped_by.items() for reason, n in reasons.items()]
        for number, name, reason in sorted(counts, key=lambda item: (-item[0], item[1:])):
            table.add_row(row.label, name, Text(reason), f"{number:,}")
    if table.row_count:
        console.print(table)


def print_events(events: list[Event], characters: int, console: Console, signals: Sequence[str] = ()) -> None:
    """Print documents with their verdict, the signal that it rests on (and those given), and how their text begins."""
    for event in events:
        _print_head(event.verdict.doc_id, event.document, console)
        console.print(_verdict(event.stage, event.verdict))
        decisive = {*signals, (event.verdict.reason or "").partition(" ")[0], *BAND}
        _print_signals({name: v for name, v in event.verdict.signals.items() if name in decisive}, console)
        _print_text(event.document, characters, console)
        console.print()
    if not events:
        console.print("nothing to show")


def print_story(story: Story, characters: int, console: Console) -> None:
    """Print one document from stage to stage; its text again only where a stage changed it."""
    first = next((event.document for event in story.events if event.document), None)
    _print_head(story.doc_id, first, console)
    before: str | None = None
    for event in story.events:
        console.print()
        console.print(_verdict(event.stage, event.verdict))
        other = story.representatives.get(event.verdict.duplicate_of or "")
        if other is not None:
            console.print(Text(f"  in its place: {other.doc_id}  {_line(other.url or other.source)}"))
        _print_signals(event.verdict.signals, console)
        if event.document is not None and event.document.text == before:
            console.print("  text unchanged", style="dim")
        else:
            _print_text(event.document, characters, console)
        before = event.document.text if event.document is not None else before


def _print_head(doc_id: str, document: DocumentRow | None, console: Console) -> None:
    console.print(Text(doc_id, style="bold"), Text(_line(document.url or document.source if document else "")))
    if document is not None:
        language = f"{document.language or 'language unknown'}"
        if document.language_score is not None:
            language += f" ({document.language_score:.2f})"
        parts = [f"{document.source} at {document.offset}", document.content_type, language, document.crawled_at]
        console.print(Text(_line("  " + " · ".join(part for part in parts if part)), style="dim"))


def _line(text: str) -> str:
    """Return what belongs on one line, of a document that may say otherwise."""
    return printable(text, lines=False)


def _verdict(stage: str, verdict: LedgerRow) -> Text:
    if verdict.kept:
        return Text(f"{stage}: kept", style="green")
    text = f"{stage}: dropped by {verdict.filter}: {verdict.reason or verdict.filter}"
    return Text(text + (f", duplicate of {verdict.duplicate_of}" if verdict.duplicate_of else ""), style="red")


def _print_signals(signals: dict[str, Any], console: Console) -> None:
    """Print signals that are there and not zero: most documents have none of most things."""
    named = {name: _named(name, value) for name, value in signals.items()}
    shown = [f"{name} {_number(value)}" for name, value in named.items() if value]
    if shown:
        console.print(Text(_line("  " + " · ".join(shown)), style="dim"))


def _named(signal: str, value: Any) -> Any:
    """Return the name of a bucket of perplexity, other values as they are."""
    return BUCKET_NAMES.get(value, value) if signal.startswith("perplexity_bucket") else value


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _print_text(document: DocumentRow | None, characters: int, console: Console) -> None:
    if document is None:
        console.print("  text not stored (dropped_share of the recipe)", style="dim")
        return
    text = document.text if not characters else document.text[:characters]
    more = len(document.text) - len(text)
    lines = [f"  | {line}" for line in text.splitlines()] or ["  | (empty)"]
    console.print(Text("\n".join(lines) + (f"\n  … {more:,} more characters" if more else "")), soft_wrap=True)


def print_histogram(histogram: Histogram, console: Console) -> None:
    """Print bars of kept and dropped documents by value, with the thresholds where they fall."""
    total = sum(histogram.kept) + sum(histogram.dropped)
    console.print(Text(f"{histogram.signal} in {histogram.stage}: {total:,} documents", style="bold"))
    if histogram.missing:
        console.print(f"  {histogram.missing:,} more have no value", style="dim")
    largest = max([k + d for k, d in zip(histogram.kept, histogram.dropped, strict=True)], default=0) or 1
    for index, (kept, dropped) in enumerate(zip(histogram.kept, histogram.dropped, strict=True)):
        low, high = histogram.edges[index], histogram.edges[index + 1]
        for limit in histogram.thresholds:
            if low <= limit.value < high or (index == 0 and limit.value < low):
                rule = f"{limit.filter} drops {limit.side} {limit.value:g} ({limit.dropped:,} documents)"
                console.print(Text(f"{'':>12} --- {rule}", style="yellow"))
        bars = [round(BAR_WIDTH * number / largest) for number in (kept, dropped)]
        line = Text(f"{low:>12.5g} ")
        line.append("█" * bars[0], style="green").append("░" * bars[1], style="red")
        line.append(f" {kept:,} kept, {dropped:,} dropped" if kept or dropped else "")
        console.print(line)
    quantiles = ", ".join(f"{name}: {value:.4g}" for name, value in histogram.quantiles.items())
    console.print(Text(f"  quantiles {quantiles or 'none'}", style="dim"))


def print_cluster(events: list[Event], characters: int, console: Console) -> None:
    """Print a cluster: the document that stayed, then each dropped one with its evidence and where it differs."""
    from autoclave.cleaning.dedup.differences import differences, format_differences

    stayed = next((event for event in events if event.verdict.kept), None)
    if stayed is None:
        print_events(events, characters, console)
        return
    print_events([stayed], characters, console)
    for event in events:
        if event is stayed:
            continue
        _print_head(event.verdict.doc_id, event.document, console)
        console.print(_verdict(event.stage, event.verdict))
        _print_signals(event.verdict.signals, console)
        if event.document is None or stayed.document is None:
            console.print("(its text was not stored: dropped_share)", style="dim")
        elif event.document.text == stayed.document.text:
            console.print("the same text", style="dim")
        else:
            console.print("[-only in the one that stayed-] {+only in this one+}", style="dim", markup=False)
            marked = format_differences(differences(stayed.document.text, event.document.text))
            console.print(Text(marked if not characters else marked[: 10 * characters]))
        console.print()


def print_clusters(clusters: dict[str, list[Cluster]], console: Console) -> None:
    """Print the largest clusters of each stage: size, who stayed, some of those that were dropped."""
    for label, found in clusters.items():
        table = Table(title=f"Duplicates in {label}", title_justify="left", header_style="bold")
        table.add_column("documents", justify="right")
        table.add_column("stayed", no_wrap=True)
        table.add_column("dropped", overflow="fold")
        for cluster in found:
            more = cluster.size - 1 - len(cluster.members)
            names = [member[:12] for member in cluster.members] + ([f"and {more:,} more"] if more else [])
            table.add_row(f"{cluster.size:,}", cluster.representative, ", ".join(names))
        console.print(table)
    if not clusters:
        console.print("no duplicates were found")
