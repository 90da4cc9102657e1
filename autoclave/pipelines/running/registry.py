"""Where each stage lives. Modules are imported when a recipe names them, so that a filter job never loads torch."""

from __future__ import annotations

import importlib
from typing import Any

from autoclave.errors import MissingDependencyError
from autoclave.pipelines.running.stage import Stage

STAGE_MODULES = {
    "extract": "autoclave.pipelines.extract",
    "clean": "autoclave.pipelines.clean",
    "dedup": "autoclave.pipelines.dedup.stage",
    "selfclean": "autoclave.pipelines.selfclean.stage",
    "tokenize": "autoclave.pipelines.tokenize.stage",
    "train": "autoclave.pipelines.train.stage",
}


def load_stage(name: str) -> Stage[Any]:
    """Return the stage of that name; MissingDependencyError where it needs an extra that is not installed."""
    try:
        stage: Stage[Any] = importlib.import_module(STAGE_MODULES[name]).STAGE
    except ModuleNotFoundError as error:
        if error.name == "torch":
            raise MissingDependencyError("torch", "train", f"the stage {name}") from error
        raise
    return stage
