"""The commands of the README run as written, in its order, on the small crawl in place of the demo's."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from small_run import SmallRun

ELSEWHERE = ("make ", "source ", "ray job submit")
"""Run by CI (make), by the shell of a person, and by test_ray.py."""


def readme_commands(readme: str) -> list[str]:
    """Return the lines of the README's bash blocks, without comments."""
    blocks = re.findall(r"```bash\n(.*?)```", readme, flags=re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def test_readme_commands_run_as_written(finished: SmallRun, tmp_path: Path, repository: Path) -> None:
    commands = readme_commands((repository / "README.md").read_text(encoding="utf-8"))
    assert len(commands) >= 15
    (tmp_path / "examples").mkdir()
    (tmp_path / "runs").mkdir()
    (tmp_path / "examples/crawl").symlink_to(finished.crawl)
    (tmp_path / "runs/demo").symlink_to(finished.run)
    for line in commands:
        if line.startswith(ELSEWHERE):
            continue
        words = shlex.split(line)
        assert words[0] == "autoclave", line
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


def test_every_file_that_the_readme_names_is_there(repository: Path) -> None:
    readme = (repository / "README.md").read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)]+)\)", readme) if not link.startswith("http")]
    assert len(links) >= 5
    assert [link for link in links if not (repository / link).exists()] == []
