"""Commands that train or apply something beside the road: refilter, kenlm, classifier, plan, eval."""

from __future__ import annotations

from typing import Annotated

import typer

from autoclave.cli.stages import Engine, Json, Overrides, Workers

Texts = Annotated[list[str], typer.Argument(help="Stage folders, or files of documents (JSONL, Parquet, text).")]
Language = Annotated[str | None, typer.Option("--language", help="Only documents of this language.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="At most so many documents (of each kind).")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("refilter")(refilter)
    for name, summary, command in (
        ("kenlm", "Train n-gram language models for perplexity filters.", kenlm_train),
        ("classifier", "Train fastText quality classifiers.", classifier_train),
    ):
        group = typer.Typer(help=summary, no_args_is_help=True, rich_markup_mode=None)
        group.callback()(lambda: None)
        group.command("train")(command)
        app.add_typer(group, name=name)
    plan = typer.Typer(help="Memory, speed and days of a training before it is paid for.", no_args_is_help=True)
    plan.callback()(lambda: None)
    plan.command("train")(plan_train)
    app.add_typer(plan, name="plan")
    app.command("eval")(evaluate)


def refilter(
    run: Annotated[str, typer.Argument(help="A run directory, or its clean stage.")],
    overrides: Overrides = None,
    out: Annotated[str | None, typer.Option("--out", "-o", help="Write the new decision as a stage folder.")] = None,
    engine: Engine = "local",
    workers: Workers = None,
    json: Json = False,
) -> None:
    """Decide again with other thresholds, from the ledger, without reading text.

    Example: autoclave refilter runs/demo --set min_words=100
    """
    import msgspec

    from autoclave.pipelines.engine import make_engine
    from autoclave.pipelines.refilter import refilter as decide_again

    running = make_engine(engine, workers)
    try:
        report = decide_again(run, overrides or [], out=out, engine=running)
    finally:
        running.close()
    if json:
        typer.echo(msgspec.json.encode(report).decode())
        return
    typer.echo(f"{report.documents:,} documents: {report.kept_before:,} kept before, {report.kept_after:,} now")
    typer.echo(f"newly kept {report.newly_kept:,}, newly dropped {report.newly_dropped:,}")
    names = sorted(report.reasons_before | report.reasons_after)
    for name in names:
        before, after = report.reasons_before.get(name, 0), report.reasons_after.get(name, 0)
        if before != after:
            typer.echo(f"  {name}: {before:,} -> {after:,}")


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


def plan_train(
    model: Annotated[str, typer.Option("--model", "-m", help="Preset, as in tnl-7b.")],
    gpus: Annotated[int, typer.Option("--gpus", min=1)] = 8,
    gpu: Annotated[str, typer.Option("--gpu", help="Kind, as in h100.")] = "h100",
    tokens_per_gpu: Annotated[int, typer.Option("--tokens-per-gpu", min=1, help="Of one micro-batch.")] = 16_384,
    tensor_parallel: Annotated[int, typer.Option("--tensor-parallel", min=1)] = 1,
    total_tokens: Annotated[float | None, typer.Option("--total-tokens", help="Default: 20 a parameter.")] = None,
    mfu: Annotated[float, typer.Option("--mfu", min=0.01, max=1.0, help="Share of the peak that is reached.")] = 0.4,
    json: Json = False,
) -> None:
    """Memory per GPU by part with its formula, FLOPs, tokens per second and days.

    Example: autoclave plan train --model tnl-7b --gpus 64 --gpu h100
    """
    import msgspec

    from autoclave.cli.training import require_torch

    require_torch("autoclave plan")
    from autoclave.model.config import preset
    from autoclave.model.planning import plan_training

    plan = plan_training(
        preset(model),
        gpus=gpus,
        gpu=gpu,
        tokens_per_gpu=tokens_per_gpu,
        tensor_parallel=tensor_parallel,
        total_tokens=total_tokens,
        mfu=mfu,
    )
    typer.echo(msgspec.json.encode(plan).decode() if json else plan.text())


def evaluate(
    checkpoint: Annotated[str, typer.Argument(help="A training folder or a checkpoint folder.")],
    tasks: Annotated[str, typer.Option("--tasks", help="Names, as in lambada_openai,piqa.")],
    task_folder: Annotated[str | None, typer.Option("--task-folder", help="Offline task files (YAML).")] = None,
    few_shot: Annotated[int | None, typer.Option("--few-shot", min=0)] = None,
    limit: Limit = None,
) -> None:
    """Run tasks of lm-evaluation-harness; prints one JSON document.

    Example: autoclave eval runs/demo/06-train --tasks my_task --task-folder tasks/
    """
    import importlib.util

    import msgspec

    from autoclave.cli.training import require_torch
    from autoclave.errors import MissingDependencyError

    require_torch("autoclave eval")
    if importlib.util.find_spec("lm_eval") is None:
        raise MissingDependencyError("lm_eval", "eval", "autoclave eval")
    from autoclave.model.evaluation import evaluate as run_tasks

    results = run_tasks(checkpoint, tasks.split(","), task_folder=task_folder, few_shot=few_shot, limit=limit)
    typer.echo(msgspec.json.encode(results).decode())
