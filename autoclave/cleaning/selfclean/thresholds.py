"""Which documents a round drops: the surplus in the tails of the scores, within strata.

A document's score is what a method makes of it (bits per byte under a model that did not train on it, say). High:
garbage, or text unlike the rest; low: repetition and boilerplate. Limits are found within language, length and source,
so that no domain is dropped because it is unlike the others (Ankner et al. 2024, 2405.20541: the best band differs by
corpus; Marion et al. 2023, 2309.04564: the middle is best). Scores are counted in bins, so that memory does not grow
with the corpus and the result does not depend on the order of shards.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from autoclave.cleaning.selfclean.excess import Centre, centre, good_centre, standardised, upper_cut

StratumKey = Literal["language", "length", "source", "topic"]

BINS_PER_BIT = 1024
MAX_BITS = 16
"""Scores are counted in bins of 1/1024 bit up to 16 bits per byte; anything above counts in the last bin."""
BINS = BINS_PER_BIT * MAX_BITS + 1

LENGTH_EDGES = (250, 500, 1_000, 4_000, 16_000, 64_000)
"""Upper ends, in UTF-8 bytes, of the length buckets: short texts score high for want of context, and
steeply so the shortest. With 1,000 as the first, poems stood out among longer texts, and went."""

SEPARATOR = "|"

FEWEST = 8
"""A stratum of fewer documents has no middle to speak of, and is kept."""

LEAST_SIGMA_BINS = 8.0
"""Scores that lie nearer together than this many bins (0.008 bit) do not differ."""


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


def strata(
    keys: Sequence[StratumKey],
    language: pa.Array,
    text_bytes: np.ndarray,
    source: pa.Array,
    topic: pa.Array | None = None,
) -> pa.Array:
    """Return the name of each document's stratum, its keys in the order given joined by '|': string, one a document.

    language: as identified ('' where unknown); length: the bucket of LENGTH_EDGES; source: the folder part of the
    input file's name, since files of one folder are one crawl or one collection; topic: string [n], as topics.py names
    it, wanted where it is among the keys. text_bytes: integer[n].
    """
    rows = len(text_bytes)
    columns: list[pa.Array] = []
    for key in keys:
        if key == "language":
            columns.append(pc.fill_null(language, ""))
        elif key == "length":
            buckets = np.searchsorted(LENGTH_EDGES, text_bytes, side="right")
            columns.append(pa.array([f"length{bucket}" for bucket in buckets], pa.string()))
        elif key == "topic":
            assert topic is not None
            columns.append(topic)
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

    How much is dropped at each end follows from the scores (see excess.py), and is nothing where nothing is bad;
    drop_low, drop_high are the largest share of a stratum's documents that may go. A stratum of fewer than
    `min_documents` documents keeps its own middle, takes a width between its own and its parent's (its name without
    the last key), and its cut, in standard deviations, from all strata of that parent together. That stops at the first
    key: a language (say) that is itself smaller is not judged, since no other language can say what is odd in it.
    """
    levels: dict[str, list[str]] = {}
    for name in histograms:
        for ancestor in _ancestors(name):
            levels.setdefault(ancestor, []).append(name)
    sizes = {level: sum(int(histograms[name].sum()) for name in names) for level, names in levels.items()}
    sides = {
        "high": histograms,
        "low": {name: counts[::-1] for name, counts in histograms.items()},
    }
    found: dict[str, dict[str, int]] = {}
    for side, cap in (("high", drop_high), ("low", drop_low)):
        found[side] = _cuts(sides[side], levels, sizes, cap, min_documents)
    result = {}
    for name in histograms:
        home = next((one for one in _ancestors(name) if sizes[one] >= min_documents), None)
        low, high = BINS - found["low"].get(name, BINS), found["high"].get(name, BINS) - 1
        result[name] = KEEP_ALL if home is None else Band(home, sizes[home], low, max(high, low))
    return result


def limit_share(histograms: dict[str, np.ndarray], limit: float, most: float) -> dict[str, Band]:
    """Return bands that drop what lies above `limit` (a score), but no more than the share `most` of a stratum.

    histograms: int64 [BINS] a stratum.
    """
    at = int(limit * BINS_PER_BIT)
    result = {}
    for name, counts in histograms.items():
        cap = BINS - 1 - _at_most(counts[::-1], most)
        result[name] = Band(name, int(counts.sum()), 0, min(max(at, cap), BINS - 1))
    return result


def _ancestors(name: str) -> list[str]:
    """The stratum, then its name without the last key, ... down to the first key alone."""
    parts = name.split(SEPARATOR)
    return [SEPARATOR.join(parts[:length]) for length in range(len(parts), 0, -1)]


def _cuts(
    histograms: dict[str, np.ndarray],
    levels: dict[str, list[str]],
    sizes: dict[str, int],
    cap: float,
    min_documents: int,
) -> dict[str, int]:
    """Return the first bin of the upper tail that is dropped, of the strata where one is."""
    homes: dict[str, list[str]] = {}
    for name in histograms:
        home = next((one for one in _ancestors(name) if sizes[one] >= min_documents), None)
        if home is not None and sizes[name] >= FEWEST:
            homes.setdefault(home, []).append(name)
    result = {}
    for home, names in homes.items():
        members = [one for one in levels[home] if sizes[one] >= FEWEST]
        centres = _shrunk_centres({one: histograms[one] for one in members}, min_documents)
        cut = upper_cut(np.sum([standardised(histograms[one], centres[one]) for one in members], axis=0))
        for name in names if cut is not None else ():
            assert cut is not None
            first = math.ceil(centres[name].middle + cut * centres[name].sigma)
            result[name] = max(first, BINS - _at_most(histograms[name][::-1], cap))
    return result


def _shrunk_centres(histograms: dict[str, np.ndarray], min_documents: int) -> dict[str, Centre]:
    """Return the centre of each stratum; its width is drawn towards that of all together the fewer documents it has.

    All together: their scores from their own middles, since their middles differ.
    """
    if len(histograms) == 1:
        return {name: good_centre(counts, LEAST_SIGMA_BINS) for name, counts in histograms.items()}
    own = {
        name: (good_centre if counts.sum() >= min_documents else centre)(counts, LEAST_SIGMA_BINS)
        for name, counts in histograms.items()
    }
    around = np.zeros(2 * BINS, dtype=np.int64)
    for name, counts in histograms.items():
        start = BINS - round(own[name].middle)
        around[start : start + BINS] += counts
    shared = centre(around, LEAST_SIGMA_BINS).sigma
    result = {}
    for name, counts in histograms.items():
        weight = int(counts.sum()) / (int(counts.sum()) + min_documents / 2)
        result[name] = Centre(own[name].middle, weight * own[name].sigma + (1 - weight) * shared)
    return result


def _at_most(counts: np.ndarray, share: float) -> int:
    """Return how many bins from the front hold at most this share of the documents."""
    return int(np.searchsorted(np.cumsum(counts), share * int(counts.sum()), side="right"))


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
