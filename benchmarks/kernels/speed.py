"""Kernel speed and memory beside flash-linear-attention, FlashAttention (PyTorch SDPA) and this card's roofline.

    python -m benchmarks.kernels.speed [--lengths 512 ... 131072] [--only attention,parts,roofline] [--seconds 200]

On a GPU: forward and backward in milliseconds and peak memory, bfloat16, at b4 h32 d128, b1 h16 d128 and the LRPE layer
(K = 256), then norms, cross-entropy and the decoding step. `graph` columns are replays of a captured CUDA graph,
without Python's launch time. Without a GPU: the chunked path against the quadratic form and SDPA on the CPU, float32.
Tables last; kernels.json, kernels.csv and kernels.png (with matplotlib) under $OUT if that is set.
"""

import argparse
import csv
import importlib.util
import json
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor

from autoclave.kernels.decode import lightning_attention_step_gated
from autoclave.kernels.lightning_attention import lightning_attention
from autoclave.kernels.lightning_attention.naive import lrpe_expand
from autoclave.kernels.linear_cross_entropy import linear_cross_entropy
from autoclave.kernels.norm import add_simple_rms_norm, simple_rms_norm_gate

ON_GPU = torch.cuda.is_available()
DEVICE = "cuda" if ON_GPU else "cpu"
DTYPE = torch.bfloat16 if ON_GPU else torch.float32
Row = dict[str, Any]
Shape = tuple[str, int, int, int, bool]  # label, batch, heads, width, LRPE
DEADLINE = [float("inf")]


def synchronise() -> None:
    """Wait for the device, if there is one."""
    if ON_GPU:
        torch.cuda.synchronize()


def milliseconds(function: Callable[[], Any], budget: float = 0.25) -> float:
    """Median time of a call: device events on a GPU, else the wall clock; 3 to 50 calls in `budget` seconds."""
    function()
    synchronise()
    started = time.perf_counter()
    function()
    synchronise()
    repeats = max(3, min(50, int(budget / max(time.perf_counter() - started, 1e-6))))
    times = []
    for _ in range(repeats):
        if ON_GPU:
            start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            function()
            stop.record()
            stop.synchronize()
            times.append(start.elapsed_time(stop))
        else:
            started = time.perf_counter()
            function()
            times.append(1e3 * (time.perf_counter() - started))
    return statistics.median(times)


def graph_milliseconds(function: Callable[[], Any]) -> float | None:
    """The same through a CUDA graph of ten calls: the device's own time."""
    if not ON_GPU:
        return None
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        function()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(10):
            function()
    return milliseconds(graph.replay) / 10


def compile_share_of_fla(part: int, parts: int) -> None:
    """Compile every `parts`-th configuration of each of fla's kernels into Triton's cache, by running it."""
    from fla.ops.common import chunk_h, chunk_o
    from fla.ops.simple_gla import chunk_simple_gla

    for module in (chunk_h, chunk_o):
        for name in dir(module):
            tuner = getattr(module, name)
            while not hasattr(tuner, "configs") and hasattr(tuner, "fn"):
                tuner = tuner.fn
            if hasattr(tuner, "configs"):
                tuner.configs = tuner.configs[part::parts] or tuner.configs[:1]
    for batch, heads in ((4, 32), (1, 16)):
        q, k, v, upstream = inputs(batch, 512, heads, 128)
        output = chunk_simple_gla(q, k, v, g_gamma=-torch.rand(heads, device=DEVICE), scale=1.0)[0]
        torch.autograd.grad(output, (q, k, v), upstream)


def warm_fla(jobs: int) -> None:
    """Compile all that fla's tuner will try, in parallel: one after the other it takes longer than the rest here."""
    started = time.time()
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=compile_share_of_fla, args=(part, jobs)) for part in range(jobs)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print(f"compiled fla's configurations in {time.time() - started:.0f} s", file=sys.stderr, flush=True)


def inputs(batch: int, length: int, heads: int, width: int) -> list[Tensor]:
    """q, k, v and an upstream gradient [B, T, H, D]."""
    torch.manual_seed(length)
    tensors = [torch.randn(batch, length, heads, width, device=DEVICE, dtype=DTYPE) for _ in range(4)]
    return [x.requires_grad_() for x in tensors[:3]] + tensors[3:]


