"""Every kernel against float64 on a GPU: bf16, fp16, fp32; random inputs; NaN in unwritten memory; 20 seeds.

    python -m benchmarks.gpu.check [--seeds 20] [--jobs 8]

The reference is the chunked PyTorch path in float64 (which the test suite holds to the token recurrence). Each gradient
is compared alone, dk too: that is where Triton's Hopper miscompile showed. Prints one line a case with the worst error
over the seeds; exit 1 if any is over its bound. Writes gpu_check.json under $OUT if that is set.
"""

import argparse
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as functional
import triton
from torch import Tensor

from autoclave.kernels.decode import lightning_attention_step, lightning_attention_step_gated
from autoclave.kernels.gated_attention import gated_lightning_attention
from autoclave.kernels.lightning_attention import lightning_attention, lightning_attention_chunk
from autoclave.kernels.lightning_attention.self_check import relative_errors
from autoclave.kernels.linear_cross_entropy import linear_cross_entropy
from autoclave.kernels.norm import EPSILON, add_simple_rms_norm, simple_rms_norm, simple_rms_norm_gate
from autoclave.kernels.sglu import gated_product

BOUNDS = {torch.bfloat16: 1.2e-2, torch.float16: 1.5e-3, torch.float32: 2e-5}
Errors = dict[str, float]


@dataclass(frozen=True)
class Shape:
    """One attention problem; its length is drawn anew for each seed."""

    key: int
    value: int
    lrpe: bool = False
    packed: bool = False
    state: bool = False
    longest: int = 700
    heads: int = 3


SHAPES = [
    Shape(64, 64),
    Shape(128, 128, state=True),
    Shape(128, 128, packed=True, state=True, longest=2500),
    Shape(128, 128, lrpe=True, state=True),
    Shape(128, 128, lrpe=True, packed=True, longest=1500),
    Shape(256, 128, packed=True),
    Shape(96, 80, state=True),
    Shape(16, 16, state=True, packed=True),
    Shape(32, 32, lrpe=True, state=True),
    Shape(33, 17, state=True),
    Shape(64, 64, lrpe=True, packed=True),
    Shape(128, 256),
    Shape(128, 128, longest=9000, heads=1),
]


def relative(ours: Tensor, exact: Tensor) -> float:
    """Norm of the difference over the norm; NaN stays NaN."""
    ours, exact = ours.detach().double(), exact.detach().double()
    return float((ours - exact).norm() / exact.norm().clamp_min(1e-12))


def poison() -> None:
    """From here on torch.empty gives NaN."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = True  # type: ignore[attr-defined]


def attention_inputs(shape: Shape, dtype: torch.dtype, seed: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors that take gradients, and the rest of the arguments."""
    generator = torch.Generator("cuda").manual_seed(seed)

    def normal(*sizes: int) -> Tensor:
        return torch.randn(sizes, generator=generator, device="cuda")

    length = int(torch.randint(1, shape.longest, (1,), generator=generator, device="cuda"))
    batch, sequences = (1, 5) if shape.packed else (2, 2)
    tensors = {name: normal(batch, length, shape.heads, shape.key).to(dtype) for name in "qk"}
    tensors["v"] = normal(batch, length, shape.heads, shape.value).to(dtype)
    rest: dict[str, Any] = {"scale": 0.6, "output_final_state": True}
    if shape.packed:
        cuts = torch.randint(0, length + 1, (4,), generator=generator, device="cuda").sort().values
        ends = torch.tensor([0, length], device="cuda")
        rest["cu_seqlens"] = torch.cat((ends[:1], cuts, ends[1:]))
    if shape.state:
        tensors["initial_state"] = normal(sequences, shape.heads, shape.key * (1 + shape.lrpe), shape.value)
    if shape.lrpe:
        tensors["lrpe_theta"] = torch.rand(shape.heads, shape.key, generator=generator, device="cuda")
        rest["position_offset"] = torch.arange(sequences, device="cuda") * 300
    return tensors, rest


