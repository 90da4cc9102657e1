"""Other ways to verify and to cluster, beside the stage's, on the labelled sets: `python -m benchmarks.dedup rules`.

Rules are tried on the pairs of exact similarities, outside the stage; the stage's own rule is asserted to give the
stage's clusters. A choice may be made on the first halves of the labels only.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix

from autoclave.cleaning.dedup.clusters import dense_components
from autoclave.cleaning.dedup.lsh import band_keys, star_edges
from autoclave.cleaning.dedup.minhash import MinHashParameters, Signer, preset_parameters
from autoclave.kernels.text.keys.minhash import shingle_sets
from autoclave.kernels.text.texts import text_buffers
from benchmarks.dedup.corpus import labelled_sets, planted_corpus
from benchmarks.dedup.quality import Half, candidates, halves
from benchmarks.dedup.runs import stage_groups
from benchmarks.dedup.scores import judge, pair_scores, pairs_of_groups

FINEWEB = preset_parameters("fineweb")
DRAWS = 400
"""Resamples of the labels for an interval."""

Pairs = set[tuple[int, int]]


@dataclass(frozen=True)
class Rule:
    """A way to cluster: `may_join(jaccard, contained)` says of each pair (i, j) whether i may yield to j."""

    may_join: Callable[[np.ndarray, np.ndarray], np.ndarray]
    with_whom: str = "representative"
    """Whom a document must resemble: the representative, two members, or half of the members."""
    parameters: MinHashParameters = FINEWEB


def jaccard(threshold: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    return lambda similarity, contained: similarity >= threshold


def either(threshold: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Jaccard, or as much of the document in the other one as two of one length share at that Jaccard."""
    return lambda similarity, contained: (similarity >= threshold) | (contained >= 2 * threshold / (1 + threshold))


RULES = {
    "representative, Jaccard 0.75 (the default)": Rule(jaccard(0.75)),
    "representative, Jaccard 0.70": Rule(jaccard(0.70)),
    "representative, Jaccard 0.65": Rule(jaccard(0.65)),
    "representative, Jaccard 0.75 or contained 0.857": Rule(either(0.75)),
    "any two members, Jaccard 0.75": Rule(jaccard(0.75), "two"),
    "half of the members, Jaccard 0.75": Rule(jaccard(0.75), "half"),
    "half of the members, Jaccard 0.70": Rule(jaccard(0.70), "half"),
    "half of the members, 0.75 or contained 0.857": Rule(either(0.75), "half"),
    "the default with 3-grams": Rule(jaccard(0.75), parameters=msgspec.structs.replace(FINEWEB, ngram=3)),
    "the default with 4-grams": Rule(jaccard(0.75), parameters=msgspec.structs.replace(FINEWEB, ngram=4)),
    "the default with 8-grams": Rule(jaccard(0.75), parameters=msgspec.structs.replace(FINEWEB, ngram=8)),
    "olmocr: representative, Jaccard 0.55": Rule(jaccard(0.55), parameters=preset_parameters("olmocr")),
}


@dataclass(frozen=True)
class Component:
    """A candidate component: its rows, the longest first, and of all pairs Jaccard and the share of i that j holds."""

    rows: list[int]
    jaccard: np.ndarray
    contained: np.ndarray


def components_of(corpus: list[str], parameters: MinHashParameters) -> list[Component]:
    """Return the candidate components of a corpus with the similarities of all their pairs."""
    signatures = Signer.of(parameters).sign(pa.array(corpus))[0]
    keys = band_keys(signatures, parameters.bands, parameters.rows).reshape(-1)
    owner = np.repeat(np.arange(len(corpus)), parameters.bands)
    order = np.argsort(keys, kind="stable")
    left, right, _ = star_edges(keys[order], owner[order])
    label = dense_components(left, right, len(corpus))
    members: dict[int, list[int]] = {}
    for row in sorted(range(len(corpus)), key=lambda row: -len(corpus[row].encode())):
        members.setdefault(int(label[row]), []).append(row)
    return [_compared(corpus, rows, parameters.ngram) for rows in members.values() if len(rows) > 1]


def _compared(corpus: list[str], rows: list[int], ngram: int) -> Component:
    sets, bounds = shingle_sets(*text_buffers(pa.array([corpus[row] for row in rows])), ngram=ngram)
    columns = np.unique(sets, return_inverse=True)[1]
    matrix = csr_matrix((np.ones(sets.size, np.float64), columns, bounds))
    common, size = (matrix @ matrix.T).toarray(), np.diff(bounds)[:, None]
    return Component(rows, common / np.maximum(1, size + size.T - common), common / np.maximum(1, size))


