"""Settings of the dedup stage."""

from __future__ import annotations

from typing import Literal

import msgspec

from autoclave.cleaning.dedup.lines import LineSettings
from autoclave.cleaning.dedup.minhash import (
    SHORTEST,
    MinHashParameters,
    find_preset,
    half_point,
    optimum_bands,
    preset_parameters,
)
from autoclave.cleaning.dedup.substring import SubstringSettings
from autoclave.errors import RecipeError
from autoclave.kernels.text.keys.normalisation import Normalisation
from autoclave.pipelines.running.derived import refuse_idle


class MinHashSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How near-duplicates are found. Without bands, rows and threshold the preset decides."""

    preset: str = "fineweb"
    """Published parameters by source: `autoclave dedup --explain` lists them."""
    threshold: float | None = None
    """Jaccard similarity to aim at: bands and rows are chosen for it as datasketch chooses them."""
    bands: int | None = None
    rows: int | None = None
    num_perm: int | None = None
    """Permutations; default bands x rows, or the preset's number where only a threshold is given."""
    shingle: Literal["word", "character"] | None = None
    ngram: int | None = None
    """Units of a shingle; default the preset's."""
    normalisation: Normalisation = "words"
    """What does not count when texts are compared, by signature or by shingles: `words`, case, punctuation and
    diacritics; `fineweb`, numbers too (every one is 0, as datatrove's are); `whitespace`, nothing but white space."""
    min_units: int | None = None
    """Shorter texts have exact duplicates only; default eight shingles' width (40 words with `fineweb`), in which one
    changed word is too much already. Characters count where shingles are of characters or a script has no spaces."""
    hash: Literal["xxh3", "sha1"] = "xxh3"
    scheme: Literal["affine32", "legacy"] = "affine32"
    seed: int = 1

    def parameters(self) -> MinHashParameters:
        """Return the parameters that these settings mean; RecipeError where they contradict one another."""
        base = preset_parameters(self.preset)
        if (self.bands is None) != (self.rows is None):
            raise RecipeError("dedup.minhash: give both bands and rows, or neither")
        bands, rows, num_perm = base.bands, base.rows, self.num_perm or base.num_perm
        if self.bands is not None and self.rows is not None:
            bands, rows = self.bands, self.rows
            num_perm = self.num_perm or bands * rows
        elif self.threshold is not None:
            bands, rows = optimum_bands(self.threshold, num_perm)
        ngram = self.ngram or base.ngram
        return MinHashParameters(
            bands=bands,
            rows=rows,
            num_perm=num_perm,
            ngram=ngram,
            shingle=self.shingle or base.shingle,
            hash=self.hash,
            scheme=self.scheme,
            seed=self.seed,
            normalisation=self.normalisation,
            min_units=SHORTEST * ngram if self.min_units is None else self.min_units,
        )

    def similarity(self) -> float:
        """Jaccard similarity from which documents count as duplicates: the threshold, or what the preset aims at."""
        if self.threshold is not None:
            return self.threshold
        if self.bands is not None and self.rows is not None:
            return half_point(self.bands, self.rows)
        return find_preset(self.preset).similarity


class DedupSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of the dedup stage."""

    exact: bool = True
    """Drop documents whose text is the same."""
    exact_normalisation: Literal["none", "whitespace"] = "whitespace"
    """What may differ between 'the same' texts: nothing, or white space."""
    minhash: MinHashSettings | None = MinHashSettings()
    """Near-duplicates; null turns them off."""
    verify: Literal["off", "signature", "jaccard"] = "jaccard"
    """What a candidate pair must pass: nothing, the signatures' estimate, or the Jaccard similarity of the shingles."""
    verify_threshold: float | None = None
    """Similarity from which a document is dropped; default the MinHash threshold or what the preset aims at."""
    keep: Literal["first", "longest", "best"] = "longest"
    """Which document of a cluster stays: the first in order of shards, the longest, or the best by `keep_signal`."""
    keep_signal: str | None = None
    """Numeric column of the previous stage's ledger, for keep: best."""
    keep_lowest: bool = False
    """Whether a lower signal is better (perplexity) for keep: best."""
    lines: LineSettings | None = None
    """Removal of lines or paragraphs that many documents share; null turns it off."""
    substring: SubstringSettings | None = None
    """Removal of long passages that stand word for word in an earlier document; null turns it off."""
    index: str | None = None
    """Folder of an earlier run's dedup stage: documents that it kept stay, ours that repeat them are dropped.
    Its texts are not read: near-duplicates of it are compared by signature."""
    write_index: bool = False
    """Keep what a later run needs for its `index` (about 4 num_perm + 12 bands bytes a document)."""
    partitions: int | None = None
    """Files' partitions, and so tasks of the reduce phases; default as many as `task_memory_mb` asks for."""
    members_per_partition: int | None = None
    """Documents that one verification task holds in memory; default as many as `task_memory_mb` holds."""
    task_memory_mb: int = 32
    """Memory that a reduce task needs beside the program. Many documents ask for more of it: tasks and small reads
    grow with documents squared / task_memory_mb."""
    component_cap: int = 1_000_000
    """Candidate components of more texts are cut into stars: a document and those that share a bucket with it. Larger
    stars fall into parts of so many, and each part keeps one."""
    memory_budget_mb: int = 4096
    """Memory for the components step; beyond it the external method runs."""

    def __post_init__(self) -> None:
        if (self.keep == "best") != (self.keep_signal is not None):
            raise RecipeError(
                "dedup: keep: best needs keep_signal, a column of the previous stage's ledger, and only it"
            )
        for name in ("partitions", "members_per_partition", "task_memory_mb", "component_cap", "memory_budget_mb"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise RecipeError(f"dedup.{name}: {value} must be at least 1")
        if self.keep != "best":
            refuse_idle(self, ["keep_lowest"], "dedup", "without keep: best")
        if not self.exact:
            refuse_idle(self, ["exact_normalisation"], "dedup", "without exact")
        if self.minhash is None or self.verify == "off":
            refuse_idle(self, ["verify_threshold"], "dedup", "where no pair is verified")
        if self.minhash is None:
            refuse_idle(self, ["verify"] if self.verify != "off" else [], "dedup", "without minhash")
        else:
            self.minhash.parameters()  # checks the preset, and that the numbers agree
        if self.verify_threshold is not None and not 0.0 < self.verify_threshold <= 1.0:
            raise RecipeError(f"dedup.verify_threshold: {self.verify_threshold} must lie between 0 and 1")

    def similarity(self) -> float:
        """Verification threshold in force; 1 where near-duplicates are off."""
        if self.verify_threshold is not None or self.minhash is None:
            return self.verify_threshold or 1.0
        return self.minhash.similarity()
