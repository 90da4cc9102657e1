"""Corpora with planted copies, and runs of the dedup stage over them, for its tests."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from autoclave.corpus.output import ShardOutput, Verdicts
from autoclave.corpus.schema import make_documents
from autoclave.corpus.storage import Folder
from autoclave.pipelines.dedup.settings import DedupSettings
from autoclave.pipelines.dedup.stage import run_dedup
from autoclave.pipelines.running.engine import InProcessEngine, LocalEngine
from autoclave.pipelines.running.stage import DocumentShard, StageContext, document_shards

Shards = Sequence[Sequence[str]]


def write_source(path: Path, shards: Shards, hosts: Shards | None = None, quality: Any = None) -> list[DocumentShard]:
    """Write shards as an earlier stage would, with a ledger that holds `quality` where given."""
    folder = Folder(path)
    for index, texts in enumerate(shards):
        host = {} if hosts is None else {"host": hosts[index]}
        batch = make_documents(texts, f"{path.name}{index}", **host)
        verdicts = Verdicts.keep_all(len(texts))
        if quality is not None:
            verdicts.signals = {"quality": pa.array(quality[index], pa.float32())}
        with ShardOutput(folder, "source", f"{index:06d}") as output:
            if texts:
                output.write(batch, verdicts)
            output.expect(len(texts))
            output.commit(f"f{index}", [])
    return document_shards(folder)


def run(out: Path, inputs: list[DocumentShard], workers: int = 0, **settings: Any) -> StageContext[DedupSettings]:
    engine = LocalEngine(workers) if workers else InProcessEngine()
    context = StageContext("dedup", Folder(out), DedupSettings(**settings), 0, engine, inputs=inputs)
    try:
        run_dedup(context)
    finally:
        engine.close()
    return context


def ledger(out: Path) -> list[dict[str, Any]]:
    paths = sorted((out / "ledger").glob("*.parquet"))
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


def outputs(out: Path) -> dict[str, str]:
    """Checksum of every output file of the stage itself."""
    return {
        f"{kind}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for kind in ("documents", "ledger", "dropped")
        for path in sorted((out / kind).iterdir())
    }


WORDS = [f"{a}{b}{c}" for a in "bdfglmnprst" for b in "aeiou" for c in ("n", "r", "st", "l", "m")]


def corpus(seed: int, count: int = 360, shards: int = 4) -> tuple[list[list[str]], dict[int, tuple[int, str]]]:
    """Texts in shards with planted copies; truth: position -> (position of the original, 'exact' or 'near')."""
    rng = np.random.default_rng(seed)
    texts: list[str] = []
    truth: dict[int, tuple[int, str]] = {}
    for i in range(count):
        draw, j = rng.random(), int(rng.integers(0, max(1, i)))
        if i > 20 and draw < 0.15:
            texts.append(texts[j] + (" \n" if draw < 0.05 else ""))
            truth[i] = (j, "exact")
        elif i > 20 and draw < 0.4:
            words = texts[j].split()
            for _ in range(1 + len(words) // 150):
                words[int(rng.integers(len(words)))] = "changed"
            texts.append(" ".join(words))
            truth[i] = (j, "near")
        else:
            texts.append(" ".join(WORDS[k] for k in rng.integers(0, len(WORDS), int(rng.integers(60, 300)))))
    return [list(part) for part in np.array_split(np.array(texts, object), shards)], truth


def shingles(text: str) -> set[str]:
    words = text.split()
    return {" ".join(words[i : i + 5]) for i in range(max(1, len(words) - 4))}


def jaccard(a: str, b: str) -> float:
    left, right = shingles(a), shingles(b)
    return len(left & right) / len(left | right)
