"""TransNormerLLM beside a Transformer (Hugging Face Llama, SDPA) of the same size, on the same real tokens.

    python -m benchmarks.model.quality prepare --out tokens.npz       tokens for the two below, from the labelled sets
    python -m benchmarks.model.quality quality --tokens tokens.npz    loss at equal tokens, ours and Llama
    python -m benchmarks.model.quality ablation --tokens tokens.npz   the paper's ablations on a small budget

Quality and ablation: every model sees the same rows in the same order, takes its learning rate from the same list (the
best on seed 0, which then counts no more) and is trained from --seeds other seeds. Mean and 95 % interval (Student's t)
over the seeds, and the difference from the first row, seed by seed. --jobs runs go at a time, on CPUs (a thread each)
or sharing one GPU (--device cuda, bfloat16 autocast). Every finished run is at once in the results file
($OUT/model_<command>.json, or --results); the same command goes on from there. --seconds: no run starts that
would likely end later.

Needs transformers.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import platform
import statistics
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from autoclave.model.training.optimizer import learning_rate, make_optimizer, set_learning_rate
from autoclave.model.training.settings import OptimizerSettings
from benchmarks.data import add_data_option
from benchmarks.model.variants import ABLATIONS, LLAMA, RELEASED, SIZES, Rows, Tokens, loss_of, make_variant

VARIANTS = {"quality": [RELEASED, LLAMA], "ablation": list(ABLATIONS)}
T_975 = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262]
"""Student's t, 97.5 %, for 1 to 9 degrees of freedom."""


class Setting(NamedTuple):
    """What all runs of one results file share."""

    size: str
    steps: int
    batch: int
    length: int
    held_out: int
    device: str
    precision: str
    tokens: str


class Task(NamedTuple):
    """One training run."""

    variant: str
    rate: float
    seed: int

    @property
    def key(self) -> str:
        return f"{self.variant} | {self.rate:g} | seed {self.seed}"


_rows: Rows | None = None


def start_worker(setting: Setting) -> None:
    global _rows
    torch.set_num_threads(1)
    tokens = Tokens.load(Path(setting.tokens))
    _rows = Rows(tokens, setting.length, setting.batch, setting.held_out, torch.device(setting.device))


