"""Topics: clusters of the pooled hidden states of documents, so that a domain is compared with itself.

Each fold's model has a space of its own, so each fold has clusters of its own: a topic is a fold and a cluster. The
fit is k-means on directions (Dhillon and Modha 2001, spherical k-means) from the mean of a sample.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa

TURNS = 20
"""Of k-means; documents change clusters hardly at all after so many."""

PER_TOPIC = 150
"""Documents of the sample for each topic at least: fewer topics are made of fewer."""


class FoldTopics(msgspec.Struct, frozen=True):
    """fold: whose model's space; centre: mean of the sample; means: unit vectors, one a topic."""

    fold: int
    centre: list[float]
    means: list[list[float]]


def pooled_of(rows: pa.Table | pa.RecordBatch) -> tuple[np.ndarray, np.ndarray]:
    """Return (fold int64 [n], -1 where unknown; pooled hidden states float64 [n, size], zero where unknown)."""
    columns = [rows.column(name) for name in ("fold", "pooled_hidden")]
    fold, pooled = (c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c for c in columns)
    values = np.zeros((rows.num_rows, pooled.type.list_size))
    known = pooled.is_valid().to_numpy(zero_copy_only=False)
    values[known] = pooled.flatten().to_numpy(zero_copy_only=False).reshape(-1, pooled.type.list_size)
    codes = fold.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return np.where(known, codes, -1), values


def fit_topics(rows: pa.Table | pa.RecordBatch, topics: int, seed: int = 0) -> list[FoldTopics]:
    """Return the topics of each fold, at most `topics`, of a sample with columns fold (int8 [n]) and pooled_hidden."""
    fold, values = pooled_of(rows)
    found = []
    for one in np.unique(fold[fold >= 0]):
        here = values[fold == one]
        count = max(1, min(topics, len(here) // PER_TOPIC))
        centre = here.mean(axis=0)
        means = _spherical_means(_directions(here - centre), count, seed)
        found.append(FoldTopics(int(one), centre.tolist(), means.tolist()))
    return found


def topics_of(rows: pa.Table | pa.RecordBatch, topics: Sequence[FoldTopics]) -> pa.Array:
    """Return each row's topic, string [n], such as 'topic1-7'; 'topic' where it has no hidden state."""
    fold, values = pooled_of(rows)
    names = np.full(rows.num_rows, "topic", dtype=object)
    for one in topics:
        places = np.flatnonzero(fold == one.fold)
        nearest = np.argmax(_directions(values[places] - np.array(one.centre)) @ np.array(one.means).T, axis=1)
        names[places] = [f"topic{one.fold}-{number}" for number in nearest]
    return pa.array(names.tolist(), pa.string())


def _directions(values: np.ndarray) -> np.ndarray:
    found: np.ndarray = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-9)
    return found


def _spherical_means(points: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return unit vectors, float64 [count, size]; begun with points far from each other (k-means++)."""
    draw = np.random.default_rng(seed)
    means = points[[int(draw.integers(len(points)))]]
    for _ in range(count - 1):
        away = np.maximum(1 - (points @ means.T).max(axis=1), 1e-9)
        means = np.concatenate([means, points[[int(draw.choice(len(points), p=away / away.sum()))]]])
    for _ in range(TURNS):
        nearest = np.argmax(points @ means.T, axis=1)
        sums = np.zeros_like(means)
        np.add.at(sums, nearest, points)
        filled = np.linalg.norm(sums, axis=1) > 1e-9
        means[filled] = _directions(sums[filled])
    return means
