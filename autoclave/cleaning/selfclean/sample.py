"""The sample that people judge: from kept, dropped and borderline documents, shuffled, without their verdicts."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping

import msgspec
import numpy as np
import xxhash

GROUPS = ("kept", "borderline", "dropped")
BORDER = 0.05
"""A document whose badness (bits per byte, by default) is within this of a limit, on either side, is borderline."""

EXCERPT_CHARACTERS = 2000


class Candidate(msgspec.Struct, frozen=True):
    """One document that may be judged. `rank` is a hash of its id: the smallest ranks of a group are the sample."""

    rank: int
    group: str
    doc_id: str
    """Hexadecimal."""
    kept: bool
    badness: float
    language: str
    url: str
    text: str
    """The first EXCERPT_CHARACTERS characters."""


def group_of(verdict: np.ndarray, badness: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return the group of each document as an index into GROUPS, int8[n].

    verdict: integer[n], 0 where kept; badness, and low, high, its limits, in one unit: floating-point [n].
    """
    near = (np.abs(badness - low) <= BORDER) | (np.abs(badness - high) <= BORDER)
    return np.where(near, 1, np.where(verdict == 0, 0, 2)).astype(np.int8)


def rank_of(doc_id: bytes, seed: int) -> int:
    """Return a hash that orders documents at random, the same in every run with this seed (xxh3-64, 63 bits)."""
    return xxhash.xxh3_64_intdigest(doc_id, seed) >> 1


def smallest(candidates: Iterable[Candidate], size: int) -> list[Candidate]:
    """Return the `size` candidates of smallest rank of each group, by group and rank; memory of that size alone."""
    heaps: dict[str, list[tuple[int, str, Candidate]]] = {group: [] for group in GROUPS}
    for one in candidates:
        heap = heaps[one.group]
        item = (-one.rank, one.doc_id, one)
        if len(heap) < size:
            heapq.heappush(heap, item)
        elif item > heap[0]:
            heapq.heapreplace(heap, item)
    return [one for group in GROUPS for _, _, one in sorted(heaps[group], key=lambda item: (-item[0], item[1]))]


def write_sample(chosen: Iterable[Candidate]) -> tuple[bytes, bytes]:
    """Return (sample.jsonl: number, language, text, empty label; key.jsonl: number, doc_id, verdict, score).

    Rows are in rank order over all groups, so that their place says nothing about the verdict.
    """
    ordered = sorted(chosen, key=lambda one: (one.rank, one.doc_id))
    sample = [{"number": n, "language": one.language, "text": one.text, "label": None} for n, one in enumerate(ordered)]
    key = [
        {
            "number": number,
            "doc_id": one.doc_id,
            "group": one.group,
            "kept": one.kept,
            "badness": one.badness,
            "url": one.url,
        }
        for number, one in enumerate(ordered)
    ]
    return _lines(sample), _lines(key)


def _lines(rows: Iterable[Mapping[str, object]]) -> bytes:
    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
