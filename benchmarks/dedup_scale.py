"""The whole job beside datatrove's four stages, and growth; run through `benchmarks/dedup.py`."""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import dedup
import numpy as np
import pyarrow.parquet as pq

from autoclave.corpus.commits import merge_counts, read_commits

PHASES = ("signatures", "candidates", "clusters", "members", "verify", None)


def planted_corpus(count: int, words: int, seed: int = 11) -> tuple[list[str], list[int]]:
    """Return texts and the family of each: 10 % exact copies, 20 % with 1 to 8 % of their words changed."""
    rng = np.random.default_rng(seed)
    corpus = dedup.texts(count, words, seed, spread=True)
    family = list(range(count))
    names = dedup.vocabulary()
    for i in range(count // 10, count):
        draw = rng.random()
        if draw > 0.3:
            continue
        j = int(rng.integers(0, i))
        family[i] = family[j]
        corpus[i] = corpus[j]
        if draw > 0.1:
            own = corpus[j].split()
            for at in rng.integers(0, len(own), max(1, int(len(own) * rng.uniform(0.01, 0.08)))):
                own[at] = names[int(rng.integers(names.size))]
            corpus[i] = " ".join(own)
    return corpus, family


def judge(corpus: list[str], family: list[int], kept: set[int], threshold: float = 0.75) -> tuple[float, float, int]:
    """Return (recall, precision, removed) against exact Jaccard inside the planted families.

    recall: of pairs (document, earliest relative) at or above the threshold, those of which at most one stayed;
    precision: of removed documents, those with a relative that stayed at or above the threshold.
    """
    members: dict[int, list[int]] = {}
    for i, name in enumerate(family):
        members.setdefault(name, []).append(i)
    pairs = found = removed = right = 0
    for group in (group for group in members.values() if len(group) > 1):
        sets = {i: set(dedup.shingles_of(corpus[i])) for i in group}
        for i in group:
            similar = [j for j in group if j != i and _jaccard(sets[i], sets[j]) >= threshold]
            if i not in kept:
                removed += 1
                right += any(j in kept for j in similar)
            for j in (j for j in similar if j < i):
                pairs += 1
                found += not (i in kept and j in kept)
    strangers = sum(1 for group in members.values() if len(group) == 1 and group[0] not in kept)
    return found / max(1, pairs), right / max(1, removed + strangers), removed + strangers


def _jaccard(left: set[bytes], right: set[bytes]) -> float:
    common = len(left & right)
    return common / (len(left) + len(right) - common)


def pipeline(arguments: argparse.Namespace) -> None:
    """The whole MinHash dedup on two workers, beside datatrove's four stages on the same documents."""
    corpus, family = planted_corpus(arguments.documents, arguments.words)
    size = sum(map(len, corpus)) / 1e6
    print(f"whole job: {len(corpus):,} documents ({size:.0f} MB), 10 % exact and 20 % near copies planted, two workers")
    with tempfile.TemporaryDirectory() as folder:
        paths = dedup.write_parquet(Path(folder, "in"), corpus, 8)
        dedup.run_stage(Path(folder, "warm"), paths[:1], 0)  # kernels compiled and cached before the clock starts
        started = time.perf_counter()
        dedup.run_stage(Path(folder, "out"), paths, 2)
        ours = time.perf_counter() - started
        tables = [pq.read_table(path, columns=["kept"]) for path in sorted(Path(folder, "out/ledger").iterdir())]
        flags = np.concatenate([table.column("kept").to_numpy() for table in tables])
    recall, precision, removed = judge(corpus, family, set(np.flatnonzero(flags).tolist()))
    dedup.row("autoclave, verified", ours, "s", f"{len(corpus) / ours:,.0f} docs/s")
    print(f"    recall {recall:.4f}, precision {precision:.4f} against exact Jaccard 0.75; {removed:,} removed")
    if not arguments.datatrove_python:
        print("  datatrove: skipped, no --datatrove-python")
        return
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "in")
        dedup.write_jsonl(source, corpus, 8)
        answer = dedup.run_datatrove(arguments, "stages", source, Path(folder, "work"), 2)
    theirs = answer["seconds"]
    recall, precision, removed = judge(corpus, family, {int(name[1:]) for name in answer["kept"]})
    rate = f"{len(corpus) / theirs:,.0f} docs/s; autoclave {theirs / ours:.1f} times as fast (bar 20)"
    dedup.row("datatrove, four stages", theirs, "s", rate)
    print(f"    recall {recall:.4f}, precision {precision:.4f} against exact Jaccard 0.75; {removed:,} removed")


def growth(arguments: argparse.Namespace) -> None:
    """Seconds a phase, peak memory and storage of growing corpora, one worker, 10,000 documents a shard."""
    print(f"growth: texts of about {arguments.words} words, 30 % planted copies, one worker, 10,000 documents a shard")
    print(
        f"  {'documents':>10} {'seconds':>8} {'us/doc':>7} {'peak MB':>8} {'base MB':>8} {'B/doc kept':>11}  by phase"
    )
    for size in arguments.sizes:
        script = [sys.executable, str(Path(dedup.__file__)), "growth-one", "--documents", str(size)]
        answer = subprocess.run([*script, "--words", str(arguments.words)], capture_output=True, text=True, check=True)
        found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
        phases = " ".join(f"{name} {seconds:.1f}" for name, seconds in found["phases"].items())
        print(
            f"  {size:>10,} {found['seconds']:>8.1f} {found['seconds'] / size * 1e6:>7.0f} {found['peak']:>8.0f}"
            f" {found['base']:>8.0f} {found['storage'] / size:>11.0f}  {phases}",
            flush=True,
        )


def growth_one(arguments: argparse.Namespace) -> None:
    """One size, in a process of its own so that its peak memory is its own; prints JSON."""
    with tempfile.TemporaryDirectory() as folder:
        _write_large(Path(folder, "in"), arguments.documents, arguments.words)
        paths = sorted(str(path) for path in Path(folder, "in").iterdir())
        dedup.run_stage(Path(folder, "warm"), paths[:1], 0)
        base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        started = time.perf_counter()
        context = dedup.run_stage(Path(folder, "out"), paths, 0)
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        commits = {phase: list(read_commits(context.phase_folder(phase))) for phase in PHASES}
        phases = {str(phase or "apply"): round(sum(c.seconds for c in done), 2) for phase, done in commits.items()}
        kept = ("signatures", "candidates", "clusters", "members", "verify")
        storage = sum(file.bytes for phase in kept for c in commits[phase] for file in c.outputs.values())
        counts = {str(phase): merge_counts([c.counts for c in done]) for phase, done in commits.items()}
    print(json.dumps({"seconds": seconds, "peak": peak, "base": base, "storage": storage, "phases": phases} | counts))


def _write_large(folder: Path, count: int, words: int) -> None:
    """Write shards of 10,000 documents without holding the corpus: copies are of documents of the same seed."""
    originals, _ = planted_corpus(10_000, words, 5)
    for shard in range(max(1, count // 10_000)):
        rng = np.random.default_rng(shard)
        corpus = dedup.texts(min(count, 10_000), words, 1000 + shard, spread=True)
        for at in rng.choice(len(corpus), len(corpus) * 3 // 10, replace=False).tolist():
            own = originals[int(rng.integers(len(originals)))].split()
            own[int(rng.integers(len(own)))] = f"changed{int(rng.integers(4))}"
            corpus[at] = " ".join(own)
        part = dedup.write_parquet(folder / f"{shard:06d}", corpus, 1)
        Path(part[0]).rename(folder / f"{shard:06d}.parquet")
        (folder / f"{shard:06d}").rmdir()
