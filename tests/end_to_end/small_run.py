"""A small crawl and a recipe that takes every stage through it in seconds; helpers to run it and to compare runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml
import zstandard

STAGES = ("extract", "clean", "dedup", "selfclean", "tokenize", "train")


@dataclass(frozen=True)
class SmallRun:
    crawl: Path
    recipe: Path
    run: Path
    output: str
    errors: str


def make_crawl(examples: Path, folder: Path, documents: int = 40) -> Path:
    """Copy a part of the demo crawl: HTML pages, a JSONL of English documents, a cut WARC file (which is an error)."""
    folder.mkdir(parents=True)
    shutil.copytree(examples / "pages", folder / "pages")
    with zstandard.open(examples / "english.jsonl.zst", "rt", encoding="utf-8") as source:
        lines = [line for line, _ in zip(source, range(documents), strict=False)]
    (folder / "english.jsonl").write_text("".join(lines + lines[:8]), encoding="utf-8")
    warc = (examples / "httpd-docs.warc.gz").read_bytes()
    (folder / "cut.warc.gz").write_bytes(warc[: len(warc) // 3])
    return folder


def write_recipe(path: Path, crawl: Path) -> Path:
    """Write a recipe of all stages with the smallest models that still run every line of code."""
    model = {"preset": "tnl-nano", "steps": 6, "batch_size": 2, "sequence_length": 128}
    recipe = {
        "name": "small",
        "seed": 5,
        "inputs": [str(crawl)],
        "stages": {
            "extract": {},
            "clean": {
                "language": {"keep": ["en", "zh"], "min_score": 0.3},
                "filters": ["gopher_quality", "c4"],
                "thresholds": {"alphabetic_word_ratio": [0.5, None]},
            },
            "dedup": {},
            "selfclean": {"vocabulary_size": 1024, "min_stratum": 10, "sample": 5, "model": model},
            "tokenize": {"training": {"vocabulary_size": 1024, "han_alphabet": "none"}},
            "train": {**model, "steps": 10, "warmup_steps": 2, "checkpoint_every": 3},
        },
    }
    path.write_text(yaml.safe_dump(recipe, sort_keys=False))
    return path


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "autoclave", *map(str, arguments)]


def autoclave(*arguments: str | Path, check: bool = True, timeout: float = 280) -> subprocess.CompletedProcess[str]:
    """Run a command; on failure show what it printed."""
    done = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=timeout)
    assert not check or done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def contents(run: Path) -> dict[str, object]:
    """Return every file of a run but what tells the time or the place: seconds and dates, speeds and memory in
    metrics, the lock, the report, and dedup's note of where its shards lie."""
    result: dict[str, object] = {}
    for path in sorted(run.rglob("*")):
        name = str(path.relative_to(run))
        if (
            not path.is_file()
            or path.name in (".lock", "summary.json", "report.html", "identity.json")
            or "phases/manifest" in name
        ):
            continue
        if path.name == "checksums.json":  # of commits and metrics, too, which tell the time
            result[name] = sorted(json.loads(path.read_text())["files"])
        elif path.parent.name == "commits":
            commit = json.loads(path.read_text())
            del commit["seconds"], commit["made"], commit["checksum"]
            commit["inputs"] = [Path(item).name for item in commit["inputs"]]
            result[name] = commit
        elif path.name == "metrics.jsonl":
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            result[name] = [
                {k: v for k, v in line.items() if k not in ("tokens_per_second", "memory_bytes")} for line in lines
            ]
        elif path.name == "recipe.yaml":
            result[name] = path.read_bytes().partition(b"\n")[2]
        else:
            result[name] = path.read_bytes()
    return result


def differences(one: dict[str, object], other: dict[str, object]) -> list[str]:
    """Return the names that differ, for a readable failure."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
