"""Speed and memory beside Hugging Face's Llama (SDPA): one CPU thread, random weights, the sizes of "tiny".

    python -m benchmarks.model.speed_beside_llama [--results FILE]

Tokens a second of training and scoring by context, and decoding by the length of what came before. Prints each row as
it is measured; all of them are in $OUT/model_speed_beside_llama.json, or --results, at the end. Needs transformers.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autoclave.model.inference.decoding import decode
from autoclave.model.inference.generation import prefill
from benchmarks.model.variants import SIZES, loss_of, make_llama, make_ours

SIZE = SIZES["tiny"]


def timed(function: Callable[[], Any], repeats: int = 3) -> float:
    """CPU seconds of the fastest of some calls, after one that does not count."""
    function()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def by_context(name: str, length: int) -> dict[str, Any]:
    """Training and scoring of one row of this length, and what a training step adds to the resident memory."""
    torch.set_num_threads(1)
    model = {"ours": make_ours, "llama": make_llama}[name](SIZE, 0)
    tokens = torch.randint(3, SIZE.vocabulary_size, (1, length + 1))
    loss_of(model, tokens[:, :65]).backward()  # libraries and kernels are loaded, gradients have their memory
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    loss_of(model, tokens).backward()
    added = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    train = timed(lambda: loss_of(model, tokens).backward())
    with torch.no_grad():
        score = timed(lambda: loss_of(model, tokens))
    return {
        f"{name}_train_tokens_per_s": round(length / train),
        f"{name}_score_tokens_per_s": round(length / score),
        f"{name}_train_mb": round(added / 1024),
    }


def by_position(length: int) -> dict[str, Any]:
    """One decoding step after `length` tokens, and what each model remembers of them."""
    ours, llama = make_ours(SIZE, 0), make_llama(SIZE, 0)
    prompt = torch.randint(3, SIZE.vocabulary_size, (length,)).tolist()
    token = torch.tensor([5])
    with torch.inference_mode():
        _, state = prefill(ours, [prompt])
        step = timed(lambda: decode(ours, token, state), 20)
        past = llama(torch.tensor([prompt]), use_cache=True, logits_to_keep=1).past_key_values

        def advance(next_token: Tensor = token) -> None:
            llama(next_token[None], past_key_values=past, use_cache=True)
            past.crop(-1)

        other = timed(advance, 20)
    return {
        "decode_after": length,
        "ours_ms": round(step * 1e3, 3),
        "llama_ms": round(other * 1e3, 3),
        "ours_state_bytes": sum(memory.nbytes for memory in state.memory),
        "llama_cache_bytes": 2 * 4 * SIZE.layers * SIZE.hidden_size * length,
    }


def speed() -> list[dict[str, Any]]:
    """A row a context, then a row a position. Contexts have a process each: peak memory only ever rises."""
    rows = []
    context = multiprocessing.get_context("spawn")
    for length in (512, 2048, 8192, 16_384):
        row: dict[str, Any] = {"context": length}
        for name in ("ours", "llama"):
            with ProcessPoolExecutor(1, context) as pool:
                row |= pool.submit(by_context, name, length).result()
        rows.append(row)
        print(row, flush=True)
    for length in (1024, 8192, 32_768):
        rows.append(by_position(length))
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results = arguments.results or Path(os.environ.get("OUT", "."), "model_speed_beside_llama.json")
    results.write_text(json.dumps(speed(), indent=1))


if __name__ == "__main__":
    main()
