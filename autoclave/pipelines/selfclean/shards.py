"""What the self-cleaning stage does to one shard: count hosts, split into folds, sample and count scores, decide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from autoclave.cleaning.selfclean.decisions import Decision, Said, apply_decision, count_badness
from autoclave.cleaning.selfclean.floors import Loss, count_losses, merge_losses
from autoclave.cleaning.selfclean.folds import HOST_BUCKETS, assign_folds, host_buckets
from autoclave.cleaning.selfclean.residuals import column_of
from autoclave.cleaning.selfclean.sample import (
    EXCERPT_CHARACTERS,
    GROUPS,
    Candidate,
    group_of,
    rank_of,
    smallest,
)
from autoclave.cleaning.selfclean.table import LEDGER_SCORES, SCORE_SCHEMA
from autoclave.cleaning.selfclean.thresholds import merge_histograms
from autoclave.corpus.output import ShardOutput, Verdicts
from autoclave.corpus.schema import read_documents
from autoclave.corpus.storage import open_read
from autoclave.pipelines.running.stage import ShardTask
from autoclave.pipelines.selfclean.models import FoldWriter
from autoclave.pipelines.selfclean.settings import FoldSettings, SelfcleanSettings

GONE = -1
"""Fold of a document that an earlier round dropped."""


def count_hosts(task: ShardTask, output: ShardOutput) -> None:
    """Write the bytes of text of each host bucket of one shard: bucket int32, bytes int64, only those that occur."""
    sizes = np.zeros(HOST_BUCKETS, dtype=np.int64)
    for batch in read_documents(task.inputs[0], ["text", "host"]):
        buckets = host_buckets(batch.column("host"))
        known = buckets >= 0
        np.add.at(sizes, buckets[known], pc.binary_length(batch.column("text")).to_numpy(zero_copy_only=False)[known])
    found = np.flatnonzero(sizes)
    table = pa.table({"bucket": pa.array(found, pa.int32()), "bytes": pa.array(sizes[found], pa.int64())})
    with output.open(f"hosts/{task.shard}.arrow") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def fold_tokens(task: ShardTask, output: ShardOutput) -> None:
    """Write the documents of one shard that are left as token shards, a file a fold, and each document's fold.

    inputs: documents, tokenizer, the score files of the rounds before; arguments: large host buckets, decisions.
    """
    settings: FoldSettings = task.settings
    large = np.array(task.arguments["large"], dtype=np.int64)
    folds: list[np.ndarray] = []
    with FoldWriter(task.inputs[1], settings.models, task.shard, output) as writer:
        for batch, rounds in _with_decisions(task.inputs[0], task.inputs[2:], task.arguments["decisions"]):
            left = np.ones(batch.num_rows, dtype=np.bool_)
            for _, said in rounds:
                left &= said.verdict == 0
            if settings.models == 1:
                fold = np.zeros(batch.num_rows, dtype=np.int64)
            else:
                fold = assign_folds(batch.column("host"), batch.column("doc_id"), large, settings.models, task.seed)
            fold = np.where(left, fold, GONE)
            writer.write(batch, fold)
            folds.append(fold.astype(np.int8))
    table = pa.table({"fold": pa.array(np.concatenate(folds) if folds else [], pa.int8())})
    with output.open(f"folds/{task.shard}.arrow") as file, pa.ipc.new_file(file, table.schema) as arrow:
        arrow.write_table(table)
    output.count("documents", table.num_rows)


def read_scores(path: str) -> Iterator[pa.RecordBatch]:
    """Yield the table of scores of one shard (SCORE_SCHEMA, [n] documents) in batches, in their order."""
    with open_read(path) as file:
        yield from pq.ParquetFile(file, page_checksum_verification=True).iter_batches(batch_size=4096)


def _with_decisions(
    documents: str, score_files: Sequence[str], decisions: Sequence[Any]
) -> Iterator[tuple[pa.RecordBatch, list[tuple[pa.Table, Said]]]]:
    """Yield (documents, rows of the table of scores and what was decided on them, for each round)."""
    given = [msgspec.convert(one, Decision) for one in decisions]
    tables = []
    for path in score_files:
        with open_read(path) as file:
            tables.append(pq.read_table(file, page_checksum_verification=True))
    start = 0
    for batch in read_documents(documents):
        rounds = []
        for table, decision in zip(tables, given, strict=True):
            rows = table.slice(start, batch.num_rows)
            rounds.append((rows, apply_decision(decision, rows)))
        start += batch.num_rows
        yield batch, rounds


def sample_scores(task: ShardTask, output: ShardOutput) -> None:
    """Write the rows that a method is fitted on: those whose id hashes below `rate`, and the labelled ones.

    inputs: the score file; arguments: rate, labelled (ids, hexadecimal).
    """
    limit = int(task.arguments["rate"] * 2**64)
    labelled = set(map(bytes.fromhex, task.arguments["labelled"]))
    with output.open(f"sample/{task.shard}.parquet") as file:
        writer = pq.ParquetWriter(file, SCORE_SCHEMA, compression="zstd", write_page_checksum=True)
        for batch in read_scores(task.inputs[0]):
            ids = batch.column("doc_id").to_pylist()
            drawn = [
                one is not None and (one in labelled or xxhash.xxh3_64_intdigest(b"fit" + one, task.seed) < limit)
                for one in ids
            ]
            writer.write_batch(batch.filter(pa.array(drawn, pa.bool_())))
        writer.close()


def count_scores(task: ShardTask, output: ShardOutput) -> None:
    """Write the histogram of one shard's badness by stratum; documents dropped in earlier rounds are not counted.

    inputs: the score file; arguments: decision.
    """
    decision = msgspec.convert(task.arguments["decision"], Decision)
    plain = {}
    for name, counts in merge_histograms(
        count_badness(decision, batch) for batch in read_scores(task.inputs[0])
    ).items():
        found = np.flatnonzero(counts)
        plain[name] = [found.tolist(), counts[found].tolist()]
    with output.open(f"histograms/{task.shard}.json") as file:
        file.write(msgspec.json.encode(plain))


def read_histogram(data: bytes) -> dict[str, np.ndarray]:
    """Return what `count_scores` wrote: stratum -> (bins, counts), int64 [2, distinct bins]."""
    return {name: np.array(pair, dtype=np.int64) for name, pair in msgspec.json.decode(data).items()}


def count_groups(task: ShardTask, output: ShardOutput) -> None:
    """Write what each language, source and host of one shard has and would lose. inputs, arguments: as count_scores."""
    decision = msgspec.convert(task.arguments["decision"], Decision)
    parts = []
    for batch in read_scores(task.inputs[0]):
        scored = ~np.isnan(column_of(batch, "bits_per_byte"))
        parts.append(count_losses(batch, apply_decision(decision, batch).verdict != 0, scored))
    with output.open(f"losses/{task.shard}.json") as file:
        file.write(msgspec.json.encode(merge_losses(parts)))


def read_losses(data: bytes) -> dict[str, dict[str, Loss]]:
    """Return what `count_groups` wrote."""
    return msgspec.json.decode(data, type=dict[str, dict[str, Loss]])


def apply_decisions(task: ShardTask, output: ShardOutput) -> None:
    """Keep the documents that every round kept; the ledger holds the scores of the last round of each, and its limits.

    inputs: documents, the score files of the rounds; arguments: decisions.
    """
    settings: SelfcleanSettings = task.settings
    candidates: list[Candidate] = []
    for batch, rounds in _with_decisions(task.inputs[0], task.inputs[1:], task.arguments["decisions"]):
        verdicts, last = _last_words(rounds)
        output.write(batch, verdicts)
        candidates = smallest([*candidates, *_candidates(batch, last, task.seed)], settings.sample)
    with output.open(f"candidates/{task.shard}.jsonl") as file:
        file.write(b"".join(msgspec.json.encode(one) + b"\n" for one in candidates))


REASONS = np.array(["low_score", None, "high_score"], dtype=object)
"""Reason of a verdict of -1, 0 and 1."""


def _last_words(rounds: Sequence[tuple[pa.Table, Said]]) -> tuple[Verdicts, Said]:
    """Return what the last round that scored each document said of it, as verdicts with all scores, and as it was."""
    table, last = rounds[0]
    number = np.ones(table.num_rows, dtype=np.int8)
    for round_number, (rows, said) in enumerate(rounds[1:], 2):
        here = ~np.isnan(column_of(rows, "bits_per_byte"))
        number[here] = round_number
        mask = pa.array(here)
        names = table.column_names
        table = pa.table(
            {name: pc.if_else(mask, rows.column(name), table.column(name)) for name in names}, schema=table.schema
        )
        last = Said(
            badness=np.where(here, said.badness, last.badness),
            verdict=np.where(here, said.verdict, last.verdict),
            low=np.where(here, said.low, last.low),
            high=np.where(here, said.high, last.high),
            stratum=pc.if_else(mask, said.stratum, last.stratum),
            spared=np.where(here, said.spared, last.spared),
        )
    signals = {name: table.column(name).combine_chunks().cast(pa.float32()) for name in LEDGER_SCORES}
    signals |= {
        "pooled_hidden": table.column("pooled_hidden").combine_chunks(),
        "badness": pa.array(last.badness.astype(np.float32), from_pandas=True),
        "band_low": pa.array(last.low),
        "band_high": pa.array(last.high),
        "round": pa.array(number),
        "fold": table.column("fold").combine_chunks(),
        "stratum": last.stratum,
        "spared_by_floor": pa.array(last.spared),
    }
    filters = [None if said == 0 else "selfclean" for said in last.verdict]
    return Verdicts(last.verdict == 0, filters, REASONS[last.verdict + 1].tolist(), signals), last


def _candidates(batch: pa.RecordBatch, said: Said, seed: int) -> Iterator[Candidate]:
    """Yield every document of a batch as a candidate for the sample."""
    groups = group_of(said.verdict, said.badness, said.low, said.high)
    columns = [batch.column(name).to_pylist() for name in ("doc_id", "language", "url")]
    texts = pc.utf8_slice_codeunits(batch.column("text"), 0, EXCERPT_CHARACTERS)
    for row, (doc_id, language, url) in enumerate(zip(*columns, strict=True)):
        yield Candidate(
            rank=rank_of(doc_id, seed),
            group=GROUPS[groups[row]],
            doc_id=doc_id.hex(),
            kept=bool(said.verdict[row] == 0),
            badness=round(float(said.badness[row]), 4),
            language=language or "",
            url=url or "",
            text=texts[row].as_py(),
        )
