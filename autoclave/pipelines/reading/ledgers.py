"""Questions to a run's ledgers and texts: samples, one document's story, duplicates, distributions of signals.

Everything is read shard by shard in bounded memory, and the same question gives the same answer: samples are drawn by
the hash of a document's id.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from autoclave.corpus.commits import Commit, read_commits
from autoclave.corpus.output import LEDGER_SCHEMA
from autoclave.corpus.storage import Folder
from autoclave.errors import InputError, RecipeError, ShardError
from autoclave.pipelines.reading.conditions import parse_conditions
from autoclave.pipelines.running.funnel import StageRow, fold, stage_folders


class LedgerRow(msgspec.Struct, kw_only=True):
    """What one stage decided on one document; ids in hexadecimal."""

    doc_id: str
    kept: bool
    filter: str | None = None
    reason: str | None = None
    duplicate_of: str | None = None
    signals: dict[str, Any] = {}


class DocumentRow(msgspec.Struct, kw_only=True):
    """A document as a stage left it; id in hexadecimal, time in ISO 8601."""

    doc_id: str
    text: str
    url: str | None = None
    host: str | None = None
    crawled_at: str | None = None
    source: str = ""
    offset: int = 0
    content_type: str | None = None
    language: str | None = None
    language_score: float | None = None
    metadata: dict[str, str | None] = {}


class Event(msgspec.Struct, kw_only=True):
    """One document at one stage. document: None where the text was not stored (see dropped_share)."""

    stage: str
    shard: str
    verdict: LedgerRow
    document: DocumentRow | None = None


class Story(msgspec.Struct, kw_only=True):
    """What became of a document, stage by stage; representatives: documents that stayed in its place, by id."""

    doc_id: str
    events: list[Event]
    representatives: dict[str, DocumentRow] = {}


class Cluster(msgspec.Struct, kw_only=True):
    """Documents that were dropped as duplicates of one that stayed."""

    representative: str
    members: list[str]
    size: int
    """With the representative; members may be cut short, this is not."""


@dataclass(frozen=True)
class StageView:
    """A stage directory with its commits."""

    label: str
    folder: Folder
    commits: list[Commit]

    @property
    def row(self) -> StageRow:
        return fold(self.label, self.folder, self.commits)

    @property
    def signals(self) -> list[str]:
        """Names of the ledger's signals; none where the stage has no ledger."""
        for commit in self.commits:
            name = f"ledger/{commit.shard}.parquet"
            if name in commit.outputs:
                with self.folder.open_read(name) as file:
                    schema = pq.ParquetFile(file).schema_arrow
                return [field for field in schema.names if field not in LEDGER_SCHEMA.names]
        return []


def open_stages(url: str) -> list[StageView]:
    """Return the stages of a run directory in order, or the one stage that `url` is the directory of.

    Raises InputError where it is neither.
    """
    folder = Folder(url)
    if folder.files("commits/*.json"):
        return [StageView(folder.url.rstrip("/").rsplit("/", 1)[-1], folder, list(read_commits(folder)))]
    return [StageView(f.url.rsplit("/", 1)[-1][3:], f, list(read_commits(f))) for f in stage_folders(folder)]


def find_stage(stages: Sequence[StageView], label: str) -> StageView:
    """Return the stage of that label; RecipeError names those there are."""
    for stage in stages:
        if label in (stage.label, stage.folder.url.rsplit("/", 1)[-1]):
            return stage
    raise RecipeError(f"no stage '{label}' in this run; it has {', '.join(stage.label for stage in stages)}")


def read_ledger(stage: StageView, columns: Sequence[str] | None = None) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Yield (shard, ledger rows) of a stage; columns: those to read (default: all). ShardError for a damaged file."""
    return read_shards(stage, "ledger", columns)


def read_shards(
    stage: StageView, kind: str, columns: Sequence[str] | None, shards: Container[str] | None = None
) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Yield (shard, rows) of a stage's `documents`, `dropped` or `ledger`; shards: those to read (default: all)."""
    for commit in stage.commits:
        name = f"{kind}/{commit.shard}.parquet"
        if name not in commit.outputs or (shards is not None and commit.shard not in shards):
            continue
        with stage.folder.open_read(name) as file:
            try:
                for batch in pq.ParquetFile(file).iter_batches(columns=None if columns is None else list(columns)):
                    yield commit.shard, batch
            except (pa.ArrowInvalid, OSError) as error:
                message = str(error).splitlines()[0]
                raise ShardError(f"{stage.folder.path(name)}: damaged ({message}); run the stage again") from error


