"""The model against the oracle of the published formulas, in float64 and float32, option by option."""

from __future__ import annotations

import msgspec
import pytest
import torch
from oracle import Shape, logits, loss

from autoclave.errors import RecipeError
from autoclave.model.config import PRESETS, ModelConfig, alibi_slopes, preset
from autoclave.model.formats.convert import to_released
from autoclave.model.state import ModelState
from autoclave.model.transnormer import TransNormerLLM

SMALL = ModelConfig(vocabulary_size=97, hidden_size=48, layers=3, heads=3, glu_size=64)


def build(seed: int = 0, dtype: torch.dtype = torch.float64, **options: object) -> TransNormerLLM:
    config = msgspec.structs.replace(SMALL, **options)
    model = TransNormerLLM(config).initialise(seed)
    with torch.no_grad():  # larger than at the start, so that no term is lost in the residual
        for name, parameter in model.named_parameters():
            if parameter.dim() == 2 and "theta" not in name and "embedding" not in name:
                parameter.mul_(5)
    return model.to(dtype)


def shape_of(config: ModelConfig) -> Shape:
    return Shape(
        layers=config.layers,
        heads=config.heads,
        scale_embedding=config.scale_embedding,
        decay=config.decay,
        temperature=config.decay_temperature,
        lrpe=config.lrpe,
        activation=config.mixer_activation,
        gate=config.gate,
        glu_activation=config.glu_activation,
    )


def oracle_weights(model: TransNormerLLM) -> dict[str, torch.Tensor]:
    return to_released({name: parameter.detach() for name, parameter in model.named_parameters()})


