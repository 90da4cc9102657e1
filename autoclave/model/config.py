"""What a TransNormerLLM is: its sizes and every option that the paper ablated, and the presets.

Sources: TransNormerLLM (arXiv 2307.14995), its peer-reviewed rewrite (2405.17381) and the released code.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import msgspec

from autoclave.errors import CheckpointError, RecipeError


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sizes and options of one model. The defaults are the released 385M.

    vocabulary_size: rows of the tied embedding and head
    hidden_size: width of the residual stream (D)
    mixer_size: width of the token mixer over all heads (D_h); None means hidden_size, as in every release
    layers: number of layers (L)
    heads: heads of the token mixer (H); the head width is mixer_size / heads
    glu_size: inner width of the channel mixer (F)
    scale_embedding: multiply embeddings by sqrt(D) (385M, 1B, 15B do; 7B and the TNL2 models do not)
    decay: head slopes: "alibi" as in released weights, "paper" as printed, "none" (no decay)
    decay_temperature: let the decay weaken with depth (factor 1 - l/L)
    lrpe: layers with the learned relative position encoding: "first" (released), "all", "none"
    absolute_positions: add sinusoidal positions to the embedding (the paper's APE row)
    mixer_activation: activation of q and k: "silu" (released), "elu1" (1 + elu), "none"
    value_activation: activation of v: "none" (released), "silu" (later family members)
    gate: output gate of the token mixer: "full" (D x D_h, released), "low_rank" (15B), "none"
    gate_rank: rank of the low-rank gate
    gate_activation: activation of the gate: "none" (released), "sigmoid", "silu"
    glu_activation: activation of the channel mixer's gate: "none" (released), "silu"
    norm: "simple" (SRMSNorm, no weights, released), "rms", "layer"
    norm_epsilon: added to the mean square
    initializer_range: standard deviation of every weight at the start
    pad_id, bos_id, eos_id: special tokens
    """

    vocabulary_size: int = 64_000
    hidden_size: int = 1024
    mixer_size: int | None = None
    layers: int = 24
    heads: int = 8
    glu_size: int = 2816
    scale_embedding: bool = True
    decay: Literal["alibi", "paper", "none"] = "alibi"
    decay_temperature: bool = True
    lrpe: Literal["first", "all", "none"] = "first"
    absolute_positions: bool = False
    mixer_activation: Literal["silu", "elu1", "none"] = "silu"
    value_activation: Literal["none", "silu"] = "none"
    gate: Literal["full", "low_rank", "none"] = "full"
    gate_rank: int = 16
    gate_activation: Literal["none", "sigmoid", "silu"] = "none"
    glu_activation: Literal["none", "silu"] = "none"
    norm: Literal["simple", "rms", "layer"] = "simple"
    norm_epsilon: float = 1e-6
    initializer_range: float = 0.02
    pad_id: int = 0
    bos_id: int = 1
    eos_id: int = 2

    def __post_init__(self) -> None:
        sizes = (self.vocabulary_size, self.hidden_size, self.layers, self.heads, self.glu_size, self.gate_rank)
        if min(sizes) < 1:
            raise RecipeError(f"model: every size must be at least 1, got {sizes}")
        if self.mixer_width % self.heads:
            raise RecipeError(f"model: mixer width {self.mixer_width} is not a multiple of heads {self.heads}")

    @property
    def mixer_width(self) -> int:
        """Width of q, k, v and u over all heads (D_h)."""
        return self.mixer_size if self.mixer_size is not None else self.hidden_size

    @property
    def head_size(self) -> int:
        """Width of one head."""
        return self.mixer_width // self.heads

    def has_lrpe(self, layer: int) -> bool:
        """Whether this layer (0-based) encodes positions; its q, k and state are twice as wide."""
        return self.lrpe == "all" or (self.lrpe == "first" and layer == 0)

    def key_size(self, layer: int) -> int:
        """Width of one head's key in the state: the head size, doubled by LRPE."""
        return self.head_size * (2 if self.has_lrpe(layer) else 1)

    def decay_table(self) -> list[list[float]]:
        """log lambda of each layer and head, all <= 0: [layers][heads].

        "alibi": -s_h (1 - l/(L-1) + 1e-5), s_h the ALiBi slopes, as the released code computes it; a model of one
        layer has factor 1. "paper": -(8 h / H)(1 - l / L), eq. 10 of arXiv 2307.14995, with h = 0..H-1.
        """
        if self.decay == "none":
            return [[0.0] * self.heads for _ in range(self.layers)]
        if self.decay == "alibi":
            slopes = alibi_slopes(self.heads)
            factors = [1 - layer / max(self.layers - 1, 1) + 1e-5 for layer in range(self.layers)]
        else:
            slopes = [8 * head / self.heads for head in range(self.heads)]
            factors = [1 - layer / self.layers for layer in range(self.layers)]
        if not self.decay_temperature:
            factors = [1.0] * self.layers
        return [[-slope * factor for slope in slopes] for factor in factors]

    def parameter_count(self) -> dict[str, int]:
        """Parameters by part: embedding (tied with the head), mixers, channel mixers, positions, norms."""
        D, E = self.hidden_size, self.mixer_width
        gate = {"full": D * E, "low_rank": self.gate_rank * (D + E), "none": 0}[self.gate]
        norm_weights = {"simple": 0, "rms": 1, "layer": 2}[self.norm]
        return {
            "embedding": self.vocabulary_size * D,
            "token_mixers": self.layers * (4 * D * E + gate),
            "channel_mixers": self.layers * 3 * D * self.glu_size,
            "lrpe": sum(self.has_lrpe(layer) for layer in range(self.layers)) * E,
            "norms": norm_weights * (self.layers * (2 * D + E) + D),
        }

    def training_flops_per_token(self, chunk: int = 64) -> float:
        """FLOPs of forward and backward per token: 6 N_matrices + 3 (4 D_k dh + 2 C D_h) per layer.

        Head counted once, the embedding lookup free, recomputation not counted, as in every published MFU.
        """
        counts = self.parameter_count()
        matrices = counts["token_mixers"] + counts["channel_mixers"] + counts["embedding"]
        return 6.0 * matrices + 3.0 * sum(self.attention_flops_per_token(layer, chunk) for layer in range(self.layers))

    def attention_flops_per_token(self, layer: int, chunk: int = 64) -> float:
        """FLOPs of one layer's attention forward per token, projections aside: 4 D_k dh over the heads + 2 C D_h."""
        return 4.0 * self.heads * self.key_size(layer) * self.head_size + 2.0 * chunk * self.mixer_width

    def forward_flops_per_token(self, chunk: int = 64) -> float:
        """FLOPs of one forward pass per token: a third of training."""
        return self.training_flops_per_token(chunk) / 3


