"""Connected components of candidate edges: an array union-find over compact ids.

The external method for edge sets beyond memory is in `external.py`; both label a component by its smallest id.
"""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def unite(left: np.ndarray, right: np.ndarray, parent: np.ndarray) -> None:
    """Unite along edges in the forest `parent` (int64[n], parent[i] <= i); the smaller index becomes the root.

    left, right: integer[m], the edges.
    """
    for e in range(left.size):
        a = np.int64(left[e])
        b = np.int64(right[e])
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = np.int64(parent[a])
        while parent[b] != b:
            parent[b] = parent[parent[b]]
            b = np.int64(parent[b])
        if a < b:
            parent[b] = a
        elif b < a:
            parent[a] = b


@njit(cache=True, nogil=True)
def flatten(parent: np.ndarray) -> None:
    """Point every node of the forest int64[n], parent[i] <= i, at its root, in place."""
    for i in range(parent.size):  # a parent is never larger than its child: one pass in order suffices
        parent[i] = parent[parent[i]]


def dense_components(left: np.ndarray, right: np.ndarray, count: int) -> np.ndarray:
    """Return int64[count]: for each node 0 .. count - 1 the smallest node of its component.

    left, right: integer[m], the edges. Memory: 8 bytes a node beside the edges.
    """
    parent = np.arange(count, dtype=np.int64)
    unite(left, right, parent)
    flatten(parent)
    return parent


def components(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (nodes uint64[k] sorted, labels uint64[k]) of the graph with these uint64 edges.

    A label is the smallest id of the component. Memory: about 40 bytes an edge while ids are compacted.
    """
    nodes = np.unique(np.concatenate([left, right]))
    roots = dense_components(np.searchsorted(nodes, left), np.searchsorted(nodes, right), nodes.size)
    return nodes, nodes[roots]


@njit(cache=True, nogil=True)
def _join_centres(left: np.ndarray, right: np.ndarray, label: np.ndarray) -> None:
    """Edges sorted by (right, left), left < right: a node joins its smallest neighbour that is a centre, or is one."""
    e = 0
    while e < right.size:
        node = right[e]
        joined = False
        while e < right.size and right[e] == node:
            if not joined and label[left[e]] == left[e]:
                label[node] = left[e]
                joined = True
            e += 1


def join_stars(label: np.ndarray, left: np.ndarray, right: np.ndarray, large: np.ndarray) -> None:
    """Cut the components of the nodes `large` (bool[n], all of each) into stars, in place.

    label: int64[n]; left, right: int64[m], all edges, left < right. In order of their numbers, each node joins the
    smallest neighbour that is a star's centre, or becomes a centre: chains of candidates, by which unrelated documents
    come together, end there.
    """
    inside = large[left]
    left, right = left[inside], right[inside]
    label[large] = np.flatnonzero(large)
    order = np.lexsort((left, right))
    _join_centres(left[order], right[order], label)


def cut_components(label: np.ndarray, left: np.ndarray, right: np.ndarray, cap: int) -> int:
    """Cut components of more than `cap` nodes into stars, in place; returns how many were cut.

    label: int64[n], each node's component, its smallest node; left, right: int64[m], all edges, left < right. Stars
    that are still larger (one bucket of very many) fall into runs of `cap` nodes, each headed by its first.
    """
    sizes = np.bincount(label, minlength=label.size)
    large = sizes[label] > cap
    cut = int(np.count_nonzero(sizes > cap))
    if cut:
        join_stars(label, left, right, large)
        nodes = np.flatnonzero(large)
        nodes = nodes[np.argsort(label[nodes], kind="stable")]
        label[nodes] = runs(label[nodes], nodes, cap)
    return cut


def runs(label: np.ndarray, nodes: np.ndarray, cap: int) -> np.ndarray:
    """Return the new label of each node where components fall into runs of at most `cap` nodes: a run's first node.

    label, nodes: integer[n], sorted by (label, node); a component's smallest node is its label and among them.
    """
    starts = np.flatnonzero(np.diff(label, prepend=label[:1] + 1)) if label.size else np.zeros(0, np.int64)
    first = np.repeat(starts, np.diff(starts, append=label.size))
    rank = np.arange(label.size) - first
    return nodes[first + rank // cap * cap]
