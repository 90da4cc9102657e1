"""`autoclave inspect RUN`: what a run did and why, from its ledgers and texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from autoclave.cli.terminal import say, say_json
from autoclave.pipelines.running.guards.printable import printable

if TYPE_CHECKING:
    from autoclave.pipelines.reading.ledgers import StageView

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]
StageName = Annotated[str | None, typer.Option("--stage", "-s", help="One stage (default: all that have something).")]
Count = Annotated[int, typer.Option("--count", "-n", min=1, help="How many to show (of each stage).")]
Characters = Annotated[int, typer.Option("--characters", min=0, help="Characters of text to show; 0 for all of it.")]


class RunGroup(TyperGroup):
    """A group whose argument is the run, and whose subcommand may be left out: `inspect RUN --json` is the funnel."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        after = args[1] if len(args) > 1 else "-"
        if args and not args[0].startswith("-") and after.startswith("-") and after not in ("-h", "--help"):
            args = [args[0], "funnel", *args[1:]]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=RunGroup, no_args_is_help=True, rich_markup_mode=None, add_completion=False)


def register(application: typer.Typer) -> None:
    """Add the command to the application."""
    application.add_typer(app, name="inspect")


@app.callback()
def inspect(
    context: typer.Context,
    run: Annotated[str, typer.Argument(help="A run directory, or the output folder of one stage.")],
) -> None:
    """See what a run did, and why.

    Example: autoclave inspect runs/demo sample --reason gopher_quality
    """
    context.obj = run


def open_run(context: typer.Context, stage: str | None = None) -> list[StageView]:
    """Return the stages of the run that was named, or the one of them that is asked for."""
    from autoclave.pipelines.reading.ledgers import find_stage, open_stages

    stages = open_stages(context.obj)
    return stages if stage is None else [find_stage(stages, stage)]


def print_json(value: Any) -> None:
    """Print one JSON document on standard output."""
    import msgspec

    say_json(msgspec.json.format(msgspec.json.encode(value), indent=1))


@app.command()
def funnel(context: typer.Context, json: Json = False) -> None:
    """Documents in, kept and dropped, by stage.

    Example: autoclave inspect runs/demo funnel --json
    """
    from autoclave.pipelines.running.funnel import find_alarms

    stages = open_run(context)
    rows = [stage.row for stage in stages]
    alarms = find_alarms(rows)
    if json:
        print_json({"run": context.obj, "stages": rows, "alarms": alarms})
        return
    from autoclave.cli.tables import print_funnel
    from autoclave.cli.views import make_console, print_reasons

    console = make_console()
    print_funnel(rows, alarms, console)
    print_reasons(rows, console)


@app.command()
def sample(
    context: typer.Context,
    stage: StageName = None,
    reason: Annotated[str | None, typer.Option("--reason", "-r", help="A filter, a signal, or a whole reason.")] = None,
    kept: Annotated[bool, typer.Option("--kept", help="Documents that were kept, not dropped ones.")] = False,
    near: Annotated[
        str | None,
        typer.Option("--near", metavar="SIGNAL[=VALUE]", help="Those nearest to a threshold, on both sides of it."),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option("--where", metavar="CONDITION", help="As in word_count<60 or perplexity_bucket=tail. Repeatable."),
    ] = None,
    count: Count = 5,
    seed: Annotated[int, typer.Option("--seed", help="Another seed, other documents.")] = 0,
    characters: Characters = 500,
    json: Json = False,
) -> None:
    """Texts to look at, by reason, threshold or signal.

    Dropped ones unless --kept; with --near those nearest to a threshold, on both sides of it; with --where those whose
    signals are so, kept and dropped ones alike unless --kept or --reason is given.

    Example: autoclave inspect runs/demo sample --stage clean --near word_count
    """
    from autoclave.errors import RecipeError
    from autoclave.pipelines.reading.conditions import parse_conditions
    from autoclave.pipelines.reading.samples import draw, nearest

    if near is not None and where:
        raise RecipeError("give --near or --where, not both")
    signals, _ = parse_conditions(where or [])
    stages = with_signals(open_run(context, stage), signals)
    if near is not None:
        events = [
            event for view, signal, value in near_places(stages, near) for event in nearest(view, signal, value, count)
        ]
    else:
        chosen = stages if stage or signals else [view for view in stages if _has(view, kept, reason)]
        if not chosen and reason is not None:
            names = sorted({name for view in stages for name in view.row.dropped_by})
            raise RecipeError(f"nothing was dropped for '{reason}'; filters that dropped: {', '.join(names) or 'none'}")
        wanted = None if where and not kept and reason is None else kept
        events = [
            event
            for view in chosen
            for event in draw(view, kept=wanted, reason=reason, conditions=where or [], count=count, seed=seed)
        ]
    if json:
        print_json(events)
        return
    from autoclave.cli.views import make_console, print_events

    print_events(events, characters, make_console(), [near.partition("=")[0]] if near else signals)


