"""Spans of a text that edits leave alone: code, formulas, tables (the paper's sixth rule: keep Markdown and LaTeX)."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable

# Alternatives in the order in which they bind: whatever begins first wins, and nothing nests.
_PROTECTED = re.compile(
    r"""
    ^[ ]{0,3}(?P<fence>`{3,}|~{3,})[^\n]*\n(?:.*?\n)??[ ]{0,3}(?P=fence)[`~]*[ \t]*$   # fenced code, closed
  | (?P<ticks>`+)(?!`)(?:(?!\n[ \t]*\n).)*?(?<!`)(?P=ticks)(?!`)                       # inline code, in one paragraph
  | \\begin\{(?P<environment>[A-Za-z]+\*?)\}.*?\\end\{(?P=environment)\}               # LaTeX environment
  | \\\[(?:(?!\n[ \t]*\n).)*?\\\] | \\\((?:(?!\n[ \t]*\n).)*?\\\)                      # \[...\] and \(...\)
  | \$\$(?:(?!\n[ \t]*\n|\$\$).)+?\$\$                                                 # $$...$$
  | (?<![\\$\w])\$(?![\s$])(?:[^$\n\\]|\\.){0,500}?(?<![\s\\])\$(?![\w$])              # $...$, not two prices
  | ^[ \t]*\|[^\n]*\|[ \t]*$                                                           # row of a Markdown table
  | ^(?:[ ]{4}|\t)[^\n]*$                                                              # indented code
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)
_SIGNS = re.compile(r"[`$\\|~]|^(?: {4}|\t)", re.MULTILINE)


def protected_spans(text: str) -> list[tuple[int, int]]:
    """Return the (start, end) of code blocks, inline code, formulas, table rows and indented code, in order."""
    if _SIGNS.search(text) is None:
        return []
    return [match.span() for match in _PROTECTED.finditer(text)]


Replacement = str | Callable[[re.Match[str]], str]


def edit(text: str, pattern: re.Pattern[str], replacement: Replacement) -> tuple[str, int]:
    """Replace every match of `pattern` that touches no protected span; return (text, number of real changes)."""
    found = list(pattern.finditer(text))
    if not found:
        return text, 0
    spans = protected_spans(text)
    starts = [start for start, _ in spans]
    pieces: list[str] = []
    at = changes = 0
    for match in found:
        start, end = match.span()
        before = bisect_right(starts, max(start, end - 1)) - 1
        if before >= 0 and spans[before][1] > start:
            continue
        new = replacement if isinstance(replacement, str) else replacement(match)
        if new != match.group():
            pieces += [text[at:start], new]
            at = end
            changes += 1
    if not changes:
        return text, 0
    pieces.append(text[at:])
    return "".join(pieces), changes


def edit_outside(text: str, function: Callable[[str], str]) -> tuple[str, int]:
    """Apply `function` to the stretches between protected spans; return (text, number of stretches that changed)."""
    pieces: list[str] = []
    at = changes = 0
    for start, end in [*protected_spans(text), (len(text), len(text))]:
        stretch = text[at:start]
        new = function(stretch)
        changes += new != stretch
        pieces += [new, text[start:end]]
        at = end
    return ("".join(pieces), changes) if changes else (text, 0)
