"""What two near-duplicates have in common and where they differ, word by word, for people to look at."""

from __future__ import annotations

import difflib
import re
from typing import Literal

import msgspec

_PIECES = re.compile(r"[^\W\u2e80-\u9fff\uf900-\ufaff]+|\s+|.", re.DOTALL)
"""Words, white space, and single characters (punctuation, Han, kana)."""

MOST_PIECES = 20_000
"""Pieces of a text that are compared; the rest of a longer one is left out, and said to be."""


class Segment(msgspec.Struct, frozen=True):
    """A stretch of text: in both documents, only in the one that stayed, or only in the one that was dropped."""

    kind: Literal["same", "kept", "dropped"]
    text: str


def differences(kept: str, dropped: str) -> list[Segment]:
    """Return the stretches of two texts in order; joined without 'dropped' ones they are `kept`, and the reverse.

    Texts beyond MOST_PIECES pieces are compared up to there.
    """
    left, right = _PIECES.findall(kept)[:MOST_PIECES], _PIECES.findall(dropped)[:MOST_PIECES]
    found: list[Segment] = []
    for kind, a, a_end, b, b_end in difflib.SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if kind == "equal":
            found.append(Segment("same", "".join(left[a:a_end])))
            continue
        if a_end > a:
            found.append(Segment("kept", "".join(left[a:a_end])))
        if b_end > b:
            found.append(Segment("dropped", "".join(right[b:b_end])))
    return found


def format_differences(segments: list[Segment], context: int = 60) -> str:
    """Return one text with [-only in the one that stayed-] and {+only in the one dropped+}; long common parts elided.

    context: characters of a common part that are shown on each side of a difference.
    """
    parts = []
    for number, segment in enumerate(segments):
        if segment.kind == "kept":
            parts.append(f"[-{segment.text}-]")
        elif segment.kind == "dropped":
            parts.append(f"{{+{segment.text}+}}")
        else:
            parts.append(_shorten(segment.text, context, number == 0, number == len(segments) - 1))
    return "".join(parts)


def _shorten(text: str, context: int, first: bool, last: bool) -> str:
    if first and last:
        return text if len(text) <= 2 * context else f"{text[: 2 * context]} [...]"
    head, tail = ("" if first else text[:context]), ("" if last else text[-context:])
    if len(text) <= len(head) + len(tail) + 5:
        return text
    return f"{head} [... {len(text) - len(head) - len(tail):,} characters ...] {tail}".strip(" ")