def ledger_rows(batch: pa.RecordBatch) -> list[LedgerRow]:
    """Return ledger rows as structs, with the signals that the batch has."""
    return [
        LedgerRow(
            doc_id=row.pop("doc_id").hex(),
            kept=row.pop("kept"),
            filter=row.pop("filter"),
            reason=row.pop("reason"),
            duplicate_of=_hex(row.pop("duplicate_of")),
            signals={name: _plain(value) for name, value in row.items()},
        )
        for row in batch.to_pylist()
    ]


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


def _plain(value: Any) -> Any:
    """Return a value that JSON has: ids in hexadecimal, None for what is no number."""
    if isinstance(value, bytes):
        return value.hex()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def document_row(row: Mapping[str, Any]) -> DocumentRow:
    """Return a document as a struct, from a row of documents/ or dropped/."""
    return DocumentRow(
        doc_id=row["doc_id"].hex(),
        text=row["text"],
        url=row["url"],
        host=row["host"],
        crawled_at=None if row["crawled_at"] is None else row["crawled_at"].isoformat(),
        source=row["source"],
        offset=row["offset"],
        content_type=row["content_type"],
        language=row["language"],
        language_score=_plain(row["language_score"]),
        metadata=dict(row["metadata"] or []),
    )


def fetch_documents(stage: StageView, wanted: Mapping[str, set[bytes]]) -> dict[bytes, DocumentRow]:
    """Return the documents of `wanted` (shard -> ids) that a stage kept or stored among its dropped ones."""
    found: dict[bytes, DocumentRow] = {}
    for kind in ("documents", "dropped"):
        for shard, batch in read_shards(stage, kind, None, wanted):
            mask = pc.is_in(batch.column("doc_id"), value_set=pa.array(sorted(wanted[shard]), pa.binary(16)))
            for row in batch.filter(mask).to_pylist():
                found.setdefault(row["doc_id"], document_row(row))
    return found


Rank = Callable[[pa.RecordBatch | pa.Table], Sequence[float]]
"""Gives each ledger row a number; those with the smallest are chosen. NaN leaves a row out."""


def choose(
    stage: StageView, rank: Rank, count: int, columns: Sequence[str], where: pc.Expression | None = None
) -> list[Event]:
    """Return the `count` documents of a stage with the smallest rank, in that order, with their texts."""
    best: list[tuple[float, bytes, str]] = []  # a heap of the negated ranks: the worst of the best is on top
    names = [*dict.fromkeys(["doc_id", "kept", "filter", "reason", *columns])]
    for shard, batch in read_ledger(stage, names):
        rows = batch if where is None else pa.Table.from_batches([batch]).filter(where)
        for doc_id, value in zip(rows.column("doc_id").to_pylist(), rank(rows), strict=True):
            if math.isnan(value):
                continue
            item = (-value, doc_id, shard)
            if len(best) < count:
                heapq.heappush(best, item)
            elif item > best[0]:
                heapq.heapreplace(best, item)
    return load_events(stage, [(doc_id, shard) for _, doc_id, shard in sorted(best, reverse=True)])


def load_events(stage: StageView, places: Sequence[tuple[bytes, str]]) -> list[Event]:
    """Return the events of documents of one stage, given as (id, shard), in that order, with texts and all signals."""
    wanted: dict[str, set[bytes]] = {}
    for doc_id, shard in places:
        wanted.setdefault(shard, set()).add(doc_id)
    documents = fetch_documents(stage, wanted)
    verdicts: dict[str, LedgerRow] = {}
    for shard, batch in read_shards(stage, "ledger", None, wanted):
        mask = pc.is_in(batch.column("doc_id"), value_set=pa.array(sorted(wanted[shard]), pa.binary(16)))
        verdicts |= {row.doc_id: row for row in ledger_rows(batch.filter(mask))}
    return [
        Event(stage=stage.label, shard=shard, verdict=verdicts[doc_id.hex()], document=documents.get(doc_id))
        for doc_id, shard in places
    ]


