"""The commands of the README run as written, in its order, on the small crawl in place of the demo's."""

from __future__ import annotations

import re
from pathlib import Path

from pages import run_page
from small_run import SmallRun

ELSEWHERE = ("make ", "source ", "ray job submit")
"""Run by CI (make), by the shell of a person, and by test_ray.py."""


def test_readme_commands_run_as_written(finished: SmallRun, tmp_path: Path, repository: Path) -> None:
    (tmp_path / "examples").mkdir()
    (tmp_path / "runs").mkdir()
    (tmp_path / "examples/crawl").symlink_to(finished.crawl)
    (tmp_path / "runs/demo").symlink_to(finished.run)
    assert len(run_page(repository / "README.md", tmp_path, skip=ELSEWHERE)) >= 12


def test_every_file_that_the_readme_names_is_there(repository: Path) -> None:
    readme = (repository / "README.md").read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)]+)\)", readme) if not link.startswith("http")]
    assert len(links) >= 5
    assert [link for link in links if not (repository / link).exists()] == []
