"""The plan's formulas against what autograd really keeps and against published arithmetic."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from autoclave.cli.main import app
from autoclave.errors import RecipeError
from autoclave.model import transnormer
from autoclave.model.config import PRESETS, ModelConfig
from autoclave.model.optimizer import OptimizerSettings, make_optimizer
from autoclave.model.planning import GIB, activation_elements, plan_training
from autoclave.model.transnormer import TransNormerLLM

CONFIG = ModelConfig(vocabulary_size=512, hidden_size=128, layers=5, heads=4, glu_size=320)


class Keeps(torch.autograd.Function):
    """Stands for a fused kernel: `outputs` results like its first inputs, keeping the first `kept` of its inputs."""

    @staticmethod
    def forward(ctx: Any, kept: int, *inputs: Tensor) -> Tensor:
        ctx.save_for_backward(*inputs[:kept])
        ctx.count = len(inputs)
        return torch.empty_like(inputs[-1])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return (None, *([grads[0]] * ctx.count))


def patch_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the GPU kernels keep: a norm its input, a fused norm and gate both, attention q, k and v.

    The mixer's core as one operation: the joint projection, the activated queries and keys, attention's output.
    """

    def add_norm(x: Tensor, residual: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        total = x + residual  # addition keeps nothing
        return Keeps.apply(1, total), total

    def gated(qkvu: Tensor, decay: Tensor, **_: Any) -> tuple[Tensor, None]:
        width = qkvu.shape[-1] // 4
        active, out = (qkvu.detach()[..., : n * width].clone() for n in (2, 1))
        return Keeps.apply(3, qkvu, active, out), None

    monkeypatch.setattr(transnormer, "gated_lightning_attention", gated)
    monkeypatch.setattr(transnormer, "simple_rms_norm", lambda x, eps: Keeps.apply(1, x))
    monkeypatch.setattr(transnormer, "add_simple_rms_norm", add_norm)
    monkeypatch.setattr(transnormer, "simple_rms_norm_gate", lambda o, u, eps: Keeps.apply(2, o, u))
    monkeypatch.setattr(transnormer, "lightning_attention", lambda q, k, v, decay, **_: (Keeps.apply(3, q, k, v), None))


@pytest.mark.parametrize("options", [{}, {"gate": "none"}, {"mixer_activation": "none"}, {"mixer_size": 256}], ids=str)
def test_activation_formula_equals_what_autograd_keeps(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    patch_kernels(monkeypatch)
    kept: dict[int, int] = {}
    config = msgspec.structs.replace(CONFIG, **options)
    model = TransNormerLLM(config).bfloat16()
    tokens = torch.ones(1, 64, dtype=torch.int64)
    hold: list[Any] = []

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        hold.append(tensor)
        if storage._cdata not in weights:
            kept[storage._cdata] = storage.nbytes()
        return tensor

    weights = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = model(tokens)
    assert output.hidden.requires_grad
    per_layer = sum(kept.values()) / 2 / 64 / config.layers
    # the first layer's sums with the embedding and the last norm are the model's, not a layer's
    assert per_layer == pytest.approx(activation_elements(config), rel=0.06)


def test_masters_gradients_and_moments_are_what_adamw_allocates() -> None:
    model = TransNormerLLM(CONFIG).initialise(0)
    optimizer = make_optimizer(model, OptimizerSettings())
    tokens = torch.ones(1, 8, dtype=torch.int64)
    model(tokens, targets=tokens).losses.backward()
    optimizer.step()
    moments = sum(v.nbytes for state in optimizer.state.values() for v in state.values() if v.dim())
    plan = plan_training(CONFIG, gpus=1)
    parts = {part.name: part.bytes for part in plan.parts}
    assert parts["float32 masters"] == sum(p.nbytes for p in model.parameters())
    assert parts["gradients"] == sum(p.grad.nbytes for p in model.parameters() if p.grad is not None)
    assert parts["AdamW moments"] == moments


def test_sharding_divides_what_is_sharded_and_checkpointing_saves_activations() -> None:
    seven = PRESETS["tnl-7b"]
    plans = [plan_training(seven, gpus=gpus) for gpus in (8, 64)]
    first, second = ({part.name: part.bytes for part in plan.parts} for plan in plans)
    assert first["AdamW moments"] == pytest.approx(8 * second["AdamW moments"])
    assert first["activations"] == second["activations"]
    modes = [
        {part.name: part.bytes for part in plan_training(seven, gpus=8, activation_checkpointing=mode).parts}
        for mode in ("none", "selective", "full")
    ]
    assert modes[0]["activations"] > modes[1]["activations"] > modes[2]["activations"]
    assert not plan_training(seven, gpus=1).fits
    assert plan_training(seven, gpus=64, activation_checkpointing="full").fits


def test_the_command_plans_with_layers_computed_again() -> None:
    words = ["plan", "train", "--model", "tnl-385m", "--gpus", "1", "--json", "--activation-checkpointing"]
    for mode in ("selective", "full"):
        done = CliRunner().invoke(app, [*words, mode])
        expected = plan_training(PRESETS["tnl-385m"], gpus=1, activation_checkpointing=mode)
        assert done.exit_code == 0, done.output
        assert msgspec.json.decode(done.stdout)["parts"] == msgspec.to_builtins(expected)["parts"]
    assert CliRunner().invoke(app, [*words, "some"]).exit_code == 2


def test_rates_follow_the_published_table() -> None:
    # Specification 8.4: 385M at 50 % of an H100 is 203 k tokens/s, 7B 12.0 k, per GPU.
    for name, expected in (("tnl-385m", 203e3), ("tnl-7b", 12.0e3)):
        plan = plan_training(PRESETS[name], gpus=4, mfu=0.5)
        assert plan.tokens_per_second / 4 == pytest.approx(expected, rel=0.01)
    plan = plan_training(PRESETS["tnl-385m"], gpus=8, total_tokens=1e12, mfu=0.4)
    assert plan.days == pytest.approx(1e12 / (8 * 162e3) / 86_400, rel=0.01)
    assert "DOES NOT FIT" not in plan.text()
    assert plan.bytes_per_gpu / GIB < 79


def test_impossible_plans_are_refused() -> None:
    with pytest.raises(RecipeError, match="unknown GPU 'k80'"):
        plan_training(CONFIG, gpus=1, gpu="k80")
    with pytest.raises(RecipeError, match="must divide"):
        plan_training(CONFIG, gpus=8, tensor_parallel=3)
