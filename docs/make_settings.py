"""Write docs/settings.md from the settings types: `python docs/make_settings.py`. A test keeps it current."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from pathlib import Path
from typing import Any, Literal, get_origin

import msgspec

from autoclave.cleaning.transforms.registry import TRANSFORMS
from autoclave.corpus.yaml_values import write_yaml
from autoclave.pipelines.running.recipe import RecipeFile
from autoclave.pipelines.running.registry import STAGE_MODULES, load_stage

HEAD = """# Settings

Made by `docs/make_settings.py` from the code: every key that a recipe may have, with its default. `--set
stage.key=value` changes one from the command line (the value is YAML): `--set clean.language.min_score=0.5`. What
recipes look like is in [recipes.md](recipes.md).
"""

OPTIONS = """Options of transforms, as in `transforms: [strip_urls, {redact_pii: {kinds: [email, ip]}}]`:

| option | default | |
| --- | --- | --- |"""


def explanations(kind: type[msgspec.Struct]) -> dict[str, str]:
    """Return what the source says of each field, of this type or of those that it inherits or derives from."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        if "derived_from" in vars(one):
            for source in vars(one)["derived_from"]:
                found |= explanations(source)
        elif issubclass(one, msgspec.Struct) and one is not msgspec.Struct:
            found |= own_explanations(one)
    return found


def own_explanations(kind: type[msgspec.Struct]) -> dict[str, str]:
    """Return what the class says of its fields: the string below each, or its line in the class's docstring."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(tree, ast.ClassDef)
    found: dict[str, str] = {}
    for statement, after in zip(tree.body, [*tree.body[1:], ast.Pass()], strict=True):
        named = isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
        if named and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            found[statement.target.id] = " ".join(str(after.value.value).split())
    names = {field.name for field in msgspec.structs.fields(kind)}
    current: list[str] = []
    for line in (kind.__doc__ or "").splitlines():
        for clause in re.split(r"; (?=\w+(?:, \w+)*: )", line.strip()):
            match = re.match(r"(\w+(?:, \w+)*): (.+)$", clause)
            if match and set(match.group(1).split(", ")) <= names:
                current = match.group(1).split(", ")
                found.update({name: match.group(2) for name in current if name not in found})
            elif clause and current and line.startswith("        "):
                found.update({name: f"{found[name]} {clause}" for name in current})
    return found


def members(kind: Any) -> list[Any]:
    return [kind, *(inner for part in getattr(kind, "__args__", ()) for inner in members(part))]


def inline_yaml(value: Any) -> str:
    text = write_yaml(msgspec.to_builtins(value), default_flow_style=True, width=10_000)
    return text.removesuffix("...\n").strip()


def choices(kind: Any) -> str:
    """Return the values of a Literal type, '' for others."""
    values = [value for member in members(kind) if get_origin(member) is Literal for value in member.__args__]
    return ", ".join(str(value) for value in values)


def rows(kind: type[msgspec.Struct], prefix: str = "") -> list[str]:
    """Return one table row a field, nested settings below their own key."""
    known = explanations(kind)
    result = []
    for field in msgspec.structs.fields(kind):
        nested = next((m for m in members(field.type) if isinstance(m, type) and issubclass(m, msgspec.Struct)), None)
        if field.default is not msgspec.NODEFAULT:
            default = field.default
        elif field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        else:
            default = "(needed)"
        shown = "" if nested is not None and default is not None else f"`{inline_yaml(default)}`"
        text = known.get(field.name) or choices(field.type)
        text = text.replace("|", "\\|")
        result.append(f"| `{prefix}{field.name}` | {shown} | {text} |")
        if nested is not None:
            result += rows(nested, f"{prefix}{field.name}.")
    return result


def transform_rows() -> list[str]:
    """Return a row for each option of each transform."""
    settable = [transform for transform in TRANSFORMS.values() if transform.options is not None]
    return [row for transform in settable for row in rows(type(transform.options), f"{transform.name}.")]


def document() -> str:
    parts = [HEAD, "## The recipe", "", "| key | default | |", "| --- | --- | --- |", *rows(RecipeFile), ""]
    for name in STAGE_MODULES:
        parts += [f"## {name}", "", "| key | default | |", "| --- | --- | --- |", *rows(load_stage(name).settings), ""]
        if name == "clean":
            parts += [OPTIONS, *transform_rows(), ""]
    return "\n".join(parts)


if __name__ == "__main__":
    Path(__file__).with_name("settings.md").write_text(document(), encoding="utf-8")
