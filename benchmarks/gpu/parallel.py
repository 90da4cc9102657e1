"""Training jobs on one or several processes of a host, each step's metrics, and where a GPU's time goes.

What `two.py` is made of: its parts say which jobs, this runs them. Every job's lines are on disk as soon as it ends, so
that what ran before a time limit is kept.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import socket
import statistics
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.multiprocessing as multiprocessing

from autoclave.model.config import ModelConfig
from autoclave.model.training.loop import Trainer, train
from autoclave.model.training.settings import TrainSettings
from autoclave.model.transnormer import TransNormerLLM

Results = dict[str, Any]
SAVING_STEPS = 8


@dataclass(frozen=True)
class Batch:
    """One global batch of packed rows."""

    inputs: np.ndarray
    targets: np.ndarray
    cu_seqlens: np.ndarray


@dataclass(frozen=True)
class Texts:
    """Rows of documents that count upwards by a stride: learnable, and a pure function of the step."""

    rows: int
    length: int
    vocabulary: int
    documents: int  # a row

    def batch(self, step: int) -> Batch:
        random = np.random.default_rng([7, step])
        starts = random.integers(3, self.vocabulary, (self.rows, self.documents, 1))
        strides = random.integers(1, 4, (self.rows, self.documents, 1))
        size = self.length // self.documents
        tokens = 3 + (starts + strides * np.arange(size + 1)) % (self.vocabulary - 3)
        shape = (self.rows, size * self.documents)
        bounds = np.arange(0, shape[0] * shape[1] + 1, size, dtype=np.int32)
        return Batch(tokens[..., :-1].reshape(shape), tokens[..., 1:].reshape(shape), bounds)


@dataclass(frozen=True)
class Job:
    """One training run.

    profiled: steps that are profiled after the others; quick_weights: start from weights that are quick to make (speed
    does not depend on them); save: measure the asynchronous saver; measured: else a whole run by `train`, which goes on
        from the newest checkpoint in its folder
    change: other values of names in modules for this job, "module:name"
    """

    name: str
    config: ModelConfig
    settings: TrainSettings
    loader: Texts
    steps: int
    profiled: int = 0
    quick_weights: bool = False
    save: bool = False
    measured: bool = True
    change: dict[str, Any] = field(default_factory=dict)


@contextlib.contextmanager
def changed(values: dict[str, Any]) -> Iterator[None]:
    """Names in modules, "module:name" or "module:class.name", at other values; as they were afterwards."""
    before = []
    for place, value in values.items():
        module, _, path = place.partition(":")
        owner: Any = importlib.import_module(module)
        *outer, name = path.split(".")
        for part in outer:
            owner = getattr(owner, part)
        before.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)


@torch.no_grad()
def quick_weights(model: TransNormerLLM, seed: int) -> TransNormerLLM:
    """Random weights of the usual size, one block over and over: drawing a billion on a CPU takes ten seconds."""
    block = torch.empty(2**20).normal_(0.0, 0.02, generator=torch.Generator().manual_seed(seed))
    for parameter in model.parameters():
        flat = parameter.view(-1)
        for start in range(0, flat.numel(), len(block)):
            part = flat[start : start + len(block)]
            part.copy_(block[: len(part)])
    return model


def where_time_goes(trainer: Trainer, steps: int) -> Results:
    """Milliseconds a step of one GPU, from the profiler: computing, exchanging, neither; and the largest kernels."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
        for _ in range(steps):
            trainer.step()
        torch.cuda.synchronize()
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        profiler.export_chrome_trace(file.name)
        events = json.loads(Path(file.name).read_bytes())["traceEvents"]
    work = [e for e in events if e.get("cat") in ("kernel", "gpu_memcpy", "gpu_memset")]
    if not work:
        return {}
    travels = [e for e in work if "nccl" in e["name"].lower()]
    others = [e for e in work if "nccl" not in e["name"].lower()]
    compute, exchange, either = (covered(found) for found in (others, travels, work))
    begin, end = min(e["ts"] for e in work), max(e["ts"] + e["dur"] for e in work)
    kernels: Counter[str] = Counter()
    for event in work:
        kernels[event["name"][:70]] += event["dur"]
    unit = 1000.0 * steps
    return {
        "wall_ms": (end - begin) / unit,
        "compute_ms": compute / unit,
        "nccl_ms": exchange / unit,
        "nccl_alone_ms": (either - compute) / unit,
        "idle_ms": (end - begin - either) / unit,
        "kernels_a_step": len(work) / steps,
        "kernels_ms": {name: round(time / unit, 2) for name, time in kernels.most_common(16)},
    }


