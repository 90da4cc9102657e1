"""What makes a text more than words: code, formulas, tables, headings, paragraphs; and whether an edit left it.

A plain reading of Markdown, TeX and reStructuredText of our own, which knows nothing of the spans that the cleaning
protects; `tests/cleaning/test_harm.py` holds it to markdown-it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.good_text.differences import Change
from benchmarks.good_text.kinds import KINDS, LOSS, REDACTION, SIGNS

FENCE, CODE, FORMULA, ROW, HEADING, BREAK = (
    "fences", "inline code", "formulas", "table rows", "headings", "paragraph breaks",
)  # fmt: skip
ELEMENTS = (FENCE, CODE, FORMULA, ROW, HEADING, BREAK)

HARMLESS = tuple(kind for kind in KINDS if kind != LOSS)
"""What may happen to a row or a heading; code and formulas suffer the redaction of personal data alone."""

_FORM_SIGNS = re.compile(r"[\n\t|#=~`$\\-]")
_FENCE_LINE = re.compile(r"^[ \t>]*(`{3,}|~{3,})([^\n]*)$", re.MULTILINE)
_TICKS = re.compile(r"\n[ \t]*\n|(?<!\\)`+")
_FORMULA = re.compile(
    r"""\$\$(?:[^$\n]|\n(?!\s*\n)|\\\$){1,5000}?\$\$
      | (?<![\w$\\])\$(?![\s$])(?:[^$\n\\]|\\.){1,1000}?(?<!\s)\$(?![\w$])
      | \\begin\{(\w+\*?)\}.{0,20000}?\\end\{\1\}
      | (?<!\\)\\\[(?=[^\]]{0,2000}[\\^_={}][^\]])(?:[^\n]|\n(?!\s*\n)){1,5000}?\\\]
      | (?<!\\)\\\((?=[^)]{0,2000}[\\^_={}][^)])(?:[^\n]|\n(?!\s*\n)){1,2000}?\\\)""",
    re.VERBOSE | re.DOTALL,
)
_ROW = re.compile(r"^[ \t]*(?:\|[^\n]*\|[ \t]*|[^\s#<>`|][^\t\n]*\t[^\n]*\S[ \t]*)$", re.MULTILINE)
_HEADING = re.compile(
    r"""^\ {0,3}\#{1,6}[ \t]+\S[^\n]*$                                  # Markdown
      | ^[^\s\n][^\n]*\n(?:={3,}|-{3,}|~{3,}|\^{3,}|"{3,}|\*{3,}|\+{3,})[ \t]*$   # underlined
      | (?:(?<=\n\n)|\A)[^\W\d_][^\n]{0,58}[^\W_](?=\n\n|\Z)            # a short line alone, without an end mark""",
    re.MULTILINE | re.VERBOSE,
)
_BREAK = re.compile(r"\n[ \t]*\n\s*(?=\S)")
_ALIKE = re.compile(r"[\s\u00ad\u200b\ufeff]+")


@dataclass(frozen=True)
class Element:
    """One piece of structure. start, end: in characters."""

    start: int
    end: int
    text: str

    @property
    def key(self) -> str:
        """What two elements share that differ in blanks and invisible signs only."""
        return _ALIKE.sub(" ", self.text).strip()


def elements(text: str) -> dict[str, list[Element]]:
    """Return the pieces of structure of a text by kind, in order. What lies in a fence is of the fence."""
    fences = list(_fences(text)) if "```" in text or "~~~" in text else []
    codes = [span for span in _codes(text) if not _inside(span, fences)] if "`" in text else []
    code = sorted([*fences, *codes])
    return {
        FENCE: _elements(text, fences),
        CODE: _elements(text, codes),
        FORMULA: _elements(text, _spans(text, _FORMULA, code) if "$" in text or "\\" in text else []),
        ROW: _elements(text, _spans(text, _ROW, fences) if "|" in text or "\t" in text else []),
        HEADING: _elements(text, _spans(text, _HEADING, fences)),
        BREAK: [Element(*match.span(), "") for match in _BREAK.finditer(text.rstrip())],
    }


def _elements(text: str, spans: Iterable[tuple[int, int]]) -> list[Element]:
    return [Element(start, end, text[start:end]) for start, end in spans]