def attention_results(
    function: Any, tensors: dict[str, Tensor], rest: dict[str, Any], decay: Tensor
) -> dict[str, Tensor]:
    """Output, final state and the gradient to every tensor, by name."""
    given = {name: x.detach().requires_grad_() for name, x in tensors.items()}
    output, final = function(
        given["q"], given["k"], given["v"], decay, **rest, **{name: x for name, x in given.items() if name not in "qkv"}
    )
    generator = torch.Generator("cuda").manual_seed(99)
    upstream = torch.randn(output.shape, generator=generator, device="cuda").to(output.dtype)
    d_final = torch.randn(final.shape, generator=generator, device="cuda").to(final.dtype)
    gradients = torch.autograd.grad((output, final), list(given.values()), (upstream, d_final))
    return {"o": output, "final": final} | {f"d{name}": g for name, g in zip(given, gradients, strict=True)}


def check_attention(shape: Shape, dtype: torch.dtype, seeds: int) -> Errors:
    """Worst relative error of each result over the seeds; lambda from 0.43 to 1 - 1e-8."""
    poison()
    decay = torch.tensor([-0.84, -1e-8, -0.02], device="cuda")[-shape.heads :]
    worst: Errors = {}
    for seed in range(seeds):
        tensors, rest = attention_inputs(shape, dtype, seed)
        # Theta stays float32: phases are float32 by definition, in the reference too.
        wide = {n: x if n == "lrpe_theta" else x.double() for n, x in tensors.items()}
        exact = attention_results(lightning_attention_chunk, wide, rest, decay)
        for name, ours in attention_results(lightning_attention, tensors, rest, decay).items():
            error = relative(ours, exact[name])
            if not error <= worst.get(name, 0.0):
                worst[name] = error
    return worst


def check_norms(dtype: torch.dtype, seeds: int) -> Errors:
    """All three norms, forward and backward, at an odd width."""
    poison()
    worst: Errors = {}

    def formula(x: Tensor) -> Tensor:
        return x * (x.square().mean(-1, keepdim=True) + EPSILON).rsqrt()

    pairs: dict[str, tuple[Any, Any]] = {
        "norm": (lambda a, b: simple_rms_norm(a) + 0 * b, lambda a, b: formula(a) + 0 * b),
        "add": (lambda a, b: sum(add_simple_rms_norm(a, b)), lambda a, b: formula(a + b) + a + b),
        "gate": (simple_rms_norm_gate, lambda a, b: formula(a) * b),
    }
    for seed in range(seeds):
        torch.manual_seed(seed)
        x, y, upstream = (torch.randn(37, 1000 + 24 * (seed % 2), device="cuda").to(dtype) for _ in range(3))
        for name, (ours, exact) in pairs.items():
            a, b = x.clone().requires_grad_(), y.clone().requires_grad_()
            wide = a.detach().double().requires_grad_(), b.detach().double().requires_grad_()
            found = ours(a, b)
            expected = exact(*wide)
            gradients = zip(
                torch.autograd.grad(found, (a, b), upstream),
                torch.autograd.grad(expected, wide, upstream.double()),
                strict=True,
            )
            for label, (p, q) in zip((name, f"d{name}", f"d{name}2"), ((found, expected), *gradients), strict=True):
                worst[label] = max(worst.get(label, 0.0), relative(p, q) if q.any() else 0.0)
    return worst


