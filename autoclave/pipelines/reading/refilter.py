"""Deciding again: other limits on the signals of a finished `clean` stage, without measuring any text.

The ledger holds every signal of every document, and the decision is the same function as in a run, so the outcome is
that of a fresh run with the new settings. With an output folder the texts are sorted anew from `documents/` and
`dropped/`; without one, only the change is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from autoclave.cleaning.chain import CleanSettings, build_filters, check_refilter, decide
from autoclave.corpus.batches import BATCH_ROWS, joined
from autoclave.corpus.checksums import check, read_checked
from autoclave.corpus.commits import Commit, read_commits
from autoclave.corpus.output import LEDGER_SCHEMA, ShardOutput, Verdicts
from autoclave.corpus.schema import read_documents
from autoclave.corpus.storage import Folder, open_read
from autoclave.errors import InputError
from autoclave.pipelines.clean import FILES_FILE, SETTINGS_FILE, SIZE, drop_empty
from autoclave.pipelines.running.engine import Engine
from autoclave.pipelines.running.recipe import apply_override, convert
from autoclave.pipelines.running.stage import Progress, ShardTask, Silent, StageContext


class RefilterReport(msgspec.Struct, kw_only=True):
    """What new limits change: documents kept before and after, and the reasons of both."""

    documents: int = 0
    kept_before: int = 0
    kept_after: int = 0
    newly_kept: int = 0
    newly_dropped: int = 0
    reasons_before: dict[str, int] = {}
    reasons_after: dict[str, int] = {}
    """'filter: reason' -> documents."""


def refilter(
    argument: str,
    overrides: Sequence[str],
    *,
    out: str | None = None,
    engine: Engine | None = None,
    progress: Progress | None = None,
) -> RefilterReport:
    """Decide anew over a finished clean stage and report what changes; with `out`, write it as a stage directory.

    argument: a run directory or the directory of its clean stage; overrides: `key=value` as `--set` takes them, with
    or without 'clean.' before the key. Raises RecipeError where new settings need a fresh run, InputError where
    there is no finished clean stage, or where a document to keep was dropped without its text (dropped_share).
    """
    folder = _clean_folder(argument)
    old = msgspec.json.decode(read_checked(folder, SETTINGS_FILE), type=CleanSettings)
    new = _changed(old, overrides)
    check_refilter(old, new)
    commits = list(read_commits(folder))
    report = _report(folder, commits, new)
    if out is not None:
        if engine is None:
            raise ValueError("writing needs an engine")
        context = StageContext("clean", Folder(out), new, 0, engine, progress=progress or Silent())
        context.write_file(SETTINGS_FILE, msgspec.json.format(msgspec.json.encode(new)))
        context.write_file(FILES_FILE, read_checked(folder, FILES_FILE))
        tasks = [
            context.task(
                commit.shard,
                [folder.path(f"{kind}/{commit.shard}.parquet") for kind in ("ledger", "documents", "dropped")],
                expected_documents=commit.kept + commit.dropped,
            )
            for commit in commits
        ]
        context.map_shards(refilter_shard, tasks)
    return report


def _clean_folder(argument: str) -> Folder:
    """Return the clean stage's folder of a run directory, or the folder itself."""
    folder = Folder(argument)
    if folder.exists(SETTINGS_FILE) and folder.files("commits/*.json"):
        return folder
    for name in folder.files("[0-9][0-9]-clean*"):
        inner = folder.child(name)
        if inner.exists(SETTINGS_FILE) and inner.files("commits/*.json"):
            return inner
    raise InputError(f"{argument}: no finished clean stage here; give a run directory or its clean stage")


def _changed(old: CleanSettings, overrides: Sequence[str]) -> CleanSettings:
    document = {"name": "refilter", "stages": {"clean": msgspec.to_builtins(old)}}
    for override in overrides:
        apply_override(document, f"clean.{override.removeprefix('clean.')}")
    settings: CleanSettings = convert(document["stages"]["clean"], CleanSettings, "refilter: clean")  # type: ignore[index]
    return settings


