"""The tables of `two.py`: parity, speed with shares of ideal and times by the profiler, resuming, Ray.

    python -m benchmarks.gpu.two_tables two.json [later.json ...] [--into docs/results.md]

prints the section of docs/results.md, or puts it there in the place of the one before. Of several files' parts the
last one's count.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import statistics
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

Results = dict[str, Any]
LIMITS = {"float32": 1e-5, "bfloat16": 5e-3}
"""Largest differences of a loss, in nats."""
BARS = {"fsdp2": 0.93, "tensor": 0.7, "sequence": 0.85}
"""Least shares of ideal, twice the tokens/s of one GPU."""


def tables(found: Results, bars: dict[str, float]) -> str:
    """All tables of what there is, as Markdown."""
    machine = found.get("machine", {})
    about = {name: value for name, value in machine.items() if name != "links"}
    blocks = [f"device and versions: {about}; seconds of the parts: {found.get('seconds')}"]
    if "links" in machine:
        rows = [[name, value["ms"], value["GB/s"]] for name, value in machine["links"].items()]
        blocks.append(table(["NCCL", "ms", "GB/s sent"], rows))
    makers = {
        "parity": parity,
        "speed": lambda f: [*speed(f, bars), *kernels(f)],
        "resume": resume,
        "ways": ways,
        "ray": ray,
    }
    for name, maker in makers.items():
        try:
            blocks += [f"## {name}", *maker(found.get(name, {}))]
        except Exception as error:  # half a part's results must not cost the other tables
            blocks.append(f"{name}: {type(error).__name__}: {error}; {str(found.get(name))[:400]}")
    blocks += ["## what must not be", *(wrong(found, bars) or ["nothing found"])]
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


def apart(lines: list[Results], reference: list[Results], key: str, relative: bool = False) -> float:
    """Largest difference of two runs' values; infinite where steps are missing, or a value is not finite (null)."""
    if [line["step"] for line in lines] != [line["step"] for line in reference]:
        return math.inf
    differences = [math.inf]
    if all(line[key] is not None for line in [*lines, *reference]):
        pairs = [(a[key], b[key]) for a, b in zip(lines, reference, strict=True)]
        differences = [abs(a - b) / (b if relative else 1.0) for a, b in pairs]
    return max(differences, default=math.inf)


def parity(part: Results) -> list[str]:
    rows = []
    for name, job in ran(part.get("two", {})):
        way, precision = name.split()
        one = part["one"][f"{'one row' if way == 'sequence' else 'one'}, {precision}"]["lines"]
        norm = apart(job["lines"], one, "grad_norm", relative=True)
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
        blocks.append("Milliseconds of one GPU a step, by the profiler; NCCL alone: with nothing computed meanwhile:")
        head = ["model", "way", "step", "computing", "NCCL", "NCCL alone", "idle", "kernels"]
        blocks.append(table(head, times))
    return [*blocks, *failures(part)]


def kernels(part: Results) -> list[str]:
    """The largest kernels of each job that was profiled, milliseconds a step."""
    jobs = dict(ran(part.get("one", {}))) | dict(ran(part.get("two", {})))
    return [f"{name}: {job['time']['kernels_ms']}" for name, job in sorted(jobs.items()) if job.get("time")]


def resume(part: Results) -> list[str]:
    rows = []
    for name, lines, difference in resumed(part):
        rows.append([name, f"{lines[0]['step']} to {lines[-1]['step']}" if lines else "", difference])
    saves = [(n, s) for leg in part.get("saving", []) for n, s in leg.get("save", {}).items()]
    saving = [[name, *(save[key] for key in ("held", "step", "whole"))] for name, save in saves]
    blocks = [table(["on two, on one, on two", "steps", "largest difference from one never stopped"], rows)]
    if saving:
        head = ["asynchronous save, tnl-385m", "holds training, s", "a step meanwhile, s", "until on disk, s"]
        blocks.append(table(head, saving))
    all_legs = [*runs(part), ("saving", part.get("saving", []))]
    return [*blocks, *(f"{name}: {leg['error']}" for name, legs in all_legs for leg in legs if "error" in leg)]


def runs(part: Results) -> list[tuple[str, list[Results]]]:
    return [(name, legs) for name, legs in part.items() if name not in ("one", "two", "saving")]


def resumed(part: Results) -> Iterator[tuple[str, list[Results], float]]:
    """Of each way: its name, its lines over all legs, and how far its losses are from the run that never stopped."""
    whole = [line for leg in part.get("whole on one", []) for line in leg.get("lines", [])]
    for name, legs in runs(part):
        lines = [line for leg in legs for line in leg.get("lines", [])]
        yield name, lines, apart(lines, whole, "loss")