OPTIONS = [
    {},
    {"decay": "paper"},
    {"decay": "none", "lrpe": "all"},
    {"decay_temperature": False},
    {"decay_temperature": False, "decay": "paper"},
    {"lrpe": "none"},
    {"lrpe": "all"},
    {"mixer_activation": "elu1"},
    {"mixer_activation": "none"},
    {"gate": "none"},
    {"gate": "low_rank", "gate_rank": 4},
    {"glu_activation": "silu"},
    {"scale_embedding": False},
    {"heads": 4, "mixer_size": 64},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_option_matches_the_formulas_in_float64(options: dict[str, object]) -> None:
    model = build(**options)
    tokens = torch.randint(0, 97, (150,), generator=torch.Generator().manual_seed(1))
    got = model.logits(model(tokens[None]).hidden)[0]
    want = logits(tokens, oracle_weights(model), shape_of(model.config))
    assert got.dtype == torch.float64
    assert (got - want).abs().max() <= 1e-10


@pytest.mark.parametrize("decay", ["alibi", "paper"])
def test_float32_matches_the_float64_oracle(decay: str) -> None:
    model = build(dtype=torch.float32, decay=decay)
    tokens = torch.randint(0, 97, (300,), generator=torch.Generator().manual_seed(2))
    got = model.logits(model(tokens[None]).hidden)[0]
    want = logits(tokens, oracle_weights(model), shape_of(model.config))
    assert (got - want).abs().max() <= 1e-4


def test_loss_and_every_gradient_match_the_oracle() -> None:
    model = build(lrpe="first")
    tokens = torch.randint(0, 97, (90,), generator=torch.Generator().manual_seed(3))
    losses = model(tokens[None, :-1], targets=tokens[None, 1:]).losses
    losses.backward()
    weights = {name: value.clone().requires_grad_() for name, value in oracle_weights(model).items()}
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    want = loss(tokens[:-1], tokens[1:], weights, shape_of(model.config))
    want.backward()
    assert abs(losses.item() - want.item()) < 1e-10 * want.item()
    ours = to_released({name: parameter.grad for name, parameter in model.named_parameters()})
    for name, value in weights.items():
        scale = value.grad.abs().max()
        assert (ours[name] - value.grad).abs().max() <= 1e-10 * scale, name


def test_z_loss_and_every_gradient_match_the_oracle() -> None:
    """Chowdhery et al. 2022 (PaLM), section 5: z log^2 Z is added to each counted token's loss."""
    model, z_loss = build(), 0.03
    tokens = torch.randint(0, 97, (70,), generator=torch.Generator().manual_seed(4))
    inputs, targets = tokens[:-1], tokens[1:].clone()
    targets[::4] = -100
    value = model(inputs[None], targets=targets[None], reduction="mean", z_loss=z_loss).losses
    value.backward()
    weights = {name: value.clone().requires_grad_() for name, value in oracle_weights(model).items()}
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    scores, counted = logits(inputs, weights, shape_of(model.config)), targets != -100
    normaliser = scores.exp().sum(-1).log()[counted]
    plain = (normaliser - scores[counted].gather(-1, targets[counted][:, None])[:, 0]).mean()
    want = plain + z_loss * normaliser.square().mean()
    want.backward()
    assert value.item() == pytest.approx(want.item(), rel=1e-10)
    assert value.item() > plain.item() + 0.01
    ours = to_released({name: parameter.grad for name, parameter in model.named_parameters()})
    for name, weight in weights.items():
        assert (ours[name] - weight.grad).abs().max() <= 1e-10 * weight.grad.abs().max(), name


def test_packed_sequences_equal_each_alone_and_padding_free_rows_equal_batches() -> None:
    model = build(dtype=torch.float32)
    generator = torch.Generator().manual_seed(4)
    lengths = [1, 64, 130, 5, 0, 63]
    parts = [torch.randint(0, 97, (length,), generator=generator) for length in lengths]
    bounds = torch.tensor([0, *lengths]).cumsum(0).int()
    packed = model(torch.cat(parts)[None], cu_seqlens=bounds, return_state=True)
    for index, part in enumerate(parts):
        if not len(part):
            continue
        alone = model(part[None], return_state=True)
        start = int(bounds[index])
        torch.testing.assert_close(packed.hidden[0, start : start + len(part)], alone.hidden[0], rtol=0, atol=2e-5)
        for ours, theirs in zip(packed.state.memory, alone.state.memory, strict=True):
            torch.testing.assert_close(ours[index], theirs[0], rtol=0, atol=2e-5)
    assert packed.state.positions.tolist() == lengths


@pytest.mark.parametrize("options", [{}, {"absolute_positions": True}, {"gate": "none"}, {"norm": "rms"}], ids=str)
def test_splitting_a_sequence_anywhere_changes_nothing(options: dict[str, object]) -> None:
    model = build(**options).eval()
    tokens = torch.randint(0, 97, (2, 140), generator=torch.Generator().manual_seed(5))
    whole = model(tokens, return_state=True)
    for cuts in ([70], [1, 64, 65], [139], [3, 4, 5, 6]):
        state, pieces = None, []
        for start, stop in zip([0, *cuts], [*cuts, 140], strict=True):
            output = model(tokens[:, start:stop], state=state, return_state=True)
            state = output.state
            pieces.append(output.hidden)
        torch.testing.assert_close(torch.cat(pieces, 1), whole.hidden, rtol=0, atol=1e-10)
        for ours, theirs in zip(state.memory, whole.state.memory, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
        assert state.positions.tolist() == [140, 140]


def test_ablation_norms_match_pytorch() -> None:
    for name, reference in (("rms", torch.nn.functional.rms_norm), ("layer", torch.nn.functional.layer_norm)):
        model = build(norm=name)
        x = torch.randn(5, 48, dtype=torch.float64)
        torch.testing.assert_close(model.final_norm(x)[0], reference(x, (48,), eps=1e-6))


def test_state_is_constant_in_size_and_never_kept_on_the_module() -> None:
    model = build(dtype=torch.float32).eval()
    with torch.inference_mode():
        first = model(torch.ones(2, 10, dtype=torch.int64), return_state=True)
        again = model(torch.ones(2, 10, dtype=torch.int64), return_state=True)
    assert torch.equal(first.hidden, again.hidden)
    expected = ModelState.zeros(model.config, 2)
    assert [m.shape for m in first.state.memory] == [m.shape for m in expected.memory]
    assert first.state.memory[0].shape == (2, 3, 32, 16)  # LRPE doubles the key
    assert first.state.memory[1].shape == (2, 3, 16, 16)


# Counts as published (README of the release, file sizes), in millions: see the table of the specification.
PUBLISHED = {"tnl-385m": 398.98, "tnl-1b": 1020.27, "tnl-3b": 2911.1, "tnl-7b": 6836.7, "tnl-15b": 14833.4}


@pytest.mark.parametrize("name", PRESETS)
def test_parameter_counts(name: str) -> None:
    with torch.device("meta"):
        model = TransNormerLLM(PRESETS[name])
    counted = sum(parameter.numel() for parameter in model.parameters())
    assert counted == sum(PRESETS[name].parameter_count().values())
    if name in PUBLISHED:
        assert counted / 1e6 == pytest.approx(PUBLISHED[name], abs=0.06)


def test_parameter_count_formula_covers_every_option() -> None:
    for options in [*OPTIONS, {"norm": "rms"}, {"norm": "layer"}]:
        model = TransNormerLLM(msgspec.structs.replace(SMALL, **options))
        counted = sum(parameter.numel() for parameter in model.parameters())
        assert counted == sum(model.config.parameter_count().values()), options


def test_flops_per_token_are_the_published_ones() -> None:
    published = {"tnl-385m": 2.44, "tnl-1b": 6.19, "tnl-3b": 17.6, "tnl-7b": 41.3, "tnl-15b": 89.4}
    for name, gigaflops in published.items():
        assert PRESETS[name].training_flops_per_token() / 1e9 == pytest.approx(gigaflops, rel=0.005)


def test_slopes_of_released_sizes() -> None:
    assert alibi_slopes(8) == [2.0**-n for n in range(1, 9)]
    assert [round(slope, 3) for slope in alibi_slopes(40)[32:]] == [
        0.917, 0.771, 0.648, 0.545, 0.459, 0.386, 0.324, 0.273,
    ]  # fmt: skip
    assert len(alibi_slopes(20)) == 20


def test_bad_configurations_are_refused() -> None:
    with pytest.raises(RecipeError, match="unknown model preset 'gpt'"):
        preset("gpt")
    with pytest.raises(RecipeError, match="unknown field 'dropout'"):
        preset("tnl-tiny", dropout=0.1)
    with pytest.raises(RecipeError, match="not a multiple of heads"):
        preset("tnl-tiny", heads=3)
    with pytest.raises(RecipeError, match="Expected"):
        preset("tnl-tiny", layers="many")


def test_a_model_can_train_after_it_scored() -> None:
    model = build(dtype=torch.float32)
    tokens = torch.ones(1, 8, dtype=torch.int64)
    with torch.inference_mode():
        model(tokens, targets=tokens, reduction="none")
    model(tokens, targets=tokens).losses.backward()
    assert model.embedding.weight.grad is not None
