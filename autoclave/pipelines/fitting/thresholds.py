"""Fitting the limits of filters for other languages: what `autoclave thresholds fit` calls."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from autoclave.cleaning.chain import Chain, CleanSettings
from autoclave.cleaning.language.identification import LanguageIdentifier
from autoclave.cleaning.thresholds import FittedThreshold, fit_thresholds, require_documents, save_thresholds
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


class _Measuring:
    """Runs the chain of the clean stage over documents of some languages and keeps nothing but the signals."""

    def __init__(self, settings: CleanSettings, limit: int, progress: Progress) -> None:
        self.chain = Chain(msgspec.structs.replace(settings, language=None))
        model = settings.language.model if settings.language else None
        self._identifier = LanguageIdentifier(model) if settings.language else None
        self._limit, self._progress = limit, progress
        self.counts: Counter[str] = Counter()

    def run(self, arguments: Sequence[str], languages: Sequence[str]) -> dict[str, dict[str, np.ndarray]]:
        """Return language -> signal -> values; InputError where a language has too few documents."""
        found: Counter[str] = Counter()
        pieces: dict[str, dict[str, list[np.ndarray]]] = {code: defaultdict(list) for code in languages}
        name, total, done, note = f"measure {', '.join(languages)}", self._limit * len(languages), 0, ""
        for batch in itertools.chain.from_iterable(map(read_batches, arguments)):
            text, labels = self._labelled(batch)
            rows = self._rows(labels, languages, found)
            if len(rows):
                self._measure(text.take(rows), labels.take(rows), pieces)
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

    def _labelled(self, batch: pa.RecordBatch) -> tuple[pa.StringArray, pa.StringArray]:
        text, labels = batch.column("text"), batch.column("language")
        present = pc.greater(pc.binary_length(text), 0).fill_null(False)
        text, labels = text.filter(present), labels.filter(present)
        return text, labels if self._identifier is None else self._identifier.predict(text)[0]

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

    def _measure(
        self, text: pa.StringArray, labels: pa.StringArray, pieces: Mapping[str, dict[str, list[np.ndarray]]]
    ) -> None:
        _, signals = self.chain.measure(text, labels)
        for code, table in pieces.items():
            chosen = pc.equal(labels, code)
            for name, column in signals.items():
                table[name].append(column.filter(chosen).drop_null().to_numpy(zero_copy_only=False))
