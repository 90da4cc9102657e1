"""Generation: equal to recomputing everything at each token, alone or in a batch, the first time and the second."""

from __future__ import annotations

import math

import pytest
import torch
from small_model import make_model

from autoclave.errors import InputError
from autoclave.model.inference import generation
from autoclave.model.inference.generation import SamplingSettings, beam_search, choose, generate, prefill, stream

MODEL = make_model(3).double().eval()
GREEDY = SamplingSettings(max_new_tokens=40, temperature=0, stop_at_eos=False)
PROMPTS = [[5, 9, 11], [7], list(range(3, 103)), [8, 8, 8, 8]]


def greedy_by_recomputing(prompt: list[int], count: int) -> list[int]:
    tokens = list(prompt)
    for _ in range(count):
        with torch.inference_mode():
            logits = MODEL.logits(MODEL(torch.tensor([tokens])).hidden[:, -1])
        tokens.append(int(logits.argmax()))
    return tokens[len(prompt) :]


def test_greedy_generation_equals_recomputing_from_scratch_twice_in_a_row() -> None:
    want = [greedy_by_recomputing(prompt, 40) for prompt in PROMPTS]
    first = generate(MODEL, PROMPTS, GREEDY)
    second = generate(MODEL, PROMPTS, GREEDY)  # the release's second generation was wrong: stale positions
    assert first == want
    assert second == first
    assert [generate(MODEL, [prompt], GREEDY)[0] for prompt in PROMPTS] == want


def test_prefill_in_segments_equals_prefill_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, state = prefill(MODEL, PROMPTS)
    monkeypatch.setattr(generation, "PREFILL_TOKENS", 33)
    segmented, other = prefill(MODEL, PROMPTS)
    torch.testing.assert_close(segmented, logits, rtol=0, atol=1e-9)
    assert other.positions.tolist() == state.positions.tolist() == [3, 1, 100, 4]
    for ours, theirs in zip(other.memory, state.memory, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)


def test_sampling_depends_on_the_seed_and_the_place_only() -> None:
    settings = SamplingSettings(max_new_tokens=20, temperature=0.9, top_k=50, top_p=0.95, seed=4)
    first = generate(MODEL, PROMPTS, settings)
    assert generate(MODEL, PROMPTS, settings) == first
    assert generate(MODEL, PROMPTS[:2], settings) == first[:2]
    assert generate(MODEL, PROMPTS, SamplingSettings(max_new_tokens=20, seed=5)) != first


def test_stream_yields_what_generate_returns_and_drops_ended_sequences() -> None:
    settings = SamplingSettings(max_new_tokens=400, temperature=1.5, seed=1)
    streamed = list(stream(MODEL, PROMPTS, settings))
    results = generate(MODEL, PROMPTS, settings)
    for row, result in enumerate(results):
        column = [step[row] for step in streamed]
        ended = column.index(2) if 2 in column else len(column)
        assert column[:ended] == result
        assert all(token is None for token in column[ended + 1 :])
    assert any(2 in [step[row] for step in streamed] for row in range(len(PROMPTS)))


def draw(logits: list[float], count: int = 4000, **options: float) -> torch.Tensor:
    settings = SamplingSettings(**options)
    generators = [torch.Generator().manual_seed(seed) for seed in range(count)]
    tokens = choose(torch.tensor([logits]).expand(count, -1), settings, generators)
    return torch.bincount(tokens, minlength=len(logits)) / count


def test_samples_follow_the_distribution_that_the_filters_leave() -> None:
    logits = [math.log(p) for p in (0.4, 0.3, 0.2, 0.07, 0.03)]
    expected = {
        "": ({}, [0.4, 0.3, 0.2, 0.07, 0.03]),
        "top_k": ({"top_k": 2}, [4 / 7, 3 / 7, 0, 0, 0]),
        "top_p": ({"top_p": 0.69}, [4 / 7, 3 / 7, 0, 0, 0]),
        "top_p_just_more": ({"top_p": 0.71}, [4 / 9, 3 / 9, 2 / 9, 0, 0]),
        "min_p": ({"min_p": 0.3}, [4 / 9, 3 / 9, 2 / 9, 0, 0]),
        "cold": ({"temperature": 0.5}, [p * p / 0.3058 for p in (0.4, 0.3, 0.2, 0.07, 0.03)]),
        "greedy": ({"temperature": 0}, [1, 0, 0, 0, 0]),
    }
    for name, (options, want) in expected.items():
        got = draw(logits, **options)
        assert torch.all(got[torch.tensor(want) == 0] == 0), name
        torch.testing.assert_close(got, torch.tensor(want, dtype=got.dtype), rtol=0, atol=0.03, msg=name)


