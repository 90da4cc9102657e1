"""The plan's formulas against what autograd really keeps and against published arithmetic."""

from __future__ import annotations

import weakref
from typing import Any, Literal

import msgspec
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

from autoclave.cli.main import app
from autoclave.errors import RecipeError
from autoclave.model import transnormer
from autoclave.model.config import PRESETS, ModelConfig
from autoclave.model.parallel.parallelize import World, parallelise
from autoclave.model.planning import GIB, TrainingPlan, activation_elements, plan_training
from autoclave.model.training.optimizer import make_optimizer
from autoclave.model.training.settings import OptimizerSettings
from autoclave.model.transnormer import TransNormerLLM

CONFIG = ModelConfig(vocabulary_size=512, hidden_size=128, layers=5, heads=4, glu_size=320)


def parts_of(plan: TrainingPlan) -> dict[str, float]:
    return {part.name: part.bytes for part in plan.parts}


class Keeps(torch.autograd.Function):
    """Stands for a fused kernel: `outputs` results like its first inputs, keeping the first `kept` of its inputs."""

    @staticmethod
    def forward(ctx: Any, kept: int, *inputs: Tensor) -> Tensor:
        ctx.save_for_backward(*inputs[:kept])
        ctx.shapes = [x.shape for x in inputs]
        return torch.empty_like(inputs[-1])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        assert ctx.saved_tensors  # asks for them, as a kernel would
        return (None, *(grads[0].new_zeros(shape) for shape in ctx.shapes))


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


class Live(TorchDispatchMode):
    """Bytes of the storages that live now, of those that hold a value for each of `tokens`: activations, no weights."""

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.tokens, self.bytes, self.seen = tokens, 0, set[int]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self.watch(tensor.untyped_storage())
        return result

    def watch(self, storage: torch.UntypedStorage) -> None:
        if storage._cdata in self.seen or storage.nbytes() % self.tokens or not storage.nbytes():
            return
        self.seen.add(storage._cdata)
        self.bytes += storage.nbytes()
        weakref.finalize(storage, self.free, storage._cdata, storage.nbytes())

    def free(self, storage: int, size: int) -> None:
        self.seen.discard(storage)
        self.bytes -= size


@pytest.mark.parametrize("layers", [4, 5])
@pytest.mark.parametrize("mode", ["none", "selective", "full"])
def test_checkpointed_activations_are_what_lives_at_the_peak(
    monkeypatch: pytest.MonkeyPatch, mode: Literal["none", "selective", "full"], layers: int
) -> None:
    patch_kernels(monkeypatch)
    config, tokens = msgspec.structs.replace(CONFIG, layers=layers), 61  # 61 divides no size of a weight
    model = parallelise(TransNormerLLM(config).bfloat16(), World(), activation_checkpointing=mode)
    rows = torch.ones(1, tokens, dtype=torch.int64)
    whole: list[int] = []  # bytes that live when a layer's last product begins: all that it keeps is there
    with Live(tokens) as live:
        hidden = model(rows).hidden
        forward = live.bytes
        for layer in model.layers:
            layer.channel.output.register_forward_pre_hook(lambda *_: whole.append(live.bytes))
        loss = hidden.sum()
        del hidden
        loss.backward()
    parts = parts_of(plan_training(config, gpus=1, tokens_per_gpu=tokens, activation_checkpointing=mode))
    assert forward == parts["activations kept"]
    assert len(whole) == {"none": 0, "selective": (layers + 1) // 2, "full": layers}[mode]
    assert max([forward, *whole]) == parts["activations kept"] + parts.get("activations recomputed", 0)


@pytest.mark.parametrize("options", [{}, {"gate": "low_rank", "layers": 4}], ids=str)
@pytest.mark.parametrize("mode", ["selective", "full"])
def test_recomputed_flops_are_what_a_backward_pass_computes_more(
    monkeypatch: pytest.MonkeyPatch, mode: Literal["selective", "full"], options: dict[str, Any]
) -> None:
    """PyTorch's counter sees the matrix products, not what stands for the attention kernel."""
    patch_kernels(monkeypatch)
    config = msgspec.structs.replace(CONFIG, **options)
    rows, counted = torch.ones(1, 16, dtype=torch.int64), []
    for each in ("none", mode):
        model = parallelise(TransNormerLLM(config), World(), activation_checkpointing=each)
        with FlopCounterMode(display=False) as counter:
            model(rows).hidden.sum().backward()
        counted.append(counter.get_total_flops() / rows.numel())
    redone = [layer for layer in range(config.layers) if mode == "full" or layer % 2 == 0]
    attention = sum(config.attention_flops_per_token(layer) for layer in redone)
    plan = plan_training(config, gpus=1, activation_checkpointing=mode)
    assert plan.recomputed_flops_per_token - attention == counted[1] - counted[0]


def test_recomputation_takes_its_share_of_the_rate_and_is_not_in_the_mfu() -> None:
    seven = PRESETS["tnl-7b"]
    plain = plan_training(seven, gpus=8)
    assert plain.recomputed_flops_per_token == 0
    assert plain.expected_mfu == plain.mfu
    assert "recomputed" not in plain.text()
    for mode in ("selective", "full"):
        plan = plan_training(seven, gpus=8, activation_checkpointing=mode)
        executed = plan.tokens_per_second * (plan.flops_per_token + plan.recomputed_flops_per_token)
        assert executed == pytest.approx(8 * 989e12 * 0.4)
        assert plan.expected_mfu == pytest.approx(plan.tokens_per_second * plan.flops_per_token / (8 * 989e12))
        assert plan.days == pytest.approx(plain.days * plain.tokens_per_second / plan.tokens_per_second)
        share = plan.recomputed_flops_per_token / (plan.flops_per_token + plan.recomputed_flops_per_token)
        assert f"recomputed, {share:.1%}" in plan.text()


def test_masters_gradients_and_moments_are_what_adamw_allocates() -> None:
    model = TransNormerLLM(CONFIG).initialise(0)
    optimizer = make_optimizer(model, OptimizerSettings())
    tokens = torch.ones(1, 8, dtype=torch.int64)
    model(tokens, targets=tokens).losses.backward()
    optimizer.step()
    moments = sum(v.nbytes for state in optimizer.state.values() for v in state.values() if v.dim())
    parts = parts_of(plan_training(CONFIG, gpus=1))
    assert parts["float32 masters"] == sum(p.nbytes for p in model.parameters())
    assert parts["gradients"] == sum(p.grad.nbytes for p in model.parameters() if p.grad is not None)
    assert parts["AdamW moments"] == moments


def test_sharding_divides_what_is_sharded_and_checkpointing_saves_activations() -> None:
    seven = PRESETS["tnl-7b"]
    first, second = (parts_of(plan_training(seven, gpus=gpus)) for gpus in (8, 64))
    assert first["AdamW moments"] == pytest.approx(8 * second["AdamW moments"])
    assert first["activations kept"] == second["activations kept"]
    modes = [
        parts_of(plan_training(seven, gpus=8, activation_checkpointing=mode)) for mode in ("none", "selective", "full")
    ]
    sums = [parts["activations kept"] + parts.get("activations recomputed", 0) for parts in modes]
    assert sums[0] > sums[1] > sums[2]
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
