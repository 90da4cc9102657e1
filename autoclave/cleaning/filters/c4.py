"""C4's rules (Raffel et al. 2020, arXiv 1910.10683), in five dialects.

The paper, datatrove and DCLM drop lines and judge the document by what is left; Dolma and Curator judge it as it came,
and drop lines, or paragraphs with a policy string at one end, all the same.
"""

from __future__ import annotations

import msgspec
import numpy as np

from autoclave.cleaning.filters.base import Bound, Columns, Edited, Filter, Measurement, ratio
from autoclave.cleaning.filters.nemotron import (
    CURATOR_SOURCE,
    longest_words,
    marked_paragraphs,
    unpunctuated_line_ratio,
)
from autoclave.cleaning.language.words import Scan
from autoclave.corpus.yaml_values import with_remedy
from autoclave.errors import RecipeError
from autoclave.kernels.text.rules import c4, c4_dialects, segments
from autoclave.kernels.text.texts import LineEdit

SOURCE = "Raffel et al. 2020, arXiv 1910.10683, section 2.2; TensorFlow Datasets c4_utils.py"


class LineRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which lines C4 drops, as a recipe may set it: `c4: {terminal_punctuation: false, ...}`."""

    terminal_punctuation: bool = True
    """Drop lines that do not end in . ? ! or a quotation mark. FineWeb leaves this rule out, and so does ours by
    default: it takes headings, lists, tables and code."""
    single_quote: bool = True
    """Count ' among the end marks (datatrove does, DCLM does not)."""
    min_words_per_line: int = 3
    """Drop lines with fewer words between white space."""
    max_word_length: int = 1000
    """Drop lines with a longer word, in characters; -1 for no limit."""
    citations: bool = True
    """Take [12], [edit] and [citation needed] out."""
    javascript: bool = True
    """Drop lines that mention javascript."""
    policy: bool = True
    """Drop lines with 'terms of use', 'privacy policy', 'use cookies' and the like."""
    strip_lines: bool = True
    """Strip lines and drop empty ones (datatrove); false keeps empty lines (DCLM)."""


def c4_filter(dialect: str, rules: LineRules, *, sentences: int, languages: tuple[str, ...] | None = ("en",)) -> Filter:
    """Return the C4 filter with the given line rules."""
    line_rules = c4.LineRules(**msgspec.structs.asdict(rules))

    def edit(scan: Scan, measurement: Measurement) -> Edited:
        lines = scan.segments(
            segments.UNIVERSAL_LINES if rules.strip_lines else segments.LINES, strip=rules.strip_lines
        )
        room = scan.room_for_edit()
        places, sizes = scan.empty(len(lines.start), np.int32), scan.empty(len(lines.start), np.int32)
        line_edit = LineEdit(measurement.applies, lines.spans, places, sizes)
        counts = np.zeros((len(scan), c4.COLUMNS), dtype=np.int64)
        c4.edit_lines(scan.texts, scan.classes, line_rules, line_edit, room, counts)
        edited = scan.after_edit(room)
        edited.carry_words(scan, line_edit)
        return Edited(edited, _columns(counts))

    bounds = (
        Bound("lorem_ipsum_lines", high=0, reason="lorem_ipsum"),
        Bound("curly_bracket_lines", high=0, reason="curly_bracket"),
        Bound("c4_sentence_count", low=sentences),
    )
    return Filter(
        "c4", SOURCE, bounds, sentences_per_line, edit, dialect=dialect, languages=languages, rules=rules
    )  # fmt: skip


def _columns(counts: np.ndarray) -> Columns:
    dropped = counts[:, c4.LINES_IN] - counts[:, c4.LINES_KEPT]
    return {
        "lorem_ipsum_lines": counts[:, c4.LOREM].astype(np.int32),
        "curly_bracket_lines": counts[:, c4.CURLY].astype(np.int32),
        "c4_lines_dropped": dropped.astype(np.int32),
        "c4_citations_removed": counts[:, c4.CITATIONS].astype(np.int32),
    }


def sentences_per_line(scan: Scan, measurement: Measurement) -> Columns:
    """Return c4_sentence_count of the text as it stands, each line counted on its own."""
    words = scan.words("tokens")
    out = np.empty(len(scan), dtype=np.int64)
    c4.count_line_sentences(scan.data, words, out)
    return {"c4_sentence_count": out.astype(np.int32)}


class DolmaRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which lines go in the dialect `dolma`."""

    terminal_punctuation: bool = True
    """Drop lines that do not end in . ? ! or "."""
    min_words_per_line: int = 3
    """Drop lines with fewer words between white space."""


