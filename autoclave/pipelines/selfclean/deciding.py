"""How a round decides, from its score files alone: fit the method, count badness, find limits, hold floors, report."""

from __future__ import annotations

from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from autoclave.cleaning.selfclean.decisions import Decision, find_limits, fit_decision
from autoclave.cleaning.selfclean.floors import Loss, below_floor, merge_losses
from autoclave.cleaning.selfclean.methods import Labels
from autoclave.cleaning.selfclean.table import SCORE_SCHEMA
from autoclave.cleaning.selfclean.thresholds import merge_histograms
from autoclave.corpus.checksums import read_checked
from autoclave.corpus.storage import Folder
from autoclave.errors import InputError
from autoclave.pipelines.running.stage import DocumentShard, StageContext
from autoclave.pipelines.selfclean.settings import NoSettings, SelfcleanSettings
from autoclave.pipelines.selfclean.shards import count_groups, count_scores, read_histogram, read_losses, sample_scores

Scores = dict[str, DocumentShard]
"""The score file of each shard."""


def decide_round(
    context: StageContext[SelfcleanSettings], number: int, scores: Scores, labels: Labels
) -> tuple[Decision, float]:
    """Return the decision of a round and the share of its documents that it drops; writes down both, and losses."""
    settings = context.settings
    decision = fit_decision(_sample(context, number, scores, labels), settings.rules, labels or None)
    decision = _limits(context, number, scores, decision)
    losses = _losses(context, f"round-{number}/losses", scores, decision)
    held_back = below_floor(losses, settings.floor, settings.floor_documents, settings.confirmed)
    if any(held_back.values()):
        names = [name for names in held_back.values() for name in names]
        context.progress.message(
            f"{context.name}: round {number}: {', '.join(names[:5])}{' ...' if len(names) > 5 else ''} would lose more "
            f"than {settings.floor:.0%} and are kept whole; look at them, then name them in confirmed"
        )
        decision = msgspec.structs.replace(decision, held_back=held_back)
        losses = _losses(context, f"round-{number}/losses-held", scores, decision)
    _write(context, f"phases/round-{number}/decision.json", decision)
    _write(context, f"phases/round-{number}/report.json", round_report(losses, held_back))
    documents = sum(one.documents for one in losses["language"].values())
    lost = sum(one.lost for one in losses["language"].values())
    return decision, lost / max(1, documents)


def _sample(context: StageContext[SelfcleanSettings], number: int, scores: Scores, labels: Labels) -> pa.Table:
    """Return the rows of the table that the method is fitted on."""
    phase = f"round-{number}/sample"
    documents = sum(shard.documents for shard in scores.values())
    rate = min(1.0, context.settings.fit_documents / max(1, documents))
    labelled = sorted(one.hex() for one in labels)
    tasks = [
        context.task(name, [file], phase=phase, settings=NoSettings(), rate=rate, labelled=labelled)
        for name, file in scores.items()
    ]
    folder = context.phase_folder(phase)
    parts = []
    for commit in context.map_shards(sample_scores, tasks, phase=phase):
        parts.append(pq.read_table(pa.BufferReader(read_checked(folder, f"sample/{commit.shard}.parquet"))))
    return pa.concat_tables(parts) if parts else SCORE_SCHEMA.empty_table()


def _limits(context: StageContext[SelfcleanSettings], number: int, scores: Scores, decision: Decision) -> Decision:
    """Count badness by stratum and return the decision with its limits."""
    phase = f"round-{number}/histograms"
    commits = context.map_shards(count_scores, _tasks(context, phase, scores, decision), phase=phase)
    folder = context.phase_folder(phase)
    return find_limits(
        decision, merge_histograms(read_histogram(read_checked(folder, f"histograms/{c.shard}.json")) for c in commits)
    )


def _losses(
    context: StageContext[SelfcleanSettings], phase: str, scores: Scores, decision: Decision
) -> dict[str, dict[str, Loss]]:
    """Return what each group has and loses."""
    commits = context.map_shards(count_groups, _tasks(context, phase, scores, decision), phase=phase)
    folder = context.phase_folder(phase)
    return merge_losses(read_losses(read_checked(folder, f"losses/{commit.shard}.json")) for commit in commits)


def _tasks(context: StageContext[SelfcleanSettings], phase: str, scores: Scores, decision: Decision) -> list[Any]:
    plain = msgspec.to_builtins(decision)
    return [
        context.task(name, [file], phase=phase, settings=NoSettings(), decision=plain) for name, file in scores.items()
    ]


def round_report(losses: dict[str, dict[str, Loss]], held_back: dict[str, list[str]]) -> dict[str, Any]:
    """Return what a round takes from each language, source and host, the largest losses first, and what floors keep."""
    report: dict[str, Any] = {}
    for column, groups in losses.items():
        rows = sorted(groups.items(), key=lambda item: (-item[1].lost, item[0]))[:REPORTED]
        report[column] = {
            name: {"documents": one.documents, "lost": one.lost, "share": round(one.share, 4)} for name, one in rows
        }
    return {"lost": report, "kept_by_floor": held_back}


REPORTED = 200
"""Groups of a kind that a report names."""


def _write(context: StageContext[SelfcleanSettings], name: str, value: Any) -> None:
    context.write_file(name, msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n")


def read_labels(place: str | None) -> dict[bytes, bool]:
    """Return doc_id -> whether it is bad, from a sample's folder: sample.jsonl with labels (true: good) and key.jsonl.

    Raises InputError where a file is absent or a label is neither true, false nor null.
    """
    if place is None:
        return {}
    folder = Folder(place)
    for name in ("sample.jsonl", "key.jsonl"):
        if not folder.exists(name):
            raise InputError(f"{folder.url}: has no {name}; name the folder `sample` of an earlier selfclean stage")
    keys = {
        row["number"]: row["doc_id"] for row in map(msgspec.json.decode, read_checked(folder, "key.jsonl").splitlines())
    }
    found: dict[bytes, bool] = {}
    for line, data in enumerate(folder.read_bytes("sample.jsonl").splitlines(), 1):
        row = msgspec.json.decode(data)
        if row.get("label") is None:
            continue
        if not isinstance(row["label"], bool) or row.get("number") not in keys:
            raise InputError(
                f"{folder.path('sample.jsonl')}: line {line}: label must be true (good), false (bad) or null, and "
                "number one of key.jsonl's"
            )
        found[bytes.fromhex(keys[row["number"]])] = not row["label"]
    return found
