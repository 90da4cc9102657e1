"""A run's stages opened: their ledgers and documents as tables, shard by shard, and single rows as structs.

Everything is read in bounded memory.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from autoclave.corpus.checksums import check, read_checked
from autoclave.corpus.commits import Commit, read_commits
from autoclave.corpus.output import LEDGER_SCHEMA
from autoclave.corpus.storage import Folder
from autoclave.errors import RecipeError, ShardError
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
                check(self.folder.path(name))
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


def check_signal(stage: StageView, signal: str) -> None:
    """Raise RecipeError, naming the signals there are, where the stage's ledger lacks one."""
    if signal not in stage.signals:
        raise RecipeError(f"{stage.label} has no signal '{signal}'; it has {', '.join(stage.signals) or 'none'}")


def read_ledger(stage: StageView, columns: Sequence[str] | None = None) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Yield (shard, ledger rows) of a stage; columns: those to read (default: all). DamageError for a damaged file.

    Rows are of LEDGER_SCHEMA with a column a signal after it.
    """
    return read_shards(stage, "ledger", columns)


def read_shards(
    stage: StageView, kind: str, columns: Sequence[str] | None, shards: Container[str] | None = None
) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Yield (shard, rows) of a stage's `documents`, `dropped` or `ledger`; shards: those to read (default: all).

    Rows are of DOCUMENT_SCHEMA, DROPPED_SCHEMA, or LEDGER_SCHEMA with a column a signal after it.
    """
    for commit in stage.commits:
        name = f"{kind}/{commit.shard}.parquet"
        if name not in commit.outputs or (shards is not None and commit.shard not in shards):
            continue
        check(stage.folder.path(name))
        with stage.folder.open_read(name) as file:
            try:
                for batch in pq.ParquetFile(file).iter_batches(columns=None if columns is None else list(columns)):
                    yield commit.shard, batch
            except (pa.ArrowInvalid, OSError) as error:
                message = str(error).splitlines()[0]
                raise ShardError(f"{stage.folder.path(name)}: damaged ({message}); run the stage again") from error


def ledger_rows(batch: pa.RecordBatch) -> list[LedgerRow]:
    """Return ledger rows (LEDGER_SCHEMA with a column a signal) as structs, with the signals that the batch has."""
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


def shard_of(stage: StageView, doc_id: bytes) -> str | None:
    """Return the shard of a document's row in a stage's ledger, None where it has none."""
    for shard, batch in read_ledger(stage, ["doc_id"]):
        if pc.any(pc.equal(batch.column("doc_id"), pa.scalar(doc_id, pa.binary(16)))).as_py():
            return shard
    return None


def read_errors(stage: StageView, count: int = 20) -> list[dict[str, str]]:
    """Return the first records of a stage that could not be read: place and cause."""
    found: list[dict[str, str]] = []
    for commit in stage.commits:
        if commit.errors and len(found) < count:
            lines = read_checked(stage.folder, f"errors/{commit.shard}.jsonl").splitlines()
            found += [msgspec.json.decode(line) for line in lines[: count - len(found)]]
    return found
