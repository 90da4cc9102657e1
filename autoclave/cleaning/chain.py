"""The cleaning chain: language, transforms, filters, in order, over batches of documents; every decision explained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from autoclave.cleaning.dialects import DEFAULT_DIALECT, check_dialect
from autoclave.cleaning.filters import prose
from autoclave.cleaning.filters.base import Bound, Filter, given, parse_range
from autoclave.cleaning.filters.registry import dialects_of, load_filter, resolve_dialect
from autoclave.cleaning.language.codes import check_codes
from autoclave.cleaning.signals import run_filters, signal_names
from autoclave.cleaning.thresholds import load_thresholds
from autoclave.corpus.output import Verdicts
from autoclave.corpus.schema import DOCUMENT_SCHEMA, were_extracted
from autoclave.errors import RecipeError

DEFAULT_FILTERS: list[str | dict[str, Any]] = [
    "prose",
    {"gopher_repetition": {"dialect": "datatrove", **{f"duplicate_{n}gram_ratio": None for n in range(5, 10)}}},
    "gopher_quality",
    {"c4": {"dialect": "datatrove", "rewrite": False, "terminal_punctuation": False, "curly_bracket_lines": None}},
    "fineweb",
]
"""FineWeb's order and its choice to leave C4's end-mark rule out; C4's curly-bracket rule is off as well, because it
would drop every page with code or LaTeX, which the transforms take care to preserve. Repetition is counted as datatrove
does: FineWeb-2's Chinese limits were fitted to that counting, and on labelled pages (`benchmarks.filters.dialects`)
it keeps more of the good ones in every language than the paper's, which counts the first of equal n-grams as repeated
too. Of the rules on repeated 5- to 10-grams the last alone is on: the others drop no more of the pages that people
judged bad, and a tenth more of Chinese statutes and handbooks. All of it judges the prose of a document (`prose`), and
no family rewrites its text."""


PROSE = replace(prose.FILTERS["paper"], rewrites=True)
"""Makes of a text the prose that its language is identified by."""

MIN_SCORE = 0.65
"""Least confidence of a language that a recipe keeps (FineWeb)."""

SURE_SCORE = 0.5
"""Confidence below which no rule of a language is applied: of 532 translations of the Universal Declaration of Human
Rights 425 are in languages that lid.176 does not know or is not sure of, and their labels, most under 0.3, would have
them judged by another language's stop words."""


class LanguageSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which languages stay."""

    keep: list[str] | None = None
    """Language codes (en, zh, ...) to keep; null keeps all and only labels."""
    min_score: float | None = None
    """Least confidence of the identification; null for 0.65 (FineWeb's) where `keep` names languages, else for none."""
    model: str | None = None
    """Path of a fastText model; null for the shipped lid.176."""


class CleanSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of the stage `clean`."""

    language: LanguageSettings | None = msgspec.field(default_factory=LanguageSettings)
    """Language identification and choice; null leaves the documents' labels as they are and keeps all."""
    transforms: list[str | dict[str, Any]] | None = None
    """Edits before the filters, in order: names, or name: {option: value}; null for the default list, [] for none."""
    dialect: str = DEFAULT_DIALECT
    """Whose reading of the published rules the filters follow, where they do not name their own. A family that does not
    have it is read in the default dialect (or the only one it has): the resolved recipe says so, and the ledger, where
    it has several (`fineweb@paper`)."""
    filters: list[str | dict[str, Any]] | dict[str, Any] = msgspec.field(default_factory=lambda: list(DEFAULT_FILTERS))
    """Filters in order: names, or name: {dialect: ..., <signal>: [low, high], ...}; 'module:object' for your own."""
    thresholds: dict[str, Any] = {}
    """Limits by signal for whatever filter bounds it: word_count: [30, 100000]; null switches the rule off."""
    thresholds_by_language: dict[str, dict[str, Any]] | str = {}
    """The same for single languages, fr: {word_count: [40, null]}, before all other limits; or a file of them, as
    `autoclave thresholds fit` writes, which is read when the recipe is."""
    min_words: int | None = None
    """Shorthand for the lower limit of word_count."""
    max_words: int | None = None
    """Shorthand for the upper limit of word_count."""

    def __post_init__(self) -> None:
        if isinstance(self.thresholds_by_language, str):
            tables = load_thresholds(self.thresholds_by_language)
            msgspec.structs.force_setattr(self, "thresholds_by_language", tables)
        build_filters(self)
        msgspec.structs.force_setattr(self, "filters", _with_dialects(self))
        load_transforms(self.transforms)


def build_filters(settings: CleanSettings) -> list[Filter]:
    """Return the filters of the settings, labelled apart and with their limits; RecipeError where they are wrong."""
    check_dialect(settings.dialect)
    filters: list[Filter] = []
    for name, options in _named(settings.filters):
        if options is not None and not isinstance(options, dict):
            raise RecipeError(f"clean.filters.{name}: give options as a mapping, not {options!r}")
        chosen = load_filter(name, options, settings.dialect, "clean.filters")
        filters.append(_apart(chosen, filters, settings.dialect, _label(name, chosen, settings.dialect)))
        check_codes((options or {}).get("languages") or (), f"clean.filters.{name}.languages", _identified(settings))
    if settings.language is not None:
        check_codes(settings.language.keep or (), "clean.language.keep", _identified(settings))
        filters.insert(0, language_filter(settings.language))
    return _with_thresholds(filters, settings)


def _identified(settings: CleanSettings) -> bool:
    """Whether the documents are labelled by the shipped model, so that no other codes can occur."""
    return settings.language is not None and settings.language.model is None


def _named(entries: Sequence[str | dict[str, Any]] | dict[str, Any], what: str = "filter") -> list[tuple[str, Any]]:
    if isinstance(entries, dict):
        return list(entries.items())
    named: list[tuple[str, Any]] = []
    for entry in entries:
        if isinstance(entry, str):
            named.append((entry, None))
        elif len(entry) == 1:
            named.append(next(iter(entry.items())))
        else:
            raise RecipeError(f"clean.{what}s: one {what} an entry, as in 'name: {{...}}'; not {sorted(entry)}")
    return named


def _with_dialects(settings: CleanSettings) -> list[str | dict[str, Any]] | dict[str, Any]:
    """Return the filters as given, and the dialect of those that are not read in the chain's spelled out."""
    spelled: list[tuple[str, Any]] = []
    for name, options in _named(settings.filters):
        wanted = (options or {}).get("dialect")
        used = resolve_dialect(name, wanted, settings.dialect, "clean.filters")
        if used is not None and wanted is None and used != settings.dialect:
            options = {"dialect": used, **(options or {})}
        spelled.append((name, options))
    if isinstance(settings.filters, dict):
        return dict(spelled)
    return [name if options is None else {name: options} for name, options in spelled]


def _label(name: str, chosen: Filter, dialect: str) -> str:
    """Return what the ledger calls a filter: family@dialect where the family does not have the chain's dialect."""
    if ":" in name or chosen.dialect is None:
        return chosen.name
    known = dialects_of(name)
    return chosen.name if dialect in known or len(known) == 1 else f"{chosen.name}@{chosen.dialect}"


def _apart(chosen: Filter, filters: Sequence[Filter], dialect: str, label: str) -> Filter:
    """Return the filter with a label and signals of its own where another of the same name is there already."""
    if all(other.family != chosen.family for other in filters):
        return chosen.renamed(label, "")
    suffix = f"_{chosen.dialect}" if chosen.dialect and chosen.dialect != dialect else ""
    number = 2
    while not suffix or any(other.name == chosen.name + suffix for other in filters):
        suffix, number = f"_{number}", number + 1
    return chosen.renamed(chosen.name + suffix, suffix)


def language_filter(settings: LanguageSettings) -> Filter:
    """Return the filter over the columns `language` and `language_score`."""
    least = settings.min_score if settings.min_score is not None or settings.keep is None else MIN_SCORE
    bounds = (Bound("language_score", low=least),) if least is not None else ()
    return Filter("language", "fastText lid.176 (Joulin et al. 2016); threshold of FineWeb", bounds)


def _with_thresholds(filters: list[Filter], settings: CleanSettings) -> list[Filter]:
    thresholds = dict(settings.thresholds)
    if settings.min_words is not None or settings.max_words is not None:
        low, high = thresholds.get("word_count") or (None, None)
        low = low if settings.min_words is None else settings.min_words
        thresholds["word_count"] = [low, high if settings.max_words is None else settings.max_words]
    changed = []
    used: set[str] = set()
    for chosen in filters:
        own = {signal: limits for signal, limits in thresholds.items() if signal in chosen.signals}
        used |= own.keys()
        changed.append(chosen.with_bounds(own, "clean.thresholds") if own else chosen)
    unknown = [signal for signal in thresholds if signal not in used]
    if unknown:
        known = sorted({signal for chosen in filters for signal in chosen.signals})
        raise RecipeError(
            f"clean.thresholds: no filter of the chain bounds '{unknown[0]}'; bounded: {', '.join(known)}"
        )
    return _with_language_thresholds(changed, settings)


def _with_language_thresholds(filters: list[Filter], settings: CleanSettings) -> list[Filter]:
    assert not isinstance(settings.thresholds_by_language, str)  # read in __post_init__
    known = {signal for chosen in filters for signal in chosen.signals}
    tables: dict[str, dict[str, Any]] = {}
    for language, table in settings.thresholds_by_language.items():
        where = f"clean.thresholds_by_language.{language}"
        check_codes([language], where, _identified(settings))
        for signal in table:
            if signal not in known:
                raise RecipeError(
                    f"{where}: no filter of the chain bounds '{signal}'; bounded: {', '.join(sorted(known))}"
                )
            if not any(signal in chosen.signals and chosen.judges(language) for chosen in filters):
                raise RecipeError(f"{where}.{signal}: the filter that bounds it does not judge {language}")
        tables[language] = {signal: parse_range(limits, f"{where}.{signal}") for signal, limits in table.items()}
    return [chosen.with_language_bounds(tables) for chosen in filters] if tables else filters


class Chain:
    """The chain of one `CleanSettings`: call `apply` on batches, in any order, from any process."""

    def __init__(self, settings: CleanSettings) -> None:
        self.settings = settings
        self.filters = build_filters(settings)
        self._identifier: Any = None
        if settings.language is not None:
            from autoclave.cleaning.language.identification import LanguageIdentifier

            self._identifier = LanguageIdentifier(settings.language.model)
        self.transforms = load_transforms(settings.transforms)

    def apply(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, Verdicts]:
        """Return (the batch with edited text and its languages filled in, the verdicts with all signals).

        batch: DOCUMENT_SCHEMA. No document is spared a filter because an earlier one dropped it, so the ledger holds
        every signal of every document.
        """
        text, label, score = batch.column("text"), batch.column("language"), batch.column("language_score")
        names = list(self.transforms)
        before = next((at for at, name in enumerate(names) if self.transforms[name].needs_language), len(names))
        extracted = were_extracted(batch.column("content_type"))
        text, first = self._edit(text, label, names[:before], extracted)
        if self._identifier is not None:  # of edited prose: markup, addresses and code are in no language
            label, score = self._identifier.predict(run_filters(text, [PROSE], [None] * len(text))[0])
        text, rest = self._edit(text, label, names[before:], extracted)
        text, measured = self._run_filters(text, label.to_pylist())
        signals = {"language": label.cast(pa.string()), "language_score": score.cast(pa.float32())}
        signals |= first | rest | measured
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        columns |= {"text": text, "language": label, "language_score": score}
        edited = pa.RecordBatch.from_arrays(
            [columns[name].cast(kind) for name, kind in _types()], schema=DOCUMENT_SCHEMA
        )
        return edited, decide(self.filters, signals, label.to_pylist(), self.settings)

    def measure(self, text: pa.StringArray, languages: pa.StringArray) -> tuple[pa.StringArray, dict[str, pa.Array]]:
        """Return (text after all edits, the signals of the transforms and filters) of documents in these languages.

        Arrays hold one value a document; signals are float32, int32, int64 or bool.
        """
        text, changes = self._edit(text, languages, list(self.transforms))
        text, found = self._run_filters(text, languages.to_pylist())
        return text, changes | found

    def _edit(
        self,
        text: pa.StringArray,
        languages: pa.StringArray,
        names: Sequence[str],
        extracted: np.ndarray | None = None,
    ) -> tuple[pa.StringArray, dict[str, pa.Array]]:
        signals: dict[str, pa.Array] = {}
        for name in names:
            text, changes = self.transforms[name].apply(text, languages, extracted)
            signals[f"{name}_changes"] = pa.array(changes, pa.int32())
        return text, signals

    def _run_filters(
        self, text: pa.StringArray, languages: Sequence[str | None]
    ) -> tuple[pa.StringArray, dict[str, pa.Array]]:
        measured = [chosen for chosen in self.filters if chosen.measure or chosen.edit]
        return run_filters(text, measured, languages)

    def signal_names(self) -> list[str]:
        """Return the names of the signals of the filters, in ledger order."""
        return signal_names([chosen for chosen in self.filters if chosen.measure or chosen.edit])


def _types() -> list[tuple[str, pa.DataType]]:
    return [(field.name, field.type) for field in DOCUMENT_SCHEMA]


def files_of(settings: CleanSettings) -> list[str]:
    """Return the paths of the files that a run with these settings reads besides documents: models, indexes."""
    found = {path for chosen in build_filters(settings) for path in chosen.files}
    if settings.language is not None and settings.language.model is not None:
        found.add(settings.language.model)
    return sorted(found)


def check_refilter(old: CleanSettings, new: CleanSettings) -> None:
    """Raise RecipeError unless `new` can be decided from the signals that a run with `old` measured.

    Limits may change, filters may go, languages may be chosen anew. What changes a text or what is measured on it
    (transforms, language model, dialects, line rules, added filters, another order around an edit) needs a fresh run.
    """
    if _edits(old) != _edits(new) or old.dialect != new.dialect:
        raise RecipeError("refilter: transforms and dialect change what is measured; run the stage again")
    if new.language is not None and (old.language is None or old.language.model != new.language.model):
        raise RecipeError("refilter: the language model changes the labels; run the stage again")
    before, after = _measured_after(old), _measured_after(new)
    for name, place in after.items():
        if name not in before:
            raise RecipeError(f"refilter: filter '{name}' was not in the run, its signals are unknown; run again")
        if before[name] != place:
            raise RecipeError(f"refilter: '{name}' would measure another text or in another way; run the stage again")
    if [n for n, (edits, _) in before.items() if edits] != [n for n, (edits, _) in after.items() if edits]:
        raise RecipeError("refilter: a filter that edits text was added or removed; run the stage again")


def _edits(settings: CleanSettings) -> list[tuple[str, Any]]:
    """Return the transforms and their options, however the settings name them."""
    return [(name, transform.options) for name, transform in load_transforms(settings.transforms).items()]


def _measured_after(settings: CleanSettings) -> dict[str, tuple[bool, tuple[Any, ...]]]:
    """Return per filter whether it edits, and what its signals depend on: its way and the edits before it."""
    found: dict[str, tuple[bool, tuple[Any, ...]]] = {}
    edits: tuple[str, ...] = ()
    for chosen in build_filters(settings):
        if chosen.name == "language":
            continue
        way = (chosen.dialect, chosen.languages, chosen.rules, chosen.rewrites, edits)
        found[chosen.name] = (chosen.edit is not None and chosen.rewrites, way)
        if chosen.edit is not None:
            edits += (chosen.name,)
    return found


def load_transforms(entries: Sequence[str | dict[str, Any]] | None) -> dict[str, Any]:
    """Return the transforms as a recipe names them, in order, the default ones for None; RecipeError for an unknown
    name, a name that is there twice, and options that a transform does not have."""
    if entries is not None and not entries:
        return {}
    from autoclave.cleaning.transforms.registry import TRANSFORMS

    if entries is None:
        return {name: transform for name, transform in TRANSFORMS.items() if transform.default}
    chosen: dict[str, Any] = {}
    for name, options in _named(entries, "transform"):
        if name not in TRANSFORMS:
            raise RecipeError(f"clean.transforms: no transform '{name}'; there are {', '.join(TRANSFORMS)}")
        if name in chosen:
            raise RecipeError(f"clean.transforms: '{name}' is there twice")
        transform = TRANSFORMS[name]
        chosen[name] = transform if options is None else transform.with_options(options, f"clean.transforms.{name}")
    return chosen


def decide(
    filters: Sequence[Filter],
    signals: Mapping[str, pa.Array],
    languages: Sequence[str | None],
    settings: CleanSettings,
) -> Verdicts:
    """Return the verdicts that the filters reach on the signals: the first filter in order that says no, and why.

    signals: name -> column of the ledger, one value a document (bounds are on float32, int32, int64 and bool). The same
    function decides in a run and in `refilter`, from what the ledger holds.
    """
    rows = len(languages)
    names, reasons = np.full(rows, None, dtype=object), np.full(rows, None, dtype=object)
    sure = sure_languages(languages, signals.get("language_score"))
    for chosen in filters:
        if chosen.name == "language":
            said = _language_reasons(chosen, signals, languages, settings)
        else:
            said = chosen.decide(signals, sure)
        hit = given(said) & ~given(names)
        names[hit], reasons[hit] = chosen.name, said[hit]
    return Verdicts(~given(names), pa.array(names, pa.string()), pa.array(reasons, pa.string()), dict(signals))


def sure_languages(languages: Sequence[str | None], scores: pa.Array | None) -> list[str | None]:
    """Return the languages whose rules apply: "und" where the identification is not sure.

    languages: code [documents], None where unknown; scores: float32 [documents], null where nobody identified,
    None where nobody did.
    """
    if scores is None:
        return list(languages)
    unsure = pc.fill_null(pc.less(scores, SURE_SCORE), False).to_pylist()
    return ["und" if doubted and code is not None else code for code, doubted in zip(languages, unsure, strict=True)]


def _language_reasons(
    chosen: Filter, signals: Mapping[str, pa.Array], languages: Sequence[str | None], settings: CleanSettings
) -> np.ndarray:
    """Return why documents go for their language, however unsure the label is: that is what is judged here."""
    said = chosen.decide(signals, languages)
    if settings.language is not None and settings.language.keep is not None:
        for row, code in enumerate(languages):
            if code not in settings.language.keep:
                said[row] = f"language is {code or 'unknown'}"
    return said
