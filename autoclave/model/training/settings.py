"""How a model is trained: the loop's settings and the optimizer's. No torch in here: recipes are checked without it."""

from __future__ import annotations

from typing import Literal

import msgspec

Schedule = Literal["cosine", "wsd", "constant"]


class OptimizerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """AdamW and its schedule.

    The release did not publish its values; these are the usual ones of models of this size.
    """

    learning_rate: float = 1e-3
    """The peak."""
    minimum_ratio: float = 0.1
    """Last learning rate / peak."""
    warmup_steps: int = 100
    """Linear warm-up from zero."""
    schedule: Schedule = "cosine"
    """After the warm-up: cosine, wsd (stable, then a linear decay) or constant."""
    decay_share: float = 0.2
    """Share of the steps in which wsd decays."""
    beta1: float = 0.9
    """Of AdamW."""
    beta2: float = 0.95
    """Of AdamW."""
    epsilon: float = 1e-8
    """Of AdamW."""
    weight_decay: float = 0.1
    """On matrices; never on the embedding, LRPE's theta or norms."""
    clip_norm: float = 1.0
    """Largest global gradient norm; 0 turns clipping off."""


class TrainSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to train."""

    steps: int = 1000
    """Optimizer steps."""
    accumulation: int = 1
    """Batches of one step: a forward and a backward pass each."""
    optimizer: OptimizerSettings = OptimizerSettings()
    """AdamW and its schedule."""
    z_loss: float = 0.0
    """Weight of the squared log-normaliser; 0 turns it off."""
    seed: int = 0
    """Of the initial weights."""
    threads: int = 1
    """CPU threads of a process; results are bit-identical for one value of it."""
    device: str = "auto"
    """auto (the GPU if there is one), cpu, cuda, cuda:1."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: bfloat16 matrix products on a GPU, float32 on a CPU; masters are float32."""
    compile: bool = False
    """Put the layers through torch.compile."""
    activation_checkpointing: Literal["none", "full", "selective"] = "none"
    """full: keep the inputs of layers only and compute the rest again; selective: in every second layer."""
    tensor_parallel: int = 1
    """Processes that share one copy of the model's matrices, by heads."""
    sequence_parallel: int = 1
    """Processes that share one batch, in consecutive pieces, for contexts too long for one."""
    checkpoint_every: int = 500
    """Steps between checkpoints; 0: only at the end."""
    keep_checkpoints: int = 2
    """Newest checkpoints kept."""
    tensorboard: bool = False
    """Also write the metrics as a TensorBoard event file."""
    max_skipped: int = 20
    """Give up after so many updates in a row that were not finite."""
