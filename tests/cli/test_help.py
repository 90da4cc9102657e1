"""Every command has a help text with an example, and the example is one that the command line understands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from autoclave.cli.main import app

EXAMPLE = re.compile(r"Example: (autoclave .+?)(?:\n\n|$)", flags=re.DOTALL)


def leaves(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield (words, command) of every command that is no group."""
    if not hasattr(command, "commands"):
        yield words, command
        return
    for name, inner in command.commands.items():
        yield from leaves(inner, (*words, name))


COMMANDS = dict(leaves(typer.main.get_command(app)))


def parsed(words: list[str]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return the command that some words lead to and its parameters; an error of the command line where they do not."""
    command, path = typer.main.get_command(app), ()
    context = command.make_context("autoclave", words)
    while hasattr(command, "commands"):
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        path = (*path, name)
        context = command.make_context(name, rest, parent=context)
    return path, context.params


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_example_of_a_command_is_one(words: tuple[str, ...]) -> None:
    found = EXAMPLE.search(COMMANDS[words].help or "")
    assert found, "the docstring has no 'Example: autoclave ...'"
    path, parameters = parsed(shlex.split(found.group(1))[1:])
    assert path == words
    assert any(value is not None for value in parameters.values())


def test_a_wrong_example_would_be_noticed() -> None:
    with pytest.raises(Exception, match="No such option"):
        parsed(["thresholds", "fit", "runs/text", "--langauge", "zh"])
