"""FineWeb's quality rules (Penedo et al. 2024, arXiv 2406.17557), as published and as the code has them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from autoclave.cleaning.filters.base import Bound, Columns, Filter, Measurement, Range, ratio
from autoclave.cleaning.language.limits import published_limits, wider_limits
from autoclave.cleaning.language.words import Scan
from autoclave.kernels.text.rules import counts, segments

SOURCE = "Penedo et al. 2024, arXiv 2406.17557, section 3.6; datatrove 0.10 FineWebQualityFilter"

SHORT_LINE = 30
"""Characters of a line that is short."""

_SWITCHED: dict[str, Range | None] = {"short_line_ratio": None, "repeated_line_character_ratio": (None, 0.1)}

FINEWEB2: dict[str, dict[str, Range | None]] = {
    language: {**_SWITCHED, **table}
    for language, table in published_limits(("line_punctuation_ratio", "newline_word_ratio")).items()
}
"""Limits of FineWeb-2: its own by language for two signals, no short-line rule, duplicates at .1."""


def _measure(scan: Scan, measurement: Measurement) -> Columns:
    how = {"drop_blank": True}
    lines = scan.segments(segments.LINES, **how)
    repeated = scan.duplicates(segments.LINES, **how)
    marks = scan.lengths()
    count = np.diff(lines.offsets)
    words = np.diff(scan.words("tokens").offsets)
    chars = marks[:, counts.CHARACTERS] - marks[:, counts.NEWLINES]
    return {
        "line_count": count.astype(np.int32),
        "line_punctuation_ratio": ratio(lines.flagged(segments.TERMINAL_END), count),
        "short_line_ratio": ratio(lines.sums(lines.chars <= SHORT_LINE), count),
        "repeated_line_character_ratio": ratio(repeated[:, 3], chars),
        "newline_word_ratio": ratio(marks[:, counts.NEWLINES], words),
    }


_DATATROVE = Filter(
    "fineweb",
    SOURCE,
    (
        Bound("line_count", low=1),
        Bound("line_punctuation_ratio", low=0.12),
        Bound("short_line_ratio", high=0.67),
        Bound("repeated_line_character_ratio", high=0.01),
        Bound("newline_word_ratio", high=0.3),
    ),
    _measure,
    dialect="datatrove",
    by_language=FINEWEB2,
)

LEAST_LINES = 3
"""Lines from which on the share of lines that end in a full stop says something of a page. Pages that came without
their line ends, and excerpts, are one or two lines; of 1,405 natural register pages the rule dropped most for that."""


def _measure_paper(scan: Scan, measurement: Measurement) -> Columns:
    columns = _measure(scan, measurement)
    few = columns["line_count"] < LEAST_LINES
    columns["line_punctuation_ratio"] = np.ma.masked_array(columns["line_punctuation_ratio"], few)
    return columns


_ENDS_UNKNOWN: dict[str, dict[str, Range | None]] = {"hy": {"line_punctuation_ratio": None}}
"""Armenian ends sentences with a sign that most of its pages write as a colon, which ends no sentence elsewhere."""

_WIDER = wider_limits(
    {
        language: {signal: limits for signal, limits in table.items() if signal != "newline_word_ratio"}
        for language, table in FINEWEB2.items()
    },
    {"line_punctuation_ratio": (0.12, None)},
)

FILTERS = {
    "datatrove": _DATATROVE,
    "paper": replace(
        _DATATROVE,
        measure=_measure_paper,
        dialect="paper",
        bounds=(*_DATATROVE.bounds[:3], Bound("repeated_line_character_ratio", high=0.1)),
        by_language={language: table | _ENDS_UNKNOWN.get(language, {}) for language, table in _WIDER.items()},
    ),
}
"""The code drops a page with more than .01 of its characters in repeated lines, and long lists; the paper says .1, and
nothing of lists. Both are settings: `fineweb: {dialect: paper}`, or `{repeated_line_character_ratio: [null, 0.1]}`."""
