"""Commands that make what the clean stage needs: thresholds, quality classifiers, n-gram models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from autoclave.cli.stages import Json

if TYPE_CHECKING:
    from autoclave.pipelines.fit_thresholds import ThresholdReport

Texts = Annotated[list[str], typer.Argument(help="Stage folders, or files of documents (JSONL, Parquet, text).")]
Language = Annotated[str | None, typer.Option("--language", help="Only documents of this language.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="At most so many documents (of each kind).")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for name, summary, commands in (
        ("thresholds", "Fit the limits of filters for other languages.", {"fit": thresholds_fit}),
        ("kenlm", "Train n-gram language models for perplexity filters.", {"train": kenlm_train}),
        ("classifier", "Train fastText quality classifiers.", {"train": classifier_train}),
    ):
        group = typer.Typer(help=summary, no_args_is_help=True, rich_markup_mode=None)
        group.callback()(lambda: None)
        for verb, command in commands.items():
            group.command(verb)(command)
        app.add_typer(group, name=name)


def thresholds_fit(
    reference: Annotated[
        str, typer.Argument(help="Good documents in a language whose limits are known: a stage folder, or files.")
    ],
    target: Annotated[
        str | None, typer.Argument(help="Good documents in the other languages (default: the same folder).")
    ] = None,
    *,
    language: Annotated[list[str], typer.Option("--language", "-l", help="Language to fit limits for. Repeatable.")],
    out: Annotated[str, typer.Option("--out", "-o", help="YAML file for clean.thresholds_by_language.")],
    reference_language: Annotated[
        str, typer.Option("--reference-language", help="Language of the known limits.")
    ] = "en",
    recipe: Annotated[
        str | None, typer.Option("--recipe", help="Take its clean settings: filters, transforms.")
    ] = None,
    documents: Annotated[int, typer.Option("--documents", min=1, help="Most documents of each language.")] = 20_000,
    json: Json = False,
) -> None:
    """Carry limits over to other languages: the same share of good documents is dropped in each.

    Example: autoclave thresholds fit runs/demo/01-extract --language zh --out runs/zh.yaml
    """
    from autoclave.cli.inspection import print_json
    from autoclave.cli.progress import TerminalProgress
    from autoclave.pipelines.fit_thresholds import fit_threshold_file
    from autoclave.pipelines.recipe import load_settings

    with TerminalProgress() as progress:
        report = fit_threshold_file(
            [reference],
            [target] if target else [],
            out,
            language,
            reference_language=reference_language,
            settings=load_settings(recipe, "clean"),
            limit=documents,
            progress=progress,
        )
    if json:
        print_json(report)
        return
    print_thresholds(report)
    typer.echo(f"thresholds: {out}; in a recipe: clean: {{thresholds_by_language: {out}}}")


def print_thresholds(report: ThresholdReport) -> None:
    """Print, for each language, the limits that were fitted and what they drop."""
    from rich.table import Table

    from autoclave.cli.views import make_console

    known = report.reference_language
    for language, rows in report.languages.items():
        counts = f"{report.documents[known]:,} documents in {known}, {report.documents[language]:,} in {language}"
        table = Table(title=f"Limits for {language} ({counts})", title_justify="left", header_style="bold")
        table.add_column("signal", overflow="fold")
        for heading in (known, f"{language} so far", f"{language} fitted"):
            table.add_column(heading, justify="right")
            table.add_column("drops", justify="right")
        for row in rows:
            cells = []
            for limits, share in (
                (row.reference, row.reference_dropped),
                (row.before, row.before_dropped),
                (row.after, row.after_dropped),
            ):
                cells += [format_limits(*limits), f"{share:.1%}"]
            table.add_row(row.signal, *cells, style="" if row.after != row.before else "dim")
        make_console().print(table)


def format_limits(low: float | None, high: float | None) -> str:
    """Return limits in words: `>= 50`, `<= 0.1`, `3 to 10`."""
    if low is None or high is None:
        return f">= {low:.4g}" if low is not None else f"<= {high:.4g}" if high is not None else "none"
    return f"{low:.6g} to {high:.6g}"


def kenlm_train(
    documents: Texts,
    out: Annotated[str, typer.Option("--out", "-o", help="The model, as in en.arpa.")],
    order: Annotated[int, typer.Option("--order", min=1, max=8, help="Words of the longest n-grams.")] = 5,
    tokenizer: Annotated[
        str | None, typer.Option("--tokenizer", help="tokenizer.json or .model (default: words).")
    ] = None,
    language: Language = None,
    limit: Limit = None,
) -> None:
    """Estimate a modified Kneser-Ney model: with lmplz where it is found, else with our own estimator.

    Example: autoclave kenlm train runs/demo/03-dedup --order 3 --out runs/en.arpa --language en
    """
    from autoclave.pipelines.ngram_training import NgramTrainingSettings, train_ngram_model

    settings = NgramTrainingSettings(order=order, tokenizer=tokenizer, discount_fallback=True)
    estimator = train_ngram_model(documents, out, settings, language=language, limit=limit)
    typer.echo(f"model: {out} (estimated by {'lmplz' if estimator == 'lmplz' else 'our own estimator'})")


def classifier_train(
    positives: Annotated[list[str], typer.Option("--positive", help="Documents to keep more of. Repeatable.")],
    negatives: Annotated[list[str], typer.Option("--negative", help="Documents to keep less of. Repeatable.")],
    out: Annotated[str, typer.Option("--out", "-o", help="The model, as in quality.bin; its report goes beside it.")],
    plot: Annotated[str | None, typer.Option("--plot", help="Draw the calibration to this PNG or SVG.")] = None,
    language: Language = None,
    limit: Limit = None,
) -> None:
    """Train a quality classifier as DCLM does, and measure it on held-out texts.

    Example: autoclave classifier train --positive good.jsonl --negative web.jsonl --out quality.bin
    """
    from autoclave.pipelines.classifier_training import plot_calibration, train_classifier_file

    report = train_classifier_file(positives, negatives, out, language=language, limit=limit)
    if plot is not None:
        plot_calibration(report, plot)
    held_out = report.held_out_positives + report.held_out_negatives
    typer.echo(f"model: {out}; AUC {report.auc:.3f} on {held_out:,} held-out texts")
    typer.echo(f"threshold {report.threshold:.6f} keeps {report.kept_positives:.0%} of the held-out positives")
