"""A soak: the small recipe, all stages with self-cleaning and training, over and over for so many minutes, on both
engines, one fault a run; then the same command until it is done. Nothing may be lost, doubled or changed.

    python tests/end_to_end/soak.py --minutes 20 --out soak
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from small_run import command, contents, differences, make_crawl, write_recipe

ROOT = Path(__file__).resolve().parent.parent.parent
LONGEST = 600
"""Seconds after which a run counts as hanging."""


@dataclass(frozen=True)
class Row:
    """One run: the engine, the fault, how it ended at first, and what differs from the undisturbed run."""

    engine: str
    fault: str
    first: str
    differs: list[str]
    seconds: float


def start(recipe: Path, run: Path, engine: str, prepare: Callable[[], None] | None = None) -> subprocess.Popen[str]:
    arguments = command("run", recipe, "--run-dir", run, "--workers", "2", "--engine", engine)
    return subprocess.Popen(
        arguments,
        cwd=run.parent,
        env=os.environ | {"PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "disabled"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=prepare,
    )


def end(process: subprocess.Popen[str], seconds: float = LONGEST) -> str:
    """Wait for a run; returns its exit code and last line, 'hangs' where it has to be killed."""
    try:
        _, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return "hangs"
    if "Traceback" in errors:
        return f"{process.returncode}: traceback"
    return f"{process.returncode}: {(errors.strip().splitlines() or [''])[-1][:60]}"


def signalled(number: int, group: bool) -> Callable[[Path, Path, str, random.Random, float], str]:
    """A fault: a signal after a random time, to the leading process alone or to all of them."""

    def fault(recipe: Path, run: Path, engine: str, draw: random.Random, whole: float) -> str:
        process = start(recipe, run, engine)
        try:
            process.wait(draw.uniform(1.0, max(2.0, 0.8 * whole)))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, number) if group else process.send_signal(number)
        return end(process, 60)

    return fault


def worker_killed(recipe: Path, run: Path, engine: str, draw: random.Random, whole: float) -> str:
    """A fault: SIGKILL for every child of the leading process, after a random time; the run goes on by itself."""
    process = start(recipe, run, engine)
    try:
        process.wait(draw.uniform(1.0, max(2.0, 0.5 * whole)))
    except subprocess.TimeoutExpired:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for child in children[-1:]:
            os.kill(int(child), signal.SIGKILL)
    return end(process)


def disk_full(recipe: Path, run: Path, engine: str, draw: random.Random, whole: float) -> str:
    """A fault: no file may be larger than some kilobytes; a machine fault, said in one line."""
    size = draw.choice([4_000, 30_000, 200_000])
    return end(start(recipe, run, engine, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))))


def output_cut(recipe: Path, run: Path, engine: str, draw: random.Random, whole: float) -> str:
    """A fault: after a whole run one output is cut; the next run makes it again."""
    said = end(start(recipe, run, engine))
    outputs = sorted(path for path in run.rglob("documents/*.parquet") if path.stat().st_size > 8)
    path = draw.choice(outputs)
    path.write_bytes(path.read_bytes()[:-7])
    return f"{said}; cut {path.parent.parent.name}"


FAULTS = {
    "none": lambda recipe, run, engine, draw, whole: end(start(recipe, run, engine)),
    "SIGKILL to the leader": signalled(signal.SIGKILL, group=False),
    "SIGKILL to all": signalled(signal.SIGKILL, group=True),
    "SIGINT to the leader": signalled(signal.SIGINT, group=False),
    "SIGINT to all": signalled(signal.SIGINT, group=True),
    "SIGTERM to the leader": signalled(signal.SIGTERM, group=False),
    "SIGKILL to a child": worker_killed,
    "disk full": disk_full,
    "output cut": output_cut,
}


def main() -> None:
    """Run faults in turn until the time is over and print the table; exit code 1 where a run came out otherwise."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/soak"))
    arguments = parser.parse_args()
    began, draw = time.monotonic(), random.Random(arguments.seed)
    out = arguments.out.resolve()
    out.mkdir(parents=True)
    recipe = write_recipe(out / "small.yaml", make_crawl(ROOT / "examples" / "crawl", out / "crawl"))
    end(start(recipe, out / "undisturbed", "local"))
    whole = time.monotonic() - began
    expected = contents(out / "undisturbed")
    assert "06-train/model.safetensors" in expected, "the undisturbed run did not finish"
    rows: list[Row] = []
    turns = [(engine, fault) for fault in FAULTS for engine in ("local", "ray")]
    while time.monotonic() - began + 2 * whole < 60 * arguments.minutes:
        engine, fault = turns[len(rows) % len(turns)]
        run, started = out / f"run-{len(rows):03d}", time.monotonic()
        first = FAULTS[fault](recipe, run, engine, draw, whole)
        last = end(start(recipe, run, engine))
        differs = differences(expected, contents(run))
        differs += [f"ended {last}"] if not last.startswith("0:") else []
        differs += [first] if first == "hangs" or "traceback" in first else []
        rows.append(Row(engine, fault, first, differs, time.monotonic() - started))
        print(f"{engine} {fault}: {first}: {differs or 'the same bytes'}", flush=True)
    print(table(rows))
    sys.exit(any(row.differs for row in rows) or not rows)


def table(rows: list[Row]) -> str:
    """Return the runs by engine and fault: how many, how many came out otherwise, how they ended at first."""
    lines = ["| engine | fault | runs | not the same | first ended |", "| --- | --- | --- | --- | --- |"]
    for engine, fault in dict.fromkeys((row.engine, row.fault) for row in rows):
        some = [row for row in rows if (row.engine, row.fault) == (engine, fault)]
        wrong = sum(bool(row.differs) for row in some)
        ends = ", ".join(dict.fromkeys(row.first.split(":")[0] for row in some))
        lines.append(f"| {engine} | {fault} | {len(some)} | {wrong} | {ends} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
