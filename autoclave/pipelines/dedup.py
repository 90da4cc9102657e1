"""The dedup stage: exact duplicates, near-duplicates, repeated lines.

    signatures   one task a shard      keys and signatures, partitioned by key
    candidates   one task a partition  buckets become edges
    clusters     one task              components of the edges
    members      one task a shard      shingle sets of the documents in components, partitioned by component
    verify       one task a partition  who yields to whom, with the evidence
    lines, line_counts                 (where asked for) lines of the documents that stay, counted
    (the stage)  one task a shard      documents, ledger, dropped

Everything between phases lies in files that are partitioned by key; a reduce task reads its slice of every file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import xxhash

from autoclave.cleaning.dedup.lines import LineSettings
from autoclave.cleaning.dedup.minhash import (
    MinHashParameters,
    find_preset,
    half_point,
    optimum_bands,
    preset_parameters,
)
from autoclave.cleaning.dedup.substring import SubstringSettings
from autoclave.corpus.commits import Commit
from autoclave.corpus.storage import Folder
from autoclave.errors import RecipeError, RunError
from autoclave.pipelines import (
    dedup_apply,
    dedup_clusters,
    dedup_index,
    dedup_lines,
    dedup_phases,
    dedup_substring,
    dedup_verify,
)
from autoclave.pipelines.dedup_manifest import IndexFile, Manifest, ManifestShard, index_entries, load_index
from autoclave.pipelines.stage import ShardFunction, ShardTask, Stage, StageContext


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
        return MinHashParameters(
            bands=bands,
            rows=rows,
            num_perm=num_perm,
            ngram=self.ngram or base.ngram,
            shingle=self.shingle or base.shingle,
            hash=self.hash,
            scheme=self.scheme,
            seed=self.seed,
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
    """Folder of an earlier run's dedup stage: documents that it kept stay, ours that repeat them are dropped."""
    write_index: bool = False
    """Keep what a later run needs for its `index` (about 4 num_perm + 12 bands bytes a document)."""
    partitions: int | None = None
    """Files' partitions, and so tasks of the reduce phases; default one for 16 shards."""
    members_per_partition: int = 100_000
    """Documents that one verification task holds in memory."""
    component_cap: int = 1_000_000
    """Most documents of one candidate component; a larger one is cut by asking for edges of more bands."""
    memory_budget_mb: int = 4096
    """Memory for the components step; beyond it the external method runs."""

    def __post_init__(self) -> None:
        if (self.keep == "best") != (self.keep_signal is not None):
            raise RecipeError(
                "dedup: keep: best needs keep_signal, a column of the previous stage's ledger, and only it"
            )
        for name in ("partitions", "members_per_partition", "component_cap", "memory_budget_mb"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise RecipeError(f"dedup.{name}: {value} must be at least 1")
        if self.verify_threshold is not None and not 0.0 < self.verify_threshold <= 1.0:
            raise RecipeError(f"dedup.verify_threshold: {self.verify_threshold} must lie between 0 and 1")

    def similarity(self) -> float:
        """Verification threshold in force; 1 where near-duplicates are off."""
        if self.verify_threshold is not None or self.minhash is None:
            return self.verify_threshold or 1.0
        return self.minhash.similarity()


def digest(commits: list[Commit], before: str) -> str:
    """Return what names the outputs of a phase and of those before it: a hash of all their checksums."""
    state = xxhash.xxh3_128(before.encode())
    for commit in commits:
        for name, file in commit.outputs.items():
            state.update(f"{name}\0{file.checksum}\0".encode())
    return state.hexdigest()


def require_all(context: StageContext[DedupSettings], phase: str, commits: list[Commit], expected: int) -> None:
    """Raise RunError where a phase lost a shard: what follows needs every one of them."""
    if len(commits) != expected:
        raise RunError(
            f"{context.name}/{phase}: {expected - len(commits)} of {expected} tasks failed; "
            f"see {context.phase_folder(phase).url}/quarantine, mend the cause and run again"
        )


@dataclass
class _Run:
    """One run of the stage: what its phases share."""

    context: StageContext[DedupSettings]
    manifest: Manifest
    where: str
    """URL of the manifest file that tasks read."""
    upstream: str
    """Names all that the phases so far have written; part of the fingerprint of the next."""

    @property
    def earlier(self) -> int:
        return sum(shard.indexed for shard in self.manifest.shards)

    def phase(self, name: str, function: ShardFunction, tasks: list[ShardTask]) -> list[Commit]:
        """Run a phase that needs every one of its tasks; RunError where one failed."""
        commits = self.context.map_shards(function, tasks, phase=name)
        require_all(self.context, name, commits, len(tasks))
        self.upstream = digest(commits, self.upstream)
        return commits

    def tasks(self, phase: str, count: int, key: str, **arguments: Any) -> list[ShardTask]:
        """Return tasks 0 .. count - 1 of a reduce phase; `key` names the argument that holds the number."""
        return [
            self.context.task(
                f"{number:06d}",
                phase=phase,
                upstream=self.upstream,
                _manifest=self.where,
                **(arguments | {key: number}),
            )
            for number in range(count)
        ]

    def shard_tasks(self, phase: str, **arguments: Any) -> list[ShardTask]:
        """Return one task an input shard, which knows its place in the manifest."""
        return [
            self.context.task(
                shard.name,
                [shard],
                phase=phase,
                place=self.earlier + place,
                upstream=self.upstream,
                _manifest=self.where,
                **arguments,
            )
            for place, shard in enumerate(self.context.inputs)
        ]


def run_dedup(context: StageContext[DedupSettings]) -> None:
    """Run all phases; every finished task of every phase is kept when the stage is run again."""
    settings = context.settings
    run = _sign(context)
    partitions = run.manifest.partitions
    run.phase("candidates", dedup_phases.find_candidates, run.tasks("candidates", partitions, "partition"))
    clusters = run.phase(
        "clusters", dedup_clusters.find_clusters, run.tasks("clusters", 1, "number", partitions=partitions)
    )
    parts = clusters[0].counts["partitions"]
    if parts:
        tasks = run.tasks("members", len(run.manifest.shards), "place", parts=parts)
        run.phase("members", dedup_verify.collect_members, tasks)
        run.phase("verify", dedup_verify.verify_part, run.tasks("verify", parts, "part"))
    arguments: dict[str, Any] = {"verified": parts}
    if settings.write_index:
        tasks = run.shard_tasks("index", partitions=partitions, **arguments)
        run.phase("index", dedup_index.index_shard, tasks)
    passages = _find_passages(run, parts) if settings.substring is not None else {}
    if settings.lines is not None:
        tasks = run.shard_tasks("lines", partitions=partitions, **arguments)
        run.phase("lines", dedup_lines.collect_lines, tasks)
        run.phase("line_counts", dedup_lines.count_lines, run.tasks("line_counts", partitions, "partition"))
        arguments["line_partitions"] = partitions
    context.map_shards(
        dedup_apply.apply_shard,
        [
            context.task(
                shard.name,
                [shard],
                expected_documents=shard.documents,
                place=run.earlier + place,
                upstream=run.upstream,
                **(arguments | ({"passages": passages[place]} if passages else {})),
            )
            for place, shard in enumerate(context.inputs)
        ],
    )
    if settings.write_index:
        write_index(context.folder, run.manifest, settings)


def _find_passages(run: _Run, parts: int) -> dict[int, tuple[int, int]]:
    """Run the substring phase; returns for each input shard its group and its place in it."""
    substring = run.context.settings.substring
    assert substring is not None
    inputs = run.context.inputs
    own = [shard.text_bytes for shard in run.manifest.shards if not shard.indexed]
    groups = dedup_substring.group_shards(own, substring.group_mb << 20)
    tasks = [
        run.context.task(
            f"{number:06d}",
            [inputs[position] for position in group],
            phase="substring",
            places=[run.earlier + position for position in group],
            verified=parts,
            upstream=run.upstream,
            _manifest=run.where,
        )
        for number, group in enumerate(groups)
    ]
    run.phase("substring", dedup_substring.find_passages, tasks)
    return {position: (number, slot) for number, group in enumerate(groups) for slot, position in enumerate(group)}


def _sign(context: StageContext[DedupSettings]) -> _Run:
    """Run the signatures phase and return what the later ones share."""
    settings = context.settings
    parameters = settings.minhash.parameters() if settings.minhash else None
    partitions, earlier = settings.partitions, []
    if settings.index is not None:
        index = load_index(settings.index, parameters, settings.exact_normalisation, partitions)
        partitions, earlier = index.partitions, index_entries(settings.index, index)
    partitions = partitions or max(1, (len(context.inputs) + 15) // 16)
    relevant = (
        DedupSettings(  # what signatures depend on: another verification threshold must not sign everything again
            exact=settings.exact,
            exact_normalisation=settings.exact_normalisation,
            minhash=settings.minhash,
            keep=settings.keep,
            keep_signal=settings.keep_signal,
            keep_lowest=settings.keep_lowest,
        )
    )
    tasks = []
    for shard in context.inputs:
        ledger = [shard.ledger] if settings.keep == "best" and shard.ledger else []
        tasks.append(
            context.task(shard.name, [shard, *ledger], phase="signatures", settings=relevant, partitions=partitions)
        )
    commits = context.map_shards(dedup_phases.sign_shard, tasks, phase="signatures")
    require_all(context, "signatures", commits, len(tasks))
    folder = context.phase_folder("signatures").url
    own = [
        ManifestShard(shard.name, folder, commit.counts["rows"], False, shard.path, commit.counts["text_bytes"])
        for shard, commit in zip(context.inputs, commits, strict=True)
    ]
    manifest = Manifest(partitions, parameters, earlier + own)
    phases = context.folder.child("phases")
    phases.write_bytes("manifest.json", msgspec.json.encode(manifest))
    return _Run(context, manifest, phases.path("manifest.json"), digest(commits, manifest.digest()))


def write_index(folder: Folder, manifest: Manifest, settings: DedupSettings) -> None:
    """Write `index.json`: what a later run needs to deduplicate against this one."""
    index = IndexFile(
        manifest.partitions,
        manifest.parameters,
        settings.exact_normalisation,
        [shard for shard in manifest.shards if shard.indexed],
        [(shard.name, shard.rows) for shard in manifest.shards if not shard.indexed],
    )
    folder.write_bytes("index.json", msgspec.json.format(msgspec.json.encode(index), indent=1) + b"\n")


STAGE = Stage("dedup", DedupSettings, run_dedup)

if __name__ == "__main__":
    from autoclave.pipelines.stage_main import main

    main("dedup")
