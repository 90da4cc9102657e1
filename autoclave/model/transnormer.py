"""TransNormerLLM as a plain PyTorch model: no cache, no position and no state lives on a module.

    x = embed_scale * E[tokens]
    for each layer:  x = x + mixer(norm(x));  x = x + channel(norm(x))
    hidden = norm(x);  logits = hidden @ E^T

Batches are [batch, time], or [1, total] with `cu_seqlens` where sequences are packed end to end: each then starts from
its own state. Formulas: arXiv 2405.17381 and the released code; see `config.py` for the options.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoclave.kernels.decode import lightning_attention_step, lightning_attention_step_gated
from autoclave.kernels.gated_attention import gated_lightning_attention
from autoclave.kernels.lightning_attention import lightning_attention
from autoclave.kernels.lightning_attention.carried import carried_lightning_attention
from autoclave.kernels.linear_cross_entropy import linear_cross_entropy
from autoclave.kernels.norm import add_simple_rms_norm, simple_rms_norm, simple_rms_norm_gate
from autoclave.kernels.sglu import gated_product
from autoclave.model.config import ModelConfig
from autoclave.model.parallel.sequence_parallel import Carry
from autoclave.model.state import ModelState, Output, Packing


class Norm(nn.Module):
    """SRMSNorm (no weights), or RMSNorm or LayerNorm for the ablation, optionally with a residual sum before."""

    def __init__(self, config: ModelConfig, width: int) -> None:
        super().__init__()
        self.epsilon = config.norm_epsilon
        self.inner: nn.Module | None = None
        if config.norm == "rms":
            self.inner = nn.RMSNorm(width, eps=self.epsilon)
        elif config.norm == "layer":
            self.inner = nn.LayerNorm(width, eps=self.epsilon)

    def forward(self, x: Tensor, pending: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(norm(x + pending), x + pending), all [..., width] of one dtype."""
        if self.inner is not None:
            total = x if pending is None else x + pending
            return self.inner(total), total
        if pending is None:
            return simple_rms_norm(x, eps=self.epsilon), x
        return add_simple_rms_norm(pending, x, eps=self.epsilon)

    def gated(self, x: Tensor, gate: Tensor | None) -> Tensor:
        """gate * norm(x), all [..., width] of one dtype."""
        if self.inner is None and gate is not None:
            return simple_rms_norm_gate(x, gate, eps=self.epsilon)
        normed = self.forward(x)[0]
        return normed if gate is None else gate * normed


def activate(x: Tensor, name: str) -> Tensor:
    """silu, sigmoid, elu1 (1 + elu, positive) or none of each element: x's shape and dtype."""
    if name == "silu":
        return F.silu(x)
    if name == "sigmoid":
        return torch.sigmoid(x)
    return 1 + F.elu(x) if name == "elu1" else x


class LearnedPositions(nn.Module):
    """LRPE's theta [heads, head_size]: a module of its own, so that it stays float32 where matrices are bfloat16."""

    def __init__(self, heads: int, head_size: int) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.empty(heads, head_size))

    def forward(self, dtype: torch.dtype) -> Tensor:
        """A copy of theta in this dtype (a copy, since FSDP may take the parameter's own storage back)."""
        return self.theta.to(dtype, copy=True)


