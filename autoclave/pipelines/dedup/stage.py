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

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xxhash

from autoclave.cleaning.dedup.minhash import (
    FOLDS,
    PRESETS,
    detection_probability,
    explain,
    find_preset,
    preset_parameters,
)
from autoclave.corpus.commits import Commit, merge_counts
from autoclave.corpus.sealed import seal
from autoclave.errors import RunError
from autoclave.pipelines.dedup.apply import apply_shard
from autoclave.pipelines.dedup.candidates import COPY_BYTES, ENTRY_BYTES, find_candidates
from autoclave.pipelines.dedup.clusters import find_clusters
from autoclave.pipelines.dedup.index import index_shard
from autoclave.pipelines.dedup.lines import collect_lines, count_lines
from autoclave.pipelines.dedup.manifest import (
    PHASES_VERSION,
    IndexFile,
    Manifest,
    ManifestShard,
    index_entries,
    load_index,
)
from autoclave.pipelines.dedup.members import collect_members
from autoclave.pipelines.dedup.merge import groups, merge_slices, source_files
from autoclave.pipelines.dedup.passages import find_passages, group_shards
from autoclave.pipelines.dedup.settings import DedupSettings
from autoclave.pipelines.dedup.signatures import sign_shard
from autoclave.pipelines.dedup.verification import verify_part
from autoclave.pipelines.running.recipe import apply_override, convert
from autoclave.pipelines.running.stage import ShardFunction, ShardTask, Stage, StageContext

MANIFEST = "phases/manifest.json"


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

    def merge(self, kind: str, slices: int, count: int = 0) -> None:
        """Merge the sliced files of a kind where they are more than a task should open."""
        stage = self.context.folder.url
        number = groups(len(source_files(stage, self.manifest, kind, count))) if slices else 0
        if number:
            tasks = self.tasks(f"merge_{kind}", number, "group", kind=kind, files=count)
            self.phase(f"merge_{kind}", merge_slices, tasks)

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
    run.merge("bands", partitions)
    run.merge("exact", partitions)
    run.phase("candidates", find_candidates, run.tasks("candidates", partitions, "partition"))
    clusters = run.phase("clusters", find_clusters, run.tasks("clusters", 1, "number", partitions=partitions))
    parts = clusters[0].counts["partitions"]
    if parts:
        tasks = run.tasks("members", len(run.manifest.shards), "place", parts=parts)
        run.phase("members", collect_members, tasks)
        run.merge("members", parts, len(tasks))
        verified = run.phase("verify", verify_part, run.tasks("verify", parts, "part"))
        context.results |= _results(context.name, clusters[0], verified)
        run.merge("assignments", len(tasks), parts)
    arguments: dict[str, Any] = {"verified": parts}
    if settings.write_index:
        tasks = run.shard_tasks("index", partitions=partitions, **arguments)
        run.phase("index", index_shard, tasks)
    passages = _find_passages(run, parts) if settings.substring is not None else {}
    if settings.lines is not None:
        tasks = run.shard_tasks("lines", partitions=partitions, **arguments)
        run.phase("lines", collect_lines, tasks)
        run.merge("lines", partitions)
        run.phase("line_counts", count_lines, run.tasks("line_counts", partitions, "partition"))
        run.merge("frequent", len(run.manifest.shards), partitions)
        arguments["line_partitions"] = partitions
    context.map_shards(
        apply_shard,
        [
            context.task(
                shard.name,
                [shard],
                expected_documents=shard.documents,
                place=run.earlier + place,
                upstream=run.upstream,
                _manifest=run.where,
                **(arguments | ({"passages": passages[place]} if passages else {})),
            )
            for place, shard in enumerate(context.inputs)
        ],
    )
    if settings.write_index:
        write_index(context, run.manifest)


def _results(name: str, clusters: Commit, verified: list[Commit]) -> dict[str, float]:
    """Return the figures that a person should see: how large components grew, and what verification made of them."""
    total = merge_counts([commit.counts for commit in verified])
    least = [c.counts["least_similarity_ppm"] for c in verified if "least_similarity_ppm" in c.counts]
    figures: dict[str, float] = {
        "candidate components": clusters.counts["components"],
        "documents of the largest, after cutting": clusters.counts["largest_component"],
        "components cut at component_cap": clusters.counts.get("components_cut", 0),
        "components split by verification": total.get("components_split", 0),
        "clusters of duplicates": total.get("clusters", 0),
    }
    if least:
        figures["least similarity of a dropped document to the one that stayed"] = min(least) / 1e6
    return {f"{name}: {figure}": value for figure, value in figures.items()}


