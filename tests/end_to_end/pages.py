"""Running what a page of the documentation says, as written and in its order."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

_BLOCK = re.compile(r"```(bash|yaml|python)\n(.*?)```", flags=re.DOTALL)
_NAMED = re.compile(r"# (\S+\.(?:yaml|py))\n")
PROGRAMS = {"autoclave": ["-m", "autoclave"], "torchrun": ["-m", "torch.distributed.run"]}


def blocks(page: Path) -> Iterator[tuple[str, str, str | None]]:
    """Yield (language, text, the file that its first line names) of the page's blocks of code."""
    for kind, text in _BLOCK.findall(page.read_text(encoding="utf-8")):
        named = _NAMED.match(text)
        yield kind, text, named.group(1) if named else None


def commands(text: str) -> list[str]:
    """Return the lines of a bash block, without comments and empty ones."""
    lines = (line.split("  #")[0].strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def run(folder: Path, *words: str, environment: Mapping[str, str] | None = None) -> str:
    """Run Python with these words in a folder and return what it prints; on failure show it."""
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=os.environ | dict(environment or {}), capture_output=True, text=True,
        timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def run_page(
    page: Path,
    folder: Path,
    *,
    files: Sequence[str] = (),
    change: Callable[[list[str]], list[str]] = lambda words: words,
    skip: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Run a page in a folder: its files are written, then commands and other Python are run; return command -> output.

    files: names of YAML blocks that do not name themselves, in order; change: makes of a command's words those to run;
    skip: beginnings of commands that are left out. Output of unnamed Python blocks goes by their text.
    """
    unnamed = iter(files)
    code: list[tuple[str, str]] = []
    for kind, text, name in blocks(page):
        if name is not None or kind == "yaml":
            (folder / (name or next(unnamed))).write_text(text, encoding="utf-8")
        else:
            code.append((kind, text))
    assert next(unnamed, None) is None, "a file's block is not on the page"
    outputs: dict[str, str] = {}
    for kind, text in code:
        if kind == "python":
            outputs[text] = run(folder, "-c", text, environment=environment)
            continue
        for line in commands(text):
            if not line.startswith(skip or ("\0",)):
                program, *words = change(shlex.split(line))
                outputs[line] = run(folder, *PROGRAMS[program], *words, environment=environment)
    return outputs
