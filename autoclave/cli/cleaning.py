"""Commands that make what the clean stage needs: thresholds, evaluation indexes, classifiers, n-gram models."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from autoclave.cli.stages import Json, Overrides
from autoclave.cli.terminal import say
from autoclave.pipelines.running.guards.printable import printable

if TYPE_CHECKING:
    from autoclave.pipelines.fitting.evaluation_index import ContaminationSummary
    from autoclave.pipelines.fitting.thresholds import ThresholdReport

Texts = Annotated[list[str], typer.Argument(help="Stage folders, or files of documents (JSONL, Parquet, text).")]
Language = Annotated[str | None, typer.Option("--language", help="Only documents of this language.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="At most so many documents (of each kind).")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    groups: list[tuple[str, str, dict[str, Callable[..., None]]]] = [
        ("thresholds", "Fit the limits of filters for other languages.", {"fit": thresholds_fit}),
        (
            "decontaminate",
            "Keep texts of evaluation sets out of the corpus.",
            {"index": decontaminate_index, "list": decontaminate_list},
        ),
        (
            "kenlm",
            "Train n-gram language models for perplexity filters.",
            {"train": kenlm_train, "cutoffs": kenlm_cutoffs},
        ),
        ("classifier", "Train fastText quality classifiers.", {"train": classifier_train}),
    ]
    for name, summary, commands in groups:
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
    from autoclave.pipelines.fitting.thresholds import fit_threshold_file
    from autoclave.pipelines.running.recipe import load_settings

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
    say(f"thresholds: {out}; in a recipe: clean: {{thresholds_by_language: {out}}}")


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


def decontaminate_index(
    sets: Annotated[
        list[str], typer.Argument(metavar="EVALSETS...", help="JSONL, Parquet or text files, folders, globs.")
    ],
    out: Annotated[str, typer.Option("--out", "-o", help="The index, as in evaluation.npz.")],
    fields: Annotated[
        list[str] | None,
        typer.Option("--field", help="Only the strings of this field or column. Repeatable (default: all)."),
    ] = None,
    sizes: Annotated[
        list[int] | None, typer.Option("--ngram", min=1, max=255, help="Words of an n-gram. Repeatable (default: 13).")
    ] = None,
    unspaced_sizes: Annotated[
        list[int] | None,
        typer.Option(
            "--unspaced-ngram", min=1, max=255, help="The same in characters, for Chinese and such (default: 20)."
        ),
    ] = None,
    least: Annotated[int, typer.Option("--least", min=1, help="Shorter items are not looked for.")] = 8,
    json: Json = False,
) -> None:
    """Index evaluation sets, for the filter `decontamination` and for `list --index`.

    Example: autoclave decontaminate index examples/crawl/english.jsonl.zst --field text --out runs/evaluation.npz
    """
    import msgspec

    from autoclave.cleaning.decontamination.index import IndexSettings
    from autoclave.cli.inspection import print_json
    from autoclave.cli.progress import TerminalProgress
    from autoclave.pipelines.fitting.evaluation_index import index_evaluation_sets

    given = {
        "fields": fields or None, "sizes": sizes, "unspaced_sizes": unspaced_sizes, "least": least,
        "unspaced_least": max(least, IndexSettings().unspaced_least),
    }  # fmt: skip
    changes = {name: value for name, value in given.items() if value is not None}
    settings = msgspec.structs.replace(IndexSettings(), **changes)
    with TerminalProgress() as progress:
        summary = index_evaluation_sets(sets, out, settings, progress)
    if json:
        print_json(summary)
        return
    say(f"index: {out}: {summary.sets:,} sets, {summary.items:,} items, {summary.ngrams:,} n-grams")
    if summary.skipped:
        say(f"{summary.skipped:,} items are too short to be looked for")


def decontaminate_list(
    run: Annotated[
        str, typer.Argument(help="A run whose clean stage has the filter; with --index a stage folder, or documents.")
    ],
    index: Annotated[
        str | None, typer.Option("--index", help="Look through the texts for what this index has.")
    ] = None,
    out: Annotated[str | None, typer.Option("--out", "-o", help="Write every hit as a line of JSON.")] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=0, help="Hits to show.")] = 20,
    json: Json = False,
) -> None:
    """What was hit: evaluation set, item, document.

    Of a run, what its filter found, from the ledger (the item that a document holds most of); with --index, what
    documents hold now, item by item.

    Example: autoclave decontaminate list runs/demo/03-dedup --index runs/evaluation.npz --out runs/hits.jsonl
    """
    from autoclave.cli.inspection import print_json
    from autoclave.cli.progress import TerminalProgress
    from autoclave.pipelines.fitting.evaluation_index import list_contamination

    with TerminalProgress() as progress:
        summary = list_contamination(run, index, out=out, most=count, progress=progress)
    if json:
        print_json(summary)
        return
    print_contamination(summary)
    if out is not None:
        say(f"hits: {out}")


def print_contamination(summary: ContaminationSummary) -> None:
    """Print what was hit by evaluation set, and the first hits."""
    from rich.table import Table
    from rich.text import Text

    from autoclave.cli.views import make_console

    console = make_console()
    share = summary.contaminated / summary.documents if summary.documents else 0.0
    console.print(
        f"{summary.contaminated:,} of {summary.documents:,} documents ({share:.2%}) hold text of an evaluation set"
    )
    if not summary.contaminated:
        return
    from_run = any(row.dropped is not None for row in summary.sets.values())
    table = Table(title="Evaluation sets", title_justify="left", header_style="bold")
    table.add_column("set")
    for heading in ("items", "items hit", "documents", *(["dropped"] if from_run else [])):
        table.add_column(heading, justify="right")
    for name, row in summary.sets.items():
        numbers = [row.items, row.items_hit, row.documents, *([row.dropped or 0] if from_run else [])]
        table.add_row(Text(name), *(f"{number:,}" for number in numbers), style="" if row.documents else "dim")
    console.print(table)
    table = Table(title="Hits", title_justify="left", header_style="bold")
    for heading in ("set", "item", "document", "address"):
        table.add_column(heading, overflow="fold")
    for heading in ("n-grams", "size", *(["share", "verdict"] if from_run else [])):
        table.add_column(heading, justify="right")
    for hit in summary.hits:
        cells = [f"{hit.ngrams:,}", str(hit.size)]
        if from_run:
            cells += [f"{hit.share or 0:.0%}", "kept" if hit.kept else "dropped"]
        table.add_row(Text(hit.set), str(hit.item), hit.doc_id, Text(printable(hit.url or "", lines=False)), *cells)
    console.print(table)


def kenlm_train(
    documents: Texts,
    out: Annotated[str, typer.Option("--out", "-o", help="The model, as in en.arpa.")],
    order: Annotated[int, typer.Option("--order", min=1, max=8, help="Words of the longest n-grams.")] = 5,
    tokenizer: Annotated[
        str | None, typer.Option("--tokenizer", help="tokenizer.json or .model (default: words).")
    ] = None,
    language: Language = None,
    limit: Limit = None,
    overrides: Overrides = None,
    json: Json = False,
) -> None:
    """Estimate a modified Kneser-Ney model: with lmplz where it is found, else with our own estimator.

    Example: autoclave kenlm train runs/demo/03-dedup --order 3 --out runs/en.arpa --language en
    """
    from autoclave.cli.inspection import print_json
    from autoclave.pipelines.fitting.ngram_model import NgramTrainingSettings, train_ngram_model
    from autoclave.pipelines.running.recipe import convert_overrides

    given = {"order": order, "tokenizer": tokenizer, "discount_fallback": True}
    settings = convert_overrides(given, overrides or [], NgramTrainingSettings)
    estimator = train_ngram_model(documents, out, settings, language=language, limit=limit)
    if json:
        print_json({"model": out, "estimator": estimator})
        return
    say(f"model: {out} (estimated by {'lmplz' if estimator == 'lmplz' else 'our own estimator'})")


def kenlm_cutoffs(
    documents: Texts,
    models: Annotated[
        list[str], typer.Option("--model", "-m", metavar="LANGUAGE=FILE", help="A language's model. Repeatable.")
    ],
    out: Annotated[str, typer.Option("--out", "-o", help="JSON file for the filter's `cutoffs`.")],
    tokenizers: Annotated[
        list[str] | None,
        typer.Option("--tokenizer", metavar="LANGUAGE=FILE", help="The model's tokenizer, if it has one. Repeatable."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=100, help="Documents of each language to sample.")] = 10_000,
    json: Json = False,
) -> None:
    """Fit where CCNet's head, middle and tail begin: the 30th and 60th percentile of each language's perplexity.

    Example: autoclave kenlm cutoffs runs/demo/02-clean --model en=runs/en.arpa --out runs/cutoffs.json
    """
    from autoclave.cli.inspection import print_json
    from autoclave.pipelines.fitting.ngram_model import fit_cutoff_file

    cutoffs = fit_cutoff_file(
        by_language(models), documents, out, tokenizers=by_language(tokenizers or []), limit=limit
    )
    if json:
        print_json({"cutoffs": cutoffs})
        return
    for code, (head, middle) in cutoffs.items():
        say(f"{code}: head below {head:.1f}, middle below {middle:.1f}, tail from there")
    say(f"cut-offs: {out}")


def by_language(pairs: list[str]) -> dict[str, str]:
    """Return language -> file of `en=en.arpa` and the like; RecipeError for another form."""
    from autoclave.errors import RecipeError

    found: dict[str, str] = {}
    for pair in pairs:
        language, separator, path = pair.partition("=")
        if not separator or not language or not path:
            raise RecipeError(f"{pair}: write it as language=file, as in en=runs/en.arpa")
        found[language] = path
    return found


def classifier_train(
    positives: Annotated[list[str], typer.Option("--positive", help="Documents to keep more of. Repeatable.")],
    negatives: Annotated[list[str], typer.Option("--negative", help="Documents to keep less of. Repeatable.")],
    out: Annotated[str, typer.Option("--out", "-o", help="The model, as in quality.bin; its report goes beside it.")],
    keep: Annotated[
        float, typer.Option("--keep", min=0, max=1, help="Share of the held-out negatives that the threshold keeps.")
    ] = 0.1,
    plot: Annotated[str | None, typer.Option("--plot", help="Draw the calibration to this PNG or SVG.")] = None,
    language: Language = None,
    limit: Limit = None,
    overrides: Overrides = None,
    json: Json = False,
) -> None:
    """Train a quality classifier as DCLM does, and measure it on held-out texts.

    Example: autoclave classifier train --positive examples/crawl/english.jsonl.zst --negative runs/demo/03-dedup
    --out runs/quality.bin --set buckets=100000
    """
    from autoclave.cleaning.classifier.quality import ClassifierSettings
    from autoclave.cli.inspection import print_json
    from autoclave.pipelines.fitting.classifier import plot_calibration, train_classifier_file
    from autoclave.pipelines.running.recipe import convert_overrides

    settings = convert_overrides({"keep": keep}, overrides or [], ClassifierSettings)
    report = train_classifier_file(positives, negatives, out, settings, language=language, limit=limit)
    if plot is not None:
        plot_calibration(report, plot)
    if json:
        print_json(report)
        return
    held_out = report.held_out_positives + report.held_out_negatives
    say(f"model: {out}, trained on {report.positives:,} positives and {report.negatives:,} negatives")
    say(f"AUC {report.auc:.3f} on {held_out:,} held-out texts")
    kept = f"{settings.keep:.0%} of the held-out negatives and {report.kept_positives:.0%} of the held-out positives"
    say(f"threshold {report.threshold:.6f} keeps {kept}")
    say(f"in a recipe: filters: [{{quality_classifier: {{model: {out}, threshold: {report.threshold:.6f}}}}}]")
    if plot is not None:
        say(f"calibration: {plot}")
