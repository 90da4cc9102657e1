"""How fast the loader gives batches, beside the simplest loader there is.

    python -m benchmarks.tokens [--tokens 100_000_000] [--sequence-length 2048] [--batch-size 8] [--steps 300]

The other side is what nanoGPT-like trainers do: one flat uint16 file, memory-mapped, rows cut from it at random places,
with no document boundaries, no epochs and no exact resume. It is the floor of what copying rows costs. Prints one JSON
object: million tokens a second of both (one thread, files in the page cache), time of the first batch at a far step,
time to open, and the memory that the index takes.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa

from autoclave.corpus.storage import Folder
from autoclave.tokenize.loader import TokenLoader
from autoclave.tokenize.shards import ShardEntry, TokenMeaning, TokenShardWriter, write_manifest

MEANING = TokenMeaning("benchmark", 64_000, 1, 2)
SHARD_TOKENS = 10_000_000
BATCH_DOCUMENTS = 2048


def write_corpus(folder: Folder, tokens: int, rng: np.random.Generator) -> None:
    """Write shards of documents whose lengths are log-normal, median 400 tokens, as web pages' are."""
    entries: list[ShardEntry] = []
    left = tokens
    while left > 0:
        name = f"{len(entries):06d}.arrow"
        with folder.open_write(name) as file:
            writer = TokenShardWriter(file, MEANING)
            room = min(left, SHARD_TOKENS)
            while room > 0:
                lengths = rng.lognormal(np.log(400), 1.2, BATCH_DOCUMENTS).astype(np.int64)
                offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
                values = pa.array(rng.integers(3, 64_000, int(lengths.sum()), dtype=np.uint16))
                ids = pa.array([bytes(16)] * BATCH_DOCUMENTS, pa.binary(16))
                sizes = pa.array(4 * lengths, pa.int32())
                writer.write(ids, pa.ListArray.from_arrays(offsets, values), sizes)
                room -= int(lengths.sum())
            writer.close()
        entries.append(writer.entry(name, file.size, file.checksum))
        left -= entries[-1].tokens
    write_manifest(folder, MEANING, entries)


def flat_batches(path: Path, batch_size: int, length: int, steps: int) -> float:
    """Return the seconds that `steps` batches take from one flat file."""
    data = np.memmap(path, dtype=np.uint16, mode="r")
    rng = np.random.default_rng(0)
    started = time.perf_counter()
    for _ in range(steps):
        places = rng.integers(0, len(data) - length - 1, batch_size)
        np.stack([data[place : place + length].astype(np.int64) for place in places])
        np.stack([data[place + 1 : place + 1 + length].astype(np.int64) for place in places])
    return time.perf_counter() - started


def measure(folder: Path, batch_size: int, length: int, steps: int) -> dict[str, float]:
    tracemalloc.start()
    started = time.perf_counter()
    loader = TokenLoader(folder, sequence_length=length, batch_size=batch_size, seed=0)
    opened = time.perf_counter() - started
    index_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    started = time.perf_counter()
    loader.batch(10**9 + 7)
    resumed = time.perf_counter() - started
    for step in range(steps):  # the page cache and the views are warm after this
        loader.batch(step)
    started = time.perf_counter()
    for step in range(steps):
        loader.batch(step)
    seconds = time.perf_counter() - started
    flat = folder / "flat.bin"
    with flat.open("wb") as file:
        for path in sorted(folder.glob("*.arrow")):
            for batch in pa.ipc.open_file(pa.memory_map(str(path))).read_all().to_batches():
                file.write(batch.column("tokens").flatten().to_numpy())
    flat_batches(flat, batch_size, length, steps)
    million = steps * batch_size * length / 1e6
    return {
        "corpus_million_tokens": round(loader.tokens_per_epoch / 1e6, 1),
        "loader_million_tokens_per_second": round(million / seconds, 1),
        "flat_file_million_tokens_per_second": round(million / flat_batches(flat, batch_size, length, steps), 1),
        "open_milliseconds": round(1e3 * opened, 1),
        "first_batch_at_step_1e9_milliseconds": round(1e3 * resumed, 1),
        "index_kilobytes": round(index_bytes / 1e3, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=100_000_000)
    parser.add_argument("--sequence-length", type=int, default=2048)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--steps", type=int, default=300)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        write_corpus(Folder(scratch), arguments.tokens, np.random.default_rng(0))
        figures = measure(Path(scratch), arguments.batch_size, arguments.sequence_length, arguments.steps)
        print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