def sample(
    stage: StageView,
    *,
    kept: bool | None = False,
    reason: str | None = None,
    conditions: Sequence[str] = (),
    count: int = 10,
    seed: int = 0,
) -> list[Event]:
    """Draw documents of a stage at random, the same ones each time for a seed.

    kept: only kept ones, only dropped ones, or (None) both; reason: only those dropped by the filter of that name, for
    that reason, or for a limit of that signal; conditions: only those whose signals meet them (`parse_conditions`).
    Raises RecipeError where the stage dropped nothing of that name or has no such signal.
    """
    signals, met = parse_conditions(conditions)
    for signal in signals:
        check_signal(stage, signal)
    where = None if kept is None else (pc.field("kept") == kept)
    if reason is not None:
        if not dropped_for(stage, reason):
            names = ", ".join(stage.row.dropped_by) or "no drops"
            raise RecipeError(f"{stage.label} dropped nothing for '{reason}'; filters that dropped: {names}")
        where = (pc.field("filter") == reason) | (pc.field("reason") == reason)
        where |= pc.starts_with(pc.field("reason"), f"{reason} ")
    if met is not None:
        where = met if where is None else where & met

    def rank(batch: pa.RecordBatch | pa.Table) -> list[float]:
        return [float(xxhash.xxh3_64_intdigest(i, seed)) for i in batch.column("doc_id").to_pylist()]

    try:
        return choose(stage, rank, count, signals, where)
    except pa.ArrowNotImplementedError as error:
        raise RecipeError(f"--where {', '.join(conditions)}: a number and a text cannot be compared") from error


def dropped_for(stage: StageView, reason: str) -> int:
    """Return how many documents a stage dropped by the filter, for the reason, or for the signal of that name."""
    return sum(
        number
        for name, reasons in stage.row.dropped_by.items()
        for said, number in reasons.items()
        if reason in (name, said) or said.startswith(f"{reason} ")
    )


BAND = ("band_low", "band_high")
"""Signals that hold each document's own limits: self-cleaning's, which differ from stratum to stratum."""


def near(stage: StageView, signal: str, threshold: float | None, count: int = 10) -> list[Event]:
    """Return the documents of a stage whose signal is nearest to a threshold, below and above it, nearest first.

    threshold: None for the limits that stand beside the signal in the ledger (see BAND). Raises RecipeError where the
    ledger has no such signal.
    """
    limits = [threshold] if threshold is not None else BAND
    for name in (signal, *(limit for limit in limits if isinstance(limit, str))):
        check_signal(stage, name)

    def rank(batch: pa.RecordBatch | pa.Table) -> list[float]:
        value = _floats(batch, signal)
        away = [np.abs(value - (_floats(batch, at) if isinstance(at, str) else at)) for at in limits]
        nearest: list[float] = np.fmin.reduce(away).tolist()
        return nearest

    return choose(stage, rank, count, [signal, *BAND] if threshold is None else [signal])


def _floats(batch: pa.RecordBatch | pa.Table, name: str) -> np.ndarray:
    """Return a column as float64, NaN where there is no value."""
    column = batch.column(name).cast(pa.float64())
    return column.fill_null(math.nan).to_numpy()


def check_signal(stage: StageView, signal: str) -> None:
    """Raise RecipeError, naming the signals there are, where the stage's ledger lacks one."""
    if signal not in stage.signals:
        raise RecipeError(f"{stage.label} has no signal '{signal}'; it has {', '.join(stage.signals) or 'none'}")


