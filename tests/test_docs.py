"""Documents say what the code does."""

from __future__ import annotations

import importlib
import importlib.util
import re
from pathlib import Path

import pyarrow as pa
import pytest

from autoclave.cleaning.chain import Chain
from autoclave.cleaning.dialects import DIALECTS
from autoclave.cleaning.filters.registry import MODULES, dialects_of
from autoclave.corpus.schema import make_documents
from autoclave.corpus.yaml_values import read_yaml
from autoclave.pipelines.running.recipe import check_recipe

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES = ["README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in sorted(DOCS.glob("*.md")))]


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
        check_recipe(read_yaml(path.read_text(encoding="utf-8")), str(path))


def test_the_recipe_of_the_documentation_is_one(repository: Path) -> None:
    text = (repository / "docs" / "recipes.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    assert blocks
    for block in blocks:
        check_recipe(read_yaml(block), "docs/recipes.md")


def test_the_filter_of_the_contributing_page_works(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example is one file outside of the package, named by a recipe as it says."""
    text = (repository / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (tmp_path / "my_filters.py").write_text(
        re.findall(r"```python\n(# my_filters.py\n.*?)```", text, flags=re.DOTALL)[0]
    )
    settings = read_yaml(re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)[0])["clean"]
    monkeypatch.syspath_prepend(str(tmp_path))
    recipe = check_recipe({"name": "own", "stages": {"clean": settings | {"language": None}}}, "CONTRIBUTING.md")
    texts = ["It is calm! " * 10, "It is not calm! " * 11]
    _, verdicts = Chain(recipe.stages[0].settings).apply(make_documents(texts, "s"))
    assert verdicts.signals["exclamation_count"].to_pylist() == [10, 11]
    assert "calm" not in str(pa.array(verdicts.filter)[0])
    assert recipe.stages[0].settings.filters == ["gopher_quality", "my_filters:CALM"]


def test_the_dialects_of_every_family_are_listed(repository: Path) -> None:
    text = (repository / "docs" / "cleaning.md").read_text(encoding="utf-8")
    section = text.split("## Dialects\n")[1].split("\n## ")[0]
    cells = [
        [re.findall(r"`(\w+)`", cell) for cell in line.split("|")[1:3]] for line in section.splitlines() if "|" in line
    ]
    listed = {first[0]: second for first, second in cells if first and first[0] in MODULES}
    assert listed == {name: dialects_of(name) for name in MODULES}
    assert [first[0] for first, _ in cells if first and first[0] in DIALECTS] == list(DIALECTS)


ROAD = re.findall(
    r"^\| \d+ \| `([\w.]+)` \|", (DOCS / "architecture.md").read_text(encoding="utf-8"), flags=re.MULTILINE
)


def test_the_road_is_one_of_some_thirty_functions() -> None:
    assert 30 <= len(ROAD) <= 40
    assert len(set(ROAD)) == len(ROAD)


@pytest.mark.parametrize("name", ROAD)
def test_every_function_of_the_road_is_there(name: str) -> None:
    found: object = importlib.import_module("autoclave")
    parts = name.split(".")
    for at, part in enumerate(parts[1:], 2):
        if not hasattr(found, part):
            importlib.import_module(".".join(parts[:at]))
        found = getattr(found, part)
    assert callable(found)


def test_every_room_of_the_page_is_there(repository: Path) -> None:
    text = (repository / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text.split("## Where would it be?\n")[1].split("\n## ")[0]
    named = re.findall(r"`((?:corpus|cleaning|kernels|pipelines|tokenize|model|cli)/[\w./]*)`", section)
    assert len(named) > 12
    assert [name for name in named if not (repository / "autoclave" / name).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(repository: Path, page: str) -> None:
    path = repository / page
    links = re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not link.startswith("http") and not (path.parent / link).exists()] == []
