"""Commands beside the road: verify, refilter, plan, eval."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from autoclave.cli.stages import Engine, Json, Overrides, Workers
from autoclave.cli.terminal import say, say_json


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("verify")(verify)
    app.command("refilter")(refilter)
    plan = typer.Typer(help="Memory, speed and days of a training before it is paid for.", no_args_is_help=True)
    plan.callback()(lambda: None)
    plan.command("train")(plan_train)
    app.add_typer(plan, name="plan")
    app.command("eval")(evaluate)


def verify(
    folder: Annotated[str, typer.Argument(help="A run, the folder of a stage, token shards, or a checkpoint.")],
    workers: Annotated[
        int | None, typer.Option("--workers", "-w", min=1, help="Processes that read (default: all cores).")
    ] = None,
    json: Json = False,
) -> None:
    """Read every file and compare it with its checksum; exit code 1, with what to do, where one is damaged or missing.

    Example: autoclave verify runs/demo
    """
    import os

    import msgspec

    from autoclave.cli.progress import TerminalProgress
    from autoclave.cli.tables import print_verification
    from autoclave.cli.views import make_console
    from autoclave.pipelines.reading.verification import verify as verify_folder

    with TerminalProgress() as progress:

        def advance(done: int, total: int) -> None:
            progress.update("verify", done, total, "files")

        found = verify_folder(folder, workers or os.cpu_count() or 1, advance)
    if json:
        say_json(msgspec.json.encode(found))
    else:
        print_verification(found, make_console())
    if found.findings:
        raise typer.Exit(1)


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

    from autoclave.pipelines.reading.refilter import refilter as decide_again
    from autoclave.pipelines.running.engine import make_engine

    running = make_engine(engine, workers)
    try:
        report = decide_again(run, overrides or [], out=out, engine=running)
    finally:
        running.close()
    if json:
        say_json(msgspec.json.encode(report))
        return
    say(f"{report.documents:,} documents: {report.kept_before:,} kept before, {report.kept_after:,} now")
    say(f"newly kept {report.newly_kept:,}, newly dropped {report.newly_dropped:,}")
    names = sorted(report.reasons_before | report.reasons_after)
    for name in names:
        before, after = report.reasons_before.get(name, 0), report.reasons_after.get(name, 0)
        if before != after:
            say(f"  {name}: {before:,} -> {after:,}")


def plan_train(
    model: Annotated[str, typer.Option("--model", "-m", help="Preset, as in tnl-7b.")],
    gpus: Annotated[int, typer.Option("--gpus", min=1)] = 8,
    gpu: Annotated[str, typer.Option("--gpu", help="Kind, as in h100.")] = "h100",
    tokens_per_gpu: Annotated[int, typer.Option("--tokens-per-gpu", min=1, help="Of one micro-batch.")] = 16_384,
    tensor_parallel: Annotated[int, typer.Option("--tensor-parallel", min=1)] = 1,
    activation_checkpointing: Annotated[
        Literal["none", "selective", "full"],
        typer.Option("--activation-checkpointing", help="Layers computed again: none, every second one, all."),
    ] = "none",
    total_tokens: Annotated[float | None, typer.Option("--total-tokens", help="Default: 20 a parameter.")] = None,
    mfu: Annotated[
        float, typer.Option("--mfu", min=0.01, max=1.0, help="Share of the peak, recomputation aside.")
    ] = 0.4,
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
        activation_checkpointing=activation_checkpointing,
        total_tokens=total_tokens,
        mfu=mfu,
    )
    say_json(msgspec.json.encode(plan)) if json else say(plan.text())


def evaluate(
    checkpoint: Annotated[str, typer.Argument(help="A training folder or a checkpoint folder.")],
    tasks: Annotated[str, typer.Option("--tasks", help="Names, as in lambada_openai,piqa.")],
    task_folder: Annotated[str | None, typer.Option("--task-folder", help="Offline task files (YAML).")] = None,
    few_shot: Annotated[int | None, typer.Option("--few-shot", min=0)] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many documents of a task.")] = None,
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
    from autoclave.model.inference.evaluation import evaluate as run_tasks

    results = run_tasks(checkpoint, tasks.split(","), task_folder=task_folder, few_shot=few_shot, limit=limit)
    say_json(msgspec.json.encode(results))
