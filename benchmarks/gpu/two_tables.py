"""The tables of `two.py`: parity, speed with shares of ideal and times by the profiler, resuming, Ray."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

Results = dict[str, Any]


def tables(found: Results, bars: dict[str, float]) -> str:
    """All tables of what there is, as Markdown."""
    machine = found.get("machine", {})
    about = {name: value for name, value in machine.items() if name != "links"}
    blocks = [f"device and versions: {about}; seconds of the parts: {found.get('seconds')}"]
    if "links" in machine:
        rows = [[name, value["ms"], value["GB/s"]] for name, value in machine["links"].items()]
        blocks.append(table(["NCCL", "ms", "GB/s sent"], rows))
    makers = {"parity": parity, "speed": lambda f: speed(f, bars), "resume": resume, "ways": ways, "ray": ray}
    for name, maker in makers.items():
        try:
            blocks += [f"## {name}", *maker(found.get(name, {}))]
        except Exception as error:  # half a part's results must not cost the other tables
            blocks.append(f"{name}: {type(error).__name__}: {error}; {str(found.get(name))[:400]}")
    return "\n\n".join(blocks) + "\n"


def table(head: list[str], rows: list[list[Any]]) -> str:
    def line(cells: list[Any]) -> str:
        return "| " + " | ".join(f"{c:.4g}" if isinstance(c, float) else str(c) for c in cells) + " |"

    return "\n".join([line(head), line(["---"] * len(head)), *(line(row) for row in rows)])


def ran(jobs: Results) -> Iterator[tuple[str, Results]]:
    return ((name, job) for name, job in jobs.items() if "lines" in job)


def failures(part: Results) -> list[str]:
    jobs = [job for half in part.values() if isinstance(half, dict) for job in half.items()]
    return [f"{name}: {job['error']}" for name, job in jobs if isinstance(job, dict) and "error" in job]


def apart(lines: list[Results], reference: list[Results], key: str) -> float:
    pairs = zip(lines, reference, strict=True)
    return float(max(abs(a[key] - b[key]) for a, b in pairs))


def parity(part: Results) -> list[str]:
    rows = []
    for name, job in ran(part.get("two", {})):
        way, precision = name.split()
        one = part["one"][f"{'one row' if way == 'sequence' else 'one'}, {precision}"]["lines"]
        norm = max(abs(a["grad_norm"] / b["grad_norm"] - 1) for a, b in zip(job["lines"], one, strict=True))
        rows.append([way, precision, one[0]["loss"], one[-1]["loss"], apart(job["lines"], one, "loss"), norm])
    head = ["way", "precision", "first loss", "last loss", "largest difference of a loss", "of a norm, relative"]
    return [table(head, rows), *failures(part)]


def tokens_per_second(job: Results) -> float:
    lines = job["lines"]
    return float(statistics.median(line["tokens_per_second"] for line in lines[len(lines) // 2 :]))


def speed(part: Results, bars: dict[str, float]) -> list[str]:
    jobs = dict(ran(part.get("one", {}))) | dict(ran(part.get("two", {})))
    rows, times = [], []
    for name, job in sorted(jobs.items()):
        model, way = name.split(": ")
        rate, last = tokens_per_second(job), job["lines"][-1]
        row = [model, way, round(rate), last.get("mfu", ""), round(last["memory_bytes"] / 1e9, 1)]
        reference = jobs.get(f"{model}: {'one, one row' if way == 'sequence' else 'one'}")
        share = rate / tokens_per_second(reference) / 2 if way in bars and reference else ""
        rows.append([*row, share, f">= {bars[way]}" if way in bars else ""])
        if time := job.get("time"):
            rest = [
                time[key] for key in ("wall_ms", "compute_ms", "nccl_ms", "nccl_alone_ms", "idle_ms", "kernels_a_step")
            ]
            times.append([model, way, *rest])
    head = ["model", "way", "tokens/s", "MFU", "memory a GPU, GB", "of ideal", "bar"]
    blocks = [table(head, rows)]
    if times:
        head = ["model", "way", "ms a step", "computing", "NCCL", "NCCL alone", "idle", "kernels"]
        blocks.append(table(head, times))
    for name, job in sorted(jobs.items()):
        if job.get("time"):
            blocks.append(f"{name}: {job['time']['kernels_ms']}")
    return [*blocks, *failures(part)]


def resume(part: Results) -> list[str]:
    rows = []
    whole = [line for leg in part.get("whole on one", []) for line in leg.get("lines", [])]
    for name, legs in part.items():
        if name in ("one", "two", "saving"):
            continue
        lines = [line for leg in legs for line in leg.get("lines", [])]
        wrong = [leg["error"] for leg in legs if "error" in leg]
        if wrong:
            rows.append([name, "", wrong[0]])
            continue
        steps = [line["step"] for line in lines]
        rows.append([name, f"{steps[0]} to {steps[-1]}", apart(lines, whole, "loss")])
    saving = [f"saving, seconds: {leg.get('save')} {leg.get('error', '')}" for leg in part.get("saving", [])]
    return [table(["on two, on one, on two", "steps", "largest difference from one never stopped"], rows), *saving]


def ways(part: Results) -> list[str]:
    rows = []
    for half in ("one", "two"):
        for name, job in ran(part.get(half, {})):
            rows.append([half, name, round(tokens_per_second(job)), round(job["lines"][-1]["memory_bytes"] / 1e9, 1)])
    return [table(["GPUs", "way", "tokens/s", "memory a GPU, GB"], rows), *failures(part)]


def ray(part: Results) -> list[str]:
    return [f"{name}: {value}" for name, value in part.items()]