def covered(events: list[dict[str, Any]]) -> float:
    """Microseconds in which at least one of the events runs."""
    total, until = 0.0, -1.0
    for event in sorted(events, key=lambda e: float(e["ts"])):
        begin, end = float(event["ts"]), float(event["ts"]) + float(event["dur"])
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total


def measured_save(trainer: Trainer) -> Results:
    """Seconds that a save holds training up, that the steps meanwhile take, and that it takes in all."""
    spent = []
    for _ in range(2):  # the first makes its pinned buffers
        started = time.perf_counter()
        trainer.save()
        held, steps = time.perf_counter() - started, []
        for _ in range(SAVING_STEPS):
            begun = time.perf_counter()
            trainer.step()
            steps.append(time.perf_counter() - begun)
        trainer.saver.wait()
        spent.append({"held": held, "whole": time.perf_counter() - started, "step": statistics.median(steps)})
    return {"first": spent[0], "second": spent[1]}


def run_job(job: Job, folder: Path) -> Results:
    """What one job shows: its metrics lines, and what else it asks for."""
    if not job.measured:
        lines: list[dict[str, Any]] = []
        train(job.config, job.settings, job.loader, folder, progress=lines.append)
        return {"lines": lines}
    change = dict(job.change)
    if job.quick_weights:
        change["autoclave.model.transnormer:TransNormerLLM.initialise"] = quick_weights
    with changed(change):
        trainer = Trainer(job.config, job.settings, job.loader, folder, None, "")
        trainer.start(False)
        found: Results = {"lines": [trainer.step() for _ in range(job.steps)]}
        if job.profiled and trainer.device.type == "cuda":
            found["time"] = where_time_goes(trainer, job.profiled)
        if job.save:
            found["save"] = measured_save(trainer)
        trainer.close()
        return found


def worker(rank: int, size: int, port: int, jobs: list[Job], results: str, folder: str) -> None:
    """All jobs, one after the other, in one of `size` processes; rank 0 writes what it saw after each."""
    place = {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": rank, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in place.items()}
    torch.backends.cuda.matmul.allow_tf32 = False
    found: Results = {}
    for job in jobs:
        started = time.perf_counter()
        try:
            found[job.name] = run_job(job, Path(folder, job.name))
        except Exception as error:  # a way that fails is a result; the others still run
            text = str(error).strip().splitlines() or [""]
            found[job.name] = {"error": f"{type(error).__name__}: {text[0]}"[:600]}
            traceback.print_exc()
        found[job.name]["seconds"] = round(time.perf_counter() - started, 1)
        if rank == 0:
            print(f"{job.name}: {found[job.name]['seconds']} s {found[job.name].get('error', '')}", flush=True)
            Path(results).write_text(json.dumps(found))
        gc.unfreeze()
        gc.collect()
        if job.settings.device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(size: int, jobs: list[Job], results: Path, folder: Path) -> Results:
    """What each job showed (or went wrong) on `size` processes; also in the file `results`, as far as it came.

    folder: where each job keeps its checkpoints, in a folder of its name.
    """
    multiprocessing.spawn(worker, args=(size, free_port(), jobs, str(results), str(folder)), nprocs=size)
    found: Results = json.loads(results.read_bytes())
    return found
