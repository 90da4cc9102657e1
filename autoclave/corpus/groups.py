"""How the documents of a shard fared by language, host and source: what tells a filter that harms one group of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

GROUP_COLUMNS = ("language", "host", "source")
"""Columns of DOCUMENT_SCHEMA whose values are counted apart."""

GROUPS_OF_A_SHARD = 64
"""Groups of a kind that a shard counts: those with most documents, so that a commit stays small on any crawl."""

NO_TEXT = frozenset({"http_status", "content_type"})
"""Reasons that say that a record was never a text: redirects, images. Such records are no members of a group."""

GroupCounts = dict[str, dict[str, dict[str, int]]]
"""kind of group -> group -> filter -> documents that it dropped, and '' -> documents that came in."""


def count_groups(counts: GroupCounts, batch: pa.RecordBatch, ledger: pa.RecordBatch) -> None:
    """Add one batch (DOCUMENT_SCHEMA) and its ledger rows (LEDGER_SCHEMA first) to `counts`, in place."""
    reasons = ledger.column("reason")
    texts = pc.invert(pc.is_in(reasons, pa.array(sorted(NO_TEXT), pa.string())))
    names = ledger.column("filter").fill_null("")
    for kind in GROUP_COLUMNS:
        table = pa.table({"group": batch.column(kind), "filter": names}).filter(texts)
        table = table.filter(pc.is_valid(table["group"]))
        found = table.group_by(["group", "filter"]).aggregate([([], "count_all")])
        groups = counts.setdefault(kind, {})
        for group, name, number in zip(*(found[column].to_pylist() for column in found.column_names), strict=True):
            own = groups.setdefault(group, {"": 0})
            own[""] += number
            if name:
                own[name] = own.get(name, 0) + number


def largest_groups(counts: GroupCounts) -> GroupCounts:
    """Return the GROUPS_OF_A_SHARD largest groups of each kind, of more than one document, in order of their names."""
    chosen: GroupCounts = {}
    for kind, groups in counts.items():
        order = sorted(groups, key=lambda group: (-groups[group][""], group))[:GROUPS_OF_A_SHARD]
        chosen[kind] = {group: dict(sorted(groups[group].items())) for group in sorted(order) if groups[group][""] > 1}
    return chosen


def merge_groups(parts: Iterable[Mapping[str, Mapping[str, Mapping[str, int]]]]) -> GroupCounts:
    """Return the sums of several shards' counts."""
    total: GroupCounts = {}
    for part in parts:
        for kind, groups in part.items():
            for group, counts in groups.items():
                own = total.setdefault(kind, {}).setdefault(group, {})
                for name, number in counts.items():
                    own[name] = own.get(name, 0) + number
    return total
