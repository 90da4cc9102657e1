"""Which documents a round drops: both tails of the scores, as quantiles within strata.

A document's score is bits per byte under a model that did not train on it. High: garbage, or text unlike the rest; low:
repetition and boilerplate. Quantiles are taken within language, length and source, so that no domain is dropped because
it is unlike the others (Ankner et al. 2024, 2405.20541: the best band differs by corpus; Marion et al. 2023,
2309.04564: the middle is best). Scores are counted in bins, so that memory does not grow with the corpus and the result
does not depend on the order of shards.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

StratumKey = Literal["language", "length", "source"]

BINS_PER_BIT = 1024
MAX_BITS = 16
"""Scores are counted in bins of 1/1024 bit up to 16 bits per byte; anything above counts in the last bin."""
BINS = BINS_PER_BIT * MAX_BITS + 1

LENGTH_EDGES = (1_000, 4_000, 16_000, 64_000)
"""Upper ends, in UTF-8 bytes, of the length buckets: short texts score high for want of context."""

SEPARATOR = "|"


class Band(msgspec.Struct, frozen=True):
    """Bins [low, high] are kept. `stratum` is where the band was measured, `documents` on how many."""

    stratum: str
    documents: int
    low: int
    high: int

    @property
    def low_bits(self) -> float:
        """Lowest score that is kept, bits per byte."""
        return self.low / BINS_PER_BIT

    @property
    def high_bits(self) -> float:
        """Highest score that is kept, bits per byte (end of its bin)."""
        return (self.high + 1) / BINS_PER_BIT


KEEP_ALL = Band("", 0, 0, BINS - 1)


def score_bins(bits_per_byte: np.ndarray) -> np.ndarray:
    """Return the bin of each score, int64[n]; a score that is not a number falls in the last bin."""
    clipped = np.nan_to_num(np.asarray(bits_per_byte, dtype=np.float64), nan=MAX_BITS, posinf=MAX_BITS, neginf=0)
    return np.clip((clipped * BINS_PER_BIT).astype(np.int64), 0, BINS - 1)


def strata(keys: Sequence[StratumKey], language: pa.Array, text_bytes: np.ndarray, source: pa.Array) -> pa.Array:
    """Return the name of each document's stratum, its keys in the order given joined by '|': string, one a document.

    language: as identified ('' where unknown); length: the bucket of LENGTH_EDGES; source: the folder part of the
    input file's name, since files of one folder are one crawl or one collection. text_bytes: integer[n].
    """
    rows = len(text_bytes)
    columns: list[pa.Array] = []
    for key in keys:
        if key == "language":
            columns.append(pc.fill_null(language, ""))
        elif key == "length":
            buckets = np.searchsorted(LENGTH_EDGES, text_bytes, side="right")
            columns.append(pa.array([f"length{bucket}" for bucket in buckets], pa.string()))
        else:
            folders = pc.replace_substring_regex(source, pattern="[^/]*$", replacement="")
            columns.append(pc.replace_substring(folders, pattern=SEPARATOR, replacement="_"))
    if not columns:
        return pa.array([""] * rows, pa.string())
    return pc.binary_join_element_wise(*columns, SEPARATOR)


def histogram(names: pa.Array, bins: np.ndarray) -> dict[str, np.ndarray]:
    """Return, for each stratum that occurs, (bin, count) pairs as int64 [2, distinct bins]."""
    encoded = pc.dictionary_encode(names)
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    result = {}
    for code, name in enumerate(encoded.dictionary.to_pylist()):
        values, counts = np.unique(bins[codes == code], return_counts=True)
        result[name] = np.stack([values, counts]).astype(np.int64)
    return result


def merge_histograms(parts: Iterable[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Return the sum of histograms as dense counts, int64 [BINS] a stratum."""
    total: dict[str, np.ndarray] = {}
    for part in parts:
        for name, (values, counts) in part.items():
            dense = total.setdefault(name, np.zeros(BINS, dtype=np.int64))
            np.add.at(dense, values, counts)
    return dict(sorted(total.items()))


def find_bands(
    histograms: dict[str, np.ndarray], *, drop_low: float, drop_high: float, min_documents: int
) -> dict[str, Band]:
    """Return the band of every stratum of `merge_histograms` (int64[BINS] a stratum).

    drop_low, drop_high: largest share of a stratum's documents to drop at each end. A stratum of fewer than
    `min_documents` documents takes the band of its parent (its name without the last key), and so on up to the whole
    corpus; where even that is smaller, nothing is dropped.
    """
    levels: dict[str, np.ndarray] = {}
    for name, counts in histograms.items():
        for ancestor in _ancestors(name):
            if ancestor in levels:
                levels[ancestor] = levels[ancestor] + counts
            else:
                levels[ancestor] = counts
    result = {}
    for name in histograms:
        home = next((one for one in _ancestors(name) if levels[one].sum() >= min_documents), None)
        result[name] = KEEP_ALL if home is None else _band(home, levels[home], drop_low, drop_high)
    return result


def _ancestors(name: str) -> list[str]:
    """The stratum, then its name without the last key, ... then the whole corpus ('*')."""
    parts = name.split(SEPARATOR)
    return [SEPARATOR.join(parts[:length]) for length in range(len(parts), 0, -1)] + ["*"]


def _band(name: str, counts: np.ndarray, drop_low: float, drop_high: float) -> Band:
    documents = int(counts.sum())
    below = np.cumsum(counts)
    low = int(np.searchsorted(below, drop_low * documents, side="right"))
    above = np.cumsum(counts[::-1])
    high = BINS - 1 - int(np.searchsorted(above, drop_high * documents, side="right"))
    return Band(name, documents, min(low, BINS - 1), max(high, 0))


def decide(names: pa.Array, bins: np.ndarray, bands: dict[str, Band]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (verdict int8[n]: -1 below the band, 0 kept, 1 above; low, high float32[n]: the band in bits per byte).

    names: string[n], the strata; bins: int64[n]. A stratum without a band (it had no document when bands were found)
    keeps everything.
    """
    encoded = pc.dictionary_encode(names)
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    chosen = [bands.get(name, KEEP_ALL) for name in encoded.dictionary.to_pylist()] or [KEEP_ALL]
    low = np.array([band.low for band in chosen])[codes]
    high = np.array([band.high for band in chosen])[codes]
    verdict = np.where(bins < low, -1, np.where(bins > high, 1, 0)).astype(np.int8)
    low_bits = np.array([band.low_bits for band in chosen], dtype=np.float32)[codes]
    high_bits = np.array([band.high_bits for band in chosen], dtype=np.float32)[codes]
    return verdict, low_bits, high_bits
