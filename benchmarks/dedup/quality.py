"""Which verification threshold serves whom, on the labelled near-duplicate sets; run through `benchmarks/dedup.py`.

The labels are cut into two halves by name. Everything is printed for the first half, where a threshold is chosen; what
is claimed of it is measured on the second.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dedup
import numpy as np
import pyarrow as pa
import xxhash
from scipy.sparse import csr_matrix

from autoclave.cleaning.dedup.lsh import band_keys
from autoclave.cleaning.dedup.minhash import Signer, preset_parameters
from autoclave.kernels.text.keys.minhash import shingle_sets
from autoclave.kernels.text.keys.normalisation import text_buffers

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
    return "{:.3f} / {:.3f} / {:.3f}".format(*dedup.pair_scores(found, half.labels))


def clustered(half: Half, **settings: Any) -> tuple[float, float, float]:
    """Precision, recall and F1 of the pairs inside the stage's clusters."""
    return dedup.pair_scores(dedup.pairs_of_groups(dedup.stage_groups(half.corpus, **settings)), half.labels)


def threshold(arguments: argparse.Namespace) -> None:
    """Pairs by verification threshold on one half, the chosen one on the other."""
    sets = {name: halves(*rest) for name, *rest in dedup.labelled_sets(Path(arguments.data)) if "articles" not in name}
    print("threshold: precision / recall / F1 of pairs of the same label; first half of the labels")
    mean: dict[tuple[str, float], float] = {}
    for name, (first, _) in sets.items():
        for preset in PRESETS:
            shared, estimate = candidates(first, preset)
            parameters = preset_parameters(preset)
            print(f"  {name}, {preset} ({parameters.bands} x {parameters.rows}); candidates {scores(first, shared)}")
            print(f"    {'threshold':<10} {'signature-verified':<24} {'Jaccard-verified':<24} clusters of the stage")
            for value in THRESHOLDS:
                found = clustered(first, minhash=_preset(preset), verify_threshold=value)
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
            row = "{:.3f} / {:.3f} / {:.3f}".format(*clustered(second, minhash=_preset(kind), verify_threshold=at))
            print(f"    {f'autoclave, {kind}, verify_threshold {at}, clusters':<58} {row}")


def _preset(name: str) -> Any:
    from autoclave.pipelines.dedup.settings import MinHashSettings

    return MinHashSettings(preset=name)
