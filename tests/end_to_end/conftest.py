"""One undisturbed run that several tests compare with."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import small_run
from small_run import SmallRun


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> SmallRun:
    """The small recipe, run from the start to the end by two workers."""
    folder = tmp_path_factory.mktemp("small")
    crawl = small_run.make_crawl(repository / "examples" / "crawl", folder / "crawl")
    recipe = small_run.write_recipe(folder / "small.yaml", crawl)
    done = small_run.autoclave("run", recipe, "--run-dir", folder / "run", "--workers", "2")
    return SmallRun(crawl, recipe, folder / "run", done.stdout, done.stderr)
