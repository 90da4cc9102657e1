"""Verification: LSH edges are candidates, not duplicates. A removed document has been compared with the one that stays.

Within a connected component of candidates, documents are visited in the order of preference (best first). A document
joins the most similar representative found so far whose Jaccard similarity reaches the threshold; where there is none
it becomes a representative itself. So every removal has its evidence, every member lies within 1 - threshold of its
representative (Jaccard distance is a metric: a cluster's diameter is at most 2 (1 - threshold)), chains of weak
similarity do not wipe out a source, and a component that LSH over-merged falls into its parts.

Small components compare with every representative; large ones only with representatives of the same LSH bucket, at
most `BUCKET_REPRESENTATIVES` of each, and documents of one shingle set as one, so that the work is linear in the
component's size.
"""

import itertools
from typing import NamedTuple

import numpy as np
from numba import njit

from autoclave.cleaning.dedup.lsh import band_keys
from autoclave.cleaning.dedup.minhash import MinHashParameters
from autoclave.kernels.text.keys.minhash import permutations, sign_hash_sets
from autoclave.kernels.text.raw.memory import kernel

ALL_PAIRS = 64
"""Components up to this size compare a document with every representative: LSH's misses are found again."""

SIGNATURES_AT_ONCE = 8192
"""Documents of a large component whose signatures are in memory together; what stays are their band keys."""

BUCKET_REPRESENTATIVES = 8
"""Most representatives of one LSH bucket that a document of a large component is compared with."""


@kernel
def jaccard_sorted(hashes: np.ndarray, a: int, a_end: int, b: int, b_end: int) -> float:
    """Jaccard similarity of two sorted sets without repeats, slices of `hashes` integer[n]; 0 where both are empty."""
    size_a, size_b = a_end - a, b_end - b
    common = 0
    while a < a_end and b < b_end:
        x, y = hashes[a], hashes[b]
        common += x == y
        a += x <= y
        b += y <= x
    union = size_a + size_b - common
    return common / union if union > 0 else 0.0


class Members(NamedTuple):
    """Documents of candidate components, ordered by (component, preference).

    component: uint64[n]; hashes: uint32, shingle hashes; starts, ends: int64[n], the sorted distinct set of each
    document in `hashes` (empty: compare its signature); signatures: uint32[n, P], or uint32[n, 0] where every document
    has its set; fixed: bool[n], documents that stay whatever they resemble (those of an index).
    """

    component: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    hashes: np.ndarray
    signatures: np.ndarray
    fixed: np.ndarray


@kernel
def _similarity(i: int, j: int, members: Members, threshold: float) -> float:
    """Jaccard of documents i and j: of their sets, or estimated from signatures where one of them has no set."""
    starts, ends, signatures = members.starts, members.ends, members.signatures
    if starts[i] == ends[i] or starts[j] == ends[j]:
        equal = 0
        for k in range(signatures.shape[1]):
            equal += signatures[i, k] == signatures[j, k]
        return equal / signatures.shape[1]
    if starts[i] == starts[j]:
        return 1.0
    size_i, size_j = ends[i] - starts[i], ends[j] - starts[j]
    if min(size_i, size_j) < threshold * max(size_i, size_j):
        return 0.0
    return jaccard_sorted(members.hashes, starts[i], ends[i], starts[j], ends[j])


class Choice(NamedTuple):
    """representative: int64[n], the row that each document yields to, or its own; jaccard: float64[n], with it."""

    representative: np.ndarray
    jaccard: np.ndarray


@njit(cache=True, nogil=True)
def _all_pairs(low: int, high: int, members: Members, threshold: float, choice: Choice) -> None:
    chosen = np.empty(high - low, np.int64)
    count = 0
    for i in range(low, high):
        best, best_value = -1, 0.0
        for c in range(0 if members.fixed[i] else count):
            value = _similarity(i, chosen[c], members, threshold)
            if value >= threshold and value > best_value:
                best, best_value = chosen[c], value
        if best < 0:
            chosen[count] = i
            count += 1
            choice.representative[i], choice.jaccard[i] = i, 1.0
        else:
            choice.representative[i], choice.jaccard[i] = best, best_value


