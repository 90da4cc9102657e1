"""Model sizes planned, not guessed: memory a GPU by part, FLOPs, tokens a second and days, each with its formula."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from autoclave.errors import RecipeError
from autoclave.model.config import ModelConfig
from autoclave.model.parallel.parallelize import keeps_gathered, recomputes
from autoclave.model.training.metrics import PEAK_BFLOAT16

ActivationCheckpointing = Literal["none", "selective", "full"]

GIB = 2**30
# Memory that a program can use, in GiB, as the driver reports it; peaks are in training/metrics.py.
GPUS = {"h100": ("H100", 79.2), "h200": ("H200", 139.8), "a100": ("A100", 79.2), "b200": ("B200", 178.4)}
# CUDA context, cuBLAS workspaces and the allocator's fragments: measured allowances, not a formula.
OVERHEAD_GIB = 2.0
# Rows of logits that the fused head has in memory at once (kernels/linear_cross_entropy).
HEAD_ROWS = 2048


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the memory table: its name, bytes on each GPU, and how they were counted."""

    name: str
    bytes: float
    formula: str


class TrainingPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What training a model takes.

    flops_per_token: the model's, forward and backward; recomputed_flops_per_token: of activation checkpointing, beside
    mfu: the assumed model FLOPs utilisation where nothing is recomputed; expected_mfu: what is left of it when
        recomputation takes its share of the time, since MFU does not count recomputed FLOPs
    """

    gpu: str
    gpus: int
    tensor_parallel: int
    tokens_per_gpu: int
    activation_checkpointing: str
    parameters: int
    parts: list[Part]
    gpu_bytes: float
    flops_per_token: float
    recomputed_flops_per_token: float
    mfu: float
    expected_mfu: float
    tokens_per_second: float
    total_tokens: float
    days: float

    @property
    def bytes_per_gpu(self) -> float:
        """All parts together."""
        return sum(part.bytes for part in self.parts)

    @property
    def fits(self) -> bool:
        """Whether the parts fit the GPU's memory."""
        return self.bytes_per_gpu <= self.gpu_bytes

    def text(self) -> str:
        """The plan as a table for the terminal."""
        lines = [f"{self.parameters / 1e6:,.1f} M parameters on {self.gpus} x {self.gpu}"]
        lines += [f"  {part.name:<24} {part.bytes / GIB:>8.2f} GiB   {part.formula}" for part in self.parts]
        verdict = "fits" if self.fits else "DOES NOT FIT"
        lines += [
            f"  {'together':<24} {self.bytes_per_gpu / GIB:>8.2f} GiB   {verdict} in {self.gpu_bytes / GIB:.1f} GiB",
            f"{self.flops_per_token / 1e9:,.2f} GFLOP a token (6 N_matrices + attention)",
            *self._recomputation_text(),
            f"{self.tokens_per_second:,.0f} tokens/s at {self.expected_mfu:.1%} model FLOPs utilisation "
            f"({self._assumption()})",
            f"{self.total_tokens / 1e9:,.1f} G tokens: {self.days:,.2f} days",
        ]
        return "\n".join(lines)

    def _recomputation_text(self) -> list[str]:
        again = self.recomputed_flops_per_token
        if not again:
            return []
        share = again / (self.flops_per_token + again)
        return [
            f"{again / 1e9:,.2f} GFLOP a token recomputed, {share:.1%} of all that is computed (forward of the "
            "checkpointed layers, less their last product)"
        ]

    def _assumption(self) -> str:
        if not self.recomputed_flops_per_token:
            return "an assumption"
        return f"assumed {self.mfu:.1%} without recomputation, which MFU does not count"


