"""The clusters phase when the documents' labels do not fit in memory: joins over partitioned files on local disk.

It differs from the method in memory in one respect that does not show in the result: groups of exact copies that
resemble nothing else go through verification like everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from autoclave.cleaning.dedup.external import Spool, external_components, spread
from autoclave.cleaning.dedup.external_stars import external_stars, range_width
from autoclave.cleaning.dedup.slices import write_slices
from autoclave.corpus.output import ShardOutput
from autoclave.pipelines.dedup.edges import COMPONENT_ROWS, EXACT_ROWS, candidate_edges, copy_edges, members_of_a_task
from autoclave.pipelines.dedup.manifest import ROW_BITS, Manifest
from autoclave.pipelines.running.scratch import scratch_folder
from autoclave.pipelines.running.stage import ShardTask

DOCUMENT_BYTES = 100
"""Memory a document while one partition of the joins is at hand."""
ROW_BYTES = 256
"""Memory a row of the chunk at hand, where one component or one page's copies may be most of a partition."""


def find_clusters_externally(task: ShardTask, output: ShardOutput, manifest: Manifest) -> None:
    """Write what `find_clusters` writes, within `memory_budget_mb`."""
    candidates = task.folder.rsplit("/", 1)[0] + "/candidates"
    names = [f"{p:06d}" for p in range(task.arguments["partitions"])]
    budget = task.settings.memory_budget_mb << 20
    with scratch_folder("autoclave-dedup-") as scratch:
        work = _Work(scratch, manifest, candidates, names, budget)
        leaders = work.leaders()
        labelled, counts, cut = work.label(leaders, task.settings.component_cap)
        parts, tasks, largest, components = work.balance(counts, members_of_a_task(task.settings, manifest))
        by_shard = work.join_parts(labelled, parts)
        with output.open("components.arrow") as file:
            write_slices(file, COMPONENT_ROWS, work.shard_rows(by_shard, leaders))
    empty = pa.RecordBatch.from_arrays([pa.array([], field.type) for field in EXACT_ROWS], schema=EXACT_ROWS)
    with output.open("exact.arrow") as file:
        write_slices(file, EXACT_ROWS, (empty for _ in manifest.shards))
    output.count("components", components)
    output.count("largest_component", largest)
    output.count("components_cut", cut)
    output.count("partitions", tasks)


