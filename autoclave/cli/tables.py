"""Readable tables of runs for the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from autoclave.corpus.inputs.left_out import REASONS
from autoclave.corpus.storage import Folder
from autoclave.pipelines.reading.verification import Verification
from autoclave.pipelines.running.funnel import StageRow, Summary
from autoclave.pipelines.running.guards.losses import nothing_kept
from autoclave.pipelines.running.guards.printable import printable


def human_bytes(number: float) -> str:
    """Return a size in decimal units: 12.3 MB."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(number) < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} PB"


def print_funnel(rows: list[StageRow], alarms: list[str], console: Console) -> None:
    """Print one row a stage: documents and bytes in, kept, dropped, errors; then what needs a look."""
    table = Table(title="Funnel", title_justify="left", header_style="bold", row_styles=["", "dim"])
    table.add_column("stage", no_wrap=True)
    for heading in ("in", "kept", "dropped", "errors", "bytes in", "bytes kept"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        if not row.documents_in:
            continue
        table.add_row(
            row.label,
            f"{row.documents_in:,}",
            f"{row.kept:,} ({row.kept / row.documents_in:.0%})",
            f"{row.dropped:,}",
            f"{row.errors:,}",
            human_bytes(row.bytes_in),
            human_bytes(row.bytes_kept),
        )
    console.print(table)
    checked = [row for row in rows if row.documents_in]
    broken = [row for row in checked if not row.accounted]
    nothing = nothing_kept(checked)
    for row in broken:
        console.print(
            f"documents in = kept + dropped + errors does NOT hold at {row.label}: {row.documents_in:,} in,"
            f" {row.kept + row.dropped + row.errors:,} accounted for",
            style="bold red",
            markup=False,
        )
    if nothing is not None:
        console.print(nothing, style="bold red", markup=False)
    elif not broken:
        console.print("documents in = kept + dropped + errors, at every stage", style="green")
    for row in rows:
        print_inputs(row, console)
    for alarm in alarms:
        console.print(f"alarm: {printable(alarm, lines=False)}", style="bold red", markup=False)


def print_inputs(row: StageRow, console: Console) -> None:
    """Print how many files a stage found and read, and why others were left out, or read by one worker alone."""
    counts = row.inputs
    if counts is None:
        return
    left_out = sum(counts.left_out.values())
    split = f", {counts.split:,} of them in several shards" if counts.split else ""
    console.print(f"{row.label}: {counts.found:,} files found, {counts.read:,} read{split}, {left_out:,} left out")
    for reason, number in sorted(counts.left_out.items()):
        console.print(f"  {number:,} {reason}: {REASONS[reason]}", markup=False, soft_wrap=True)
    for reason, number in sorted(counts.whole.items()):
        console.print(f"  {number:,} large, in one shard: {reason}", markup=False, soft_wrap=True)


def print_results(summary: Summary, folder: str, console: Console) -> None:
    """Print the figures of stages that make no documents, and where to look."""
    if summary.results:
        table = Table(title="Results", title_justify="left", header_style="bold")
        table.add_column("figure")
        table.add_column("value", justify="right")
        for name, value in summary.results.items():
            table.add_row(name, f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4f}")
        console.print(table)
    run = Folder(folder)
    if run.exists("report.html"):
        console.print(f"report: {run.path('report.html')}", highlight=False, markup=False)
    console.print(f"look closer: autoclave inspect {folder}", highlight=False, markup=False)


def print_verification(found: Verification, console: Console) -> None:
    """Print what is damaged or missing and the commands that mend it, or that all is as it was written."""
    if found.findings:
        table = Table(title="Damaged or missing", title_justify="left", header_style="bold")
        table.add_column("file", overflow="fold")
        table.add_column("what is wrong", overflow="fold")
        for finding in found.findings:
            table.add_row(Text(finding.file), Text(finding.what))
        console.print(table)
        for remedy in sorted({finding.remedy for finding in found.findings}):
            console.print(Text(f"to mend: {remedy}"), soft_wrap=True)
    if found.unrecorded:
        names = ", ".join(found.unrecorded[:5]) + (", ..." if len(found.unrecorded) > 5 else "")
        console.print(Text(f"{len(found.unrecorded):,} files have no checksum: {names}"), style="dim", soft_wrap=True)
    verdict = f"{len(found.findings):,} damaged or missing" if found.findings else "all as they were written"
    style = "red" if found.findings else "green"
    console.print(f"{found.files:,} files, {found.bytes:,} bytes: {verdict}", style=style)
