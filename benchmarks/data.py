"""Where the labelled sets lie, and how their rows are read."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard

DATA = Path(os.environ.get("AUTOCLAVE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
"""Folder of the labelled sets: AUTOCLAVE_DATA, or ../shared/data beside the checkout."""


def add_data_option(parser: argparse.ArgumentParser) -> None:
    """Add `--data`, the folder of the labelled sets."""
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the labelled sets (default: %(default)s)")


def existing(file: Path) -> Path:
    """Return a file of a labelled set; a missing one ends the run with one line."""
    if not file.exists():
        sys.exit(f"error: no labelled set {file}: name the folder of sets with --data or AUTOCLAVE_DATA")
    return file


def read_rows(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a .jsonl.zst file."""
    with zstandard.open(existing(file), "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def read_set(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of all .jsonl.zst files of a set, by the order of their names."""
    for file in sorted(folder.glob("*.jsonl.zst")) or [folder / "*.jsonl.zst"]:
        yield from read_rows(file)
