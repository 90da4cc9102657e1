"""Scratch folders: what a killed process left goes, what a living one holds stays."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from autoclave.pipelines.running.scratch import scratch_folder

HOLD = """
import sys, tempfile
tempfile.tempdir = sys.argv[1]
from autoclave.pipelines.running.scratch import scratch_folder
with scratch_folder("scratch-test-") as folder:
    (folder / "file").write_text("held")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def hold(tmp_path: Path) -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_it_is_empty_and_goes_at_the_end(tmp_path: Path) -> None:
    with scratch_folder("scratch-test-") as folder:
        assert folder.parent == tmp_path
        assert not any(folder.iterdir())
        (folder / "file").write_text("text")
    assert not any(tmp_path.iterdir())


def test_a_killed_process_leaves_it_only_until_the_next_one(tmp_path: Path) -> None:
    living, held = hold(tmp_path)
    killed, left = hold(tmp_path)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    other = tmp_path / "another-prefix"
    other.mkdir()
    assert (left / "file").exists()
    with scratch_folder("scratch-test-"):
        assert not left.exists()
        assert (held / "file").read_text() == "held"
        assert other.exists()
    living.communicate("")
    assert not held.exists()