def find_ids(stages: Sequence[StageView], key: str) -> list[bytes]:
    """Return the ids that `key` names: a document's id in hexadecimal (8 digits or more of its start), or its URL.

    Raises InputError where no document of the run has it.
    """
    is_id = 8 <= len(key) <= 32 and all(digit in "0123456789abcdef" for digit in key.lower())
    found: dict[bytes, None] = {}
    for stage in stages:
        if is_id:
            for _, batch in read_ledger(stage, ["doc_id"]):
                found |= dict.fromkeys(i for i in batch.column("doc_id").to_pylist() if i.hex().startswith(key.lower()))
        else:
            for kind in ("documents", "dropped"):
                for _, batch in read_shards(stage, kind, ["doc_id", "url"]):
                    ids = batch.column("doc_id").filter(pc.equal(batch.column("url"), key).fill_null(False))
                    found |= dict.fromkeys(ids.to_pylist())
        if found:
            return list(found)
    raise InputError(f"no document with the {'id' if is_id else 'URL'} {key} in this run")


def tell_story(stages: Sequence[StageView], doc_id: bytes) -> Story:
    """Return what every stage made of a document, up to where it was dropped."""
    story = Story(doc_id=doc_id.hex(), events=[])
    for stage in stages:
        shard = _shard_of(stage, doc_id)
        if shard is None:
            continue
        event = load_events(stage, [(doc_id, shard)])[0]
        story.events.append(event)
        other = event.verdict.duplicate_of
        if other is not None:
            place = _shard_of(stage, bytes.fromhex(other))
            if place is not None:
                found = fetch_documents(stage, {place: {bytes.fromhex(other)}})
                story.representatives |= {row.doc_id: row for row in found.values()}
    return story


def _shard_of(stage: StageView, doc_id: bytes) -> str | None:
    for shard, batch in read_ledger(stage, ["doc_id"]):
        if pc.any(pc.equal(batch.column("doc_id"), pa.scalar(doc_id, pa.binary(16)))).as_py():
            return shard
    return None


def find_clusters(stage: StageView, count: int = 20, members: int = 10) -> list[Cluster]:
    """Return the largest groups of duplicates of a stage, with up to `members` of the dropped ones of each."""
    clusters: dict[bytes, Cluster] = {}
    for _, batch in read_ledger(stage, ["doc_id", "duplicate_of"]):
        batch = batch.filter(batch.column("duplicate_of").is_valid())
        for doc_id, other in zip(*(batch.column(i).to_pylist() for i in ("doc_id", "duplicate_of")), strict=True):
            cluster = clusters.setdefault(other, Cluster(representative=other.hex(), members=[], size=1))
            cluster.size += 1
            if len(cluster.members) < members:
                cluster.members.append(doc_id.hex())
    return heapq.nsmallest(count, clusters.values(), key=lambda cluster: (-cluster.size, cluster.representative))


def cluster_of(stage: StageView, doc_id: bytes, count: int = 20) -> list[Event]:
    """Return the documents of the cluster that a document is in at a stage: the one that stayed, then up to `count`
    dropped ones, by id. Empty where the document was not in a cluster."""
    places: dict[bytes, tuple[str, bytes | None]] = {}
    for shard, batch in read_ledger(stage, ["doc_id", "duplicate_of"]):
        for one, other in zip(*(batch.column(i).to_pylist() for i in ("doc_id", "duplicate_of")), strict=True):
            if other is not None or one == doc_id:
                places[one] = (shard, other)
    if doc_id not in places:
        return []
    representative = places[doc_id][1] or doc_id
    members = sorted(one for one, (_, other) in places.items() if other == representative)[:count]
    if not members:
        return []
    home = places[representative][0] if representative in places else _shard_of(stage, representative)
    first = [] if home is None else [(representative, home)]
    return load_events(stage, first + [(one, places[one][0]) for one in members])


def read_errors(stage: StageView, count: int = 20) -> list[dict[str, str]]:
    """Return the first records of a stage that could not be read: place and cause."""
    found: list[dict[str, str]] = []
    for commit in stage.commits:
        if commit.errors and len(found) < count:
            lines = stage.folder.read_bytes(f"errors/{commit.shard}.jsonl").splitlines()
            found += [msgspec.json.decode(line) for line in lines[: count - len(found)]]
    return found