def test_repetition_penalty_moves_seen_tokens_down() -> None:
    logits = torch.tensor([[2.0, -1.0, 3.0]])
    seen = torch.tensor([[True, True, False]])
    assert generation.penalise(logits, seen, 2.0).tolist() == [[1.0, -2.0, 3.0]]
    plain = generate(MODEL, [[5, 6, 7]], GREEDY)[0]
    varied = generate(
        MODEL,
        [[5, 6, 7]],
        SamplingSettings(
            max_new_tokens=40,
            temperature=0,
            stop_at_eos=False,
            repetition_penalty=1e6,
        ),
    )[0]
    assert len(set(varied)) == 40 > len(set(plain))


def log_probability(prompt: list[int], continuation: list[int]) -> float:
    tokens = torch.tensor([prompt + continuation])
    with torch.inference_mode():
        logits = MODEL.logits(MODEL(tokens[:, :-1]).hidden)[0, len(prompt) - 1 :]
    chosen = tokens[0, len(prompt) :, None]
    return float(torch.log_softmax(logits, -1).gather(-1, chosen).sum())


def test_beams_find_a_better_continuation_than_greedy_and_one_beam_is_greedy() -> None:
    prompt = [5, 9, 11]
    greedy = greedy_by_recomputing(prompt, 6)
    assert beam_search(MODEL, prompt, beams=1, max_new_tokens=6) == greedy
    wide = beam_search(MODEL, prompt, beams=16, max_new_tokens=6, length_penalty=0)
    assert log_probability(prompt, [*wide, 2] if len(wide) < 6 else wide) >= log_probability(prompt, greedy)
    # with two tokens and all of them as beams the search is exhaustive
    everything = beam_search(MODEL, prompt, beams=211, max_new_tokens=2, length_penalty=0)
    with torch.inference_mode():
        first = torch.log_softmax(MODEL.logits(MODEL(torch.tensor([prompt])).hidden[:, -1]), -1)[0]
        pairs = torch.tensor([[*prompt, token] for token in range(211)])
        second = torch.log_softmax(MODEL.logits(MODEL(pairs).hidden[:, -1]), -1)
    total = first[:, None] + second
    total[2] = first[2]  # ended at once
    best = divmod(int(total.argmax()), 211)
    assert everything in ([best[0], best[1]], [best[0]], [])
    assert log_probability(prompt, everything if len(everything) == 2 else [*everything, 2]) == pytest.approx(
        float(total.max()), abs=1e-9
    )


def test_bad_prompts_are_refused() -> None:
    for prompt in ([], [5, 211], [-1]):
        with pytest.raises(InputError, match="prompt 1"):
            generate(MODEL, [[5], prompt], GREEDY)


def test_a_hundred_thousand_tokens_stay_finite_and_equal_the_parallel_form() -> None:
    model = make_model(3).eval()
    tokens = torch.randint(3, 211, (1, 100_000), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        whole = model(tokens, return_state=True)
        _, state = prefill(model, [tokens[0, :99_900].tolist()])
        steps = []
        for position in range(99_900, 100_000):
            output = model(tokens[:, position : position + 1], state=state, return_state=True)
            state = output.state
            steps.append(output.hidden)
    stepped = torch.cat(steps, 1)
    assert torch.isfinite(whole.hidden).all()
    torch.testing.assert_close(stepped, whole.hidden[:, 99_900:], rtol=0, atol=2e-3)
    for ours, theirs in zip(state.memory, whole.state.memory, strict=True):
        assert (ours - theirs).abs().max() <= 1e-4 * theirs.abs().max()
    assert state.positions.tolist() == [100_000]
