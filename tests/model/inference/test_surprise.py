"""Losses of tokens and hidden states of documents: the same alone and packed; features against their definitions."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'autoclave[train]'")

from autoclave.model.config import preset
from autoclave.model.inference.scoring import Scorer
from autoclave.model.inference.surprise import FEATURES, surprise_features, window_means
from autoclave.model.transnormer import TransNormerLLM


def test_losses_and_hidden_states_do_not_depend_on_the_neighbours() -> None:
    model = TransNormerLLM(preset("tnl-nano", vocabulary_size=300)).initialise(0)
    scorer = Scorer(model, pack_tokens=128, threads=1)
    draw = np.random.default_rng(0)
    documents = [draw.integers(3, 300, length) for length in (1, 7, 60, 127, 128, 129, 300, 0)]
    sizes = [len(one) * 3 + 1 for one in documents]
    packed = scorer.score_tokens(documents, sizes, pool=True)
    for number, one in enumerate(documents):
        alone = scorer.score_tokens([one], [sizes[number]], pool=True)
        assert np.array_equal(alone.losses[0], packed.losses[number])
        assert np.array_equal(alone.pooled[0], packed.pooled[number])
        assert alone.nll[0] == packed.nll[number]
        assert len(packed.losses[number]) == len(one) + 1
    assert np.allclose([one.sum(dtype=np.float64) for one in packed.losses], packed.nll, rtol=1e-6)


def test_the_pooled_state_is_the_mean_of_the_final_hidden_states() -> None:
    import torch

    model = TransNormerLLM(preset("tnl-nano", vocabulary_size=300)).initialise(0).eval()
    document = np.random.default_rng(1).integers(3, 300, 40)
    found = Scorer(model, pack_tokens=64, threads=1).score_tokens([document], [100], pool=True)
    with torch.inference_mode():
        inputs = torch.tensor([[model.config.bos_id, *document.tolist()]])
        hidden = model(inputs).hidden[0].double().mean(0).numpy()
    assert np.allclose(found.pooled[0], hidden, atol=1e-5)


def test_features_are_what_they_say() -> None:
    draw = np.random.default_rng(0)
    losses = [draw.gamma(2.0, 1.5, length).astype(np.float32) for length in (1, 5, 64, 200, 1000)]
    found = surprise_features(losses)
    assert tuple(found) == FEATURES
    for row, one in enumerate(losses):
        ordered = sorted(map(float, one))
        upper = max(1, round(len(ordered) / 10))
        assert found["surprise_mean"][row] == pytest.approx(sum(ordered) / len(ordered), rel=1e-5)
        assert found["surprise_upper"][row] == pytest.approx(sum(ordered[-upper:]) / upper, rel=1e-5)
        assert found["near_certain_share"][row] == pytest.approx(
            sum(np.exp(-value) > 0.9 for value in ordered) / len(ordered), abs=1e-6
        )
        windows = [one[at : at + 64] for at in range(0, max(1, len(one) // 64) * 64, 64)]
        windows[-1] = one[(len(windows) - 1) * 64 :]
        means = [float(np.mean(window, dtype=np.float64)) for window in windows]
        assert np.allclose(window_means(one), means)
        assert found["worst_window"][row] == pytest.approx(max(means), rel=1e-5)
    assert found["surprise_trend"][0] == 0
    rising = surprise_features([np.array([1, 1, 3, 3], dtype=np.float32)])
    assert rising["surprise_trend"][0] == 2
