"""What the self-cleaning stage does to one shard: count hosts, split into folds, count scores, decide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from autoclave.cleaning.selfclean.folds import HOST_BUCKETS, assign_folds, host_buckets
from autoclave.cleaning.selfclean.sample import (
    EXCERPT_CHARACTERS,
    GROUPS,
    Candidate,
    group_of,
    rank_of,
    smallest,
)
from autoclave.cleaning.selfclean.thresholds import (
    Band,
    StratumKey,
    decide,
    histogram,
    merge_histograms,
    score_bins,
    strata,
)
from autoclave.corpus.output import ShardOutput, Verdicts
from autoclave.corpus.schema import read_documents
from autoclave.corpus.storage import open_read
from autoclave.pipelines.running.stage import ShardTask
from autoclave.pipelines.selfclean.models import FoldWriter, score_fold_files
from autoclave.pipelines.selfclean.settings import FoldSettings, SelfcleanSettings

GONE = -1
"""Fold of a document that an earlier round dropped."""


def count_hosts(task: ShardTask, output: ShardOutput) -> None:
    """Write the bytes of text of each host bucket of one shard: bucket int32, bytes int64, only those that occur."""
    sizes = np.zeros(HOST_BUCKETS, dtype=np.int64)
    for batch in read_documents(task.inputs[0], ["text", "host"]):
        buckets = host_buckets(batch.column("host"))
        known = buckets >= 0
        np.add.at(sizes, buckets[known], _lengths(batch)[known])
    found = np.flatnonzero(sizes)
    table = pa.table({"bucket": pa.array(found, pa.int32()), "bytes": pa.array(sizes[found], pa.int64())})
    with output.open(f"hosts/{task.shard}.arrow") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def fold_tokens(task: ShardTask, output: ShardOutput) -> None:
    """Write the documents of one shard that are left as token shards, a file a fold, and each document's fold.

    inputs: documents, tokenizer, the score files of the rounds before; arguments: large host buckets, bands.
    """
    settings: FoldSettings = task.settings
    large = np.array(task.arguments["large"], dtype=np.int64)
    bands = plain_bands(task.arguments["bands"])
    folds: list[np.ndarray] = []
    with FoldWriter(task.inputs[1], settings.models, task.shard, output) as writer:
        for batch, rounds in _with_scores(task.inputs[0], task.inputs[2:], bands, settings.strata):
            left = np.ones(batch.num_rows, dtype=np.bool_)
            for said in rounds:
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


def score_shard(task: ShardTask, output: ShardOutput) -> None:
    """Write one row a document of the shard: fold, nll (nats), tokens, bytes, bits_per_byte; null where it is gone.

    inputs: folds, one token file a fold, one model a fold; arguments: checksums of the models.
    """
    count = (len(task.inputs) - 1) // 2
    with open_read(task.inputs[0]) as source, pa.ipc.open_file(source) as arrow:
        folds = arrow.read_all().column("fold").to_numpy()
    files, models = task.inputs[1 : 1 + count], task.inputs[1 + count :]
    table = score_fold_files(folds, files, models, task.arguments["models"], task.settings)
    with output.open(f"scores/{task.shard}.parquet") as file:
        pq.write_table(table, file, compression="zstd", write_page_checksum=True)
    output.count("documents", table.num_rows)
    output.count("tokens", pc.sum(table.column("tokens")).as_py() or 0)


class _Round(msgspec.Struct):
    """What one round said of a batch: scores (NaN where a document was gone), verdicts and bands (see `decide`)."""

    bits: np.ndarray
    verdict: np.ndarray
    low: np.ndarray
    high: np.ndarray


def _with_scores(
    documents: str, score_files: Sequence[str], bands: Sequence[dict[str, Band]], keys: Sequence[StratumKey]
) -> Iterator[tuple[pa.RecordBatch, list[_Round]]]:
    """Yield (documents, what each round said of them); score files hold a row a document, in the same order."""
    scores = [_read_bits(path) for path in score_files]
    start = 0
    for batch in read_documents(documents):
        names = _strata(batch, keys)
        rounds = []
        for bits, found in zip(scores, bands, strict=True):
            here = bits[start : start + batch.num_rows]
            verdict, low, high = decide(names, score_bins(here), found)
            rounds.append(_Round(here, np.where(np.isnan(here), 0, verdict).astype(np.int8), low, high))
        start += batch.num_rows
        yield batch, rounds


def _read_bits(path: str) -> np.ndarray:
    with open_read(path) as file:
        column = pq.read_table(file, columns=["bits_per_byte"], page_checksum_verification=True).column("bits_per_byte")
    return column.to_numpy()


def _lengths(batch: pa.RecordBatch) -> np.ndarray:
    return pc.binary_length(batch.column("text")).to_numpy(zero_copy_only=False)


def _strata(batch: pa.RecordBatch, keys: Sequence[StratumKey]) -> pa.Array:
    return strata(keys, batch.column("language"), _lengths(batch), batch.column("source"))


def count_scores(task: ShardTask, output: ShardOutput) -> None:
    """Write the histogram of one shard's scores by stratum; documents dropped in earlier rounds are not counted."""
    settings: FoldSettings = task.settings
    bits = _read_bits(task.inputs[1])
    parts = []
    start = 0
    for batch in read_documents(task.inputs[0]):
        here = bits[start : start + batch.num_rows]
        start += batch.num_rows
        scored = ~np.isnan(here)
        parts.append(histogram(_strata(batch, settings.strata).filter(pa.array(scored)), score_bins(here[scored])))
    plain = {}
    for name, counts in merge_histograms(parts).items():
        found = np.flatnonzero(counts)
        plain[name] = [found.tolist(), counts[found].tolist()]
    with output.open(f"histograms/{task.shard}.json") as file:
        file.write(msgspec.json.encode(plain))


