"""Compile every shipped kernel for GPUs that are not here, and read what the compiler says. No driver is needed.

    python -m benchmarks.kernels.ahead_of_time [--arch 90] [--match NAME] [--write-budget]

Prints registers, spill bytes, shared memory and tensor-core instructions, and fails (exit 1) where a kernel is over
`kernel_budget.json` beside this file. `--write-budget` rewrites that file from what was measured. Run it without
TRITON_INTERPRET.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from autoclave.kernels.decode.triton_step import BLOCK_VALUE, step_kernel
from autoclave.kernels.decode.triton_step import WARPS as STEP_WARPS
from autoclave.kernels.gated_attention import triton_gated
from autoclave.kernels.lightning_attention.triton_config import Lrpe, Profile, block_width, scan_config
from autoclave.kernels.lightning_attention.triton_decayed_sum import BLOCK as SUM_BLOCK
from autoclave.kernels.lightning_attention.triton_decayed_sum import ROWS, decayed_sum_kernel
from autoclave.kernels.lightning_attention.triton_launch import PREFIX_BLOCK
from autoclave.kernels.lightning_attention.triton_scan import prefix_kernel, scan_kernel
from autoclave.kernels.lightning_attention.triton_wide import wide_scan_kernel
from autoclave.kernels.linear_cross_entropy.triton_rows import (
    BLOCK,
    WARPS,
    row_gradients_kernel,
    row_statistics_kernel,
    rows_in_place_kernel,
)
from autoclave.kernels.norm.triton_norm import norm_backward_kernel, norm_forward_kernel
from autoclave.kernels.sglu import triton_product

BUDGET_FILE = Path(__file__).with_name("kernel_budget.json")
PROFILES: dict[int, Profile] = {80: "consumer", 86: "consumer", 90: "hopper", 100: "blackwell"}
HEADS = 16  # token strides are compile-time constants
TYPE_NAMES = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}
TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"


@dataclass(frozen=True)
class Variant:
    """One kernel as it would be launched: signature, constants, options."""

    name: str
    function: Any
    types: dict[str, str]
    constants: dict[str, Any]
    warps: int
    stages: int


@dataclass(frozen=True)
class Resources:
    """What one compiled kernel uses."""

    registers: int
    spill_bytes: int
    shared_bytes: int
    wgmma: int
    mma: int
    tf32: int


def scan_variant(
    role: str,
    dtype: torch.dtype,
    inner: int,
    value: int,
    lrpe: Lrpe,
    arch: int,
    *,
    states_only: bool = False,
    handed_on: bool = False,
) -> Variant:
    """The scan kernel in one role, with the configuration that `scan_config` ships for this architecture.

    states_only: the first pass, over segments; handed_on: and the last segment's state goes to the next process.
    """
    config = scan_config(dtype, inner, value, lrpe, PROFILES[arch])
    element = TYPE_NAMES[dtype]
    types = dict.fromkeys(("a_ptr", "b_ptr", "c_ptr", "o_ptr", "x_ptr"), f"*{element}")
    types |= dict.fromkeys(("d_theta_ptr", "state_ptr", "segment_state_ptr", "final_ptr", "decay_ptr"), "*fp32")
    types |= {"theta_ptr": "*fp32", "offset_ptr": "*i64", "table_ptr": "*i32", "scale": "fp32"}
    constants: dict[str, Any] = {
        "A_TOKEN": HEADS * inner,
        "B_TOKEN": HEADS * inner,
        "C_TOKEN": HEADS * value,
        "O_TOKEN": HEADS * value,
        "INNER": inner,
        "VALUE": value,
        "BLOCK_INNER": min(block_width(inner), 128) if config.wide else block_width(inner),
        "BLOCK_VALUE": config.block_value,
        "CHUNK": config.chunk,
        "REVERSE": role in ("dk", "dv"),
        "PACKED": True,
        "HAS_STATE": True,
        "SPLIT": True,
        "WRITE_OUTPUT": not states_only,
        "WRITE_FINAL": role in ("forward", "dv") and not states_only,
        "EVERY_SEGMENT": handed_on,
        "PRECISION": config.precision,
        "SCALED": False,
    }
    if config.wide:
        constants |= {"X_TOKEN": HEADS * value, "LRPE": lrpe, "FAST_PHASES": dtype != torch.float32}
        constants |= {} if lrpe else {"theta_ptr": None, "offset_ptr": None}
        constants |= {} if lrpe == 2 else {"d_theta_ptr": None}
    else:
        constants |= {"KEEP_MASK": config.keep_mask, "STATE_FIRST": config.state_first}
    suffix = {0: "", 1: "-lrpe", 2: "-lrpe"}[lrpe] + ("-states" if states_only else "")
    suffix += "-handed-on" if handed_on else ""
    name = f"scan-{role}-{element}-{inner}x{value}{suffix}"
    kernel = wide_scan_kernel if config.wide else scan_kernel
    return Variant(name, kernel, types, constants, config.warps, config.stages)


def scan_variants(arch: int) -> list[Variant]:
    """Every role at the model's widths in bfloat16; float16 and float32 where they may differ."""
    bf16, fp16, fp32 = torch.bfloat16, torch.float16, torch.float32
    variants = [scan_variant(role, bf16, 128, 128, 0, arch) for role in ("forward", "dq", "dk", "dv")]
    variants += [scan_variant(role, bf16, 64, 64, 0, arch) for role in ("forward", "dk")]
    variants.append(scan_variant("forward", bf16, 256, 128, 0, arch))
    variants.append(scan_variant("dk", bf16, 128, 256, 0, arch))
    for dtype in (bf16, fp32):
        variants += [scan_variant(role, dtype, 128, 128, 1, arch) for role in ("forward", "dv")]
        variants += [scan_variant(role, dtype, 128, 128, 2, arch) for role in ("dq", "dk")]
    for lrpe in (0, 1):
        for handed_on in (False, True):
            options = {"states_only": True, "handed_on": handed_on}
            variants.append(scan_variant("forward", bf16, 128, 128, lrpe, arch, **options))
    for dtype in (fp16, fp32):
        variants += [scan_variant(role, dtype, 128, 128, 0, arch) for role in ("forward", "dk")]
    return variants


