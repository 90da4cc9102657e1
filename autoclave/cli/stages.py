"""Commands that make documents and tokens: run, extract, clean, dedup, selfclean, tokenize, tokenizer, refilter."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from autoclave.cli.terminal import clean_console, say, say_error, say_json

Engine = Annotated[str, typer.Option("--engine", help="local: processes on this machine; ray: a Ray cluster.")]
Workers = Annotated[
    int | None, typer.Option("--workers", "-w", min=0, help="Shards at a time (default: all cores; 0: this process).")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one setting; the value is YAML. Repeatable."),
]
Out = Annotated[str, typer.Option("--out", "-o", help="Folder (or s3://...) that the result goes to.")]
Seed = Annotated[int, typer.Option("--seed", help="Decides every random choice.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("run")(run)
    app.command("extract")(extract)
    app.command("clean")(clean)
    app.command("dedup")(dedup)
    app.command("selfclean")(selfclean)
    tokenizer_app = typer.Typer(help="Train a tokenizer.", no_args_is_help=True, rich_markup_mode=None)
    tokenizer_app.command("train")(tokenizer_train)
    app.add_typer(tokenizer_app, name="tokenizer")
    app.command("tokenize")(tokenize)


def run(
    recipe: Annotated[str, typer.Argument(help="A recipe's YAML file.")],
    run_dir: Annotated[
        str | None, typer.Option("--run-dir", help="Run directory (default: runs/<recipe name>).")
    ] = None,
    engine: Engine = "local",
    stages: Annotated[str | None, typer.Option("--stages", help="Only these, as in extract,clean.")] = None,
    workers: Workers = None,
    overrides: Overrides = None,
    on_lost_shard: Annotated[
        str | None,
        typer.Option(
            "--on-lost-shard", help="stop (default) before the next stage where documents were lost; continue."
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Train a model anew that is there, where settings or data changed.")
    ] = False,
    json: Json = False,
) -> None:
    """Run a recipe: crawl files in, token shards out. The same command resumes.

    Example: autoclave run recipes/demo.yaml --set clean.language.min_score=0.5
    """
    from autoclave.cli.progress import TerminalProgress
    from autoclave.pipelines.running.engine import make_engine
    from autoclave.pipelines.running.recipe import load_recipe
    from autoclave.pipelines.running.run import run_recipe

    lost = [f"guards.on_lost_shard={on_lost_shard}"] if on_lost_shard else []
    checked = load_recipe(recipe, [*(overrides or []), *lost])
    folder = run_dir or f"runs/{checked.name}"
    chosen = [name.strip() for name in stages.split(",")] if stages else []
    running = make_engine(engine, workers)
    try:
        with TerminalProgress() as progress:
            ask = typer.confirm if sys.stdin.isatty() else None
            summary = run_recipe(checked, folder, running, stages=chosen, progress=progress, yes=yes, ask=ask)
    finally:
        running.close()
    finish(summary, folder, json)


def finish(summary: Any, folder: str, json: bool) -> None:
    """Print what a run did; exit code 1 where documents were lost or an input could not be read at all."""
    import msgspec

    from autoclave.cli.tables import print_funnel, print_results
    from autoclave.cli.views import print_reasons

    if json:
        say_json(msgspec.json.encode(summary))
    else:
        console = clean_console()
        print_funnel(summary.stages, summary.alarms, console)
        print_reasons(summary.stages, console)
        print_results(summary, folder, console)
    losses = [f"{row.label}: {row.loss}" for row in summary.stages if row.loss is not None]
    if not any(row.documents_in or row.quarantined for row in summary.stages):
        losses.append("no document was found in the inputs")
    for loss in losses:
        say_error(loss)
    if losses:
        raise typer.Exit(1)


def single(
    kind: str,
    inputs: Sequence[str],
    out: str,
    engine: str,
    workers: int | None,
    overrides: list[str] | None,
    seed: int,
    json: bool,
    settings: dict[str, Any] | None = None,
) -> None:
    """Run one stage and print its row of the funnel."""
    from autoclave.cli.progress import TerminalProgress
    from autoclave.pipelines.running.engine import make_engine
    from autoclave.pipelines.running.standalone import run_stage

    running = make_engine(engine, workers)
    try:
        with TerminalProgress() as progress:
            summary = run_stage(
                kind, inputs, out, running, progress, settings=settings, overrides=overrides or [], seed=seed
            )
    finally:
        running.close()
    finish(summary, out, json)


def extract(
    inputs: Annotated[
        list[str],
        typer.Argument(help="Files, folders, globs, path lists: WARC, WACZ, HTML, JSONL, Parquet, Arrow."),
    ],
    out: Out,
    engine: Engine = "local",
    workers: Workers = None,
    overrides: Overrides = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Read crawl files and extract each page's text.

    Example: autoclave extract examples/crawl --out runs/text
    """
    single("extract", inputs, out, engine, workers, overrides, seed, json)


