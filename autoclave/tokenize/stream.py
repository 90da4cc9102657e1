"""The documents of many token shards as one stream of positions that can be read from anywhere.

A document of n tokens takes n + 1 positions: position 0 reads `bos` and predicts its first token, position n reads its
last token and predicts `eos`. The stream of a source is all its documents, in the order of its shards. What is held in
memory is one number a record batch; documents inside a batch are found by bisection in its mapped offsets.
"""

from __future__ import annotations

import bisect
import os
import posixpath
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from autoclave.errors import InputError, SchemaError
from autoclave.tokenize.fingerprints import require_same_tokenizer
from autoclave.tokenize.shards import (
    MANIFEST,
    BatchCounts,
    TokenBatchView,
    TokenMeaning,
    TokenShard,
    open_listed,
    read_manifest,
)

OPEN_SHARDS = 256
"""Shards kept open at a time: under the usual limit of 1,024 open files, with room for the trainer's own."""

OPEN_BATCHES = 512
"""Record batches whose views are kept: a view is two pointers, finding it again costs some 50 microseconds."""


@dataclass(frozen=True)
class _Member:
    """One shard of a stream: how to open it, and how large its record batches are."""

    open: Callable[[], TokenShard]
    batches: Sequence[BatchCounts]


def find_members(paths: Sequence[str | os.PathLike[str]]) -> tuple[list[_Member], TokenMeaning]:
    """Return the shards of folders (through their manifests) and of single files, and what their tokens mean.

    Raises InputError where there is nothing to read, SchemaError where tokenizers differ, ShardError for damaged files.
    """
    members: list[_Member] = []
    meaning: TokenMeaning | None = None
    for path in (os.fspath(path) for path in paths):
        found, its = _file_member(path) if path.endswith(".arrow") else _folder_members(path)
        members += found
        if meaning is not None:
            require_same_tokenizer(
                meaning.tokenizer, its.tokenizer, where=path, remedy="tokenize all sources with one tokenizer"
            )
        meaning = its
    if meaning is None or not any(count.documents for member in members for count in member.batches):
        raise InputError(f"no tokens in {', '.join(str(path) for path in paths) or 'an empty list of shards'}")
    return members, meaning


def _file_member(path: str) -> tuple[list[_Member], TokenMeaning]:
    shard = TokenShard(path)
    return [_Member(lambda: TokenShard(path), shard.counts())], shard.meaning


def _folder_members(path: str) -> tuple[list[_Member], TokenMeaning]:
    url = path.rstrip("/").removesuffix(f"/{MANIFEST}")
    manifest = read_manifest(url)
    members = [
        _Member(lambda entry=entry: open_listed(url, manifest, entry), entry.batches)  # type: ignore[misc]
        for entry in manifest.shards
    ]
    return members, manifest.meaning


def source_name(path: str | os.PathLike[str]) -> str:
    """Return the name that a source goes by where none is given: its path as written, without a final slash."""
    return posixpath.normpath(os.fspath(path)) if "://" not in os.fspath(path) else os.fspath(path).rstrip("/")


