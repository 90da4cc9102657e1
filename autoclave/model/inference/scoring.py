"""Documents in, negative log-likelihoods out: packed without padding, each document to the bit the same whatever it is
packed with on the CPU, documents of any length in constant memory.

Every forward pass has the same shape (`pack_tokens`), so that every matrix product takes the same path; a document is
cut only by its own length, at multiples of `pack_tokens`, and its state carried on. Nothing about a document's
arithmetic then depends on its neighbours.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from autoclave.errors import InputError
from autoclave.model.devices import cpu_threads, resolve_device
from autoclave.model.formats.checkpoint import load_model
from autoclave.model.state import ModelState
from autoclave.model.transnormer import TransNormerLLM

PACK_TOKENS_CPU = 2048
PACK_TOKENS_CUDA = 65_536
# Tails of long documents carry a state of megabytes each: this bounds how many wait together.
MOST_TAILS = 16
# Packs whose losses are not read back yet: the host lays out the next ones while the device works.
IN_FLIGHT = 2


@dataclass(frozen=True)
class Scores:
    """Arrays [documents]. nll: float64, nats, summed over t1..tn and eos; tokens: int64, n + 1;
    bits_per_byte: float64, nll / (ln 2 * bytes), NaN for a document of no bytes."""

    nll: np.ndarray
    tokens: np.ndarray
    bits_per_byte: np.ndarray


@dataclass(frozen=True)
class TokenScores(Scores):
    """Scores, and what they were summed from. losses: one float32 array [tokens] a document, nats, in text order;
    pooled: float32 [documents, hidden_size], the mean of the final hidden states, or None where it was not asked."""

    losses: list[np.ndarray]
    pooled: np.ndarray | None


@dataclass
class _Piece:
    """Part of a document: where its losses go, its inputs and targets, and the state it starts from."""

    document: int
    inputs: np.ndarray
    targets: np.ndarray
    state: ModelState | None = None


@dataclass
class _Pack:
    pieces: list[_Piece] = field(default_factory=list)
    tokens: int = 0

    def add(self, piece: _Piece) -> None:
        self.pieces.append(piece)
        self.tokens += len(piece.inputs)


class _Sums:
    """NLL by document, float64, and the losses of each. They are read back in the order in which packs were run, a few
    packs late. pool_size: width of the hidden states to add up by document, 0 for none."""

    def __init__(self, documents: int, pool_size: int = 0) -> None:
        self.nll = np.zeros(documents)
        self.losses: list[list[np.ndarray]] = [[] for _ in range(documents)]
        self.pooled = np.zeros((documents, pool_size), dtype=np.float64) if pool_size else None
        self.waiting: deque[tuple[_Pack, Tensor, Tensor | None, torch.cuda.Event | None]] = deque()

    def add(self, pack: _Pack, losses: Tensor, hidden: Tensor) -> None:
        """Take a pack's losses [pack_tokens] and hidden states [pack_tokens, hidden_size]; the device may still be
        computing them."""
        arrived = None
        pooled = None if self.pooled is None else _piece_sums(pack, hidden)
        if losses.is_cuda:
            # Queued right behind the pack itself: a later copy would wait for the packs after it, too.
            losses, arrived = losses.to("cpu", non_blocking=True), torch.cuda.Event()
            pooled = None if pooled is None else pooled.to("cpu", non_blocking=True)
            arrived.record()
        self.waiting.append((pack, losses, pooled, arrived))
        while len(self.waiting) > (0 if arrived is None else IN_FLIGHT):
            self._read()

    def finish(self) -> None:
        """Read back what is still on its way."""
        while self.waiting:
            self._read()

    def _read(self) -> None:
        pack, losses, pooled, arrived = self.waiting.popleft()
        if arrived is not None:
            arrived.synchronize()
        values = losses.numpy()
        start = 0
        for number, piece in enumerate(pack.pieces):
            part = values[start : start + len(piece.inputs)].copy()
            self.nll[piece.document] += part.sum(dtype=np.float64)
            self.losses[piece.document].append(part)
            if self.pooled is not None and pooled is not None:
                self.pooled[piece.document] += pooled[number].numpy()
            start += len(piece.inputs)


def _piece_sums(pack: _Pack, hidden: Tensor) -> Tensor:
    """Sum of the hidden states [pack_tokens, hidden_size] of each piece, float32 [pieces, hidden_size].

    Row after row within a piece, so that its neighbours change no bit.
    """
    lengths = torch.tensor([len(piece.inputs) for piece in pack.pieces], device=hidden.device)
    return torch.segment_reduce(hidden[: pack.tokens].float(), "sum", lengths=lengths, unsafe=True)


class Scorer:
    """Scores token sequences with one model. Holds no state between calls."""

    def __init__(self, model: TransNormerLLM, *, pack_tokens: int | None = None, threads: int | None = None) -> None:
        self.model = model.eval()
        self.config = model.config
        self.device = model.embedding.weight.device
        default = PACK_TOKENS_CUDA if self.device.type == "cuda" else PACK_TOKENS_CPU
        self.pack_tokens = pack_tokens or default
        self.threads = threads

    @classmethod
    def from_checkpoint(
        cls,
        folder: str | Path,
        *,
        device: str = "auto",
        pack_tokens: int | None = None,
        threads: int | None = None,
    ) -> Scorer:
        """A scorer for a checkpoint folder: bfloat16 matrices on CUDA, float32 on the CPU.

        Raises CheckpointError when the folder is not a whole checkpoint.
        """
        where = resolve_device(device)
        dtype = torch.bfloat16 if where.type == "cuda" else None
        return cls(load_model(folder, device=str(where), dtype=dtype), pack_tokens=pack_tokens, threads=threads)

    def score(self, documents: Sequence[np.ndarray], byte_counts: Sequence[int] | np.ndarray) -> Scores:
        """NLL of each document (raw token ids [n] of any integer dtype, no special tokens) in the order given.

        Each contributes targets [t1..tn, eos] after inputs [bos, t1..tn]. byte_counts: UTF-8 bytes of each text.
        Raises InputError for a token outside the vocabulary (another tokenizer's).
        """
        found = self.score_tokens(documents, byte_counts)
        return Scores(found.nll, found.tokens, found.bits_per_byte)

    def score_tokens(
        self, documents: Sequence[np.ndarray], byte_counts: Sequence[int] | np.ndarray, *, pool: bool = False
    ) -> TokenScores:
        """`score`, with the loss of every token (float32 [tokens] a document), and if asked the mean hidden states."""
        with cpu_threads(self.threads), torch.inference_mode():
            sums = self._score_all(documents, self.config.hidden_size if pool else 0)
        tokens = np.fromiter((len(document) + 1 for document in documents), np.int64, len(documents))
        counts = np.asarray(byte_counts, dtype=np.float64)
        bits = np.full(len(documents), np.nan)
        np.divide(sums.nll, counts * math.log(2), out=bits, where=counts > 0)
        losses = [parts[0] if len(parts) == 1 else np.concatenate(parts) for parts in sums.losses]
        pooled = None if sums.pooled is None else (sums.pooled / tokens[:, None]).astype(np.float32)
        return TokenScores(sums.nll, tokens, bits, losses, pooled)

    def _score_all(self, documents: Sequence[np.ndarray], pool_size: int) -> _Sums:
        sums = _Sums(len(documents), pool_size)
        by_length = sorted(range(len(documents)), key=lambda index: -len(documents[index]))
        tails = _Pack()
        short: list[_Piece] = []
        for index in by_length:
            piece = self._piece(index, documents[index])
            if len(piece.inputs) <= self.pack_tokens:
                short.append(piece)
                continue
            tail = self._run_long(piece, sums)
            if tails.tokens + len(tail.inputs) > self.pack_tokens or len(tails.pieces) == MOST_TAILS:
                self._run(tails, sums)
                tails = _Pack()
            tails.add(tail)
        if tails.pieces:
            self._run(tails, sums)
        for pack in first_fit(short, self.pack_tokens):
            self._run(pack, sums)
        sums.finish()
        return sums

    def _piece(self, index: int, tokens: np.ndarray) -> _Piece:
        tokens = np.asarray(tokens).astype(np.int64)
        if len(tokens) and (tokens.min() < 0 or tokens.max() >= self.config.vocabulary_size):
            raise InputError(
                f"document {index}: token {int(tokens.max())} is outside the model's vocabulary of "
                f"{self.config.vocabulary_size}; were the shards made with another tokenizer?"
            )
        inputs = np.concatenate([[self.config.bos_id], tokens])
        return _Piece(index, inputs, np.concatenate([tokens, [self.config.eos_id]]))

    def _run_long(self, piece: _Piece, sums: _Sums) -> _Piece:
        """Score all whole segments of a long document; returns what is left (1..pack_tokens) with its state."""
        state: ModelState | None = None
        size = self.pack_tokens
        whole = (len(piece.inputs) - 1) // size
        for start in range(0, whole * size, size):
            cut = slice(start, start + size)
            segment = _Pack([_Piece(piece.document, piece.inputs[cut], piece.targets[cut], state)], size)
            state = self._run(segment, sums, return_state=True)
        rest = slice(whole * size, None)
        return _Piece(piece.document, piece.inputs[rest], piece.targets[rest], state)

    def _run(self, pack: _Pack, sums: _Sums, return_state: bool = False) -> ModelState | None:
        """One forward pass over a pack, filled up to `pack_tokens` with ignored tokens of a sequence of their own."""
        inputs = np.zeros(self.pack_tokens, dtype=np.int64)
        targets = np.full(self.pack_tokens, -100, dtype=np.int64)
        np.concatenate([piece.inputs for piece in pack.pieces], out=inputs[: pack.tokens])
        np.concatenate([piece.targets for piece in pack.pieces], out=targets[: pack.tokens])
        bounds = np.cumsum([0, *(len(piece.inputs) for piece in pack.pieces)])
        if pack.tokens < self.pack_tokens:
            bounds = np.append(bounds, self.pack_tokens)
        output = self.model(
            self._tensor(inputs)[None],
            targets=self._tensor(targets)[None],
            cu_seqlens=self._tensor(bounds.astype(np.int32)),
            state=self._initial_state(pack, len(bounds) - 1),
            return_state=return_state,
            reduction="none",
        )
        assert output.losses is not None
        sums.add(pack, output.losses, output.hidden[0])
        return output.state

    def _initial_state(self, pack: _Pack, sequences: int) -> ModelState | None:
        states = [piece.state for piece in pack.pieces if piece.state is not None]
        if not states:
            return None
        assert len(states) == len(pack.pieces)
        if sequences > len(states):
            states.append(ModelState.zeros(self.config, sequences - len(states), self.device))
        return ModelState.concatenate(states)

    def _tensor(self, array: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(array)
        if self.device.type == "cuda":
            tensor = tensor.pin_memory()  # else the copy waits for all that was launched before it
        return tensor.to(self.device, non_blocking=True)


def first_fit(pieces: Iterable[_Piece], size: int, open_packs: int = 64) -> list[_Pack]:
    """Pieces, longest first, each into the first of the newest `open_packs` packs with room for it."""
    packs: list[_Pack] = []
    for piece in pieces:
        for pack in packs[-open_packs:]:
            if pack.tokens + len(piece.inputs) <= size:
                pack.add(piece)
                break
        else:
            packs.append(_Pack([piece], len(piece.inputs)))
    return packs
