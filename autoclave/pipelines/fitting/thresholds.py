"""Fitting the limits of filters for other languages: what `autoclave thresholds fit` calls."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from autoclave.cleaning.chain import Chain, CleanSettings
from autoclave.cleaning.thresholds import FittedThreshold, fit_thresholds, require_documents, save_thresholds
from autoclave.corpus.schema import make_documents
from autoclave.corpus.tidy import tidy
from autoclave.errors import RecipeError
from autoclave.pipelines.fitting.texts import read_batches
from autoclave.pipelines.running.stage import Progress, Silent


class ThresholdReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was fitted. documents: language -> measured; languages: language -> its limits, signal by signal."""

    reference_language: str
    documents: dict[str, int]
    languages: dict[str, list[FittedThreshold]]


def fit_threshold_file(
    reference: Sequence[str],
    target: Sequence[str],
    out: str,
    languages: Sequence[str],
    *,
    reference_language: str = "en",
    settings: CleanSettings | None = None,
    limit: int = 20_000,
    progress: Progress | None = None,
) -> ThresholdReport:
    """Fit the chain's limits for some languages and write them for `clean.thresholds_by_language`.

    reference, target: stage directories or files of documents of comparable good quality, in the language whose limits
    are known and in the others (empty: the same as reference); languages of documents are told as the clean stage does;
    settings: the chain; limit: the first so many documents of each language are measured. Raises InputError for
    unreadable inputs and for languages with too few documents.
    """
    chosen = settings or CleanSettings()
    if reference_language in languages or not languages:
        raise RecipeError(f"name languages other than the reference's ({reference_language}), as in --language fr")
    measuring = _Measuring(chosen, limit, progress or Silent())
    wanted = [reference_language, *languages]
    if target:
        known = measuring.run(reference, [reference_language])
        others = measuring.run(target, languages)
    else:
        known = others = measuring.run(reference, wanted)
    fitted = {
        language: fit_thresholds(
            measuring.chain.filters, known[reference_language], others[language], language=language,
            reference_language=reference_language,
        )
        for language in languages
    }  # fmt: skip
    save_thresholds(fitted, out)
    return ThresholdReport(
        reference_language=reference_language,
        documents={language: measuring.counts[language] for language in wanted},
        languages=fitted,
    )


def _documents(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the texts of a batch of `read_batches` that are not empty as DOCUMENT_SCHEMA, as the chain takes them."""
    batch = batch.filter(pc.greater(pc.binary_length(batch.column("text")), 0))
    texts = [tidy(text) for text in batch.column("text").to_pylist()]  # as extract writes them; of its own, no change
    taken = {name: batch.column(name) for name in ("language", "content_type") if name in batch.schema.names}
    return make_documents(texts, "", **taken)


class _Measuring:
    """Runs the chain of the clean stage over documents of some languages and keeps nothing but the signals."""

    def __init__(self, settings: CleanSettings, limit: int, progress: Progress) -> None:
        self.chain = Chain(settings)
        self._limit, self._progress = limit, progress
        self.counts: Counter[str] = Counter()

    def run(self, arguments: Sequence[str], languages: Sequence[str]) -> dict[str, dict[str, np.ndarray]]:
        """Return language -> signal -> values; InputError where a language has too few documents."""
        found: Counter[str] = Counter()
        pieces: dict[str, dict[str, list[np.ndarray]]] = {code: defaultdict(list) for code in languages}
        name, total, done, note = f"measure {', '.join(languages)}", self._limit * len(languages), 0, ""
        for batch in itertools.chain.from_iterable(map(read_batches, arguments)):
            edited, verdicts = self.chain.apply(_documents(batch))
            rows = self._rows(edited.column("language"), languages, found)
            for code in languages:
                chosen = rows.filter(pc.equal(edited.column("language").take(rows), code))
                for signal, column in verdicts.signals.items():
                    pieces[code][signal].append(column.take(chosen).drop_null().to_numpy(zero_copy_only=False))
            done = sum(found[code] for code in languages)
            note = ", ".join(f"{found[code]:,} {code}" for code in languages)
            self._progress.update(name, done, total, note)
            if done == total:
                break
        self._progress.update(name, done, done, note)
        require_documents(found, languages, ", ".join(arguments))
        self.counts |= Counter({code: found[code] for code in languages})
        return {
            code: {name: np.concatenate(values) for name, values in table.items()} for code, table in pieces.items()
        }

    def _rows(self, labels: pa.StringArray, languages: Sequence[str], found: Counter[str]) -> pa.Array:
        """Return the rows to measure and count all languages; those asked for no further than the limit."""
        rows: list[int] = []
        for row, code in enumerate(labels.to_pylist()):
            if code in languages:
                if found[code] == self._limit:
                    continue
                rows.append(row)
            found[code or "unknown"] += 1
        return pa.array(rows, pa.int64())
