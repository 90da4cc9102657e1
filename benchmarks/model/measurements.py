"""What speed.py measures on one device: a training step, scoring, decoding, and where a step's time goes."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from autoclave.model.config import ModelConfig
from autoclave.model.inference.decoding import GraphDecoder, decode
from autoclave.model.inference.generation import prefill
from autoclave.model.inference.scoring import Scorer
from autoclave.model.parallel.parallelize import World, parallelise
from autoclave.model.state import ModelState
from autoclave.model.training.metrics import peak_flops
from autoclave.model.training.optimizer import guarded_step, make_optimizer
from autoclave.model.training.settings import OptimizerSettings
from autoclave.model.transnormer import TransNormerLLM

Row = dict[str, Any]


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def median_seconds(function: Callable[[], Any], device: torch.device, repeats: int, warm_up: int) -> float:
    """Median wall seconds of a call, the device drained before and after each."""
    for _ in range(warm_up):
        function()
    times = []
    for _ in range(repeats):
        synchronise(device)
        start = time.perf_counter()
        function()
        synchronise(device)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def free(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def training_row(
    config: ModelConfig, device: torch.device, length: int, tokens: int, mode: str, checkpointing: str, repeats: int
) -> Row:
    """One optimizer step (forward, backward, clip, AdamW) over `tokens` tokens in rows of `length`, bfloat16."""
    free(device)
    model = TransNormerLLM(config).initialise(0).to(device)
    model = parallelise(model, World(), compile_layers=mode == "compile", activation_checkpointing=checkpointing)
    optimizer = make_optimizer(model, OptimizerSettings())
    world = World()
    ids = torch.randint(3, config.vocabulary_size, (1, tokens), device=device)
    bounds = torch.arange(0, tokens + 1, length, dtype=torch.int32, device=device)

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            losses = model(ids, targets=ids, cu_seqlens=bounds).losses
        (losses / tokens).backward()
        guarded_step(optimizer, world.gradient_norm(model), losses.detach(), 1.0)
        optimizer.zero_grad(set_to_none=True)

    seconds = median_seconds(step, device, repeats, warm_up=3)
    speed = tokens / seconds
    peak = peak_flops(device)
    return {
        "what": "train step",
        "length": length,
        "tokens": tokens,
        "mode": mode + ("" if checkpointing == "none" else f"+{checkpointing} recompute"),
        "tokens_per_second": round(speed),
        "mfu": None if peak is None else round(speed * config.training_flops_per_token() / peak, 4),
        "milliseconds": round(seconds * 1e3, 2),
        "memory_gb": round(torch.cuda.max_memory_allocated(device) / 1e9, 2) if device.type == "cuda" else None,
    }


def training_rows(
    config: ModelConfig, device: torch.device, lengths: list[int], tokens: int, mode: str, repeats: int
) -> list[Row]:
    """A row a length; what does not fit memory is measured again with every second layer recomputed."""
    rows: list[Row] = []
    for length in lengths:
        row: Row = {"what": "train step", "length": length, "mode": mode, "error": "out of memory"}
        for checkpointing in ("none", "selective", "full"):
            try:
                row = training_row(config, device, length, max(tokens, length), mode, checkpointing, repeats)
            except torch.cuda.OutOfMemoryError:
                continue
            except Exception as error:  # a row that fails is a result: report it and measure the others
                message = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
                row["error"] = message[:300]
            break
        rows.append(row)
        print(row, flush=True)
    return rows


def scoring_row(config: ModelConfig, device: torch.device, documents: int, pack: int) -> Row:
    """Tokens per second of per-document scoring in bfloat16, documents of log-normal lengths (median 400)."""
    free(device)
    random = np.random.default_rng(0)
    lengths = np.clip(np.exp(random.normal(6.0, 1.0, documents)).astype(int), 10, 200_000)
    texts = [random.integers(3, config.vocabulary_size, length).astype(np.uint16) for length in lengths]
    model = TransNormerLLM(config).initialise(0).to(device)
    if device.type == "cuda":
        for name, parameter in model.named_parameters():
            if parameter.dim() == 2 and not name.endswith("lrpe.theta"):
                parameter.data = parameter.data.bfloat16()
    scorer = Scorer(model, pack_tokens=pack)
    sizes = 4 * lengths
    first = scorer.score(texts, sizes)
    seconds = median_seconds(lambda: scorer.score(texts, sizes), device, 3, warm_up=0)
    shuffled = random.permutation(documents)
    again = scorer.score([texts[index] for index in shuffled], sizes[shuffled])
    peak = peak_flops(device)
    speed = int(first.tokens.sum()) / seconds
    return {
        "what": "score",
        "documents": documents,
        "pack_tokens": pack,
        "tokens_per_second": round(speed),
        "mfu": None if peak is None else round(speed * config.forward_flops_per_token() / peak, 4),
        "bit_identical_when_shuffled": bool((again.nll == first.nll[shuffled]).all()),
        "largest_relative_difference": float(np.max(np.abs(again.nll / first.nll[shuffled] - 1))),
        "memory_gb": round(torch.cuda.max_memory_allocated(device) / 1e9, 2) if device.type == "cuda" else None,
    }


@torch.inference_mode()
def decoding_rows(config: ModelConfig, device: torch.device, batches: list[int], repeats: int) -> list[Row]:
    """Microseconds a layer of one decoding step, eager and as a CUDA graph, and whether both agree."""
    free(device)
    model = TransNormerLLM(config).initialise(0).to(device).eval()
    if device.type == "cuda":
        for name, parameter in model.named_parameters():
            if parameter.dim() == 2 and not name.endswith("lrpe.theta"):
                parameter.data = parameter.data.bfloat16()
    rows: list[Row] = []
    for batch in batches:
        prompts = [[5 + row, 7, 9] for row in range(batch)]
        _, state = prefill(model, prompts)
        tokens = torch.full((batch,), 11, device=device)
        clone = ModelState([memory.clone() for memory in state.memory], state.positions.clone())
        eager = median_seconds(lambda t=tokens, s=clone: decode(model, t, s), device, repeats, warm_up=5)
        row: Row = {"what": "decode", "batch": batch, "eager_us_per_layer": round(eager / config.layers * 1e6, 2)}
        if device.type == "cuda":
            decoder = GraphDecoder(model, state)
            graph = median_seconds(lambda t=tokens, d=decoder: d.step(t), device, repeats, warm_up=5)
            row |= {"graph_us_per_layer": round(graph / config.layers * 1e6, 2), "graph_us_per_token": graph * 1e6}
            fresh = GraphDecoder(model, state)
            worst, plain = 0.0, state
            for token in range(5, 25):
                step = torch.full((batch,), token, device=device)
                logits, plain = decode(model, step, plain)
                worst = max(worst, float((fresh.step(step) - logits).abs().max()))
            row["graph_differs_by"] = worst
        rows.append(row)
        print(row, flush=True)
    return rows


def profile_step(config: ModelConfig, device: torch.device, length: int, tokens: int) -> str:
    """Where the time of a training step goes, by kernel."""
    free(device)
    model = TransNormerLLM(config).initialise(0).to(device)
    ids = torch.randint(3, config.vocabulary_size, (1, tokens), device=device)
    bounds = torch.arange(0, tokens + 1, length, dtype=torch.int32, device=device)

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            losses = model(ids, targets=ids, cu_seqlens=bounds).losses
        (losses / tokens).backward()
        model.zero_grad(set_to_none=True)

    step()
    with torch.profiler.profile() as profiler:
        step()
        synchronise(device)
    order = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    return str(profiler.key_averages().table(sort_by=order, row_limit=30, max_name_column_width=60))
