"""Connected components of an edge set, and of a set of nodes, that are larger than memory: elimination by ranges.

Nodes are numbered 0 .. n - 1 and cut into ranges whose arrays fit in memory; an edge waits in the range of its larger
end. Ranges are eliminated from the last to the first: a union-find joins the nodes of the range, each of its sets
points at its smallest neighbour in a lower range, and its other lower neighbours are tied to that one by edges that
wait there. So edges never grow in number, an edge moves only down, and a set without a lower neighbour is headed by
the smallest node of its component. Then ranges ask, from the first to the last, for the label of what they point at.
It is the elimination and time-forward processing of external-memory graph algorithms (Chiang et al. 1995); files are
read and written in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numba import njit

from autoclave.cleaning.dedup.clusters import flatten

_MIX = np.uint64(0x9E3779B97F4A7C15)
NODE_BYTES = 64
"""Memory a node of the range at hand: parent, lowest neighbour, label, and the answer."""
EDGE_BYTES = 128
"""Memory an edge of the chunk at hand: as read, as passed down, sorted by range."""


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
        if self.partitions > 1:
            small = partition.astype(np.uint16) if self.partitions < 1 << 16 else partition  # 16 bits: a radix sort
            order = np.argsort(small, kind="stable")
            table, partition = table[order], partition[order]
        bounds = np.searchsorted(partition, np.arange(self.partitions + 1))
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

    def chunks(self, partition: int, rows: int) -> Iterator[np.ndarray]:
        """Yield a partition as uint64[n, columns] of at most `rows` rows."""
        path = self.folder / str(partition)
        size = path.stat().st_size if path.exists() else 0
        step = rows * self.columns * 8
        for offset in range(0, size, step):
            yield np.fromfile(path, np.uint64, rows * self.columns, offset=offset).reshape(-1, self.columns)

    def forget(self, partition: int) -> None:
        """Remove what a partition holds."""
        (self.folder / str(partition)).unlink(missing_ok=True)


@njit(cache=True, nogil=True)
def _unite_range(table: np.ndarray, low: int, parent: np.ndarray) -> None:
    """Unite along the edges (high, low end) that lie inside the range that begins at node `low`."""
    for e in range(table.shape[0]):
        if table[e, 1] < low:
            continue
        a, b = np.int64(table[e, 0]) - low, np.int64(table[e, 1]) - low
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        while parent[b] != b:
            parent[b] = parent[parent[b]]
            b = parent[b]
        if a < b:
            parent[b] = a
        elif b < a:
            parent[a] = b


@njit(cache=True, nogil=True)
def _lowest_neighbours(table: np.ndarray, low: int, parent: np.ndarray, lowest: np.ndarray) -> None:
    """lowest[root] = the smallest neighbour below the range of each set."""
    for e in range(table.shape[0]):
        other = np.int64(table[e, 1])
        if other < low:
            root = parent[np.int64(table[e, 0]) - low]
            lowest[root] = min(lowest[root], other)


@njit(cache=True, nogil=True)
def _pass_down(table: np.ndarray, low: int, parent: np.ndarray, lowest: np.ndarray) -> int:
    """Replace the head of `table` by the edges (other lower neighbour, lowest) of its sets; returns how many."""
    size = 0
    for e in range(table.shape[0]):
        other = np.int64(table[e, 1])
        if other < low:
            target = lowest[parent[np.int64(table[e, 0]) - low]]
            if other != target:
                table[size, 0], table[size, 1] = other, target
                size += 1
    return size


def batched(edges: Iterable[tuple[np.ndarray, np.ndarray]], rows: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield edges as (larger, smaller) end in batches of about `rows`, without loops: arrays [m] of the edges' dtype.

    edges: batches of (left, right), integer[n].
    """
    held: list[tuple[np.ndarray, np.ndarray]] = []
    count = 0
    for left, right in edges:
        for first in range(0, len(left), rows):
            a, b = left[first : first + rows], right[first : first + rows]
            held.append((np.maximum(a, b), np.minimum(a, b)))
            count += len(a)
            if count >= rows:
                yield _joined(held)
                held, count = [], 0
    if held:
        yield _joined(held)


def _joined(held: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    high, low = (np.concatenate(side) for side in zip(*held, strict=True))
    real = high != low
    return high[real], low[real]


def external_components(
    edges: Iterable[tuple[np.ndarray, np.ndarray]], nodes: int, folder: Path, memory_bytes: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (nodes uint64[k] ascending, labels uint64[k]) range by range: each node that is not the smallest of its
    component, once, with the smallest.

    edges: batches of (left, right), integers below `nodes`; folder: empty local scratch space for about 16 bytes an
    edge and 40 bytes a node; memory_bytes: what arrays of a range and a chunk of edges may need together.
    """
    width = max(1, memory_bytes // (2 * NODE_BYTES))
    rows = max(1, memory_bytes // (2 * EDGE_BYTES))
    ranges = max(1, -(-nodes // width))
    waiting, requests, answers = (Spool(folder / name, ranges, 2) for name in ("edges", "requests", "answers"))
    for high, low_end in batched(edges, rows):
        waiting.add((high // width).astype(np.int64), high, low_end)
    for number in reversed(range(ranges)):
        _eliminate(number, width, nodes, rows, waiting, requests, folder)
    for number in range(ranges):
        low = number * width
        parent = np.fromfile(folder / f"parent{number}", np.int64)
        label = low + np.arange(parent.size, dtype=np.int64)
        for table in answers.chunks(number, rows):
            label[table[:, 0].astype(np.int64) - low] = table[:, 1]
        label = label[parent]
        for table in requests.chunks(number, rows):
            found = label[table[:, 0].astype(np.int64) - low]
            answers.add((table[:, 1] // np.uint64(width)).astype(np.int64), table[:, 1], found)
        for spool in (answers, requests):
            spool.forget(number)
        (folder / f"parent{number}").unlink()
        inner = np.flatnonzero(label != low + np.arange(parent.size))
        yield (low + inner).astype(np.uint64), label[inner].astype(np.uint64)


def _eliminate(number: int, width: int, nodes: int, rows: int, waiting: Spool, requests: Spool, folder: Path) -> None:
    """Join the nodes of a range, pass its edges down, and note which lower node each set asks for its label."""
    low = number * width
    parent = np.arange(min(width, nodes - low), dtype=np.int64)
    for table in waiting.chunks(number, rows):
        _unite_range(table, low, parent)
    flatten(parent)
    parent.tofile(folder / f"parent{number}")
    if not number:
        waiting.forget(number)
        return
    lowest = np.full(parent.size, nodes, np.int64)
    for table in waiting.chunks(number, rows):
        _lowest_neighbours(table, low, parent, lowest)
    for table in waiting.chunks(number, rows):
        table = table[: _pass_down(table, low, parent, lowest)]
        waiting.add((table[:, 0] // np.uint64(width)).astype(np.int64), table[:, 0], table[:, 1])
    waiting.forget(number)
    roots = np.flatnonzero(lowest < nodes)
    requests.add(lowest[roots] // width, lowest[roots], low + roots)
