"""The whole job beside datatrove's four stages, and growth; `python -m benchmarks.dedup pipeline`, `growth`, `skew`."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from autoclave.cleaning.dedup.clusters import dense_components
from autoclave.cleaning.dedup.minhash import find_preset
from autoclave.corpus.commits import read_commits
from autoclave.pipelines.dedup.candidates import ENTRY_BYTES
from autoclave.pipelines.dedup.clusters import DENSE_BYTES
from autoclave.pipelines.dedup.edges import candidate_edges, copy_edges
from autoclave.pipelines.dedup.manifest import read_manifest
from autoclave.pipelines.running.stage import Silent
from benchmarks.dedup.corpus import planted_corpus, texts, write_jsonl, write_parquet
from benchmarks.dedup.runs import row, run_datatrove, run_stage
from benchmarks.dedup.scores import Truth, judge, pairs_of_groups

EXTERNAL_MB = 16
"""Budget of the components step when its method by files is measured: a half of what 10^6 documents need in memory."""

PHASES = ("signatures", "candidates", "clusters", "members", "verify", None)


def closure(edges: set[tuple[int, int]], count: int) -> set[tuple[int, int]]:
    """Return all pairs inside the connected components of edges."""
    left, right = np.array(sorted(edges), np.int64).T
    return pairs_of_groups(dense_components(left, right, count).tolist())


def _edge_arrays(context: Any) -> tuple[np.ndarray, np.ndarray]:
    """The edges (left, right) of a run of the stage: buckets' stars and exact copies."""
    manifest = read_manifest(context.folder.path("phases/manifest.json"))
    folder, names = context.folder.path("phases/candidates"), [f"{p:06d}" for p in range(manifest.partitions)]
    pairs = [(left, right) for left, right, _ in copy_edges(manifest, folder, names)]
    pairs += list(candidate_edges(manifest, folder, names))
    left, right = (np.concatenate(side) for side in zip(*pairs, strict=True))
    return left, right


def _edges(context: Any) -> set[tuple[int, int]]:
    left, right = _edge_arrays(context)
    ends = zip(np.minimum(left, right).tolist(), np.maximum(left, right).tolist(), strict=True)
    return set(ends)


def _groups(out: Path) -> tuple[list[object], set[int]]:
    """(the document that each one yields to, or itself; positions that stayed) of a run of the stage."""
    table = pq.read_table(sorted((out / "ledger").iterdir()), columns=["doc_id", "duplicate_of", "kept"])
    ids, targets = table.column("doc_id").to_pylist(), table.column("duplicate_of").to_pylist()
    kept = np.flatnonzero(table.column("kept").to_numpy())
    return [target or own for own, target in zip(ids, targets, strict=True)], set(kept.tolist())


def pipeline(arguments: argparse.Namespace) -> None:
    """The whole MinHash dedup on two workers, verified and not, beside datatrove's four stages."""
    corpus, family = planted_corpus(arguments.documents, arguments.words)
    truth = Truth(corpus, family)
    size = sum(map(len, corpus)) / 1e6
    print(f"whole job: {len(corpus):,} documents ({size:.0f} MB), 10 % exact and 20 % near copies planted, two workers")
    print(
        f"  {len(truth.pairs):,} pairs of exact Jaccard (word 5-grams) >= {truth.threshold} inside the planted families"
    )
    ours = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = write_parquet(Path(folder, "in"), corpus, 8)
        run_stage(Path(folder, "warm"), paths[:1], 0)  # kernels compiled and cached before the clock starts
        for verify, keep in (("jaccard", "longest"), ("off", "longest"), ("off", "first")):
            seconds = []
            for turn in range(3):
                out = Path(folder, f"{verify}{keep}{turn}")
                started = time.perf_counter()
                context = run_stage(out, paths, 2, verify=verify, keep=keep)
                seconds.append(time.perf_counter() - started)
            title = f"verify: {verify}, keep: {keep}"
            ours[title] = sorted(seconds)[1]
            groups, kept = _groups(out)
            note = f"{len(corpus) / ours[title]:,.0f} docs/s (median of 3)"
            row(f"autoclave, {title}", ours[title], "s", note)
            _describe_removal(corpus, family, kept)
            truth.describe("pairs inside clusters", pairs_of_groups(groups))
        truth.describe("autoclave, raw candidate edges", _edges(context))
    if not arguments.datatrove_python:
        print("  datatrove: skipped, no --datatrove-python")
        return
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "in")
        write_jsonl(source, corpus, 8)
        answer = run_datatrove(arguments.datatrove_python, "stages", source, Path(folder, "work"), 2)
    theirs = answer["seconds"]
    ratios = ", ".join(f"{theirs / value:.1f} times ({title})" for title, value in ours.items())
    row("datatrove, four stages", theirs, "s", f"{len(corpus) / theirs:,.0f} docs/s; autoclave {ratios}; bar 20")
    _describe_removal(corpus, family, {int(name[1:]) for name in answer["kept"]})
    parts = np.array_split(np.arange(len(corpus)), 8)
    ends = ((int(parts[a][b]), int(parts[c][d])) for a, b, c, d in answer["edges"])
    edges = {(min(pair), max(pair)) for pair in ends}
    _describe_choices(corpus, family, edges)
    truth.describe("pairs of the transitive closure", closure(edges, len(corpus)))
    truth.describe("datatrove, raw candidate edges", edges)


