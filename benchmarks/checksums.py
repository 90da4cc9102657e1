"""What reading checksums costs: the share of a stage's time, the rate of `verify`, page checksums of Parquet.

    python -m benchmarks.checksums [--megabytes 40]

Stages run in this process on documents of random words, twice: the second time, all is done and only read. CPU seconds.
Prints one JSON object.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from autoclave.cleaning.dedup import slices
from autoclave.corpus import checksums, schema
from autoclave.corpus.output import ShardOutput, Verdicts
from autoclave.corpus.schema import make_documents
from autoclave.corpus.storage import Folder
from autoclave.pipelines.reading.verification import verify
from autoclave.pipelines.running.engine import InProcessEngine
from autoclave.pipelines.running.registry import load_stage
from autoclave.pipelines.running.stage import StageContext, document_shards
from autoclave.tokenize import shards
from autoclave.tokenize.loader import TokenLoader

DOCUMENT_WORDS = 400
spent = [0.0]
"""CPU seconds in the functions that read checksums."""


def timed(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, whose CPU time is added to `spent` (of nested calls, the outermost's)."""

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        before, started = spent[0], time.process_time()
        try:
            return function(*arguments, **named)
        finally:
            spent[0] = before + time.process_time() - started

    return call


def measure(function: Callable[[], object]) -> dict[str, float]:
    """CPU seconds of a call, and the percentage of them that went into checksums."""
    checksums._checked.clear()
    spent[0], started = 0.0, time.process_time()
    function()
    seconds = time.process_time() - started
    return {"seconds": round(seconds, 2), "checksums_percent": round(100 * spent[0] / seconds, 2)}


def write_source(folder: Folder, megabytes: int) -> None:
    """Write shards of some 10 MB of random words of a vocabulary of 20,000."""
    draw = np.random.default_rng(0)
    letters = np.array(list("etaoinshrdlucmfw"))
    words = np.array(["".join(draw.choice(letters, draw.integers(2, 10))) for _ in range(20_000)])
    for number in range(max(1, megabytes // 10)):
        ranks = (draw.pareto(1.1, (4000, DOCUMENT_WORDS)) * 20).astype(np.int64) % len(words)
        batch = make_documents([" ".join(words[row]) + "." for row in ranks], f"source/{number}")
        with ShardOutput(folder, "source", f"{number:06d}") as output:
            output.write(batch, Verdicts.keep_all(batch.num_rows))
            output.commit("source", [])


def run_stage(kind: str, source: Folder, out: Folder, settings: dict[str, Any]) -> None:
    """Run one stage on the documents of another, in this process."""
    stage = load_stage(kind)
    context = StageContext(kind, out, msgspec.convert(settings, stage.settings), 0, InProcessEngine())
    context.inputs = document_shards(source)
    stage.run(context)


def page_checksums() -> float:
    """Percentage of time that page checksums add to writing Parquet: median of pairs."""
    table = pa.table({"text": pa.array(["some words of a page " * 100 + str(i) for i in range(20_000)])})
    ratios = []
    for turn in range(16):
        times = {}
        for checked in (False, True) if turn % 2 else (True, False):
            sink, started = pa.BufferOutputStream(), time.process_time()
            pq.write_table(table, sink, compression="zstd", use_dictionary=False, write_page_checksum=checked)
            times[checked] = time.process_time() - started
        ratios.append(times[True] / times[False] - 1)
    return round(100 * statistics.median(ratios), 2)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=40)
    arguments = parser.parse_args()
    checksums.check = timed(checksums.check)  # type: ignore[assignment]
    checksums.find_damage = timed(checksums.find_damage)  # type: ignore[assignment]
    schema.check = shards.check = checksums.check  # type: ignore[assignment]
    shards.require = timed(shards.require)  # type: ignore[assignment]
    slices.xxhash.xxh3_128_hexdigest = timed(slices.xxhash.xxh3_128_hexdigest)  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as scratch:
        root = Folder(scratch)
        write_source(root.child("source"), arguments.megabytes)
        found: dict[str, Any] = {}
        stages: list[tuple[str, dict[str, Any]]] = [
            ("clean", {"language": None, "filters": ["gopher_quality", "c4", "fineweb"], "thresholds": {}}),
            ("dedup", {}),
            ("tokenize", {"training": {"vocabulary_size": 8000}, "sample": {"size": 2_000_000}}),
        ]
        run_stage(*stages[1][:1], root.child("source"), root.child("warm"), {})  # compile the kernels
        for kind, settings in stages:
            run = functools.partial(run_stage, kind, root.child("source"), root.child(kind), settings)
            found[kind], found[f"{kind} again"] = measure(run), measure(run)
        loader = TokenLoader(root.child("tokenize/tokens").url, sequence_length=2048, batch_size=8, seed=0)
        epoch = range(loader.steps_per_epoch)
        found["an epoch of the loader alone"] = measure(lambda: [loader.batch(step) for step in epoch])
        checksums._checked.clear()
        started = time.process_time()
        whole = verify(root.url)
        found["verify, MB/s of one core"] = round(whole.bytes / 1e6 / (time.process_time() - started))
        found["page checksums, percent of writing Parquet"] = page_checksums()
    print(json.dumps(found | {"megabytes": arguments.megabytes, "files": whole.files}, indent=1))


if __name__ == "__main__":
    main()
