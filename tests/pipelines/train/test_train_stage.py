"""The train stage and scoring by shard, on real token shards made from text: recipe to checkpoint to scores."""

from __future__ import annotations

import dataclasses
import math
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest

from autoclave.corpus.output import ShardOutput, Verdicts
from autoclave.corpus.schema import make_doc_id, make_documents
from autoclave.corpus.storage import Folder
from autoclave.errors import CheckpointError, InputError, RecipeError, RunError
from autoclave.model.inference.scoring import Scorer
from autoclave.pipelines.running.engine import InProcessEngine
from autoclave.pipelines.running.recipe import check_recipe
from autoclave.pipelines.running.run import run_recipe
from autoclave.pipelines.running.stage import DocumentShard, Silent, StageContext, document_shards
from autoclave.pipelines.score import SCORE_SCHEMA, ScoreSettings, score_folder
from autoclave.pipelines.tokenize.stage import TokenizeSettings, run_tokenize
from autoclave.pipelines.train.run import train_on_shards
from autoclave.pipelines.train.settings import TrainStageSettings
from autoclave.pipelines.train.stage import STAGE, run_train
from autoclave.tokenize.encoding import Encoder
from autoclave.tokenize.training import TokenizerSettings

SETTINGS = TrainStageSettings(
    preset="tnl-nano", model={"hidden_size": 32, "glu_size": 48}, steps=12, sequence_length=64, batch_size=2,
    warmup_steps=2, learning_rate=1e-2, checkpoint_every=5,
)  # fmt: skip
WORDS = ["river", "stone", "the", "a", "walks", "over", "under", "green", "old", "bridge", "河流", "石头", "走过"]


def make_texts(count: int, seed: int) -> list[str]:
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, int(random.integers(1, 120)))) + "." for _ in range(count)]


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A tokenize stage's output over two shards, made by the stage itself."""
    root = tmp_path_factory.mktemp("tokens")
    source = Folder(root / "documents")
    for index in range(2):
        texts = make_texts(60, index)
        with ShardOutput(source, "source", f"{index:06d}") as output:
            output.write(make_documents(texts, f"s{index}"), Verdicts.keep_all(60))
            output.commit(f"f{index}", [])
    settings = TokenizeSettings(training=TokenizerSettings(vocabulary_size=600, han_alphabet="none"))
    context = StageContext("tokenize", Folder(root / "stage"), settings, 0, InProcessEngine())
    context.inputs = document_shards(source)
    run_tokenize(context)
    return context.folder


def documents_of(tokens: Folder) -> list[DocumentShard]:
    return document_shards(Folder(Path(tokens.root).parent / "documents"))


def make_context(folder: Path, tokens: Folder, settings: TrainStageSettings, seed: int = 0) -> StageContext[Any]:
    context = StageContext("train", Folder(folder), settings, seed, InProcessEngine(), previous=tokens)
    context.progress = Silent()
    return context


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in (folder / "metrics.jsonl").read_bytes().splitlines()]


