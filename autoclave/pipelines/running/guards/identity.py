"""A run directory belongs to one recipe: another is refused, and changes are said with what they cost, before a stage
runs.

`identity.json` holds what the run was last made with: the recipe, and the version of the code that decided in each
stage. (`recipe.yaml` is the same recipe for people.)
"""

from __future__ import annotations

import datetime
import platform
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

import autoclave
from autoclave.corpus import checksums
from autoclave.corpus.storage import Folder
from autoclave.errors import DamageError, RunError
from autoclave.pipelines.running.guards.code_version import code_version
from autoclave.pipelines.running.recipe import Recipe
from autoclave.pipelines.running.registry import STAGE_MODULES
from autoclave.pipelines.running.stage import Stage

IDENTITY = "identity.json"
Tell = Callable[[str], None]
Ask = Callable[[str], bool]


class StageIdentity(msgspec.Struct, frozen=True):
    """One stage of a run: its label, its settings as plain values, the version of its code."""

    label: str
    settings: dict[str, Any]
    code: str


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What a run was made with. Dates are UTC."""

    name: str
    inputs: list[str]
    seed: int
    dropped_share: float
    stages: list[StageIdentity]
    autoclave: str
    python: str
    made: str


def identity_of(recipe: Recipe) -> Identity:
    """Return what a run of the recipe, now and with this code, is made with."""
    stages = [
        StageIdentity(one.label, msgspec.to_builtins(one.settings), code_version(STAGE_MODULES[one.stage.name]))
        for one in recipe.stages
    ]
    return Identity(
        name=recipe.name,
        inputs=recipe.inputs,
        seed=recipe.seed,
        dropped_share=recipe.dropped_share,
        stages=stages,
        autoclave=autoclave.__version__,
        python=platform.python_version(),
        made=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


def heading(identity: Identity) -> str:
    """Return the comment that recipe.yaml begins with: the versions and the date."""
    return f"# autoclave {identity.autoclave}, python {identity.python}, {identity.made}\n"


def read_identity(run: Folder, tell: Tell) -> Identity | None:
    """Return what a run was last made with, None for a new directory or where the file is damaged, which is told."""
    if not run.exists(IDENTITY):
        return None
    try:
        return msgspec.json.decode(checksums.read_checked(run, IDENTITY), type=Identity)
    except (DamageError, msgspec.DecodeError, msgspec.ValidationError) as error:
        tell(f"warning: {run.path(IDENTITY)} cannot be compared with the recipe, and is made anew ({error})")
        return None


def write_identity(run: Folder, identity: Identity) -> None:
    data = msgspec.json.format(msgspec.json.encode(identity, order="sorted"), indent=1) + b"\n"
    checksums.write_recorded(run, IDENTITY, data, "run")


def admit(run: Folder, recipe: Recipe, chosen: Sequence[str], yes: bool, ask: Ask | None, tell: Tell) -> Identity:
    """Return the identity of the recipe, after it was compared with what the directory was made with.

    Says which stages will be redone and because of what. chosen: labels of the stages to be run, empty for all. Raises
    RunError for another recipe's directory, naming what differs, and where a trained model would be trained anew,
    unless `yes` says so or `ask` (None: nobody can be asked) is answered with yes.
    """
    new, old = identity_of(recipe), read_identity(run, tell)
    if old is None:
        return new
    other = difference(old, new)
    if other is not None:
        raise RunError(
            f"{run.url} holds a run of another recipe: {other}; choose another name or --run-dir, or remove the folder"
        )
    changed = redone(run, old, new, {planned.label: planned.stage for planned in recipe.stages})
    for line in changed.values():
        tell(line)
    threatened = [label for label in changed if (not chosen or label in chosen) and has_model(run, new, label)]
    if threatened:
        permit(f"the model in {threatened[0]} would be trained anew and the old one go", yes, ask)
    return new


def permit(what: str, yes: bool, ask: Ask | None) -> None:
    """Raise RunError unless `yes`, or a person says yes to what is about to be lost."""
    if not yes and (ask is None or not ask(f"{what}; go on?")):
        raise RunError(f"{what}: nothing was done; say --yes to have it so, or choose another --run-dir")


def difference(old: Identity, new: Identity) -> str | None:
    """Return what makes two recipes different ones, None where they are versions of one: the same name, stages in the
    same places (more or fewer at the end), inputs of which some stayed."""
    if old.name != new.name:
        return f"its name is '{old.name}', not '{new.name}'"
    for place, (before, now) in enumerate(zip(old.stages, new.stages, strict=False), 1):
        if before.label != now.label:
            return f"its stage {place} is '{before.label}', not '{now.label}'"
    if old.inputs and not set(old.inputs) & set(new.inputs):
        return f"its inputs are {_few(old.inputs)}, not {_few(new.inputs)}"
    return None


def redone(run: Folder, old: Identity, new: Identity, stages: dict[str, Stage[Any]]) -> dict[str, str]:
    """Return what is said of each stage that has output and must be redone: label -> which key, and what follows."""
    whole = [*_changes(old.seed, new.seed, "seed"), *_changes(old.dropped_share, new.dropped_share, "dropped_share")]
    found: dict[str, str] = {}
    first: str | None = None
    for place, (before, now) in enumerate(zip(old.stages, new.stages, strict=False), 1):
        stage = stages[now.label]
        causes = [*whole, *(_changes(old.inputs, new.inputs, "inputs") if stage.reads == "sources" else ())]
        causes += _changes(_fixed(before.settings, stage), _fixed(now.settings, stage), now.label)
        if before.code != now.code and stage.writes != "model":  # a training goes on with newer code
            causes.append(f"its code changed (autoclave {old.autoclave} then, {new.autoclave} now)")
        if not run.child(f"{place:02d}-{now.label}").files("*"):
            continue
        if causes:
            found[now.label] = f"{now.label}: will be redone: {'; '.join(causes[:5])}"
            first = first or now.label
        elif first is not None:
            found[now.label] = f"{now.label}: will be redone as far as {first} gives it something else"
    return found


def _fixed(settings: dict[str, Any], stage: Stage[Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in stage.free}


def _changes(old: Any, new: Any, key: str) -> Iterator[str]:
    """Yield 'key: was, is now' for every leaf in which two plain values differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            yield from _changes(old.get(name), new.get(name), f"{key}.{name}")
    elif msgspec.json.encode(old, order="sorted") != msgspec.json.encode(new, order="sorted"):
        yield f"{key} was {_short(old)}, is {_short(new)}"


def _short(value: Any) -> str:
    text = msgspec.json.encode(value, order="sorted").decode()
    return text if len(text) <= 60 else f"{text[:57]}..."


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "") if names else "none"


def has_model(run: Folder, identity: Identity, label: str) -> bool:
    """Whether a stage of the run holds a trained model or a checkpoint of one."""
    place = next(place for place, stage in enumerate(identity.stages, 1) if stage.label == label)
    return holds_model(run.child(f"{place:02d}-{label}"))


def holds_model(folder: Folder) -> bool:
    """Whether a folder holds a trained model or a checkpoint of one."""
    return bool(folder.files("model*.safetensors") or folder.files("checkpoints/step-*"))