@njit(cache=True, nogil=True)
def _by_buckets(
    rows: np.ndarray, buckets: np.ndarray, held: np.ndarray, members: Members, threshold: float, choice: Choice
) -> None:
    """rows: int64[m], the documents; buckets: int64[m, bands], compact numbers; held: int64[number of buckets,
    capacity], room for places in `rows` of a bucket's representatives."""
    fill = np.zeros(held.shape[0], np.int64)
    seen = np.full(rows.size, -1, np.int64)  # the last document that a representative was compared with
    for place in range(rows.size):
        i = rows[place]
        best, best_value = -1, 0.0
        for band in range(0 if members.fixed[i] else buckets.shape[1]):
            bucket = buckets[place, band]
            for c in range(fill[bucket]):
                other = held[bucket, c]
                if seen[other] == i:
                    continue
                seen[other] = i
                j = rows[other]
                value = _similarity(i, j, members, threshold)
                if value >= threshold and (value > best_value or (value == best_value and j < best)):
                    best, best_value = j, value
        if best >= 0:
            choice.representative[i], choice.jaccard[i] = best, best_value
            continue
        choice.representative[i], choice.jaccard[i] = i, 1.0
        for band in range(buckets.shape[1]):
            bucket = buckets[place, band]
            if fill[bucket] < held.shape[1]:
                held[bucket, fill[bucket]] = place
                fill[bucket] += 1


def component_bounds(component: np.ndarray) -> np.ndarray:
    """Return int64[k + 1]: where each run of equal labels begins, and the end."""
    changes = np.flatnonzero(component[1:] != component[:-1]) + 1
    return (
        np.concatenate([[0], changes, [component.size]]).astype(np.int64) if component.size else np.zeros(1, np.int64)
    )


def choose_representatives(members: Members, threshold: float, parameters: MinHashParameters) -> Choice:
    """Return which document each one yields to."""
    count = members.component.size
    representative, jaccard = np.arange(count, dtype=np.int64), np.ones(count, np.float64)
    choice = Choice(representative, jaccard)
    for low, high in itertools.pairwise(component_bounds(members.component).tolist()):
        if high - low <= ALL_PAIRS:
            _all_pairs(low, high, members, threshold, choice)
            continue
        leader = _first_of_equal_sets(members, low, high)
        rows = np.flatnonzero(leader == np.arange(low, high)) + low
        keys = np.concatenate(
            [
                _keys(members, rows[first : first + SIGNATURES_AT_ONCE], parameters)
                for first in range(0, rows.size, SIGNATURES_AT_ONCE)
            ]
        )
        found, buckets = np.unique(keys, return_inverse=True)
        held = np.empty((found.size, BUCKET_REPRESENTATIVES), np.int64)
        _by_buckets(rows, buckets.reshape(keys.shape).astype(np.int64), held, members, threshold, choice)
        representative[low:high], jaccard[low:high] = representative[leader], jaccard[leader]
    return choice


def _first_of_equal_sets(members: Members, low: int, high: int) -> np.ndarray:
    """int64[high - low]: the first document with the same set as each one (equal sets are one slice of `hashes`)."""
    starts = members.starts[low:high]
    _, first, inverse = np.unique(starts, return_index=True, return_inverse=True)
    alone = (members.ends[low:high] == starts) | members.fixed[low:high]  # without a set, or staying anyway
    return low + np.where(alone, np.arange(high - low), first[inverse])


def _keys(members: Members, rows: np.ndarray, parameters: MinHashParameters) -> np.ndarray:
    """uint64[m, bands]: the band keys of some documents."""
    if members.signatures.shape[1]:
        return band_keys(members.signatures[rows], parameters.bands, parameters.rows)
    a, b = permutations(parameters.num_perm, parameters.seed, parameters.scheme)
    starts, ends = members.starts[rows], members.ends[rows]
    signatures = sign_hash_sets(members.hashes, starts, ends, a, b, scheme=parameters.scheme)
    return band_keys(signatures, parameters.bands, parameters.rows)


def first_of_component(component: np.ndarray) -> Choice:
    """Without verification: every document of a component yields to its first one. component: integer[n], sorted.

    jaccard is 1 of a first document with itself, else NaN.
    """
    bounds = component_bounds(component)
    representative = np.repeat(bounds[:-1], np.diff(bounds))
    jaccard = np.full(component.size, np.nan)
    jaccard[bounds[:-1]] = 1.0
    return Choice(representative, jaccard)
