"""The last phase of dedup: documents, ledger and dropped texts of each shard."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from autoclave.corpus.output import ShardOutput, Verdicts
from autoclave.corpus.schema import read_documents, text_bytes
from autoclave.pipelines.dedup.assignment import read_assignment
from autoclave.pipelines.dedup.lines import LineRemover, has_words
from autoclave.pipelines.dedup.manifest import read_manifest
from autoclave.pipelines.dedup.passages import PassageRemover
from autoclave.pipelines.dedup.verification import EXACT, KEPT, NEAR
from autoclave.pipelines.running.stage import ShardTask

FILTERS = {EXACT: "exact_duplicate", NEAR: "near_duplicate"}


def _reason(kind: int, verify: str) -> str | None:
    if kind == EXACT:
        return "same text"
    return {"off": "same candidate component", "signature": "similar signature", "jaccard": "similar shingles"}[verify]


def apply_shard(task: ShardTask, output: ShardOutput) -> None:
    """Write one shard without its duplicates, and without repeated lines where asked for."""
    place, parts = task.arguments["place"], task.arguments["verified"]
    verdict = read_assignment(task.folder, read_manifest(task.arguments["_manifest"]), place, parts)
    passages = PassageRemover.of(task) if task.settings.substring is not None else None
    remover = LineRemover.of(task) if task.settings.lines is not None else None
    filters = np.array([None, FILTERS[EXACT], FILTERS[NEAR]], object)
    reasons = np.array([None, *(_reason(kind, task.settings.verify) for kind in (EXACT, NEAR))], object)
    row = 0
    for batch in read_documents(task.inputs[0]):
        count, size_in = batch.num_rows, text_bytes(batch)
        kind = verdict.kind[row : row + count]
        kept = kind == KEPT
        name, reason = filters[kind], reasons[kind]
        signals = {
            "jaccard": verdict.jaccard.slice(row, count),
            "cluster_size": pa.array(verdict.size[row : row + count]),
        }
        if passages is not None:
            batch, counted = passages.edit(batch, kept)
            signals |= counted
            emptied = kept & (counted["passage_tokens_removed"].to_numpy() > 0) & ~has_words(batch.column("text"))
            kept = kept & ~emptied
            name[emptied], reason[emptied] = "duplicate_passages", "nothing but repeated passages"
        if remover is not None:
            batch, emptied, counted = remover.edit(batch, kept)
            signals |= counted
            kept = kept & ~emptied
            name[emptied], reason[emptied] = "duplicate_lines", "nothing but repeated lines"
        duplicate_of = verdict.doc_id.slice(row, count)
        output.write(batch, Verdicts(kept, name.tolist(), reason.tolist(), signals, duplicate_of), bytes_in=size_in)
        row += count
