"""RefinedWeb's line rules (Penedo et al. 2023, arXiv 2306.01116) as DCLM reproduces them."""

from __future__ import annotations

import re

import numpy as np

from autoclave.cleaning.filters.base import Bound, Columns, Edited, Filter, Measurement, ratio
from autoclave.cleaning.language.words import Scan
from autoclave.kernels.text.rules import refinedweb, segments
from autoclave.kernels.text.rules.counts import count_spaced_words
from autoclave.kernels.text.texts import Texts

SOURCE = "Penedo et al. 2023, arXiv 2306.01116, appendix G; DCLM dclm_baseline_refinedweb.yaml"

COUNTER = re.compile(
    r"^\W*\d(?:,|\.|\d)*(?:k|m|b)?\s+(?:likes|shares|comments|retweets|reposts|quotes|bookmarks|upvotes|downvotes|"
    r"downloads|views|followers)\W*$"
)
"""A line that only counts: '3,402 likes'. Matched in lower case."""

SUBSTRINGS = (
    re.compile(r"\s?items in cart", re.I),
    re.compile(r"\s?read more...$", re.I),
    re.compile(r"^sign-in\s?", re.I),
)
"""Taken out of lines of at most ten words. The dots of 'read more...' stand for any character, as in the original."""


def _edit_line(line: str) -> str | None:
    """Apply the rules that need a pattern to one line of at least two words; None where the line goes."""
    if COUNTER.search(line.lower()):
        return None
    for pattern in SUBSTRINGS:
        if len(line.split()) <= 10:
            shorter = pattern.sub("", line)
            if not shorter or shorter.isspace():
                return None
            line = shorter
    return line


def _edit(scan: Scan, measurement: Measurement) -> Edited:
    applies = measurement.applies
    lines = scan.segments(segments.LINES, strip_text=True)
    verdict = scan.empty(len(lines.start), np.uint8)
    refinedweb.judge_lines(scan.data, lines.spans, scan.classes, verdict)
    pieces: list[bytes] = []
    ends = [0]
    for line in np.flatnonzero(verdict == refinedweb.LOOK).tolist():
        if not applies[np.searchsorted(lines.offsets, line, side="right") - 1]:
            continue
        edited = _edit_line(scan.data[lines.start[line] : lines.end[line]].tobytes().decode())
        if edited is None:
            verdict[line] = refinedweb.DROP
            continue
        pieces.append(edited.encode())
        ends.append(ends[-1] + len(pieces[-1]))
    rewritten = Texts(np.frombuffer(b"".join(pieces), dtype=np.uint8), np.array(ends, dtype=np.int64))
    room, dropped = scan.room_for_edit(), np.empty(len(scan), dtype=np.int32)
    refinedweb.keep_lines(scan.texts, scan.classes, applies, lines.spans, verdict, rewritten, room, dropped)
    edit = scan.after_edit(room)
    before, after = _words(scan), _words(edit)
    return Edited(
        edit, {"refinedweb_lines_dropped": dropped, "refinedweb_removed_word_ratio": ratio(before - after, before, 1.0)}
    )


def _words(scan: Scan) -> np.ndarray:
    """Return the words that begin with a letter or digit, between ASCII white space (DCLM's count)."""
    words = np.empty(len(scan), dtype=np.int64)
    count_spaced_words(scan.texts, scan.classes, words)
    return words


def _measure(scan: Scan, measurement: Measurement) -> Columns:
    return {}


FILTERS = {
    "dclm": Filter(
        "refinedweb",
        SOURCE,
        (Bound("refinedweb_removed_word_ratio", high=0.05),),
        _measure,
        _edit,
        dialect="dclm",
        languages=("en",),
    )
}
