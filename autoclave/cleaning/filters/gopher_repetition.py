"""Gopher's repetition rules (Rae et al. 2021, arXiv 2112.11446, table A1), in five dialects."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from autoclave.cleaning.filters.base import Bound, Columns, Filter, Measurement, Range, ratio
from autoclave.cleaning.language.limits import published_limits, wider_limits, without_word_rules
from autoclave.cleaning.language.words import Scan, sums
from autoclave.kernels.text.rules import counts, ngrams, segments
from autoclave.kernels.text.rules.search import replaced_characters

SOURCE = "Rae et al. 2021, arXiv 2112.11446, table A1"

PARAGRAPHS = (Bound("duplicate_paragraph_ratio", high=0.3), Bound("duplicate_paragraph_character_ratio", high=0.2))
LINES = (Bound("duplicate_line_ratio", high=0.3), Bound("duplicate_line_character_ratio", high=0.2))
TOP = tuple(Bound(f"top_{n}gram_ratio", high=limit) for n, limit in ((2, 0.20), (3, 0.18), (4, 0.16)))
DUPLICATE = tuple(
    Bound(f"duplicate_{n}gram_ratio", high=limit)
    for n, limit in ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10))
)

_OFF: dict[str, Range | None] = {
    "duplicate_paragraph_ratio": None,
    "duplicate_paragraph_character_ratio": None,
    "duplicate_line_character_ratio": None,
}


_NGRAMS = tuple(bound.signal for bound in (*TOP, *DUPLICATE))

FINEWEB2: dict[str, dict[str, Range | None]] = without_word_rules(
    {language: {**_OFF, **table} for language, table in published_limits(("duplicate_line_ratio", *_NGRAMS)).items()},
    _NGRAMS,
)
"""Limits of FineWeb-2, whose paragraph and duplicate-line-character rules are off."""

PAPER_LIMITS = wider_limits(FINEWEB2, {bound.signal: (bound.low, bound.high) for bound in (*LINES, *TOP, *DUPLICATE)})


def _segment_columns(unit: str, found: np.ndarray, first: int, whole: np.ndarray, empty: float = 0.0) -> Columns:
    """Return the two duplicate ratios of lines or paragraphs; `first` is the column of `found` to use."""
    return {
        f"duplicate_{unit}_ratio": ratio(found[:, first], found[:, 0], empty),
        f"duplicate_{unit}_character_ratio": ratio(found[:, first + 1], whole, empty),
    }


def _ngram_columns(scan: Scan, kind: str, style: int, whole: np.ndarray) -> tuple[Columns, np.ndarray]:
    """Return the nine n-gram ratios and the places of the top n-grams; whole: characters to divide by."""
    words = scan.words(kind)
    size = len(scan)
    found = ngrams.NgramCounts(*(np.empty((size, columns), dtype=np.int64) for columns in (3, 3, 6, 6)))
    ngrams.ngram_statistics(scan.data, words, style, found)
    top_ratios = ratio(found.top, whole)
    duplicate_ratios = ratio(found.duplicate, found.every if style == ngrams.DOLMA else whole)
    columns = {f"top_{n}gram_ratio": top_ratios[:, n - 2] for n in (2, 3, 4)}
    columns |= {f"duplicate_{n}gram_ratio": duplicate_ratios[:, n - 5] for n in range(5, 11)}
    return columns, found.place


def _datatrove(scan: Scan, measurement: Measurement) -> Columns:
    chars = scan.marks()[:, counts.CHARACTERS]
    paragraphs = scan.duplicates(segments.PARAGRAPH_RUNS, strip_text=True)
    lines = scan.duplicates(segments.LINE_RUNS)
    return {
        **_segment_columns("paragraph", paragraphs, 2, chars),
        **_segment_columns("line", lines, 2, chars),
        **_ngram_columns(scan, "tokens", ngrams.DATATROVE, chars)[0],
    }


def _word_chars(scan: Scan, kind: str) -> np.ndarray:
    words = scan.words(kind)
    return sums(words.chars, words.offsets)


def _union(kind: str, empty: float = 0.0) -> Callable[[Scan, Measurement], Columns]:
    """Return the measure that DCLM and the paper share; empty: the ratios of a text without lines (DCLM drops it)."""

    def measure(scan: Scan, measurement: Measurement) -> Columns:
        paragraphs = scan.duplicates(segments.PARAGRAPHS, strip=True, drop_blank=True)
        lines = scan.duplicates(segments.LINES, strip=True, drop_blank=True)
        return {
            **_segment_columns("line", lines, 4, lines[:, 1], empty),
            **_segment_columns("paragraph", paragraphs, 4, paragraphs[:, 1], empty),
            **_ngram_columns(scan, kind, ngrams.UNION, _word_chars(scan, kind))[0],
        }

    return measure


def _dolma(scan: Scan, measurement: Measurement) -> Columns:
    chars = _word_chars(scan, "whitespace")
    lines = scan.duplicates(segments.LINE_RUNS)
    return {
        **_segment_columns("line", lines, 4, chars),
        **_ngram_columns(scan, "whitespace", ngrams.DOLMA, chars)[0],
    }


def _curator(scan: Scan, measurement: Measurement) -> Columns:
    chars = scan.marks()[:, counts.CHARACTERS]
    lines = scan.duplicates(segments.LINES, drop_blank=True)
    paragraphs = scan.duplicates(segments.PARAGRAPHS)
    columns, place = _ngram_columns(scan, "whitespace", ngrams.CURATOR, chars)
    words = scan.words("whitespace")
    numbers = np.diff(words.offsets)
    for n in (2, 3, 4):
        removed = replaced_characters(scan.texts, words, place[:, n - 2], n)
        columns[f"top_{n}gram_ratio"] = ratio(np.where(numbers < n, chars, removed), chars, empty=1.0)
    for n in range(5, 11):
        column = columns[f"duplicate_{n}gram_ratio"]
        columns[f"duplicate_{n}gram_ratio"] = np.where(numbers < n, np.float32(1), column)
    return {
        **_segment_columns("line", lines, 2, lines[:, 1]),
        **_segment_columns("paragraph", paragraphs, 2, paragraphs[:, 1]),
        **columns,
    }


def _filter(dialect: str, measure: Callable[[Scan, Measurement], Columns], *bounds: Bound) -> Filter:
    tables = {"paper": PAPER_LIMITS, "datatrove": FINEWEB2}.get(dialect, {})
    return Filter("gopher_repetition", SOURCE, bounds, measure, dialect=dialect, by_language=tables)


_DCLM_ORDER = (LINES[0], PARAGRAPHS[0], LINES[1], PARAGRAPHS[1], *TOP, *DUPLICATE)

FILTERS = {
    "paper": _filter("paper", _union("script"), *_DCLM_ORDER),
    "datatrove": _filter("datatrove", _datatrove, *PARAGRAPHS, *LINES, *TOP, *DUPLICATE),
    "dclm": _filter("dclm", _union("unicode", empty=1.0), *_DCLM_ORDER),
    "dolma": _filter("dolma", _dolma, *LINES, *TOP, *DUPLICATE),
    "curator": _filter("curator", _curator, LINES[0], PARAGRAPHS[0], LINES[1], PARAGRAPHS[1], *TOP, *DUPLICATE),
}
"""The filter by dialect; bounds in the order of the original, so that the first failure is the original's reason."""
