"""What quality.py trains: TransNormerLLM with its options, Llama of the same size, and the tokens both read."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from autoclave.model.config import ModelConfig
from autoclave.model.transnormer import TransNormerLLM
from benchmarks.data import read_rows

VOCABULARY = 8192
TEXTS = ("edu_openstax/sections", "tech_peps/peps", "web_en_ewt/docs", "quality_dclm_human/docs")
SIZES = {
    "tiny": ModelConfig(vocabulary_size=VOCABULARY, hidden_size=128, layers=4, heads=4, glu_size=352),
    "small": ModelConfig(vocabulary_size=VOCABULARY, hidden_size=256, layers=6, heads=4, glu_size=704),
}
LLAMA = "Llama (SDPA)"
RELEASED = "as released"
NO_GATE = "no gate"
ABLATIONS: dict[str, dict[str, Any]] = {
    RELEASED: {},
    NO_GATE: {"gate": "none"},
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


def without_gate(size: ModelConfig) -> int:
    """The feed-forward width that makes up for the gate's D x D weights: D / 3 more, to a multiple of 8 for the GPU."""
    return size.glu_size + round(size.hidden_size / 24) * 8


def make_ours(size: ModelConfig, seed: int, **options: Any) -> nn.Module:
    return TransNormerLLM(msgspec.structs.replace(size, **options)).initialise(seed)


def make_llama(size: ModelConfig, seed: int) -> nn.Module:
    """Llama of the same depth, width and heads; its feed-forward is wider by the gate that it lacks."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=size.vocabulary_size,
            hidden_size=size.hidden_size,
            num_hidden_layers=size.layers,
            num_attention_heads=size.heads,
            num_key_value_heads=size.heads,
            intermediate_size=without_gate(size),
            max_position_embeddings=65_536,
            tie_word_embeddings=True,
            attn_implementation="sdpa",
        )
    )


def make_variant(name: str, size: ModelConfig, seed: int) -> nn.Module:
    """A row of the tables: Llama, or TransNormerLLM with one option changed."""
    if name == LLAMA:
        return make_llama(size, seed)
    options = ABLATIONS[name] | ({"glu_size": without_gate(size)} if name == NO_GATE else {})
    return make_ours(size, seed, **options)


def loss_of(model: nn.Module, rows: Tensor) -> Tensor:
    """Mean loss in nats a token; both models see each row as one sequence."""
    if isinstance(model, TransNormerLLM):
        return model(rows[:, :-1].contiguous(), targets=rows[:, 1:].contiguous(), reduction="mean").losses
    hidden = model.model(rows[:, :-1], use_cache=False).last_hidden_state.flatten(0, 1)
    with torch.autocast(rows.device.type, enabled=False):  # as ours: statistics of the softmax in float32
        logits = nn.functional.linear(hidden.float(), model.lm_head.weight)
        return nn.functional.cross_entropy(logits, rows[:, 1:].flatten())


class Tokens(NamedTuple):
    """Documents as [bos, t1..tn, eos], end to end; every tenth document is held out."""

    training: np.ndarray
    held_out: np.ndarray
    bytes_per_token: float

    def save(self, file: Path) -> None:
        np.savez_compressed(file, training=self.training, held_out=self.held_out, bytes_per_token=self.bytes_per_token)

    @classmethod
    def load(cls, file: Path) -> Tokens:
        with np.load(file, allow_pickle=False) as stored:
            return cls(stored["training"], stored["held_out"], float(stored["bytes_per_token"]))

    @classmethod
    def prepare(cls, folder: Path) -> Tokens:
        """Train the tokenizer on a quarter of the training documents and encode all of them."""
        from autoclave.tokenize.encoding import Encoder
        from autoclave.tokenize.training import TokenizerSettings, train_tokenizer

        texts = [row["text"] for name in TEXTS for row in read_rows(folder / f"{name}.jsonl.zst")]
        training = [text for index, text in enumerate(texts) if index % 10]
        held_out = [text for index, text in enumerate(texts) if index % 10 == 0]
        settings = TokenizerSettings(vocabulary_size=VOCABULARY, han_alphabet="none")
        encoder = Encoder(train_tokenizer(lambda: iter(training[::4]), settings))

        def encode(documents: list[str]) -> np.ndarray:
            offsets, ids = encoder.encode(documents)
            parts = [part for start, stop in itertools.pairwise(offsets) for part in ([1], ids[start:stop], [2])]
            return np.concatenate(parts).astype(np.uint16)

        held_out_ids = encode(held_out)
        return cls(encode(training), held_out_ids, sum(len(text.encode()) for text in held_out) / len(held_out_ids))


class Rows:
    """Rows of `length` + 1 tokens on a device; training rows come in an order that the seed alone fixes."""

    def __init__(self, tokens: Tokens, length: int, batch: int, held_out: int, device: torch.device) -> None:
        self.batch = batch
        self.training = self.cut(tokens.training, length).to(device)
        held_out_rows = self.cut(tokens.held_out, length)
        spread = np.linspace(0, len(held_out_rows) - 1, min(held_out, len(held_out_rows))).astype(np.int64)
        self.held_out = held_out_rows[torch.from_numpy(spread)].to(device)

    @staticmethod
    def cut(ids: np.ndarray, length: int) -> Tensor:
        """[rows, length + 1]; a row's last token is the next one's first, so that each is predicted once."""
        rows = (len(ids) - 1) // length
        starts = np.arange(rows)[:, None] * length
        return torch.from_numpy(ids.astype(np.int64)[starts + np.arange(length + 1)])

    def of_step(self, step: int, seed: int) -> Tensor:
        """The batch of one step: every row once an epoch, each epoch in an order of its own."""
        steps_per_epoch = len(self.training) // self.batch
        epoch, inside = divmod(step, steps_per_epoch)
        order = np.random.default_rng([seed, epoch]).permutation(len(self.training))
        chosen = order[inside * self.batch : (inside + 1) * self.batch]
        return self.training[torch.from_numpy(chosen).to(self.training.device)]
