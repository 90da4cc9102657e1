"""Language of each line, for pages that mix languages: which lines are in another language than their document."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from autoclave.cleaning.language.script import script_bytes
from autoclave.cleaning.transforms.protected import edit

MIN_LETTER_BYTES = 60
"""Bytes of letters that a line needs to be judged: 60 Latin letters, 20 Chinese characters."""

MIN_SCORE = 0.8
"""Probability from which a line's label counts; its errors on sentences of known languages are in docs/results.md."""

CLOSE = (
    {"no", "nn", "da", "sv"},
    {"hr", "sr", "bs", "sh"},
    {"id", "ms", "min", "jv", "su"},
    {"zh", "wuu", "yue"},
    {"cs", "sk"},
    {"es", "gl", "ast", "ca", "an", "pt"},
    {"ru", "uk", "be", "bg", "mk"},
    {"hi", "mr", "ne", "bh", "mai", "sa", "new", "gom", "dty"},
    {"fa", "mzn", "glk", "azb", "lrc", "ps"},
    {"tr", "az", "tk"},
    {"ar", "arz"},
    {"ckb", "ku", "fa"},
    {"de", "als", "bar", "nds", "lb"},
    {"nl", "af", "li", "vls", "nds"},
)
"""Languages that a model of lines confuses: a line in one of a group is not foreign to a document in another of it."""

OWN, FOREIGN, UNJUDGED = 1, 2, 0


def judge_lines(lines: pa.StringArray, languages: Sequence[str | None]) -> np.ndarray:
    """Say of each line whether it is in its document's language: OWN, FOREIGN or UNJUDGED (uint8[lines]).

    lines: without line breaks; languages: of each line's document, as ISO 639-1 codes. Judged is a line of at least
    MIN_LETTER_BYTES whose label has at least MIN_SCORE, in a document of a known language. A label that contradicts
    the line's script is refused (`language.LanguageIdentifier`), with the bundled lid.176.
    """
    from autoclave.cleaning.language.identification import UNDETERMINED, identifier

    verdict = np.full(len(lines), UNJUDGED, dtype=np.uint8)
    letters = script_bytes(lines).sum(axis=1)
    known = np.fromiter((code not in (None, UNDETERMINED) for code in languages), np.bool_, len(lines))
    chosen = np.flatnonzero((letters >= MIN_LETTER_BYTES) & known)
    if not len(chosen):
        return verdict
    labels, scores = identifier().predict(lines.take(pa.array(chosen)))
    sure = scores.to_numpy(zero_copy_only=False) >= np.float32(MIN_SCORE)
    for place, label, counts in zip(chosen.tolist(), labels.to_pylist(), sure.tolist(), strict=True):
        if counts:
            code = languages[place]
            alike = label == code or any(label in group and code in group for group in CLOSE)
            verdict[place] = OWN if alike else FOREIGN
    return verdict


def strip_foreign_lines(text: bytes, language: str | None = None, hint: int = 1) -> tuple[bytes, int]:
    """Remove the lines that are in another language than the document; code, formulas and tables stay.

    Where more lines are foreign than own, the document's label is in doubt and nothing is removed.
    """
    if language is None:
        return text, 0
    lines = text.split(b"\n")
    verdict = judge_lines(pa.array([line.decode() for line in lines], pa.string()), [language] * len(lines))
    if np.count_nonzero(verdict == FOREIGN) > np.count_nonzero(verdict == OWN):
        return text, 0
    starts = np.cumsum([0] + [len(line) + 1 for line in lines])
    trailing = len(lines)  # from here on all lines go, and each with the break before it
    while trailing and verdict[trailing - 1] == FOREIGN:
        trailing -= 1
    edits = []
    for place in np.flatnonzero(verdict == FOREIGN).tolist():
        before = place >= trailing
        edits.append((max(int(starts[place]) - before, 0), int(starts[place + 1]) - before, b""))
    return edit(text, edits)


def find_lines(text: pa.StringArray) -> np.ndarray:
    """Return where a text has a line break, as int32 hints, one a text."""
    found = pc.fill_null(pc.match_substring(text, "\n"), False)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.int32)