def train(setting: Setting, task: Task) -> dict[str, Any]:
    """Train one model; its held-out loss in nats a token (null when it is not finite), and the time it took."""
    assert _rows is not None, "start_worker comes first"
    device = torch.device(setting.device)
    started = time.perf_counter()
    model = make_variant(task.variant, SIZES[setting.size], task.seed).to(device)
    # no weight decay: which of a model's tensors it spares is told by name, and names differ
    settings = OptimizerSettings(learning_rate=task.rate, warmup_steps=max(1, setting.steps // 10), weight_decay=0.0)
    optimizer = make_optimizer(model, settings)
    half = torch.autocast(device.type, torch.bfloat16, enabled=setting.precision == "bfloat16")
    training_losses = []
    for step in range(setting.steps):
        set_learning_rate(optimizer, learning_rate(settings, step, setting.steps))
        with half:
            loss = loss_of(model, _rows.of_step(step, task.seed))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step >= setting.steps - max(1, setting.steps // 20):
            training_losses.append(loss.detach())
    model.eval()
    with torch.no_grad(), half:
        held_out = [float(loss_of(model, rows)) for rows in _rows.held_out.split(setting.batch)]
    sizes = [len(rows) for rows in _rows.held_out.split(setting.batch)]
    mean = sum(loss * size for loss, size in zip(held_out, sizes, strict=True)) / sum(sizes)
    last = float(torch.stack(training_losses).float().mean())
    return {
        "loss": mean if math.isfinite(mean) else None,
        "training_loss": last if math.isfinite(last) else None,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "seconds": round(time.perf_counter() - started, 1),
    }


def chosen_rate(runs: dict[str, Any], variant: str, rates: list[float]) -> float | None:
    """The rate of the lowest loss on seed 0, or None while its sweep is not done (or nothing in it is finite)."""
    tried = {rate: runs.get(Task(variant, rate, 0).key) for rate in rates}
    if any(run is None for run in tried.values()):
        return None
    finite = {rate: run["loss"] for rate, run in tried.items() if run is not None and run["loss"] is not None}
    return min(finite, key=lambda rate: finite[rate]) if finite else None


def missing(runs: dict[str, Any], variants: list[str], rates: list[float], seeds: int) -> list[Task]:
    """What can be run now: sweeps, and the seeds of those models whose sweep is done."""
    tasks = [Task(variant, rate, 0) for variant in variants for rate in rates]
    for variant in variants:
        rate = chosen_rate(runs, variant, rates)
        if rate is not None:
            tasks += [Task(variant, rate, seed) for seed in range(1, seeds + 1)]
    return [task for task in tasks if task.key not in runs]


def interval(values: list[float]) -> tuple[float, float | None]:
    """Mean, and half the width of its 95 % interval (None for one value)."""
    if len(values) < 2:
        return statistics.mean(values), None
    return statistics.mean(values), T_975[len(values) - 2] * statistics.stdev(values) / math.sqrt(len(values))


def summarise(
    runs: dict[str, Any], variants: list[str], rates: list[float], seeds: int, bytes_per_token: float
) -> list[dict[str, Any]]:
    """A row a model: its losses, their interval, and the paired difference from the first model."""
    rows: list[dict[str, Any]] = []
    first: dict[int, float] = {}
    for variant in variants:
        sweep = {rate: runs[Task(variant, rate, 0).key]["loss"] for rate in rates if Task(variant, rate, 0).key in runs}
        row: dict[str, Any] = {"model": variant, "loss_by_rate_on_seed_0": sweep}
        rate = chosen_rate(runs, variant, rates)
        done = {} if rate is None else {s: runs.get(Task(variant, rate, s).key) for s in range(1, seeds + 1)}
        losses = {seed: run["loss"] for seed, run in done.items() if run is not None and run["loss"] is not None}
        row |= {
            "rate": rate,
            "runs": len(losses),
            "not_finite": sum(r is not None for r in done.values()) - len(losses),
        }
        if losses:
            mean, half = interval(list(losses.values()))
            row |= {"loss": mean, "interval": half, "bits_per_byte": mean / math.log(2) / bytes_per_token}
            row["parameters"] = next(run["parameters"] for run in done.values() if run is not None)
            first = first or losses
            paired = [loss - first[seed] for seed, loss in losses.items() if seed in first]
            if losses is not first and paired:
                row["difference"], row["difference_interval"] = interval(paired)
        rows.append(row)
    return rows


def markdown(rows: list[dict[str, Any]]) -> str:
    """The rows as a table."""

    def number(row: dict[str, Any], key: str, around: str, sign: str = "") -> str:
        if row.get(key) is None:
            return ""
        half = row.get(around)
        return f"{row[key]:{sign}.4f}" + ("" if half is None else f" ± {half:.4f}")

    lines = ["| model | parameters | rate | loss | bits a byte | difference, seed by seed |", "| --- |" + " --- |" * 5]
    for row in rows:
        cells = [
            row["model"],
            f"{row['parameters'] / 1e6:.2f} M" if "parameters" in row else "",
            f"{row['rate'] or ''}",
        ]
        cells += [number(row, "loss", "interval"), number(row, "bits_per_byte", "")]
        cells += [number(row, "difference", "difference_interval", "+")]
        note = f" ({row['not_finite']} not finite)" if row["not_finite"] else ""
        lines.append("| " + " | ".join(cells) + note + " |")
    return "\n".join(lines)


class Results:
    """The runs that are done, in a file that is whole at any moment."""

    def __init__(self, file: Path, setting: Setting) -> None:
        self.file = file
        shared = setting._asdict() | {"tokens": Path(setting.tokens).name}
        self.report: dict[str, Any] = {"setting": shared, "runs": {}, "rows": []}
        if file.exists():
            self.report = json.loads(file.read_text())
            if self.report["setting"] != shared:
                sys.exit(f"{file} holds runs of other settings: {self.report['setting']}; name another --results")
        name = torch.cuda.get_device_name() if setting.device == "cuda" else platform.processor() or platform.machine()
        self.report["environment"] = {"device": name, "torch": torch.__version__, "python": platform.python_version()}

    @property
    def runs(self) -> dict[str, Any]:
        return self.report["runs"]

    def save(self) -> None:
        temporary = self.file.with_suffix(".part")
        temporary.write_text(json.dumps(self.report, indent=1))
        temporary.replace(self.file)


def run_all(arguments: argparse.Namespace, setting: Setting, results: Results) -> None:
    """Run what is missing, `jobs` at a time, until all is done or time is up."""
    variants, started = VARIANTS[arguments.command], time.monotonic()
    longest, failed = 0.0, set[str]()
    flying: dict[Future[dict[str, Any]], Task] = {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.jobs, context, initializer=start_worker, initargs=(setting,)) as pool:
        while True:
            busy = {task.key for task in flying.values()} | failed
            waiting = missing(results.runs, variants, arguments.rates, arguments.seeds)
            waiting = [task for task in waiting if task.key not in busy]
            in_time = time.monotonic() - started + longest < arguments.seconds
            for task in waiting[: arguments.jobs - len(flying)] if in_time else []:
                flying[pool.submit(train, setting, task)] = task
            if not flying:
                break
            for future in wait(flying, return_when=FIRST_COMPLETED).done:
                task = flying.pop(future)
                error = future.exception()
                if error is not None:  # a model that fails is a result: say so and run the others
                    failed.add(task.key)
                    print(f"{task.key}: {type(error).__name__}: {error}"[:600], flush=True)
                    continue
                results.runs[task.key] = future.result()
                longest = max(longest, results.runs[task.key]["seconds"])
                results.save()
                print(f"{time.monotonic() - started:6.0f} s  {task.key}: {results.runs[task.key]}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["prepare", "quality", "ablation"])
    add_data_option(parser)
    parser.add_argument("--out", type=Path, default=Path("tokens.npz"), help="the file of prepare")
    parser.add_argument("--tokens", type=Path, help="a file of prepare")
    parser.add_argument("--size", choices=list(SIZES), default="tiny")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=4, help="rows a step")
    parser.add_argument("--length", type=int, default=512, help="tokens a row")
    parser.add_argument("--held-out", type=int, default=256, help="rows of held-out text")
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-3, 2e-3, 4e-3, 8e-3])
    parser.add_argument("--seeds", type=int, default=3, help="beside seed 0, 2 to 10")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], help="bfloat16 on a GPU unless given")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=math.inf)
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "prepare":
        tokens = Tokens.prepare(arguments.data)
        tokens.save(arguments.out)
        print(
            f"{len(tokens.training):,} training tokens, {len(tokens.held_out):,} held out, {tokens.bytes_per_token:.3f}"
        )
        return
    if arguments.tokens is None:
        parser.error("--tokens: a file that 'prepare' made")
    setting = Setting(
        arguments.size,
        arguments.steps,
        arguments.batch,
        arguments.length,
        arguments.held_out,
        arguments.device,
        arguments.precision or ("bfloat16" if arguments.device == "cuda" else "float32"),
        str(arguments.tokens),
    )
    results_file = arguments.results or Path(os.environ.get("OUT", "."), f"model_{arguments.command}.json")
    results = Results(results_file, setting)
    run_all(arguments, setting, results)
    per_token = Tokens.load(arguments.tokens).bytes_per_token
    rows = summarise(results.runs, VARIANTS[arguments.command], arguments.rates, arguments.seeds, per_token)
    results.report["rows"] = rows
    results.save()
    left = len(missing(results.runs, VARIANTS[arguments.command], arguments.rates, arguments.seeds))
    print(f"\n{results.report['environment']}\n{results.report['setting']}\n{markdown(rows)}\n{left} runs left")


if __name__ == "__main__":
    main()
