"""Text to signature beside datasketch, rensa and datatrove: splitting, shingling, hashing, permuting, one core."""

from __future__ import annotations

import argparse
import functools
import tempfile
from pathlib import Path

import pyarrow as pa
import xxhash

from autoclave.kernels.text.keys.minhash import permutations, sign_texts
from autoclave.kernels.text.texts import text_buffers
from benchmarks.dedup.corpus import shingles_of, texts, write_jsonl
from benchmarks.dedup.runs import best_cpu, row, run_datatrove
from benchmarks.environments import run_peer


def xxh3_32(data: bytes) -> int:
    return xxhash.xxh3_64_intdigest(data) & 0xFFFFFFFF


def signatures(arguments: argparse.Namespace) -> None:
    """Text to signature: splitting, shingling, hashing, permuting, one core."""
    from datasketch import MinHash

    corpus = texts(4000, 500, 1)
    buffers = text_buffers(pa.array(corpus))
    print(f"signatures: {len(corpus)} texts of 500 words, 5-gram shingles, one core, documents per CPU second")
    for num_perm in (112, 128, 256):
        ours = {}
        for scheme in ("affine32", "legacy"):
            a, b = permutations(num_perm, 1, scheme)
            run = functools.partial(sign_texts, *buffers, a, b, ngram=5, scheme=scheme)
            found = run()[0]
            for i in range(0, 4000, 400):
                peer = MinHash(num_perm, seed=1, scheme=scheme, hashfunc=xxh3_32)
                peer.update_batch(shingles_of(corpus[i]))
                assert (peer.hashvalues == found[i]).all(), "signatures differ from datasketch's"
            ours[scheme] = len(corpus) / best_cpu(run, 5)
        row(f"autoclave affine32, {num_perm}", ours["affine32"], "docs/s", "equal to datasketch 2.0")
        row(f"autoclave legacy, {num_perm}", ours["legacy"], "docs/s", "equal to datasketch 2.0, scheme legacy")
        compare_datasketch(corpus, num_perm, ours["affine32"])
        if arguments.rensa_python:
            with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
                file.write("\n".join(corpus))
                file.flush()
                seconds = float(run_peer(arguments.rensa_python, "rensa_minhash.py", file.name, num_perm))
            rate = len(corpus) / seconds
            row("rensa 0.5, splitting included", rate, "docs/s", f"{ours['affine32'] / rate:.1f} times (bar 4)")
        else:
            print("  rensa: skipped, no --rensa-python")
    compare_datatrove_signatures(arguments, ours["affine32"])


def compare_datasketch(corpus: list[str], num_perm: int, ours: float) -> None:
    from datasketch import MinHash

    def update_loop() -> None:
        for text in corpus[:60]:
            sketch = MinHash(num_perm)
            for shingle in shingles_of(text):
                sketch.update(shingle)

    prepared = [shingles_of(text) for text in corpus[:600]]

    def bulk() -> None:
        MinHash.bulk(prepared, num_perm=num_perm, hashfunc=xxh3_32)

    loop, batch = 60 / best_cpu(update_loop), 600 / best_cpu(bulk)
    row("datasketch update loop (sha1)", loop, "docs/s", f"{ours / loop:.0f} times (bar 100)")
    row("datasketch bulk xxh3, shingles ready", batch, "docs/s", f"{ours / batch:.1f} times (bar 5)")


def compare_datatrove_signatures(arguments: argparse.Namespace, ours: float) -> None:
    if not arguments.datatrove_python:
        print("  datatrove: skipped, no --datatrove-python")
        return
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "in")
        write_jsonl(source, texts(400, 500, 2), 1)
        answer = run_datatrove(arguments.datatrove_python, "signature", source, Path(folder, "work"), 1)
    rate = 400 / answer["cpu"]
    row("datatrove signature stage", rate, "docs/s", f"{ours / rate:.0f} times (bar 200)")
