"""What each step makes of one page or text: the extract stage and the cleaning chain, told value by value.

Extraction is the stage itself, run in a scratch folder, and the verdicts are the chain's own, so an explanation cannot
say something else than a run would do.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from autoclave.cleaning.chain import Chain, CleanSettings, decide, sure_languages
from autoclave.cleaning.filters.base import Filter
from autoclave.cleaning.filters.registry import MODULES, dialects_of
from autoclave.cleaning.signals import run_filters
from autoclave.corpus.readers.detect import detect_format, read_head
from autoclave.corpus.schema import DOCUMENT_SCHEMA, read_documents, were_extracted
from autoclave.corpus.storage import Folder, open_read
from autoclave.errors import InputError
from autoclave.pipelines.clean import EMPTY, SIZE, drop_empty, written_bytes
from autoclave.pipelines.extract import ExtractSettings, run_extract
from autoclave.pipelines.reading.ledgers import DocumentRow, load_events, open_stages, read_errors, read_ledger
from autoclave.pipelines.reading.text_changes import Change, line_changes, shortened
from autoclave.pipelines.running.engine import InProcessEngine
from autoclave.pipelines.running.recipe import load_settings
from autoclave.pipelines.running.stage import StageContext


class RuleResult(msgspec.Struct, kw_only=True):
    """One bound of a filter on this document. value: None where the signal does not apply."""

    signal: str
    value: float | bool | None
    low: float | None
    high: float | None
    kept: bool


class Step(msgspec.Struct, kw_only=True):
    """One step. kind: extract, language, transform or filter; changes: what a transform changed, by its own count."""

    name: str
    kind: str
    kept: bool = True
    reason: str | None = None
    source: str | None = None
    """Where the rules and thresholds were published."""
    changes: int = 0
    characters: int = 0
    """Length of the text after the step."""
    diff: list[Change] = []
    """The places where a transform, or a filter that edits, changed lines, shortened."""
    rules: list[RuleResult] = []
    details: dict[str, Any] = {}


class DialectResult(msgspec.Struct, kw_only=True):
    """What one reading of a published filter says of the document."""

    filter: str
    dialect: str
    used: bool
    """Whether the chain reads the filter so."""
    kept: bool
    reason: str | None


class Explanation(msgspec.Struct, kw_only=True):
    """The whole way of one document; text: as it came out at the end (None where extraction gave none)."""

    source: str
    records: int
    """Records of the file; the one explained is number `record`, from 0."""
    record: int
    url: str | None
    kept: bool
    filter: str | None
    reason: str | None
    steps: list[Step]
    text: str | None
    dialects: list[DialectResult] = []


def explain_file(path: str, *, recipe: str | None = None, record: int = 0, dialects: bool = False) -> Explanation:
    """Explain one page or text, or one record of an archive; '-' reads standard input.

    recipe: takes the settings of its extract and clean stages in place of the defaults. Raises InputError where there
    is no such file or record, RecipeError for a wrong recipe.
    """
    extract, clean = load_settings(recipe, "extract"), load_settings(recipe, "clean")
    with tempfile.TemporaryDirectory() as scratch:
        local = _as_known_file(path, Path(scratch))
        context = StageContext("extract", Folder(f"{scratch}/extract"), extract, 0, InProcessEngine(), sources=[local])
        run_extract(context)
        (stage,) = open_stages(context.folder.url)
        places = [(i, shard) for shard, batch in read_ledger(stage, ["doc_id"]) for i in batch.column(0).to_pylist()]
        if not 0 <= record < len(places):
            errors = "; ".join(f"{error['place']}: {error['cause']}" for error in read_errors(stage, 3))
            raise InputError(f"{path}: no record {record}, it has {len(places)}" + (f" ({errors})" if errors else ""))
        event = load_events(stage, [places[record]])[0]
        found = _find(context.folder, event.shard, places[record][0]) if event.verdict.kept else None
    steps = [_extract_step(event.verdict, event.document, extract)]
    url = event.document.url if event.document else None
    result = Explanation(
        source=path, records=len(places), record=record, url=url, kept=event.verdict.kept,
        filter=event.verdict.filter, reason=event.verdict.reason, steps=steps, text=None,
    )  # fmt: skip
    if found is not None:
        _explain_cleaning(result, found, clean, dialects)
    return result


def _as_known_file(path: str, scratch: Path) -> str:
    """Return a path whose format the readers know: standard input, and text under any name, are copied."""
    if path == "-":
        data, name = sys.stdin.buffer.read(), "stdin"
    else:
        with open_read(path) as file:
            if detect_format(read_head(file), path) is not None:
                return path
            data, name = file.read(), Path(path).name
    form = detect_format(read_head(io.BytesIO(data)), name)
    copy = scratch / "input" / (name if form else f"{name}.txt")
    copy.parent.mkdir()
    copy.write_bytes(data)
    return str(copy)


def _find(folder: Folder, shard: str, doc_id: bytes) -> pa.RecordBatch | None:
    for batch in read_documents(folder.path(f"documents/{shard}.parquet")):
        ids = batch.column("doc_id").to_pylist()
        if doc_id in ids:
            return batch.slice(ids.index(doc_id), 1)
    return None


def _extract_step(verdict: Any, document: DocumentRow | None, settings: ExtractSettings) -> Step:
    details = {name: value for name, value in verdict.signals.items() if value is not None}
    text = document.text if document else ""
    return Step(
        name=settings.extractor, kind="extract", kept=verdict.kept, reason=verdict.reason, details=details,
        characters=len(text),
    )  # fmt: skip


def _explain_cleaning(result: Explanation, batch: pa.RecordBatch, settings: CleanSettings, dialects: bool) -> None:
    """Add the steps of the cleaning chain for the document in `batch` (one row)."""
    chain = Chain(settings)
    edited, verdicts = chain.apply(batch)
    verdicts = drop_empty(verdicts, written_bytes(edited.column("text")))
    labels = edited.column("language").to_pylist()
    languages = sure_languages(labels, verdicts.signals["language_score"])
    text = batch.column("text")
    extracted = were_extracted(batch.column("content_type"))
    for name, transform in chain.transforms.items():
        after, changes = transform.apply(text, edited.column("language"), extracted)
        diff = _diff(text, after)
        result.steps.append(
            Step(
                name=name, kind="transform", source=transform.source, changes=int(changes[0]),
                characters=len(after[0].as_py()), diff=diff,
                details=transform.changed_options(),
            )
        )  # fmt: skip
        text = after
    transformed = text
    for chosen in chain.filters:
        said = decide([chosen], verdicts.signals, labels, settings)
        step = _filter_step(chosen, verdicts.signals, (labels if chosen.name == "language" else languages)[0], said)
        if chosen.edit is not None:
            after, _ = run_filters(text, [replace(chosen, rewrites=True)], languages)
            step.diff, step.characters = _diff(text, after), len(after[0].as_py())
            if chosen.rewrites:
                text = after
            else:
                step.details["view"] = "judged by it; the text stays as it was"
        result.steps.append(step)
    result.kept = bool(verdicts.kept[0])
    result.filter, result.reason = pa.array(verdicts.filter)[0].as_py(), pa.array(verdicts.reason)[0].as_py()
    if result.filter == EMPTY:
        result.steps.append(Step(name=EMPTY, kind="filter", kept=False, reason=SIZE))
    result.text = edited.column("text")[0].as_py()
    if dialects:
        columns = [transformed if name == "text" else edited.column(name) for name in DOCUMENT_SCHEMA.names]
        result.dialects = compare_dialects(pa.RecordBatch.from_arrays(columns, schema=DOCUMENT_SCHEMA), chain)


def _diff(before: pa.StringArray, after: pa.StringArray) -> list[Change]:
    """Return the places where the text of one row changed, shortened."""
    return [shortened(change) for change in line_changes(before[0].as_py(), after[0].as_py())]


def _filter_step(chosen: Filter, signals: Mapping[str, pa.Array], language: str | None, said: Any) -> Step:
    kind = "language" if chosen.name == "language" else "filter"
    step = Step(name=chosen.name, kind=kind, source=chosen.source, kept=bool(said.kept[0]))
    step.reason = pa.array(said.reason)[0].as_py()
    if kind == "language":
        step.details = {"language": language}
    if chosen.dialect:
        step.details = {"dialect": chosen.dialect}
    for bound in chosen.bounds_for(language):
        value = signals[bound.signal][0].as_py()
        limited = np.float32(value) if isinstance(value, float) else value
        below = limited is not None and bound.low is not None and limited < np.float32(bound.low)
        above = limited is not None and bound.high is not None and limited > np.float32(bound.high)
        step.rules.append(
            RuleResult(signal=bound.signal, value=value, low=bound.low, high=bound.high, kept=not (below or above))
        )
    return step


def compare_dialects(batch: pa.RecordBatch, used: Chain) -> list[DialectResult]:
    """Return what every dialect of every built-in filter says of a document (one row of DOCUMENT_SCHEMA, after the
    transforms).

    used: the chain that explains the document; limits and rules that it sets are not taken over.
    """
    results: list[DialectResult] = []
    readings = {(chosen.family, chosen.dialect) for chosen in used.filters}
    for name in MODULES:
        for dialect in dialects_of(name):
            chain = Chain(CleanSettings(language=None, transforms=[], filters=[{name: {"dialect": dialect}}]))
            _, verdicts = chain.apply(batch)
            reason = pa.array(verdicts.reason)[0].as_py()
            results.append(
                DialectResult(
                    filter=name, dialect=dialect, used=(name, dialect) in readings, kept=bool(verdicts.kept[0]),
                    reason=reason,
                )
            )  # fmt: skip
    return results
