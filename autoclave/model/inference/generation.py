"""Generation: prompts of any lengths in one batch, constant time and memory a token, nothing kept between calls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import torch
from torch import Tensor

from autoclave.errors import InputError
from autoclave.model.inference.decoding import EagerDecoder, GraphDecoder, decode
from autoclave.model.state import ModelState
from autoclave.model.transnormer import TransNormerLLM

PREFILL_TOKENS = 8192


class SamplingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the next token is chosen.

    max_new_tokens: stop after so many
    temperature: 0 = always the most likely token
    top_k: only the k most likely; 0 = all
    top_p: only the smallest set of tokens with at least this probability together (nucleus, Holtzman et al. 2020)
    min_p: only tokens at least this share as likely as the most likely one
    repetition_penalty: divide positive logits of tokens already there by it, multiply negative ones (CTRL, 2019)
    stop_at_eos: end a sequence at the model's eos token
    seed: of the sampling; a sequence's draws depend on the seed and its place in the batch only
    """

    max_new_tokens: int = 128
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    stop_at_eos: bool = True
    seed: int = 0


@torch.inference_mode()
def prefill(model: TransNormerLLM, prompts: Sequence[Sequence[int]]) -> tuple[Tensor, ModelState]:
    """Logits [prompts, vocabulary] after each prompt's last token, dtype as in `logits`, and the states there.

    Prompts are packed end to end, without padding; a long one goes in segments, in constant memory.
    Raises InputError for an empty prompt or a token outside the vocabulary.
    """
    size = model.config.vocabulary_size
    for index, prompt in enumerate(prompts):
        if not prompt or min(prompt) < 0 or max(prompt) >= size:
            raise InputError(f"prompt {index}: must have tokens, each in 0..{size - 1}")
    device = model.embedding.weight.device
    if sum(len(prompt) for prompt in prompts) <= PREFILL_TOKENS:
        flat = torch.tensor([token for prompt in prompts for token in prompt], device=device)
        bounds = torch.tensor([0, *(len(prompt) for prompt in prompts)], device=device).cumsum(0)
        output = model(flat[None], cu_seqlens=bounds.int(), return_state=True)
        return model.logits(output.hidden[0, bounds[1:] - 1]), output.state
    states, logits = [], []
    for prompt in prompts:
        state: ModelState | None = None
        for start in range(0, len(prompt), PREFILL_TOKENS):
            tokens = torch.tensor([prompt[start : start + PREFILL_TOKENS]], device=device)
            output = model(tokens, state=state, return_state=True)
            state = output.state
        assert state is not None
        states.append(state)
        logits.append(model.logits(output.hidden[:, -1]))
    return torch.cat(logits), ModelState.concatenate(states)


