"""Which version of the code decides in a stage: a hash of its own modules and of all of ours that they import.

An upgrade redoes the stages whose code it changed, and no other. Models and lists that they name in assets/ count;
comments, docstrings, blank lines and what runs a stage without deciding anything do not.
"""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import xxhash

import autoclave.pipelines

PACKAGE = Path(autoclave.pipelines.__file__).parent.parent
_NAME = re.compile(r"\bautoclave(?:\.\w+)+")
_FROM = re.compile(r"^\s*from (autoclave[\w.]*) import (\([^)]*\)|[^\n]*)", re.MULTILINE)
_UNDECIDING = (
    "autoclave.errors",
    "autoclave.cli",
    "autoclave.corpus.checksums",
    "autoclave.corpus.commits",
    "autoclave.corpus.machine",
    "autoclave.corpus.sealed",
    "autoclave.corpus.storage",
    "autoclave.pipelines.reading",
    "autoclave.pipelines.running",
)
"""Modules that store, run and show, and decide nothing about a document."""


def code_version(module: str) -> str:
    """Return the hash (xxh3-64) of what decides in a module such as 'autoclave.pipelines.clean'."""
    state = xxhash.xxh3_64()
    reached = sorted(_reached(module))
    for name in reached:
        state.update(f"{name}\0".encode())
        state.update(_deciding_text(name).encode())
    for path in data_files():
        if any(path.name.partition(".")[0] in _deciding_text(name) for name in reached):
            state.update(path.name.encode() + path.read_bytes())
    return state.hexdigest()


def data_files() -> list[Path]:
    """Return the models and lists that are part of the package, without their descriptions."""
    return sorted(path for path in (PACKAGE / "assets").iterdir() if path.is_file() and path.suffix != ".md")


def _reached(module: str) -> set[str]:
    """Return a module and all of ours that it imports, directly or not, also by a name in a string."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _mentioned(name)
    return found


@functools.lru_cache(maxsize=1024)
def _mentioned(name: str) -> tuple[str, ...]:
    text = _deciding_text(name)
    names = {_module_of(mention) for mention in _NAME.findall(text)}
    for package, imported in _FROM.findall(text):
        names |= {_module_of(f"{package}.{one}") for one in re.findall(r"\w+", imported)}
    return tuple(one for one in names if one is not None and not one.startswith(_UNDECIDING))


def _module_of(mention: str) -> str | None:
    """Return the module that a dotted name lies in, None where it is none of ours."""
    parts = mention.split(".")
    while len(parts) > 1:
        if _file(".".join(parts)) is not None:
            return ".".join(parts)
        parts.pop()
    return None


def _file(name: str) -> Path | None:
    place = PACKAGE.joinpath(*name.split(".")[1:])
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


@functools.lru_cache(maxsize=1024)
def _deciding_text(name: str) -> str:
    """Return the source of a module without docstrings, lines of comment and blank lines."""
    path = _file(name)
    return "" if path is None else deciding_lines(path.read_text(encoding="utf-8"))


def deciding_lines(source: str) -> str:
    """Return Python source without docstrings, lines of comment and blank lines."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for statement in node.body:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                for number in range(statement.lineno - 1, statement.end_lineno or statement.lineno):
                    lines[number] = ""
    return "\n".join(line.rstrip() for line in lines if line.strip() and not line.lstrip().startswith("#"))
