"""Time the scan kernel under many tile configurations, role by role: what triton_config.py rests on.

    python benchmarks/kernels_tune.py [--heads 32 --batch 4 --time 8192] [--roles forward,dk]

Each configuration is compiled, timed (median), and held against the first one's result. Prints the fastest last.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import torch

from autoclave.kernels.lightning_attention import triton_launch as launch
from autoclave.kernels.lightning_attention.triton_config import ScanConfig


def median_milliseconds(function: Callable[[], object], repeats: int = 15) -> float:
    """Median of event-timed calls after three warm-ups."""
    for _ in range(3):
        function()
    times = []
    for _ in range(repeats):
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        function()
        stop.record()
        stop.synchronize()
        times.append(start.elapsed_time(stop))
    return statistics.median(times)


def candidates(role: str) -> list[ScanConfig]:
    """Tiles worth trying for a role: (chunk, value block, warps), each with the pipeline depths that fit."""
    plain = [
        (64, 64, 4),
        (64, 64, 8),
        (64, 128, 8),
        (64, 32, 4),
        (32, 64, 4),
        (32, 128, 8),
        (128, 64, 8),
        (128, 128, 8),
    ]
    encoded = [(64, 64, 8), (64, 32, 4), (64, 32, 8), (32, 64, 8), (32, 32, 4), (32, 64, 4), (64, 16, 4)]
    tiles = encoded if role.endswith("-lrpe") else plain
    return [ScanConfig(*tile, stages, "ieee") for tile in tiles for stages in ((1, 2) if tile[0] == 128 else (1, 2, 3))]


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


def run_role(role: str, config: ScanConfig, x: dict[str, torch.Tensor]) -> torch.Tensor:
    """The role's output with this configuration."""
    heads, width = x["q"].shape[2:]
    decay = -torch.arange(1, heads + 1, device="cuda") / heads
    theta = torch.linspace(0, 1, heads * width, device="cuda").view(heads, width) if role.endswith("-lrpe") else None
    problem = launch.Problem(decay, theta, None, None, 1.0, None, width, width)
    return launch.run_scan(problem, make_role(role, x), None, None, config=config)[0]


def compile_only(job: tuple[str, ScanConfig, int, int]) -> str:
    """Put the kernel into Triton's cache on disk; what went wrong, if anything."""
    role, config, heads, width = job
    x = {name: torch.zeros(1, 256, heads, width, device="cuda", dtype=torch.bfloat16) for name in ("q", "k", "v", "do")}
    try:
        run_role(role, config, x)
    except Exception as problem:  # a configuration that does not fit is an outcome here, not an error
        return f"{type(problem).__name__} {problem}".splitlines()[0][:70]
    return ""


def main() -> int:
    """Sweep, print each time, and the best of each role last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--heads", type=int, default=32)
    parser.add_argument("--time", type=int, default=8192)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--roles", default="forward,dk,forward-lrpe,dk-lrpe")
    parser.add_argument("--jobs", type=int, default=12, help="processes that compile")
    arguments = parser.parse_args()
    jobs = [
        (role, config, arguments.heads, arguments.width)
        for role in arguments.roles.split(",")
        for config in candidates(role)
    ]
    with ProcessPoolExecutor(arguments.jobs, mp_context=get_context("spawn")) as pool:
        outcomes = list(pool.map(compile_only, jobs))
    torch.manual_seed(0)
    shape = (arguments.batch, arguments.time, arguments.heads, arguments.width)
    x = {name: torch.randn(shape, device="cuda", dtype=torch.bfloat16) for name in ("q", "k", "v", "do")}
    best: dict[str, list[tuple[float, ScanConfig]]] = {}
    reference: dict[str, torch.Tensor] = {}
    for (role, config, *_), outcome in zip(jobs, outcomes, strict=True):
        label = f"{role:13s} chunk {config.chunk:3d} block {config.block_value:3d} warps {config.warps} {config.stages}"
        if outcome:
            print(f"{label}  {outcome}")
            continue
        output = run_role(role, config, x).float()
        expected = reference.setdefault(role, output)
        error = float((output - expected).norm() / expected.norm())
        del output
        milliseconds = median_milliseconds(lambda r=role, c=config: run_role(r, c, x))  # type: ignore[misc]
        best.setdefault(role, []).append((milliseconds, config))
        print(f"{label}  {milliseconds:.3f} ms  differs {error:.1e}", flush=True)
    for role, found in best.items():
        for milliseconds, config in sorted(found, key=lambda item: item[0])[:4]:
            print(f"best {role:13s} {milliseconds:.3f} ms {config}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
