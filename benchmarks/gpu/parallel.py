"""Training on several GPUs of one host: do FSDP2, tensor and sequence parallelism give one GPU's losses, how fast?

    python -m benchmarks.gpu.parallel [--gpus 2] [--parts parity,speed] [--preset tnl-385m]
    python -m benchmarks.gpu.parallel --device cpu --preset tnl-nano --vocabulary 512     # gloo, to try the script

Parity: a small model, 20 steps in float32 (and bfloat16), each way of splitting beside one GPU: the largest difference
of a step's loss. Speed: tokens/s of the preset, with as many tokens a GPU on one and on all of them for FSDP2, and one
GPU's batch for tensor parallelism; one long row for sequence parallelism. Tables last; gpu_parallel.json under $OUT if
that is set.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import socket
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
import torch.multiprocessing as multiprocessing

from autoclave.model.config import ModelConfig, preset
from autoclave.model.training.loop import Trainer
from autoclave.model.training.settings import OptimizerSettings, TrainSettings

PARITY_STEPS = 20
SMALL = ModelConfig(vocabulary_size=8192, hidden_size=512, layers=4, heads=4, glu_size=1408)


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
    """One training run: its name, model, settings, data and number of steps."""

    name: str
    config: ModelConfig
    settings: TrainSettings
    loader: Texts
    steps: int


def worker(rank: int, size: int, port: int, jobs: list[Job], folder: str) -> None:
    """All jobs, one after the other, in one of `size` processes; rank 0 writes what it saw."""
    place = {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": rank, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in place.items()}
    torch.backends.cuda.matmul.allow_tf32 = False
    found: dict[str, Any] = {}
    for job in jobs:
        try:
            trainer = Trainer(job.config, job.settings, job.loader, Path(folder) / job.name, None, "")
            trainer.start(False)
            found[job.name] = [trainer.step() for _ in range(job.steps)]
            del trainer
        except Exception as error:  # a way that fails is a result; the others still run
            found[job.name] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:300]
        gc.collect()
        if job.settings.device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        if rank == 0:
            Path(folder, f"lines-{size}.json").write_text(json.dumps(found))
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def run(size: int, jobs: list[Job]) -> dict[str, Any]:
    """Metrics lines (or what went wrong) of each job on `size` processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        multiprocessing.spawn(worker, args=(size, port, jobs, folder), nprocs=size)
        result: dict[str, Any] = json.loads(Path(folder, f"lines-{size}.json").read_bytes())
    return result


def parity(gpus: int, device: str) -> list[dict[str, Any]]:
    """One row a way of splitting and precision."""
    base = TrainSettings(device=device, optimizer=OptimizerSettings(learning_rate=1e-3, warmup_steps=5))
    ways = {"fsdp2": {}, "tensor": {"tensor_parallel": gpus}, "sequence": {"sequence_parallel": gpus}}
    loader = Texts(rows=4, length=512, vocabulary=SMALL.vocabulary_size, documents=2)
    precisions = ("float32", "bfloat16") if device == "cuda" else ("float32",)

    def job(name: str, precision: str, way: dict[str, int]) -> Job:
        settings = msgspec.structs.replace(base, precision=precision, **way)
        return Job(f"{name} {precision}", SMALL, settings, loader, PARITY_STEPS)

    alone = run(1, [job("one", precision, {}) for precision in precisions])
    split = run(gpus, [job(name, precision, way) for precision in precisions for name, way in ways.items()])
    rows = []
    for name, lines in split.items():
        reference = alone[f"one {name.split()[1]}"]
        row: dict[str, Any] = {"way": name, "processes": gpus}
        if isinstance(lines, str) or isinstance(reference, str):
            row["error"] = lines if isinstance(lines, str) else reference
        else:
            pairs = list(zip(lines, reference, strict=True))
            row["first_loss"], row["last_loss"] = reference[0]["loss"], reference[-1]["loss"]
            row["largest_loss_difference"] = max(abs(a["loss"] - b["loss"]) for a, b in pairs)
            row["largest_norm_difference"] = max(abs(a["grad_norm"] / b["grad_norm"] - 1) for a, b in pairs)
        rows.append(row)
    return rows


def speed(gpus: int, device: str, config: ModelConfig, tokens: int, steps: int) -> list[dict[str, Any]]:
    """One row a way of splitting: tokens/s of the median step, and the share of perfect scaling that it is."""
    base = TrainSettings(device=device, optimizer=OptimizerSettings(warmup_steps=5))
    rows = max(1, tokens // 2048)
    length = min(2048, tokens)

    def job(name: str, rows: int, length: int, **way: int) -> Job:
        loader = Texts(rows, length, config.vocabulary_size, 1)
        return Job(name, config, msgspec.structs.replace(base, **way), loader, steps)

    alone = run(1, [job("one", rows, length), job("one, one row", 1, tokens)])
    split = run(
        gpus,
        [
            job("fsdp2", rows * gpus, length),
            job("tensor", rows, length, tensor_parallel=gpus),
            job("sequence, one row", 1, tokens * gpus, sequence_parallel=gpus),
        ],
    )
    references = {"fsdp2": "one", "tensor": "one", "sequence, one row": "one, one row"}
    table = []
    for name, lines in (alone | split).items():
        row: dict[str, Any] = {"way": name, "processes": gpus if name in split else 1}
        if isinstance(lines, str):
            table.append(row | {"error": lines})
            continue
        row["tokens_per_second"] = round(
            statistics.median(line["tokens_per_second"] for line in lines[len(lines) // 2 :])
        )
        row["mfu"] = lines[-1].get("mfu")
        row["memory_gb"] = round(lines[-1].get("memory_bytes", 0) / 1e9, 1)
        reference = next((r for r in table if r["way"] == references.get(name)), None)
        if reference is not None and "tokens_per_second" in reference:
            row["scaling"] = round(row["tokens_per_second"] / reference["tokens_per_second"] / gpus, 3)
        table.append(row)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpus", type=int, default=2)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--parts", default="parity,speed", type=lambda text: text.split(","))
    parser.add_argument("--preset", default="tnl-385m")
    parser.add_argument("--vocabulary", type=int, help="another vocabulary")
    parser.add_argument("--tokens", type=int, help="tokens a step and process")
    parser.add_argument("--steps", type=int, default=12)
    arguments = parser.parse_args()
    on_gpu = arguments.device == "cuda"
    config = preset(arguments.preset, **({"vocabulary_size": arguments.vocabulary} if arguments.vocabulary else {}))
    results: dict[str, Any] = {"device": torch.cuda.get_device_name() if on_gpu else "CPU", "torch": torch.__version__}
    if "parity" in arguments.parts:
        results["parity"] = parity(arguments.gpus, arguments.device)
        print(json.dumps(results["parity"]), flush=True)
    if "speed" in arguments.parts:
        tokens = arguments.tokens or (32_768 if on_gpu else 512)
        results["speed"] = speed(arguments.gpus, arguments.device, config, tokens, arguments.steps)
    if folder := os.environ.get("OUT"):
        Path(folder, "gpu_parallel.json").write_text(json.dumps(results, indent=1))
    print(f"{results['device']} x {arguments.gpus}, torch {results['torch']}, {arguments.preset}")
    for part in ("parity", "speed"):
        for row in results.get(part, []):
            print(
                "  ".join(
                    f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}" for key, value in row.items()
                )
            )


if __name__ == "__main__":
    main()