def clusters(component: Component, rule: Rule) -> list[list[int]]:
    """Cut a component as the stage does: each document, best first, joins the cluster most like it, or opens one."""
    fits = rule.may_join(component.jaccard, component.contained)
    found: list[list[int]] = []
    for i in range(len(component.rows)):
        best, most = None, -1.0
        for cluster in found:
            others = cluster[:1] if rule.with_whom == "representative" else cluster
            needed = {"representative": 1, "two": min(2, len(others)), "half": len(others) / 2}[rule.with_whom]
            similarity = float(component.jaccard[i, others].mean())
            if np.count_nonzero(fits[i, others]) >= needed and similarity > most:
                best, most = cluster, similarity
        if best is None:
            found.append([i])
        else:
            best.append(i)
    return [[component.rows[i] for i in cluster] for cluster in found]


def pairs_inside(corpus: list[str], rule: Rule) -> Pairs:
    """Return the pairs inside the clusters that a rule makes of a corpus."""
    found = [cluster for part in components_of(corpus, rule.parameters) for cluster in clusters(part, rule)]
    return {(min(pair), max(pair)) for cluster in found for pair in itertools.combinations(cluster, 2)}


def candidate_pairs(half: Half, preset: str) -> Pairs:
    """Return the pairs that share a bucket: what datasketch's LSH answers."""
    low, high = np.nonzero(np.triu(candidates(half, preset)[0], 1))
    return set(zip(low.tolist(), high.tolist(), strict=True))


class Resampled:
    """F1 of pairs on a labelled set and on resamples of its labels (float64[1 + DRAWS]; the set itself first)."""

    def __init__(self, labels: list[object]) -> None:
        names, self.label = np.unique([str(label) for label in labels], return_inverse=True)
        rng = np.random.default_rng(0)
        draws = rng.multinomial(names.size, np.full(names.size, 1 / names.size), DRAWS)
        self.weights = np.concatenate([np.ones((1, names.size)), draws])
        self.true = pairs_of_groups(self.label.tolist())

    def f1(self, found: Pairs) -> np.ndarray:
        hits, claimed, true = (self._weight(pairs) for pairs in (found & self.true, found, self.true))
        return 2 * hits / np.maximum(1e-12, claimed + true)

    def _weight(self, pairs: Pairs) -> np.ndarray:
        """A pair counts as often as the labels of its two ends were drawn, on average."""
        ends = self.label[np.array(sorted(pairs), np.int64).reshape(-1)]
        return np.asarray(self.weights[:, ends].sum(axis=1)) / 2


def rules(arguments: argparse.Namespace) -> None:
    """Each rule: F1 on both halves, its distance from datasketch on the whole set, and removal in a planted corpus."""
    print("rules: precision / recall / F1 of pairs; last: F1 of the whole set less datasketch's, and 95 % of resamples")
    for name, corpus, labels in labelled_sets(arguments.data):
        if "articles" in name:
            continue
        first, second = halves(corpus, labels)
        whole, resampled = Half(corpus, labels, np.zeros((0, 0))), Resampled(labels)
        peer = resampled.f1(candidate_pairs(whole, "fineweb"))
        print(f"  {name}\n    {'':<52} {'first half':<22} {'second half':<22} whole, difference")
        stage = pairs_of_groups(stage_groups(corpus))
        assert pairs_inside(corpus, Rule(jaccard(0.75))) == stage, "the rule is not the stage's"
        rows: dict[str, Callable[[Half], Pairs]] = {
            f"datasketch, candidate pairs ({preset})": lambda half, preset=preset: candidate_pairs(half, preset)
            for preset in ("fineweb", "olmocr")
        }
        rows |= {title: lambda half, rule=rule: pairs_inside(half.corpus, rule) for title, rule in RULES.items()}
        for title, find in rows.items():
            parts = ["{:.3f} / {:.3f} / {:.3f}".format(*pair_scores(find(h), h.labels)) for h in (first, second)]
            f1 = resampled.f1(find(whole))
            low, high = np.quantile((f1 - peer)[1:], (0.025, 0.975))
            note = f"{f1[0]:.3f} {f1[0] - peer[0]:+.3f} [{low:+.3f}, {high:+.3f}]"
            print(f"    {title:<52} {parts[0]:<22} {parts[1]:<22} {note}")
    _planted(min(arguments.documents, 10_000), arguments.words)


def _planted(documents: int, words: int) -> None:
    corpus, family = planted_corpus(documents, words)
    print(f"  {documents:,} documents with planted copies: removal at exact Jaccard 0.75")
    for title, rule in RULES.items():
        groups = [cluster for part in components_of(corpus, rule.parameters) for cluster in clusters(part, rule)]
        dropped = {row for cluster in groups for row in cluster[1:]}
        recall, precision, _ = judge(corpus, family, set(range(documents)) - dropped)
        print(f"    {title:<52} recall {recall:.4f}, precision {precision:.4f}")
