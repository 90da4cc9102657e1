"""Token shards to training batches: packed, shuffled, mixed; batch(step) is a pure function, so resume is free.

The stream of a source (see stream.py) is a circle that each epoch cuts into blocks of `sequence_length`, from another
place each time, and reads in another order. Rows are counted over the whole job: row `step * batch_size * world_size +
rank * batch_size + i` is row i of a rank. So a job that goes on with another number of ranks, or with other batch sizes
that multiply to the same, reads the same rows at the same steps. Every position is read once an epoch.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xxhash

from autoclave.errors import RecipeError
from autoclave.tokenize.fingerprints import require_same_tokenizer
from autoclave.tokenize.order import Interleaving, Permutation
from autoclave.tokenize.shards import TokenMeaning
from autoclave.tokenize.stream import PositionStream, find_members, source_name

IGNORE = -100
"""Target of padding, the value that cross-entropy functions leave out by default."""

_GOLDEN = (5**0.5 - 1) / 2
"""Steps of this part of a block put the cuts of successive epochs as far apart as can be."""

PAD = 0
"""Input of padding; the released models pad with id 0 as well."""


@dataclass(frozen=True)
class TokenBatch:
    """One rank's rows of one step.

    inputs, targets: int64 [batch_size, sequence_length]; targets is IGNORE at padding only. cu_seqlens: int32 [N + 1],
    where the N segments of the flattened batch begin, and its length: a document's or a row's beginning, or padding's.
    epoch: passes that were complete over the source of the first row when it was read.
    """

    inputs: np.ndarray
    targets: np.ndarray
    cu_seqlens: np.ndarray
    epoch: int


class _Source:
    """One stream cut into blocks: row n of it, for any n, is block n % blocks of epoch n // blocks."""

    def __init__(self, name: str, key: str, stream: PositionStream, sequence_length: int, seed: int) -> None:
        """`key` and `seed` choose the orders: not the name, which may be a path that changes when a corpus moves."""
        self.name, self._key, self.stream, self._length, self._seed = name, key, stream, sequence_length, seed
        self.blocks = -(-stream.positions // sequence_length)
        self._orders: dict[int, tuple[Permutation, int]] = {}

    def _order(self, epoch: int) -> tuple[Permutation, int]:
        """Return the order of the blocks in an epoch and the position where its first block begins."""
        if epoch not in self._orders:
            if len(self._orders) > 4:
                self._orders.clear()
            start = xxhash.xxh3_64_intdigest(f"phase\x00{self._seed}\x00{self._key}".encode())
            phase = (start + epoch * round(_GOLDEN * self._length)) % self._length
            permutation = Permutation(self.blocks, "order", self._seed, self._key, epoch)
            self._orders[epoch] = (permutation, phase % self.stream.positions)
        return self._orders[epoch]

    def read(self, row: int, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Fill one row; return where segments begin in it. The last block of an epoch may end in padding."""
        permutation, phase = self._order(row // self.blocks)
        block = permutation(row % self.blocks)
        used = min(self._length, self.stream.positions - block * self._length)
        starts = self.stream.read(phase + block * self._length, inputs[:used], targets[:used])
        inputs[used:] = PAD
        targets[used:] = IGNORE
        return np.concatenate([starts, [used]]) if used < self._length else starts


class TokenLoader:
    """Batches of packed token sequences from token shards."""

    def __init__(
        self,
        shards: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | Mapping[str, str | os.PathLike[str]],
        *,
        sequence_length: int,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        """Open folders of token shards (with their manifest.json), or single .arrow files, or both.

        A mapping names its sources; otherwise a source's name is its path as written. With weights (source name ->
        share of the rows) each source is read in that proportion and has epochs of its own; without, all of them are
        one stream. Raises RecipeError for settings that make no sense, InputError, SchemaError and ShardError for
        shards that are absent, do not fit together, or are damaged.
        """
        if min(sequence_length, batch_size, world_size) < 1 or not 0 <= rank < world_size:
            raise RecipeError(
                f"sequence_length {sequence_length}, batch_size {batch_size}, world_size {world_size} must be at least "
                f"1 and rank {rank} below world_size"
            )
        if isinstance(shards, (str, os.PathLike)):
            shards = [shards]
        named = dict(shards) if isinstance(shards, Mapping) else {source_name(path): path for path in shards}
        self.sequence_length, self.batch_size, self.seed = sequence_length, batch_size, seed
        self.rank, self.world_size = rank, world_size
        chosen = _chosen(named, weights)
        groups = {name: [named[name]] for name in chosen} if chosen else {"": list(named.values())}
        streams = {name: PositionStream(*find_members(paths)) for name, paths in groups.items()}
        self.meaning: TokenMeaning = next(iter(streams.values())).meaning
        for name, stream in streams.items():
            require_same_tokenizer(
                self.meaning.tokenizer, stream.meaning.tokenizer, where=name, remedy="use one tokenizer for all sources"
            )
        keys = list(streams) if isinstance(shards, Mapping) else [str(index) for index in range(len(streams))]
        self._sources = [
            _Source(name, key, stream, sequence_length, seed)
            for key, (name, stream) in zip(keys, streams.items(), strict=True)
        ]
        self._mix = Interleaving(list(chosen.values())) if chosen else Interleaving([1.0])

    @property
    def tokens_per_epoch(self) -> int:
        """Positions of all sources together: their tokens, and one more a document."""
        return sum(source.stream.positions for source in self._sources)

    @property
    def rows_per_epoch(self) -> int:
        """Blocks of all sources together."""
        return sum(source.blocks for source in self._sources)

    @property
    def steps_per_epoch(self) -> int:
        """Steps after which every position has been read at least once; with weights, if they were proportional.

        The last step of an epoch also holds the first rows of the next, where the rows do not divide evenly.
        """
        return -(-self.rows_per_epoch // (self.batch_size * self.world_size))

    def batch(self, step: int) -> TokenBatch:
        """Return this rank's rows of `step` (0, 1, ...): the same for the same seed and shards, always."""
        shape = (self.batch_size, self.sequence_length)
        inputs, targets = np.empty(shape, dtype=np.int64), np.empty(shape, dtype=np.int64)
        first = (step * self.world_size + self.rank) * self.batch_size
        edges: list[np.ndarray] = []
        for index in range(self.batch_size):
            source, row = self._place(first + index)
            starts = source.read(row, inputs[index], targets[index])
            base = index * self.sequence_length
            edges += [np.array([base]), starts[starts > 0] + base]
        edges.append(np.array([inputs.size]))
        source, row = self._place(first)
        return TokenBatch(inputs, targets, np.concatenate(edges).astype(np.int32), row // source.blocks)

    def epochs(self, step: int) -> dict[str, float]:
        """Return how often each source has been read through before `step`, whole and part: 1.5 is one and a half."""
        rows = step * self.batch_size * self.world_size
        return {s.name: self._mix.count_before(i, rows) / s.blocks for i, s in enumerate(self._sources)}

    def _place(self, row: int) -> tuple[_Source, int]:
        """Return the source of a row of the job, and which of that source's rows it is."""
        index = self._mix.source(row)
        return self._sources[index], self._mix.count_before(index, row)


def _chosen(named: Mapping[str, object], weights: Mapping[str, float] | None) -> dict[str, float]:
    """Return the sources with a weight above zero, in the order of the shards; RecipeError where names do not match."""
    if weights is None:
        return {}
    weights = {source_name(name): weight for name, weight in weights.items()}
    unknown, missing = sorted(set(weights) - set(named)), sorted(set(named) - set(weights))
    if unknown or missing:
        raise RecipeError(f"weights name sources {unknown} that are not given, and leave out {missing}")
    if any(not weight >= 0 for weight in weights.values()) or not any(weights.values()):
        raise RecipeError(f"weights must not be negative, and one must be above zero: {weights}")
    return {name: weights[name] for name in named if weights[name] > 0}