def contenders(width: int, heads: int, theta: Tensor | None) -> dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]]:
    """Name -> function of q, k, v."""
    decay = -torch.rand(heads, device=DEVICE)

    def expand(x: Tensor) -> Tensor:
        assert theta is not None
        flat = lrpe_expand(x.flatten(0, 1), theta, torch.arange(x.shape[1], device=DEVICE).repeat(x.shape[0]))
        return flat.view(*x.shape[:3], -1).to(x.dtype)

    found: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
        "ours": lambda q, k, v: lightning_attention(q, k, v, decay, lrpe_theta=theta)[0]
    }
    if ON_GPU and importlib.util.find_spec("fla"):
        from fla.ops.simple_gla import chunk_simple_gla

        def fla(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            q, k = (q, k) if theta is None else (expand(q), expand(k))
            output: Tensor = chunk_simple_gla(q, k, v, g_gamma=decay, scale=1.0)[0]
            return output

        found["fla"] = fla

    def flash(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        backend = torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.FLASH_ATTENTION)
        with backend if ON_GPU else nullcontext():
            return functional.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)

    if theta is None:
        found["sdpa"] = flash
    if not ON_GPU:

        def quadratic(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            index = torch.arange(q.shape[1])
            mask = torch.tril((decay[:, None, None] * (index[:, None] - index).clamp_min(0)).exp())
            return torch.einsum("bhts,bshv->bthv", torch.einsum("bthk,bshk->bhts", q, k) * mask, v)

        found["quadratic"] = quadratic
    return found


def floor_milliseconds(batch: int, length: int, heads: int, width: int, bandwidth: float) -> tuple[float, float]:
    """Least time of forward and backward by bytes: each tensor read or written once (spec section 8)."""
    one = 2.0 * batch * length * heads * width
    return 4 * one / bandwidth * 1e3, 7 * one / bandwidth * 1e3


def backward_operator(tensors: list[Tensor], theta: Tensor | None) -> None:
    """The backward pass alone, without autograd: what a captured training step replays."""
    q, k, v, upstream = (x.detach() for x in tensors)
    decay = -torch.ones(q.shape[2], device=DEVICE)
    operator: Any = torch.ops.autoclave.lightning_attention_backward
    operator(upstream, None, q, k, v, decay, theta, None, None, None, 1.0, 0)


def attention_row(name: str, function: Any, tensors: list[Tensor], small: bool, theta: Tensor | None) -> Row:
    """Forward, backward, graph times and peak memory of one contender."""
    q, k, v, upstream = tensors
    row: Row = {"contender": name}
    with torch.no_grad():
        row["forward_ms"] = milliseconds(lambda: function(q, k, v))
        if small:
            row["graph_forward_ms"] = graph_milliseconds(lambda: function(q, k, v))
    output = function(q, k, v)
    synchronise()
    row["backward_ms"] = milliseconds(lambda: torch.autograd.grad(output, (q, k, v), upstream, retain_graph=True))
    if small and name == "ours" and ON_GPU:
        row["graph_backward_ms"] = graph_milliseconds(lambda: backward_operator(tensors, theta))
    if ON_GPU:
        del output
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        torch.autograd.grad(function(q, k, v), (q, k, v), upstream)
        row["step_mb"] = (torch.cuda.max_memory_allocated() - before) / 1e6
    return row


def attention_table(shapes: list[Shape], lengths: list[int], bandwidth: float) -> list[Row]:
    """All contenders at all shapes and lengths that fit in memory and in the time that is left.

    One contender after the other: fla tunes itself for minutes at its first call, which must not cost the others their
    turn.
    """
    rows: list[Row] = []
    for contender in ("ours", "sdpa", "quadratic", "fla"):
        for label, batch, heads, width, lrpe in shapes:
            theta = torch.rand(heads, width, device=DEVICE) if lrpe else None
            function = contenders(width, heads, theta).get(contender)
            for length in lengths:
                elements = batch * length * heads * width
                square = batch * heads * float(length) ** 2
                too_slow = square > {"sdpa": 4e12 if ON_GPU else 3e9, "quadratic": 1e8}.get(contender, float("inf"))
                if function is None or too_slow or elements * 2 * 14 > 70e9 or time.time() > DEADLINE[0]:
                    continue
                tensors = inputs(batch, length, heads, width)
                forward_floor, backward_floor = floor_milliseconds(batch, length, heads, width, bandwidth)
                row = {"shape": label, "length": length}
                row |= attention_row(contender, function, tensors, elements < 2e8, theta)
                row |= {"floor_forward_ms": forward_floor, "floor_backward_ms": backward_floor}
                rows.append(row)
                shown = " ".join(f"{k}={x:.3f}" if isinstance(x, float) else str(x) for k, x in row.items())
                print(shown, file=sys.stderr, flush=True)
                del tensors
                if ON_GPU:
                    torch.cuda.empty_cache()
    return rows


def roofline() -> tuple[float, float]:
    """Bytes/s of a large copy (read + written) and FLOP/s of a large matrix product in DTYPE, measured here."""
    size = 2**30 if ON_GPU else 2**26
    source = torch.empty(size, dtype=torch.uint8, device=DEVICE).random_()
    target = torch.empty_like(source)
    bandwidth = 2e3 * size / milliseconds(lambda: target.copy_(source))
    n = 8192 if ON_GPU else 1024
    a, b = (torch.randn(n, n, device=DEVICE, dtype=DTYPE) for _ in range(2))
    return bandwidth, 2e3 * n**3 / milliseconds(lambda: a @ b)


def part_rows(bandwidth: float) -> list[Row]:
    """Norms, cross-entropy and decoding at the 385M model's sizes (smaller on a CPU)."""
    tokens, width, vocabulary = (16_384, 1024, 64_000) if ON_GPU else (512, 256, 8000)
    x, y = (torch.randn(tokens, width, device=DEVICE, dtype=DTYPE) for _ in range(2))
    weight = 0.02 * torch.randn(vocabulary, width, device=DEVICE, dtype=DTYPE)
    targets = torch.randint(0, vocabulary, (tokens,), device=DEVICE)
    rows: list[Row] = []

    def add(name: str, function: Callable[[], Any], floor_bytes: float, graph: bool = True) -> None:
        row: Row = {"part": name, "ms": milliseconds(function), "floor_ms": floor_bytes / bandwidth * 1e3}
        row["graph_ms"] = graph_milliseconds(function) if graph else None
        rows.append(row)

    one = float(x.numel() * x.element_size())
    with torch.no_grad():
        add("add + norm", lambda: add_simple_rms_norm(x, y), 4 * one)
        add("norm + gate", lambda: simple_rms_norm_gate(x, y), 3 * one)
        add("NLL per token", lambda: linear_cross_entropy(x, weight, targets, reduction="none"), one, graph=False)

    def train_step() -> None:
        h, w = x.detach().requires_grad_(), weight.detach().requires_grad_()
        linear_cross_entropy(h, w, targets).backward()

    add("cross-entropy fwd+bwd", train_step, one, graph=False)
    sizes = [(1, 8, False), (1, 64, False), (16, 64, False), (1, 8, True)]
    for batch, heads, lrpe in sizes if ON_GPU else sizes[:1]:
        q, k, v = (torch.randn(batch, heads, 128, device=DEVICE, dtype=DTYPE) for _ in range(3))
        u = torch.randn(batch, heads * 128, device=DEVICE, dtype=DTYPE)
        decay = -torch.rand(heads, device=DEVICE)
        state = torch.zeros(batch, heads, 256 if lrpe else 128, 128, device=DEVICE)
        options: dict[str, Any] = {}
        if lrpe:
            positions = torch.zeros(batch, dtype=torch.int64, device=DEVICE)
            options = {"lrpe_theta": torch.rand(heads, 128, device=DEVICE), "positions": positions}

        def step(q=q, k=k, v=v, u=u, decay=decay, state=state, options=options) -> None:  # type: ignore[no-untyped-def]
            lightning_attention_step_gated(q, k, v, u, decay, state, **options)

        with torch.no_grad():
            add(f"decode step b{batch} h{heads}{' lrpe' if lrpe else ''}", step, 2.0 * state.numel() * 4)
    return rows


def show(rows: list[Row]) -> None:
    """A plain table of the union of the rows' keys."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[f"{x:.3f}" if isinstance(x := row.get(key), float) else str(x or "") for key in keys] for row in rows]
    widths = [max(len(key), *(len(line[i]) for line in cells)) for i, key in enumerate(keys)]
    for line in [keys, *cells]:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))


def plot(rows: list[Row], path: Path) -> None:
    """Forward + backward time against length, one panel a shape."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    labels = list(dict.fromkeys(row["shape"] for row in rows))
    figure, axes = plt.subplots(1, len(labels), figsize=(5 * len(labels), 4), squeeze=False)
    for axis, label in zip(axes[0], labels, strict=True):
        for name in dict.fromkeys(row["contender"] for row in rows if row["shape"] == label):
            chosen = [row for row in rows if row["shape"] == label and row["contender"] == name]
            times = [row["forward_ms"] + row["backward_ms"] for row in chosen]
            axis.loglog([row["length"] for row in chosen], times, marker="o", label=name)
        axis.set(title=label, xlabel="tokens", ylabel="forward + backward, ms")
        axis.legend()
    figure.tight_layout()
    figure.savefig(path)


def save(results: dict[str, Any], folder: Path) -> None:
    """JSON with everything, CSV and plot of the attention table."""
    (folder / "kernels.json").write_text(json.dumps(results, indent=1))
    rows = results.get("attention") or []
    if rows:
        keys = list(dict.fromkeys(key for row in rows for key in row))
        with (folder / "kernels.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, keys)
            writer.writeheader()
            writer.writerows(rows)
        if importlib.util.find_spec("matplotlib"):
            plot(rows, folder / "kernels.png")


def main() -> int:
    """Measure what was asked for, print tables last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = (
        [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072] if ON_GPU else [256, 512, 1024, 2048, 4096, 8192]
    )
    parser.add_argument("--lengths", type=int, nargs="+", default=default)
    parser.add_argument("--only", default="roofline,attention,parts")
    parser.add_argument("--fla-jobs", type=int, default=12, help="processes that compile fla's configurations")
    parser.add_argument("--seconds", type=float, default=200.0, help="start no new length after this")
    arguments = parser.parse_args()
    if ON_GPU and "attention" in arguments.only and importlib.util.find_spec("fla"):
        warm_fla(arguments.fla_jobs)
    DEADLINE[0] = time.time() + arguments.seconds
    wanted = arguments.only.split(",")
    name = torch.cuda.get_device_name() if ON_GPU else f"CPU, {torch.get_num_threads()} threads"
    results: dict[str, Any] = {"device": name, "torch": torch.__version__, "dtype": str(DTYPE)}
    bandwidth, matmul_rate = roofline()
    results |= {"copy_bytes_per_second": bandwidth, "matmul_flop_per_second": matmul_rate}
    if "parts" in wanted:
        results["parts"] = part_rows(bandwidth)
        show(results["parts"])
    if "attention" in wanted:
        shapes = [("b1 h4 d64", 1, 4, 64, False)]
        if ON_GPU:
            shapes = [("b4 h32 d128", 4, 32, 128, False), ("b1 h16 d128", 1, 16, 128, False)]
            shapes.append(("b4 h32 LRPE K256", 4, 32, 128, True))
        results["attention"] = attention_table(shapes, arguments.lengths, bandwidth)
    if folder := os.environ.get("OUT"):
        save(results, Path(folder))
    print(f"{name}, torch {torch.__version__}, {DTYPE}")
    print(f"copy {bandwidth / 1e9:.1f} GB/s, matrix product {matmul_rate / 1e9:.0f} GFLOP/s")
    for part in ("attention", "parts"):
        if results.get(part):
            print()
            show(results[part])
    return 0


if __name__ == "__main__":
    sys.exit(main())
