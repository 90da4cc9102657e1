"""Recipes: a YAML file that names inputs, stages and their settings, checked by types before anything runs."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import yaml

from autoclave.corpus.yaml_values import read_yaml, with_remedy, write_yaml
from autoclave.errors import InputError, RecipeError
from autoclave.pipelines.running.guards.settings import GuardSettings
from autoclave.pipelines.running.registry import STAGE_MODULES, load_stage
from autoclave.pipelines.running.stage import Stage


class RecipeFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The top level of a recipe."""

    name: str
    """Names the run directory (runs/<name>) unless --run-dir says otherwise."""
    inputs: list[str] = []
    """Files, folders, globs or URLs (s3://...), relative to the current directory."""
    stages: dict[str, dict[str, Any] | None]
    """Stages in order, each with its settings. A stage that is used twice gets a suffix: dedup-exact, dedup-near."""
    seed: int = 0
    """Decides every random choice of the run."""
    dropped_share: float = 1.0
    """Share of the dropped texts to keep for people to look at (0 to 1)."""
    guards: GuardSettings = GuardSettings()
    """Limits of a task, and what a lost shard means; below."""


class TrainingFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a YAML file for `autoclave train` may say."""

    shards: str
    train: dict[str, Any] | None = None
    seed: int = 0


@dataclass(frozen=True)
class PlannedStage:
    """One stage of a recipe with its settings decoded: `label` names its directory, `stage` its kind."""

    label: str
    stage: Stage[Any]
    settings: msgspec.Struct


@dataclass(frozen=True)
class Recipe:
    """A checked recipe."""

    name: str
    inputs: list[str]
    stages: list[PlannedStage]
    seed: int
    dropped_share: float
    guards: GuardSettings = field(default_factory=GuardSettings)

    def resolved(self) -> str:
        """Return the recipe as YAML with every setting spelled out."""
        document = {
            "name": self.name,
            "inputs": self.inputs,
            "seed": self.seed,
            "dropped_share": self.dropped_share,
            "guards": msgspec.to_builtins(self.guards),
            "stages": {planned.label: msgspec.to_builtins(planned.settings) for planned in self.stages},
        }
        return write_yaml(document, width=120)


def load_recipe(path: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe; `overrides` are `stage.key=value` with YAML values.

    Raises InputError where there is no such file and RecipeError, naming the key and what would be right, for
    everything else.
    """
    document = read_recipe(path, "a recipe is a mapping with the keys name, inputs and stages")
    for override in overrides:
        apply_override(document, override)
    return check_recipe(document, path)


def read_recipe(path: str, form: str) -> dict[str, Any]:
    """Return the mapping that a YAML file holds; InputError where there is no such file, RecipeError where it is no
    mapping, which `form` describes."""
    try:
        document = read_yaml(Path(path).read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError) as error:
        raise InputError(f"{path}: no such recipe file") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: not UTF-8 text ({error}); save it as UTF-8") from error
    except yaml.YAMLError as error:
        raise RecipeError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise RecipeError(f"{path}: {form}")
    return document


def load_settings(path: str | None, kind: str) -> Any:
    """Return the settings of a recipe's first stage of a kind; the defaults where there is no recipe or stage."""
    planned = load_recipe(path).stages if path is not None else []
    return next((one.settings for one in planned if one.stage.name == kind), load_stage(kind).settings())


def check_recipe(document: Mapping[str, Any], place: str) -> Recipe:
    """Check a recipe given as plain values; `place` names it in messages."""
    top = convert(document, RecipeFile, place)
    planned = []
    check_name(top.name, f"{place}: name")
    for label, settings in top.stages.items():
        kind = label.split("-", 1)[0]
        check_name(label, f"{place}: stages")
        if kind not in STAGE_MODULES:
            raise RecipeError(f"{place}: unknown stage '{label}'; {_suggest(kind, list(STAGE_MODULES))}")
        stage = load_stage(kind)
        planned.append(PlannedStage(label, stage, convert(settings or {}, stage.settings, f"{place}: stages.{label}")))
    if not planned:
        raise RecipeError(f"{place}: a recipe needs at least one stage")
    if not 0 <= top.dropped_share <= 1:
        raise RecipeError(f"{place}: dropped_share is a share between 0 and 1, not {top.dropped_share}")
    return Recipe(top.name, list(top.inputs), planned, top.seed, top.dropped_share, top.guards)