def penalise(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Repetition penalty on the tokens marked in `seen`, bool; both [..., vocabulary]."""
    if penalty == 1.0:
        return logits
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


def filtered_probabilities(logits: Tensor, settings: SamplingSettings) -> tuple[Tensor, Tensor]:
    """Probabilities [n, vocabulary] in falling order after temperature, top-k, top-p and min-p, and their token ids.

    logits: [n, vocabulary]; probabilities are float32, token ids int64.

    The filters apply in that order, each to the probabilities before any renormalisation of its own.
    """
    ordered, tokens = torch.sort(logits.float() / settings.temperature, dim=-1, descending=True, stable=True)
    probabilities = torch.softmax(ordered, -1)
    if settings.top_k:
        probabilities[..., settings.top_k :] = 0
        probabilities = probabilities / probabilities.sum(-1, keepdim=True)
    if settings.top_p < 1:
        before = probabilities.cumsum(-1) - probabilities
        probabilities = probabilities.masked_fill(before >= settings.top_p, 0)
        probabilities = probabilities / probabilities.sum(-1, keepdim=True)
    if settings.min_p > 0:
        probabilities = probabilities.masked_fill(probabilities < settings.min_p * probabilities[..., :1], 0)
        probabilities = probabilities / probabilities.sum(-1, keepdim=True)
    return probabilities, tokens


def choose(logits: Tensor, settings: SamplingSettings, generators: Sequence[torch.Generator]) -> Tensor:
    """The next token of each sequence, int64 [n], by inverse transform of one uniform number from its own generator.

    logits: [n, vocabulary] of any floating-point dtype; at temperature 0 the largest, no number is drawn.
    """
    if settings.temperature == 0:
        return logits.argmax(-1)
    probabilities, tokens = filtered_probabilities(logits, settings)
    draws = torch.tensor([[torch.rand((), generator=generator).item()] for generator in generators])
    cumulative = probabilities.cumsum(-1)
    place = torch.searchsorted(cumulative, draws.to(cumulative.device) * cumulative[:, -1:], right=True)
    last = (probabilities > 0).sum(-1, keepdim=True) - 1
    return tokens.gather(-1, torch.minimum(place, last))[:, 0]


@torch.inference_mode()
def stream(
    model: TransNormerLLM, prompts: Sequence[Sequence[int]], settings: SamplingSettings
) -> Iterator[list[int | None]]:
    """Yield, step by step, each sequence's next token, None once it has ended. eos itself is yielded.

    On the CPU sequences that ended cost nothing more; on a GPU the batch stays as it is, in one CUDA graph.
    """
    logits, state = prefill(model, prompts)
    advance = GraphDecoder(model, state) if logits.is_cuda else EagerDecoder(model, state)
    generators = [torch.Generator().manual_seed(settings.seed * 1_000_003 + row) for row in range(len(prompts))]
    seen = torch.zeros(logits.shape, dtype=torch.bool, device=logits.device)
    for row, prompt in enumerate(prompts):
        seen[row, list(prompt)] = True
    rows = list(range(len(prompts)))  # the prompt of each sequence still in the batch
    ended: set[int] = set()
    for step in range(settings.max_new_tokens):
        penalised = penalise(logits, seen, settings.repetition_penalty)
        tokens = choose(penalised, settings, [generators[row] for row in rows])
        result: list[int | None] = [None] * len(prompts)
        for row, value in zip(rows, tokens.tolist(), strict=True):
            if row not in ended:
                result[row] = value
            if settings.stop_at_eos and value == model.config.eos_id:
                ended.add(row)
        yield result
        if len(ended) == len(prompts) or step + 1 == settings.max_new_tokens:
            return
        seen[torch.arange(len(rows), device=seen.device), tokens] = True
        if ended.intersection(rows) and isinstance(advance, EagerDecoder):
            places = [place for place, row in enumerate(rows) if row not in ended]
            rows = [rows[place] for place in places]
            index = torch.tensor(places, dtype=torch.int64, device=tokens.device)
            tokens, seen = tokens[index], seen[index]
            advance.keep(index)
        logits = advance.step(tokens)


def generate(model: TransNormerLLM, prompts: Sequence[Sequence[int]], settings: SamplingSettings) -> list[list[int]]:
    """New tokens of each prompt, without the eos that ended it."""
    results: list[list[int]] = [[] for _ in prompts]
    for step in stream(model, prompts, settings):
        for result, token in zip(results, step, strict=True):
            if token is not None and not (settings.stop_at_eos and token == model.config.eos_id):
                result.append(token)
    return results


@torch.inference_mode()
def beam_search(
    model: TransNormerLLM, prompt: Sequence[int], *, beams: int, max_new_tokens: int, length_penalty: float = 1.0
) -> list[int]:
    """The most likely continuation that beam search finds, scored by log-probability / length^length_penalty."""
    logits, state = prefill(model, [prompt])
    eos = model.config.eos_id
    scores = torch.zeros(1, device=logits.device)
    sequences: list[list[int]] = [[]]
    finished: list[tuple[float, list[int]]] = []
    for length in range(1, max_new_tokens + 1):
        total = scores[:, None] + torch.log_softmax(logits.float(), -1)
        best, flat = total.flatten().topk(min(2 * beams, total.numel()))
        parents, tokens = flat // total.shape[1], flat % total.shape[1]
        keep: list[int] = []
        for place, (score, token) in enumerate(zip(best.tolist(), tokens.tolist(), strict=True)):
            if token == eos:
                finished.append((score / length**length_penalty, sequences[int(parents[place])]))
            elif len(keep) < beams:
                keep.append(place)
        finished = sorted(finished, key=lambda item: -item[0])[:beams]
        chosen = torch.tensor(keep, dtype=torch.int64, device=logits.device)
        sequences = [[*sequences[int(parents[place])], int(tokens[place])] for place in keep]
        scores = best[chosen]
        bound = float(scores[0]) / (max_new_tokens if length_penalty > 0 else length) ** length_penalty
        if len(finished) == beams and bound <= finished[-1][0]:
            break
        if length < max_new_tokens:
            logits, state = decode(model, tokens[chosen], state.select(parents[chosen]))
    candidates = [
        (float(score) / max(len(s), 1) ** length_penalty, s) for score, s in zip(scores, sequences, strict=True)
    ]
    return max([*finished, *candidates], key=lambda item: item[0])[1]