def small_variants() -> list[Variant]:
    """The kernels that are bound by memory alone, at the 385M model's sizes."""
    states = dict.fromkeys(("segment_state_ptr", "state_ptr", "decay_ptr"), "*fp32")
    prefix = states | dict.fromkeys(("table_ptr", "first_ptr"), "*i32")
    sums = dict.fromkeys(("states_ptr", "decay_ptr", "sum_ptr"), "*fp32") | {"distances_ptr": "*i64"}
    flags: dict[str, Any] = {"BLOCK": PREFIX_BLOCK, "REVERSE": True, "PACKED": True, "HAS_STATE": True}
    rows = dict.fromkeys(("x_ptr", "residual_ptr", "gate_ptr", "y_ptr", "total_ptr"), "*bf16") | {"eps": "fp32"}
    rows |= dict.fromkeys(("dy_ptr", "d_total_ptr", "dx_ptr", "d_gate_ptr"), "*bf16")
    losses = dict.fromkeys(("logits_ptr", "log_sum_ptr", "target_logit_ptr", "coefficients_ptr"), "*fp32")
    losses |= {"targets_ptr": "*i64", "gradients_ptr": "*bf16", "z_loss": "fp32"}
    in_place = losses | {"logits_ptr": "*bf16"}
    silu = dict.fromkeys(("x_ptr", "y_ptr", "gradient_ptr"), "*bf16")
    product = dict.fromkeys(("dy_ptr", "value_ptr", "gate_ptr", "d_value_ptr", "d_gate_ptr"), "*bf16")
    step = dict.fromkeys(("q_ptr", "k_ptr", "v_ptr"), "*bf16") | {"positions_ptr": "*i64", "scale": "fp32"}
    step |= dict.fromkeys(("o_ptr", "state_ptr", "decay_ptr", "theta_ptr"), "*fp32")
    sizes: dict[str, Any] = {"KEY": 128, "VALUE": 128, "BLOCK_KEY": 128, "BLOCK_VALUE": BLOCK_VALUE, "LRPE": True}
    return [
        Variant("prefix", prefix_kernel, prefix, flags, 4, 3),
        Variant("decayed-sum", decayed_sum_kernel, sums, {"ROWS": ROWS, "BLOCK": SUM_BLOCK}, 4, 3),
        Variant("norm-forward", norm_forward_kernel, rows, {"BLOCK": 1024}, 2, 3),
        Variant("norm-backward", norm_backward_kernel, rows, {"BLOCK": 1024}, 2, 3),
        Variant("row-statistics", row_statistics_kernel, losses, {"BLOCK": BLOCK}, WARPS, 3),
        Variant("row-gradients", row_gradients_kernel, losses, {"BLOCK": BLOCK}, WARPS, 3),
        Variant("rows-in-place", rows_in_place_kernel, in_place, {"BLOCK": BLOCK}, WARPS, 3),
        Variant("silu", triton_gated.silu_kernel, silu, {"BLOCK": triton_gated.BLOCK}, triton_gated.WARPS, 3),
        Variant(
            "silu-backward",
            triton_gated.silu_backward_kernel,
            silu,
            {"BLOCK": triton_gated.BLOCK},
            triton_gated.WARPS,
            3,
        ),
        Variant(
            "product-backward",
            triton_product.product_backward_kernel,
            product,
            {"BLOCK": triton_product.BLOCK},
            triton_product.WARPS,
            3,
        ),
        Variant("decode-step-lrpe", step_kernel, step, sizes, STEP_WARPS, 3),
    ]


