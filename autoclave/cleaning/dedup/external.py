"""Connected components of an edge set that is larger than memory: alternating stars over partitioned files.

The method is that of Kiveris et al. 2014, 'Connected Components in MapReduce and Beyond': in a large star each node
ties its larger neighbours to its smallest one, in a small star its smaller neighbours and itself. Both keep the
components; repeated, the graph becomes stars whose centres are the smallest nodes. A round reads and writes each edge
a few times, one partition in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numba import njit

from autoclave.cleaning.dedup.clusters import components

_MIX = np.uint64(0x9E3779B97F4A7C15)
_BYTES_A_ROW = 160
"""Memory while a partition of edges is sorted and starred: two directions, their order, the output, temporaries."""


def spread(keys: np.ndarray, partitions: int) -> np.ndarray:
    """Return a partition, int64[n], for each uint64 key, even for keys that are dense or regular."""
    mixed = keys * _MIX
    mixed = (mixed ^ (mixed >> np.uint64(29))) * _MIX
    return (((mixed >> np.uint64(32)) * np.uint64(partitions)) >> np.uint64(32)).astype(np.int64)


class Spool:
    """Rows of uint64 columns on local disk, split into partitions; appended to and then read one partition a time."""

    def __init__(self, folder: Path, partitions: int, columns: int) -> None:
        self.folder, self.partitions, self.columns = folder, partitions, columns
        self.rows = 0
        folder.mkdir(parents=True)

    def add(self, partition: np.ndarray, *columns: np.ndarray) -> None:
        """Append rows: partition int64[n], columns uint64[n] each."""
        table = np.stack([np.asarray(column, np.uint64) for column in columns], axis=1)
        order = np.argsort(partition, kind="stable")
        table, where = table[order], partition[order]
        bounds = np.searchsorted(where, np.arange(self.partitions + 1))
        for number in np.flatnonzero(np.diff(bounds)).tolist():
            with (self.folder / str(number)).open("ab") as file:
                table[bounds[number] : bounds[number + 1]].tofile(file)
        self.rows += len(table)

    def read(self, partition: int) -> np.ndarray:
        """Return uint64[n, columns] of one partition."""
        path = self.folder / str(partition)
        if not path.exists():
            return np.zeros((0, self.columns), np.uint64)
        return np.fromfile(path, np.uint64).reshape(-1, self.columns)

    def remove(self) -> None:
        for path in self.folder.iterdir():
            path.unlink()
        self.folder.rmdir()


@njit(cache=True, nogil=True)
def _star(node: np.ndarray, other: np.ndarray, large: bool, out: np.ndarray) -> int:
    """Tie neighbours to the smallest: edges sorted by (node, other); fills out[n, 2] as (larger, smaller)."""
    size = 0
    start = 0
    while start < node.size:
        stop = start
        while stop < node.size and node[stop] == node[start]:
            stop += 1
        centre = node[start]
        least = min(centre, other[start])
        if not large and least != centre:
            out[size, 0], out[size, 1] = centre, least
            size += 1
        for e in range(start, stop):
            neighbour = other[e]
            wanted = neighbour > centre if large else neighbour <= centre
            if wanted and neighbour != least:
                out[size, 0], out[size, 1] = neighbour, least
                size += 1
        start = stop
    return size


def _distinct(table: np.ndarray) -> np.ndarray:
    """Sort rows by (first, second) column and drop repeats."""
    if len(table) and int(table.max()) < 1 << 32:  # one sort of packed pairs is several times as fast
        packed = np.sort((table[:, 0] << np.uint64(32)) | table[:, 1])
        packed = packed[np.concatenate([[True], packed[1:] != packed[:-1]])]
        return np.stack([packed >> np.uint64(32), packed & np.uint64(0xFFFFFFFF)], axis=1)
    table = table[np.lexsort((table[:, 1], table[:, 0]))]
    if len(table) > 1:
        new = np.ones(len(table), np.bool_)
        new[1:] = (table[1:] != table[:-1]).any(axis=1)
        table = table[new]
    return table


def _checksum(table: np.ndarray) -> int:
    """Order-independent sum over distinct edges, modulo 2^64."""
    mixed = (table[:, 0] * _MIX) ^ (table[:, 1] + _MIX)
    return int(np.sum((mixed ^ (mixed >> np.uint64(31))) * _MIX, dtype=np.uint64))


def _round(edges: Spool, folder: Path, large: bool) -> tuple[Spool, int]:
    """One star operation over all partitions; returns the new edges, keyed by their larger node, and their checksum.

    A large star needs both directions of each edge beside each node: they are spooled first.
    """
    partitions = edges.partitions
    source = edges
    if large:
        source = Spool(folder / "both", partitions, 2)
        for p in range(partitions):
            table = edges.read(p)
            for first, second in ((0, 1), (1, 0)):
                source.add(spread(table[:, first], partitions), table[:, first], table[:, second])
    result = Spool(folder / ("large" if large else "small"), partitions, 2)
    checksum = 0
    for p in range(partitions):
        table = _distinct(source.read(p))
        checksum = (checksum + _checksum(table)) & 0xFFFFFFFFFFFFFFFF
        out = np.empty((len(table) * 2, 2), np.uint64)
        size = _star(np.ascontiguousarray(table[:, 0]), np.ascontiguousarray(table[:, 1]), large, out)
        result.add(spread(out[:size, 0], partitions), out[:size, 0], out[:size, 1])
    if large:
        source.remove()
    return result, checksum


def external_components(
    edges: Iterable[tuple[np.ndarray, np.ndarray]], count: int, folder: Path, memory_bytes: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (nodes uint64[k], labels uint64[k]) partition by partition: each node that is not the smallest of its
    component, once, with the smallest.

    edges: batches of (left, right), uint64; count: about how many edges there are; folder: empty local scratch space
    for about 100 bytes an edge; memory_bytes: what one partition may need.
    """
    partitions = max(1, -(-count * _BYTES_A_ROW // memory_bytes))
    current = Spool(folder / "edges", partitions, 2)
    for left, right in edges:
        nodes, labels = components(left, right)  # a batch is contracted first: at most one edge a node is left
        inner = nodes != labels
        current.add(spread(nodes[inner], partitions), nodes[inner], labels[inner])
    before = None
    for turn in range(200):
        large, _ = _round(current, folder / f"{turn}a", True)
        current.remove()
        current, checksum = _round(large, folder / f"{turn}b", False)
        large.remove()
        if checksum == before:
            break
        before = checksum
    for p in range(partitions):
        table = _distinct(current.read(p))
        yield table[:, 0], table[:, 1]
    current.remove()