def with_signals(stages: list[StageView], signals: Sequence[str]) -> list[StageView]:
    """Return the stages whose ledgers have all the signals; RecipeError, naming those there are, where none has."""
    from autoclave.pipelines.reading.ledgers import check_signal

    chosen = [view for view in stages if set(signals) <= set(view.signals)]
    if not chosen:
        for signal in signals:
            check_signal(max(stages, key=lambda view: len(view.signals)), signal)
    return chosen


def _has(view: StageView, kept: bool, reason: str | None) -> bool:
    """Whether a stage has documents to sample from."""
    from autoclave.pipelines.reading.samples import dropped_for

    row = view.row
    if reason is None:
        return bool(row.kept if kept else row.dropped) and bool(view.signals or row.dropped)
    return dropped_for(view, reason) > 0


def near_places(stages: list[StageView], text: str) -> list[tuple[StageView, str, float | None]]:
    """Return (stage, signal, threshold) for SIGNAL=VALUE, or for SIGNAL alone where its thresholds dropped something.

    Raises RecipeError where no stage has the signal, or no threshold of it is known.
    """
    from autoclave.errors import RecipeError
    from autoclave.pipelines.reading.histograms import find_thresholds
    from autoclave.pipelines.reading.ledgers import check_signal
    from autoclave.pipelines.reading.samples import BAND

    signal, _, value = text.partition("=")
    views = [view for view in stages if signal in view.signals]
    if not views:
        check_signal(max(stages, key=lambda view: len(view.signals)), signal)
    if value:
        try:
            return [(view, signal, float(value)) for view in views]
        except ValueError as error:
            raise RecipeError(f"--near {text}: '{value}' is not a number") from error
    places: list[tuple[StageView, str, float | None]] = []
    for view in views:
        limits = find_thresholds(view).get(signal, [])
        places += [(view, signal, value) for value in sorted({limit.value for limit in limits})]
        if not limits and set(BAND) <= set(view.signals):
            places.append((view, signal, None))
    if not places:
        raise RecipeError(
            f"--near {signal}: it dropped nothing, so its threshold is not known; give --near {signal}=VALUE"
        )
    return places


@app.command()
def document(
    context: typer.Context,
    key: Annotated[str, typer.Argument(help="A document's id in hexadecimal (or its first 8 digits), or its URL.")],
    characters: Characters = 500,
    json: Json = False,
) -> None:
    """One document's story through all stages.

    What each stage measured, decided and made of its text.

    Example: autoclave inspect runs/demo document https://example.org/
    """
    from autoclave.pipelines.reading.stories import find_ids, tell_story

    stages = open_run(context)
    stories = [tell_story(stages, doc_id) for doc_id in find_ids(stages, key)]
    if json:
        print_json(stories)
        return
    from autoclave.cli.views import make_console, print_story

    for story in stories:
        print_story(story, characters, make_console())