def all_variants(arch: int) -> list[Variant]:
    """What ships for one architecture."""
    return [*scan_variants(arch), *small_variants()]


def compile_variant(variant: Variant, arch: int) -> Any:
    """The compiled kernel, with the alignment that the launcher would find: pointers and strides divisible by 16."""
    names = variant.function.arg_names
    signature, aligned = {}, {}
    unaligned = {"time", "segment_size", "segments_per_sequence", "heads", "scale", "table_ptr", "offset_ptr"}
    for index, name in enumerate(names):
        if name in variant.constants:
            signature[name] = "constexpr"
            continue
        signature[name] = variant.types.get(name, "i32")
        if name not in unaligned and signature[name] != "fp32":
            aligned[(index,)] = [["tt.divisibility", 16]]
    source = ASTSource(fn=variant.function, signature=signature, constexprs=variant.constants, attrs=aligned)
    options = {"num_warps": variant.warps, "num_stages": variant.stages}
    return triton.compile(source, target=GPUTarget("cuda", arch, 32), options=options)


def read_resources(kernel: Any) -> Resources:
    """Registers and stack from cuobjdump, shared memory from the metadata, instruction counts from the PTX."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as cubin:
        cubin.write(kernel.asm["cubin"])
        cubin.flush()
        usage = subprocess.run(
            [str(TOOLS / "cuobjdump"), "--dump-resource-usage", cubin.name], capture_output=True, text=True, check=True
        ).stdout
    registers, stack, local = (int(re.findall(rf"{key}:(\d+)", usage)[-1]) for key in ("REG", "STACK", "LOCAL"))
    ptx = kernel.asm["ptx"]
    return Resources(
        registers=registers,
        spill_bytes=stack + local,
        shared_bytes=kernel.metadata.shared,
        wgmma=ptx.count("wgmma.mma_async"),
        mma=ptx.count("mma.sync") + ptx.count("tcgen05.mma"),
        tf32=ptx.count(".tf32"),
    )


def over_budget(measured: Resources, allowed: dict[str, int]) -> list[str]:
    """What is worse than the budget: more of a resource, or fewer tensor-core instructions."""
    problems = []
    for key in ("registers", "spill_bytes", "shared_bytes", "tf32"):
        if getattr(measured, key) > allowed[key]:
            problems.append(f"{key} {getattr(measured, key)} > {allowed[key]}")
    for key in ("wgmma", "mma"):
        if (getattr(measured, key) == 0) and allowed[key] > 0:
            problems.append(f"no {key} instructions")
    return problems


def main() -> int:
    """Compile, print, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", type=int, action="append", choices=sorted(PROFILES), help="default: 80, 86, 90, 100")
    parser.add_argument("--match", default="", help="only kernels whose name holds this")
    parser.add_argument("--write-budget", action="store_true")
    arguments = parser.parse_args()
    budget = json.loads(BUDGET_FILE.read_text()) if BUDGET_FILE.exists() else {}
    failures, missing = 0, 0
    print(f"triton {triton.__version__}")
    titles = ("sm", "warps", "regs", "spill", "shared", "wgmma", "mma", "tf32")
    print(f"{'kernel':44s}" + "".join(f"{title:>8s}" for title in titles))
    for arch in arguments.arch or sorted(PROFILES):
        for variant in all_variants(arch):
            if arguments.match not in variant.name:
                continue
            used = read_resources(compile_variant(variant, arch))
            key = f"{variant.name}@sm_{arch}"
            problems = over_budget(used, budget[key]) if key in budget else []
            missing += key not in budget
            if arguments.write_budget:
                budget[key] = asdict(used)
                problems = []
            failures += bool(problems)
            print(
                f"{variant.name:44s}"
                + "".join(f"{n:8d}" for n in (arch, variant.warps, *asdict(used).values()))
                + f"  {'; '.join(problems)}",
                flush=True,
            )
    if arguments.write_budget:
        BUDGET_FILE.write_text(json.dumps(dict(sorted(budget.items())), indent=1) + "\n")
    elif missing:
        print(f"{missing} kernels have no budget: run with --write-budget", file=sys.stderr)
    return 1 if failures or (missing and not arguments.write_budget) else 0


if __name__ == "__main__":
    sys.exit(main())
