"""The train command in several processes: torchrun and Ray give one process's losses; a killed worker costs nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil
import pytest

from autoclave.corpus.output import ShardOutput, Verdicts
from autoclave.corpus.schema import make_documents
from autoclave.corpus.storage import Folder
from autoclave.pipelines.running.engine import InProcessEngine
from autoclave.pipelines.running.stage import StageContext, document_shards
from autoclave.pipelines.tokenize.stage import TokenizeSettings, run_tokenize
from autoclave.tokenize.training import TokenizerSettings

WORDS = ["river", "stone", "the", "a", "walks", "over", "under", "green", "old", "bridge"]
RECIPE = """
shards: {shards}
seed: 3
train:
  preset: tnl-nano
  model: {{hidden_size: 32, glu_size: 48}}
  steps: {steps}
  sequence_length: 64
  batch_size: 4
  warmup_steps: 2
  learning_rate: 0.01
  checkpoint_every: 3
"""
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Token shards of made-up sentences."""
    root = tmp_path_factory.mktemp("tokens")
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(WORDS, int(random.integers(5, 120)))) + "." for _ in range(150)]
    with ShardOutput(Folder(root / "documents"), "source", "000000") as output:
        output.write(make_documents(texts, "s"), Verdicts.keep_all(150))
        output.commit("f", [])
    settings = TokenizeSettings(training=TokenizerSettings(vocabulary_size=400, han_alphabet="none"))
    context = StageContext("tokenize", Folder(root / "stage"), settings, 0, InProcessEngine())
    context.inputs = document_shards(Folder(root / "documents"))
    run_tokenize(context)
    return root / "stage"


def command(shards: Path, folder: Path, *options: str, steps: int = 12) -> list[str]:
    recipe = folder.with_name(f"{folder.name}.yaml")
    recipe.write_text(RECIPE.format(shards=shards, steps=steps))
    return ["-m", "autoclave", "train", str(recipe), "--out", str(folder), "--json", *options]


def run(arguments: list[str]) -> dict[str, Any]:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    return msgspec.json.decode(done.stdout)


def losses(folder: Path) -> list[tuple[int, float]]:
    lines = [msgspec.json.decode(line) for line in (folder / "metrics.jsonl").read_bytes().splitlines()]
    return [(line["step"], line["loss"]) for line in lines]


def assert_same_losses(ours: Path, theirs: Path, steps: int = 12) -> None:
    assert [step for step, _ in losses(ours)] == list(range(1, steps + 1))
    for (step, mine), (_, other) in zip(losses(ours), losses(theirs), strict=True):
        assert mine == pytest.approx(other, abs=2e-5), step


@pytest.fixture(scope="module")
def one(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one") / "model"
    assert run(command(shards, folder))["steps"] == 12
    return folder


@pytest.mark.slow
def test_torchrun_trains_as_one_process(shards: Path, one: Path, tmp_path: Path) -> None:
    result = run([*TORCHRUN, *command(shards, tmp_path / "model")])  # one JSON document: one process speaks
    assert result["steps"] == 12
    assert_same_losses(tmp_path / "model", one)


@pytest.mark.slow
def test_ray_trains_as_one_process(shards: Path, one: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'autoclave[ray]'")
    result = run(command(shards, tmp_path / "model", "--engine", "ray", "--workers", "2"))
    assert result["steps"] == 12
    assert_same_losses(tmp_path / "model", one)
    newest = sorted((tmp_path / "model/checkpoints").iterdir())[-1]
    assert (newest / "model-00002-of-00002.safetensors").is_file()


def worker_processes(driver: psutil.Process) -> list[psutil.Process]:
    """The actors of our run, by the name that Ray gives them."""
    found = []
    for process in driver.children(recursive=True):
        try:
            if "ray::_Process.train" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.mark.slow
def test_a_killed_ray_worker_leads_to_a_resume(shards: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'autoclave[ray]'")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run([*TORCHRUN, *command(shards, whole, steps=150)])
    arguments = command(shards, killed, "--engine", "ray", "--workers", "2", steps=150)
    with subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as driver:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not list(killed.glob("checkpoints/step-*")):
            assert driver.poll() is None
            time.sleep(0.02)
        workers = worker_processes(psutil.Process(driver.pid))
        assert len(workers) == 2
        at = losses(killed)[-1][0]
        os.kill(workers[1].pid, signal.SIGKILL)
        out, errors = driver.communicate(timeout=240)
    assert driver.returncode == 0, errors.decode()
    assert at < 150
    assert b"warning: train: a process ended at step" in errors
    assert msgspec.json.decode(out)["steps"] == 150
    assert losses(killed) == losses(whole)  # two processes without a break, to the bit


def test_several_local_workers_are_torchruns_matter(shards: Path, tmp_path: Path) -> None:
    arguments = command(shards, tmp_path / "model", "--workers", "2")
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert "torchrun --nproc-per-node 2 -m autoclave train" in done.stderr
