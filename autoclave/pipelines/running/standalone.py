"""One stage outside of a recipe: `autoclave clean DIR --out DIR` and its sisters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autoclave.corpus.commits import read_commits
from autoclave.corpus.sources import resolve_inputs
from autoclave.corpus.storage import Folder
from autoclave.errors import RunError
from autoclave.pipelines.running.engine import Engine
from autoclave.pipelines.running.funnel import Summary, find_alarms, fold, write_summary
from autoclave.pipelines.running.guards.code_version import code_version
from autoclave.pipelines.running.guards.losses import note_missing, refuse_to_go_on
from autoclave.pipelines.running.guards.settings import GuardSettings
from autoclave.pipelines.running.recipe import apply_override, convert
from autoclave.pipelines.running.registry import STAGE_MODULES, load_stage
from autoclave.pipelines.running.run import locked
from autoclave.pipelines.running.stage import (
    DocumentShard,
    Progress,
    StageContext,
    document_shards,
    refuse_run_directory,
)

IMPORT_PHASE = "phases/import"


def run_stage(
    kind: str,
    inputs: Sequence[str],
    out: str,
    engine: Engine,
    progress: Progress,
    *,
    settings: dict[str, Any] | None = None,
    overrides: Sequence[str] = (),
    seed: int = 0,
) -> Summary:
    """Run one stage on `inputs` with its output in the folder `out`; finished shards are not redone.

    For all stages but extract, `inputs` is one folder: the output of an earlier stage, or documents as JSONL or
    Parquet (which are read in first, as `extract` would). `overrides` are `key=value` of the stage's settings, or of
    the guards (`guards.task_seconds=60`).
    Raises RecipeError for wrong settings and InputError for missing inputs.
    """
    stage = load_stage(kind)
    document: dict[str, Any] = {"name": kind, "stages": {kind: dict(settings or {})}}
    for override in overrides:
        whole = override if override.startswith("guards.") else f"{kind}.{override.removeprefix(kind + '.')}"
        apply_override(document, whole)
    guards = convert(document.get("guards", {}), GuardSettings, "guards")
    folder = Folder(out)
    with locked(folder):
        folder.remove_partials()
        checked = convert(document["stages"][kind], stage.settings, kind)
        context = StageContext(kind, folder, checked, seed, engine, progress=progress, guards=guards)
        context.code = code_version(STAGE_MODULES[kind])
        if stage.reads == "sources":
            context.sources = list(inputs)
        elif stage.reads == "tokens":
            context.previous = Folder(inputs[0])
        else:
            context.inputs = open_documents_folder(inputs[0], folder, engine, progress, guards)
            context.previous = Folder(inputs[0])
        stage.run(context)
        note_missing(context)
        rows = [fold(kind, folder, context.commits or read_commits(folder))]
        summary = Summary(name=kind, stages=rows, alarms=find_alarms(rows), results=context.results)
        write_summary(folder, summary)
        return summary


def open_documents_folder(
    argument: str, out: Folder, engine: Engine, progress: Progress, guards: GuardSettings | None = None
) -> list[DocumentShard]:
    """Return the document shards of a stage directory; other documents (JSONL, Parquet, ...) are read in first.

    Raises InputError where the folder holds neither, naming the stages of a run directory if that is what it is, and
    RunError where documents were lost or nothing could be read, unless the guards say to continue.
    """
    folder = Folder(argument)
    if folder.files("commits/*.json"):
        return document_shards(folder)
    refuse_run_directory(folder)
    resolve_inputs([argument])
    extract = load_stage("extract")
    guards = guards or GuardSettings()
    place = out.child(IMPORT_PHASE)
    imported = StageContext(
        "import", place, extract.settings(), 0, engine, sources=[argument], progress=progress, guards=guards
    )
    imported.code = code_version(STAGE_MODULES["extract"])
    extract.run(imported)
    row = fold("import", place, imported.commits)
    if row.documents_in == row.errors and row.loss is not None:
        raise RunError(f"{argument}: {row.loss}")
    if guards.on_lost_shard == "stop":
        refuse_to_go_on([row], "the stage", "--set guards.on_lost_shard=continue")
    return document_shards(imported.folder)