def read_histogram(data: bytes) -> dict[str, np.ndarray]:
    """Return what `count_scores` wrote: stratum -> (bins, counts), int64 [2, distinct bins]."""
    return {name: np.array(pair, dtype=np.int64) for name, pair in msgspec.json.decode(data).items()}


def apply_bands(task: ShardTask, output: ShardOutput) -> None:
    """Keep the documents that every round kept; the ledger holds the last score, its band, and the round."""
    settings: SelfcleanSettings = task.settings
    candidates: list[Candidate] = []
    bands = plain_bands(task.arguments["bands"])
    for batch, rounds in _with_scores(task.inputs[0], task.inputs[1:], bands, settings.strata):
        rows = batch.num_rows
        last, verdict = np.zeros(rows, dtype=np.int8), np.zeros(rows, dtype=np.int8)
        bits, low, high = (np.full(rows, np.nan) for _ in range(3))
        for number, said in enumerate(rounds, 1):
            here = ~np.isnan(said.bits)
            last[here], verdict[here], bits[here] = number, said.verdict[here], said.bits[here]
            low[here], high[here] = said.low[here], said.high[here]
        reasons = np.array(["low_bits_per_byte", None, "high_bits_per_byte"], dtype=object)[verdict + 1]
        signals = {
            "bits_per_byte": pa.array(bits.astype(np.float32), from_pandas=True),
            "band_low": pa.array(low.astype(np.float32), from_pandas=True),
            "band_high": pa.array(high.astype(np.float32), from_pandas=True),
            "round": pa.array(last, pa.int8()),
            "stratum": _strata(batch, settings.strata),
        }
        filters = [None if said == 0 else "selfclean" for said in verdict]
        output.write(batch, Verdicts(verdict == 0, filters, reasons.tolist(), signals))
        candidates = smallest([*candidates, *_candidates(batch, verdict, bits, low, high, task.seed)], settings.sample)
    with output.open(f"candidates/{task.shard}.jsonl") as file:
        file.write(b"".join(msgspec.json.encode(one) + b"\n" for one in candidates))


def _candidates(
    batch: pa.RecordBatch, verdict: np.ndarray, bits: np.ndarray, low: np.ndarray, high: np.ndarray, seed: int
) -> Iterator[Candidate]:
    """Yield every document of a batch as a candidate for the sample."""
    groups = group_of(verdict, bits, low, high)
    columns = [batch.column(name).to_pylist() for name in ("doc_id", "language", "url")]
    texts = pc.utf8_slice_codeunits(batch.column("text"), 0, EXCERPT_CHARACTERS)
    for row, (doc_id, language, url) in enumerate(zip(*columns, strict=True)):
        yield Candidate(
            rank=rank_of(doc_id, seed),
            group=GROUPS[groups[row]],
            doc_id=doc_id.hex(),
            kept=bool(verdict[row] == 0),
            bits_per_byte=round(float(bits[row]), 4),
            language=language or "",
            url=url or "",
            text=texts[row].as_py(),
        )


def plain_bands(plain: Sequence[dict[str, Any]]) -> list[dict[str, Band]]:
    """Return bands from the JSON values that a task's arguments hold."""
    return msgspec.convert(list(plain), list[dict[str, Band]])
