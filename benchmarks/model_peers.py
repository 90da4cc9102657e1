"""TransNormerLLM beside a Transformer (Hugging Face Llama, SDPA) of the same size, on the same real tokens, on the CPU.

    python benchmarks/model_peers.py quality [--steps 150 --seeds 3]    loss at equal tokens, several seeds
    python benchmarks/model_peers.py ablation [--steps 150 --seeds 3]   the paper's ablations on the small budget
    python benchmarks/model_peers.py speed                              tokens/s by context, decode latency by length

Needs transformers. Text: edu_openstax and tech_peps of the data folder (AUTOCLAVE_DATA, or ../shared/data); every tenth
document is held out. With $OUT set, writes model_peers_<command>.json there.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zstandard
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from autoclave.model.config import ModelConfig
from autoclave.model.decoding import decode
from autoclave.model.generation import prefill
from autoclave.model.optimizer import OptimizerSettings, learning_rate, make_optimizer, set_learning_rate
from autoclave.model.transnormer import TransNormerLLM
from autoclave.tokenize.encoding import Encoder
from autoclave.tokenize.training import TokenizerSettings, train_tokenizer

VOCABULARY = 4096
LENGTH = 512
ROWS = 4
OURS = ModelConfig(vocabulary_size=VOCABULARY, hidden_size=128, layers=4, heads=4, glu_size=352)
ABLATIONS: dict[str, dict[str, Any]] = {
    "as released": {},
    "no gate": {"gate": "none", "glu_size": 395},
    "decay only (no LRPE)": {"lrpe": "none"},
    "LRPE, no decay": {"lrpe": "all", "decay": "none"},
    "LRPE-d in all layers": {"lrpe": "all"},
    "absolute positions": {"lrpe": "none", "decay": "none", "absolute_positions": True},
    "no decay temperature": {"decay_temperature": False},
    "decay of the paper": {"decay": "paper"},
    "q, k without activation": {"mixer_activation": "none"},
    "1 + elu": {"mixer_activation": "elu1"},
    "silu in SGLU": {"glu_activation": "silu"},
    "RMSNorm with weights": {"norm": "rms"},
    "LayerNorm": {"norm": "layer"},
}


class Corpus:
    """Token ids of real documents, [bos, t1..tn, eos] end to end, and a held-out part with its byte count."""

    def __init__(self, folder: Path) -> None:
        texts = [text for name in ("edu_openstax/sections", "tech_peps/peps") for text in self.read(folder, name)]
        training = [text for index, text in enumerate(texts) if index % 10]
        held_out = [text for index, text in enumerate(texts) if index % 10 == 0]
        settings = TokenizerSettings(vocabulary_size=VOCABULARY, han_alphabet="none")
        encoder = Encoder(train_tokenizer(lambda: iter(training[::4]), settings))
        self.training = self.encode(encoder, training)
        self.held_out = self.encode(encoder, held_out)
        held_bytes = sum(len(text.encode()) for text in held_out)
        self.bytes_per_token = held_bytes / len(self.held_out)

    @staticmethod
    def read(folder: Path, name: str) -> Iterator[str]:
        with open(folder / f"{name}.jsonl.zst", "rb") as file:
            stream = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8")
            for line in stream:
                yield json.loads(line)["text"]

    @staticmethod
    def encode(encoder: Encoder, texts: list[str]) -> np.ndarray:
        offsets, ids = encoder.encode(texts)
        parts = []
        for start, stop in itertools.pairwise(offsets):
            parts += [[1], ids[start:stop], [2]]
        return np.concatenate(parts).astype(np.int64)

    def batch(self, step: int, seed: int) -> Tensor:
        random = np.random.default_rng([seed, step])
        starts = random.integers(0, len(self.training) - LENGTH - 1, ROWS)
        return torch.from_numpy(np.stack([self.training[start : start + LENGTH + 1] for start in starts]))

    def held_out_rows(self, count: int) -> Iterator[Tensor]:
        for start in np.linspace(0, len(self.held_out) - LENGTH - 1, count).astype(int):
            yield torch.from_numpy(self.held_out[start : start + LENGTH + 1])[None]


def make_llama(seed: int) -> nn.Module:
    """Llama of the same depth, width and heads; its feed-forward is wider by the gate that it lacks (D / 3)."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=OURS.hidden_size,
            num_hidden_layers=OURS.layers,
            num_attention_heads=OURS.heads,
            num_key_value_heads=OURS.heads,
            intermediate_size=OURS.glu_size + round(OURS.hidden_size / 3),
            max_position_embeddings=65_536,
            tie_word_embeddings=True,
            attn_implementation="sdpa",
        )
    )


def make_ours(seed: int, **options: Any) -> nn.Module:
    import msgspec

    return TransNormerLLM(msgspec.structs.replace(OURS, **options)).initialise(seed)


def loss_of(model: nn.Module, rows: Tensor) -> Tensor:
    """Mean loss in nats a token; both models see each row as one sequence."""
    if isinstance(model, TransNormerLLM):
        return model(rows[:, :-1].contiguous(), targets=rows[:, 1:].contiguous(), reduction="mean").losses
    logits = model(rows[:, :-1], use_cache=False).logits
    return nn.functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())