Documents = Annotated[str, typer.Argument(help="Output folder of an earlier stage, or documents as JSONL or Parquet.")]


def clean(
    documents: Documents,
    out: Out,
    engine: Engine = "local",
    workers: Workers = None,
    overrides: Overrides = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Filter and edit documents; every drop has its reason in the ledger.

    Example: autoclave clean runs/text --out runs/clean --set language.keep='[en, zh]'
    """
    single("clean", [documents], out, engine, workers, overrides, seed, json)


def dedup(
    documents: Annotated[
        str | None, typer.Argument(help="Output folder of an earlier stage, or JSONL, Parquet.")
    ] = None,
    out: Annotated[str | None, typer.Option("--out", "-o", help="Folder that the result goes to.")] = None,
    engine: Engine = "local",
    workers: Workers = None,
    overrides: Overrides = None,
    seed: Seed = 0,
    json: Json = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Print what the MinHash settings detect, and stop.")
    ] = False,
) -> None:
    """Remove exact and near duplicates; the ledger names the copy that stayed.

    Example: autoclave dedup runs/clean --out runs/dedup --set minhash.preset=fineweb
    """
    if explain:
        from autoclave.pipelines.dedup.stage import explain_settings

        say(explain_settings(overrides or []))
        return
    if documents is None or out is None:
        raise typer.BadParameter("give a folder of documents and --out")
    single("dedup", [documents], out, engine, workers, overrides, seed, json)


def selfclean(
    documents: Documents,
    out: Out,
    rounds: Annotated[int | None, typer.Option("--rounds", min=1, help="Turns of train, score, drop.")] = None,
    method: Annotated[
        str | None,
        typer.Option("--method", help="cross-fit, single, trusted, combined, or module:OBJECT (docs/selfcleaning.md)."),
    ] = None,
    engine: Engine = "local",
    workers: Workers = None,
    overrides: Overrides = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Train small models on the corpus, score every document, drop what stands out, draw a sample for people.

    Example: autoclave selfclean runs/dedup --out runs/selfclean --set model.steps=100
    """
    given = {"rounds": rounds, "method": method}
    settings = {name: value for name, value in given.items() if value is not None}
    single("selfclean", [documents], out, engine, workers, overrides, seed, json, settings)


def tokenizer_train(
    documents: Documents,
    out: Annotated[str, typer.Option("--out", "-o", help="The tokenizer's file, as in tokenizer.json.")],
    vocab_size: Annotated[int, typer.Option("--vocab-size", min=512, help="Number of tokens.")] = 64000,
    seed: Seed = 0,
) -> None:
    """Train a BPE tokenizer (byte fallback, Chinese in its alphabet) on a stratified sample.

    Example: autoclave tokenizer train runs/dedup --vocab-size 4096 --out runs/tokenizer.json
    """
    from autoclave.pipelines.tokenize.stage import train_tokenizer_file

    train_tokenizer_file(documents, out, vocab_size=vocab_size, seed=seed)
    say(f"tokenizer: {out}")


def tokenize(
    documents: Documents,
    out: Out,
    tokenizer: Annotated[str | None, typer.Option("--tokenizer", help="tokenizer.json (default: train one).")] = None,
    engine: Engine = "local",
    workers: Workers = None,
    overrides: Overrides = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Turn documents into Arrow token shards with a manifest.

    Example: autoclave tokenize runs/dedup --tokenizer runs/tokenizer.json --out runs/tokens
    """
    settings = {"tokenizer": tokenizer} if tokenizer else None
    single("tokenize", [documents], out, engine, workers, overrides, seed, json, settings)
