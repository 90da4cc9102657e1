"""Documents say what the code does."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

from autoclave.pipelines.recipe import check_recipe


def test_settings_are_current(repository: Path) -> None:
    spec = importlib.util.spec_from_file_location("make_settings", repository / "docs" / "make_settings.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = (repository / "docs" / "settings.md").read_text(encoding="utf-8")
    assert module.document() == written, "run: python docs/make_settings.py"


def test_every_recipe_is_one(repository: Path) -> None:
    recipes = sorted((repository / "recipes").glob("*.yaml"))
    assert recipes
    for path in recipes:
        check_recipe(yaml.safe_load(path.read_text(encoding="utf-8")), str(path))


def test_the_recipe_of_the_documentation_is_one(repository: Path) -> None:
    text = (repository / "docs" / "recipes.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    assert blocks
    for block in blocks:
        check_recipe(yaml.safe_load(block), "docs/recipes.md")


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/recipes.md", "docs/settings.md"])
def test_links_lead_somewhere(repository: Path, page: str) -> None:
    path = repository / page
    links = re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not link.startswith("http") and not (path.parent / link).exists()] == []
