"""The verify phase: the documents of a candidate component meet in one task, which decides who stays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from autoclave.cleaning.dedup.minhash import MinHashParameters
from autoclave.cleaning.dedup.slices import split_sorted, write_slices
from autoclave.cleaning.dedup.verification import (
    Members,
    choose_representatives,
    component_bounds,
    first_of_component,
)
from autoclave.corpus.output import ShardOutput
from autoclave.kernels.text.keys.minhash import permutations, sign_hash_sets
from autoclave.pipelines.dedup.manifest import ROW_BITS, ROW_MASK, Manifest, read_manifest
from autoclave.pipelines.dedup.members import MEMBERS
from autoclave.pipelines.dedup.merge import read_slices
from autoclave.pipelines.running.stage import ShardTask

KEPT, EXACT, NEAR = 0, 1, 2

ASSIGNMENTS = pa.schema(
    [
        pa.field("row", pa.uint32()),
        pa.field("kind", pa.uint8()),
        pa.field("doc_id", pa.binary(16)),
        pa.field("jaccard", pa.float32()),
        pa.field("size", pa.int32()),
    ]
)
"""The verdict on a document of a verified cluster, and on the shard's copies that it stands for: kind, the doc_id it
yields to (null where it stays), their Jaccard similarity (null where nothing was compared), and the documents of the
cluster."""


@dataclass(frozen=True)
class _Gathered:
    """The documents of one task: table (without shingles) ordered by (component, preference), and the set of each row:
    hashes uint32 from starts to ends, int64[n] (empty: an equal set is another row's, or none was needed)."""

    table: pa.Table
    hashes: np.ndarray
    starts: np.ndarray
    ends: np.ndarray


def _gather(task: ShardTask, manifest: Manifest) -> _Gathered:
    """Read one verification task's members; the shingles are copied once, and their batches freed on the way."""
    stage = task.folder.rsplit("/phases/", 1)[0]
    narrow = pa.schema([field for field in MEMBERS if field.name != "shingles"])
    tables, sets, lengths = [], [], [np.zeros(0, np.int64)]
    for batch, _ in read_slices(stage, manifest, "members", task.arguments["part"], len(manifest.shards)):
        lists = batch.column("shingles").fill_null([])
        lengths.append(np.diff(lists.offsets.to_numpy()))
        sets.append(lists.flatten().to_numpy(zero_copy_only=False).copy())
        everything = pa.array(np.arange(batch.num_rows))
        columns = [batch.column(name).take(everything) for name in narrow.names]  # copies: the batch must not live on
        tables.append(pa.RecordBatch.from_arrays(columns, schema=narrow))
    ends = np.cumsum(np.concatenate(lengths), dtype=np.int64)
    starts = ends - np.concatenate(lengths)
    hashes = np.empty(int(ends[-1]) if ends.size else 0, np.uint32)
    at = 0
    while sets:
        part = sets.pop(0)
        hashes[at : at + part.size] = part
        at += part.size
    table = pa.Table.from_batches(tables, narrow).combine_chunks()
    component, score, ids = (table.column(name).to_numpy() for name in ("component", "score", "id"))
    order = np.lexsort((ids, -score, component))
    return _Gathered(table.take(pa.array(order)).combine_chunks(), hashes, starts[order], ends[order])


def _members(gathered: _Gathered, own: np.ndarray, parameters: MinHashParameters) -> Members:
    """Turn the rows `own`, of distinct texts, into what `choose_representatives` reads; equal sets share one."""
    table, starts, ends = gathered.table.take(pa.array(own)), gathered.starts[own], gathered.ends[own]
    keys = table.column("set_key").to_numpy()
    filled = np.flatnonzero(ends > starts)
    known, first = np.unique(keys[filled], return_index=True)
    if known.size:
        at = np.minimum(np.searchsorted(known, keys), known.size - 1)
        found = known[at] == keys
        source = filled[first][at]
        starts, ends = np.where(found, starts[source], starts), np.where(found, ends[source], ends)
    signatures = np.zeros((len(table), 0), np.uint32)
    packed = table.column("signature").combine_chunks()
    if packed.null_count < len(packed):
        signatures = _with_signatures(packed, gathered.hashes, starts, ends, parameters)
    component = table.column("component").to_numpy()
    return Members(component, starts, ends, gathered.hashes, signatures, table.column("fixed").to_numpy())


def _with_signatures(
    packed: pa.Array, hashes: np.ndarray, starts: np.ndarray, ends: np.ndarray, parameters: MinHashParameters
) -> np.ndarray:
    """uint32[n, P]: the stored signatures, and those of the sets of documents that came with their shingles."""
    a, b = permutations(parameters.num_perm, parameters.seed, parameters.scheme)
    signatures = sign_hash_sets(hashes, starts, ends, a, b, scheme=parameters.scheme)
    given = np.flatnonzero(packed.is_valid().to_numpy(zero_copy_only=False))
    for first in range(0, given.size, 4096):
        rows = given[first : first + 4096]
        joined = b"".join(packed.take(pa.array(rows)).to_pylist())
        signatures[rows] = np.frombuffer(joined, np.uint32).reshape(rows.size, -1)
    return signatures


def verify_part(task: ShardTask, output: ShardOutput) -> None:
    """Decide, for the components of one task, who stays; write the verdicts by shard."""
    manifest = read_manifest(task.arguments["_manifest"])
    settings = task.settings
    gathered = _gather(task, manifest)
    table = gathered.table
    ids, leader = table.column("id").to_numpy(), table.column("leader").to_numpy()
    own = np.flatnonzero(ids == leader)
    if settings.verify == "off" or manifest.parameters is None:
        chosen, similarity = first_of_component(table.column("component").to_numpy()[own])
    else:
        members = _members(gathered, own, manifest.parameters)
        chosen, similarity = choose_representatives(members, settings.similarity(), manifest.parameters)
    representative = np.empty(ids.size, np.int64)  # positions in the table
    jaccard = np.empty(ids.size, np.float64)
    order = np.argsort(ids[own])
    at = own[order][np.searchsorted(ids[own][order], leader)]  # the row of each document's leader
    place_of = np.empty(ids.size, np.int64)
    place_of[own] = np.arange(own.size)
    representative = own[chosen[place_of[at]]]
    jaccard = similarity[place_of[at]]
    copies = ids != leader
    kind = np.where(representative == np.arange(ids.size), KEPT, np.where(copies & (representative == at), EXACT, NEAR))
    documents = table.column("documents").to_numpy().astype(np.int64)
    sizes = _sums(representative, documents)[representative]
    _count(output, table.column("component").to_numpy(), representative, kind, jaccard, documents)
    with output.open(f"assignments/{task.shard}.arrow") as file:
        write_slices(file, ASSIGNMENTS, _verdict_slices(manifest, table, ids, representative, kind, jaccard, sizes))


def _sums(group: np.ndarray, values: np.ndarray) -> np.ndarray:
    """int64[largest group + 1]: the sum of the values of each group."""
    return np.bincount(group, weights=values, minlength=group.size).astype(np.int64)  # float64: exact below 2^53


def _count(
    output: ShardOutput,
    component: np.ndarray,
    representative: np.ndarray,
    kind: np.ndarray,
    jaccard: np.ndarray,
    documents: np.ndarray,
) -> None:
    """Count what verification did: components that fell into parts, how alike removed documents are."""
    bounds = component_bounds(component)
    clusters = np.add.reduceat(kind == KEPT, bounds[:-1]) if component.size else np.zeros(0, np.int64)
    output.count("clusters", int(np.count_nonzero(_sums(representative, documents) > 1)))
    output.count("components_split", int(np.count_nonzero(clusters > 1)))
    output.count("candidates_kept", int(clusters.sum()))
    compared = (kind == NEAR) & ~np.isnan(jaccard)
    near, times = jaccard[compared], documents[compared]
    if near.size:
        output.count("least_similarity_ppm", int(near.min() * 1e6))
    for low, high in ((0.5, 0.6), (0.6, 0.7), (0.7, 0.8), (0.8, 0.9), (0.9, 1.01)):
        output.count(f"jaccard_{low:.1f}", int(times[(near >= low) & (near < high)].sum()))


def _verdict_slices(
    manifest: Manifest,
    table: pa.Table,
    ids: np.ndarray,
    representative: np.ndarray,
    kind: np.ndarray,
    jaccard: np.ndarray,
    sizes: np.ndarray,
) -> Iterator[pa.RecordBatch]:
    order = np.flatnonzero(sizes > 1)
    order = order[np.argsort(ids[order])]
    stays = kind[order] == KEPT
    doc_id = table.column("doc_id").combine_chunks().take(pa.array(representative[order], mask=stays))
    values = jaccard[order]
    columns = [
        (ids[order] & ROW_MASK).astype(np.uint32),
        kind[order].astype(np.uint8),
        doc_id,
        pa.array(values.astype(np.float32), mask=stays | np.isnan(values)),
        sizes[order].astype(np.int32),
    ]
    place = (ids[order] >> ROW_BITS).astype(np.int64)
    yield from split_sorted(ASSIGNMENTS, columns, place, len(manifest.shards))