def _describe_choices(corpus: list[str], family: list[int], edges: set[tuple[int, int]]) -> None:
    """Removal on datatrove's edges, by who stays of a component: its own choice is the root of a union by size."""
    ends = np.array(sorted(edges), np.int64)
    label = dense_components(*ends.T, len(corpus))
    degree = np.bincount(ends.reshape(-1), minlength=len(corpus))
    size = np.array([len(text.encode()) for text in corpus])
    for name, score in (("longest", size), ("first", np.zeros(len(corpus))), ("most edges", degree)):
        order = np.lexsort((np.arange(len(corpus)), -score, label))
        kept = set(order[np.flatnonzero(np.diff(label[order], prepend=-1))].tolist())
        print(f"    its edges, the {name} of a component stays:")
        _describe_removal(corpus, family, kept)


def _describe_removal(corpus: list[str], family: list[int], kept: set[int]) -> None:
    recall, precision, removed = judge(corpus, family, kept)
    print(f"    documents: recall {recall:.4f}, precision {precision:.4f} at exact Jaccard 0.75; {removed:,} removed")


class Peaks(Silent):
    """Notes the peak memory of each phase (Linux: VmHWM, reset at its beginning) and what is resident after it."""

    def __init__(self) -> None:
        self.megabytes: dict[str, float] = {}
        self.kept: dict[str, float] = {}
        self.base = _resident("VmRSS")

    def begin(self, name: str, total: int) -> None:
        Path("/proc/self/clear_refs").write_text("5")

    def end(self, name: str) -> None:
        phase = name.rpartition("/")[2]
        self.megabytes[phase], self.kept[phase] = _resident("VmHWM"), _resident("VmRSS")


def _resident(kind: str) -> float:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(kind)).split()[1]) / 1024


def growth(arguments: argparse.Namespace) -> None:
    """Seconds, peak memory and storage of growing corpora by phase, one worker, 10,000 documents a shard."""
    print(f"growth: texts of about {arguments.words} words, 30 % planted copies, one worker, 10,000 documents a shard")
    found: dict[str, Any] = {}
    for size in arguments.sizes:
        found = _measure_growth(size, arguments.words)
        per_document = f"{found['seconds'] / size * 1e6:.0f} us and {found['storage'] / size:.0f} B of phase files"
        print(f"  {size:,} documents: {found['seconds']:.1f} s, {per_document} a document; idle {found['base']:.0f} MB")
        for phase, seconds in found["phases"].items():
            rate, peak = seconds / size * 1e6, found["peaks"][phase]
            left = found["kept"][phase]
            print(f"    {phase:<12} {seconds:>8.2f} s {rate:>8.1f} us/doc {peak:>8.0f} MB, {left:.0f} MB after it")
        sys.stdout.flush()
    extrapolate(found, arguments.sizes[-1], arguments.words)