def alibi_slopes(heads: int) -> list[float]:
    """Positive slopes s_h: 2^(-8(h+1)/H) for a power of two; else those of the next lower power P, then every
    second one of 2P (Press et al. 2022, as the released model computes them)."""
    power = 2 ** math.floor(math.log2(heads))
    slopes = [2.0 ** (-8 * (head + 1) / power) for head in range(power)]
    if power < heads:
        slopes += alibi_slopes(2 * power)[0::2][: heads - power]
    return slopes


PRESETS: dict[str, ModelConfig] = {
    # for CPUs: unit tests; the demo; small experiments
    "tnl-nano": ModelConfig(vocabulary_size=4096, hidden_size=64, layers=2, heads=2, glu_size=176),
    "tnl-tiny": ModelConfig(vocabulary_size=8192, hidden_size=128, layers=4, heads=4, glu_size=352),
    "tnl-small": ModelConfig(vocabulary_size=16_384, hidden_size=256, layers=6, heads=4, glu_size=704),
    # as released
    "tnl-385m": ModelConfig(),
    "tnl-1b": ModelConfig(hidden_size=2048, layers=16, heads=16, glu_size=5632),
    "tnl-3b": ModelConfig(hidden_size=2560, layers=32, heads=20, glu_size=6912, scale_embedding=False),
    "tnl-7b": ModelConfig(hidden_size=4096, layers=30, heads=32, glu_size=11_008, scale_embedding=False),
    # TNL3-15B: its code was never released. The parameter count fixes the low-rank gate; the rest is as in the others.
    "tnl-15b": ModelConfig(
        vocabulary_size=100_280,
        hidden_size=5120,
        layers=42,
        heads=40,
        glu_size=15_360,
        gate="low_rank",
        gate_rank=16,
        pad_id=100_262,
        bos_id=100_261,
        eos_id=100_257,
    ),
}


def preset(name: str, **overrides: Any) -> ModelConfig:
    """The named preset with some fields replaced.

    Raises RecipeError for an unknown preset or field, naming what exists.
    """
    if name not in PRESETS:
        raise RecipeError(f"unknown model preset '{name}'; there are: {', '.join(PRESETS)}")
    unknown = sorted(set(overrides) - set(ModelConfig.__struct_fields__))
    if unknown:
        known = ", ".join(ModelConfig.__struct_fields__)
        raise RecipeError(f"model: unknown field '{unknown[0]}'; there are: {known}")
    merged = msgspec.to_builtins(PRESETS[name]) | overrides
    try:
        return msgspec.convert(merged, ModelConfig)
    except msgspec.ValidationError as error:
        raise RecipeError(f"model: {error}") from error


def decode_config(data: bytes, origin: str) -> ModelConfig:
    """Read a config.json. Raises CheckpointError naming `origin` when it is not one of ours."""
    try:
        return msgspec.json.decode(data, type=ModelConfig)
    except (msgspec.ValidationError, msgspec.DecodeError, RecipeError) as error:
        raise CheckpointError(f"{origin}: not a model configuration ({error}); convert it first") from error


def encode_config(config: ModelConfig) -> bytes:
    """The config as indented JSON, for config.json."""
    return msgspec.json.format(msgspec.json.encode(config), indent=2) + b"\n"
