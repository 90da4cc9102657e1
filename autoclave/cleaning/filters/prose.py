"""A view of a document without code blocks, tables and displayed formulas: what rules made for prose should judge.

Lines of code and rows of tables repeat one another and end in no full stop, so that the published rules drop pages for
their code. As the first of a chain this family lets all that follow judge the prose alone; the text stays as it is.
"""

# mypy: disable-error-code="assignment,arg-type"
# (numba, not mypy, types the bodies of kernels)

from __future__ import annotations

import numpy as np
from numba import njit

from autoclave.cleaning.filters.base import Columns, Edited, Filter, Measurement, ratio
from autoclave.cleaning.language.words import Scan
from autoclave.cleaning.transforms.protected import NEWLINE, SPACE, find_spans

SOURCE = "our own; `benchmarks/harm.py` has what it saves and what it costs"

LEAST_SHARE = 4
"""A document of which less than a fourth is prose is code or a table, and judged as it came."""

_HASH = 35
_LONGEST_MARK = 6


@njit(cache=True, nogil=True)
def _cut(data: np.ndarray, start: int, stop: int, spans: np.ndarray, count: int, out: np.ndarray, at: int) -> int:
    """Copy data[start:stop] to out[at:] without its whole-line spans and marks of headings; return the end there."""
    span, begin, place = 0, at, start
    while place < stop:
        while span < count and spans[span, 1] + start <= place:
            span += 1
        first = place == start or data[place - 1] == NEWLINE
        if first and span < count and spans[span, 0] + start == place:
            end = spans[span, 1] + start
            if end == stop or data[end] == NEWLINE:
                place = min(end + 1, stop)
                continue
        if first and data[place] == _HASH:
            mark = place
            while mark < stop and data[mark] == _HASH:
                mark += 1
            if mark - place <= _LONGEST_MARK and mark < stop and data[mark] == SPACE:
                place = mark + 1
                continue
        out[at] = data[place]
        at += 1
        place += 1
    if (at - begin) * LEAST_SHARE < stop - start:
        out[begin : begin + stop - start] = data[start:stop]
        return begin + stop - start
    return at


@njit(cache=True, nogil=True)
def _cut_documents(data: np.ndarray, offsets: np.ndarray, out: np.ndarray, ends: np.ndarray) -> None:
    """Write the prose of every document. out: uint8, as long as data; ends: int64 [documents + 1]."""
    spans = np.empty((256, 2), dtype=np.int64)
    at, ends[0] = np.int64(0), 0
    for document in range(len(offsets) - 1):
        start, stop = offsets[document], offsets[document + 1]
        count = find_spans(data[start:stop], spans)
        if count > len(spans):
            spans = np.empty((2 * count, 2), dtype=np.int64)
            count = find_spans(data[start:stop], spans)
        at = _cut(data, start, stop, spans, count, out, at)
        ends[document + 1] = at


def _edit(scan: Scan, measurement: Measurement) -> Edited:
    room = scan.room_for_edit()
    _cut_documents(scan.data, scan.offsets, room.data, room.offsets)
    signals: Columns = {"prose_ratio": ratio(np.diff(room.offsets), np.diff(scan.offsets), empty=1.0)}
    return Edited(scan.after_edit(room), signals)


FILTERS = {"paper": Filter("prose", SOURCE, (), edit=_edit, rewrites=False, dialect="paper")}