def _spans(text: str, pattern: re.Pattern[str], outside: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    return [match.span() for match in pattern.finditer(text) if not _inside(match.span(), outside)]


def _fences(text: str) -> Iterator[tuple[int, int]]:
    """Yield the fenced blocks; a line of tildes under a line of text is no fence but makes it a heading."""
    opening: re.Match[str] | None = None
    for line in _FENCE_LINE.finditer(text):
        marks, rest = line.groups()
        if opening is None:
            underlines = marks[0] == "~" and text[: line.start()].rstrip(" \t")[-2:].strip() != ""
            opening = None if underlines or (marks[0] == "`" and "`" in rest) else line
        elif marks[0] == opening.group(1)[0] and len(marks) >= len(opening.group(1)) and not rest.strip():
            yield opening.start(), line.end()
            opening = None


def _codes(text: str) -> Iterator[tuple[int, int]]:
    """Yield the code spans as CommonMark pairs ticks: a run with the next one of its length in the paragraph."""
    waiting: list[tuple[int, int]] = []
    for match in _TICKS.finditer(f"{text}\n\n"):
        if match.group()[0] != "`":
            yield from _paired(waiting)
            waiting = []
        else:
            waiting.append(match.span())


def _paired(runs: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    at = 0
    while at < len(runs):
        start, end = runs[at]
        close = next(
            (place for place in range(at + 1, len(runs)) if runs[place][1] - runs[place][0] == end - start), None
        )
        if close is None:
            at += 1
        else:
            yield start, runs[close][1]
            at = close + 1


def _inside(span: tuple[int, int], spans: Sequence[tuple[int, int]]) -> bool:
    """Whether a span begins within one of `spans`, which are sorted and apart."""
    at = bisect_left(spans, (span[0] + 1, -1)) - 1
    return at >= 0 and span[0] < spans[at][1]


@dataclass
class Survival:
    """Elements of kept documents, by kind. before, after: how many there are in the text before and after; lost: gone
    or changed by a loss; edited: changed by what may happen to a good text (personal data in code, say)."""

    before: Counter[str] = field(default_factory=Counter)
    after: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    edited: Counter[str] = field(default_factory=Counter)


def survive(before: str, after: str, made: Sequence[tuple[Change, str]], survival: Survival) -> list[tuple[str, str]]:
    """Add one kept document to `survival`; return (kind of element, its text) of those that are lost.

    made: the changes between the two texts, each with its kind (`kinds.KINDS`).
    """
    old = elements(before)
    survival.before.update({kind: len(found) for kind, found in old.items()})
    if not made:
        survival.after.update({kind: len(found) for kind, found in old.items()})
        return []
    new = elements(after)
    survival.after.update({kind: len(found) for kind, found in new.items()})
    gone: list[tuple[str, str]] = []
    for kind in (FENCE, CODE, FORMULA, ROW, HEADING):
        left = Counter(element.key for element in new[kind])
        for element in old[kind]:
            if left[element.key]:
                left[element.key] -= 1
            elif _harmless(element, made, HARMLESS if kind in (ROW, HEADING) else (REDACTION,)):
                survival.edited[kind] += 1
            else:
                survival.lost[kind] += 1
                gone.append((kind, element.text))
    missing = _paragraphs_left(before, [change for change, _ in made]) - 1 - len(new[BREAK])
    if missing > 0:
        survival.lost[BREAK] += missing
        gone.append((BREAK, f"{missing} of {len(old[BREAK])}"))
    return gone


def _harmless(element: Element, made: Collection[tuple[Change, str]], kinds: Collection[str]) -> bool:
    """Whether all that happened to an element is of some kinds, and left the signs that make it what it is."""
    found = [(change, kind) for change, kind in made if change.start < element.end and change.end > element.start]
    return bool(found) and all(kind in kinds and (kind != SIGNS or _keeps_form(change)) for change, kind in found)


def _keeps_form(change: Change) -> bool:
    return sorted(_FORM_SIGNS.findall(change.removed)) == sorted(_FORM_SIGNS.findall(change.put))


def _paragraphs_left(text: str, made: Sequence[Change]) -> int:
    """Return how many paragraphs have something left after the changes."""
    removed: dict[int, list[Change]] = defaultdict(list)
    bounds = [0, *(match.end() for match in _BREAK.finditer(text.rstrip()))]
    for change in made:
        for place in range(
            bisect_left(bounds, change.start + 1) - 1, bisect_left(bounds, max(change.end, change.start + 1))
        ):
            removed[place].append(change)
    left = len(bounds)
    for place, cuts in removed.items():
        start, end = bounds[place], bounds[place + 1] if place + 1 < len(bounds) else len(text)
        rest = list(text[start:end])
        for cut in cuts:
            first, last = max(cut.start, start) - start, min(cut.end, end) - start
            rest[first:last] = " " * max(0, last - first)
        left -= not "".join(rest).strip() and not any(cut.put.strip() for cut in cuts)
    return left