class TokenMixer(nn.Module):
    """Gated linear attention: out = W_o (u * norm(lightning_attention(silu q, silu k, v))).

    `qkvu` holds the rows of q, k, v and (full gate) u one after the other, head-major inside each, as released.
    """

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        width = config.mixer_width
        self.config = config
        self.heads = config.heads
        self.head_size = config.head_size
        self.qkvu = nn.Linear(config.hidden_size, width * (4 if config.gate == "full" else 3), bias=False)
        self.output = nn.Linear(width, config.hidden_size, bias=False)
        self.norm = Norm(config, width)
        if config.gate == "low_rank":
            self.gate_down = nn.Linear(config.hidden_size, config.gate_rank, bias=False)
            self.gate_up = nn.Linear(config.gate_rank, width, bias=False)
        self.lrpe = LearnedPositions(config.heads, config.head_size) if config.has_lrpe(layer) else None

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """q, k, v [batch, time, heads, head_size] after their activations, the gate [batch, time, width]; one dtype."""
        gate = self.gate_up(self.gate_down(x)) if self.config.gate == "low_rank" else None
        return self.activated(self.qkvu(x), gate)

    def activated(self, joint: Tensor, gate: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """`project`'s results from the joint projection and a gate that is not part of it, if there is one.

        joint: [batch, tokens, width of queries, keys, values and perhaps the gate]; gate: [batch, tokens, mixer width];
        results of joint's dtype.
        """
        # split, not slices: its backward writes the joint gradient once, in place of a zero-filled copy a slice
        query, key, value, *full_gate = joint.split(self.heads * self.head_size, -1)
        heads = (*joint.shape[:-1], self.heads, self.head_size)
        query = activate(query, self.config.mixer_activation).view(heads)
        key = activate(key, self.config.mixer_activation).view(heads)
        value = activate(value, self.config.value_activation).view(heads)
        gate = full_gate[0] if full_gate else gate
        return query, key, value, None if gate is None else activate(gate, self.config.gate_activation)

    def forward(
        self, x: Tensor, decay: Tensor, packing: Packing, memory: Tensor | None, return_memory: bool
    ) -> tuple[Tensor, Tensor | None]:
        """x [batch, time, hidden] -> the same shape and dtype, and if asked the final memory.

        memory: [sequences, heads, key, value]; decay: [heads]; both float32 (float64 in a float64 model).
        """
        stepping = memory is not None and return_memory and x.shape[1] == 1 and packing.cu_seqlens is None
        if self.one_operation() and not stepping:
            return self.mix(x, decay, packing, memory, return_memory)
        query, key, value, gate = self.project(x)
        if stepping and memory is not None:
            return self.step(query, key, value, gate, decay, packing, memory)
        out, memory = self.attend(query, key, value, decay, packing, memory, return_memory)
        return self.output(self.norm.gated(out.flatten(-2), gate)), memory

    def attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        decay: Tensor,
        packing: Packing,
        memory: Tensor | None = None,
        return_memory: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attention over whole sequences, or this process's piece of a stream: (out, final memory if asked).

        query, key, value and out [batch, time, heads, head_size] of one dtype; decay and memory as in `forward`.
        """
        theta = None if self.lrpe is None else self.lrpe(decay.dtype)
        with torch.autocast(query.device.type, enabled=False):  # the kernel chooses its own precisions
            options: dict[str, Any] = {"lrpe_theta": theta, "cu_seqlens": packing.cu_seqlens}
            options["position_offset"] = packing.starts()
            if (exchange := packing.exchange(decay)) is not None:
                return carried_lightning_attention(query, key, value, decay, exchange=exchange, **options), None
            options |= {"initial_state": memory, "output_final_state": return_memory}
            return lightning_attention(query, key, value, decay, **options)

    def one_operation(self) -> bool:
        """Whether what lies between the two projections is as released, and so one operation of the kernels."""
        config = self.config
        activations = (config.mixer_activation, config.value_activation, config.gate_activation)
        return activations == ("silu", "none", "none") and config.gate == "full" and config.norm == "simple"

    def mix(
        self, x: Tensor, decay: Tensor, packing: Packing, memory: Tensor | None, return_memory: bool
    ) -> tuple[Tensor, Tensor | None]:
        """`forward` of the released mixer over whole sequences, of its shapes and dtypes."""
        joint = self.qkvu(x)
        theta = None if self.lrpe is None else self.lrpe(decay.dtype)
        with torch.autocast(x.device.type, enabled=False):  # the kernels choose their own precisions
            mixed, memory = gated_lightning_attention(
                joint,
                decay,
                lrpe_theta=theta,
                position_offset=packing.starts(),
                initial_state=memory,
                output_final_state=return_memory,
                cu_seqlens=packing.cu_seqlens,
                exchange=packing.exchange(decay),
                eps=self.config.norm_epsilon,
            )
        return self.output(mixed), memory

    def step(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        gate: Tensor | None,
        decay: Tensor,
        packing: Packing,
        memory: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """One decoding step; attention, norm and gate are one kernel where norm and gate are the release's.

        query, key, value, gate: as `project` returns them, time 1; decay, memory: shapes and dtypes as in `forward`.
        Returns the mixer's output [sequences, 1, hidden] and the memory, which is updated in place on a GPU.
        """
        theta = None if self.lrpe is None else self.lrpe(decay.dtype)
        query, key, value = query[:, 0], key[:, 0], value[:, 0]
        positions = packing.positions
        if self.config.norm == "simple" and gate is not None:
            out, memory = lightning_attention_step_gated(
                query,
                key,
                value,
                gate[:, 0],
                decay,
                memory,
                lrpe_theta=theta,
                positions=positions,
                eps=self.config.norm_epsilon,
            )
            return self.output(out)[:, None], memory
        out, memory = lightning_attention_step(query, key, value, decay, memory, lrpe_theta=theta, positions=positions)
        mixed = out.flatten(-2)[:, None]
        return self.output(self.norm.gated(mixed, gate)), memory


class ChannelMixer(nn.Module):
    """SGLU: W_output ((W_value x) * (W_gate x)), no activation in the release."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.activation = config.glu_activation
        self.value = nn.Linear(config.hidden_size, config.glu_size, bias=False)
        self.gate = nn.Linear(config.hidden_size, config.glu_size, bias=False)
        self.output = nn.Linear(config.glu_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[..., hidden] -> [..., hidden], of one dtype."""
        return self.output(gated_product(self.value(x), activate(self.gate(x), self.activation)))


class Layer(nn.Module):
    """One residual layer. The last branch's output stays pending, so that its sum is fused with the next norm."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.mixer_norm = Norm(config, config.hidden_size)
        self.mixer = TokenMixer(config, layer)
        self.channel_norm = Norm(config, config.hidden_size)
        self.channel = ChannelMixer(config)

    def forward(
        self,
        x: Tensor,
        pending: Tensor | None,
        decay: Tensor,
        packing: Packing,
        memory: Tensor | None = None,
        return_memory: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """(residual, pending branch) -> (residual, pending branch, final memory).

        The first two are [batch, time, hidden] of one dtype; decay and memory as in `TokenMixer.forward`.
        """
        normed, x = self.mixer_norm(x, pending)
        mixed, memory = self.mixer(normed, decay, packing, memory, return_memory)
        normed, x = self.channel_norm(x, mixed)
        return x, self.channel(normed), memory


class TransNormerLLM(nn.Module):
    """The language model. `forward` gives hidden states, and losses without ever building the logits."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config, layer) for layer in range(config.layers))
        self.final_norm = Norm(config, config.hidden_size)
        self._decay: dict[tuple[torch.device, torch.dtype], Tensor] = {}

    @torch.no_grad()
    def initialise(self, seed: int) -> TransNormerLLM:
        """Fill every weight, drawn on the CPU in float32: the same model for a seed on any device.

        N(0, initializer_range) for matrices, zero for the pad row, theta[h, j] = 10000^(-2 (h dh + j) / D_h), ones and
        zeros for the ablation norms. There is no depth scaling in the release.
        """
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in self.named_parameters():
            if name.endswith("lrpe.theta"):
                index = torch.arange(parameter.numel(), dtype=torch.float64) / self.config.mixer_width
                value = (10_000.0 ** (-2 * index)).view(parameter.shape)
            elif parameter.dim() == 1:
                value = torch.zeros(parameter.shape) if name.endswith("bias") else torch.ones(parameter.shape)
            else:
                value = torch.empty(parameter.shape).normal_(0.0, self.config.initializer_range, generator=generator)
            parameter.copy_(value)
        if self.config.pad_id < self.config.vocabulary_size:
            self.embedding.weight[self.config.pad_id].zero_()
        return self

    def decay(self, device: torch.device, dtype: torch.dtype) -> Tensor:
        """log lambda [layers, heads], float32 whatever the model's dtype (float64 in a float64 model)."""
        dtype = torch.float64 if dtype == torch.float64 else torch.float32
        if (device, dtype) not in self._decay:
            with torch.inference_mode(False):  # it may be made in a scoring pass and used in a training step
                self._decay[device, dtype] = torch.tensor(self.config.decay_table(), dtype=dtype, device=device)
        return self._decay[device, dtype]

    def forward(
        self,
        tokens: Tensor,
        *,
        targets: Tensor | None = None,
        state: ModelState | None = None,
        cu_seqlens: Tensor | None = None,
        carry: Carry | None = None,
        return_state: bool = False,
        reduction: Literal["mean", "sum", "none"] = "sum",
        z_loss: float = 0.0,
    ) -> Output:
        """Hidden states after the final norm, and with `targets` the cross-entropy in nats.

        tokens: int64 [batch, time], or [1, total] with cu_seqlens int32 or int64 [sequences + 1]; or embeddings before
            scaling, of a floating-point dtype, [batch, time, hidden_size]
        targets: int64, same shape; -100 is ignored. reduction: "sum", "mean" or "none" ([batch * time])
        state: of as many sequences as there are; None means all start at position 0
        carry: for sequence parallelism, where `tokens` is this rank's piece of a packed stream
        """
        sequences = tokens.shape[0] if cu_seqlens is None else cu_seqlens.numel() - 1
        if state is None and return_state:
            state = ModelState.zeros(self.config, sequences, tokens.device, self._state_dtype())
        x = self.embed(tokens, cu_seqlens, state)
        decay = self.decay(x.device, x.dtype)
        packing = Packing(cu_seqlens, None if state is None else state.positions, carry)
        pending: Tensor | None = None
        memories: list[Tensor] = []
        for index, layer in enumerate(self.layers):
            memory = None if state is None else state.memory[index]
            x, pending, memory = layer(x, pending, decay[index], packing, memory, return_state)
            if memory is not None:
                memories.append(memory)
        hidden, _ = self.final_norm(x, pending)
        losses = None if targets is None else self.losses(hidden, targets, reduction, z_loss)
        if not return_state or state is None:
            return Output(hidden, None, losses)
        lengths = tokens.shape[1] if cu_seqlens is None else cu_seqlens.diff()
        return Output(hidden, ModelState(memories, state.positions + lengths), losses)

    def embed(self, tokens: Tensor, cu_seqlens: Tensor | None, state: ModelState | None) -> Tensor:
        """Scaled embeddings [batch, time, hidden_size] of `forward`'s tokens, in the autocast dtype where autocast is
        on, so that the residual stream has it."""
        x = tokens if tokens.is_floating_point() else self.embedding(tokens)
        if self.config.scale_embedding:
            x = x * math.sqrt(self.config.hidden_size)
        if self.config.absolute_positions:
            x = x + self.sinusoids(token_positions(tokens, cu_seqlens, state), x.dtype)
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        return x

    def sinusoids(self, positions: Tensor, dtype: torch.dtype) -> Tensor:
        """Sinusoidal encodings [*positions.shape, hidden] (Vaswani et al. 2017), phases in float64."""
        half = (self.config.hidden_size + 1) // 2
        step = torch.arange(half, dtype=torch.float64, device=positions.device) / half
        phase = positions.unsqueeze(-1) * 10_000.0**-step
        return torch.cat([phase.sin(), phase.cos()], -1)[..., : self.config.hidden_size].to(dtype)

    def losses(
        self, hidden: Tensor, targets: Tensor, reduction: Literal["mean", "sum", "none"] = "sum", z_loss: float = 0.0
    ) -> Tensor:
        """Cross-entropy of the tied head, in nats, without a [tokens, vocabulary] tensor.

        hidden: [batch, time, hidden_size]; targets: int64 [batch, time], -100 is ignored. Returns `Output.losses`.
        """
        weight, rows = self.embedding.weight.to(hidden.dtype), hidden.flatten(0, -2)
        with torch.autocast(hidden.device.type, enabled=False):  # its statistics are in float32
            return linear_cross_entropy(
                rows, weight, targets.flatten(), ignore_index=-100, reduction=reduction, z_loss=z_loss
            )

    def logits(self, hidden: Tensor) -> Tensor:
        """hidden [..., hidden_size] -> logits [..., vocabulary], in float32 (float64 in a float64 model)."""
        logits = F.linear(hidden, self.embedding.weight.to(hidden.dtype))
        return logits if logits.dtype == torch.float64 else logits.float()

    def _state_dtype(self) -> torch.dtype:
        return torch.float64 if self.embedding.weight.dtype == torch.float64 else torch.float32


def token_positions(tokens: Tensor, cu_seqlens: Tensor | None, state: ModelState | None) -> Tensor:
    """The 0-based position of each token in its own sequence, int64, shaped as `tokens`."""
    if cu_seqlens is None:
        positions = torch.arange(tokens.shape[1], device=tokens.device).expand(tokens.shape)
        return positions if state is None else positions + state.positions[:, None]
    starts = cu_seqlens[:-1].long()
    if state is not None:
        starts = starts - state.positions
    each = torch.repeat_interleave(starts, cu_seqlens.diff().long(), output_size=tokens.shape[1])
    return (torch.arange(tokens.shape[1], device=tokens.device) - each)[None]
