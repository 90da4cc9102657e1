"""Scores: equal to the oracle, the same to the bit in any company, at any length, in constant memory."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Shape, loss
from small_model import CONFIG, make_model

from autoclave.errors import InputError
from autoclave.model.config import encode_config
from autoclave.model.formats.checkpoint import save_weights
from autoclave.model.formats.convert import to_released
from autoclave.model.inference.scoring import Scorer

MODEL = make_model()


def documents(lengths: list[int], seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.integers(3, 211, length).astype(np.uint16) for length in lengths]


def test_nll_matches_the_oracle_and_bits_per_byte_its_definition() -> None:
    texts = documents([1, 7, 64, 130, 333])
    sizes = [3, 20, 200, 411, 1001]
    scores = Scorer(MODEL, pack_tokens=256).score(texts, sizes)
    weights = to_released({name: parameter.detach() for name, parameter in MODEL.named_parameters()})
    for index, tokens in enumerate(texts):
        whole = torch.tensor([1, *tokens.tolist(), 2])
        want = loss(whole[:-1], whole[1:], weights, Shape(layers=3, heads=4)).item()
        assert scores.nll[index] == pytest.approx(want, rel=1e-5)
        assert scores.bits_per_byte[index] == pytest.approx(want / math.log(2) / sizes[index], rel=1e-5)
    assert scores.tokens.tolist() == [2, 8, 65, 131, 334]
    assert scores.nll.dtype == np.float64


LENGTHS = st.lists(st.one_of(st.integers(0, 90), st.integers(120, 700)), min_size=1, max_size=12)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(lengths=LENGTHS, seed=st.integers(0, 5), data=st.data())
def test_a_score_is_bit_identical_whatever_it_is_packed_with(
    lengths: list[int], seed: int, data: st.DataObject
) -> None:
    scorer = Scorer(MODEL, pack_tokens=128, threads=1)
    texts = documents(lengths, seed)
    together = scorer.score(texts, [1] * len(texts)).nll
    alone = np.array([scorer.score([text], [1]).nll[0] for text in texts])
    assert together.tobytes() == alone.tobytes()
    order = data.draw(st.permutations(range(len(texts))))
    company = documents([17, 300, 128], seed + 100)
    mixed = scorer.score([*company, *(texts[index] for index in order)], [1] * (len(texts) + 3)).nll[3:]
    assert mixed.tobytes() == together[list(order)].tobytes()


def test_a_long_document_is_scored_in_segments_as_if_in_one_piece() -> None:
    (text,) = documents([5000])
    whole = Scorer(MODEL, pack_tokens=8192).score([text], [1]).nll[0]
    for pack in (128, 512, 4999, 5000, 5001):
        assert Scorer(MODEL, pack_tokens=pack).score([text], [1]).nll[0] == pytest.approx(whole, rel=1e-6)


def test_an_empty_document_costs_its_eos_and_has_no_bits_per_byte() -> None:
    scores = Scorer(MODEL, pack_tokens=64).score([np.array([], np.uint16)], [0])
    assert scores.tokens.tolist() == [1]
    assert scores.nll[0] > 0
    assert np.isnan(scores.bits_per_byte[0])
    nothing = Scorer(MODEL).score([], [])
    assert len(nothing.nll) == len(nothing.tokens) == 0


def test_tokens_of_another_tokenizer_are_refused() -> None:
    with pytest.raises(InputError, match="document 1: token 211 is outside"):
        Scorer(MODEL).score([np.array([5]), np.array([4, 211])], [1, 1])


def test_a_scorer_from_a_checkpoint_folder(tmp_path: Path) -> None:
    save_weights(tmp_path / "model.safetensors", dict(MODEL.named_parameters()))
    (tmp_path / "config.json").write_bytes(encode_config(CONFIG))
    texts = documents([50, 80])
    ours = Scorer.from_checkpoint(tmp_path, device="cpu", pack_tokens=256).score(texts, [1, 1])
    assert ours.nll.tobytes() == Scorer(MODEL, pack_tokens=256).score(texts, [1, 1]).nll.tobytes()
