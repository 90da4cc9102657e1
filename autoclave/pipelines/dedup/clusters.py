"""The clusters phase: connected components of candidate edges, and which verification task takes which component."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from autoclave.cleaning.dedup.clusters import cut_components, flatten, unite
from autoclave.cleaning.dedup.slices import column_numpy, read_slice, write_slices
from autoclave.corpus.output import ShardOutput
from autoclave.pipelines.dedup.clusters_external import find_clusters_externally
from autoclave.pipelines.dedup.edges import COMPONENT_ROWS, EXACT_ROWS, candidate_edges, members_of_a_task
from autoclave.pipelines.dedup.manifest import ROW_BITS, Manifest, read_manifest
from autoclave.pipelines.running.stage import ShardTask

DENSE_BYTES = 40
"""Memory a document of the method in memory: leader, label, sizes and groups as int64, and what passes by."""


def find_clusters(task: ShardTask, output: ShardOutput) -> None:
    """Label components and write, by shard, the rows that take part: `components.arrow` and `exact.arrow`."""
    manifest = read_manifest(task.arguments["_manifest"])
    if int(manifest.bases()[-1]) * DENSE_BYTES > task.settings.memory_budget_mb << 20:
        find_clusters_externally(task, output, manifest)
        return
    folder = task.folder.rsplit("/", 1)[0] + "/candidates"
    partitions = [f"{p:06d}" for p in range(task.arguments["partitions"])]
    bases = manifest.bases()
    leader, named, names = _exact_leaders(manifest, folder, partitions)
    label, cut = _components(task, manifest, folder, partitions, leader)
    label = label[leader]
    sizes = np.bincount(label, minlength=label.size)
    groups = np.bincount(leader, minlength=leader.size)
    near = sizes[label] > groups[leader]  # the component holds more than copies of one text
    roots = np.unique(label[near])
    part_of_root = _balance(sizes[roots], members_of_a_task(task.settings, manifest))
    with output.open("components.arrow") as file:
        write_slices(
            file,
            COMPONENT_ROWS,
            (_component_rows(bases, place, near, label, roots, part_of_root, leader) for place in _places(bases)),
        )
    with output.open("exact.arrow") as file:
        copies = (groups[leader] > 1) & ~near
        write_slices(
            file,
            EXACT_ROWS,
            (_exact_rows(bases, place, copies, leader, groups, named, names) for place in _places(bases)),
        )
    output.count("components", roots.size)
    output.count("component_documents", int(np.count_nonzero(near)))
    output.count("largest_component", int(sizes[roots].max()) if roots.size else 0)
    output.count("components_cut", cut)
    output.count("partitions", int(part_of_root[-1]) + 1 if roots.size else 0)


def _places(bases: np.ndarray) -> range:
    return range(bases.size - 1)


def _exact_leaders(manifest: Manifest, folder: str, partitions: list[str]) -> tuple[np.ndarray, np.ndarray, pa.Array]:
    """Return (leader int64[N], positions int64[k] sorted, doc_id[k]): whose text each document repeats.

    The positions are those of the leaders of copies, with their doc_id.
    """
    bases = manifest.bases()
    leader = np.arange(bases[-1], dtype=np.int64)
    positions, names = [np.zeros(0, np.int64)], [pa.array([], pa.binary(16))]

    def follow(batch: pa.RecordBatch, leaders: np.ndarray, members: np.ndarray) -> None:
        leader[members] = leaders
        distinct, first = np.unique(leaders, return_index=True)
        positions.append(distinct)
        names.append(batch.column("doc_id").take(pa.array(first)))

    for place, shard in enumerate(manifest.shards):
        if not shard.indexed:
            batch = read_slice(shard.file("copies"), 0)
            rows = (column_numpy(batch, name).astype(np.int64) for name in ("leader", "member"))
            follow(batch, *(bases[place] + part for part in rows))
    for name in partitions:
        batch = read_slice(f"{folder}/copies/{name}.arrow", 0)
        follow(batch, *(manifest.dense(column_numpy(batch, name)) for name in ("leader", "member")))
    found, first = np.unique(np.concatenate(positions), return_index=True)
    return leader[leader], found, pa.concat_arrays(names).take(pa.array(first))


def _components(
    task: ShardTask, manifest: Manifest, folder: str, partitions: list[str], leader: np.ndarray
) -> tuple[np.ndarray, int]:
    """Return (label int64[N]: the smallest position of each document's component, number of components cut)."""
    label = np.arange(leader.size, dtype=np.int64)
    for left, right in candidate_edges(manifest, folder, partitions):
        unite(leader[left], leader[right], label)
    flatten(label)
    cap = task.settings.component_cap
    if np.bincount(label, minlength=1).max() <= cap:
        return label, 0
    pairs = [(leader[left], leader[right]) for left, right in candidate_edges(manifest, folder, partitions)]
    left, right = (np.concatenate(side) for side in zip(*pairs, strict=True))
    real = left != right
    return label, cut_components(label, np.minimum(left, right)[real], np.maximum(left, right)[real], cap)


def _balance(sizes: np.ndarray, limit: int) -> np.ndarray:
    """Return int64[k]: the task of each component, in order, so that a task holds about `limit` documents."""
    before = np.cumsum(sizes) - sizes
    return np.unique(before // limit, return_inverse=True)[1]


def _component_rows(
    bases: np.ndarray,
    place: int,
    near: np.ndarray,
    label: np.ndarray,
    roots: np.ndarray,
    part_of_root: np.ndarray,
    leader: np.ndarray,
) -> pa.RecordBatch:
    low, high = int(bases[place]), int(bases[place + 1])
    rows = np.flatnonzero(near[low:high])
    component = label[low + rows]
    part = part_of_root[np.searchsorted(roots, component)]
    own = leader[low + rows]
    at = np.searchsorted(bases, own, side="right") - 1
    ids = (at.astype(np.uint64) << ROW_BITS) | (own - bases[at]).astype(np.uint64)
    columns = [rows.astype(np.uint32), component.astype(np.uint64), part.astype(np.uint32), ids]
    return pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=COMPONENT_ROWS)


def _exact_rows(
    bases: np.ndarray,
    place: int,
    copies: np.ndarray,
    leader: np.ndarray,
    groups: np.ndarray,
    named: np.ndarray,
    names: pa.Array,
) -> pa.RecordBatch:
    low, high = int(bases[place]), int(bases[place + 1])
    rows = np.flatnonzero(copies[low:high])
    own = leader[low + rows]
    stays = own == low + rows
    doc_id = names.take(pa.array(np.searchsorted(named, own), mask=stays))
    columns = [pa.array(rows.astype(np.uint32)), doc_id, pa.array(groups[own].astype(np.int32))]
    return pa.RecordBatch.from_arrays(columns, schema=EXACT_ROWS)
