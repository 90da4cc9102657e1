"""A small run directory with three stages, written as stages write theirs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from autoclave.corpus.output import ShardOutput, Verdicts
from autoclave.corpus.schema import make_doc_id, make_documents
from autoclave.corpus.storage import Folder

sys.path.insert(0, str(Path(__file__).parent))

SHARDS, ROWS = 2, 30


def word_count(shard: int, row: int) -> int:
    return 10 * (row + 1) + shard


def text_of(shard: int, row: int) -> str:
    return " ".join([f"word{shard}"] * word_count(shard, row)) + ("\n[markup]text[/markup] 中文" if row == 7 else "")


def batch(shard: int, rows: Sequence[int], texts: Sequence[str]) -> pa.RecordBatch:
    count = len(rows)
    return make_documents(
        texts,
        f"crawl/{shard}.warc",
        offset=rows,
        url=[f"https://site{shard}.example/{row}" for row in rows],
        host=[f"site{shard}.example"] * count,
        language=["en"] * count,
        language_score=[0.9] * count,
    )


def write_stage(
    folder: Path, shard: int, given: pa.RecordBatch, verdicts: Verdicts, errors: Sequence[str] = ()
) -> None:
    with ShardOutput(Folder(folder), folder.name[3:], f"{shard:06d}") as output:
        output.write(given, verdicts)
        for place in errors:
            output.error(place, "cut short")
        output.commit(f"test-{shard}", [])


def make_run(folder: Path) -> Path:
    """extract keeps all and has one error; clean drops rows 0-3 (< 50 words) and 28-29 (> 285); dedup drops row 8, a
    duplicate of row 9, in both shards, and row 10 of shard 1, a duplicate of row 9 of shard 0."""
    for shard in range(SHARDS):
        rows = list(range(ROWS))
        texts = [text_of(shard, row) for row in rows]
        write_stage(
            folder / "01-extract",
            shard,
            batch(shard, rows, texts),
            Verdicts.keep_all(ROWS),
            [f"{shard}.warc:99"][shard:],
        )
        words = pa.array([word_count(shard, row) for row in rows], pa.int32())
        low, high = np.array(words) < 50, np.array(words) > 285
        name = [f"rules_{'short' if a else 'long'}" if a or b else None for a, b in zip(low, high, strict=True)]
        reason = ["word_count < 50" if a else "word_count > 285" if b else None for a, b in zip(low, high, strict=True)]
        signals = {
            "word_count": words,
            "share": pa.array([row / 30 if row % 3 else None for row in rows], pa.float32()),
        }
        edited = [text.replace("[markup]", "").replace("[/markup]", "") for text in texts]
        verdicts = Verdicts(~(low | high), name, reason, signals)
        write_stage(folder / "02-clean", shard, batch(shard, rows, edited), verdicts)
        rows = [row for row in rows if not low[row] and not high[row]]
        nine = [make_doc_id(f"crawl/{s}.warc", 9) for s in range(SHARDS)]
        of = [nine[shard] if row == 8 else nine[0] if (row, shard) == (10, 1) else None for row in rows]
        kept = np.array([other is None for other in of])
        why = [None if k else "near_duplicate" for k in kept]
        verdicts = Verdicts(kept, [w and "minhash" for w in why], why, {}, of)
        write_stage(folder / "03-dedup", shard, batch(shard, rows, [edited[row] for row in rows]), verdicts)
    return folder


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("run") / "demo")


def doc_id(shard: int, row: int) -> str:
    return make_doc_id(f"crawl/{shard}.warc", row).hex()
