"""A recipe's training settings are the loop's own: keys, types and defaults, but for those that are said to differ."""

from __future__ import annotations

import pickle
import subprocess
import sys

import msgspec
import pytest

from autoclave.model.training.settings import OptimizerSettings, TrainSettings
from autoclave.pipelines.running.derived import derive_settings
from autoclave.pipelines.selfclean.settings import EvaluationModel
from autoclave.pipelines.train.settings import TrainStageSettings


def fields(kind: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    return {field.name: field for field in msgspec.structs.fields(kind)}


def test_every_setting_of_the_loop_is_a_key_with_its_type_and_default() -> None:
    loop = {name: field for name, field in fields(TrainSettings).items() if name not in ("optimizer", "seed")}
    loop |= fields(OptimizerSettings)
    own = {"preset", "model", "sequence_length", "batch_size", "workers", "gpus"}
    keys = fields(TrainStageSettings)
    assert set(keys) == set(loop) | own
    assert {name: keys[name].type for name in loop} == {name: field.type for name, field in loop.items()}
    differ = {name: keys[name].default for name in loop if keys[name].default != loop[name].default}
    # What recipes have been trained with since they were written.
    assert differ == {"steps": 200, "learning_rate": 3e-3, "warmup_steps": 20, "checkpoint_every": 100}


def test_the_loop_gets_what_the_recipe_says() -> None:
    given = {"steps": 7, "accumulation": 2, "schedule": "wsd", "epsilon": 1e-6, "max_skipped": 3, "threads": 2}
    training = msgspec.convert(given | {"preset": "tnl-nano", "workers": 2}, TrainStageSettings).training(seed=11)
    optimizer = OptimizerSettings(learning_rate=3e-3, warmup_steps=20, schedule="wsd", epsilon=1e-6)
    assert training == TrainSettings(
        steps=7, accumulation=2, max_skipped=3, threads=2, checkpoint_every=100, seed=11, optimizer=optimizer
    )


@pytest.mark.parametrize("wrong", [{"seed": 3}, {"optimizer": {}}, {"stepz": 3}, {"steps": "many"}, {"schedule": "x"}])
def test_other_keys_and_types_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, TrainStageSettings)


def test_the_evaluation_model_has_keys_of_the_train_stage() -> None:
    keys, stage = fields(EvaluationModel), fields(TrainStageSettings)
    assert {name for name in keys if name not in stage} == {"overrides", "epochs", "most_tokens"}
    differ = {name: key.default for name, key in keys.items() if name in stage and key.default != stage[name].default}
    assert differ == {"learning_rate": 2e-3, "steps": None}  # as many as the corpus asks for
    assert all(key.type == stage[name].type for name, key in keys.items() if name in stage and name != "steps")


@pytest.mark.parametrize("kind", [TrainStageSettings, EvaluationModel])
def test_settings_travel_and_cannot_be_changed(kind: type[msgspec.Struct]) -> None:
    settings = kind(preset="tnl-nano", steps=3)
    assert pickle.loads(pickle.dumps(settings)) == settings
    with pytest.raises(AttributeError):
        settings.steps = 4  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        kind("tnl-nano")


class One(msgspec.Struct):
    number: int
    names: list[str] = []


class Other(msgspec.Struct):
    number: int = 3


def test_a_derived_type_keeps_needed_fields_and_fresh_defaults() -> None:
    derived = derive_settings("Derived", (One,))
    with pytest.raises(TypeError, match="number"):
        derived()
    first, second = derived(number=1), derived(number=1)
    assert first.names == []
    assert first.names is not second.names


@pytest.mark.parametrize(
    ("sources", "options", "named"),
    [
        ((One, Other), {}, "number"),
        ((One,), {"only": ("name",)}, "name"),
        ((One,), {"without": ("numbers",)}, "numbers"),
        ((One,), {"defaults": {"numbr": 3}}, "numbr"),
    ],
)
def test_a_field_that_none_or_two_have_is_named(sources: tuple[type, ...], options: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        derive_settings("Derived", sources, **options)


def test_settings_are_read_without_torch() -> None:
    code = (
        "import sys, autoclave.pipelines.train.settings, autoclave.pipelines.selfclean.settings\n"
        "assert not {'torch', 'ray'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
