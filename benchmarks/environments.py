"""Peers run in environments of their own: a script of peers/ by the Python that has what it needs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

PEERS = Path(__file__).resolve().parent / "peers"
SETTINGS = {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
"""One thread, as ours has, and the same answers in each run."""


def run_peer(python: str | Path, script: str, *arguments: str | Path | int) -> str:
    """Return what a script of peers/ prints; where it fails, its last words end the run."""
    command = [str(python), str(PEERS / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | SETTINGS)
    if done.returncode:
        raise SystemExit(f"error: {script} failed with {python}:\n{done.stderr[-2000:]}")
    return done.stdout