def _counted(chunks: Iterator[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return (labels uint64[k] ascending, int64[k] rows of each) of rows (label, node)."""
    labels, times = np.zeros(0, np.uint64), np.zeros(0, np.int64)
    for table in chunks:
        distinct, count = np.unique(table[:, 0], return_counts=True)
        labels, at = np.unique(np.concatenate([labels, distinct]), return_inverse=True)
        times = np.bincount(at, np.concatenate([times, count]), labels.size).astype(np.int64)
    return labels, times


def _limited(chunks: Iterator[np.ndarray], cap: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Cut stars into runs of `cap` nodes as `clusters.runs` does; yields (nodes, first nodes of their runs).

    chunks: rows (centre, node), nodes ascending, without the centres themselves. What is carried from chunk to chunk
    is, of each centre, how many of its nodes have passed and the first node of its last run.
    """
    known, passed, head = np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros(0, np.uint64)
    for table in chunks:
        centre, node = table[np.argsort(table[:, 0], kind="stable")].T
        own, first, inverse, size = np.unique(centre, return_index=True, return_inverse=True, return_counts=True)
        new = np.setdiff1d(own, known)
        at = np.searchsorted(known, new)
        known, passed, head = np.insert(known, at, new), np.insert(passed, at, 1), np.insert(head, at, new)
        slot = np.searchsorted(known, own)
        place = np.arange(node.size)
        begin = place - (passed[slot][inverse] + place - first[inverse]) % cap
        label = np.where(begin < first[inverse], head[slot][inverse], node[np.maximum(begin, 0)])
        passed[slot] += size
        head[slot] = label[first + size - 1]
        joined = label != node
        yield node[joined], label[joined]


class _Work:
    """The joins of one run; every method reads spools that the one before wrote."""

    def __init__(self, scratch: Path, manifest: Manifest, candidates: str, names: list[str], budget: int) -> None:
        self.scratch, self.manifest, self.candidates, self.names, self.budget = (
            scratch,
            manifest,
            candidates,
            names,
            budget,
        )
        self.bases = manifest.bases()
        rows = int(self.bases[-1])
        self.partitions = max(1, min(1024, -(-rows * DOCUMENT_BYTES // budget)))
        self.rows = max(1, budget // ROW_BYTES)

    def _spool(self, name: str, columns: int) -> Spool:
        return Spool(self.scratch / name, self.partitions, columns)

    def _span(self, group: int) -> tuple[int, int]:
        """(first node, end) of a group of shards."""
        shards = len(self.manifest.shards)
        first, end = (-(-g * shards // self.partitions) for g in (group, group + 1))
        return int(self.bases[first]), int(self.bases[end])

    def _resolve(self, leaders: Spool) -> Callable[[], Iterator[tuple[np.ndarray, np.ndarray]]]:
        """Return what yields the candidate edges between the documents whose texts the ends of each edge repeat."""
        by_left, by_right, resolved = self._spool("by_left", 2), self._spool("by_right", 2), self._spool("resolved", 2)
        for left, right in candidate_edges(self.manifest, self.candidates, self.names):
            by_left.add(self._group(left), left, right)
        for source, target in ((by_left, by_right), (by_right, resolved)):
            for group in range(self.partitions):
                low, end = self._span(group)
                leader = np.arange(low, end, dtype=np.uint64)
                copies = leaders.read(group)
                leader[copies[:, 0].astype(np.int64) - low] = copies[:, 1]
                for table in source.chunks(group, self.rows):
                    found = leader[table[:, 0].astype(np.int64) - low]
                    target.add(self._group(table[:, 1]), table[:, 1], found)
                source.forget(group)

        def edges() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            for group in range(self.partitions):
                for table in resolved.chunks(group, self.rows):
                    yield table[:, 0], table[:, 1]

        return edges

    def label(self, leaders: Spool, cap: int) -> tuple[Spool, Spool, int]:
        """Spool (label, node) and (label, nodes of it here), both by label; a component's own label is not listed.

        Returns them with the number of components that were cut because they had more than `cap` texts.
        """
        edges, nodes = self._resolve(leaders), int(self.bases[-1])
        own, by_node = self._spool("own", 2), self._spool("by_node", 2)
        for found, labels in external_components(edges(), nodes, self.scratch / "components", self.budget):
            own.add(spread(labels, self.partitions), labels, found)
        width = range_width(self.budget)
        large, cut = Spool(self.scratch / "large", max(1, -(-nodes // width)), 1), 0
        for p in range(self.partitions):
            labels, times = _counted(own.chunks(p, self.rows))
            big = labels[times + 1 > cap]
            cut += big.size
            large.add((big // np.uint64(width)).astype(np.int64), big)
            for table in own.chunks(p, self.rows):
                inside = np.isin(table[:, 0], big)
                by_node.add(self._group(table[~inside, 1]), table[~inside, 1], table[~inside, 0])
                large.add((table[inside, 1] // np.uint64(width)).astype(np.int64), table[inside, 1])
        if cut:
            by_centre = self._spool("by_centre", 2)
            for found, centres in external_stars(edges(), nodes, large, self.scratch / "stars", self.budget):
                by_centre.add(spread(centres, self.partitions), centres, found)
            for p in range(self.partitions):
                for found, labels in _limited(by_centre.chunks(p, self.rows), cap):
                    by_node.add(self._group(found), found, labels)
        return *self._with_copies(leaders, by_node), cut

    def _with_copies(self, leaders: Spool, by_node: Spool) -> tuple[Spool, Spool]:
        """Give exact copies the label of the document that they repeat; returns (labelled, counts) by label."""
        by_leader, labelled, counts = self._spool("by_leader", 2), self._spool("labelled", 2), self._spool("counts", 2)

        def add(labels: np.ndarray, nodes: np.ndarray) -> None:
            labelled.add(spread(labels, self.partitions), labels, nodes)
            distinct, times = np.unique(labels, return_counts=True)
            counts.add(spread(distinct, self.partitions), distinct, times.astype(np.uint64))

        for group in range(self.partitions):
            for copies in leaders.chunks(group, self.rows):
                by_leader.add(self._group(copies[:, 1]), copies[:, 1], copies[:, 0])
        for group in range(self.partitions):
            low, end = self._span(group)
            label = np.arange(low, end, dtype=np.uint64)
            for table in by_node.chunks(group, self.rows):
                label[table[:, 0].astype(np.int64) - low] = table[:, 1]
                add(table[:, 1], table[:, 0])
            for copies in by_leader.chunks(group, self.rows):
                add(label[copies[:, 0].astype(np.int64) - low], copies[:, 1])
        return labelled, counts

    def balance(self, counts: Spool, limit: int) -> tuple[Spool, int, int, int]:
        """Spool (label, verification task); returns it with the numbers of tasks, of the largest component's
        documents, and of components."""
        parts = self._spool("parts", 2)
        before = task = largest = components = 0
        for p in range(self.partitions):
            table = counts.read(p)
            labels, inverse = np.unique(table[:, 0], return_inverse=True)
            sizes = 1 + np.bincount(inverse, weights=table[:, 1].astype(np.float64)).astype(np.int64)
            if not labels.size:
                continue
            numbers = (before + np.cumsum(sizes) - sizes) // limit
            compact = np.unique(numbers, return_inverse=True)[1] + task
            parts.add(np.full(labels.size, p), labels, compact.astype(np.uint64))
            before, task = 0, int(compact[-1]) + 1
            largest, components = max(largest, int(sizes.max())), components + labels.size
        return parts, task, largest, components

    def join_parts(self, labelled: Spool, parts: Spool) -> Spool:
        """Spool (node, label, task) of every document of a component, by groups of shards."""
        by_shard = self._spool("by_shard", 3)
        for p in range(self.partitions):
            table = parts.read(p)
            table = table[np.argsort(table[:, 0])]
            for rows in labelled.chunks(p, self.rows):
                tasks = table[np.searchsorted(table[:, 0], rows[:, 0]), 1]
                by_shard.add(self._group(rows[:, 1]), rows[:, 1], rows[:, 0], tasks)
            by_shard.add(self._group(table[:, 0]), table[:, 0], table[:, 0], table[:, 1])
        return by_shard

    def _group(self, nodes: np.ndarray) -> np.ndarray:
        """The partition of each node: shards in order, evenly."""
        place = np.searchsorted(self.bases, nodes.astype(np.int64), side="right") - 1
        return (place * self.partitions // len(self.manifest.shards)).astype(np.int64)

    def leaders(self) -> Spool:
        """Spool (copy, the document whose text it repeats in the end), by groups of shards."""
        local, between = self._spool("local", 2), self._spool("between", 2)
        for leaders, members, inside in copy_edges(self.manifest, self.candidates, self.names):
            first, second = leaders.astype(np.uint64), members.astype(np.uint64)
            if inside:
                local.add(spread(first, self.partitions), first, second)
            else:
                between.add(spread(second, self.partitions), second, first)
        found = self._spool("leaders", 2)
        for p in range(self.partitions):
            rows, onward = local.read(p), between.read(p)
            onward = onward[np.argsort(onward[:, 0])]
            final = rows[:, 0].copy()
            if len(onward):
                at = np.minimum(np.searchsorted(onward[:, 0], final), len(onward) - 1)
                final = np.where(onward[at, 0] == final, onward[at, 1], final)
            found.add(self._group(rows[:, 1]), rows[:, 1], final)
            found.add(self._group(onward[:, 0]), onward[:, 0], onward[:, 1])
        return found

    def shard_rows(self, by_shard: Spool, leaders: Spool) -> Iterator[pa.RecordBatch]:
        """Yield one batch of COMPONENT_ROWS a shard."""
        loaded = -1
        for place in range(len(self.manifest.shards)):
            group = place * self.partitions // len(self.manifest.shards)
            if group != loaded:
                rows, copies, loaded = by_shard.read(group), leaders.read(group), group
                rows = rows[np.argsort(rows[:, 0])]
                own = rows[:, 0].copy()
                own[np.searchsorted(rows[:, 0], copies[:, 0])] = copies[:, 1]
            low, high = np.searchsorted(rows[:, 0], self.bases[place : place + 2].astype(np.uint64))
            at = np.searchsorted(self.bases, own[low:high].astype(np.int64), side="right") - 1
            leader = (at.astype(np.uint64) << ROW_BITS) | (own[low:high] - self.bases[at].astype(np.uint64))
            row = (rows[low:high, 0] - np.uint64(self.bases[place])).astype(np.uint32)
            columns = [row, rows[low:high, 1], rows[low:high, 2].astype(np.uint32), leader]
            yield pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=COMPONENT_ROWS)