@pytest.fixture(scope="module")
def model(tokens: Folder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "03-train"
    run_train(make_context(folder, tokens, SETTINGS))
    return folder


def test_the_stage_trains_on_the_shards_and_copies_their_tokenizer(model: Path, tokens: Folder) -> None:
    lines = metrics(model)
    assert [line["step"] for line in lines] == list(range(1, 13))
    vocabulary = msgspec.json.decode((model / "config.json").read_bytes())["vocabulary_size"]
    assert lines[0]["loss"] == pytest.approx(math.log(vocabulary), rel=0.05)
    assert lines[-1]["loss"] < 0.8 * lines[0]["loss"]
    assert (model / "tokenizer.json").read_bytes() == tokens.read_bytes("tokens/tokenizer.json")


def test_several_workers_of_the_local_engine_are_refused_before_any_stage_runs(tmp_path: Path) -> None:
    recipe = check_recipe(
        {"name": "r", "inputs": [str(tmp_path)], "stages": {"tokenize": {}, "train": {"workers": 2}}}, "r"
    )
    with pytest.raises(RecipeError, match=r"train\.workers 2: needs --engine ray.*torchrun --nproc-per-node 2"):
        run_recipe(recipe, str(tmp_path / "run"), InProcessEngine())
    assert not (tmp_path / "run").exists()
    with pytest.raises(RecipeError, match="the stage tokenize reads documents"):  # the stages named are let through
        run_recipe(recipe, str(tmp_path / "run"), InProcessEngine(), stages=["tokenize"])


def _refuse(what: str) -> None:
    raise RunError(what)


def test_a_finished_stage_is_not_redone_and_changed_settings_start_anew(
    model: Path, tokens: Folder, tmp_path: Path
) -> None:
    first = make_context(tmp_path, tokens, SETTINGS)
    run_train(first)
    assert (tmp_path / "model.safetensors").read_bytes() == (model / "model.safetensors").read_bytes()
    before = (tmp_path / "metrics.jsonl").read_bytes()
    again = make_context(tmp_path, tokens, SETTINGS)
    run_train(again)
    assert again.results == first.results
    assert (tmp_path / "metrics.jsonl").read_bytes() == before
    other = make_context(tmp_path, tokens, msgspec.structs.replace(SETTINGS, batch_size=3))
    said: list[str] = []
    other.progress.message = said.append  # type: ignore[method-assign]
    refused = dataclasses.replace(other, permit=_refuse)
    with pytest.raises(RunError, match=r"would be replaced: data\.batch_size: 2 there, 3 here"):
        run_train(refused)
    assert (tmp_path / "metrics.jsonl").read_bytes() == before
    shutil.copytree(tmp_path, tmp_path / "bare", ignore=shutil.ignore_patterns("checkpoints"))
    with pytest.raises(RunError, match="would be replaced: it has no checkpoint"):
        run_train(dataclasses.replace(refused, folder=Folder(tmp_path / "bare")))
    assert said == []
    run_train(other)
    assert said[0] == "warning: train: training starts anew, since data.batch_size: 2 there, 3 here"
    assert len(metrics(tmp_path)) == 12
    assert metrics(tmp_path)[0]["tokens"] != msgspec.json.decode(before.splitlines()[0])["tokens"]


def test_the_command_resumes_and_refuses_another_recipe(tokens: Folder, tmp_path: Path) -> None:
    half = msgspec.structs.replace(SETTINGS, schedule="constant", steps=6)
    whole = msgspec.structs.replace(half, steps=12)
    train_on_shards(tokens.url, tmp_path / "two", half)
    train_on_shards(f"{tokens.url}/tokens", tmp_path / "two", whole)  # the stage's folder or the shards' own
    train_on_shards(tokens.url, tmp_path / "one", whole)
    assert (tmp_path / "two/model.safetensors").read_bytes() == (tmp_path / "one/model.safetensors").read_bytes()
    with pytest.raises(CheckpointError, match="other settings"):
        train_on_shards(tokens.url, tmp_path / "two", msgspec.structs.replace(whole, learning_rate=0.5))
    with pytest.raises(InputError, match=r"no manifest\.json"):
        train_on_shards(str(tmp_path), tmp_path / "out", whole)


def test_wrong_settings_are_named() -> None:
    with pytest.raises(RecipeError, match="unknown model preset 'tnl-9b'"):
        TrainStageSettings(preset="tnl-9b")
    with pytest.raises(RecipeError, match="unknown field 'depth'"):
        TrainStageSettings(model={"depth": 3})
    with pytest.raises(RecipeError, match="must be at least 1"):
        TrainStageSettings(steps=0)
    with pytest.raises(RecipeError, match="must be at least 1"):
        TrainStageSettings(workers=0)
    assert STAGE.name == "train"
    assert STAGE.reads == "tokens"


def test_scores_of_tokens_and_of_documents_agree_and_are_those_of_the_scorer(
    model: Path, tokens: Folder, tmp_path: Path
) -> None:
    settings = ScoreSettings(device="cpu", pack_tokens=256)
    score_folder(tokens.url, str(model), str(tmp_path / "a"), settings, InProcessEngine())
    documents = documents_of(tokens)
    score_folder("", str(model), str(tmp_path / "b"), settings, InProcessEngine(), documents=documents)
    scorer = Scorer.from_checkpoint(model, device="cpu", pack_tokens=256)
    encoder = Encoder.open(str(model / "tokenizer.json"))
    for shard in ("000000", "000001"):
        scores = pq.read_table(tmp_path / f"a/scores/{shard}.parquet")
        assert scores.schema.equals(SCORE_SCHEMA)
        assert scores.equals(pq.read_table(tmp_path / f"b/scores/{shard}.parquet"))
        texts = make_texts(60, int(shard))
        assert scores["doc_id"].to_pylist() == [make_doc_id(f"s{int(shard)}", i) for i in range(60)]
        assert scores["bytes"].to_pylist() == [len(text.encode()) for text in texts]
        offsets, ids = encoder.encode(texts[:5])
        first = scorer.score([ids[offsets[i] : offsets[i + 1]] for i in range(5)], [1] * 5)
        assert scores["nll"].to_pylist()[:5] == first.nll.tolist()
        want = scores["nll"].to_numpy() / math.log(2) / scores["bytes"].to_numpy()
        np.testing.assert_allclose(scores["bits_per_byte"].to_numpy(), want)


def test_scored_shards_are_not_scored_again_and_a_new_model_is(model: Path, tokens: Folder, tmp_path: Path) -> None:
    settings = ScoreSettings(device="cpu", pack_tokens=256)
    target = tmp_path / "scores/scores/000000.parquet"
    first = score_folder(tokens.url, str(model), str(tmp_path / "scores"), settings, InProcessEngine())
    assert [commit.counts["documents_scored"] for commit in first] == [60, 60]
    stamp = target.stat().st_mtime_ns
    score_folder(tokens.url, str(model), str(tmp_path / "scores"), settings, InProcessEngine())
    assert target.stat().st_mtime_ns == stamp
    other = tmp_path / "other"
    train_on_shards(tokens.url, other, msgspec.structs.replace(SETTINGS, steps=2))
    score_folder(tokens.url, str(other), str(tmp_path / "scores"), settings, InProcessEngine())
    assert target.stat().st_mtime_ns != stamp


def test_documents_need_the_checkpoints_tokenizer(model: Path, tokens: Folder, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("config.json", "model.safetensors"):
        (bare / name).write_bytes((model / name).read_bytes())
    shards = documents_of(tokens)
    with pytest.raises(Exception, match=r"has no tokenizer\.json"):
        score_folder("", str(bare), str(tmp_path / "s"), ScoreSettings(), InProcessEngine(), documents=shards)
    with pytest.raises(CheckpointError, match="holds no"):
        score_folder("", str(tmp_path), str(tmp_path / "s"), ScoreSettings(), InProcessEngine(), documents=shards)
