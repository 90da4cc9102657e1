"""How much of a page is in its own language: signals for pages that mix languages.

No limit is set, because none is published; `thresholds: {own_language_line_ratio: [0.5, null]}` sets one. The
transform `strip_foreign_lines` removes the lines that this family counts.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from autoclave.cleaning.filters.base import Bound, Columns, Filter, Measurement, ratio
from autoclave.cleaning.language.lines import FOREIGN, MIN_LETTER_BYTES, OWN, judge_lines
from autoclave.cleaning.language.words import Scan
from autoclave.kernels.text.rules import segments

SOURCE = "fastText (Joulin et al. 2016) a line, as OSCAR does (Abadji et al. 2022, arXiv 2201.06642)"


def _measure(scan: Scan, measurement: Measurement) -> Columns:
    lines = scan.segments(segments.LINES, drop_blank=True)
    long = np.flatnonzero(lines.end - lines.start >= MIN_LETTER_BYTES)
    owner = np.searchsorted(lines.offsets, long, side="right") - 1
    view = memoryview(scan.data.data)
    spans = zip(lines.start[long].tolist(), lines.end[long].tolist(), strict=True)
    texts = pa.array([str(view[start:end], "utf-8") for start, end in spans], pa.string())
    verdict = judge_lines(texts, [measurement.languages[row] for row in owner.tolist()])
    own = np.bincount(owner[verdict == OWN], minlength=len(scan))
    foreign = np.bincount(owner[verdict == FOREIGN], minlength=len(scan))
    return {
        "own_language_line_ratio": ratio(own, own + foreign, empty=1.0),
        "foreign_line_count": foreign.astype(np.int32),
    }


FILTERS = {
    "paper": Filter(
        "line_languages",
        SOURCE,
        (Bound("own_language_line_ratio"), Bound("foreign_line_count")),
        _measure,
        dialect="paper",
    )
}
"""One reading only."""
