"""`autoclave`: the command line. Commands parse and print; the work is in pipelines/."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Annotated, TextIO

import typer

from autoclave.cli import cleaning, explain, inspection, stages, tools, training
from autoclave.errors import AutoclaveError, AutoclaveWarning

app = typer.Typer(
    name="autoclave",
    help="Raw crawl in, token shards out, cleaned by the model that trains on them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def show_version(value: bool) -> None:
    if value:
        from autoclave import __version__

        typer.echo(f"autoclave {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """Raw crawl in, token shards out, cleaned by the model that trains on them."""


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning of ours as one line; others as Python does."""
    if issubclass(category, AutoclaveWarning):
        typer.secho(f"warning: {message}", fg="yellow", err=True)
    else:
        print(warnings.formatwarning(message, category, filename, lineno, line), file=file or sys.stderr, end="")


stages.register(app)
cleaning.register(app)
training.register(app)
explain.register(app)
inspection.register(app)
tools.register(app)


def main() -> None:
    """Run a command. Exit codes: 0 done, 1 the work failed, 2 the request was wrong, 130 stopped by Ctrl-C.

    A recipe's 'module:object' is looked for in the current directory as well, after the installed packages.
    """
    sys.path.append(os.getcwd())
    warnings.simplefilter("always", AutoclaveWarning)
    warnings.showwarning = show_warning
    try:
        app()
    except AutoclaveError as error:
        typer.secho(f"error: {error}", fg="red", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(0)
    except KeyboardInterrupt:
        typer.secho("stopped; the same command goes on from here", fg="yellow", err=True)
        sys.exit(130)