def _measure_growth(size: int, words: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        for what in ("growth-write", "growth-one"):
            command = [sys.executable, "-m", "benchmarks.dedup", what, "--folder", folder]
            command += ["--documents", str(size), "--words", str(words)]
            answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return found


def extrapolate(found: dict[str, Any], size: int, words: int) -> None:
    """Print, as a table, what 10^9 and 10^10 documents would need, from the largest size measured."""
    rates = {phase: seconds / size for phase, seconds in found["phases"].items()}
    clusters = rates.pop("clusters")
    bands = find_preset("fineweb").bands
    print(f"  extrapolated from {size:,} documents of about {words} words:")
    print(
        "  | documents | core-hours | workers for 10 h | MB each | tasks a reduce phase | TB of phase files |", end=""
    )
    print(" clusters in memory | by files: hours, memory, TB of scratch |")
    for documents, task_mb in ((10**9, 1024), (10**10, 4096)):
        hours = sum(rates.values()) * documents / 3600
        program = found["peaks"]["signatures"]
        tasks = documents * bands * ENTRY_BYTES // (task_mb << 20)
        memory = f"{clusters * documents / 3600:.1f} h, {DENSE_BYTES * documents / 1e9:,.0f} GB"
        scratch = (48 * found["edges"] / size + 120) * documents / 1e12
        external = f"{found['external'] / size * documents / 3600:.1f} h, 4 GB, {scratch:.1f} TB"
        storage = found["storage"] / size * documents / 1e12
        print(
            f"  | {documents:.0e} | {hours:,.0f} | {max(1, round(hours / 10)):,} | {program + task_mb:,.0f} |", end=""
        )
        print(f" {tasks:,} (task_memory_mb {task_mb}) | {storage:.1f} | {memory} | {external} |")
    print(f"  {found['edges'] / size:.2f} edges a document; clusters by files, {EXTERNAL_MB} MB: ", end="")
    print(f"{found['external']:.1f} s, peak {found['external_peak']:.0f} MB")
    print("    core-hours: all phases but clusters at the rate of one core of this machine, time linear in documents;")
    print(
        "    MB: the program as measured and task_memory_mb; phase files: bytes a document as measured; clusters: one"
    )
    print(
        f"    core, {DENSE_BYTES} bytes a document in memory, or at the rate of the files' method; scratch: 48 bytes an"
    )
    print(
        "    edge and 120 a document; texts, copies and shard sizes like these. Not in it: merging where a task would"
    )
    print("    read more than 256 files (one more copy of bands and members), and a network that is slower than disks.")


def growth_write(arguments: argparse.Namespace) -> None:
    """Write the corpus of one size, in a process of its own: its memory is not the worker's."""
    _write_large(Path(arguments.folder), arguments.documents, arguments.words)


def growth_one(arguments: argparse.Namespace) -> None:
    """One size, in a process of its own so that its peak memory is its own; prints JSON."""
    peaks, warm = Peaks(), Peaks()
    with tempfile.TemporaryDirectory() as folder:
        paths = sorted(str(path) for path in Path(arguments.folder).iterdir())
        run_stage(Path(folder, "warm"), paths[:1], 0, warm)
        started = time.perf_counter()
        context = run_stage(Path(folder, "out"), paths, 0, peaks)
        seconds = time.perf_counter() - started
        commits = {phase: list(read_commits(context.phase_folder(phase))) for phase in PHASES}
        phases = {str(phase or "dedup"): round(sum(c.seconds for c in done), 2) for phase, done in commits.items()}
        edges = _edge_arrays(context)[0].size
        storage = sum(
            file.bytes for phase, done in commits.items() if phase for c in done for file in c.outputs.values()
        )
        files = Peaks()
        context = run_stage(Path(folder, "out"), paths, 0, files, memory_budget_mb=EXTERNAL_MB)
        external = sum(c.seconds for c in read_commits(context.phase_folder("clusters")))
    answer = {"seconds": seconds, "peaks": peaks.megabytes, "storage": storage, "phases": phases, "edges": edges}
    answer |= {"external": external, "external_peak": files.megabytes["clusters"]}
    print(json.dumps(answer | {"base": warm.base, "kept": peaks.kept}))


def skew(arguments: argparse.Namespace) -> None:
    """Every document in one bucket (a page that differs in a number), as many copies of a page that another one
    resembles, and as many unlike ones."""
    template = texts(1, 100, 1)[0]
    shards = max(2, arguments.documents // 10_000)
    with tempfile.TemporaryDirectory() as folder:
        for name in ("one bucket", "copies of one page", "no bucket"):
            for shard in range(shards):
                if name == "one bucket":
                    corpus = [f"{template} page {shard} {i}" for i in range(10_000)]
                elif name == "no bucket":
                    corpus = texts(10_000, 103, shard + 2)
                else:
                    corpus = [f"{template} page"] + [template] * 9_999
                part = write_parquet(Path(folder, name, f"{shard}"), corpus, 1)[0]
                Path(part).rename(Path(folder, name, f"{shard:06d}.parquet"))
            paths = sorted(str(path) for path in Path(folder, name).glob("*.parquet"))
            run_stage(Path(folder, "warm" + name), paths[:1], 0)
            peaks = Peaks()
            started = time.perf_counter()
            context = run_stage(Path(folder, "out" + name), paths, 0, peaks)
            seconds = time.perf_counter() - started
            documents, kept = (sum(getattr(c, kind) for c in context.commits) for kind in ("documents_in", "kept"))
            peak = max(peaks.megabytes, key=lambda phase: peaks.megabytes[phase])
            note = f"{kept:,} kept, peak {peaks.megabytes[peak]:.0f} MB ({peak})"
            row(f"{documents:,} documents in {name}", seconds, "s", note)


def _write_large(folder: Path, count: int, words: int) -> None:
    """Write shards of 10,000 documents without holding the corpus: copies are of documents of the same seed."""
    for shard in range(max(1, count // 10_000)):
        if shard % 10 == 0:  # ten shards copy the same originals: families do not grow with the corpus
            originals, _ = planted_corpus(10_000, words, 5 + shard)
        rng = np.random.default_rng(shard)
        corpus = texts(min(count, 10_000), words, 1000 + shard, spread=True)
        for at in rng.choice(len(corpus), len(corpus) * 3 // 10, replace=False).tolist():
            own = originals[int(rng.integers(len(originals)))].split()
            own[int(rng.integers(len(own)))] = f"changed{int(rng.integers(4))}"
            corpus[at] = " ".join(own)
        part = write_parquet(folder / f"{shard:06d}", corpus, 1)
        Path(part[0]).rename(folder / f"{shard:06d}.parquet")
        (folder / f"{shard:06d}").rmdir()
