"""MinHash parameters: what stages must agree on, presets by source, bands and rows from a threshold, curves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np
import pyarrow as pa

from autoclave.errors import RecipeError, SchemaError
from autoclave.kernels.text.keys.minhash import permutations, sign_texts
from autoclave.kernels.text.keys.normalisation import Normalisation
from autoclave.kernels.text.texts import text_buffers

SHORTEST = 8
"""Shingle widths of the shortest text that is compared: of one with fewer than 8n - 1 units, a changed unit inside
leaves less than 3/4 of the shingles of n (J = (m - n) / (m + n), m shingles); what such texts share is no evidence."""

FOLDS: dict[Normalisation, str] = {
    "fineweb": "white space, punctuation, case, diacritics and digits (every number is 0) do not count",
    "words": "white space, punctuation, case and diacritics do not count; every digit does",
    "whitespace": "white space does not count; all else does",
}
"""What each normalisation makes equal."""


class MinHashParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a signature and its bands depend on: two sets of signatures may meet only where these agree."""

    bands: int
    rows: int
    num_perm: int
    """Permutations of a signature, at least bands x rows; datasketch's permutations depend on this number."""
    ngram: int = 5
    """Units of a shingle: words, or characters."""
    shingle: Literal["word", "character"] = "word"
    hash: Literal["xxh3", "sha1"] = "xxh3"
    """Hash of a shingle's UTF-8 bytes, low 32 bits (sha1: the first four bytes, little-endian)."""
    scheme: Literal["affine32", "legacy"] = "affine32"
    """Permutation scheme, named as in datasketch 2.0."""
    seed: int = 1
    normalisation: Normalisation = "words"
    """What does not count when texts are compared (`FOLDS`)."""
    min_units: int = 1
    """Texts of fewer units have no near-duplicates, only exact ones."""

    def __post_init__(self) -> None:
        if min(self.bands, self.rows, self.ngram, self.min_units) < 1:
            raise RecipeError(
                f"minhash: bands {self.bands}, rows {self.rows}, ngram {self.ngram}, min_units {self.min_units} must "
                "be at least 1"
            )
        if self.bands * self.rows > self.num_perm:
            raise RecipeError(
                f"minhash: {self.bands} bands of {self.rows} rows need {self.bands * self.rows} permutations, "
                f"num_perm is {self.num_perm}"
            )

    def require_equal(self, other: MinHashParameters, where: str) -> None:
        """Raise SchemaError where signatures made with `other` (found at `where`) cannot meet these."""
        if self != other:
            mine, theirs = msgspec.structs.asdict(self), msgspec.structs.asdict(other)
            differing = [
                f"{name} {theirs[name]} there, {mine[name]} here" for name in mine if mine[name] != theirs[name]
            ]
            raise SchemaError(f"{where}: made with other MinHash parameters ({'; '.join(differing)}); use the same")


@dataclass(frozen=True)
class Preset:
    """Published parameters: bands x rows, shingles, the similarity that the source aims at, and where they stand.

    A verification threshold (`similarity`) that the source does not publish is the curve's 50 % point.
    """

    bands: int
    rows: int
    ngram: int
    similarity: float
    source: str
    shingle: Literal["word", "character"] = "word"
    num_perm: int = 0


PRESETS: dict[str, Preset] = {
    "fineweb": Preset(14, 8, 5, 0.75, "Penedo et al. 2024 (FineWeb); datatrove examples/fineweb.py"),
    "refinedweb": Preset(450, 20, 5, 0.8, "Penedo et al. 2023 (RefinedWeb), appendix: 9,000 hashes, GPT-2 tokens"),
    "nemo": Preset(20, 13, 24, 0.8, "NeMo Curator fuzzy deduplication defaults", "character"),
    "dolma3": Preset(26, 11, 5, 0.8, "Dolma 3 recipe (duplodocus), true Jaccard of 0.8 checked"),
    "redpajama_v2": Preset(14, 9, 13, 0.7, "RedPajama-Data v2, threshold 0.7", num_perm=128),
    "redpajama_v2_08": Preset(9, 13, 13, 0.8, "RedPajama-Data v2, threshold 0.8", num_perm=128),
    "redpajama_v2_09": Preset(5, 25, 13, 0.9, "RedPajama-Data v2, threshold 0.9", num_perm=128),
    "slimpajama": Preset(9, 13, 13, 0.8, "SlimPajama (Cerebras 2023), 13-grams, threshold 0.8", num_perm=128),
    "dclm": Preset(93, 15, 5, 0.73, "DCLM (Li et al. 2024), the MinHash variant before the Bloom filter"),
    "data_juicer": Preset(32, 8, 5, 0.7, "Data-Juicer, Ray benchmark: 256 permutations, threshold 0.7"),
    "duplodocus": Preset(20, 5, 5, 0.51, "duplodocus defaults"),
    "olmocr": Preset(14, 5, 5, 0.55, "olmOCR PDF corpus"),
}


