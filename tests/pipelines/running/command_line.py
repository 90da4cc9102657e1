"""`autoclave` in this process, from the arguments to the exit code, with nothing of its own error handling left out."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from autoclave.cli.main import main


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code, standard output, standard error, blanks between words made one."""

    code: int
    output: str
    errors: str


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> Ended:
    """Run a command as the shell would and return how it ended."""
    monkeypatch.setattr(sys, "argv", ["autoclave", *map(str, arguments)])
    monkeypatch.setattr(sys, "path", list(sys.path))
    capsys.readouterr()
    code = 0
    try:
        main()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    captured = capsys.readouterr()
    return Ended(code, " ".join(captured.out.split()), " ".join(captured.err.split()))