def train_one(model: nn.Module, corpus: Corpus, seed: int, steps: int, rate: float) -> dict[str, float]:
    """Train on `steps` batches of the seed's order; returns the held-out loss and the speed."""
    # no weight decay: which of a model's tensors it spares is told by name, and names differ
    settings = OptimizerSettings(learning_rate=rate, warmup_steps=max(1, steps // 10), weight_decay=0.0)
    optimizer = make_optimizer(model, settings)
    start = time.process_time()
    for step in range(steps):
        set_learning_rate(optimizer, learning_rate(settings, step, steps))
        loss_of(model, corpus.batch(step, seed)).backward()
        nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    seconds = time.process_time() - start
    model.eval()
    with torch.no_grad():
        held_out = statistics.mean(float(loss_of(model, rows)) for rows in corpus.held_out_rows(60))
    return {
        "loss": held_out,
        "bits_per_byte": held_out / math.log(2) / corpus.bytes_per_token,
        "tokens_per_cpu_second": steps * ROWS * LENGTH / seconds,
    }


def summary(name: str, runs: list[dict[str, float]], model: nn.Module, rate: float) -> dict[str, Any]:
    losses = [run["loss"] for run in runs]
    row = {
        "model": name,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "learning_rate": rate,
        "loss_mean": round(statistics.mean(losses), 4),
        "loss_deviation": round(statistics.stdev(losses), 4) if len(losses) > 1 else None,
        "bits_per_byte": round(statistics.mean(run["bits_per_byte"] for run in runs), 4),
        "tokens_per_cpu_second": round(statistics.median(run["tokens_per_cpu_second"] for run in runs)),
    }
    print(row, flush=True)
    return row


def quality(corpus: Corpus, steps: int, seeds: int) -> list[dict[str, Any]]:
    """Each model at the better of its learning rates (chosen on a seed of its own), then `seeds` seeds."""
    rows = []
    makers: dict[str, Callable[[int], nn.Module]] = {"TransNormerLLM": make_ours, "Llama (SDPA)": make_llama}
    for name, make in makers.items():
        tried = {rate: train_one(make(99), corpus, 99, steps, rate)["loss"] for rate in (1e-3, 3e-3, 6e-3)}
        print(name, "loss by learning rate", {rate: round(loss, 4) for rate, loss in tried.items()}, flush=True)
        rate = min(tried, key=lambda key: tried[key])
        runs = [train_one(make(seed), corpus, seed, steps, rate) for seed in range(seeds)]
        rows.append(summary(name, runs, make(0), rate))
    return rows


def ablation(corpus: Corpus, steps: int, seeds: int) -> list[dict[str, Any]]:
    """Every published ablation at the same tokens, seeds and learning rate."""
    rows = []
    for name, options in ABLATIONS.items():
        runs = [train_one(make_ours(seed, **options), corpus, seed, steps, 3e-3) for seed in range(seeds)]
        rows.append(summary(name, runs, make_ours(0, **options), 3e-3))
    return rows


def timed(function: Callable[[], Any], repeats: int = 3) -> float:
    function()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def speed() -> list[dict[str, Any]]:
    """CPU seconds (one thread), random weights: training and scoring by context, one decoding step by length."""
    rows = []
    ours, llama = make_ours(0), make_llama(0)
    for length in (512, 2048, 8192, 16_384):
        tokens = torch.randint(3, VOCABULARY, (1, length + 1))
        row: dict[str, Any] = {"context": length}
        for name, model in (("ours", ours), ("llama", llama)):
            row[f"{name}_train_tokens_per_s"] = round(
                length / timed(lambda m=model, t=tokens: loss_of(m, t).backward())
            )
            with torch.no_grad():
                row[f"{name}_score_tokens_per_s"] = round(length / timed(lambda m=model, t=tokens: loss_of(m, t)))
        rows.append(row)
        print(row, flush=True)
    for length in (1024, 8192, 32_768):
        prompt = torch.randint(3, VOCABULARY, (length,)).tolist()
        with torch.inference_mode():
            _, state = prefill(ours, [prompt])
            token = torch.tensor([5])
            step = timed(lambda s=state, t=token: decode(ours, t, s), 20)
            past = llama(torch.tensor([prompt]), use_cache=True, logits_to_keep=1).past_key_values

            def advance(p: Any = past, t: Tensor = token) -> None:
                llama(t[None], past_key_values=p, use_cache=True)
                p.crop(-1)

            other = timed(advance, 20)
        state_bytes = sum(memory.nbytes for memory in state.memory)
        cache_bytes = 2 * 4 * OURS.layers * OURS.hidden_size * length
        row = {"decode_after": length, "ours_ms": round(step * 1e3, 3), "llama_ms": round(other * 1e3, 3)}
        rows.append(row | {"ours_state_bytes": state_bytes, "llama_cache_bytes": cache_bytes})
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["quality", "ablation", "speed"])
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.command == "speed":
        rows = speed()
    else:
        default = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
        corpus = Corpus(Path(os.environ.get("AUTOCLAVE_DATA", default)))
        print(f"{len(corpus.training):,} training tokens, {len(corpus.held_out):,} held out", flush=True)
        rows = {"quality": quality, "ablation": ablation}[arguments.command](corpus, arguments.steps, arguments.seeds)
    if os.environ.get("OUT"):
        Path(os.environ["OUT"], f"model_peers_{arguments.command}.json").write_text(json.dumps(rows, indent=1))
    print("\n".join(" ".join(f"{key}={value}" for key, value in row.items()) for row in rows))


if __name__ == "__main__":
    main()
