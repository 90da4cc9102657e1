"""The tokenize stage: same bytes on any engine and after a restart, a fair sample, a manifest that adds up."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from autoclave.corpus.output import ShardOutput, Verdicts
from autoclave.corpus.schema import make_documents
from autoclave.corpus.storage import Folder
from autoclave.errors import SchemaError
from autoclave.pipelines.running.engine import Engine, InProcessEngine, LocalEngine
from autoclave.pipelines.running.stage import StageContext, document_shards
from autoclave.pipelines.tokenize.sample import SampleSettings, sampling_rates
from autoclave.pipelines.tokenize.stage import STAGE, TokenizeSettings, run_tokenize, train_tokenizer_file
from autoclave.tokenize.encoding import Encoder
from autoclave.tokenize.loader import IGNORE, TokenLoader
from autoclave.tokenize.shards import open_listed, read_manifest, verify_shards
from autoclave.tokenize.training import TokenizerSettings

SETTINGS = TokenizeSettings(training=TokenizerSettings(vocabulary_size=600, han_alphabet="none"))


def text(rng: random.Random, language: str) -> str:
    if language == "zh":
        return "".join(rng.choices("清洗语料的模型自己训练自己", k=rng.randrange(120))) + "。"
    return " ".join(rng.choices(["clean", "corpus", "model", "trains", "itself", "again"], k=rng.randrange(60)))


def write_documents(folder: Path, shards: int = 3, rows: int = 60, seed: int = 0) -> list[str]:
    """Write document shards as a stage would; return all texts in order."""
    rng = random.Random(seed)
    everything: list[str] = []
    for shard in range(shards):
        languages = ["zh" if rng.random() < 0.3 else "en" for _ in range(rows)]
        texts = [text(rng, language) for language in languages]
        texts[3] = ""
        everything += texts
        batch = make_documents(texts, f"crawl/{shard}.warc", language=languages)
        with ShardOutput(Folder(folder), "source", f"{shard:06d}") as output:
            output.write(batch, Verdicts.keep_all(rows))
            output.commit(f"{seed}-{shard}", [])
    return everything


def run(
    source: Path, out: Path, engine: Engine | None = None, settings: TokenizeSettings = SETTINGS
) -> StageContext[TokenizeSettings]:
    context = StageContext(
        "tokenize",
        Folder(out),
        settings,
        seed=3,
        engine=engine or InProcessEngine(),
        inputs=document_shards(Folder(source)),
    )
    run_tokenize(context)
    return context


def token_files(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((out / "tokens").iterdir())}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source")
    write_documents(path)
    return path


@pytest.fixture(scope="module")
def finished(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished")
    run(source, out)
    return out


def test_shards_decode_to_the_documents(source: Path, finished: Path) -> None:
    manifest = verify_shards(str(finished / "tokens"))
    encoder = Encoder.open(str(finished / "tokens" / "tokenizer.json"))
    assert manifest.meaning.tokenizer == encoder.fingerprint
    for entry, path in zip(manifest.shards, sorted((source / "documents").iterdir()), strict=True):
        documents = pq.read_table(path)
        rows = [row for b in open_listed(str(finished / "tokens"), manifest, entry).batches() for row in b.to_pylist()]
        assert [row["doc_id"] for row in rows] == documents["doc_id"].to_pylist()
        assert [encoder.decode(row["tokens"]) for row in rows] == documents["text"].to_pylist()
        assert [row["bytes"] for row in rows] == [len(t.encode()) for t in documents["text"].to_pylist()]


def test_figures_agree_everywhere(source: Path, finished: Path, tmp_path: Path) -> None:
    context = run(source, tmp_path)
    manifest = read_manifest(str(tmp_path / "tokens"))
    ledger = pa.concat_tables(pq.read_table(path) for path in sorted((tmp_path / "ledger").iterdir()))
    assert manifest.documents == ledger.num_rows == sum(commit.kept for commit in context.commits) == 180
    assert manifest.tokens == sum(ledger["tokens"].to_pylist()) == context.results["tokens"]
    assert manifest.tokens == sum(commit.counts["tokens"] for commit in context.commits)
    assert manifest.text_bytes == sum(commit.bytes_in for commit in context.commits)


def test_same_bytes_with_worker_processes_and_after_a_restart(source: Path, finished: Path, tmp_path: Path) -> None:
    engine = LocalEngine(2)
    try:
        run(source, tmp_path, engine)
        assert token_files(tmp_path) == token_files(finished)
        untouched = (tmp_path / "tokens" / "000000.arrow").stat().st_mtime_ns
        for name in ("tokens/000001.arrow", "tokens/manifest.json", "commits/000002.json"):
            (tmp_path / name).unlink()
        run(source, tmp_path, engine)
    finally:
        engine.close()
    assert token_files(tmp_path) == token_files(finished)
    assert (tmp_path / "tokens" / "000000.arrow").stat().st_mtime_ns == untouched


def test_no_manifest_while_the_stage_is_unfinished(source: Path, tmp_path: Path) -> None:
    run(source, tmp_path)

    class Stopped(InProcessEngine):
        def map_shards(self, *arguments: object) -> object:  # type: ignore[override]
            raise KeyboardInterrupt

    changed = TokenizeSettings(training=TokenizerSettings(vocabulary_size=500, han_alphabet="none"))
    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path, Stopped(), changed)
    assert not (tmp_path / "tokens" / "manifest.json").exists()


def test_a_given_tokenizer_is_used(source: Path, finished: Path, tmp_path: Path) -> None:
    tokenizer = finished / "tokens" / "tokenizer.json"
    run(source, tmp_path, settings=TokenizeSettings(tokenizer=str(tokenizer)))
    assert token_files(tmp_path) == token_files(finished)
    assert not (tmp_path / "phases").exists()
    (tmp_path / "wrong.json").write_text(json.dumps({"model": 1}))
    with pytest.raises(SchemaError, match=r"wrong\.json"):
        run(source, tmp_path, settings=TokenizeSettings(tokenizer=str(tmp_path / "wrong.json")))


def test_the_loader_reads_what_the_stage_wrote(finished: Path) -> None:
    manifest = read_manifest(str(finished / "tokens"))
    loader = TokenLoader(finished / "tokens", sequence_length=32, batch_size=4, seed=0)
    assert loader.tokens_per_epoch == manifest.tokens + manifest.documents
    batch = loader.batch(0)
    assert batch.inputs.max() < manifest.meaning.vocabulary_size
    assert (batch.targets != IGNORE).all()


def test_command_line_training_gives_the_same_tokenizer_as_the_stage(source: Path, tmp_path: Path) -> None:
    settings = TokenizeSettings(training=TokenizerSettings(vocabulary_size=600))
    context = run(source, tmp_path / "stage", settings=settings)
    train_tokenizer_file(str(source), str(tmp_path / "out" / "t.json"), vocab_size=600, seed=context.seed)
    assert (tmp_path / "out" / "t.json").read_bytes() == token_files(tmp_path / "stage")["tokenizer.json"]


def test_a_corpus_without_any_text(tmp_path: Path) -> None:
    with ShardOutput(Folder(tmp_path / "source"), "source", "000000") as output:
        output.write(make_documents([""], "s"), Verdicts.keep_all(1))
        output.commit("empty", [])
    context = run(tmp_path / "source", tmp_path / "out")
    assert context.results["tokens"] == 0
    batch = TokenLoader(tmp_path / "out" / "tokens", sequence_length=4, batch_size=1, seed=0).batch(0)
    assert batch.inputs.tolist() == [[1, 0, 0, 0]]
    assert batch.targets.tolist() == [[2, IGNORE, IGNORE, IGNORE]]


def test_rates_fill_the_budget_and_lift_the_small() -> None:
    sizes = {"en": 1_000_000, "zh": 100_000, "tiny": 100, "none": 0}
    rates = sampling_rates(sizes, SampleSettings(size=50_000, exponent=0.5))
    assert sum(rate * sizes[name] for name, rate in rates.items()) == pytest.approx(50_000)
    assert rates["tiny"] == 1.0
    assert rates["zh"] / rates["en"] == pytest.approx(10**0.5)
    assert sampling_rates(sizes, SampleSettings(size=10**9)) == {"en": 1.0, "zh": 1.0, "tiny": 1.0}
    proportional = sampling_rates(sizes, SampleSettings(size=110_010, exponent=1.0))
    assert proportional == pytest.approx({"en": 0.1, "zh": 0.1, "tiny": 0.1})


def test_the_sample_keeps_to_its_size_and_does_not_depend_on_the_sharding(tmp_path: Path) -> None:
    write_documents(tmp_path / "source", shards=4, rows=500)
    settings = TokenizeSettings(training=SETTINGS.training, sample=SampleSettings(size=60_000, document_size=90))
    run(tmp_path / "source", tmp_path / "out", settings=settings)
    samples = sorted((tmp_path / "out" / "phases" / "sample" / "texts").iterdir())
    texts = [t for path in samples for t in pa.ipc.open_stream(path.read_bytes()).read_all()["text"].to_pylist()]
    sizes = [len(t.encode()) for t in texts]
    assert max(sizes) <= 90
    assert 50_000 < sum(sizes) < 70_000
    chinese = sum(len(t.encode()) for t in texts if t and ord(t[0]) > 0x3000)
    assert 0.25 < chinese / sum(sizes) < 0.5  # 30 % of the documents, 32 % of the bytes
    table = pa.concat_tables(pq.read_table(p) for p in sorted((tmp_path / "source" / "documents").iterdir()))
    with ShardOutput(Folder(tmp_path / "whole"), "source", "000000") as output:
        for batch in table.combine_chunks().to_batches():
            output.write(batch, Verdicts.keep_all(batch.num_rows))
        output.commit("whole", [])
    run(tmp_path / "whole", tmp_path / "again", settings=settings)
    assert token_files(tmp_path / "again")["tokenizer.json"] == token_files(tmp_path / "out")["tokenizer.json"]


def test_stage_is_known_by_its_name() -> None:
    assert (STAGE.name, STAGE.reads, STAGE.writes) == ("tokenize", "documents", "tokens")
