"""The only way to a terminal: consoles and lines that pass on no command hidden in a document, a URL or a name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from autoclave.pipelines.running.guards.printable import printable, printable_json

if TYPE_CHECKING:  # rich is for commands that draw; --help need not wait for it
    from rich.console import Console, ConsoleOptions, ConsoleRenderable
    from rich.segment import Segment


class _Clean:
    """A renderable whose text is made printable, after styles and widths were decided; styles of our own stay."""

    def __init__(self, inner: ConsoleRenderable) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        from rich.segment import Segment

        for segment in console.render(self._inner, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


def clean_console(**options: Any) -> Console:
    """Return a console of rich whose output holds no command but its own styles."""
    from rich.console import Console, RenderHook

    class Cleaning(RenderHook):
        """What rich calls with everything that is about to be printed."""

        def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
            return [_Clean(renderable) for renderable in renderables]

    console = Console(**options)
    console.push_render_hook(Cleaning())
    return console


def say(text: str, *, newline: bool = True, error: bool = False, colour: str | None = None) -> None:
    """Print text on standard output, or on standard error, in one colour on a terminal."""
    typer.secho(printable(text), nl=newline, err=error, fg=colour)


def say_error(text: str) -> None:
    """Print what went wrong, in one line on standard error."""
    typer.secho(f"error: {printable(text, lines=False)}", fg="red", err=True)


def say_json(document: bytes) -> None:
    """Print one JSON document on standard output."""
    typer.echo(printable_json(document.decode()))