@app.command()
def histogram(
    context: typer.Context,
    signal: Annotated[str | None, typer.Argument(help="A signal (default: list them).")] = None,
    stage: StageName = None,
    bins: Annotated[int, typer.Option("--bins", min=2, max=1000, help="Number of bars.")] = 25,
    json: Json = False,
) -> None:
    """How a signal is distributed; its thresholds.

    Example: autoclave inspect runs/demo histogram word_count
    """
    from autoclave.pipelines.reading.histograms import count_values, numeric_signals
    from autoclave.pipelines.reading.ledgers import check_signal

    stages = open_run(context, stage)
    if signal is None:
        listed = {view.label: numeric_signals(view) for view in stages}
        if json:
            print_json(listed)
        else:
            for label, names in listed.items():
                say(f"{label}: {', '.join(names) or 'no signals'}")
        return
    views = [view for view in stages if signal in numeric_signals(view)]
    if not views:
        check_signal(max(stages, key=lambda view: len(view.signals)), signal)
    histograms = [count_values(view, signal, bins) for view in views]
    if json:
        print_json(histograms)
        return
    from autoclave.cli.views import make_console, print_histogram

    for counted in histograms:
        print_histogram(counted, make_console())


@app.command()
def cluster(
    context: typer.Context,
    key: Annotated[str | None, typer.Argument(help="Any member's id or URL (default: the largest clusters).")] = None,
    stage: StageName = None,
    count: Count = 20,
    characters: Characters = 200,
    json: Json = False,
) -> None:
    """Groups of duplicates: who stayed, who went; of one of them, what differs.

    Example: autoclave inspect runs/demo cluster
    """
    from autoclave.pipelines.reading.stories import cluster_of, find_clusters, find_ids

    stages = [view for view in open_run(context, stage) if view.row.dropped]
    if key is None:
        clusters = {view.label: find_clusters(view, count) for view in stages}
        clusters = {label: found for label, found in clusters.items() if found}
        if json:
            print_json(clusters)
            return
        from autoclave.cli.views import make_console, print_clusters

        print_clusters(clusters, make_console())
        return
    doc_id = find_ids(open_run(context), key)[0]
    events = [event for view in stages for event in cluster_of(view, doc_id, count)]
    if json:
        print_json(events)
        return
    from autoclave.cli.views import make_console, print_cluster

    print_cluster(events, characters, make_console())


@app.command()
def errors(context: typer.Context, stage: StageName = None, count: Count = 20, json: Json = False) -> None:
    """Records that could not be read, and why.

    Example: autoclave inspect runs/demo errors
    """
    from autoclave.pipelines.reading.ledgers import read_errors

    found = {view.label: read_errors(view, count) for view in open_run(context, stage) if view.row.errors}
    if json:
        print_json(found)
        return
    for label, rows in found.items():
        for row in rows:
            say(printable(f"{label}  {row['place']}  {row['cause']}", lines=False))
    if not found:
        say("no errors")


@app.command()
def inputs(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Files that were read, too, with their shards.")] = False,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many files to show.")] = 100,
    json: Json = False,
) -> None:
    """Files that were found and not read, and why.

    Example: autoclave inspect runs/demo inputs --all
    """
    from itertools import islice

    from autoclave.cli.tables import print_inputs
    from autoclave.cli.views import make_console
    from autoclave.corpus.inputs.account import read_account

    views = [view for view in open_run(context) if view.row.inputs is not None]
    chosen = {
        view.label: list(islice((row for row in read_account(view.folder) if every or row.left_out), count))
        for view in views
    }
    if json:
        print_json({view.label: {"counts": view.row.inputs, "files": chosen[view.label]} for view in views})
        return
    console = make_console()
    for view in views:
        print_inputs(view.row, console)
        for row in chosen[view.label]:
            what = row.left_out or f"shard {', '.join(row.shards)}"
            console.print(f"{what}  {row.source}  {row.bytes:,} bytes", markup=False, soft_wrap=True)
    if not views:
        say("no stage of this run reads files")
