"""The verdicts on one shard, gathered from what the phases wrote."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from autoclave.cleaning.dedup.slices import read_slice
from autoclave.pipelines.dedup.manifest import Manifest
from autoclave.pipelines.dedup.members import copies_of_a_shard
from autoclave.pipelines.dedup.merge import read_slices
from autoclave.pipelines.dedup.verification import EXACT, KEPT


@dataclass(frozen=True)
class Assignment:
    """Who yields to whom in one shard: arrays as long as the shard.

    kind: uint8; doc_id: binary(16), of the document that stays, null where this one does; jaccard: float32, null where
    nothing was compared; size: int32, documents of the cluster (1: alone).
    """

    kind: np.ndarray
    doc_id: pa.Array
    jaccard: pa.Array
    size: np.ndarray


def read_assignment(stage: str, manifest: Manifest, place: int, parts: int) -> Assignment:
    """Gather the verdicts on one shard: its slice of the exact groups and of every verification task."""
    rows = manifest.shards[place].rows
    kind, size = np.zeros(rows, np.uint8), np.ones(rows, np.int32)
    source = np.full(rows, -1, np.int64)
    names, similarities, before = [], [], 0
    exact = read_slice(f"{stage}/phases/clusters/exact.arrow", place)
    batches = [exact, *(batch for batch, _ in read_slices(stage, manifest, "assignments", place, parts))]
    for batch in batches:
        at = batch.column("row").to_numpy()
        size[at] = batch.column("size").to_numpy()
        source[at] = before + np.arange(batch.num_rows)
        names.append(batch.column("doc_id"))
        if batch is exact:
            yields = np.asarray(batch.column("doc_id").is_valid())
            kind[at] = np.where(yields, EXACT, KEPT)
            similarities.append(pa.array(np.ones(batch.num_rows, np.float32), mask=~yields))
        else:
            kind[at] = batch.column("kind").to_numpy()
            similarities.append(batch.column("jaccard"))
        before += batch.num_rows
    copies, stands = copies_of_a_shard(read_slice(f"{stage}/phases/clusters/components.arrow", place), place)
    kind[copies], size[copies], source[copies] = kind[stands], size[stands], source[stands]
    pick = pa.array(source, mask=source < 0)
    return Assignment(kind, pa.concat_arrays(names).take(pick), pa.concat_arrays(similarities).take(pick), size)
