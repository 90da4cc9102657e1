"""What an edit made of a text: the places where lines changed, as people read them in a diff."""

from __future__ import annotations

import difflib

import msgspec

CONTEXT = 32
"""Characters of an unchanged line that are shown on both sides of a change in it."""

LONGEST = 300
"""Characters of a change that are shown; of a longer one its beginning and its end."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One place. line: of the text before, from 1; before, after: the lines that are no more and those in their stead,
    without their line breaks; none where lines were only put in or only taken out."""

    line: int
    before: list[str]
    after: list[str]


def line_changes(before: str, after: str) -> list[Change]:
    """Return every place where lines of two texts differ, in order, with the whole lines."""
    left, right = before.split("\n"), after.split("\n")
    return [
        Change(line=first + 1, before=left[first:last], after=right[start:end])
        for kind, first, last, start, end in difflib.SequenceMatcher(None, left, right).get_opcodes()
        if kind != "equal"
    ]


def shortened(change: Change) -> Change:
    """Return a change with what both sides have in common at their ends cut to CONTEXT, and neither over LONGEST."""
    before, after = "\n".join(change.before), "\n".join(change.after)
    head = _common(before, after)
    tail = _common(before[head:][::-1], after[head:][::-1])
    first, last = max(0, head - CONTEXT), max(0, tail - CONTEXT)

    def side(lines: list[str], text: str) -> list[str]:
        within = _within(f"{'…' if first else ''}{text[first : len(text) - last]}{'…' if last else ''}")
        return within.split("\n") if lines else []

    return Change(line=change.line, before=side(change.before, before), after=side(change.after, after))


def _common(one: str, other: str) -> int:
    """Return how many characters two texts have in common at their beginnings."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


def _within(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    left_out = len(text) - LONGEST
    return f"{text[: LONGEST // 2]} [… {left_out:,} characters …] {text[-LONGEST // 2 :]}"
