"""The substring phase: groups of neighbouring shards are searched for repeated passages, which apply then removes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from autoclave.cleaning.dedup.slices import read_slice, write_slices
from autoclave.cleaning.dedup.substring import find_repeats, find_tokens, remove_tokens
from autoclave.corpus.output import ShardOutput
from autoclave.corpus.schema import read_documents
from autoclave.pipelines.dedup.assignment import read_assignment
from autoclave.pipelines.dedup.manifest import read_manifest
from autoclave.pipelines.dedup.verification import KEPT
from autoclave.pipelines.running.stage import ShardTask

RUNS = pa.schema([pa.field("first", pa.int64()), pa.field("end", pa.int64())])
"""Runs of tokens to remove, counted over the tokens of the documents of a shard that stay."""


def group_shards(sizes: Sequence[int], limit: int) -> list[list[int]]:
    """Return neighbouring positions in groups of at most `limit` (one that is larger alone)."""
    groups: list[list[int]] = []
    filled = 0
    for position, size in enumerate(sizes):
        if not groups or filled + size > limit:
            groups.append([])
            filled = 0
        groups[-1].append(position)
        filled += size
    return groups


def find_passages(task: ShardTask, output: ShardOutput) -> None:
    """Compare the documents of a group of shards that stay; write the repeated runs of tokens by shard."""
    manifest = read_manifest(task.arguments["_manifest"])
    stage = task.folder.rsplit("/phases/", 1)[0]
    parts, owners = [], []
    for place in task.arguments["places"]:
        shard = manifest.shards[place]
        kind = read_assignment(stage, manifest, place, task.arguments["verified"]).kind
        row = 0
        for batch in read_documents(shard.documents, ["text"]):
            parts.append(find_tokens(batch.column("text"), kind[row : row + batch.num_rows] == KEPT))
            owners.append(place)
            row += batch.num_rows
    marked = find_repeats(parts, task.settings.substring.min_tokens)
    by_place: dict[int, list[np.ndarray]] = {place: [] for place in task.arguments["places"]}
    for place, mask in zip(owners, marked, strict=True):
        by_place[place].append(mask)
    with output.open(f"passages/{task.shard}.arrow") as file:
        write_slices(file, RUNS, (_runs(masks) for masks in by_place.values()))
    output.count("repeated_tokens", int(sum(mask.sum() for mask in marked)))
    output.count("tokens", int(sum(mask.size for mask in marked)))


def _runs(masks: list[np.ndarray]) -> pa.RecordBatch:
    mask = np.concatenate([np.zeros(1, np.bool_), *masks, np.zeros(1, np.bool_)])
    edges = np.flatnonzero(mask[1:] != mask[:-1])
    return pa.RecordBatch.from_arrays([pa.array(edges[::2]), pa.array(edges[1::2])], schema=RUNS)


@dataclass
class PassageRemover:
    """Removes repeated passages from the batches of one shard, in order.

    first, end: int64[passages], the tokens of the shard that each takes, ascending.
    """

    first: np.ndarray
    end: np.ndarray
    before: int = 0
    """Tokens of the batches so far."""

    @classmethod
    def of(cls, task: ShardTask) -> PassageRemover:
        group, slot = task.arguments["passages"]
        runs = read_slice(f"{task.folder}/phases/substring/passages/{group:06d}.arrow", slot)
        return cls(runs.column("first").to_numpy(), runs.column("end").to_numpy())

    def edit(self, batch: pa.RecordBatch, kept: np.ndarray) -> tuple[pa.RecordBatch, dict[str, pa.Array]]:
        """Return the batch with edited texts, and the ledger columns, int32[n].

        batch: `text` of DOCUMENT_SCHEMA, and more. Documents that are dropped anyway (kept, bool[n], is False) keep
        their text.
        """
        text = batch.column("text")
        tokens = find_tokens(text, kept)
        marked = np.zeros(tokens.hashes.size, np.bool_)
        for first, end in self._within(tokens.hashes.size):
            marked[first:end] = True
        self.before += tokens.hashes.size
        edited, count, size = remove_tokens(text, tokens, marked)
        batch = batch.set_column(batch.schema.get_field_index("text"), batch.schema.field("text"), edited)
        return batch, {"passage_tokens_removed": pa.array(count), "passage_bytes_removed": pa.array(size)}

    def _within(self, count: int) -> Iterator[tuple[int, int]]:
        low = np.searchsorted(self.end, self.before, side="right")
        high = np.searchsorted(self.first, self.before + count)
        for first, end in zip(self.first[low:high].tolist(), self.end[low:high].tolist(), strict=True):
            yield max(0, first - self.before), min(count, end - self.before)