def activation_elements(config: ModelConfig, tensor_parallel: int = 1) -> float:
    """Elements that one layer keeps for its backward pass, per token (GPU kernels, eager autograd).

    Two residual sums and two norms (4 D); q, k, v, u as projected and q, k after silu (6 D_h); attention and gated
    output (2 D_h); value, gate and product of the channel mixer (3 F). Split parts are divided by tensor_parallel. Its
    ranks keep shares of the tokens of the residual sums and of the mixer's output before its norm, but norms of all.
    """
    gate = {"full": 1, "low_rank": 1, "none": 0}[config.gate]
    silu = 2 if config.mixer_activation != "none" else 0
    split = (3 + gate + silu + 2) * config.mixer_width + 3 * config.glu_size
    D = config.hidden_size
    return (4 * D if tensor_parallel == 1 else 2 * D + 3 * D / tensor_parallel) + split / tensor_parallel


def _activation_parts(config: ModelConfig, tokens: int, mode: str, tensor_parallel: int) -> list[Part]:
    """What the forward pass leaves for the backward pass, and what is recomputed on top of it at the peak.

    A checkpointed layer keeps its two inputs, the residual sum and the pending branch; the first layer has one only,
    and a kept layer before it has kept the sum already. The peak is at the last layer: recomputed beside all that is
    kept if it is checkpointed; else the one before it is recomputed when the last is already freed.
    """
    # Between layers each tensor rank has a share of the tokens: D / tp elements a token.
    D, L, width = config.hidden_size / tensor_parallel, config.layers, "D" if tensor_parallel == 1 else "D / tp"
    layer, again = activation_elements(config, tensor_parallel), sum(recomputes(mode, index) for index in range(L))
    whole = "4 D + 8 D_h + 3 F" if tensor_parallel == 1 else "2 D + (3 D + 8 D_h + 3 F) / tp"
    if mode == "full":
        inputs, formula = (2 * L - 1) * D, f"2 B x tokens x (2 L + 1) {width}"
    elif mode == "selective":
        inputs, formula = again * D, f"2 B x tokens x ({L - again} ({whole}) + {again + 2} {width})"
    else:
        inputs, formula = 0, f"2 B x tokens x (L ({whole}) + 2 {width})"
    kept = 2.0 * tokens * ((L - again) * layer + inputs + 2 * D)  # 2 D: the last norm's input and output
    parts = [Part(name="activations kept", bytes=kept, formula=formula)]
    if again:
        last = recomputes(mode, L - 1)
        formula = f"2 B x tokens x ({whole}), one layer" if last else "in the place of the last layer, freed by then"
        parts.append(Part(name="activations recomputed", bytes=2.0 * tokens * layer * last, formula=formula))
    return parts


def recomputed_flops_per_token(config: ModelConfig, mode: str) -> float:
    """FLOPs per token that activation checkpointing adds: the forward pass of the checkpointed layers, once more.

    Not the channel mixer's output projection (2 D F): recomputation stops where nothing more is kept.
    """
    counts = config.parameter_count()
    matrices = (counts["token_mixers"] + counts["channel_mixers"]) / config.layers
    once = 2.0 * (matrices - config.hidden_size * config.glu_size)
    redone = [layer for layer in range(config.layers) if recomputes(mode, layer)]
    return sum(once + config.attention_flops_per_token(layer) for layer in redone)


