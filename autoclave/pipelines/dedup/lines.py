"""The lines and line_counts phases, and the editing of a shard by what they found."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from autoclave.cleaning.dedup.lines import LineSettings, find_lines, keys_by_document, marked, remove_lines
from autoclave.cleaning.dedup.slices import column_numpy, partition_of, split_sorted, write_slices
from autoclave.corpus.output import ShardOutput
from autoclave.corpus.schema import read_documents
from autoclave.kernels.text.keys.minhash import sign_texts
from autoclave.kernels.text.texts import text_buffers
from autoclave.pipelines.dedup.assignment import read_assignment
from autoclave.pipelines.dedup.manifest import read_manifest
from autoclave.pipelines.dedup.merge import read_slices
from autoclave.pipelines.dedup.verification import KEPT
from autoclave.pipelines.running.stage import ShardTask

COUNTS = pa.schema([pa.field("key", pa.uint64()), pa.field("documents", pa.uint32())])
FREQUENT = pa.schema([pa.field("key", pa.uint64()), pa.field("first", pa.bool_())])
"""Lines of a shard that enough documents share; first: this shard is the first that holds it."""


def collect_lines(task: ShardTask, output: ShardOutput) -> None:
    """Count the lines of the documents of one shard that stay, by partition of their key."""
    partitions, settings = task.arguments["partitions"], task.settings.lines
    place = task.arguments["place"]
    manifest = read_manifest(task.arguments["_manifest"])
    verdict = read_assignment(task.folder.rsplit("/phases/", 1)[0], manifest, place, task.arguments["verified"])
    found, row = [np.zeros(0, np.uint64)], 0
    for batch in read_documents(task.inputs[0], ["text", "host"]):
        kept = verdict.kind[row : row + batch.num_rows] == KEPT
        found.append(keys_by_document(find_lines(batch, settings), kept))
        row += batch.num_rows
    keys, documents = np.unique(np.concatenate(found), return_counts=True)
    with output.open(f"lines/{task.shard}.arrow") as file:
        columns = [keys, documents.astype(np.uint32)]
        write_slices(file, COUNTS, split_sorted(COUNTS, columns, partition_of(keys, partitions), partitions))


def count_lines(task: ShardTask, output: ShardOutput) -> None:
    """Add up one partition's counts and tell each shard which of its lines are frequent."""
    manifest = read_manifest(task.arguments["_manifest"])
    stage = task.folder.rsplit("/phases/", 1)[0]
    found = list(read_slices(stage, manifest, "lines", task.arguments["partition"]))
    keys = np.concatenate([column_numpy(batch, "key") for batch, _ in found])
    documents = np.concatenate([column_numpy(batch, "documents") for batch, _ in found]).astype(np.int64)
    places = np.concatenate([places for _, places in found])
    distinct, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    totals = np.bincount(inverse, weights=documents, minlength=distinct.size)
    frequent = totals[inverse] >= task.settings.lines.min_count
    is_first = np.zeros(keys.size, np.bool_)
    is_first[first] = True
    columns = [keys[frequent], is_first[frequent]]
    with output.open(f"frequent/{task.shard}.arrow") as file:
        write_slices(file, FREQUENT, split_sorted(FREQUENT, columns, places[frequent], len(manifest.shards)))
    output.count("frequent_lines", int(np.count_nonzero(totals >= task.settings.lines.min_count)))


@dataclass
class LineRemover:
    """Removes frequent lines from the batches of one shard, in order."""

    settings: LineSettings
    remove: np.ndarray
    """uint64[k], sorted: lines to remove wherever they stand."""
    spare: np.ndarray
    """uint64[k], sorted: lines whose first occurrence in this shard stays."""
    seen: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, task: ShardTask) -> LineRemover:
        manifest = read_manifest(task.arguments["_manifest"])
        place, partitions = task.arguments["place"], task.arguments["line_partitions"]
        batches = [batch for batch, _ in read_slices(task.folder, manifest, "frequent", place, partitions)]
        keys = np.concatenate([column_numpy(batch, "key") for batch in batches])
        first = np.concatenate([column_numpy(batch, "first") for batch in batches]).astype(np.bool_)
        settings = task.settings.lines
        spared = first & (settings.remove == "repeats")
        return cls(settings, np.sort(keys[~spared]), np.sort(keys[spared]))

    def edit(self, batch: pa.RecordBatch, kept: np.ndarray) -> tuple[pa.RecordBatch, np.ndarray, dict[str, pa.Array]]:
        """Return (batch with edited texts, bool[n] of texts of which nothing is left, ledger columns, int32[n]).

        batch: `text` and `host` of DOCUMENT_SCHEMA, and more. Documents that are dropped anyway (kept, bool[n], is
        False) keep their text.
        """
        lines = find_lines(batch, self.settings)
        owner = np.repeat(np.arange(batch.num_rows), np.diff(lines.bounds))
        removed = marked(lines, self.remove) & kept[owner]
        for position in np.flatnonzero(marked(lines, self.spare) & kept[owner]).tolist():
            key = int(lines.keys[position])
            removed[position] = key in self.seen
            self.seen.add(key)
        text, count, size = remove_lines(lines, removed)
        emptied = (count > 0) & ~has_words(text)
        edited = batch.set_column(batch.schema.get_field_index("text"), batch.schema.field("text"), text)
        return edited, emptied, {"lines_removed": pa.array(count), "line_bytes_removed": pa.array(size)}


def has_words(text: pa.Array) -> np.ndarray:
    """bool[n]: whether anything but separators is left."""
    none = np.zeros(0, np.uint32)
    return sign_texts(*text_buffers(text), none, none, ngram=1)[1] > 0
