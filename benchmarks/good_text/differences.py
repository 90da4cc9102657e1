"""Where two texts differ: what an edit took out and what it put there, place by place."""

from __future__ import annotations

import difflib
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

_NAME = re.compile(r"\[[A-Z][A-Z_ ]*\]")
_TOKEN = re.compile(rf"{_NAME.pattern}|[^\W_\u2e80-\U0003ffff]+|.", re.DOTALL)
"""Names of kinds as redaction writes them, words, and single signs (of scripts without blanks too)."""

MOST_TOKENS = 4000
"""Tokens between two anchors within which differences are looked for one by one; more are one difference."""


@dataclass(frozen=True)
class Change:
    """One place. start: where it begins in the text before, in characters; removed, put: what stood there and what
    stands there now, without what both share at their ends."""

    start: int
    removed: str
    put: str

    @property
    def end(self) -> int:
        return self.start + len(self.removed)


def changes(before: str, after: str) -> list[Change]:
    """Return all places where two texts differ, in order and apart.

    As patience diff does it: words that stand once in both texts are anchors, and in between the longest runs of tokens
    that both share. So an edit here and one there are two places, however long the line or the text.
    """
    if before == after:
        return []
    start, stop_before, stop_after = _middle(before, after)
    left, right = _TOKEN.findall(before[start:stop_before]), _TOKEN.findall(after[start:stop_after])
    at = [start]
    for token in left:
        at.append(at[-1] + len(token))
    found: list[Change] = []
    last_left = last_right = 0
    for one, other in [*_anchors(left, right), (len(left), len(right))]:
        for first, last, begin, end in _gap(left[last_left:one], right[last_right:other]):
            place = at[last_left + first]
            removed = "".join(left[last_left + first : last_left + last])
            found.append(Change(place, removed, "".join(right[last_right + begin : last_right + end])))
        last_left, last_right = one, other
    return _joined(before, found)


def _joined(before: str, found: Sequence[Change]) -> list[Change]:
    """Join a name of a kind with its neighbour where only a sign is between them.

    Of "1.2.3." that became "[IP]." it cannot be told which point stayed.
    """
    joined: list[Change] = []
    for change in found:
        last = joined[-1] if joined else None
        between = before[last.end : change.start] if last is not None else ""
        if last is not None and len(between) <= 1 and not between.isalnum() and _NAME.search(last.put + change.put):
            joined[-1] = Change(last.start, before[last.start : change.end], last.put + between + change.put)
        else:
            joined.append(change)
    return joined


def _middle(before: str, after: str) -> tuple[int, int, int]:
    """Return (where the texts first differ, where what they share at the end begins in each), at ends of words."""
    one, other = _points(before), _points(after)
    size = min(len(one), len(other))
    head = _shared(one[:size], other[:size])
    while head and before[head - 1].isalnum():
        head -= 1
    tail = _shared(one[::-1][: size - head], other[::-1][: size - head])
    while tail and before[-tail].isalnum():
        tail -= 1
    return head, len(one) - tail, len(other) - tail


def _points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)


def _shared(one: np.ndarray, other: np.ndarray) -> int:
    unequal = one != other
    return int(unequal.argmax()) if unequal.any() else len(one)


def _anchors(left: Sequence[str], right: Sequence[str]) -> list[tuple[int, int]]:
    """Return the places of the longest series of tokens that stand once in both, in the order of both."""
    counts, others = Counter(left), Counter(right)
    places = {token: place for place, token in enumerate(right) if others[token] == 1}
    pairs = [(place, places[token]) for place, token in enumerate(left) if counts[token] == 1 and token in places]
    ends: list[int] = []  # the least end of a rising series of each length
    series: list[int] = []
    before: list[int] = []
    for number, (_, place) in enumerate(pairs):
        length = bisect_left(ends, place)
        before.append(series[length - 1] if length else -1)
        ends[length : length + 1] = [place]
        series[length : length + 1] = [number]
    chosen: list[tuple[int, int]] = []
    number = series[-1] if series else -1
    while number >= 0:
        chosen.append(pairs[number])
        number = before[number]
    return chosen[::-1]


def _gap(left: Sequence[str], right: Sequence[str]) -> Iterator[tuple[int, int, int, int]]:
    """Yield (first, last, begin, end): left[first:last] became right[begin:end]."""
    size = min(len(left), len(right))
    head = next((place for place in range(size) if left[place] != right[place]), size)
    tail = next((place for place in range(size - head) if left[-1 - place] != right[-1 - place]), size - head)
    one, other = left[head : len(left) - tail], right[head : len(right) - tail]
    if not one and not other:
        return
    if not one or not other or max(len(one), len(other)) > MOST_TOKENS:
        yield head, head + len(one), head, head + len(other)
        return
    for kind, *places in difflib.SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        if kind != "equal":
            first, last, begin, end = places
            yield head + first, head + last, head + begin, head + end
