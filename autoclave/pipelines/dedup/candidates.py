"""The candidates phase: buckets of equal keys, over all shards, become edges between documents."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from autoclave.cleaning.dedup.exact import group_exact
from autoclave.cleaning.dedup.lsh import star_edges, unique_edges
from autoclave.cleaning.dedup.slices import column_numpy, write_slices
from autoclave.corpus.output import ShardOutput
from autoclave.pipelines.dedup.manifest import Manifest, pack, read_manifest
from autoclave.pipelines.dedup.merge import read_slices
from autoclave.pipelines.dedup.signatures import COPIES, EDGES, edge_batch
from autoclave.pipelines.running.stage import ShardTask

ENTRY_BYTES = 48
"""Memory that a task of the candidates phase needs for a band of a document: as read, sorted, and as edges."""

COPY_BYTES = 160
"""Memory that it needs, afterwards, for the exact key of a document."""


def find_candidates(task: ShardTask, output: ShardOutput) -> None:
    """Join one partition's slices of all shards: buckets become stars of edges, equal texts name their leader."""
    manifest = read_manifest(task.arguments["_manifest"])
    stage, partition = task.folder.rsplit("/phases/", 1)[0], task.arguments["partition"]
    left, right = _bucket_edges(stage, manifest, partition)
    with output.open(f"edges/{task.shard}.arrow") as file:
        write_slices(file, EDGES, [edge_batch(left, right)])
    with output.open(f"copies/{task.shard}.arrow") as file:
        write_slices(file, COPIES, [_copies(stage, manifest, partition)])
    output.count("edges", left.size)


def _bucket_edges(stage: str, manifest: Manifest, partition: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct edges (uint64 ids) of the buckets of one partition; needs ENTRY_BYTES an entry."""
    batches = list(read_slices(stage, manifest, "bands", partition))
    size = sum(batch.num_rows for batch, _ in batches)
    flat, owner = np.empty(size, np.uint64), np.empty(size, np.uint64)
    at = 0
    for batch, places in batches:
        flat[at : at + batch.num_rows] = column_numpy(batch, "key")
        owner[at : at + batch.num_rows] = pack(places, column_numpy(batch, "row"))
        at += batch.num_rows
    batches.clear()
    order = np.argsort(flat, kind="stable")  # ids ascend within a key: shards come in order, a key once a shard
    flat, owner = flat[order], owner[order]
    del order
    anchors, members, _ = star_edges(flat, owner)
    del flat, owner
    return unique_edges(anchors, members)


def _copies(stage: str, manifest: Manifest, partition: int) -> pa.RecordBatch:
    """Equal texts of different shards: each leader of a shard that yields to a leader elsewhere."""
    keys, ids, scores, names = [], [], [], []
    indexed = np.array([shard.indexed for shard in manifest.shards])
    for batch, places in read_slices(stage, manifest, "exact", partition):
        keys.append(np.stack([column_numpy(batch, "high"), column_numpy(batch, "low")], axis=1))
        ids.append(pack(places, column_numpy(batch, "row")))
        scores.append(np.where(indexed[places], np.inf, column_numpy(batch, "score")))
        names.append(batch.column("doc_id"))
    owner, doc_id = np.concatenate(ids), pa.concat_arrays(names)
    order, leader = group_exact(np.concatenate(keys), np.concatenate(scores), owner)
    yields = leader != np.arange(order.size)
    leaders, members = order[leader[yields]], order[yields]
    columns = [pa.array(owner[leaders]), pa.array(owner[members]), doc_id.take(pa.array(leaders))]
    return pa.RecordBatch.from_arrays(columns, schema=COPIES)
