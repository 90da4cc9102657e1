"""Cross-fitting: which documents a model may train on, so that no document is scored by a model that has seen it.

Documents of one host go to one fold, since pages of a site repeat each other and a model forgives what it memorised.
A host that holds so much of the corpus that one fold could not balance it is split by document instead.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

HOST_BUCKETS = 1 << 16
"""Hosts are counted by hash in so many buckets: the census takes the same memory for any number of hosts."""


def host_buckets(host: pa.Array) -> np.ndarray:
    """Return the bucket of each host, int64 [documents]; -1 where there is none.

    Only distinct hosts of the batch are hashed (xxh3-64).
    """
    encoded = pc.dictionary_encode(host)
    values = encoded.dictionary.to_pylist()
    table = np.array(
        [xxhash.xxh3_64_intdigest(value.encode()) % HOST_BUCKETS for value in values] or [0], dtype=np.int64
    )
    indices = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
    return np.where(indices >= 0, table[indices], -1)


def large_buckets(sizes: np.ndarray, folds: int) -> np.ndarray:
    """Return the sorted buckets that hold more than half a fold's fair share of the bytes, int64.

    sizes: bytes of text in each bucket, [HOST_BUCKETS]; documents without a host count in no bucket.
    """
    return np.flatnonzero(sizes > sizes.sum() / (2 * folds))


def assign_folds(host: pa.Array, doc_id: pa.Array, large: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Return the fold of each document, int64 [documents], a pure function of host (or doc_id), seed and `large`."""
    buckets = host_buckets(host)
    by_bucket = np.array(
        [
            xxhash.xxh3_64_intdigest(int(bucket).to_bytes(4, "little"), seed) % folds
            for bucket in np.unique(buckets[buckets >= 0])
        ],
        dtype=np.int64,
    )
    result = np.empty(len(buckets), dtype=np.int64)
    alone = (buckets < 0) | np.isin(buckets, large)
    together = np.flatnonzero(~alone)
    result[together] = by_bucket[np.searchsorted(np.unique(buckets[buckets >= 0]), buckets[together])]
    rows = np.flatnonzero(alone)
    ids = doc_id.take(pa.array(rows)).to_pylist()
    result[rows] = [xxhash.xxh3_64_intdigest(one, seed) % folds for one in ids]
    return result