def wrong(found: Results, ways: Iterable[str]) -> list[str]:
    """What contradicts that training on two is training on one, or is missing; of the parts that were to run.

    The limits are some times what float32 sums in another order (1e-6) and bfloat16 (1e-3) showed.
    """
    problems = []
    if "parity" in found:
        jobs = found["parity"].get("two", {})
        for name in [f"{way} {precision}" for precision in LIMITS for way in ways]:
            way, precision = name.split()
            one = found["parity"].get("one", {}).get(f"{'one row' if way == 'sequence' else 'one'}, {precision}", {})
            difference = apart(jobs.get(name, {}).get("lines", []), one.get("lines", []), "loss")
            if not difference <= LIMITS[precision]:
                problems.append(f"parity of {name}: losses differ by {difference}")
    if "resume" in found:
        differences = {name: difference for name, _, difference in resumed(found["resume"])}
        for name in [*ways, "whole on two"]:
            if not differences.get(name, math.inf) <= LIMITS["float32"]:
                problems.append(f"resume, {name}: losses differ by {differences.get(name)}")
        if not all("save" in leg for leg in found["resume"].get("saving", [{}])):
            problems.append("resume: the asynchronous saver was not measured")
    return problems


def ways(part: Results) -> list[str]:
    rows = []
    for half in ("one", "two"):
        for name, job in ran(part.get(half, {})):
            rows.append([half, name, round(tokens_per_second(job)), round(job["lines"][-1]["memory_bytes"] / 1e9, 1)])
    return [table(["GPUs", "way", "tokens/s", "memory a GPU, GB"], rows), *failures(part)]


def ray(part: Results) -> list[str]:
    said = [f"{name}: {part[name]}" for name in part if name not in ("training", "selfclean")]
    if found := part.get("training"):
        same = "the same as" if found["ray_equals_two_processes"] else "NOT those of"
        said.append(
            f"Ray Train: every loss {same} two processes without Ray; at most "
            f"{found['largest_difference_from_one']:.2g} from one process; {len(found['files'])} files a checkpoint"
        )
    if found := part.get("selfclean"):
        names = ", ".join(found["two_actors_differ_in"]) or "none"
        said.append(f"self-cleaning with two scoring actors: {found['files']} files; unlike one process's: {names}")
    return said


def section(found: Results) -> str:
    """What docs/results.md has of it: no links, no single kernels."""
    machine, parts = found["machine"], list(found["seconds"])
    heading = f"### Two GPUs (`python -m benchmarks.gpu.two --out OUT`, NCCL, two {machine['device']} of one host)"
    blocks = [heading, f"torch {machine['torch']}. Largest differences from one process over 20 steps; losses in nats:"]
    blocks += parity(found.get("parity", {}))
    blocks.append(
        "FSDP2 and sequence parallel with 32K tokens a GPU (one row of 64K), tensor parallel with 32K in all. Ideal\n"
        "is twice one GPU: for sequence parallel with the same row, else with 32K tokens."
    )
    blocks += speed(found.get("speed", {}), BARS)
    blocks.append("Steps 1 to 8 on two, to 14 on one, to 20 on two, float32, through checkpoints:")
    blocks += resume(found.get("resume", {}))
    if "ways" in parts:
        blocks += ["tnl-385m otherwise:", *ways(found["ways"])]
    if "ray" in parts:
        blocks += ["Ray with two workers beside one process:", *(f"- {line}" for line in ray(found["ray"]))]
    problems = [f"- not as it must be: {line}" for line in wrong(found, BARS)]
    return "\n\n".join([*blocks, *problems]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--into", type=Path, help="docs/results.md")
    arguments = parser.parse_args()
    found: Results = {}
    for file in arguments.files:
        run = json.loads(file.read_bytes())
        found |= {name: run[name] for name in run if run[name] or name not in found} | {
            "seconds": found.get("seconds", {}) | run["seconds"]
        }
    text = section(found)
    if arguments.into is None:
        print(text)
        return
    page = arguments.into.read_text()
    place = re.compile(r"^### Two GPUs.*?(?=^##)", re.MULTILINE | re.DOTALL)
    if len(place.findall(page)) != 1:
        raise SystemExit(f"{arguments.into}: has not one section '### Two GPUs' that another follows")
    arguments.into.write_text(place.sub(lambda _: text + "\n", page))


if __name__ == "__main__":
    main()
