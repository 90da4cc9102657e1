"""C4's rules (Raffel et al. 2020, arXiv 1910.10683): lines are dropped, then documents are judged by what is left."""

from __future__ import annotations

import msgspec
import numpy as np

from autoclave.cleaning.filters.base import Bound, Columns, Edited, Filter, Measurement
from autoclave.cleaning.words import Scan
from autoclave.errors import RecipeError
from autoclave.kernels.text import c4 as kernel
from autoclave.kernels.text import segments

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

    def edit(scan: Scan, measurement: Measurement) -> Edited:
        applies = measurement.applies
        lines = scan.segments(
            segments.UNIVERSAL_LINES if rules.strip_lines else segments.LINES, strip=rules.strip_lines
        )
        out, offsets = scan.empty(len(scan.data) + 1, np.uint8), np.empty(len(scan) + 1, dtype=np.int64)
        places, sizes = scan.empty(len(lines.start), np.int32), scan.empty(len(lines.start), np.int32)
        counts = np.zeros((len(scan), kernel.COLUMNS), dtype=np.int64)
        kernel.edit_lines(
            scan.data, scan.offsets, scan.classes, applies, lines.start, lines.end, lines.offsets,
            not rules.strip_lines, rules.terminal_punctuation, rules.single_quote, rules.min_words_per_line,
            rules.max_word_length, rules.citations, rules.javascript, rules.policy, out, offsets, places, sizes, counts,
        )  # fmt: skip
        out.setflags(write=False)  # as what comes from Arrow, so that kernels need one version only
        edited = Scan(out[: offsets[-1]], offsets, scan.workspace)
        edited.carry_words(scan, applies, lines, places, sizes)
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
    dropped = counts[:, kernel.LINES_IN] - counts[:, kernel.LINES_KEPT]
    return {
        "lorem_ipsum_lines": counts[:, kernel.LOREM].astype(np.int32),
        "curly_bracket_lines": counts[:, kernel.CURLY].astype(np.int32),
        "c4_lines_dropped": dropped.astype(np.int32),
        "c4_citations_removed": counts[:, kernel.CITATIONS].astype(np.int32),
    }


def sentences_per_line(scan: Scan, measurement: Measurement) -> Columns:
    """Return c4_sentence_count of the text as it stands, each line counted on its own."""
    words = scan.words("tokens")
    out = np.empty(len(scan), dtype=np.int64)
    kernel.count_line_sentences(scan.data, words.start, words.end, words.flags, words.offsets, out)
    return {"c4_sentence_count": out.astype(np.int32)}


RULES = {
    "datatrove": LineRules(),
    "paper": LineRules(single_quote=False, policy=False, min_words_per_line=5),
    "dclm": LineRules(single_quote=False, min_words_per_line=5, strip_lines=False),
}
"""Line rules by dialect."""

SENTENCES = {"datatrove": 5, "paper": 3, "dclm": 3}
"""Sentences that must be left, by dialect."""

FILTERS = {name: c4_filter(name, rules, sentences=SENTENCES[name]) for name, rules in RULES.items()}


def build(dialect: str, rules: dict[str, object], languages: object, where: str) -> Filter:
    """Return the filter of a dialect with some line rules set; RecipeError for values of a wrong type."""
    try:
        chosen = msgspec.convert({**msgspec.to_builtins(RULES[dialect]), **rules}, LineRules)
        applied = ("en",) if languages == () else msgspec.convert(languages, tuple[str, ...] | None)
    except msgspec.ValidationError as error:
        raise RecipeError(f"{where}: {error}") from error
    return c4_filter(dialect, chosen, sentences=SENTENCES[dialect], languages=applied)