def preset_parameters(
    name: str, *, scheme: Literal["affine32", "legacy"] = "affine32", seed: int = 1
) -> MinHashParameters:
    """Return the parameters of a preset; RecipeError for an unknown name."""
    preset = find_preset(name)
    return MinHashParameters(
        bands=preset.bands,
        rows=preset.rows,
        num_perm=preset.num_perm or preset.bands * preset.rows,
        ngram=preset.ngram,
        shingle=preset.shingle,
        scheme=scheme,
        seed=seed,
        min_units=SHORTEST * preset.ngram,
    )


def find_preset(name: str) -> Preset:
    """Return a preset by name; RecipeError names those that exist."""
    if name not in PRESETS:
        raise RecipeError(f"minhash preset '{name}' is not known; use one of {', '.join(PRESETS)}")
    return PRESETS[name]


def detection_probability(similarity: np.ndarray | float, bands: int, rows: int) -> np.ndarray:
    """Probability that LSH makes two texts of that Jaccard similarity a candidate pair: 1 - (1 - s^r)^b.

    float64, of the shape of `similarity`.
    """
    return 1.0 - (1.0 - np.asarray(similarity, np.float64) ** rows) ** bands


def optimum_bands(threshold: float, num_perm: int, false_positive_weight: float = 0.5) -> tuple[int, int]:
    """Return the (bands, rows) that datasketch's MinHashLSH chooses: least weighted area of error around `threshold`.

    The area of false positives is the integral of the detection probability below the threshold, that of false
    negatives the integral of its complement above. Raises RecipeError where the threshold is outside (0, 1).
    """
    if not 0.0 < threshold < 1.0:
        raise RecipeError(f"minhash threshold {threshold} must lie between 0 and 1")
    nodes, weights = np.polynomial.legendre.leggauss(128)
    below, below_weights = (nodes + 1) * threshold / 2, weights * threshold / 2
    above, above_weights = threshold + (nodes + 1) * (1 - threshold) / 2, weights * (1 - threshold) / 2
    best, least = (1, 1), np.inf
    for bands in range(1, num_perm + 1):
        for rows in range(1, num_perm // bands + 1):
            positives = float(detection_probability(below, bands, rows) @ below_weights)
            negatives = float((1.0 - detection_probability(above, bands, rows)) @ above_weights)
            error = false_positive_weight * positives + (1.0 - false_positive_weight) * negatives
            if error < least:
                best, least = (bands, rows), error
    return best


def half_point(bands: int, rows: int) -> float:
    """Similarity that is detected with probability one half: (1 - 2^(-1/b))^(1/r)."""
    return float((1.0 - 0.5 ** (1.0 / bands)) ** (1.0 / rows))


def explain(parameters: MinHashParameters, *, source: str = "") -> str:
    """Return the detection curve of a parameter set as a printable table, with what it means for a person's texts."""
    bands, rows = parameters.bands, parameters.rows
    lines = [
        f"MinHash LSH: {bands} bands x {rows} rows, {parameters.num_perm} permutations ({parameters.scheme}, "
        f"{parameters.hash}, seed {parameters.seed}), shingles of {parameters.ngram} {parameters.shingle}s",
    ]
    if source:
        lines.append(f"source: {source}")
    lines += [
        f"normalisation: {parameters.normalisation}: {FOLDS[parameters.normalisation]}",
        f"texts of fewer than {parameters.min_units} {parameters.shingle}s are compared as a whole only (exact)",
    ]
    point = half_point(bands, rows)
    lines += [f"50 % of pairs are found at Jaccard similarity {point:.3f}", "", "similarity  found"]
    for similarity in (0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0):
        probability = float(detection_probability(similarity, bands, rows))
        lines.append(f"      {similarity:.2f}  {probability:6.1%}  {'#' * round(40 * probability)}")
    changed = (1 - point) / (1 + point) / parameters.ngram
    unit = "word" if parameters.shingle == "word" else "character"
    lines += [
        "",
        f"At the 50 % point about one {unit} in {1 / changed:.0f} differs: one changed {unit} of a long text breaks",
        f"{parameters.ngram} shingles, so J = (1 - {parameters.ngram}c) / (1 + {parameters.ngram}c) "
        f"for a share c of changed {unit}s.",
    ]
    return "\n".join(lines)


def explain_preset(name: str) -> str:
    """Return `explain` for a preset, with its source."""
    return explain(preset_parameters(name), source=find_preset(name).source)


@dataclass(frozen=True)
class Signer:
    """Computes signatures of Arrow text columns for one parameter set.

    a, b: the permutations, uint32[num_perm] for affine32, uint64[num_perm] for legacy.
    """

    parameters: MinHashParameters
    a: np.ndarray
    b: np.ndarray

    @classmethod
    def of(cls, parameters: MinHashParameters) -> Signer:
        return cls(parameters, *permutations(parameters.num_perm, parameters.seed, parameters.scheme))

    def sign(self, text: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        """Return (signatures uint32[n, num_perm], units int32[n]) of a string array; units 0: nothing to compare."""
        data, offsets = text_buffers(text)
        return sign_texts(
            data,
            offsets,
            self.a,
            self.b,
            ngram=self.parameters.ngram,
            shingle=self.parameters.shingle,
            hash_name=self.parameters.hash,
            scheme=self.parameters.scheme,
            normalisation=self.parameters.normalisation,
        )
