"""`autoclave`: the command line. Commands parse and print; the work is in pipelines/."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from typing import Annotated, TextIO

import typer

from autoclave.cli import cleaning, explain, inspection, stages, tools, training
from autoclave.cli.terminal import say, say_error
from autoclave.corpus.machine import machine_error
from autoclave.errors import AutoclaveError, AutoclaveWarning
from autoclave.pipelines.running.guards.printable import printable

DEBUG = "--debug"
STOPPED = 130
"""Exit code after Ctrl-C, as shells have it."""

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
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from; may stand anywhere.")] = False,
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
        say(f"warning: {printable(str(message), lines=False)}", error=True, colour="yellow")
    else:
        say(warnings.formatwarning(message, category, filename, lineno, line), newline=False, error=True)


stages.register(app)
cleaning.register(app)
training.register(app)
explain.register(app)
inspection.register(app)
tools.register(app)


def main() -> None:
    """Run a command. Exit codes: 0 done, 1 the work failed, 2 the request was wrong, 130 stopped by Ctrl-C.

    A recipe's 'module:object' is looked for in the current directory as well, after the installed packages. An error
    of the user's or the machine's making is one line; `--debug`, anywhere, adds where it came from.
    """
    sys.path.append(os.getcwd())
    warnings.simplefilter("always", AutoclaveWarning)
    warnings.showwarning = show_warning
    debug = DEBUG in sys.argv[1:]
    sys.argv[1:] = [argument for argument in sys.argv[1:] if argument != DEBUG]
    try:
        app()
    except SystemExit as ended:
        if ended.code == STOPPED:
            say_stopped()
        raise
    except KeyboardInterrupt:
        say_stopped()
        sys.exit(STOPPED)
    except BrokenPipeError:
        sys.exit(0)
    except Exception as error:
        sys.exit(explain_error(error, debug))


def say_stopped() -> None:
    say("stopped; the same command goes on from here", error=True, colour="yellow")


def explain_error(error: Exception, debug: bool) -> int:
    """Print an error on standard error and return the exit code; a bug of Autoclave's is raised again."""
    known = error if isinstance(error, AutoclaveError) else machine_error(error, named=True)
    if known is None:
        raise error
    if debug:
        traceback.print_exception(error)
    say_error(str(known))
    return known.exit_code