class PositionStream:
    """All positions of a list of shards, readable from any place."""

    def __init__(self, members: Sequence[_Member], meaning: TokenMeaning) -> None:
        self.meaning = meaning
        self._members = members
        place = [(m, b, c) for m, member in enumerate(members) for b, c in enumerate(member.batches) if c.documents]
        self._shard_of = np.array([m for m, _, _ in place], dtype=np.int32)
        self._batch_of = np.array([b for _, b, _ in place], dtype=np.int32)
        sizes = np.array([c.documents + c.tokens for _, _, c in place], dtype=np.int64)
        self._ends = np.cumsum(sizes)
        self._shards: OrderedDict[int, TokenShard] = OrderedDict()
        self._views: OrderedDict[int, TokenBatchView] = OrderedDict()

    @property
    def positions(self) -> int:
        """Positions in all: tokens + documents."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def read(self, start: int, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Fill `inputs` and `targets` (int64 [L]) with positions start .. start + L - 1, going on at the beginning
        after the last position; return where documents begin in them (int64, ascending).

        Raises SchemaError for an id outside of the vocabulary.
        """
        starts: list[np.ndarray] = []
        filled = 0
        while filled < len(inputs):
            position = (start + filled) % self.positions
            index = int(np.searchsorted(self._ends, position, side="right"))
            first = int(self._ends[index - 1]) if index else 0
            take = min(len(inputs) - filled, int(self._ends[index]) - position)
            part = slice(filled, filled + take)
            starts.append(filled + self._fill(self._view(index), position - first, inputs[part], targets[part]))
            self._require_known(index, inputs[part], targets[part])
            filled += take
        return np.concatenate(starts) if starts else np.empty(0, dtype=np.int64)

    def _require_known(self, index: int, inputs: np.ndarray, targets: np.ndarray) -> None:
        largest = max(int(inputs.max()), int(targets.max()))
        if largest >= self.meaning.vocabulary_size:
            path = self._shard(int(self._shard_of[index])).path
            raise SchemaError(
                f"{path}: holds the token {largest}, outside of its vocabulary of {self.meaning.vocabulary_size}; "
                "make it again with the tokenizer that it names"
            )

    def _fill(self, view: TokenBatchView, start: int, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Fill a span that lies inside one record batch.

        Document j begins at position offsets[j] - offsets[0] + j of the batch. Before position p of the inputs stand p
        less the `bos` before it tokens, and of the targets p less the `eos` before it; so both are one slice of the
        values with a few places left out.
        """
        values, offsets = view.values, view.offsets
        base, length = int(offsets[0]), len(inputs)
        begin = _first_document(offsets, base, start)  # first document that begins at or after `start`
        end = _first_document(offsets, base, start + length)
        starts = offsets[begin:end].astype(np.int64) + (np.arange(begin, end) - base - start)
        _interleave(inputs, values, start - begin, starts, self.meaning.bos_id)
        last = begin if len(starts) and starts[0] == 0 else begin - 1  # the document that `start` lies in
        ends = offsets[last + 1 : end + 1].astype(np.int64) + (np.arange(last, end) - base - start)
        _interleave(targets, values, start - last, ends[ends < length], self.meaning.eos_id)
        return starts

    def _view(self, index: int) -> TokenBatchView:
        if index in self._views:
            self._views.move_to_end(index)
            return self._views[index]
        view = self._shard(int(self._shard_of[index])).view(int(self._batch_of[index]))
        self._views[index] = view
        if len(self._views) > OPEN_BATCHES:
            self._views.popitem(last=False)
        return view

    def _shard(self, index: int) -> TokenShard:
        if index in self._shards:
            self._shards.move_to_end(index)
            return self._shards[index]
        self._shards[index] = self._members[index].open()
        if len(self._shards) > OPEN_SHARDS:
            self._shards.popitem(last=False)
        return self._shards[index]


def _first_document(offsets: np.ndarray, base: int, position: int) -> int:
    """Return the first document that begins at or after `position` of the batch (the number of documents at most)."""
    return bisect.bisect_left(range(len(offsets) - 1), position, key=lambda j: int(offsets[j]) - base + j)


def _interleave(output: np.ndarray, values: np.ndarray, first: int, marks: np.ndarray, mark: int) -> None:
    """Fill `output` with `mark` at `marks` (ascending) and values[first:] in order everywhere else."""
    done = 0
    if len(marks) < 8:
        for place in marks.tolist():
            output[done:place] = values[first : first + place - done]
            output[place] = mark
            first += place - done
            done = place + 1
        output[done:] = values[first : first + len(output) - done]
        return
    free = np.ones(len(output), dtype=np.bool_)
    free[marks] = False
    output[marks] = mark
    output[free] = values[first : first + len(output) - len(marks)]
