"""The members and verify phases: the documents of a candidate component meet in one task, which decides who stays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from autoclave.cleaning.dedup.minhash import MinHashParameters
from autoclave.cleaning.dedup.slices import column_numpy, read_slice, split_sorted, write_slices
from autoclave.cleaning.dedup.verification import (
    Members,
    choose_representatives,
    component_bounds,
    first_of_component,
)
from autoclave.corpus.output import ShardOutput
from autoclave.corpus.schema import read_documents
from autoclave.corpus.storage import open_read
from autoclave.kernels.text.keys.minhash import permutations, shingle_sets, sign_hash_sets
from autoclave.kernels.text.keys.normalisation import text_buffers
from autoclave.kernels.text.keys.xxh3 import hash_slices
from autoclave.pipelines.dedup.manifest import ROW_BITS, ROW_MASK, Manifest, ManifestShard, pack, read_manifest
from autoclave.pipelines.dedup.merge import read_slices
from autoclave.pipelines.running.stage import ShardTask

KEPT, EXACT, NEAR = 0, 1, 2

MEMBERS = pa.schema(
    [
        pa.field("component", pa.uint64()),
        pa.field("id", pa.uint64()),
        pa.field("leader", pa.uint64()),
        pa.field("documents", pa.uint32()),
        pa.field("score", pa.float64()),
        pa.field("fixed", pa.bool_()),
        pa.field("doc_id", pa.binary(16)),
        pa.field("set_key", pa.uint64()),
        pa.field("shingles", pa.large_list(pa.uint32())),
        pa.field("signature", pa.binary()),
    ]
)
"""A document of a candidate component. documents: how many it stands for (of a shard's copies of one text only the
first is here, see `copies_of_a_shard`). shingles: empty where an earlier row of the shard's slice has the
same set (set_key), where signatures are compared, and for exact copies (leader is another document)."""

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


def _table(shard: ManifestShard) -> pa.RecordBatch:
    return read_slice(shard.file("table"), 0)


def _signatures_of(shard: ManifestShard, rows: np.ndarray) -> pa.Array:
    """binary[n]: the signatures of some rows of a shard (ascending)."""
    found, before = [], 0
    with open_read(shard.file("signatures")) as file:
        reader = pa.ipc.open_file(file)
        for index in range(reader.num_record_batches):
            column = reader.get_batch(index).column("signature")
            inside = rows[(rows >= before) & (rows < before + len(column))] - before
            found.append(column.take(pa.array(inside)).cast(pa.binary()))
            before += len(column)
    return pa.concat_arrays(found) if found else pa.array([], pa.binary())


def _shingles_of(shard: ManifestShard, rows: np.ndarray, parameters: MinHashParameters) -> tuple[pa.Array, np.ndarray]:
    """(list<uint32>[n], uint64[n]): sorted shingle hashes of some rows of a shard (ascending), and a key of each."""
    values, lengths, keys = [np.zeros(0, np.uint32)], [np.zeros(0, np.int64)], [np.zeros(0, np.uint64)]
    before = 0
    for batch in read_documents(shard.documents, ["text"]):
        inside = rows[(rows >= before) & (rows < before + batch.num_rows)] - before
        before += batch.num_rows
        if inside.size:
            data, offsets = text_buffers(batch.column("text").take(pa.array(inside)))
            sets, bounds = shingle_sets(
                data, offsets, ngram=parameters.ngram, shingle=parameters.shingle, hash_name=parameters.hash
            )
            values.append(sets)
            lengths.append(np.diff(bounds))
            keys.append(hash_slices(sets.view(np.uint8), 4 * bounds[:-1], 4 * bounds[1:]))
    return _lists(np.concatenate(values), np.concatenate(lengths)), np.concatenate(keys)


def _lists(values: np.ndarray, lengths: np.ndarray) -> pa.Array:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(values, pa.uint32()))


def _first_occurrence(part: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """bool[n]: whether no earlier row has the same (part, key)."""
    pairs = np.stack([part.astype(np.uint64), keys], axis=1)
    first = np.zeros(part.size, np.bool_)
    first[np.unique(pairs, axis=0, return_index=True)[1]] = True
    return first


def copies_of_a_shard(wanted: pa.RecordBatch, place: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (rows int64[k], rows int64[k]): a shard's copies of other documents in components, and for each the first
    copy in the shard of the same document: what is decided of the one holds of the other.

    wanted: COMPONENT_ROWS of the shard. Ten million copies of one page are one row a shard in verification.
    """
    rows, leader = column_numpy(wanted, "row").astype(np.int64), column_numpy(wanted, "leader")
    is_copy = pack(place, rows) != leader
    rows, leader = rows[is_copy], leader[is_copy]
    first, inverse = np.unique(leader, return_index=True, return_inverse=True)[1:]
    return rows, rows[first][inverse]


def collect_members(task: ShardTask, output: ShardOutput) -> None:
    """Write what verification needs of one shard's documents, by verification task."""
    manifest = read_manifest(task.arguments["_manifest"])
    place, parts = task.arguments["place"], task.arguments["parts"]
    shard = manifest.shards[place]
    clusters = f"{task.folder.rsplit('/', 1)[0]}/clusters/components.arrow"
    wanted = read_slice(clusters, place)
    rows, leader = column_numpy(wanted, "row").astype(np.int64), column_numpy(wanted, "leader")
    output.count("members", rows.size)
    copies, stands = copies_of_a_shard(wanted, place)
    documents = np.bincount(np.searchsorted(rows, stands), minlength=rows.size)  # of the first copies
    chosen = np.flatnonzero((documents > 0) | ~np.isin(rows, copies))
    wanted, rows, leader = wanted.take(pa.array(chosen)), rows[chosen], leader[chosen]
    part = column_numpy(wanted, "part").astype(np.int64)
    count = rows.size
    ids = pack(place, rows)
    table = _table(shard)
    own = np.flatnonzero(ids == leader)
    set_keys = np.zeros(count, np.uint64)
    shingles, signature = _lists(np.zeros(0, np.uint32), np.zeros(count, np.int64)), pa.nulls(count, pa.binary())
    if task.settings.verify != "off" and manifest.parameters is not None and count:
        compact = pa.array(np.searchsorted(own, np.arange(count)), mask=~np.isin(np.arange(count), own))
        if task.settings.verify == "signature" or shard.indexed:
            signature = _signatures_of(shard, rows[own]).take(compact)
        else:
            sets, keys = _shingles_of(shard, rows[own], manifest.parameters)
            set_keys[own] = keys
            fresh = _first_occurrence(part[own], keys)
            shingles = sets.take(pa.array(np.arange(own.size), mask=~fresh)).take(compact)
    columns = [
        wanted.column("component"),
        pa.array(ids),
        wanted.column("leader"),
        pa.array(np.maximum(documents[chosen], 1).astype(np.uint32)),
        pa.array(np.full(count, np.inf)) if shard.indexed else table.column("score").take(pa.array(rows)),
        pa.array(np.full(count, shard.indexed)),
        table.column("doc_id").take(pa.array(rows)),
        pa.array(set_keys),
        shingles,
        signature,
    ]
    order = np.argsort(part, kind="stable")
    columns = [column.take(pa.array(order)) for column in columns]
    with output.open(f"members/{task.shard}.arrow") as file:
        write_slices(file, MEMBERS, split_sorted(MEMBERS, columns, part[order], parts))


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