def check_gated(dtype: torch.dtype, seeds: int) -> Errors:
    """The mixer's core (SiLU, scan, norm, gate) and its joint gradient, and SGLU's product, against float64."""
    poison()
    worst: Errors = {}
    heads, width = 3, 128
    decay = torch.tensor([-0.84, -1e-8, -0.02], device="cuda")

    def exact_mixer(joint: Tensor, **options: Any) -> Tensor:
        query, key, value, gate = joint.chunk(4, -1)
        active = (x.view(*x.shape[:2], heads, width) for x in (functional.silu(query), functional.silu(key), value))
        out = lightning_attention_chunk(*active, decay, **options)[0].flatten(2)
        return gate * out * (out.square().mean(-1, keepdim=True) + EPSILON).rsqrt()

    for seed in range(seeds):
        torch.manual_seed(seed)
        length = int(torch.randint(1, 2500, (1,)))
        joint = torch.randn(1, length, 4 * heads * width, device="cuda").to(dtype).requires_grad_()
        wide = joint.detach().double().requires_grad_()
        theta = torch.rand(heads, width, device="cuda") if seed % 2 else None
        bounds = torch.tensor([0, length // 3, length], device="cuda")
        y, _ = gated_lightning_attention(joint, decay, lrpe_theta=theta, cu_seqlens=bounds)
        reference = exact_mixer(wide, lrpe_theta=theta, cu_seqlens=bounds)
        dy = torch.randn_like(y)
        found = {
            "y": (y, reference),
            "djoint": (torch.autograd.grad(y, joint, dy)[0], torch.autograd.grad(reference, wide, dy.double())[0]),
        }
        value, gate = (torch.randn(7, 1001, device="cuda").to(dtype).requires_grad_() for _ in range(2))
        upstream = torch.randn(7, 1001, device="cuda").to(dtype)
        d_value, d_gate = torch.autograd.grad(gated_product(value, gate), (value, gate), upstream)
        found |= {"dvalue": (d_value, upstream.double() * gate), "dgate": (d_gate, upstream.double() * value)}
        for name, (ours, right) in found.items():
            worst[name] = max(worst.get(name, 0.0), relative(ours, right))
    return worst


def check_cross_entropy(dtype: torch.dtype, seeds: int) -> Errors:
    """Loss and both gradients, against float64 on the same inputs."""
    poison()
    worst: Errors = {}
    for seed in range(min(seeds, 5)):
        torch.manual_seed(seed)
        hidden = torch.randn(2500, 256, device="cuda").to(dtype).requires_grad_()
        weight = (0.2 * torch.randn(5003, 256, device="cuda")).to(dtype).requires_grad_()
        targets = torch.randint(0, 5003, (2500,), device="cuda")
        targets[::9] = -100
        wide = [x.detach().double().requires_grad_() for x in (hidden, weight)]
        upstream = torch.rand(2500, device="cuda")
        rows = functional.cross_entropy(wide[0] @ wide[1].T, targets, reduction="none")
        for reduction, expected in (("none", rows), ("mean", rows.sum() / (targets >= 0).sum())):
            ours = linear_cross_entropy(hidden, weight, targets, reduction=reduction)  # type: ignore[arg-type]
            given = upstream if reduction == "none" else torch.ones((), device="cuda")
            d_ours = torch.autograd.grad(ours, (hidden, weight), given)
            d_expected = torch.autograd.grad(expected, wide, given.double(), retain_graph=True)
            found = {
                "nll": (ours, expected),
                "dhidden": (d_ours[0], d_expected[0]),
                "dweight": (d_ours[1], d_expected[1]),
            }
            for name, (p, q) in found.items():
                worst[f"{name}-{reduction}"] = max(worst.get(f"{name}-{reduction}", 0.0), relative(p, q))
    return worst


def check_decode(dtype: torch.dtype, seeds: int) -> Errors:
    """Steps under a captured CUDA graph, replayed, against the whole-sequence operator in float64."""
    worst: Errors = {}
    for seed, lrpe in ((s, s % 2 == 1) for s in range(min(seeds, 6))):
        torch.manual_seed(seed)
        batch, time_steps, heads, width = 3, 12, 4, 128
        q, k, v = (torch.randn(batch, time_steps, heads, width, device="cuda").to(dtype) for _ in range(3))
        u = torch.randn(batch, time_steps, heads * width, device="cuda").to(dtype)
        decay = -torch.rand(heads, device="cuda")
        theta = torch.rand(heads, width, device="cuda") if lrpe else None
        offset = torch.tensor([0, 9, 5000], device="cuda")
        exact, exact_state = lightning_attention_chunk(
            q.double(), k.double(), v.double(), decay, lrpe_theta=theta, position_offset=offset, output_final_state=True
        )
        flat = exact.flatten(2)
        exact_gated = flat * (flat.square().mean(-1, keepdim=True) + EPSILON).rsqrt() * u.double()
        state = torch.zeros(batch, heads, width * (1 + lrpe), width, device="cuda")
        positions = offset.clone()
        first_q, first_k, first_v, first_u = buffers = [x[:, 0].clone() for x in (q, k, v, u)]
        options: dict[str, Any] = {"lrpe_theta": theta, "positions": positions}
        lightning_attention_step(first_q, first_k, first_v, decay, state.clone(), **options)
        lightning_attention_step_gated(first_q, first_k, first_v, first_u, decay, state.clone(), **options)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            gated, _ = lightning_attention_step_gated(first_q, first_k, first_v, first_u, decay, state, **options)
            positions += 1
        outputs = []
        for t in range(time_steps):
            for buffer, x in zip(buffers, (q, k, v, u), strict=True):
                buffer.copy_(x[:, t])
            graph.replay()
            outputs.append(gated.clone())
        assert exact_state is not None
        found = {"gated": (torch.stack(outputs, 1), exact_gated), "state": (state, exact_state)}
        for name, (p, q_) in found.items():
            worst[name] = max(worst.get(name, 0.0), relative(p, q_))
    return worst


def check_invariants(dtype: torch.dtype, seeds: int) -> Errors:
    """0 where a promise holds to the bit: repeat, packing, capture in a CUDA graph; and offsets past 2^31 elements."""
    broken: Errors = {"repeat": 0.0, "packing": 0.0, "graph": 0.0, "int64": 0.0}
    for seed in range(min(seeds, 5)):
        shape = Shape(128, 128, packed=True, lrpe=seed % 2 == 1, longest=2500)
        tensors, rest = attention_inputs(shape, dtype, seed)
        decay = torch.tensor([-0.84, -1e-8, -0.02], device="cuda")
        first, second = (attention_results(lightning_attention, tensors, rest, decay) for _ in range(2))
        broken["repeat"] += sum(not torch.equal(first[n], second[n]) for n in first)
        q, k, v = (tensors[n] for n in "qkv")
        options: dict[str, Any] = {n: tensors[n] for n in tensors if n not in "qkv"} | rest
        bounds, offsets = options.pop("cu_seqlens").tolist(), options.pop("position_offset", None)
        for n in range(len(bounds) - 1):
            here = slice(bounds[n], bounds[n + 1])
            alone, state = lightning_attention(
                q[:, here],
                k[:, here],
                v[:, here],
                decay,
                cu_seqlens=torch.tensor([0, bounds[n + 1] - bounds[n]], device="cuda"),
                position_offset=None if offsets is None else offsets[n : n + 1],
                **options,
            )
            assert state is not None
            same = torch.equal(alone, first["o"][:, here]) and torch.equal(state[0], first["final"][n])
            broken["packing"] += not same
    broken["graph"] = float(not graph_follows_its_bounds(dtype))
    if dtype == torch.bfloat16:
        broken["int64"] = float(not long_pack_is_right())
    return broken


def graph_follows_its_bounds(dtype: torch.dtype) -> bool:
    """A captured packed call reads cu_seqlens anew at each replay."""
    q, k, v = (torch.randn(1, 900, 2, 64, device="cuda").to(dtype) for _ in range(3))
    decay = torch.tensor([-0.1, -0.01], device="cuda")
    bounds = torch.tensor([0, 100, 900], device="cuda")
    lightning_attention(q, k, v, decay, cu_seqlens=bounds)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output, _ = lightning_attention(q, k, v, decay, cu_seqlens=bounds)
    bounds.copy_(torch.tensor([0, 555, 900], device="cuda"))
    graph.replay()
    expected, _ = lightning_attention(q, k, v, decay, cu_seqlens=torch.tensor([0, 555, 900], device="cuda"))
    return torch.equal(output, expected)


def long_pack_is_right() -> bool:
    """More than 2^31 elements a tensor: the last document of the pack equals itself alone."""
    length, heads = 540_000, 32
    q = torch.randn(1, length, heads, 128, device="cuda", dtype=torch.bfloat16)
    decay = -torch.rand(heads, device="cuda")
    cut = length - 1000
    with torch.no_grad():
        output, _ = lightning_attention(q, q, q, decay, cu_seqlens=torch.tensor([0, cut, length], device="cuda"))
        tail = q[:, cut:]
        alone, _ = lightning_attention(tail, tail, tail, decay, cu_seqlens=torch.tensor([0, 1000], device="cuda"))
    return torch.equal(output[:, cut:], alone)


def run_case(case: tuple[str, torch.dtype, int | None], seeds: int) -> tuple[str, torch.dtype, Errors, float]:
    """One case in its own process; the kernels' caches stay warm inside it."""
    kind, dtype, index = case
    started = time.time()
    if kind == "attention":
        assert index is not None
        shape = SHAPES[index]
        errors = check_attention(shape, dtype, seeds)
        flags = [n for n in ("lrpe", "packed", "state") if getattr(shape, n)]
        kind = f"attention {shape.key}x{shape.value} T<{shape.longest} {' '.join(flags)}"
    elif kind == "self-check":
        errors = relative_errors(torch.device("cuda", 0), dtype)
    else:
        checks = {
            "norms": check_norms,
            "cross-entropy": check_cross_entropy,
            "gated": check_gated,
            "decode": check_decode,
            "invariants": check_invariants,
        }
        errors = checks[kind](dtype, seeds)
    return kind, dtype, errors, time.time() - started


def main() -> int:
    """Run all cases, print the worst error of each, and the verdict last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--match", default="", help="only cases whose name holds this")
    parser.add_argument("--jobs", type=int, default=8, help="processes that share the GPU (compilation dominates)")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("error: this check needs a CUDA device", file=sys.stderr)
        return 2
    cases: list[tuple[str, torch.dtype, int | None]] = []
    for dtype in (torch.bfloat16, torch.float32, torch.float16):
        cases += [("attention", dtype, index) for index in reversed(range(len(SHAPES)))]
        cases += [
            (kind, dtype, None) for kind in ("invariants", "decode", "norms", "gated", "cross-entropy", "self-check")
        ]
    cases = [case for case in cases if arguments.match in f"{case[0]} {case[1]} {case[2]}"]
    failed, record = 0, []
    print(f"{torch.cuda.get_device_name()}  torch {torch.__version__}  triton {triton.__version__}")
    with ProcessPoolExecutor(arguments.jobs, mp_context=get_context("spawn")) as pool:
        for kind, dtype, errors, seconds in pool.map(run_case, cases, [arguments.seeds] * len(cases)):
            bound = 0.0 if kind == "invariants" else BOUNDS[dtype]
            # The gradient to theta weighs each token by its position: its terms cancel, and rounding does not.
            bounds = {name: 3 * bound if name == "dlrpe_theta" else bound for name in errors}
            wrong = [name for name, error in errors.items() if not error <= bounds[name]]
            failed += bool(wrong)
            shown = " ".join(f"{name}={error:.1e}" for name, error in errors.items())
            verdict = f"WRONG: {', '.join(wrong)}" if wrong else "ok"
            print(f"{str(dtype)[6:]:9s} {kind:44s} {seconds:5.1f}s {shown}  {verdict}", flush=True)
            record.append({"case": kind, "dtype": str(dtype), "errors": errors, "ok": not wrong})
    if folder := os.environ.get("OUT"):
        Path(folder, "gpu_check.json").write_text(json.dumps(record, indent=1))
    print(f"{len(record) - failed} of {len(record)} cases right")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
