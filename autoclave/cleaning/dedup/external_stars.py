"""Cutting components of more nodes than a cap into stars when edges do not fit in memory.

The result is that of `clusters.cut_components`: in order of their numbers, nodes of a large component join their
smallest neighbour that is a star's centre, or become one. Nodes go by ranges, the first range first; an edge waits
beside its smaller end, and is sent to its larger end's range when the smaller one has become a centre.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numba import njit

from autoclave.cleaning.dedup.external import Spool, batched

RANGE_NODE_BYTES = 1024
"""Memory a node of the range at hand: the edges to its smaller neighbours, at most a few a band, and their order."""


def range_width(memory_bytes: int) -> int:
    """Return how many nodes a range of `external_stars` has."""
    return max(1, memory_bytes // RANGE_NODE_BYTES)


@njit(cache=True, nogil=True)
def _join_centres(high: np.ndarray, smaller: np.ndarray, low: int, label: np.ndarray) -> None:
    """Edges sorted by (high, smaller); those from below the range come from centres. label: int64, of the range."""
    joined = -1
    for e in range(high.size):
        node, other = high[e], smaller[e]
        if node != joined and (other < low or label[other - low] == other):
            label[node - low] = other
            joined = node


def external_stars(
    edges: Iterable[tuple[np.ndarray, np.ndarray]], nodes: int, large: Spool, folder: Path, memory_bytes: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (nodes uint64[k] ascending, centres uint64[k]) range by range: each node of `large` that joins a centre.

    edges: batches of (left, right), integers below `nodes`; large: the nodes (one column) of components over the cap,
    all of each, by ranges of `range_width(memory_bytes)`; folder: empty local scratch space for 32 bytes an edge.
    """
    width, rows = range_width(memory_bytes), max(1, memory_bytes // 256)
    waiting, sent = (Spool(folder / name, large.partitions, 2) for name in ("waiting", "sent"))
    for high, smaller in batched(edges, rows):
        waiting.add((smaller // width).astype(np.int64), high, smaller)
    for number in range(large.partitions):
        low, end = number * width, min(nodes, (number + 1) * width)
        inside = np.zeros(end - low, np.bool_)
        inside[large.read(number)[:, 0].astype(np.int64) - low] = True
        parts = [sent.read(number).astype(np.int64)]
        for table in waiting.chunks(number, rows):
            signed = table.astype(np.int64)
            parts.append(signed[inside[signed[:, 1] - low] & (signed[:, 0] < end)])
        own = np.concatenate(parts)
        own = own[np.lexsort((own[:, 1], own[:, 0]))]
        label = np.arange(low, end, dtype=np.int64)
        _join_centres(np.ascontiguousarray(own[:, 0]), np.ascontiguousarray(own[:, 1]), low, label)
        centre = inside & (label == np.arange(low, end))
        for table in waiting.chunks(number, rows):
            onward = table[centre[table[:, 1].astype(np.int64) - low] & (table[:, 0] >= end)]
            sent.add((onward[:, 0] // np.uint64(width)).astype(np.int64), onward[:, 0], onward[:, 1])
        for spool in (waiting, sent):
            spool.forget(number)
        joined = np.flatnonzero(label != np.arange(low, end))
        yield (low + joined).astype(np.uint64), label[joined].astype(np.uint64)