def dolma_filter(rules: DolmaRules, *, languages: tuple[str, ...] | None = ("en",)) -> Filter:
    """Return the C4 filter of Dolma 1.2: its taggers c4_v1 and c4_v2, decided on as configs/c4-replication does.

    A document with a curly bracket, 'lorem ipsum' or 'javascript' anywhere goes; of others the lines go, with their
    newlines. c4_v2 looks for 'javascript' in the text, c4_v1 among the words: both are measured, and the limits decide
    as c4_v2 does. The rule on naughty words is the family `bad_words`.
    """

    def edit(scan: Scan, measurement: Measurement) -> Edited:
        lines = scan.segments(segments.LINES)
        room, counts = scan.room_for_edit(), np.empty((len(scan), c4_dialects.COLUMNS), dtype=np.int64)
        c4_dialects.drop_lines(
            scan.texts, scan.classes, measurement.applies, lines.spans, rules.terminal_punctuation,
            rules.min_words_per_line, room, counts,
        )  # fmt: skip
        names = {
            "curly_bracket_lines": c4_dialects.CURLY,
            "lorem_ipsum_lines": c4_dialects.LOREM,
            "javascript_lines": c4_dialects.JAVASCRIPT,
            "javascript_words": c4_dialects.JAVASCRIPT_WORDS,
            "c4_lines_dropped": c4_dialects.DROPPED,
        }
        signals = {name: counts[:, column].astype(np.int32) for name, column in names.items()}
        return Edited(scan.after_edit(room), signals)

    bounds = (
        Bound("curly_bracket_lines", high=0, reason="curly_bracket"),
        Bound("lorem_ipsum_lines", high=0, reason="lorem_ipsum"),
        Bound("javascript_lines", high=0, reason="javascript"),
        Bound("javascript_words", reason="javascript"),
    )
    return Filter(
        "c4", f"{SOURCE}; Dolma 1.2 taggers/c4.py", bounds, edit=edit, dialect="dolma", languages=languages, rules=rules
    )


class CuratorRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is edited in the dialect `curator`."""

    cut_boilerplate: bool = True
    """Take paragraphs with a policy string out where all of them stand together at the top or the bottom."""


def curator_filter(rules: CuratorRules, *, languages: tuple[str, ...] | None = ("en",)) -> Filter:
    """Return NeMo Curator's heuristics that name C4 as their source, and its modifier after them.

    The filters judge the text as it came, in the order of heuristic_filter_english_pipeline.yaml; then
    `BoilerPlateStringModifier` cuts it. That modifier empties a text with 'lorem ipsum', which is dropped here before.
    """

    def edit(scan: Scan, measurement: Measurement) -> Edited:
        paragraphs, boilerplate, lorem = marked_paragraphs(scan)
        lines = scan.segments(segments.LINES, drop_blank=True)
        signals: Columns = {
            "lorem_ipsum_paragraphs": paragraphs.sums(lorem).astype(np.int32),
            "c4_boilerplate_paragraph_ratio": ratio(paragraphs.sums(boilerplate), np.diff(paragraphs.offsets)),
            "c4_unpunctuated_line_ratio": unpunctuated_line_ratio(scan),
            "c4_longest_word": longest_words(scan),
            "c4_ellipsis_line_ratio": ratio(lines.flagged(segments.ELLIPSIS_CURATOR), np.diff(lines.offsets)),
            "c4_paragraphs_removed": np.zeros(len(scan), dtype=np.int32),
        }
        if not rules.cut_boilerplate:
            return Edited(scan, signals)
        room, removed = scan.room_for_edit(), signals["c4_paragraphs_removed"]
        c4_dialects.cut_ends(scan.texts, measurement.applies, paragraphs.spans, boilerplate, room, removed)
        return Edited(scan.after_edit(room), signals)

    bounds = (
        Bound("lorem_ipsum_paragraphs", high=0, reason="lorem_ipsum"),
        Bound("c4_boilerplate_paragraph_ratio", high=0.4),
        Bound("c4_unpunctuated_line_ratio", high=0.85),
        Bound("c4_longest_word", high=1000),
        Bound("c4_ellipsis_line_ratio", high=0.3),
    )
    return Filter(
        "c4", f"{SOURCE}; {CURATOR_SOURCE}", bounds, edit=edit, dialect="curator", languages=languages, rules=rules
    )


RULES: dict[str, LineRules | DolmaRules | CuratorRules] = {
    "paper": LineRules(single_quote=False, policy=False, min_words_per_line=5),
    "datatrove": LineRules(),
    "dclm": LineRules(single_quote=False, min_words_per_line=5, strip_lines=False),
    "dolma": DolmaRules(),
    "curator": CuratorRules(),
}
"""Rules of the edit, by dialect."""

SENTENCES = {"paper": 3, "datatrove": 5, "dclm": 3}
"""Sentences that must be left, in the dialects that count them."""


def _filter(
    dialect: str, rules: LineRules | DolmaRules | CuratorRules, languages: tuple[str, ...] | None = ("en",)
) -> Filter:
    if isinstance(rules, DolmaRules):
        return dolma_filter(rules, languages=languages)
    if isinstance(rules, CuratorRules):
        return curator_filter(rules, languages=languages)
    return c4_filter(dialect, rules, sentences=SENTENCES[dialect], languages=languages)


FILTERS = {dialect: _filter(dialect, rules) for dialect, rules in RULES.items()}


def build(dialect: str, rules: dict[str, object], languages: object, where: str) -> Filter:
    """Return the filter of a dialect with some of its rules set; RecipeError for values of a wrong type."""
    given = RULES[dialect]
    try:
        chosen = msgspec.convert({**msgspec.to_builtins(given), **rules}, type(given))
        applied = ("en",) if languages == () else msgspec.convert(languages, tuple[str, ...] | None)
    except msgspec.ValidationError as error:
        raise RecipeError(f"{where}: {with_remedy(error)}") from error
    return _filter(dialect, chosen, applied)
