"""Pairs found in the labelled near-duplicate sets: the stage beside datasketch, and which threshold serves whom.

For `threshold` the labels are cut into two halves by name. Everything is printed for the first half, where a threshold
is chosen; what is claimed of it is measured on the second.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash
from scipy.sparse import csr_matrix

from autoclave.cleaning.dedup.lsh import band_keys
from autoclave.cleaning.dedup.minhash import Signer, preset_parameters
from autoclave.kernels.text.keys.minhash import shingle_sets
from autoclave.kernels.text.texts import text_buffers
from autoclave.pipelines.dedup.settings import MinHashSettings
from benchmarks.dedup.corpus import labelled_sets
from benchmarks.dedup.runs import stage_groups
from benchmarks.dedup.scores import pair_scores, pairs_of_groups

PRESETS = ("fineweb", "data_juicer", "olmocr", "duplodocus")
THRESHOLDS = (0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85)


@dataclass(frozen=True)
class Half:
    """One half of a labelled set: its texts, labels, and exact Jaccard of all pairs (float64[n, n])."""

    corpus: list[str]
    labels: list[object]
    jaccard: np.ndarray


def halves(corpus: list[str], labels: list[object]) -> tuple[Half, Half]:
    """Cut a set by its labels: all texts of one label are in one half."""
    side = np.array([xxhash.xxh3_64_intdigest(str(label).encode()) & 1 for label in labels])
    parts = []
    for which in (0, 1):
        rows = np.flatnonzero(side == which).tolist()
        texts = [corpus[i] for i in rows]
        parts.append(Half(texts, [labels[i] for i in rows], exact_jaccard(texts)))
    return parts[0], parts[1]


def exact_jaccard(corpus: list[str], ngram: int = 5) -> np.ndarray:
    """float64[n, n]: Jaccard similarity of the shingle sets of all pairs."""
    sets, bounds = shingle_sets(*text_buffers(pa.array(corpus)), ngram=ngram)
    columns = np.unique(sets, return_inverse=True)[1]
    matrix = csr_matrix((np.ones(sets.size, np.float64), columns, bounds), (len(corpus), int(columns.max()) + 1))
    common = (matrix @ matrix.T).toarray()
    size = np.diff(bounds)
    return common / np.maximum(1, size[:, None] + size[None, :] - common)


def candidates(half: Half, preset: str) -> tuple[np.ndarray, np.ndarray]:
    """(bool[n, n]: pairs that share a bucket, float64[n, n]: similarity estimated from signatures)."""
    parameters = preset_parameters(preset)
    signatures = Signer.of(parameters).sign(pa.array(half.corpus))[0]
    keys = band_keys(signatures, parameters.bands, parameters.rows)
    shared = (keys[:, None, :] == keys[None, :, :]).any(axis=2)
    return shared, (signatures[:, None, :] == signatures[None, :, :]).mean(axis=2)


def scores(half: Half, chosen: np.ndarray) -> str:
    low, high = np.nonzero(np.triu(chosen, 1))
    found = set(zip(low.tolist(), high.tolist(), strict=True))
    return "{:.3f} / {:.3f} / {:.3f}".format(*pair_scores(found, half.labels))


def clustered(half: Half, **settings: Any) -> tuple[float, float, float]:
    """Precision, recall and F1 of the pairs inside the stage's clusters."""
    return pair_scores(pairs_of_groups(stage_groups(half.corpus, **settings)), half.labels)


def threshold(arguments: argparse.Namespace) -> None:
    """Pairs by verification threshold on one half, the chosen one on the other."""
    sets = {name: halves(*rest) for name, *rest in labelled_sets(arguments.data) if "articles" not in name}
    print("threshold: precision / recall / F1 of pairs of the same label; first half of the labels")
    mean: dict[tuple[str, float], float] = {}
    for name, (first, _) in sets.items():
        for preset in PRESETS:
            shared, estimate = candidates(first, preset)
            parameters = preset_parameters(preset)
            print(f"  {name}, {preset} ({parameters.bands} x {parameters.rows}); candidates {scores(first, shared)}")
            print(f"    {'threshold':<10} {'signature-verified':<24} {'Jaccard-verified':<24} clusters of the stage")
            for value in THRESHOLDS:
                found = clustered(first, minhash=MinHashSettings(preset=preset), verify_threshold=value)
                mean[preset, value] = mean.get((preset, value), 0.0) + found[2] / len(sets)
                pairs = [scores(first, shared & (table >= value)) for table in (estimate, first.jaccard)]
                row = "{:.3f} / {:.3f} / {:.3f}".format(*found)
                print(f"    {value:<10} {pairs[0]:<24} {pairs[1]:<24} {row}")
    preset, value = max(mean, key=lambda key: mean[key])
    print(f"  best mean F1 of clusters on the first half: {preset}, verify_threshold {value}")
    own = max(THRESHOLDS, key=lambda value: mean["fineweb", value])
    print(f"  best of fineweb there: verify_threshold {own}")
    for name, (_, second) in sets.items():
        print(f"  {name}, second half")
        for bands in sorted({"fineweb", preset}):
            label = f"datasketch, candidate pairs ({bands} bands)"
            print(f"    {label:<58} {scores(second, candidates(second, bands)[0])}")
        for kind, at in (("fineweb", 0.75), ("fineweb", own), (preset, value)):
            row = "{:.3f} / {:.3f} / {:.3f}".format(
                *clustered(second, minhash=MinHashSettings(preset=kind), verify_threshold=at)
            )
            print(f"    {f'autoclave, {kind}, verify_threshold {at}, clusters':<58} {row}")


def datasketch_pairs(corpus: list[str], preset: str) -> set[tuple[int, int]]:
    """Return the candidate pairs of datasketch's LSH with a preset's bands, on our signatures (equal to its own)."""
    from datasketch import MinHash, MinHashLSH

    parameters = preset_parameters(preset)
    table = Signer.of(parameters).sign(pa.array(corpus))[0]
    lsh = MinHashLSH(params=(parameters.bands, parameters.rows), num_perm=parameters.num_perm)
    sketches = [MinHash(hashvalues=values, scheme="affine32") for values in table]
    for i, sketch in enumerate(sketches):
        lsh.insert(i, sketch)
    found = ((i, j) for i, sketch in enumerate(sketches) for j in lsh.query(sketch) if i != j)
    return {(min(pair), max(pair)) for pair in found}


def quality(arguments: argparse.Namespace) -> None:
    """Pairs of the labelled sets: the stage with and without verification, beside datasketch on equal shingles."""
    print("quality: pairs of the same label; word 5-grams (Chinese: characters), datasketch with the same bands")
    print(f"  {'':<62} precision  recall     F1")
    for name, corpus, labels in labelled_sets(arguments.data):
        for preset in ("fineweb", "olmocr"):
            parameters = preset_parameters(preset)
            print(f"  {name}; {preset}, {parameters.bands} bands x {parameters.rows} rows")
            results = {"datasketch MinHashLSH, candidate pairs": datasketch_pairs(corpus, preset)}
            for verify in ("off", "jaccard"):
                groups = stage_groups(corpus, verify=verify, minhash=MinHashSettings(preset=preset))
                results[f"autoclave, verify: {verify}, pairs inside clusters"] = pairs_of_groups(groups)
            for method, found in results.items():
                precision, recall, f1 = pair_scores(found, labels)
                print(f"    {method:<60} {precision:9.3f} {recall:7.3f} {f1:6.3f}")
