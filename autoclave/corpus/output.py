"""What a stage writes for one shard: kept documents, ledger, dropped texts, errors, extra files, then the commit."""

from __future__ import annotations

import contextlib
import datetime
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

import autoclave
from autoclave.corpus.batches import BATCH_BYTES, BATCH_ROWS, split_batch
from autoclave.corpus.commits import Commit, OutputFile, write_commit
from autoclave.corpus.groups import GroupCounts, count_groups, largest_groups
from autoclave.corpus.schema import DOCUMENT_SCHEMA, text_bytes
from autoclave.corpus.storage import Folder, HashingFile
from autoclave.errors import ShardError

LEDGER_SCHEMA = pa.schema(
    [
        pa.field("doc_id", pa.binary(16), nullable=False),
        pa.field("kept", pa.bool_(), nullable=False),
        pa.field("filter", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("duplicate_of", pa.binary(16)),
    ]
)
"""The first columns of every ledger; one column a signal follows."""

UNREAD = "unread_files"
"""Counter of input files of which nothing could be read, and the folder that names them with their first faults."""

DROPPED_SCHEMA = pa.schema([*DOCUMENT_SCHEMA, pa.field("filter", pa.string()), pa.field("reason", pa.string())])


@dataclass
class Verdicts:
    """What a stage decided on one batch, each column as long as the batch.

    kept: bool; filter and reason: the first filter that said no and why, None where kept; duplicate_of: doc_id of the
    document that stayed, for dedup; signals: one ledger column each.
    """

    kept: np.ndarray
    filter: Sequence[str | None] | pa.Array
    reason: Sequence[str | None] | pa.Array
    signals: Mapping[str, pa.Array] = field(default_factory=dict)
    duplicate_of: Sequence[bytes | None] | pa.Array | None = None

    @classmethod
    def keep_all(cls, rows: int, signals: Mapping[str, pa.Array] | None = None) -> Verdicts:
        return cls(
            np.ones(rows, dtype=np.bool_), pa.nulls(rows, pa.string()), pa.nulls(rows, pa.string()), signals or {}
        )

    def slice(self, start: int, rows: int) -> Verdicts:
        """Return the verdicts on `rows` documents from `start` on."""
        stop = start + rows
        return Verdicts(
            self.kept[start:stop],
            self.filter[start:stop],
            self.reason[start:stop],
            {name: column.slice(start, rows) for name, column in self.signals.items()},
            None if self.duplicate_of is None else self.duplicate_of[start:stop],
        )

    def ledger(self, doc_id: pa.Array) -> pa.RecordBatch:
        """Return the ledger rows of the batch whose ids are given; ValueError where lengths disagree."""
        rows = len(doc_id)
        duplicate_of = pa.nulls(rows, pa.binary(16)) if self.duplicate_of is None else self.duplicate_of
        columns = [doc_id, pa.array(self.kept, pa.bool_()), *(_strings(c) for c in (self.filter, self.reason))]
        columns.append(duplicate_of if isinstance(duplicate_of, pa.Array) else pa.array(duplicate_of, pa.binary(16)))
        fields = [*LEDGER_SCHEMA, *(pa.field(name, column.type) for name, column in self.signals.items())]
        return pa.RecordBatch.from_arrays([*columns, *self.signals.values()], schema=pa.schema(fields))


def _strings(column: Sequence[str | None] | pa.Array) -> pa.Array:
    if isinstance(column, pa.Array):
        return column if column.type == pa.string() else column.cast(pa.string())
    return pa.array(column, pa.string())


def _shared(schema: pa.Schema) -> list[str]:
    """The columns to store as dictionaries: not those whose values are all different, nor texts, which are large.

    A dictionary is read at once, and twice over: a reader would have to hold the texts of a whole row group.
    """
    nested = ["metadata.key_value.key", "metadata.key_value.value"]
    return [*(name for name in schema.names if name not in ("doc_id", "text", "metadata")), *nested]


class _ParquetSink:
    """A Parquet file that is opened at the first batch and gathers small batches into full row groups.

    A row group keeps to BATCH_ROWS and BATCH_BYTES (one row may be larger alone), so that readers can.
    """

    def __init__(self, stack: contextlib.ExitStack, folder: Folder, name: str, schema: pa.Schema | None) -> None:
        self._stack, self._folder, self._name, self.schema = stack, folder, name, schema
        self._writer: pq.ParquetWriter | None = None
        self._file: HashingFile | None = None
        self._pending: list[pa.RecordBatch] = []
        self._rows = self._bytes = 0

    def write(self, batch: pa.RecordBatch) -> None:
        if self.schema is None:
            self.schema = batch.schema
        if batch.schema != self.schema:
            raise ValueError(f"{self._name}: batch of another schema: {batch.schema.names}, not {self.schema.names}")
        for part in split_batch(batch):
            size = part.nbytes
            if self._rows and self._bytes + size > BATCH_BYTES:
                self._flush()
            self._pending.append(part)
            self._rows += part.num_rows
            self._bytes += size
            if self._rows >= BATCH_ROWS or self._bytes >= BATCH_BYTES:
                self._flush()

    def _flush(self) -> None:
        if self._writer is None:
            assert self.schema is not None
            self._file = self._stack.enter_context(self._folder.open_write(self._name))
            self._writer = pq.ParquetWriter(
                self._file,
                self.schema,
                compression="zstd",
                compression_level=3,
                use_dictionary=_shared(self.schema),
                write_page_checksum=True,
            )
        if self._rows:
            self._writer.write_table(pa.Table.from_batches(self._pending, self.schema).combine_chunks())
        self._pending, self._rows, self._bytes = [], 0, 0

    def close(self) -> OutputFile:
        self._flush()
        assert self._writer is not None
        assert self._file is not None
        self._writer.close()
        return OutputFile(self._file.size, self._file.checksum)


class ShardOutput:
    """The outputs of one shard of one stage. Use as a context manager; then `commit`.

    Files are written under temporary names; `commit` publishes them and then the commit, in that order, so that a kill
    at any moment leaves either a finished shard or one that will be run again.
    """

    def __init__(self, folder: Folder, stage: str, shard: str, *, dropped_share: float = 1.0, seed: int = 0) -> None:
        self.folder, self.stage, self.shard = folder, stage, shard
        self._dropped_share, self._seed = dropped_share, seed
        self._stack = contextlib.ExitStack()
        self._started = time.monotonic()
        self._sinks = {
            "documents": _ParquetSink(self._stack, folder, f"documents/{shard}.parquet", DOCUMENT_SCHEMA),
            "dropped": _ParquetSink(self._stack, folder, f"dropped/{shard}.parquet", DROPPED_SCHEMA),
            "ledger": _ParquetSink(self._stack, folder, f"ledger/{shard}.parquet", None),
        }
        self._wrote_documents = False
        self._errors: list[bytes] = []
        self._unread: dict[str, str] = {}
        self._refused: dict[bytes, tuple[str, str]] = {}
        self._files: dict[str, HashingFile] = {}
        self._kept = self._dropped = self._bytes_in = self._bytes_kept = 0
        self._expected: int | None = None
        self._dropped_by: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._counts: dict[str, int] = defaultdict(int)
        self._groups: GroupCounts = {}
        self._notes: dict[str, int] = {}

    def __enter__(self) -> ShardOutput:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is not None:  # let every open file see the error, so that none of them is published
            self._stack.__exit__(*error)  # type: ignore[arg-type]

    def expect(self, documents: int) -> None:
        """Say how many documents went in (cumulative); the commit is refused unless all are accounted for."""
        self._expected = documents + (self._expected or 0)

    def write(
        self, batch: pa.RecordBatch, verdicts: Verdicts, *, bytes_in: int | None = None, store: bool = True
    ) -> None:
        """Write one batch of DOCUMENT_SCHEMA, after edits, and what was decided on each of its documents.

        bytes_in is the size of what was read, where edits changed it; otherwise the batch's own text. store=False
        leaves the texts out (a stage that makes something else of them): ledger and counts alone.
        """
        self._wrote_documents = True
        batch = batch.cast(DOCUMENT_SCHEMA) if batch.schema != DOCUMENT_SCHEMA else batch
        ledger = verdicts.ledger(batch.column("doc_id"))
        if self._refused:
            batch, ledger = self._without_refused(batch, ledger)
        if self._sinks["ledger"].schema is None:
            self._sinks["ledger"].schema = ledger.schema
        kept = batch.filter(ledger.column("kept"))
        self._kept += kept.num_rows
        self._dropped += batch.num_rows - kept.num_rows
        self._bytes_in += text_bytes(batch) if bytes_in is None else bytes_in
        self._bytes_kept += text_bytes(kept)
        self._sinks["ledger"].write(ledger)
        if store:
            self._sinks["documents"].write(kept)
        else:
            self._sinks.pop("documents", None)
        count_groups(self._groups, batch, ledger)
        self._write_dropped(batch, ledger)

    def _without_refused(self, batch: pa.RecordBatch, ledger: pa.RecordBatch) -> tuple[pa.RecordBatch, pa.RecordBatch]:
        ids = batch.column("doc_id").to_pylist()
        for doc_id in ids:
            if doc_id in self._refused:
                self.error(*self._refused[doc_id])
        stay = pa.array([doc_id not in self._refused for doc_id in ids], pa.bool_())
        return batch.filter(stay), ledger.filter(stay)

    def _write_dropped(self, batch: pa.RecordBatch, ledger: pa.RecordBatch) -> None:
        rows = np.flatnonzero(~ledger.column("kept").to_numpy(zero_copy_only=False))
        if not len(rows):
            return
        for name, reason in zip(
            ledger.column("filter").take(rows).to_pylist(), ledger.column("reason").take(rows).to_pylist(), strict=True
        ):
            if name is None:
                raise ValueError(f"{self.stage}: a document was dropped without the name of a filter")
            self._dropped_by[name][reason or name] += 1
        if self._dropped_share < 1.0:
            limit = int(self._dropped_share * 2**64)
            ids = batch.column("doc_id").take(rows).to_pylist()
            rows = rows[[xxhash.xxh3_64_intdigest(doc_id, self._seed) < limit for doc_id in ids]]
        columns = [*batch.take(rows).columns, ledger.column("filter").take(rows), ledger.column("reason").take(rows)]
        self._sinks["dropped"].write(pa.RecordBatch.from_arrays(columns, schema=DROPPED_SCHEMA))

    def error(self, place: str, cause: str) -> None:
        """Record one input record that could not be read: where it is and why."""
        self._wrote_documents = True
        self._errors.append(msgspec.json.encode({"place": place, "cause": cause}) + b"\n")

    def refuse(self, doc_id: bytes, place: str, cause: str) -> None:
        """Make an error of a document, whatever is written on it later: it is neither kept nor dropped."""
        self._refused[doc_id] = (place, cause)

    def unread(self, source: str, cause: str) -> None:
        """Record that nothing at all could be read of an input file, and its first fault."""
        self._unread[source] = cause

    def count(self, name: str, number: int) -> None:
        """Add to one of the stage's own counters."""
        self._counts[name] += int(number)

    def note(self, name: str, number: int) -> None:
        """Put down a figure of this shard alone in its commit."""
        self._notes[name] = int(number)

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[HashingFile]:
        """Open an extra output file (relative name); it is published and checksummed with the shard."""
        file = self._stack.enter_context(self.folder.open_write(name))
        self._files[name] = file
        yield file

    def commit(self, fingerprint: str, inputs: Sequence[str]) -> Commit:
        """Publish every file, then the commit; ShardError where documents are unaccounted for."""
        accounted = self._kept + self._dropped + len(self._errors)
        if self._expected is not None and self._expected != accounted:
            error = ShardError(
                f"{self.stage} {self.shard}: {self._expected} documents went in, {accounted} are accounted for"
            )
            self._stack.__exit__(ShardError, error, None)
            raise error
        outputs: dict[str, OutputFile] = {}
        if self._wrote_documents or self._expected is not None:
            if self._sinks["ledger"].schema is None:
                self._sinks["ledger"].schema = LEDGER_SCHEMA
            outputs |= {f"{kind}/{self.shard}.parquet": sink.close() for kind, sink in self._sinks.items()}
            with self.open(f"errors/{self.shard}.jsonl") as file:
                file.write(b"".join(self._errors))
        if self._unread:
            self.count(UNREAD, len(self._unread))
            with self.open(f"{UNREAD}/{self.shard}.json") as file:
                file.write(msgspec.json.encode(self._unread))
        outputs |= {name: OutputFile(file.size, file.checksum) for name, file in self._files.items()}
        self._stack.close()
        commit = Commit(
            stage=self.stage,
            shard=self.shard,
            fingerprint=fingerprint,
            inputs=list(inputs),
            documents_in=accounted,
            kept=self._kept,
            dropped=self._dropped,
            errors=len(self._errors),
            dropped_by={name: dict(sorted(reasons.items())) for name, reasons in sorted(self._dropped_by.items())},
            bytes_in=self._bytes_in,
            bytes_kept=self._bytes_kept,
            counts=dict(sorted(self._counts.items())),
            notes=dict(sorted(self._notes.items())),
            groups=largest_groups(self._groups),
            seconds=round(time.monotonic() - self._started, 3),
            autoclave=autoclave.__version__,
            made=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            outputs=dict(sorted(outputs.items())),
        )
        write_commit(self.folder, commit)
        return commit
