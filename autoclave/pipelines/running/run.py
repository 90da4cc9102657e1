"""One execution of a recipe: stages in order, each resumed where it stopped, then the summary and the report."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import importlib.util
import os
from collections.abc import Iterator, Sequence
from typing import Any

from autoclave.corpus import checksums
from autoclave.corpus.commits import read_commits
from autoclave.corpus.storage import Folder
from autoclave.errors import RecipeError, RunError
from autoclave.pipelines.running.engine import Engine
from autoclave.pipelines.running.funnel import StageRow, Summary, find_alarms, fold, write_summary
from autoclave.pipelines.running.guards.identity import Ask, admit, heading, permit, write_identity
from autoclave.pipelines.running.guards.losses import note_missing, refuse_to_go_on
from autoclave.pipelines.running.recipe import PlannedStage, Recipe
from autoclave.pipelines.running.stage import Progress, Silent, StageContext, document_shards


def run_recipe(
    recipe: Recipe,
    run_folder: str,
    engine: Engine,
    *,
    stages: Sequence[str] = (),
    progress: Progress | None = None,
    yes: bool = False,
    ask: Ask | None = None,
) -> Summary:
    """Run a recipe, or the `stages` of it that are named, in `run_folder` and return what was done.

    Finished shards are not redone. Raises RecipeError for stage names that the recipe lacks or settings that the engine
    cannot run, InputError where a stage that is not run has left no output, RunError where another process works in the
    same directory, where it is another recipe's, or where a trained model would go and neither `yes` nor an answer to
    `ask` allows it (guards/identity.py).
    """
    labels = [planned.label for planned in recipe.stages]
    for name in stages:
        if name not in labels:
            raise RecipeError(f"--stages {name}: the recipe has {', '.join(labels)}")
    for planned in recipe.stages:
        if planned.stage.check is not None and (not stages or planned.label in stages):
            planned.stage.check(planned.settings, engine)
    run = Folder(run_folder)
    with locked(run):
        run.remove_partials()
        identity = admit(run, recipe, stages, yes, ask, (progress or Silent()).message)
        permission = functools.partial(permit, yes=yes, ask=ask)
        checksums.reopen(run, "run")
        checksums.write_recorded(run, "recipe.yaml", (heading(identity) + recipe.resolved()).encode(), "run")
        write_identity(run, identity)
        rows: list[StageRow] = []
        results: dict[str, float] = {}
        for position, planned in enumerate(recipe.stages):
            context = make_context(recipe, run, position, planned, engine, progress or Silent())
            context.code, context.permit = identity.stages[position].code, permission
            if not stages or planned.label in stages:
                if recipe.guards.on_lost_shard == "stop":
                    refuse_to_go_on(rows, planned.label, "--on-lost-shard continue")
                connect(recipe, run, position, context)
                planned.stage.run(context)
                note_missing(context)
            commits = context.commits or list(read_commits(context.folder))
            row = fold(planned.label, context.folder, commits)
            rows.append(row)
            results |= context.results
            summary = Summary(name=recipe.name, stages=rows, alarms=find_alarms(rows), results=results)
            write_summary(run, summary)
            if planned.stage.writes == "documents" and row.documents_in and not row.kept and position + 1 < len(labels):
                cause = f" ({row.loss})" if row.loss else ""
                raise RunError(
                    f"{planned.label} kept none of {row.documents_in} documents{cause};"
                    f" see why: autoclave inspect {run.url}"
                )
        write_report_if_possible(run, progress or Silent())
        checksums.close(run, [], "run")
    return summary


def write_report_if_possible(run: Folder, progress: Progress) -> None:
    """Write report.html where matplotlib (the extra `report`) is installed; say so where it is not."""
    if importlib.util.find_spec("matplotlib") is None:
        progress.message("no report.html: its plots need matplotlib (pip install 'autoclave[report]')")
        return
    from autoclave.pipelines.reading.report import write_report

    write_report(run)


def stage_folder_name(position: int, label: str) -> str:
    return f"{position + 1:02d}-{label}"


def make_context(
    recipe: Recipe, run: Folder, position: int, planned: PlannedStage, engine: Engine, progress: Progress
) -> StageContext[Any]:
    """Return the context of a stage, not yet connected to the stage before it."""
    return StageContext(
        name=planned.label,
        folder=run.child(stage_folder_name(position, planned.label)),
        settings=planned.settings,
        seed=recipe.seed,
        engine=engine,
        sources=recipe.inputs,
        progress=progress,
        dropped_share=recipe.dropped_share,
        guards=recipe.guards,
    )


def connect(recipe: Recipe, run: Folder, position: int, context: StageContext[Any]) -> None:
    """Give a stage what it reads: the nearest stage before it that writes that kind; RecipeError where none does."""
    wanted = recipe.stages[position].stage.reads
    if wanted == "sources":
        if not recipe.inputs:
            raise RecipeError(f"the stage {context.name} reads raw files, and the recipe names no inputs")
        return
    for before in range(position - 1, -1, -1):
        planned = recipe.stages[before]
        if planned.stage.writes == wanted:
            context.previous = run.child(stage_folder_name(before, planned.label))
            if wanted == "documents":
                context.inputs = document_shards(context.previous)
            return
    raise RecipeError(f"the stage {context.name} reads {wanted}, and no stage before it in the recipe makes them")


@contextlib.contextmanager
def locked(run: Folder) -> Iterator[None]:
    """Hold a local run directory for this process; RunError where another holds it. The lock goes with the process."""
    if not run.is_local:
        yield
        return
    os.makedirs(run.root, exist_ok=True)
    with open(f"{run.root}/.lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(f"{run.url}: another autoclave process is working in this directory") from error
        yield
