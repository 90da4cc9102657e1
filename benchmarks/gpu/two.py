"""Two GPUs of one host: is training split over them the training of one, how fast is it, where does the time go?

    python -m benchmarks.gpu.two --out OUT [--seconds 550] [--parts machine,parity,speed,...]
    python -m benchmarks.gpu.two --device cpu --out OUT        # gloo and tiny models, to try the script

Each part runs in a process of its own with a time limit; two.json and two.md under OUT hold what all have left. Parts,
in order: machine (links, versions), parity (20 steps of each way of splitting beside one process), speed (tokens/s,
shares of ideal, times by the profiler), resume (from two on one and back, and the saver), ray (Ray Train and
self-cleaning with two actors beside one process), ways (what single choices of the implementation bring).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import torch

from autoclave.model.config import ModelConfig, preset
from autoclave.model.training.settings import OptimizerSettings, TrainSettings
from benchmarks.gpu.parallel import Job, Results, Texts, run
from benchmarks.gpu.two_tables import BARS, tables, wrong

PARITY_STEPS = 20
# The most seconds of each part, most important first.
LIMITS = {"machine": 60, "parity": 200, "speed": 230, "resume": 110, "ray": 170, "ways": 150}
WAYS: dict[str, dict[str, int]] = {
    "fsdp2": {},
    "sequence": {"sequence_parallel": 2},
    "tensor": {"tensor_parallel": 2},
}
# What the scaling bars are for: the tokens of one process's step.
SPEED_TOKENS = 32_768


class Place(msgspec.Struct, frozen=True):
    """Where the parts run: on which kind of device, and where they leave results and what training writes."""

    device: str
    work: Path

    @property
    def on_gpu(self) -> bool:
        return self.device == "cuda"

    def results(self, part: str, size: int) -> Path:
        return self.work / f"{part}-on-{size}.json"

    def run(self, part: str, size: int, jobs: list[Job]) -> Results:
        return run(size, jobs, self.results(part, size), self.work / "training")

    def settings(self, **options: Any) -> TrainSettings:
        optimizer = OptimizerSettings(learning_rate=1e-3, warmup_steps=5, schedule="constant")
        return msgspec.structs.replace(TrainSettings(device=self.device, optimizer=optimizer), **options)


def small(place: Place) -> ModelConfig:
    """The model of the parts that compare losses."""
    if place.on_gpu:
        return ModelConfig(vocabulary_size=8192, hidden_size=512, layers=4, heads=4, glu_size=1408)
    return ModelConfig(vocabulary_size=512, hidden_size=64, layers=2, heads=2, glu_size=176)


def small_texts(place: Place, one_row: bool = False) -> Texts:
    """Four rows of two documents; or one row of three, so that the border between two pieces is inside of one."""
    tokens = 8190 if place.on_gpu else 384
    vocabulary = small(place).vocabulary_size
    if one_row:
        return Texts(1, tokens, vocabulary, documents=3)
    return Texts(4, 2048 if place.on_gpu else 96, vocabulary, documents=2)


def machine(place: Place) -> Results:
    """Device, versions, how the GPUs are linked, and what NCCL moves between them (GB/s of one direction)."""
    found: Results = {"torch": torch.__version__, "cpus": os.cpu_count()}
    if not place.on_gpu:
        return found
    found |= {"device": torch.cuda.get_device_name(), "cuda": torch.version.cuda, "nccl": torch.cuda.nccl.version()}
    found["peer_access"] = torch.cuda.can_device_access_peer(0, 1)
    for command in (["nvidia-smi", "topo", "-m"], ["nvidia-smi"]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        print(done.stdout[-2500:], done.stderr[-500:], flush=True)
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(links, args=(folder,), nprocs=2)
        found["links"] = json.loads(Path(folder, "links.json").read_bytes())
    return found


def links(rank: int, folder: str) -> None:
    """Times of the collectives that training uses, 64 MiB of bfloat16 and 512 KiB of float32."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29611"}
    torch.cuda.set_device(rank)
    torch.distributed.init_process_group("nccl")
    whole = torch.randn(2**25, device="cuda").bfloat16()
    half, little = whole.chunk(2)[rank].clone(), torch.randn(2**17, device="cuda")
    few = torch.empty(2**18, device="cuda")
    come = torch.empty_like(half)

    def ring() -> None:
        operations = [torch.distributed.P2POp(torch.distributed.isend, half, 1 - rank)]
        operations.append(torch.distributed.P2POp(torch.distributed.irecv, come, 1 - rank))
        for work in torch.distributed.batch_isend_irecv(operations):
            work.wait()

    calls = {
        "all_reduce 64 MiB": lambda: torch.distributed.all_reduce(whole),
        "all_gather 64 MiB": lambda: torch.distributed.all_gather_into_tensor(whole, half),
        "reduce_scatter 64 MiB": lambda: torch.distributed.reduce_scatter_tensor(come, whole),
        "send and receive 32 MiB": ring,
        "all_gather 1 MiB": lambda: torch.distributed.all_gather_into_tensor(few, little),
    }
    found = {}
    for name, call in calls.items():
        for _ in range(5):
            call()
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(20):
            call()
        end.record()
        torch.cuda.synchronize()
        milliseconds = begin.elapsed_time(end) / 20
        sent = 2**25 if "1 MiB" not in name else 2**19
        found[name] = {"ms": round(milliseconds, 4), "GB/s": round(sent / milliseconds / 1e6, 1)}
    if rank == 0:
        Path(folder, "links.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


def parity(place: Place) -> Results:
    """Twenty steps of each way of splitting, in float32 and bfloat16, beside one process."""

    def job(name: str, precision: str, one_row: bool, between: str, **way: int) -> Job:
        settings = place.settings(precision=precision, **way)
        return Job(f"{name}{between}{precision}", small(place), settings, small_texts(place, one_row), PARITY_STEPS)

    precisions = ("float32", "bfloat16")
    one = [job("one row" if row else "one", precision, row, ", ") for precision in precisions for row in (False, True)]
    two = [job(name, each, name == "sequence", " ", **way) for each in precisions for name, way in WAYS.items()]
    return {"one": place.run("parity", 1, one), "two": place.run("parity", 2, two)}


def speed_job(place: Place, name: str, config: ModelConfig, rows: int, length: int, **options: Any) -> Job:
    change = options.pop("change", {})
    loader = Texts(rows, length, config.vocabulary_size, 1)
    steps, profiled, save = options.pop("steps", 10), options.pop("profiled", 2), options.pop("save", False)
    settings = place.settings(**options)
    return Job(name, config, settings, loader, steps, profiled=profiled, quick_weights=True, save=save, change=change)


def speed(place: Place) -> Results:
    """tokens/s of tnl-385m and tnl-1b: as many tokens a GPU for FSDP2 and one long row, one GPU's batch for tensor."""
    tokens, row = (SPEED_TOKENS, 2048) if place.on_gpu else (256, 64)
    names = ("tnl-385m", "tnl-1b") if place.on_gpu else ("tnl-nano",)
    models = {name: preset(name) for name in names}
    one, two = [], []
    for name, config in models.items():
        one.append(speed_job(place, f"{name}: one", config, tokens // row, row))
        one.append(speed_job(place, f"{name}: one, one row", config, 1, 2 * tokens))
        two.append(speed_job(place, f"{name}: fsdp2", config, 2 * tokens // row, row))
        two.append(speed_job(place, f"{name}: sequence", config, 1, 2 * tokens, sequence_parallel=2))
    for name, config in models.items():
        two.append(speed_job(place, f"{name}: tensor", config, tokens // row, row, tensor_parallel=2))
    return {"one": place.run("speed", 1, one), "two": place.run("speed", 2, two)}


def ways(place: Place) -> Results:
    """The first model with single choices undone or others made, on two."""
    tokens, row = (SPEED_TOKENS, 2048) if place.on_gpu else (256, 64)
    config = preset("tnl-385m" if place.on_gpu else "tnl-nano")
    options: dict[str, Any] = {"profiled": 0}
    gathered_twice = {"autoclave.model.parallel.parallelize:KEPT_SHARE": 1e12}
    single = {"autoclave.model.parallel.parallelize:GROUP_PARAMETERS": 1}
    two = [
        speed_job(place, "fsdp2, layer by layer", config, 2 * tokens // row, row, change=single, **options),
        speed_job(
            place, "sequence, layer by layer", config, 1, 2 * tokens, sequence_parallel=2, change=single, **options
        ),
        speed_job(place, "fsdp2, gathered twice", config, 2 * tokens // row, row, change=gathered_twice, **options),
        speed_job(place, "tensor, twice the tokens", config, 2 * tokens // row, row, tensor_parallel=2, **options),
        speed_job(place, "sequence, twice the tokens", config, 1, 4 * tokens, sequence_parallel=2, **options),
        speed_job(place, "fsdp2, twice the tokens", config, 4 * tokens // row, row, **options),
    ]
    one = [speed_job(place, "one, twice the tokens", config, 2 * tokens // row, row, **options)]
    if place.on_gpu:
        one.append(speed_job(place, "one, compiled", config, tokens // row, row, compile=True, **options))
        two.append(speed_job(place, "fsdp2, compiled", config, 2 * tokens // row, row, compile=True, **options))
    return {"two": place.run("ways", 2, two), "one": place.run("ways", 1, one)}


def resume(place: Place) -> Results:
    """Steps 1 to 8 on two, to 14 on one, to 20 on two again, by the asynchronous saver, beside 20 on one; its speed."""
    config, texts = small(place), small_texts(place)

    def job(name: str, steps: int, **way: int) -> Job:
        settings = place.settings(steps=steps, precision="float32", checkpoint_every=4, **way)
        return Job(name, config, settings, texts, steps, measured=False)

    found: Results = {}
    alone = {name: dict[str, int]() for name in WAYS}
    for steps, size, split in ((8, 2, WAYS), (14, 1, alone), (20, 2, WAYS)):
        jobs = [job(name, steps, **way) for name, way in split.items()]
        if size == 1:
            jobs.append(job("whole on one", 20))
        if steps == 20:
            jobs.append(job("whole on two", 20))
            large = preset("tnl-385m" if place.on_gpu else "tnl-nano")
            jobs.append(speed_job(place, "saving", large, 4, 512 if place.on_gpu else 32, profiled=0, save=True))
        for name, leg in place.run("resume", size, jobs).items():
            found.setdefault(name, []).append(leg)
    return found


def ray(place: Place) -> Results:
    """Ray Train and self-cleaning by actors (imports more of the package than the other parts)."""
    from benchmarks.gpu.two_ray import ray_part

    return ray_part(place.device)


PARTS = {"machine": machine, "parity": parity, "speed": speed, "resume": resume, "ways": ways, "ray": ray}


def run_part(name: str, place: Place) -> None:
    found = PARTS[name](place)
    (place.work / f"{name}.json").write_text(json.dumps(found, indent=1))


def collect(place: Place, out: Path, parts: list[str], seconds: dict[str, float]) -> None:
    """two.json and two.md in `out` of what the parts have left so far."""
    found: Results = {"command": sys.argv, "seconds": seconds}
    for name in parts:
        file = place.work / f"{name}.json"
        if file.exists():
            found[name] = json.loads(file.read_bytes())
            continue
        halves = {word: place.results(name, size) for word, size in (("one", 1), ("two", 2))}
        found[name] = {word: json.loads(path.read_bytes()) for word, path in halves.items() if path.exists()}
    (out / "two.json").write_text(json.dumps(found, indent=1))
    (out / "two.md").write_text(tables(found, BARS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--parts", default=",".join(LIMITS), type=lambda text: text.split(","))
    parser.add_argument("--seconds", type=float, default=550.0, help="for all parts together")
    parser.add_argument("--work", help="the folder of the running parts; a temporary one")
    parser.add_argument("--part", help="run this one here and now")
    arguments = parser.parse_args()
    if arguments.part:
        return run_part(arguments.part, Place(arguments.device, Path(arguments.work)))
    Path(arguments.out).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        problems = run_parts(Place(arguments.device, Path(arguments.work or folder)), arguments)
    if problems:
        sys.exit("\n".join(problems))


def run_parts(place: Place, arguments: argparse.Namespace) -> list[str]:
    """All parts, one after the other, each as long as there is time; what they found wrong."""
    out = Path(arguments.out)
    started, spent = time.monotonic(), {}
    for name in arguments.parts:
        left = arguments.seconds - (time.monotonic() - started)
        if left < 20:
            print(f"{name}: not begun, {left:.0f} s left", flush=True)
            continue
        begun = time.monotonic()
        command = [sys.executable, "-u", "-m", "benchmarks.gpu.two", "--part", name]
        command += ["--out", str(out), "--work", str(place.work), "--device", place.device]
        how = run_limited(command, min(LIMITS[name], left))
        spent[name] = round(time.monotonic() - begun, 1)
        print(f"=== {name}: {how} after {spent[name]} s", flush=True)
        collect(place, out, arguments.parts, spent)
    print((out / "two.md").read_text(), flush=True)
    return wrong(json.loads((out / "two.json").read_bytes()), WAYS)


def run_limited(command: list[str], seconds: float) -> str:
    """Run it in a session of its own, of which nothing is left after the limit; says how it ended."""
    with subprocess.Popen(command, start_new_session=True) as process:
        try:
            return f"exit code {process.wait(seconds)}"
        except subprocess.TimeoutExpired:
            return "stopped"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
