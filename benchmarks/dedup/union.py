"""Edges a second of a union-find, in memory and by files, beside a dictionary as datatrove's."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from autoclave.cleaning.dedup.clusters import dense_components
from autoclave.cleaning.dedup.external import NODE_BYTES, external_components
from benchmarks.dedup.runs import best_cpu, row


def union(arguments: argparse.Namespace) -> None:
    """Edges per second of a union-find: ours over compact ids, and a dictionary of (file, document) as datatrove's."""
    rng = np.random.default_rng(3)
    nodes, edges = 1_000_000, 2_000_000
    left, right = rng.integers(0, nodes, edges), rng.integers(0, nodes, edges)
    dense_components(left[:10], right[:10], nodes)
    ours = edges / best_cpu(lambda: dense_components(left, right, nodes)) / 1e6
    pairs = [((int(a) >> 12, int(a) & 4095), (int(b) >> 12, int(b) & 4095)) for a, b in zip(left, right, strict=True)]
    pairs = pairs[: edges // 4]

    def dictionary() -> None:
        parent: dict[tuple[int, int], tuple[int, int]] = {}
        size: dict[tuple[int, int], int] = {}

        def find(x: tuple[int, int]) -> tuple[int, int]:
            if x not in parent or parent[x] == x:
                return x
            parent[x] = find(parent[x])
            return parent[x]

        for a, b in pairs:
            root_a, root_b = find(a), find(b)
            if root_a != root_b:
                size_a, size_b = size.get(root_a, 1), size.get(root_b, 1)
                if size_a < size_b:
                    root_a, root_b = root_b, root_a
                parent[root_b] = root_a
                size[root_a] = size_a + size_b

    theirs = len(pairs) / best_cpu(dictionary, 1) / 1e6
    print(f"union-find: {edges:,} random edges of {nodes:,} documents")
    row("autoclave, array over compact ids", ours, "M edges/s")
    row("dictionary of tuples, as datatrove", theirs, "M edges/s", f"{ours / theirs:.0f} times (bar 20)")
    _external_union()


def _external_union() -> None:
    """The external method on a graph of which memory holds an eighth, disk writes included."""
    rng = np.random.default_rng(3)
    nodes, edges = 8_000_000, 16_000_000
    left, right = rng.integers(0, nodes, edges), rng.integers(0, nodes, edges)
    budget = nodes * NODE_BYTES * 2 // 8
    dense = edges / best_cpu(lambda: dense_components(left, right, nodes), 1) / 1e6
    batches = list(zip(np.array_split(left, 64), np.array_split(right, 64), strict=True))
    label = np.arange(nodes)

    def disk() -> None:
        with tempfile.TemporaryDirectory() as folder:
            for found, labels in external_components(batches, nodes, Path(folder), budget):
                label[found.astype(np.int64)] = labels

    disk()  # compiled
    rate = edges / best_cpu(disk, 1) / 1e6
    assert (label == dense_components(left, right, nodes)).all()
    note = f"{budget >> 20} MB in 8 ranges, the same labels; in memory {dense:.1f} M edges/s"
    row(f"autoclave, external, {edges:,} edges", rate, "M edges/s", note)
