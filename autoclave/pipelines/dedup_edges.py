"""What both ways of finding clusters read and write: candidate edges, and the rows that take part, by shard."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from autoclave.cleaning.dedup.slices import column_numpy, read_slice
from autoclave.pipelines.dedup_manifest import Manifest

COMPONENT_ROWS = pa.schema(
    [
        pa.field("row", pa.uint32()),
        pa.field("component", pa.uint64()),
        pa.field("part", pa.uint32()),
        pa.field("leader", pa.uint64()),
    ]
)
"""Documents of candidate components: which verification task compares them, and whose exact copy they are (own id:
nobody's)."""

EXACT_ROWS = pa.schema([pa.field("row", pa.uint32()), pa.field("doc_id", pa.binary(16)), pa.field("size", pa.int32())])
"""Documents of groups of exact copies that resemble nothing else: whom they yield to (null: nobody), and the group."""


def candidate_edges(manifest: Manifest, folder: str, partitions: list[str]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield every candidate edge as dense positions: those inside shards, then those between them."""
    bases = manifest.bases()
    for place, shard in enumerate(manifest.shards):
        if not shard.indexed:
            batch = read_slice(shard.file("edges"), 0)
            left, right = (column_numpy(batch, name).astype(np.int64) for name in ("left", "right"))
            yield bases[place] + left, bases[place] + right
    for name in partitions:
        batch = read_slice(f"{folder}/edges/{name}.arrow", 0)
        yield manifest.dense(column_numpy(batch, "left")), manifest.dense(column_numpy(batch, "right"))


def copy_edges(manifest: Manifest, folder: str, partitions: list[str]) -> Iterator[tuple[np.ndarray, np.ndarray, bool]]:
    """Yield (leaders, members, local) of exact copies as dense positions: inside shards, then between their leaders."""
    bases = manifest.bases()
    for place, shard in enumerate(manifest.shards):
        if not shard.indexed:
            batch = read_slice(shard.file("copies"), 0)
            leaders, members = (column_numpy(batch, name).astype(np.int64) for name in ("leader", "member"))
            yield bases[place] + leaders, bases[place] + members, True
    for name in partitions:
        batch = read_slice(f"{folder}/copies/{name}.arrow", 0)
        yield manifest.dense(column_numpy(batch, "leader")), manifest.dense(column_numpy(batch, "member")), False