def _find_passages(run: _Run, parts: int) -> dict[int, tuple[int, int]]:
    """Run the substring phase; returns for each input shard its group and its place in it."""
    substring = run.context.settings.substring
    assert substring is not None
    inputs = run.context.inputs
    own = [shard.text_bytes for shard in run.manifest.shards if not shard.indexed]
    groups = group_shards(own, substring.group_mb << 20)
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
    run.phase("substring", find_passages, tasks)
    return {position: (number, slot) for number, group in enumerate(groups) for slot, position in enumerate(group)}


def _sign(context: StageContext[DedupSettings]) -> _Run:
    """Run the signatures phase and return what the later ones share."""
    settings = context.settings
    parameters = settings.minhash.parameters() if settings.minhash else None
    partitions, earlier = settings.partitions, []
    if settings.index is not None:
        index = load_index(settings.index, parameters, settings.exact_normalisation, partitions)
        partitions, earlier = index.partitions, index_entries(settings.index, index)
    if partitions is None:
        size = max(COPY_BYTES, parameters.bands * ENTRY_BYTES if parameters else 0)
        documents = sum(shard.documents for shard in context.inputs)
        partitions = -(-documents * size // (settings.task_memory_mb << 20)) or 1
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
    commits = context.map_shards(sign_shard, tasks, phase="signatures")
    require_all(context, "signatures", commits, len(tasks))
    folder = context.phase_folder("signatures").url
    own = [
        ManifestShard(shard.name, folder, commit.counts["rows"], False, shard.path, commit.counts["text_bytes"])
        for shard, commit in zip(context.inputs, commits, strict=True)
    ]
    manifest = Manifest(partitions, parameters, earlier + own)
    context.write_file(MANIFEST, seal(manifest))
    return _Run(context, manifest, context.folder.path(MANIFEST), digest(commits, manifest.digest()))


def write_index(context: StageContext[DedupSettings], manifest: Manifest) -> None:
    """Write `index.json`: what a later run needs to deduplicate against this one."""
    index = IndexFile(
        PHASES_VERSION,
        manifest.partitions,
        manifest.parameters,
        context.settings.exact_normalisation,
        [shard for shard in manifest.shards if shard.indexed],
        [(shard.name, shard.rows) for shard in manifest.shards if not shard.indexed],
    )
    context.write_file("index.json", seal(index))


def _explain_near(settings: DedupSettings) -> list[str]:
    own = settings.minhash
    if own is None:
        return ["Near-duplicates are off (minhash: null)."]
    untouched = own.bands is None and own.threshold is None
    verdict = {
        "off": "no check: a document is dropped when it shares a component with a better one",
        "signature": f"dropped from an estimated similarity of {settings.similarity():.2f} with the one that stays",
        "jaccard": f"dropped from a Jaccard similarity of {settings.similarity():.2f} with the one that stays",
    }
    return [
        explain(own.parameters(), source=find_preset(own.preset).source if untouched else ""),
        f"verify: {settings.verify}: {verdict[settings.verify]}",
    ]


def _explain_exact(settings: DedupSettings) -> list[str]:
    same = {"none": "byte for byte", "whitespace": FOLDS["whitespace"]}
    exact, lines = settings.exact_normalisation, settings.lines
    found = [f"exact_normalisation: {exact}: {same[exact]}"] if settings.exact else ["Exact duplicates are off."]
    if lines is not None:
        found.append(f"lines.normalisation: {lines.normalisation}: {FOLDS[lines.normalisation]}")
    return found


def explain_settings(overrides: Sequence[str] = ()) -> str:
    """Return what the settings of `key=value` overrides detect and what does not count, beside every preset, as text.

    Raises RecipeError where an override is wrong.
    """
    document: dict[str, Any] = {"stages": {"dedup": {}}}
    for override in overrides:
        apply_override(document, f"dedup.{override.removeprefix('dedup.')}")
    settings = convert(document["stages"]["dedup"], DedupSettings, "dedup")
    lines = _explain_near(settings) + _explain_exact(settings)
    points = (0.5, 0.6, 0.7, 0.8, 0.9)
    lines += ["", "All presets (share of pairs found by Jaccard similarity):", ""]
    lines.append(f"{'preset':<16} {'bands x rows':>12} {'shingle':>12}  " + "  ".join(f"{s:>4.1f}" for s in points))
    for name, preset in PRESETS.items():
        parameters = preset_parameters(name)
        found = detection_probability(np.array(points), parameters.bands, parameters.rows)
        shape, shingle = f"{preset.bands} x {preset.rows}", f"{preset.ngram} {preset.shingle[:4]}"
        lines.append(f"{name:<16} {shape:>12} {shingle:>12}  " + "  ".join(f"{p:4.2f}" for p in found))
        lines.append(f"{'':<16} {preset.source}")
    return "\n".join(lines)


STAGE = Stage("dedup", DedupSettings, run_dedup)
