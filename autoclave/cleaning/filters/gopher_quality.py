"""Gopher's quality rules (Rae et al. 2021, arXiv 2112.11446, appendix A), in five dialects."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from autoclave.cleaning.filters.base import Bound, Columns, Filter, Measurement, Range, ratio
from autoclave.cleaning.language.limits import published_limits, wider_limits, without_word_rules
from autoclave.cleaning.language.stopwords import NO_LIST, stop_rows, stop_tables
from autoclave.cleaning.language.words import Scan
from autoclave.kernels.text.rules import counts, segments

SOURCE = "Rae et al. 2021, arXiv 2112.11446, appendix A.1.1"

COUNT = Bound("word_count", 50, 100_000)
AT_LEAST = Bound("word_count", 50)
"""... without the upper limit, which drops novels, and nothing that people judged bad."""
LENGTH = Bound("mean_word_length", 3, 10)
HASHES = Bound("hash_ratio", high=0.1)
ELLIPSES = Bound("ellipsis_ratio", high=0.1)
SYMBOLS = Bound("symbol_ratio", high=0.1)
BULLETS = Bound("bullet_line_ratio", high=0.9)
ELLIPSIS_LINES = Bound("ellipsis_line_ratio", high=0.3)
LETTERS = Bound("alphabetic_word_ratio", low=0.8)
STOP_WORDS = Bound("stop_word_count", low=2)

FINEWEB2 = published_limits(("mean_word_length", "alphabetic_word_ratio"))
"""Limits of FineWeb-2 in place of the English ones."""

PAPER_LIMITS = without_word_rules(
    wider_limits(FINEWEB2, {"mean_word_length": (3, 10), "alphabetic_word_ratio": (0.8, None)}),
    ("word_count", "mean_word_length", "alphabetic_word_ratio"),
)
PAPER_LIMITS["zh"]["alphabetic_word_ratio"] = (0.6, None)
for _language in ("th", "km", "lo"):
    PAPER_LIMITS[_language]["alphabetic_word_ratio"] = (0.7, None)
"""... the wider of the two. In Chinese FineWeb-2's .735 drops 47 of 2,078 handbook pages and statutes that no other
rule drops, and no page that people judged bad (`benchmarks/filters/dialects.py` has the sets). Where a dictionary cuts
words, marks weigh more: of natural Thai texts one in seven had under .8."""


def word_columns(
    scan: Scan,
    measurement: Measurement,
    kind: str,
    lowercase: bool = False,
    symbols: bool = False,
    *,
    published: bool = False,
    any_case: bool = False,
) -> np.ndarray:
    """Return int64 [documents, STATISTICS], the columns of `kernels.text.rules.counts.word_statistics`.

    published, any_case: which lists of stop words, and whether in any case (`stop_tables`).
    """

    def compute() -> np.ndarray:
        words = scan.words(kind)
        out = np.empty((len(scan), counts.STATISTICS), dtype=np.int64)
        tables, numbers, _ = stop_tables(published, any_case)
        stop_words = counts.StopWords(tables, numbers, stop_rows(measurement.languages, published, any_case))
        room = counts.StopRoom(np.zeros(counts.STOP_SLOTS, dtype=np.int64), np.empty(64, dtype=np.uint8))
        counts.word_statistics(scan.data, words, stop_words, lowercase, symbols, room, out)
        return out

    return scan.once(("word_columns", kind, lowercase, symbols, published, any_case), compute)


def _stop_words(words: np.ndarray, column: int, measurement: Measurement, published: bool = False) -> np.ndarray:
    """Return a count of stop words as int32, masked where the language has no list."""
    listed = stop_rows(measurement.languages, published, False)
    return np.ma.masked_array(words[:, column].astype(np.int32), listed == NO_LIST)


def _flagged(scan: Scan, mode: int, flag: int, strip: bool = False, drop_blank: bool = False) -> np.ndarray:
    """Return the share of segments with a flag per document, float32; 0 where there is none."""
    lines = scan.segments(mode, strip=strip, drop_blank=drop_blank)
    return ratio(lines.flagged(flag), np.diff(lines.offsets))


def _paper(scan: Scan, measurement: Measurement) -> Columns:
    words, marks = word_columns(scan, measurement, "script", any_case=True), scan.marks()
    count = words[:, counts.WORDS]
    lines = (segments.LINES, False, True)
    bullets = segments.BULLET_DATATROVE | segments.BULLET_DCLM
    return {
        "word_count": count.astype(np.int32),
        "mean_word_length": ratio(words[:, counts.WORD_CHARS], count),
        "hash_ratio": ratio(marks[:, counts.HASHES], count),
        "ellipsis_ratio": ratio(marks[:, counts.DOTS] + marks[:, counts.ELLIPSES], count),
        "bullet_line_ratio": _flagged(scan, lines[0], bullets, *lines[1:]),
        "ellipsis_line_ratio": _flagged(scan, lines[0], segments.ELLIPSIS_DATATROVE, *lines[1:]),
        "alphabetic_word_ratio": ratio(words[:, counts.ALPHA_WORDS], count),
        "stop_word_count": _stop_words(words, counts.STOP_DISTINCT, measurement),
    }


def _datatrove(scan: Scan, measurement: Measurement) -> Columns:
    words, marks = word_columns(scan, measurement, "tokens", published=True), scan.marks()
    count = words[:, counts.WORDS]
    return {
        "word_count": words[:, counts.OTHER_WORDS].astype(np.int32),
        "mean_word_length": ratio(words[:, counts.OTHER_CHARS], words[:, counts.OTHER_WORDS]),
        "hash_ratio": ratio(marks[:, counts.HASHES], count),
        "ellipsis_ratio": ratio(marks[:, counts.DOTS] + marks[:, counts.ELLIPSES], count),
        "bullet_line_ratio": _flagged(scan, segments.UNIVERSAL_LINES, segments.BULLET_DATATROVE),
        "ellipsis_line_ratio": _flagged(scan, segments.UNIVERSAL_LINES, segments.ELLIPSIS_DATATROVE),
        "alphabetic_word_ratio": ratio(words[:, counts.ALPHA_WORDS], count),
        "stop_word_count": _stop_words(words, counts.STOP_DISTINCT, measurement, published=True),
    }


def _dclm(scan: Scan, measurement: Measurement) -> Columns:
    plain = word_columns(scan, measurement, "ascii_space")
    words, marks = word_columns(scan, measurement, "whitespace", lowercase=True), scan.marks()
    count = words[:, counts.WORDS]
    symbols = marks[:, [counts.HASHES, counts.DOTS, counts.SPACED_DOTS, counts.ELLIPSES]].sum(axis=1)
    lines = (segments.LINES, True, True)
    return {
        "word_count": plain[:, counts.ALNUM_WORDS].astype(np.int32),
        "mean_word_length": ratio(words[:, counts.WORD_CHARS], count),
        "symbol_ratio": ratio(symbols, count),
        "bullet_line_ratio": _flagged(scan, lines[0], segments.BULLET_DCLM, *lines[1:]),
        "ellipsis_line_ratio": _flagged(scan, lines[0], segments.ELLIPSIS_DCLM, *lines[1:]),
        "alphabetic_word_ratio": ratio(words[:, counts.ALPHA_WORDS], count),
        "stop_word_count": _stop_words(words, counts.STOP_TOTAL, measurement),
    }


def _dolma(scan: Scan, measurement: Measurement) -> Columns:
    words, found = word_columns(scan, measurement, "whitespace"), scan.words("whitespace")
    count, median = words[:, counts.WORDS], np.empty(len(scan), dtype=np.int64)
    counts.median_lengths(found, np.zeros(counts.LENGTHS, dtype=np.int64), median)
    return {
        "word_count": count.astype(np.int32),
        "median_word_length": (median / 2).astype(np.float32),
        "symbol_ratio": ratio(words[:, counts.SYMBOL_WORDS], count),
        "bullet_line_ratio": _flagged(scan, segments.LINE_RUNS, segments.BULLET_DOLMA),
        "ellipsis_line_ratio": _flagged(scan, segments.LINE_RUNS, segments.ELLIPSIS_DOLMA),
        "alphabetic_word_ratio": ratio(words[:, counts.ALPHA_WORDS], count),
        "stop_word_count": _stop_words(words, counts.STOP_TOTAL, measurement),
    }


def _curator(scan: Scan, measurement: Measurement) -> Columns:
    words = word_columns(scan, measurement, "whitespace", symbols=True)
    count = words[:, counts.WORDS]
    lines = (segments.LINES, False, True)
    return {
        "symbol_ratio": ratio(words[:, counts.CURATOR_SYMBOLS], count),
        "word_count": count.astype(np.int32),
        "alphabetic_word_ratio": ratio(words[:, counts.ALPHA_WORDS], count),
        "stop_word_count": _stop_words(words, counts.STOP_TOTAL, measurement),
        "mean_word_length": ratio(words[:, counts.WORD_CHARS], count),
        "ellipsis_line_ratio": _flagged(scan, lines[0], segments.ELLIPSIS_CURATOR, *lines[1:]),
        "bullet_line_ratio": _flagged(scan, lines[0], segments.BULLET_CURATOR, *lines[1:]),
    }


def _filter(dialect: str, measure: Callable[[Scan, Measurement], Columns], *bounds: Bound) -> Filter:
    unsure: dict[str, dict[str, Range | None]] = {"und": {"stop_word_count": None}}
    tables = {"paper": PAPER_LIMITS, "datatrove": FINEWEB2}.get(dialect, {}) | unsure
    return Filter("gopher_quality", SOURCE, bounds, measure, dialect=dialect, by_language=tables)


FILTERS = {
    "paper": _filter("paper", _paper, AT_LEAST, LENGTH, HASHES, ELLIPSES, BULLETS, ELLIPSIS_LINES, LETTERS, STOP_WORDS),
    "datatrove": _filter(
        "datatrove", _datatrove, COUNT, LENGTH, HASHES, ELLIPSES, BULLETS, ELLIPSIS_LINES, LETTERS, STOP_WORDS
    ),
    "dclm": _filter("dclm", _dclm, COUNT, LENGTH, SYMBOLS, BULLETS, ELLIPSIS_LINES, LETTERS, STOP_WORDS),
    "dolma": _filter(
        "dolma",
        _dolma,
        COUNT,
        Bound("median_word_length", 3, 10),
        SYMBOLS,
        BULLETS,
        ELLIPSIS_LINES,
        LETTERS,
        STOP_WORDS,
    ),
    "curator": _filter("curator", _curator, SYMBOLS, COUNT, LETTERS, STOP_WORDS, LENGTH, ELLIPSIS_LINES, BULLETS),
}
"""The filter by dialect; bounds in the order of the original, so that the first failure is the original's reason."""
