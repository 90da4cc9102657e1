"""What was found against what is true: pairs against labels, removal against exact Jaccard in planted families."""

from __future__ import annotations

from benchmarks.dedup.corpus import shingles_of


def pairs_of_groups(group: list[object]) -> set[tuple[int, int]]:
    """Return the pairs (low, high) of positions that name the same group."""
    members: dict[object, list[int]] = {}
    for i, name in enumerate(group):
        members.setdefault(name, []).append(i)
    return {(a, b) for inside in members.values() for n, b in enumerate(inside) for a in inside[:n]}


def pair_scores(found: set[tuple[int, int]], labels: list[object]) -> tuple[float, float, float]:
    """Return precision, recall and F1 of pairs against equal labels."""
    members: dict[object, list[int]] = {}
    for i, label in enumerate(labels):
        members.setdefault(label, []).append(i)
    true = {(a, b) for group in members.values() for n, b in enumerate(group) for a in group[:n]}
    hits = len(found & true)
    precision, recall = hits / max(1, len(found)), hits / max(1, len(true))
    return precision, recall, 2 * precision * recall / max(1e-12, precision + recall)


def judge(corpus: list[str], family: list[int], kept: set[int], threshold: float = 0.75) -> tuple[float, float, int]:
    """Return (recall, precision, removed) against exact Jaccard inside the planted families.

    recall: of pairs (document, earliest relative) at or above the threshold, those of which at most one stayed;
    precision: of removed documents, those with a relative that stayed at or above the threshold.
    """
    members: dict[int, list[int]] = {}
    for i, name in enumerate(family):
        members.setdefault(name, []).append(i)
    pairs = found = removed = right = 0
    for group in (group for group in members.values() if len(group) > 1):
        sets = {i: set(shingles_of(corpus[i])) for i in group}
        for i in group:
            similar = [j for j in group if j != i and _jaccard(sets[i], sets[j]) >= threshold]
            if i not in kept:
                removed += 1
                right += any(j in kept for j in similar)
            for j in (j for j in similar if j < i):
                pairs += 1
                found += not (i in kept and j in kept)
    strangers = sum(1 for group in members.values() if len(group) == 1 and group[0] not in kept)
    return found / max(1, pairs), right / max(1, removed + strangers), removed + strangers


def _jaccard(left: set[bytes], right: set[bytes]) -> float:
    common = len(left & right)
    return common / (len(left) + len(right) - common)


class Truth:
    """Exact Jaccard of pairs, and the pairs at or above the threshold inside the planted families."""

    def __init__(self, corpus: list[str], family: list[int], threshold: float = 0.75) -> None:
        self.corpus, self.threshold = corpus, threshold
        self.pairs = {pair for pair in pairs_of_groups(list(family)) if self.similar(pair)}

    def similar(self, pair: tuple[int, int]) -> bool:
        left, right = (set(shingles_of(self.corpus[i])) for i in pair)
        return _jaccard(left, right) >= self.threshold

    def describe(self, name: str, found: set[tuple[int, int]]) -> None:
        """Print the precision and recall of pairs (low, high)."""
        hits = len(found & self.pairs)
        right = hits + sum(map(self.similar, found - self.pairs))  # strangers may be alike by accident
        precision, recall = right / max(1, len(found)), hits / len(self.pairs)
        print(f"    {name:<46} {len(found):>8,} pairs, precision {precision:.4f}, recall {recall:.4f}")
