"""SIGKILL at random moments changes nothing: outputs are the same bytes, finished shards are not done again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from small_run import SmallRun, autoclave, command, contents, differences


def run_and_kill(recipe: Path, run: Path, seconds: float, group: bool) -> bool:
    """Start a run and kill it after so many seconds: the main process alone, or its whole process group.

    Returns whether it was still running.
    """
    arguments = command("run", recipe, "--run-dir", run, "--workers", "2")
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        process.wait(seconds)
        return False
    except subprocess.TimeoutExpired:
        if group:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
        return True


def kill_often(finished: SmallRun, run: Path, kills: int, seed: int) -> None:
    draw = random.Random(seed)
    started = time.monotonic()
    autoclave("run", finished.recipe, "--run-dir", run.with_name("whole"), "--workers", "2")
    whole = time.monotonic() - started
    for number in range(kills):
        run_and_kill(finished.recipe, run, draw.uniform(0.5, max(2.0, 0.6 * whole)), group=number % 2 == 1)
    done = {p: p.stat().st_mtime_ns for p in run.rglob("documents/*.parquet")}
    committed = {p for p in done if (p.parent.parent / "commits" / f"{p.stem}.json").exists()}
    autoclave("run", finished.recipe, "--run-dir", run, "--workers", "2")
    assert differences(contents(finished.run), contents(run)) == []
    assert {p: p.stat().st_mtime_ns for p in committed} == {p: done[p] for p in committed}


def test_sigkill_changes_nothing(finished: SmallRun, tmp_path: Path) -> None:
    kill_often(finished, tmp_path / "run", kills=3, seed=1)


@pytest.mark.slow
def test_sigkill_at_ten_random_moments_changes_nothing(finished: SmallRun, tmp_path: Path) -> None:
    kill_often(finished, tmp_path / "run", kills=10, seed=2)
