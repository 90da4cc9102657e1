"""Floors: no language, source or host loses more than a stated share of its documents unless a person confirms it.

Losses are counted by group over the whole corpus; of hosts only those
that lose something are counted, by a shard first, so that few names travel.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

GROUPS = ("language", "source", "host")
"""Columns of the table of scores by which losses are counted."""


class Loss(msgspec.Struct, frozen=True):
    """What a group has and loses, in documents."""

    documents: int
    lost: int

    @property
    def share(self) -> float:
        """Share of its documents that the group loses."""
        return self.lost / max(1, self.documents)


def count_losses(rows: pa.Table | pa.RecordBatch, lost: np.ndarray, scored: np.ndarray) -> dict[str, dict[str, Loss]]:
    """Return column -> group -> loss, of the rows that have a score. lost, scored: bool [n]."""
    result = {}
    for column in GROUPS:
        found = rows.column(column)
        plain = found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
        encoded = pc.dictionary_encode(pc.fill_null(plain, ""))
        codes = encoded.indices.to_numpy(zero_copy_only=False)
        names = encoded.dictionary.to_pylist()
        documents = np.bincount(codes[scored], minlength=len(names))
        losses = np.bincount(codes[scored & lost], minlength=len(names))
        result[column] = {
            name: Loss(int(documents[code]), int(losses[code])) for code, name in enumerate(names) if documents[code]
        }
    return result


def merge_losses(parts: Iterable[dict[str, dict[str, Loss]]]) -> dict[str, dict[str, Loss]]:
    """Return the sum of counts."""
    total: dict[str, dict[str, Loss]] = {column: {} for column in GROUPS}
    for part in parts:
        for column, groups in part.items():
            for name, one in groups.items():
                before = total[column].get(name, Loss(0, 0))
                total[column][name] = Loss(before.documents + one.documents, before.lost + one.lost)
    return {column: dict(sorted(groups.items())) for column, groups in total.items()}


def below_floor(
    losses: dict[str, dict[str, Loss]], floor: float, fewest: int, confirmed: Collection[str]
) -> dict[str, list[str]]:
    """Return column -> the groups that would lose more than the share `floor`, of at least `fewest` documents.

    Those without a name (no host is known) are no group, and what a person confirmed is left out.
    """
    return {
        column: [
            name
            for name, one in groups.items()
            if name and one.documents >= fewest and one.share > floor and name not in confirmed
        ]
        for column, groups in losses.items()
    }