def check_name(name: str, place: str) -> None:
    """Raise RecipeError for a name that would be no plain folder: it could leave the folder of runs."""
    if not name or name in (".", "..") or "/" in name or "\\" in name or not name.isprintable() or name != name.strip():
        raise RecipeError(f"{place}: {name!a} names a folder: write it without slashes and control characters")
    if len(name.encode("utf-8", "surrogatepass")) > 200:
        raise RecipeError(f"{place}: the name is longer than 200 bytes")


def convert(values: Any, kind: type[Any], place: str) -> Any:
    """Return `values` as the settings type `kind`; RecipeError in one line that names the key and what it may be."""
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        message = with_remedy(error)
        path = re.search(r" - at '(.+)'$", message)
        message = re.sub(r" - at '(.+)'$", "", message)
        where = f" at {path.group(1).removeprefix('$.').removeprefix('$')}" if path else ""
        unknown = re.search(r"unknown key '(.+?)'", message)
        hint = ""
        if unknown:
            hint = f"; {_suggest(unknown.group(1), _field_names(kind, path.group(1) if path else '$'))}"
        raise RecipeError(f"{place}{where}: {message}{hint}") from error
    except ValueError as error:  # a settings type's own check in __post_init__
        raise RecipeError(f"{place}: {error}") from error


def _field_names(kind: Any, path: str) -> list[str]:
    """Return the keys that a settings type takes at a place such as `$.language`."""
    for part in [p for p in path.removeprefix("$").split(".") if p and not p.startswith("[")]:
        hints = {field.name: field.type for field in msgspec.structs.fields(kind)} if _is_struct(kind) else {}
        kind = next((k for k in _members(hints.get(part.split("[")[0])) if _is_struct(k)), None)
    return [field.encode_name for field in msgspec.structs.fields(kind)] if _is_struct(kind) else []


def _members(kind: Any) -> list[Any]:
    return [kind, *getattr(kind, "__args__", ())]


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _suggest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known) or 'none'}"


def convert_overrides(values: Mapping[str, Any], overrides: Sequence[str], kind: type[Any]) -> Any:
    """Return settings outside of a recipe: `values` changed by `--set KEY=VALUE`; RecipeError as `convert` has it."""
    document: dict[str, Any] = {"stages": {"settings": dict(values)}}
    for override in overrides:
        apply_override(document, f"settings.{override}")
    return convert(document["stages"]["settings"], kind, "--set")


def apply_override(document: dict[str, Any], override: str) -> None:
    """Set one value of a recipe: `clean.min_words=30` means stages.clean.min_words; `seed=3`, `inputs=[a, b]`.

    Values are YAML. Raises RecipeError where the form is wrong or a path goes through a value that holds no keys.
    """
    path, separator, text = override.partition("=")
    keys = path.strip().split(".")
    if not separator or not all(keys):
        raise RecipeError(f"--set {override}: write it as stage.key=value, as in --set clean.min_words=30")
    if keys[0] not in RecipeFile.__struct_fields__:
        stages = document.get("stages") or {}
        if keys[0] not in stages:
            raise RecipeError(
                f"--set {override}: the recipe has no stage '{keys[0]}'; {_suggest(keys[0], list(stages))}"
            )
        keys = ["stages", *keys]
    place: Any = document
    for key in keys[:-1]:
        inner = place.get(key)
        if inner is None:
            inner = place[key] = {}
        if not isinstance(inner, dict):
            raise RecipeError(f"--set {override}: '{key}' holds {inner!r}, which has no keys")
        place = inner
    try:
        place[keys[-1]] = read_yaml(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {override}: not a YAML value: {' '.join(str(error).split())}") from error
