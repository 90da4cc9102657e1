"""`autoclave explain FILE`: what each step makes of one page or text, signal by signal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from autoclave.pipelines.running.guards.printable import printable

if TYPE_CHECKING:
    from rich.console import Console

    from autoclave.pipelines.reading.explanations import DialectResult, Explanation, RuleResult, Step
    from autoclave.pipelines.reading.text_changes import Change


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("explain")(explain)


def explain(
    file: Annotated[str, typer.Argument(help="A page or a text; an archive (see --record); - for standard input.")],
    recipe: Annotated[str | None, typer.Option("--recipe", help="Take its extract and clean settings.")] = None,
    record: Annotated[int, typer.Option("--record", min=0, help="Which record of an archive, from 0.")] = 0,
    dialects: Annotated[bool, typer.Option("--dialects", help="What every reading of each filter says.")] = False,
    changes: Annotated[int, typer.Option("--changes", min=0, help="Places to show of each edit; 0 for all.")] = 3,
    text: Annotated[bool, typer.Option("--text", help="Print the whole text that comes out.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")] = False,
) -> None:
    """Show what each step makes of one page, and why.

    Example: autoclave explain examples/page.html --dialects
    """
    from autoclave.cli.inspection import print_json
    from autoclave.cli.views import make_console
    from autoclave.pipelines.reading.explanations import explain_file

    explanation = explain_file(file, recipe=recipe, record=record, dialects=dialects)
    if json:
        print_json(explanation)
        return
    console = make_console()
    print_explanation(explanation, changes, text, console)


def print_explanation(explanation: Explanation, changes: int, whole_text: bool, console: Console) -> None:
    """Print the steps, the rules of each filter, and the verdict."""
    from rich.text import Text

    title = explanation.source + (f" ({explanation.url})" if explanation.url else "")
    console.print(Text(printable(title, lines=False), style="bold"))
    if explanation.records > 1:
        console.print(f"record {explanation.record} of {explanation.records} (choose with --record)", style="dim")
    for step in explanation.steps:
        print_step(step, changes, console)
    if explanation.dialects:
        print_dialects(explanation.dialects, console)
    if whole_text and explanation.text is not None:
        console.print(Text(explanation.text), soft_wrap=True)
    verdict = "kept" if explanation.kept else f"dropped by {explanation.filter}: {explanation.reason}"
    console.print(Text(verdict, style="bold green" if explanation.kept else "bold red"))


def print_step(step: Step, changes: int, console: Console) -> None:
    """Print one step: a line, then what changed, or the rules with the document's values."""
    from rich.text import Text

    line = Text(f"{step.kind:<10}{step.name}", style="bold" if step.kind != "transform" else "")
    if step.kind == "transform":
        line.append(f"  {step.changes} changes, {step.characters:,} characters left" if step.changes else "  no change")
    if step.kind == "extract":
        line.append(f"  {step.characters:,} characters")
    line.append("" if step.kept else f"  drops it: {step.reason}", style="red")
    console.print(line)
    details = " · ".join(f"{name} {value}" for name, value in step.details.items())
    if details:
        console.print(Text(f"{'':10}{printable(details, lines=False)}", style="dim"))
    print_diff(step.diff, changes, console)
    if step.rules:
        print_rules(step.rules, console)


def print_diff(diff: list[Change], most: int, console: Console) -> None:
    """Print the first places of a diff (0: all), as diff programs do: `-` before, `+` after."""
    from rich.text import Text

    shown = diff[:most] if most else diff
    for change in shown:
        console.print(Text(f"{'':10}line {change.line}", style="dim"))
        for sign, lines, style in (("-", change.before, "red"), ("+", change.after, "green")):
            for line in lines:
                console.print(Text(f"{'':10}{sign} {line}", style=style), soft_wrap=True)
    if len(diff) > len(shown):
        console.print(Text(f"{'':10}{len(diff) - len(shown):,} more places (--changes 0 shows all)", style="dim"))


def print_rules(rules: list[RuleResult], console: Console) -> None:
    """Print a table of signals: value, limits, verdict."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 1), pad_edge=False)
    for heading, justify in (("", "left"), ("signal", "left"), ("value", "right"), ("limits", "left"), ("", "left")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for rule in rules:
        low = "" if rule.low is None else f">= {rule.low:g}"
        high = "" if rule.high is None else f"<= {rule.high:g}"
        value = "-" if rule.value is None else f"{rule.value:.4g}" if isinstance(rule.value, float) else str(rule.value)
        style = "" if rule.kept else "red"
        table.add_row(" " * 8, rule.signal, value, f"{low} {high}".strip(), "" if rule.kept else "fails", style=style)
    console.print(table)


def print_dialects(results: list[DialectResult], console: Console) -> None:
    """Print what each dialect of each filter says, and which of them the chain follows."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="Dialects", title_justify="left", header_style="bold")
    for heading in ("filter", "dialect", "used", "verdict"):
        table.add_column(heading, overflow="fold")
    for result in results:
        verdict = Text("kept" if result.kept else f"dropped: {result.reason}")
        table.add_row(result.filter, result.dialect, "yes" if result.used else "", verdict)
    console.print(table)
