"""Time the scan kernel under many tile configurations, role by role: what triton_config.py rests on.

    python -m benchmarks.kernels.tune [--heads 32 --batch 4 --time 8192] [--roles forward,dk] [--quick]

One line a configuration: the median time of a CUDA graph's replay, and the relative error against the PyTorch path in
float32 on 1,000 tokens. The best of each role last. `--quick` takes fewer repeats of all roles, under a minute in all.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import torch

from autoclave.kernels.lightning_attention import lightning_attention_chunk
from autoclave.kernels.lightning_attention import triton_launch as launch
from autoclave.kernels.lightning_attention.triton_config import ScanConfig

Job = tuple[str, ScanConfig, int, int]  # role, tiles, heads, width


def graph_milliseconds(function: Callable[[], object], repeats: int) -> float:
    """Median of event-timed replays of one captured call."""
    function()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        function()
    graph.replay()
    times = []
    for _ in range(repeats):
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        graph.replay()
        stop.record()
        stop.synchronize()
        times.append(start.elapsed_time(stop))
    return statistics.median(times)


def candidates(role: str, width: int) -> list[ScanConfig]:
    """Tiles worth trying for a role, the shipped ones among them; wider searches are in docs/kernels.md."""
    wide = [ScanConfig(*tile, "ieee", wide=True) for tile in [(32, 128, 8, 3), (32, 128, 8, 2), (64, 128, 8, 2)]]
    if role.endswith("-lrpe"):
        return wide
    if width > 128:
        tiles = [(64, 64, 8, 2), (32, 64, 8, 3)]
        return wide + [ScanConfig(*tile, "ieee", keep_mask=tile[0] < 64) for tile in tiles]
    tiles = [(64, 64, 4, 2), (64, 64, 4, 3), (64, 128, 8, 2)]
    return [ScanConfig(*tile, "ieee", keep_mask=True, state_first=first) for tile in tiles for first in (True, False)]


def make_role(role: str, x: dict[str, torch.Tensor]) -> launch.Role:
    """The role's operands, as triton_launch wires them."""
    lrpe = role.endswith("-lrpe")
    if role.startswith("forward"):
        return launch.Role(x["q"], x["k"], x["v"], lrpe=1 if lrpe else 0)
    if role.startswith("dq"):
        return launch.Role(x["do"], x["v"], x["k"], x=x["q"], state_transposed=True, lrpe=2 if lrpe else 0)
    if role.startswith("dk"):
        return launch.Role(
            x["v"], x["do"], x["q"], x=x["k"], reverse=True, state_transposed=True, lrpe=2 if lrpe else 0
        )
    return launch.Role(x["k"], x["q"], x["do"], reverse=True, lrpe=1 if lrpe else 0)


def angles(heads: int, width: int) -> torch.Tensor:
    """LRPE's theta, [heads, width]."""
    return torch.linspace(0, 1, heads * width, device="cuda").view(heads, width)


def decays(heads: int) -> torch.Tensor:
    """Logarithms of lambda, [heads]."""
    return -torch.arange(1, heads + 1, device="cuda") / heads


def run_role(role: str, config: ScanConfig, x: dict[str, torch.Tensor]) -> torch.Tensor:
    """The role's output with this configuration."""
    heads, width = x["q"].shape[2:]
    theta = angles(heads, width) if role.endswith("-lrpe") else None
    problem = launch.Problem(decays(heads), theta, None, None, 1.0, None, width, width)
    return launch.run_scan(problem, make_role(role, x), None, None, config=config).output


def references(x: dict[str, torch.Tensor], lrpe: bool) -> dict[str, torch.Tensor]:
    """Every role's output by the PyTorch path in float32."""
    heads, width = x["q"].shape[2:]
    q, k, v = (x[name].float().requires_grad_() for name in "qkv")
    theta = angles(heads, width) if lrpe else None
    output = lightning_attention_chunk(q, k, v, decays(heads), lrpe_theta=theta)[0]
    dq, dk, dv = torch.autograd.grad(output, (q, k, v), x["do"].float())
    return {"forward": output.detach(), "dq": dq, "dk": dk, "dv": dv}


def draw(shape: tuple[int, ...]) -> dict[str, torch.Tensor]:
    """Normal q, k, v, do."""
    torch.manual_seed(0)
    return {name: torch.randn(shape, device="cuda", dtype=torch.bfloat16) for name in ("q", "k", "v", "do")}


