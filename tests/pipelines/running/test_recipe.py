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


@pytest.mark.parametrize("text", ["- a\n- b\n", "stages: [", "just words"])
def test_what_is_no_recipe_is_said_so(tmp_path: Path, text: str) -> None:
    with pytest.raises(RecipeError):
        load_recipe(write(tmp_path, text))


def test_a_missing_recipe(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such recipe"):
        load_recipe(str(tmp_path / "none.yaml"))
