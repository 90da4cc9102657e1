"""Running commands in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from typer.testing import CliRunner

from autoclave.cli.main import app
from autoclave.errors import AutoclaveError


def call(*arguments: object) -> str:
    """Return what `autoclave` prints with these arguments; raise its error where it has one."""
    result = CliRunner().invoke(app, [*map(str, arguments)])
    if isinstance(result.exception, AutoclaveError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def rows(stage: Path, kind: str) -> list[dict[str, Any]]:
    """Return the rows of a stage's `documents`, `ledger` or `dropped`, shard by shard."""
    return [row for path in sorted((stage / kind).iterdir()) for row in pq.read_table(path).to_pylist()]
