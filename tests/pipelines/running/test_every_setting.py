"""Every setting acts or is refused: each is changed, and seen in the resolved recipe and in what a stage writes."""

from __future__ import annotations

import functools
import importlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import setting_corpora as corpora
from setting_cases import BASES, CASES, OPTIONS, Case, Elsewhere, Raises, Same

from autoclave.cleaning.filters.registry import MODEL_MODULES, MODULES
from autoclave.cleaning.transforms.registry import TRANSFORMS
from autoclave.corpus.storage import Folder
from autoclave.corpus.yaml_values import read_yaml
from autoclave.errors import AutoclaveError, RecipeError
from autoclave.pipelines.running.attempts import Resources
from autoclave.pipelines.running.engine import InProcessEngine
from autoclave.pipelines.running.recipe import check_recipe
from autoclave.pipelines.running.registry import STAGE_MODULES, load_stage
from autoclave.pipelines.running.stage import StageContext, document_shards

Setting = tuple[str, str]
"""Stage, path of the key."""


def structs(kind: Any) -> Iterator[type[msgspec.Struct]]:
    """Yield the settings types that a field may hold, in whatever unions."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
    for part in getattr(kind, "__args__", ()):
        yield from structs(part)


def keys(kind: type[msgspec.Struct], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (path, type) of each field, nested ones below their own key. A struct is a key itself where it may be off,
    or another value of it as a whole means something."""
    for field in msgspec.structs.fields(kind):
        inner = list(structs(field.type))
        if not inner or type(None) in getattr(field.type, "__args__", ()):
            yield f"{prefix}{field.name}", field.type
        for one in inner:
            yield from keys(one, f"{prefix}{field.name}.")


SETTINGS = {(stage, path): kind for stage in STAGE_MODULES for path, kind in keys(load_stage(stage).settings)}


def test_every_setting_has_a_case_and_every_case_a_setting() -> None:
    assert {(stage, path) for stage, cases in CASES.items() for path in cases} == set(SETTINGS)
    assert len(SETTINGS) > 100


def test_every_option_has_a_case() -> None:
    options = {
        f"{name}.{field.name}"
        for name, transform in TRANSFORMS.items()
        if transform.options is not None
        for field in msgspec.structs.fields(type(transform.options))
    }
    for name in MODULES | MODEL_MODULES:
        module = importlib.import_module((MODULES | MODEL_MODULES)[name])
        for kind in {type(rules) for rules in getattr(module, "RULES", {}).values()}:
            options |= {f"{name}@{kind.__name__}.{field.name}" for field in msgspec.structs.fields(kind)}
    assert set(OPTIONS) == options


@pytest.mark.parametrize("case", [*(c for cases in CASES.values() for c in cases.values()), *OPTIONS.values()])
def test_the_tests_that_are_named_are_there(case: Any, repository: Path) -> None:
    if isinstance(case, Elsewhere) and "::" in case.test:
        path, _, name = case.test.partition("::")
        assert f"def {name}" in (repository / "tests" / path).read_text(encoding="utf-8")
    assert not isinstance(case, Elsewhere) or len(case.test) > 20


