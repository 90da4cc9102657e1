"""A run directory belongs to one recipe; changes are said with what they cost; upgrades redo what they changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import yaml
from command_line import Ended, run
from test_losses import TEXT, write_good

import autoclave
from autoclave.corpus.commits import read_commit
from autoclave.corpus.sources import resolve_inputs
from autoclave.corpus.storage import Folder
from autoclave.errors import InputError, RecipeError, RunError
from autoclave.model.training.identity import describe, identity_fingerprint
from autoclave.pipelines.running.guards import code_version as versions
from autoclave.pipelines.running.guards import identity
from autoclave.pipelines.running.guards.code_version import code_version, deciding_lines
from autoclave.pipelines.running.recipe import check_recipe, load_recipe
from autoclave.pipelines.running.registry import STAGE_MODULES
from autoclave.pipelines.train.settings import TrainStageSettings
from autoclave.pipelines.train.stage import STAGE

Run = Callable[..., Ended]
CLEAN = {"language": None, "filters": ["gopher_quality"]}
STAGES = {"extract": {}, "clean": CLEAN, "dedup": {"minhash": None}}


@pytest.fixture
def autoclave_run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a recipe, changed by some keys, in the same directory each time."""
    write_good(tmp_path / "in.jsonl")

    def call(*options: str, stages: object = STAGES, name: str = "r", inputs: str = "in.jsonl") -> Ended:
        document = {"name": name, "inputs": [str(tmp_path / inputs)], "stages": stages}
        (tmp_path / "r.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
        command = ["run", tmp_path / "r.yaml", "--run-dir", tmp_path / "run", "--workers", "0"]
        return run(capsys, monkeypatch, *command, *options)

    return call


def test_the_same_command_again_says_nothing_and_redoes_nothing(tmp_path: Path, autoclave_run: Run) -> None:
    assert autoclave_run().code == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("documents/*")}
    ended = autoclave_run()
    assert ended.code == 0
    assert "redone" not in ended.errors
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("documents/*")} == before


def test_another_recipe_is_refused_with_what_differs(tmp_path: Path, autoclave_run: Run) -> None:
    assert autoclave_run().code == 0
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    write_good(tmp_path / "other.jsonl")
    for options, words in (
        ({"name": "other"}, "its name is 'r', not 'other'"),
        ({"stages": {"extract": {}, "dedup": {}}}, "its stage 2 is 'clean', not 'dedup'"),
        ({"inputs": "other.jsonl"}, "its inputs are"),
    ):
        ended = autoclave_run(**options)
        assert ended.code == 1
        assert "holds a run of another recipe" in ended.errors
        assert words in ended.errors
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before


def test_stages_may_be_added_at_the_end(autoclave_run: Run) -> None:
    assert autoclave_run(stages={"extract": {}, "clean": CLEAN}).code == 0
    ended = autoclave_run()
    assert ended.code == 0
    assert "redone" not in ended.errors


def test_changed_settings_say_what_will_be_redone_and_why(autoclave_run: Run) -> None:
    assert autoclave_run().code == 0
    ended = autoclave_run("--set", "clean.min_words=30", "--set", "dedup.exact=true")
    assert ended.code == 0
    assert "clean: will be redone: clean.min_words was null, is 30" in ended.errors
    assert "dedup: will be redone as far as clean gives it something else" in ended.errors
    assert "extract: will be redone" not in ended.errors
    ended = autoclave_run("--set", "seed=4")
    assert "extract: will be redone: seed was 0, is 4" in ended.errors