def memory_parts(
    config: ModelConfig,
    *,
    gpus: int,
    tensor_parallel: int,
    tokens_per_gpu: int,
    activation_checkpointing: str,
    gpu_bytes: float,
) -> list[Part]:
    """What each GPU holds, part by part: FSDP2 over gpus / tensor_parallel ranks, embedding whole."""
    counts = config.parameter_count()
    split = counts["token_mixers"] + counts["channel_mixers"]
    held = split / tensor_parallel + sum(counts.values()) - split  # parameters of one tensor-parallel rank
    data = gpus // tensor_parallel
    layer = split / config.layers / tensor_parallel
    if data == 1:
        sharded, working, in_flight = "N", 2 * held, 2 * held
        formulas = ("2 B x N", "2 B x N before they are widened")
    else:
        sharded = f"N / {data}"
        kept = keeps_gathered(config, tensor_parallel, gpu_bytes)
        working = 2 * (config.layers if kept else 2) * layer + 2 * counts["embedding"]
        in_flight = 2 * 2 * layer + 4 * counts["embedding"]
        gathered = "2 B x all layers and embedding" if kept else "2 B x (two layers + embedding), gathered"
        formulas = (gathered, "2 B x two layers + 4 B x embedding")
    head = 4 * counts["embedding"] + HEAD_ROWS * config.vocabulary_size * (4 + 2)
    return [
        Part(name="float32 masters", bytes=4 * held / data, formula=f"4 B x {sharded}"),
        Part(name="gradients", bytes=4 * held / data, formula=f"4 B x {sharded}"),
        Part(name="AdamW moments", bytes=8 * held / data, formula=f"8 B x {sharded}"),
        Part(name="bfloat16 matrices", bytes=working, formula=formulas[0]),
        Part(name="gradients in flight", bytes=in_flight, formula=formulas[1]),
        *_activation_parts(config, tokens_per_gpu, activation_checkpointing, tensor_parallel),
        Part(name="head", bytes=head, formula=f"4 B x V D (its gradient) + {HEAD_ROWS} rows of logits x 6 B"),
        Part(name="context, fragments", bytes=OVERHEAD_GIB * GIB, formula="allowance"),
    ]


def plan_training(
    config: ModelConfig,
    *,
    gpus: int,
    gpu: str = "h100",
    tokens_per_gpu: int = 16_384,
    tensor_parallel: int = 1,
    activation_checkpointing: ActivationCheckpointing = "none",
    total_tokens: float | None = None,
    mfu: float = 0.4,
) -> TrainingPlan:
    """Memory, speed and time of training with FSDP2, float32 masters and AdamW, bfloat16 matrices.

    tokens_per_gpu: of one micro-batch on one GPU. total_tokens: None means 20 a parameter (Hoffmann et al. 2022).
    mfu: model FLOPs utilisation without recomputation; recomputed FLOPs are taken to run at the same rate.
    Raises RecipeError for an unknown GPU or a tensor_parallel that does not divide.
    """
    if gpu.lower() not in GPUS:
        raise RecipeError(f"unknown GPU '{gpu}'; there are: {', '.join(GPUS)}")
    if tensor_parallel < 1 or gpus % tensor_parallel or config.heads % tensor_parallel:
        raise RecipeError(f"tensor_parallel {tensor_parallel} must divide {gpus} GPUs and {config.heads} heads")
    name, memory = GPUS[gpu.lower()]
    parts = memory_parts(
        config,
        gpus=gpus,
        tensor_parallel=tensor_parallel,
        tokens_per_gpu=tokens_per_gpu,
        activation_checkpointing=activation_checkpointing,
        gpu_bytes=memory * GIB,
    )
    parameters = sum(config.parameter_count().values())
    tokens = 20.0 * parameters if total_tokens is None else float(total_tokens)
    flops = config.training_flops_per_token()
    again = recomputed_flops_per_token(config, activation_checkpointing)
    expected_mfu = mfu * flops / (flops + again)
    rate = gpus * PEAK_BFLOAT16[name] * expected_mfu / flops
    return TrainingPlan(
        gpu=name,
        gpus=gpus,
        tensor_parallel=tensor_parallel,
        tokens_per_gpu=tokens_per_gpu,
        activation_checkpointing=activation_checkpointing,
        parameters=parameters,
        parts=parts,
        gpu_bytes=memory * GIB,
        flops_per_token=flops,
        recomputed_flops_per_token=again,
        mfu=mfu,
        expected_mfu=expected_mfu,
        tokens_per_second=rate,
        total_tokens=tokens,
        days=tokens / rate / 86_400 if math.isfinite(rate) else math.inf,
    )