def nested(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings from layers of path -> value, later ones over earlier ones."""
    result: dict[str, Any] = {}
    for layer in layers:
        for path, value in layer.items():
            *above, last = path.split(".")
            place = result
            for key in above:
                if not isinstance(place.get(key), dict):
                    place[key] = {}
                place = place[key]
            place[last] = json.loads(json.dumps(value))
    return result


def resolve(stage: str, settings: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the stage's settings and what recipe.yaml says of them."""
    recipe = check_recipe({"name": "x", "stages": {stage: settings}}, "recipe")
    return recipe.stages[0].settings, read_yaml(recipe.resolved())["stages"][stage]


def at(values: Any, path: str) -> Any:
    for key in path.split("."):
        values = values[key]
    return values


@pytest.mark.parametrize(("stage", "path"), SETTINGS)
def test_another_value_is_in_the_resolved_recipe(stage: str, path: str) -> None:
    case = CASES[stage][path]
    given = flat(BASES[stage]) | case.given
    _, before = resolve(stage, nested(given))
    _, after = resolve(stage, nested(given, {path: case.value}))
    assert before != after
    said = at(after, path)
    if isinstance(case.value, dict) and any(structs(SETTINGS[stage, path])):
        assert said.items() >= case.value.items()
    else:
        assert said == case.value


WRONG: list[Any] = ["nonsense", 17, 1.5, True, ["x", 3], {"x": 3}, [{"a": 1, "b": 2}], None]


@pytest.mark.parametrize(("stage", "path"), SETTINGS)
def test_a_wrong_type_is_refused_by_name(stage: str, path: str) -> None:
    refused = 0
    for wrong in WRONG:
        try:
            msgspec.convert(wrong, SETTINGS[stage, path])
        except (msgspec.ValidationError, ValueError):
            with pytest.raises(RecipeError, match=path.rpartition(".")[2]):
                resolve(stage, nested(CASES[stage][path].given, {path: wrong}))
            refused += 1
    assert refused >= 3


class Watched(InProcessEngine):
    """An engine that notes what its tasks ask for."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def map_shards(self, function: Any, tasks: Any, resources: Resources) -> Any:
        self.asked.add(repr(resources))
        return super().map_shards(function, tasks, resources)


class Bench:
    """Runs stages on their corpora, each from what the run before it left, as a user's second run would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0

    @functools.cached_property
    def tokens(self) -> Path:
        return self.run("tokenize", BASES["tokenize"])[0]

    @functools.cached_property
    def index(self) -> Path:
        return self.run("dedup", {"write_index": True})[0]

    @functools.cache  # noqa: B019  one bench a module
    def corpus(self, stage: str) -> Path:
        make = {"extract": corpora.pages, "clean": corpora.mixed, "dedup": corpora.repeats}.get(stage, corpora.to_learn)
        return make(self.folder / f"corpus-{make.__name__}")

    def run(self, stage: str, settings: Mapping[str, Any], after: Path | None = None) -> tuple[Path, dict[str, Any]]:
        """Return the folder of a run and what it wrote by file; `after`: the folder of an earlier run to go on from."""
        chosen, _ = resolve(stage, self.filled(settings))
        self.count += 1
        out = self.folder / f"{stage}-{self.count}"
        if after is not None:
            shutil.copytree(after, out)
        context = StageContext(stage, Folder(out), chosen, 3, Watched())
        if stage == "extract":
            context.sources = [str(self.corpus(stage))]
        elif stage == "train":
            context.previous = Folder(self.tokens)
        else:
            context.inputs = document_shards(Folder(self.corpus(stage)))
            context.previous = Folder(self.corpus(stage))
        load_stage(stage).run(context)
        assert context.failures == []
        return out, {"resources": context.engine.asked, **written(out)}

    def filled(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings with the paths of what was made here."""
        places = {"INDEX": lambda: self.index, "TOKENIZER": lambda: self.tokens / "tokens" / "tokenizer.json"}
        return {
            name: str(places[value]()) if isinstance(value, str) and value in places else value
            for name, value in settings.items()
        }


RESULTS = ("tokenizer.json", "decision.json")
"""Of the JSON files, those that hold no copy of settings."""
COUNTS = ("documents_in", "kept", "dropped", "errors", "dropped_by", "counts")


def written(out: Path) -> dict[str, Any]:
    """Return what a stage wrote, by file, but for copies of its settings, fingerprints and times."""
    found: dict[str, Any] = {}
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        name = str(path.relative_to(out))
        if path.parent.name == "commits":
            commit = json.loads(path.read_bytes())
            found[name] = {key: commit[key] for key in COUNTS if key in commit}
        elif path.name == "metrics.jsonl":
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            found[name] = [[line[key] for key in ("step", "loss", "lr", "grad_norm")] for line in lines]
        elif path.suffix != ".json" or path.name in RESULTS or name.endswith("histograms/000000.json"):
            found[name] = path.read_bytes()
        else:
            found[name] = ""
    return found


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


@pytest.mark.parametrize("stage", STAGE_MODULES)
def test_the_same_settings_write_the_same(bench: Bench, stage: str) -> None:
    """Else a difference would say nothing."""
    if stage in ("selfclean", "train"):
        pytest.importorskip("torch", reason="torch is not installed: pip install 'autoclave[train]'")
    assert bench.run(stage, BASES[stage])[1] == bench.run(stage, BASES[stage])[1]


RUNS = [key for key in SETTINGS if not isinstance(CASES[key[0]][key[1]], Elsewhere)]
DOCUMENTS = ("documents/", "ledger/", "dropped/", "errors/")


@pytest.mark.parametrize(("stage", "path"), RUNS)
def test_another_value_changes_an_output(bench: Bench, stage: str, path: str) -> None:
    if stage in ("selfclean", "train"):
        pytest.importorskip("torch", reason="torch is not installed: pip install 'autoclave[train]'")
    case = CASES[stage][path]
    given = flat(BASES[stage]) | case.given
    base = nested(given)
    folder, before = bench.run(stage, base)
    changed = nested(given, {path: case.value})
    if isinstance(case, Raises):
        with pytest.raises(AutoclaveError, match=case.message):
            bench.run(stage, changed)
        return
    _, after = bench.run(stage, changed, folder if stage == "selfclean" else None)
    if isinstance(case, Same):
        documents = [
            {name: data for name, data in one.items() if name.startswith(DOCUMENTS)} for one in (before, after)
        ]
        assert documents[0] == documents[1]
        assert documents[0]
    else:
        assert before != after


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return settings as path -> value."""
    result: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            result |= flat(value, f"{prefix}{name}.")
        else:
            result[f"{prefix}{name}"] = value
    return result


@pytest.mark.parametrize("option", [name for name, case in OPTIONS.items() if isinstance(case, Case)])
def test_an_option_changes_an_output(bench: Bench, option: str) -> None:
    owner, _, name = option.partition(".")
    family, _, kind = owner.partition("@")
    if kind:
        rules = importlib.import_module(MODULES[family]).RULES
        dialect = next(name for name, one in rules.items() if type(one).__name__ == kind and one == type(one)())
        plain: dict[str, Any] = {"language": None, "transforms": []}
        entry: dict[str, Any] = {"dialect": dialect, "languages": None}
        base = plain | {"filters": [{family: entry}]}
        changed = plain | {"filters": [{family: entry | {name: OPTIONS[option].value}}]}
    else:
        base, changed = {"transforms": [{family: {}}]}, {"transforms": [{family: {name: OPTIONS[option].value}}]}
    assert bench.run("clean", base)[1] != bench.run("clean", changed)[1]


def test_the_defaults_of_the_documentation_are_those_of_a_recipe(repository: Path) -> None:
    text = (repository / "docs" / "settings.md").read_text(encoding="utf-8")
    rows = re.findall(r"^## (\w+)$|^\| `([^`]+)` \| (?:`([^`]*)`)? \|", text, flags=re.MULTILINE)
    told: dict[str, dict[str, str]] = {}
    for heading, path, default in rows:
        if heading:
            told[heading] = {}
        elif told:
            told[list(told)[-1]][path] = default
    for stage in STAGE_MODULES:
        _, said = resolve(stage, {})
        listed = {path: default for path, default in told[stage].items() if path.split(".")[0] in said}
        assert {path for path, _ in keys(load_stage(stage).settings)} <= set(listed)
        for path, default in listed.items():
            try:
                value = at(said, path)
            except TypeError:  # below what is off by default
                continue
            assert default == "" or read_yaml(default) == value, f"{stage}.{path}"
            assert default or isinstance(value, dict), f"{stage}.{path}"