def _ledger_batches(file: object) -> Iterator[pa.RecordBatch]:
    yield from pq.ParquetFile(file, page_checksum_verification=True).iter_batches(batch_size=BATCH_ROWS)


def _signals(ledger: pa.RecordBatch) -> dict[str, pa.Array]:
    return {name: ledger.column(name) for name in ledger.schema.names if name not in LEDGER_SCHEMA.names}


def _decide(ledger: pa.RecordBatch, settings: CleanSettings) -> Verdicts:
    signals = _signals(ledger)
    if SIZE not in signals:
        raise InputError(f"the ledger has no signal '{SIZE}', an older version wrote it; run the stage again")
    verdicts = decide(build_filters(settings), signals, signals["language"].to_pylist(), settings)
    return drop_empty(verdicts, signals[SIZE])


def _report(folder: Folder, commits: Sequence[Commit], settings: CleanSettings) -> RefilterReport:
    report = RefilterReport()
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    for commit in commits:
        check(folder.path(f"ledger/{commit.shard}.parquet"))
        with folder.open_read(f"ledger/{commit.shard}.parquet") as file:
            for ledger in _ledger_batches(file):
                verdicts = _decide(ledger, settings)
                old = ledger.column("kept").to_numpy(zero_copy_only=False)
                report.documents += ledger.num_rows
                report.kept_before += int(old.sum())
                report.kept_after += int(verdicts.kept.sum())
                report.newly_kept += int((verdicts.kept & ~old).sum())
                report.newly_dropped += int((old & ~verdicts.kept).sum())
                before.update(_reasons(ledger.column("filter"), ledger.column("reason")))
                after.update(_reasons(verdicts.filter, verdicts.reason))
    report.reasons_before, report.reasons_after = dict(before.most_common()), dict(after.most_common())
    return report


def _reasons(names: object, reasons: object) -> Iterator[str]:
    pairs = zip(pa.array(names).to_pylist(), pa.array(reasons).to_pylist(), strict=True)
    yield from (f"{name}: {reason}" for name, reason in pairs if name is not None)


def refilter_shard(task: ShardTask, output: ShardOutput) -> None:
    """Write one shard again under new limits: inputs are its ledger, documents and dropped texts."""
    ledger_path, kept_path, dropped_path = task.inputs
    kept, dropped = _Rows(kept_path), _Rows(dropped_path)
    with open_read(ledger_path) as file:
        for ledger in _ledger_batches(file):
            verdicts = _decide(ledger, task.settings)
            was_kept = ledger.column("kept").to_numpy(zero_copy_only=False)
            ids = ledger.column("doc_id").to_pylist()
            rows = ((kept if was else dropped).next(doc_id) for was, doc_id in zip(was_kept, ids, strict=True))
            start = 0
            for batch in joined(rows):
                output.write(batch, verdicts.slice(start, batch.num_rows))
                start += batch.num_rows


class _Rows:
    """The documents of one file, one at a time, in the order of the ledger."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._batches = read_documents(path)
        self._batch: pa.RecordBatch | None = None
        self._ids: list[bytes] = []
        self._row = 0

    def next(self, doc_id: bytes) -> pa.RecordBatch:
        """Return the next document, which must be `doc_id`; InputError where its text was not stored."""
        while self._row == len(self._ids):
            self._batch = next(self._batches, None)
            if self._batch is None:
                break
            self._ids, self._row = self._batch.column("doc_id").to_pylist(), 0
        if self._batch is None or self._ids[self._row] != doc_id:
            raise InputError(
                f"{self._path}: the text of document {doc_id.hex()} was not stored; run the stage with dropped_share: 1"
            )
        self._row += 1
        return self._batch.slice(self._row - 1, 1)
