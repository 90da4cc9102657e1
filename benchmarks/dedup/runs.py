"""Running the stage and its peer, and clocks: what the dedup benchmarks measure with."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from autoclave.corpus.storage import Folder
from autoclave.pipelines.dedup.settings import DedupSettings
from autoclave.pipelines.dedup.stage import run_dedup
from autoclave.pipelines.running.engine import make_engine
from autoclave.pipelines.running.stage import StageContext, parquet_shards
from benchmarks.dedup.corpus import write_parquet
from benchmarks.environments import run_peer


def best_cpu(function: Callable[[], Any], repeats: int = 3) -> float:
    """Return the least CPU seconds of a few runs."""
    best = float("inf")
    for _ in range(repeats):
        started = time.process_time()
        function()
        best = min(best, time.process_time() - started)
    return best


def row(name: str, value: float, unit: str, against: str = "") -> None:
    print(f"  {name:<44} {value:>14,.1f} {unit}  {against}")


def run_stage(out: Path, paths: list[str], workers: int, progress: Any = None, **settings: Any) -> Any:
    """Run the dedup stage on Parquet files and return its context."""
    engine = make_engine("local", workers)
    inputs = list(parquet_shards(paths))
    context = StageContext("dedup", Folder(out), DedupSettings(**settings), 0, engine, inputs=inputs)
    context.progress = progress or context.progress
    try:
        run_dedup(context)
    finally:
        engine.close()
    return context


def stage_groups(corpus: list[str], **settings: Any) -> list[object]:
    """Return the representative of each text after the dedup stage."""
    with tempfile.TemporaryDirectory() as folder:
        paths = write_parquet(Path(folder, "in"), corpus, 2)
        run_stage(Path(folder, "out"), paths, 0, **settings)
        table = pq.read_table(sorted(Path(folder, "out/ledger").iterdir()), columns=["doc_id", "duplicate_of"])
    ids, targets = table.column("doc_id").to_pylist(), table.column("duplicate_of").to_pylist()
    return [target or own for own, target in zip(ids, targets, strict=True)]


def run_datatrove(python: str, mode: str, source: Path, work: Path, workers: int) -> dict[str, Any]:
    """Return what datatrove's MinHash dedup says; mode: `signature` only, or all four `stages`."""
    answer = run_peer(python, "datatrove_minhash.py", mode, source, work, workers)
    found: dict[str, Any] = json.loads(answer.splitlines()[-1])
    return found
