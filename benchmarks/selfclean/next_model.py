"""The next model: trained on each variant of the crawl, equal tokens, read on held-out domains.

Corpora are drawn anew for each seed. Results are written after every training, so that what is done stands however the
run ends.
"""

from __future__ import annotations

import json
import multiprocessing
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.selfclean.models import Size, score, train
from benchmarks.selfclean.table import read_tokens
from benchmarks.selfclean.variants import MATCHED, VARIANTS, bad_rows, random_like, with_derived

FIRST = 7
"""Variants that are trained over all seeds before the rest are."""

DRAWN = 0.8
"""Share of the hosts that a seed's corpus is drawn of."""


@dataclass(frozen=True)
class Job:
    """One training. prepared: file of tokens; scored: file of the table of scores of its crawl."""

    prepared: str
    scored: str
    size: Size
    seed: int
    variant: str


def draw_corpus(table: pa.Table, seed: int) -> np.ndarray:
    """Return the rows of a seed's corpus, int64: those of a random choice of hosts."""
    hosts = table.column("host").to_pylist()
    names = sorted(set(hosts))
    draw = np.random.default_rng([seed, 7])
    chosen = set(np.array(names, dtype=object)[draw.random(len(names)) < DRAWN].tolist())
    return np.array([row for row, host in enumerate(hosts) if host in chosen])


def kept_rows(scored: pa.Table, variant: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (rows of the seed's corpus, bool of which the variant keeps)."""
    rows = draw_corpus(scored, seed)
    corpus = with_derived(scored.take(rows))
    draw = np.random.default_rng([seed, 11])
    if variant == "random":
        dropped = int((~VARIANTS[MATCHED](corpus, draw)).sum())
        return rows, random_like(dropped)(corpus, draw)
    return rows, VARIANTS[variant](corpus, draw)


def run_job(job: Job) -> dict[str, Any]:
    """Train on what the variant keeps and read the held-out domains."""
    begun = time.monotonic()
    prepared, scored = pq.read_table(job.prepared), pq.read_table(job.scored)
    vocabulary = int(prepared.schema.metadata[b"vocabulary"])
    held = prepared.filter(prepared.column("held_out"))
    crawl = prepared.filter(pc.invert(prepared.column("held_out")))
    rows, kept = kept_rows(scored, job.variant, job.seed)
    bad = bad_rows(scored.take(rows))
    tokens = read_tokens(crawl)
    model, _ = train([tokens[row] for row in rows[kept]], job.size, vocabulary, job.seed)
    found = score(model, read_tokens(held), held.column("bytes").to_numpy())
    return {
        "variant": job.variant,
        "seed": job.seed,
        "documents": len(rows),
        "dropped": int((~kept).sum()),
        "bad": int(bad.sum()),
        "bad_left": int((bad & kept).sum()),
        "good_lost_by_domain": _lost(scored.take(rows), bad, kept),
        "domains": _by_domain(held, found.nll),
        "seconds": round(time.monotonic() - begun, 1),
    }


def _lost(table: pa.Table, bad: np.ndarray, kept: np.ndarray) -> dict[str, float]:
    domain = np.array(table.column("domain").to_pylist())
    return {
        str(one): round(float((~kept)[(domain == one) & ~bad].mean()), 4)
        for one in np.unique(domain)
        if ((domain == one) & ~bad).any()
    }


def _by_domain(held: pa.Table, nll: np.ndarray) -> dict[str, float]:
    """Bits per byte of each held-out domain: all its bits over all its bytes."""
    domain = np.array(held.column("domain").to_pylist())
    sizes = held.column("bytes").to_numpy()
    return {
        str(one): float(nll[domain == one].sum() / np.log(2) / sizes[domain == one].sum()) for one in np.unique(domain)
    }


def run_jobs(jobs: list[Job], out: Path, workers: int, until: float) -> list[dict[str, Any]]:
    """Run trainings, `workers` at a time, as long as they can end before `until` (time.monotonic)."""
    results: list[dict[str, Any]] = []
    longest = 0.0
    context = multiprocessing.get_context("spawn")
    pending: set[Future[dict[str, Any]]] = set()
    waiting = list(jobs)
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        while waiting or pending:
            while waiting and len(pending) < workers and time.monotonic() + 1.1 * longest < until:
                pending.add(pool.submit(run_job, waiting.pop(0)))
            if not pending:
                break
            done, pending = wait(pending, timeout=max(0.1, until + 20 - time.monotonic()), return_when=FIRST_COMPLETED)
            if not done:
                for process in list(pool._processes.values()):
                    process.kill()
                break
            for one in done:
                if one.exception() is not None:
                    print(f"a training failed: {one.exception()}", flush=True)
                    continue
                result = one.result()
                longest = max(longest, result["seconds"])
                results.append(result)
                macro = np.mean(list(result["domains"].values()))
                print(f"{result['variant']:40} {result['seed']} {macro:.4f} {result['seconds']} s", flush=True)
                (out / "next_model.json").write_text(json.dumps(results, indent=1))
    return results


def all_jobs(prepared: Path, scored: Path, size: Size, seeds: int) -> list[Job]:
    """Return the trainings in the order of their worth: what can decide first, over all seeds."""
    names = ["oracle", "random", "raw", *(name for name in VARIANTS if name not in ("oracle", "raw"))]
    first = [Job(str(prepared), str(scored), size, seed, name) for seed in range(seeds) for name in names[:FIRST]]
    rest = [Job(str(prepared), str(scored), size, seed, name) for seed in range(seeds) for name in names[FIRST:]]
    return first + rest
