"""TransNormerLLM written once more, token by token, straight from the published formulas: what the model is held to.

Nothing here is shared with the package: its own slopes, its own recurrence (the state decays, then takes the token in),
its own norms and losses; weights are read by the names that the released checkpoints use.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Shape:
    """What the oracle needs to know of a model; the defaults are the release's choices."""

    layers: int
    heads: int
    scale_embedding: bool = True
    decay: str = "alibi"
    temperature: bool = True
    lrpe: str = "first"
    activation: str = "silu"
    gate: str = "full"
    glu_activation: str = "none"


def slopes(heads: int) -> list[float]:
    def power_of_two(count: int) -> list[float]:
        start = 2 ** (-(2 ** -(math.log2(count) - 3)))
        return [start * start**index for index in range(count)]

    if math.log2(heads).is_integer():
        return power_of_two(heads)
    closest = 2 ** math.floor(math.log2(heads))
    return power_of_two(closest) + slopes(2 * closest)[0::2][: heads - closest]


def decay_of(shape: Shape, layer: int) -> Tensor:
    if shape.decay == "none":
        return torch.ones(shape.heads, dtype=torch.float64)
    if shape.decay == "paper":
        ratio = 1 - layer / shape.layers if shape.temperature else 1
        return torch.tensor([math.exp(-8 * h / shape.heads * ratio) for h in range(shape.heads)], dtype=torch.float64)
    ratio = 1 - layer / (shape.layers - 1) + 1e-5 if shape.temperature else 1
    return torch.exp(-torch.tensor(slopes(shape.heads), dtype=torch.float64) * ratio)


def norm(x: Tensor) -> Tensor:
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-6)


def silu(x: Tensor) -> Tensor:
    return x / (1 + torch.exp(-x))


def token_mixer(x: Tensor, weights: dict[str, Tensor], shape: Shape, layer: int) -> Tensor:
    """x [T, D], one sequence."""
    prefix = f"model.layers.{layer}.token_mixer."
    time, heads = len(x), shape.heads
    q, k, v, *u = (x @ weights[prefix + "qkvu_proj.weight"].T).chunk(4 if shape.gate == "full" else 3, -1)
    size = q.shape[1] // heads
    act = {"silu": silu, "none": lambda t: t, "elu1": lambda t: torch.where(t > 0, t + 1, t.exp())}[shape.activation]
    q, k, v = (t.view(time, heads, size) for t in (act(q), act(k), v))
    if prefix + "lrpe.theta" in weights:
        phase = weights[prefix + "lrpe.theta"].view(1, heads, size) * torch.arange(time).view(-1, 1, 1)
        q, k = (torch.cat([t * phase.cos(), t * phase.sin()], -1) for t in (q, k))
    decay = decay_of(shape, layer).view(heads, 1, 1)
    state = torch.zeros(heads, q.shape[-1], size, dtype=torch.float64)
    rows = []
    for t in range(time):
        state = decay * state + k[t].unsqueeze(-1) * v[t].unsqueeze(-2)
        rows.append((q[t].unsqueeze(-2) @ state).reshape(-1))
    out = norm(torch.stack(rows))
    if shape.gate == "full":
        out = u[0] * out
    elif shape.gate == "low_rank":
        out = (x @ weights[prefix + "gate_down.weight"].T @ weights[prefix + "gate_up.weight"].T) * out
    return out @ weights[prefix + "out_proj.weight"].T


def channel_mixer(x: Tensor, weights: dict[str, Tensor], shape: Shape, layer: int) -> Tensor:
    l1, l2, l3 = (weights[f"model.layers.{layer}.channel_mixer.l{index}.weight"] for index in (1, 2, 3))
    gate = x @ l2.T
    return ((x @ l1.T) * (silu(gate) if shape.glu_activation == "silu" else gate)) @ l3.T


def logits(tokens: Tensor, weights: dict[str, Tensor], shape: Shape) -> Tensor:
    """tokens [T] -> [T, V], in float64."""
    weights = {name: value.double() for name, value in weights.items()}
    embedding = weights["model.embed_tokens.weight"]
    h = embedding[tokens] * (math.sqrt(embedding.shape[1]) if shape.scale_embedding else 1)
    for layer in range(shape.layers):
        h = h + token_mixer(norm(h), weights, shape, layer)
        h = h + channel_mixer(norm(h), weights, shape, layer)
    return norm(h) @ embedding.T


def loss(tokens: Tensor, targets: Tensor, weights: dict[str, Tensor], shape: Shape) -> Tensor:
    """Summed cross-entropy in nats."""
    scores = logits(tokens, weights, shape)
    return (torch.logsumexp(scores, -1) - scores.gather(-1, targets[:, None])[:, 0]).sum()
