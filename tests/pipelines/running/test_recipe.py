"""Recipes: checked before anything runs, with messages that say what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from autoclave.errors import InputError, RecipeError
from autoclave.pipelines.running.recipe import load_recipe

GOOD = {"name": "good", "inputs": ["x"], "stages": {"extract": None, "dedup-exact": {}, "dedup-near": {}}}


def write(tmp_path: Path, document: object) -> str:
    path = tmp_path / "recipe.yaml"
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document, sort_keys=False))
    return str(path)


def test_a_stage_can_be_used_twice_and_keeps_its_order(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, GOOD))
    assert [planned.label for planned in recipe.stages] == ["extract", "dedup-exact", "dedup-near"]
    assert recipe.stages[1].stage is recipe.stages[2].stage


def test_the_resolved_recipe_is_a_recipe_with_every_setting(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, GOOD), ["seed=7", "extract.group_files=3"])
    again = load_recipe(write(tmp_path, recipe.resolved()))
    assert again.seed == 7
    assert again.stages[0].settings == recipe.stages[0].settings
    assert again.resolved() == recipe.resolved()
    assert "group_files: 3" in recipe.resolved()


def test_the_resolved_recipe_names_the_dialect_that_a_family_is_read_in(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, {"name": "x", "stages": {"clean": {"dialect": "dolma"}}}))
    assert "- gopher_quality\n" in recipe.resolved()
    assert "- fineweb:\n        dialect: paper\n" in recipe.resolved()
    assert load_recipe(write(tmp_path, recipe.resolved())).resolved() == recipe.resolved()
    with pytest.raises(RecipeError, match="no dialect 'dolma'; choose one of datatrove, paper"):
        load_recipe(write(tmp_path, {"name": "x", "stages": {"clean": {"filters": {"fineweb": {"dialect": "dolma"}}}}}))


def test_overrides_reach_nested_settings(tmp_path: Path) -> None:
    recipe = load_recipe(
        write(tmp_path, {"name": "x", "stages": {"clean": None}}),
        ["clean.language.min_score=0.25", "clean.min_words=30", "inputs=[a, b]"],
    )
    settings = recipe.stages[0].settings
    assert settings.language.min_score == 0.25  # type: ignore[attr-defined]
    assert settings.min_words == 30  # type: ignore[attr-defined]
    assert recipe.inputs == ["a", "b"]


@pytest.mark.parametrize(
    ("change", "overrides", "message"),
    [
        ({"stages": {"extrct": {}}}, [], "unknown stage 'extrct'; did you mean 'extract'?"),
        ({"stages": {"extract": {"group_filez": 3}}}, [], "unknown key 'group_filez'; did you mean 'group_files'?"),
        ({"stages": {"extract": {"group_files": "many"}}}, [], "group_files: Expected 'int', got 'str'"),
        ({"stages": {"clean": {"language": {"kept": []}}}}, [], "did you mean 'keep'?"),
        ({"stages": {}}, [], "at least one stage"),
        ({"seeds": 3}, [], "unknown key 'seeds'; did you mean 'seed'?"),
        ({"dropped_share": 3}, [], "dropped_share is a share between 0 and 1"),
        ({}, ["cleen.min_words=3"], "no stage 'cleen'"),
        ({}, ["extract.group_files"], "write it as stage.key=value"),
        ({}, ["extract.group_files.x=1"], "group_files: Expected 'int'"),
        ({}, ["name.x=1"], "'name' holds 'good'"),
        ({"stages": {"dedup": {"exact": "on"}}}, [], "exact: Expected 'bool', got 'str'; write true or false"),
        ({}, ["dedup-exact.exact=yes"], "exact: Expected 'bool', got 'str'; write true or false"),
        ({"stages": {"dedup": {"minhash": "off"}}}, [], "minhash: Expected 'object | null', got 'str'; write null"),
        ({"stages": {"clean": {"filters": [{"c4": {"citations": "no"}}]}}}, [], "got 'str'; write true or false"),
        ({"stages": {"selfclean": {"drop_high": 0.7, "drop_low": 0.5}}}, [], "together below 1"),
    ],
)
def test_a_wrong_recipe_is_one_line_that_names_the_key(
    tmp_path: Path, change: dict[str, object], overrides: list[str], message: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(tmp_path, GOOD | change), overrides)
    text = str(caught.value)
    assert "\n" not in text
    assert message in text


def test_words_that_yaml_1_1_takes_for_truth_values(tmp_path: Path) -> None:
    """Norwegian is a language and off a method, wherever a value may stand; what a run writes says the same."""
    text = "name: no\nstages:\n  clean: {language: {keep: [da, no, sv]}}\n  dedup: {verify: off}\n"
    overrides = ["clean.thresholds_by_language={no: {word_count: [1e2, null]}}", "inputs=[on, 2024-01-01]"]
    recipe = load_recipe(write(tmp_path, text), overrides)
    clean, dedup = (planned.settings for planned in recipe.stages)
    assert clean.language.keep == ["da", "no", "sv"]  # type: ignore[attr-defined]
    assert clean.thresholds_by_language == {"no": {"word_count": [100.0, None]}}  # type: ignore[attr-defined]
    assert dedup.verify == "off"  # type: ignore[attr-defined]
    assert (recipe.name, recipe.inputs) == ("no", ["on", "2024-01-01"])
    again = load_recipe(write(tmp_path, recipe.resolved()))
    assert again.resolved() == recipe.resolved()
    assert again.stages[0].settings == clean
    assert load_recipe(write(tmp_path, text), ["dedup.verify=off"]).stages[1].settings == dedup


def test_a_key_that_is_there_twice(tmp_path: Path) -> None:
    text = "name: x\nstages:\n  dedup: {}\n  clean: {}\n  dedup: {exact: false}\n"
    with pytest.raises(RecipeError, match=r"line 5: the key 'dedup' is there already, in line 3"):
        load_recipe(write(tmp_path, text))


def test_a_recipe_in_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_bytes("name: café".encode("latin-1"))
    with pytest.raises(RecipeError, match="save it as UTF-8"):
        load_recipe(str(tmp_path / "recipe.yaml"))


@pytest.mark.parametrize("text", ["- a\n- b\n", "stages: [", "just words"])
def test_what_is_no_recipe_is_said_so(tmp_path: Path, text: str) -> None:
    with pytest.raises(RecipeError):
        load_recipe(write(tmp_path, text))


def test_a_missing_recipe(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such recipe"):
        load_recipe(str(tmp_path / "none.yaml"))