def test_an_upgrade_redoes_the_stage_whose_code_it_changed_and_says_so(
    tmp_path: Path, autoclave_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert autoclave_run().code == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("commits/*.json")}
    real = code_version

    def upgraded(module: str) -> str:
        return "another" if module == STAGE_MODULES["clean"] else real(module)

    monkeypatch.setattr(identity, "code_version", upgraded)
    ended = autoclave_run()
    assert ended.code == 0
    assert "clean: will be redone: its code changed" in ended.errors
    changed = {path for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert {path.parent.parent.name for path in changed} == {"02-clean"}  # dedup was given the same documents


def test_a_trained_model_does_not_go_unasked(tmp_path: Path, autoclave_run: Run) -> None:
    stages = {**STAGES, "train": {"preset": "tnl-nano"}}
    recipe = check_recipe({"name": "r", "inputs": [str(tmp_path / "in.jsonl")], "stages": stages}, "r")
    folder = Folder(tmp_path / "run")
    identity.write_identity(folder, identity.identity_of(recipe))
    folder.write_bytes("04-train/checkpoints/step-00000010/model.safetensors", b"")
    ended = autoclave_run("--set", "train.learning_rate=1e-4", stages=stages)
    assert ended.code == 1
    assert "train: will be redone: train.learning_rate was 0.003, is 0.0001" in ended.errors
    assert "the model in train would be trained anew and the old one go: nothing was done; say --yes" in ended.errors
    assert not (tmp_path / "run/01-extract").exists()
    for options in (["--set", "train.steps=900"], ["--set", "clean.min_words=30", "--stages", "extract,clean"]):
        assert autoclave_run(*options, "--stages", "extract", stages=stages).code == 0


def test_a_damaged_identity_is_said_and_made_anew(tmp_path: Path, autoclave_run: Run) -> None:
    assert autoclave_run().code == 0
    path = tmp_path / "run/identity.json"
    path.write_bytes(path.read_bytes().replace(b'"r"', b'"s"'))  # still JSON: by itself another recipe's
    ended = autoclave_run()
    assert ended.code == 0
    said = "identity.json cannot be compared with the recipe, and is made anew"  # wrapped at the terminal's width
    assert "".join(said.split()) in "".join(ended.errors.split())
    assert "identity.json" not in "".join(autoclave_run().errors.split())


def test_a_person_is_asked(tmp_path: Path) -> None:
    asked: list[str] = []

    def no(question: str) -> bool:
        asked.append(question)
        return False

    with pytest.raises(RunError, match="nothing was done"):
        identity.permit("the model would go", False, no)
    assert asked == ["the model would go; go on?"]
    identity.permit("the model would go", False, lambda question: True)
    identity.permit("the model would go", True, None)


def test_free_settings_are_those_with_which_a_training_goes_on() -> None:
    from autoclave.model.config import preset

    base = TrainStageSettings()
    others = {int: 7, float: 0.123, bool: True, str: "other"}
    config = preset("tnl-nano")
    own = identity_fingerprint(describe(config, base.training(0), "data"))
    for field in msgspec.structs.fields(TrainStageSettings):
        if field.name not in base.training(0).__struct_fields__ or field.name == "optimizer":
            continue
        was = getattr(base.training(0), field.name)
        value = (not was) if isinstance(was, bool) else others.get(type(was), "other")
        changed = msgspec.structs.replace(base.training(0), **{field.name: value})
        same = identity_fingerprint(describe(config, changed, "data")) == own
        assert same == (field.name in STAGE.free), field.name


def test_versions_and_dates_are_written(tmp_path: Path, autoclave_run: Run) -> None:
    assert autoclave_run().code == 0
    first = (tmp_path / "run/recipe.yaml").read_text().splitlines()[0]
    assert first.startswith(f"# autoclave {autoclave.__version__}, python 3.")
    assert load_recipe(str(tmp_path / "run/recipe.yaml")).name == "r"
    commit = read_commit(Folder(tmp_path / "run/02-clean"), "000000")
    assert commit is not None
    assert commit.autoclave == autoclave.__version__
    assert commit.made[:2] == "20"
    assert commit.made.endswith("+00:00")


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/b", "..", ".", "", "a\\b", "a\nb", "x" * 300, " a"])
def test_a_name_cannot_leave_the_folder_of_runs(name: str) -> None:
    with pytest.raises(RecipeError):
        check_recipe({"name": name, "stages": {"clean": None}}, "r.yaml")


@pytest.mark.parametrize("label", ["clean-../../x", "clean-a/b", "clean-a\\b", "clean-a\nb", "clean-" + "x" * 300])
def test_a_stage_cannot_leave_its_run(label: str) -> None:
    with pytest.raises(RecipeError):
        check_recipe({"name": "x", "stages": {label: None}}, "r.yaml")


@pytest.mark.parametrize("name", ["demo", "Crawl 2026-11", "语料", "a.b", "c::d"])
def test_plain_names_stay(name: str) -> None:
    assert check_recipe({"name": name, "stages": {"clean": None}}, "r.yaml").name == name


@pytest.mark.parametrize("name", ["c::d.jsonl", "file:a.jsonl", "http:b.jsonl", "memory::x.jsonl"])
def test_a_colon_is_a_letter_of_a_file_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / name).write_text(json.dumps({"text": TEXT}) + "\n")
    monkeypatch.chdir(tmp_path)
    assert [(file.path, file.source) for file in resolve_inputs([name])] == [(str(tmp_path / name), name)]
    assert [file.source for file in resolve_inputs([str(tmp_path)])] == [name]
    with pytest.raises(InputError, match="no such file"):
        resolve_inputs([f"x{name}"])


def test_comments_and_docstrings_are_no_code() -> None:
    one = '"""A module."""\nimport os  # why\n\n\ndef f(x: int) -> int:\n    """Return."""\n    return x + 1\n'
    other = "# Of somebody\nimport os  # why\ndef f(x: int) -> int:\n    '''Other\n    words.'''\n\n    return x + 1\n"
    assert deciding_lines(one) == deciding_lines(other)
    assert deciding_lines(one) != deciding_lines(one.replace("x + 1", "x + 2"))


def test_a_file_of_data_that_a_module_names_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "bad_words.txt.zst"
    data.write_bytes(b"1")
    monkeypatch.setattr(versions, "data_files", lambda: [data])
    one = {kind: code_version(STAGE_MODULES[kind]) for kind in ("clean", "tokenize")}
    data.write_bytes(b"2")
    other = {kind: code_version(STAGE_MODULES[kind]) for kind in ("clean", "tokenize")}
    assert one["clean"] != other["clean"]
    assert one["tokenize"] == other["tokenize"]


def test_a_version_covers_what_the_stage_imports_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Modules that a registry names in strings count; what runs a stage does not."""
    real = {kind: code_version(module) for kind, module in STAGE_MODULES.items()}
    assert len(set(real.values())) == len(real)

    def changed(module: str) -> set[str]:
        for function in (versions._mentioned, versions._deciding_text):
            function.cache_clear()
        original = versions.deciding_lines
        path = versions._file(module)
        assert path is not None
        source = path.read_text(encoding="utf-8")
        with monkeypatch.context() as patch:
            patch.setattr(
                versions, "deciding_lines", lambda text: original(text) + ("\nx = 1" if text == source else "")
            )
            found = {kind for kind, name in STAGE_MODULES.items() if code_version(name) != real[kind]}
        for function in (versions._mentioned, versions._deciding_text):
            function.cache_clear()
        return found

    assert changed("autoclave.cleaning.filters.c4") == {"clean", "selfclean"}  # whose table has signals of filters
    assert changed("autoclave.kernels.lightning_attention.chunk") == {"selfclean", "train"}
    assert "extract" in changed("autoclave.corpus.readers.warc")
    assert changed("autoclave.pipelines.running.engine") == set()
    assert changed("autoclave.cli.main") == set()
