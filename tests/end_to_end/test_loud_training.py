"""What training says and how it ends, at the terminal."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from small_run import SmallRun, autoclave

SETTINGS = ("--preset", "tnl-nano", "--set", "batch_size=2", "--set", "sequence_length=64", "--set", "warmup_steps=1")


def test_a_run_that_diverges_exits_with_1_and_publishes_nothing(finished: SmallRun, tmp_path: Path) -> None:
    arguments = ("train", finished.run / "05-tokenize", "--out", tmp_path / "wild", *SETTINGS, "--steps", "8")
    failed = autoclave(*arguments, "--set", "learning_rate=1e30", check=False)
    assert failed.returncode == 1
    assert "error: training diverged: " in failed.stderr
    assert "Traceback" not in failed.stderr
    assert not (tmp_path / "wild/model.safetensors").exists()
    refused = autoclave("generate", tmp_path / "wild", "--prompt", "a", check=False)
    assert refused.returncode == 1
    assert "holds no config.json" in refused.stderr


def test_what_differs_at_a_resume_is_named(finished: SmallRun, tmp_path: Path) -> None:
    arguments = ("train", finished.run / "05-tokenize", "--out", tmp_path / "run", *SETTINGS)
    autoclave(*arguments, "--steps", "6", "--set", "learning_rate=0.001")
    longer = autoclave(*arguments, "--steps", "12", "--set", "learning_rate=0.001", "--json")
    assert json.loads(longer.stdout)["steps"] == 12
    said = " ".join(longer.stderr.split())
    assert "warning: " in said
    assert "goes on with steps: 6 there, 12 here; the learning rate jumps from" in said
    refused = autoclave(*arguments, "--steps", "12", "--set", "learning_rate=0.1", check=False)
    assert refused.returncode == 1
    assert "learning_rate: 0.001 there, 0.1 here" in " ".join(refused.stderr.split())


def test_a_tokenizer_that_is_not_the_shards_is_refused(finished: SmallRun, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    shutil.copytree(finished.run / "05-tokenize/tokens", tokens)
    tokenizer = json.loads((tokens / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    first, second = sorted(vocabulary, key=vocabulary.__getitem__)[-2:]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    (tokens / "tokenizer.json").write_text(json.dumps(tokenizer))
    damaged = autoclave("train", tokens, "--out", tmp_path / "a", *SETTINGS, "--steps", "1", check=False)
    assert damaged.returncode == 1
    assert "tokenizer.json: damaged: " in " ".join(damaged.stderr.split())
    (tokens / "checksums.json").unlink()  # a folder that somebody put together
    other = autoclave("train", tokens, "--out", tmp_path / "b", *SETTINGS, "--steps", "1", check=False)
    assert other.returncode == 1
    assert "put the tokenizer that the shards were made with there" in " ".join(other.stderr.split())
