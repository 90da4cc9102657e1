"""The members phase: what verification needs of the documents in candidate components, by verification task."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from autoclave.cleaning.dedup.minhash import MinHashParameters
from autoclave.cleaning.dedup.slices import column_numpy, open_slices, read_slice, split_sorted, write_slices
from autoclave.corpus.output import ShardOutput
from autoclave.corpus.schema import read_documents
from autoclave.kernels.text.keys.minhash import shingle_sets
from autoclave.kernels.text.keys.xxh3 import hash_slices
from autoclave.kernels.text.texts import text_buffers
from autoclave.pipelines.dedup.manifest import ManifestShard, pack, read_manifest
from autoclave.pipelines.running.stage import ShardTask

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


def _table(shard: ManifestShard) -> pa.RecordBatch:
    return read_slice(shard.file("table"), 0)


def _signatures_of(shard: ManifestShard, rows: np.ndarray) -> pa.Array:
    """binary[n]: the signatures of some rows of a shard (ascending)."""
    found, before = [], 0
    with open_slices(shard.file("signatures")) as reader:
        for index in range(len(reader)):
            column = reader.read(index).column("signature")
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
                data,
                offsets,
                ngram=parameters.ngram,
                shingle=parameters.shingle,
                hash_name=parameters.hash,
                normalisation=parameters.normalisation,
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
