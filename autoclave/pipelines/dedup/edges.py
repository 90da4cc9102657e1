"""What both ways of finding clusters read and write: candidate edges, and the rows that take part, by shard."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from autoclave.cleaning.dedup.slices import column_numpy, read_slice
from autoclave.pipelines.dedup.manifest import Manifest
from autoclave.pipelines.dedup.settings import DedupSettings

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


MEMBER_BYTES = 400
"""Memory of a document in a verification task, beside its shingles."""

SHINGLE_SHARE = 3
"""Memory of its shingles, as a multiple of its text: 4 bytes a word or CJK character, and copies on the way."""


def members_of_a_task(settings: DedupSettings, manifest: Manifest) -> int:
    """Return how many documents of the corpus's mean size a verification task holds within `task_memory_mb`."""
    if settings.members_per_partition is not None:
        return settings.members_per_partition
    own = [shard for shard in manifest.shards if not shard.indexed]
    size = MEMBER_BYTES
    if settings.verify == "jaccard":
        size += SHINGLE_SHARE * sum(shard.text_bytes for shard in own) // max(1, sum(shard.rows for shard in own))
    if manifest.parameters is not None and (settings.verify == "signature" or len(own) < len(manifest.shards)):
        size += 12 * manifest.parameters.num_perm
    return max(1, (settings.task_memory_mb << 20) // size)


def candidate_edges(manifest: Manifest, folder: str, partitions: list[str]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield every candidate edge as dense positions (int64[n] twice): those inside shards, then those between them."""
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
    """Yield (leaders, members, local) of exact copies as dense positions: inside shards, then between their leaders.

    leaders, members: int64[n]; local: whether both lie in one shard.
    """
    bases = manifest.bases()
    for place, shard in enumerate(manifest.shards):
        if not shard.indexed:
            batch = read_slice(shard.file("copies"), 0)
            leaders, members = (column_numpy(batch, name).astype(np.int64) for name in ("leader", "member"))
            yield bases[place] + leaders, bases[place] + members, True
    for name in partitions:
        batch = read_slice(f"{folder}/copies/{name}.arrow", 0)
        yield manifest.dense(column_numpy(batch, "leader")), manifest.dense(column_numpy(batch, "member")), False
