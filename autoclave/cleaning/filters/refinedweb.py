"""RefinedWeb's line rules (Penedo et al. 2023, arXiv 2306.01116) as DCLM reproduces them."""

from __future__ import annotations

import re

import numpy as np

from autoclave.cleaning.filters.base import Bound, Columns, Edited, Filter, Measurement, ratio
from autoclave.cleaning.words import Scan
from autoclave.kernels.text import segments
from autoclave.kernels.text.lines import DROP, LOOK, judge_lines
from autoclave.kernels.text.words import FIRST_ALNUM

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
    """Apply the rules that need a pattern to one line; None where the line goes."""
    if COUNTER.search(line.lower()):
        return None
    if line and len(line.split()) < 2:
        return None
    for pattern in SUBSTRINGS:
        if len(line.split()) <= 10:
            shorter = pattern.sub("", line)
            if line and (not shorter or shorter.isspace()):
                return None
            line = shorter
    return line


def _edit(scan: Scan, measurement: Measurement) -> Edited:
    lines = scan.segments(segments.LINES, strip_text=True)
    verdict = np.empty(len(lines.start), dtype=np.uint8)
    judge_lines(scan.data, lines.start, lines.end, scan.classes, verdict)
    data = scan.data.tobytes()
    pieces: list[bytes] = []
    dropped = np.zeros(len(scan), dtype=np.int32)
    for document, applies in enumerate(measurement.applies):
        if not applies:
            pieces.append(data[scan.offsets[document] : scan.offsets[document + 1]])
            continue
        first, last = lines.offsets[document], lines.offsets[document + 1]
        kept: list[bytes] = []
        for line in range(first, last):
            raw: bytes | None = data[lines.start[line] : lines.end[line]]
            if verdict[line] == DROP:
                raw = None
            elif verdict[line] == LOOK:
                edited = _edit_line(raw.decode())  # type: ignore[union-attr]
                raw = None if edited is None else edited.encode()
            if raw is None:
                dropped[document] += 1
            else:
                kept.append(raw)
        pieces.append(b"\n".join(kept).decode().strip().encode())
    offsets = np.cumsum([0, *(len(piece) for piece in pieces)]).astype(np.int64)
    out = Scan(np.frombuffer(b"".join(pieces), dtype=np.uint8), offsets)
    before, after = _words(scan), _words(out)
    return Edited(
        out, {"refinedweb_lines_dropped": dropped, "refinedweb_removed_word_ratio": ratio(before - after, before, 1.0)}
    )


def _words(scan: Scan) -> np.ndarray:
    """Return the words that begin with a letter or digit, between ASCII white space (DCLM's count)."""
    words = scan.words("ascii_space")
    totals = np.concatenate([[0], np.cumsum((words.flags & FIRST_ALNUM) != 0)])
    return totals[words.offsets[1:]] - totals[words.offsets[:-1]]


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