class _CompileOnly:
    """Stands in for a kernel: compiles into the cache on disk what a launch would run."""

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., object]:
        return lambda *args, **options: self.kernel.warmup(*args, grid=grid, **options)


def compile_only(job: Job) -> str:
    """What went wrong, if anything."""
    role, config, heads, width = job
    for name in ("scan_kernel", "wide_scan_kernel", "prefix_kernel"):
        if not isinstance(getattr(launch, name), _CompileOnly):
            setattr(launch, name, _CompileOnly(getattr(launch, name)))
    x = {
        name: torch.empty(8, 2048, heads, width, device="cuda", dtype=torch.bfloat16) for name in ("q", "k", "v", "do")
    }
    try:
        run_role(role, config, x)
    except Exception as problem:  # a configuration that does not fit is an outcome here, not an error
        return f"{type(problem).__name__} {problem}".splitlines()[0][:70]
    return ""


def measure(jobs: list[Job], shape: tuple[int, ...], repeats: int, results: Any) -> None:
    """In a process of its own, since a kernel that faults takes its process's CUDA context with it."""
    x, small = draw(shape), draw((1, 1000, *shape[2:]))
    expected = {lrpe: references(small, lrpe) for lrpe in {job[0].endswith("-lrpe") for job in jobs}}
    for role, config, *_ in jobs:
        try:
            exact = expected[role.endswith("-lrpe")][role.removesuffix("-lrpe")]
            error = float((run_role(role, config, small).float() - exact).norm() / exact.norm())
            milliseconds = graph_milliseconds(lambda r=role, c=config: run_role(r, c, x), repeats)  # type: ignore[misc]
            results.send((milliseconds, error, ""))
        except Exception as problem:  # likewise: report it and go on, in a new process if need be
            results.send((float("inf"), float("nan"), f"{type(problem).__name__} {problem}".splitlines()[0][:90]))
            if "CUDA error" in str(problem):
                return


def measure_all(jobs: list[Job], shape: tuple[int, ...], repeats: int) -> list[tuple[Job, float]]:
    """Time every job, printing as it goes."""
    context = get_context("spawn")
    timed = []
    done = 0
    while done < len(jobs):
        receiver, sender = context.Pipe(duplex=False)
        worker = context.Process(target=measure, args=(jobs[done:], shape, repeats, sender))
        worker.start()
        sender.close()
        try:
            while done < len(jobs):
                milliseconds, error, problem = receiver.recv()
                role, config, *_ = jobs[done]
                tiles = f"chunk {config.chunk} block {config.block_value} warps {config.warps} stages {config.stages}"
                mask = "mask kept" if config.keep_mask else "mask anew"
                order = "wide" if config.wide else "state first" if config.state_first else "queries first"
                print(
                    f"{role:13s} {tiles} {mask} {order}  {milliseconds:.3f} ms  error {error:.1e} {problem}", flush=True
                )
                timed.append((jobs[done], milliseconds))
                done += 1
        except EOFError:
            pass
        worker.join()
    return timed


def main() -> int:
    """Sweep, print each time, and the best of each role last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--heads", type=int, default=32)
    parser.add_argument("--time", type=int, default=8192)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--roles", default="forward,dq,dk,dv,forward-lrpe,dq-lrpe,dk-lrpe,dv-lrpe")
    parser.add_argument("--jobs", type=int, default=12, help="processes that compile")
    parser.add_argument("--quick", action="store_true", help="5 repeats a configuration instead of 15")
    arguments = parser.parse_args()
    jobs: list[Job] = [
        (role, config, arguments.heads, arguments.width)
        for role in arguments.roles.split(",")
        for config in candidates(role, arguments.width)
    ]
    with ProcessPoolExecutor(arguments.jobs, mp_context=get_context("spawn")) as pool:
        outcomes = list(pool.map(compile_only, jobs))
    for job, outcome in zip(jobs, outcomes, strict=True):
        if outcome:
            print(f"{job[0]:13s} {job[1]}  {outcome}")
    fitting = [job for job, outcome in zip(jobs, outcomes, strict=True) if not outcome]
    timed = measure_all(
        fitting, (arguments.batch, arguments.time, arguments.heads, arguments.width), 5 if arguments.quick else 15
    )
    for role in arguments.roles.split(","):
        for job, milliseconds in sorted((t for t in timed if t[0][0] == role), key=lambda item: item[1])[:4]:
            print(f"best {role:13s} {milliseconds:.3f} ms {job[1]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
