"""Ray on two GPUs: training by two workers beside two plain processes, self-cleaning by two actors beside one."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from pathlib import Path

import msgspec
import numpy as np
import torch.multiprocessing as multiprocessing

from autoclave.corpus.output import ShardOutput, Verdicts
from autoclave.corpus.schema import make_documents
from autoclave.corpus.storage import Folder
from autoclave.pipelines.running.engine import Engine, InProcessEngine
from autoclave.pipelines.running.stage import StageContext, document_shards
from autoclave.pipelines.selfclean.settings import EvaluationModel, SelfcleanSettings
from autoclave.pipelines.selfclean.stage import run_selfclean
from autoclave.pipelines.tokenize.stage import TokenizeSettings, run_tokenize
from autoclave.pipelines.train.ray_group import train_on_ray
from autoclave.pipelines.train.run import train_on_shards
from autoclave.pipelines.train.settings import TrainStageSettings
from autoclave.tokenize.training import TokenizerSettings
from benchmarks.gpu.parallel import Results, free_port

WORDS = ["river", "stone", "the", "a", "walks", "over", "under", "green", "old", "bridge", "seven", "light"]
SHARDS, DOCUMENTS = 4, 150
STEPS = 12
# What a run leaves that does not say when or where it ran.
COMPARED = (".parquet", ".arrow", ".safetensors", "decision.json", ".jsonl")


def make_corpus(root: Path) -> Path:
    """Documents of made-up sentences, in several shards."""
    random = np.random.default_rng(0)
    for shard in range(SHARDS):
        texts = [" ".join(random.choice(WORDS, int(random.integers(20, 200)))) + "." for _ in range(DOCUMENTS)]
        with ShardOutput(Folder(root / "documents"), "source", f"{shard:06d}") as output:
            output.write(make_documents(texts, f"s{shard}"), Verdicts.keep_all(DOCUMENTS))
            output.commit("f", [])
    return root / "documents"


def make_tokens(root: Path, documents: Path) -> Path:
    settings = TokenizeSettings(training=TokenizerSettings(vocabulary_size=400, han_alphabet="none"))
    context = StageContext("tokenize", Folder(root / "tokenize"), settings, 0, InProcessEngine())
    context.inputs = document_shards(Folder(documents))
    run_tokenize(context)
    return root / "tokenize"


def losses(folder: Path) -> list[float]:
    return [msgspec.json.decode(line)["loss"] for line in (folder / "metrics.jsonl").read_bytes().splitlines()]


def process(rank: int, port: int, shards: str, out: str, settings: TrainStageSettings) -> None:
    """One of two processes that train as torchrun's would."""
    place = {"RANK": rank, "WORLD_SIZE": 2, "LOCAL_RANK": rank, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in place.items()}
    train_on_shards(shards, out, settings)


def training(root: Path, shards: Path, device: str) -> Results:
    """Losses of Ray's two workers beside two plain processes (to the bit) and one."""
    gpus = 1.0 if device == "cuda" else 0.0
    one = TrainStageSettings(
        preset="tnl-tiny", steps=STEPS, sequence_length=128, device=device, precision="float32", checkpoint_every=6
    )
    ray = msgspec.structs.replace(one, workers=2, gpus=gpus)
    train_on_shards(str(shards), root / "one", one)
    multiprocessing.spawn(process, args=(free_port(), str(shards), str(root / "two"), one), nprocs=2)
    begun = time.perf_counter()
    train_on_ray(str(shards), root / "ray", ray)
    seconds = time.perf_counter() - begun
    found = {name: losses(root / name) for name in ("one", "two", "ray")}
    return {
        "first_loss": found["one"][0],
        "last_loss": found["one"][-1],
        "ray_equals_two_processes": found["ray"] == found["two"],
        "largest_difference_from_one": max(abs(a - b) for a, b in zip(found["ray"], found["one"], strict=True)),
        "files": sorted(p.name for p in (root / f"ray/checkpoints/step-{STEPS:08d}").glob("*.safetensors")),
        "ray_seconds": round(seconds, 1),
    }


def clean_itself(root: Path, name: str, documents: Path, engine: Engine, device: str) -> dict[str, str]:
    """One round of self-cleaning; the digests of what it leaves, by file."""
    model = EvaluationModel(
        preset="tnl-nano",
        steps=20,
        batch_size=8,
        sequence_length=128,
        device=device,
        gpus=1.0 if device == "cuda" else 0.0,
    )
    settings = SelfcleanSettings(model=model, vocabulary_size=400, min_stratum=20)
    folder = root / name
    context = StageContext("selfclean", Folder(folder), settings, 3, engine, inputs=document_shards(Folder(documents)))
    run_selfclean(context)
    files = [path for path in folder.rglob("*") if path.is_file() and path.name.endswith(COMPARED)]
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()[:16] for p in sorted(files)}


def ray_part(device: str) -> Results:
    """Both comparisons, or why there is none."""
    try:
        from autoclave.pipelines.running.ray_engine import RayEngine

        engine = RayEngine(2)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    found: Results = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        documents = make_corpus(root)
        try:
            found["training"] = training(root, make_tokens(root, documents), device)
            alone = clean_itself(root, "alone", documents, InProcessEngine(), device)
            again = clean_itself(root, "again", documents, InProcessEngine(), device)
            actors = clean_itself(root, "actors", documents, engine, device)
        finally:
            engine.close()
        found["selfclean"] = {
            "files": len(alone),
            "two_runs_of_one_process_differ_in": differing(alone, again),
            "two_actors_differ_in": differing(alone, actors),
        }
    return found


def differing(ours: dict[str, str], theirs: dict[str, str]) -> list[str]:
    """Names of files that are not the same, or on one side only."""
    return sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
