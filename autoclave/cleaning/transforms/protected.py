"""Spans of a text that edits leave alone: code, formulas, tables (the paper's sixth rule: keep Markdown and LaTeX).

Protected are fenced code blocks, inline code, lines indented by four blanks or a tab, rows of Markdown tables, and
LaTeX: environments, \\[...\\], \\(...\\), $$...$$ and $...$ (a dollar sign before a blank or after a letter is money).
All work is on UTF-8 bytes, so that nothing is decoded to be left as it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numba import njit

# An inline span ends in its paragraph, and within this many bytes; an environment within this many.
INLINE_BYTES = 10_000
FORMULA_BYTES = 1_500
ENVIRONMENT_BYTES = 100_000

NEWLINE, SPACE, TAB, TICK, TILDE, DOLLAR, BACKSLASH, PIPE = 10, 32, 9, 96, 126, 36, 92, 124


def protected_spans(text: bytes) -> list[tuple[int, int]]:
    """Return the (start, end) byte offsets of the protected spans of a UTF-8 text, in order, not overlapping."""
    data = np.frombuffer(text, dtype=np.uint8)
    spans = np.empty((64, 2), dtype=np.int64)
    count = find_spans(data, spans)
    if count > len(spans):
        spans = np.empty((count, 2), dtype=np.int64)
        count = find_spans(data, spans)
    return [(start, end) for start, end in spans[:count].tolist()]


@njit(cache=True, nogil=True)
def find_spans(data: np.ndarray, spans: np.ndarray) -> int:
    """Write the spans of a UTF-8 text into `spans` as far as they fit; return how many there are.

    data: uint8 [bytes]; spans: int64 [most, 2], (start, end) byte offsets.
    """
    size = data.shape[0]
    count, at = 0, int(np.int64(0))  # numba would compile what it is given to once more for a literal 0
    open_ticks = open_tildes = 1 << 30  # shortest fence that is known to have no end
    while at < size:
        end = at
        if at == 0 or data[at - 1] == NEWLINE:
            sign, length, begin = _fence(data, at)
            known = open_ticks if sign == TICK else open_tildes
            if sign and length < known:
                end = _fence_end(data, begin, sign, length)
                if end < 0:
                    end = at
                    if sign == TICK:
                        open_ticks = length
                    else:
                        open_tildes = length
            if end == at:
                end = _line_span(data, at)
        if end == at:
            byte = data[at]
            if byte == TICK:
                end = _ticks_end(data, at)
            elif byte == DOLLAR:
                end = _dollar_end(data, at)
            elif byte == BACKSLASH:
                end = _backslash_end(data, at)
        if end > at:
            if count < spans.shape[0]:
                spans[count, 0] = at
                spans[count, 1] = end
            count += 1
            at = end
        elif data[at] == TICK:
            while at < size and data[at] == TICK:
                at += 1
        elif data[at] == BACKSLASH:
            at += 2  # an escaped sign opens nothing
        else:
            at += 1
    return count


@njit(cache=True, nogil=True)
def _line_end(data: np.ndarray, at: int) -> int:
    while at < data.shape[0] and data[at] != NEWLINE:
        at += 1
    return at


@njit(cache=True, nogil=True)
def _line_span(data: np.ndarray, at: int) -> int:
    """End of an indented line or table row that begins at `at`; `at` itself where there is none."""
    size = data.shape[0]
    first = at
    while first < size and (data[first] == SPACE or data[first] == TAB):
        first += 1
    if first >= size or data[first] == NEWLINE:
        return at
    blanks = 0
    while blanks < 4 and data[at + blanks] == SPACE:
        blanks += 1
    if data[at] == TAB or blanks == 4:
        return _line_end(data, first)
    if data[first] == PIPE:
        end = _line_end(data, first)
        last = end - 1
        while last > first and (data[last] == SPACE or data[last] == TAB or data[last] == 13):
            last -= 1
        if last > first and data[last] == PIPE:
            return end
    return at


@njit(cache=True, nogil=True)
def _fence(data: np.ndarray, at: int) -> tuple[int, int, int]:
    """(sign, length, end) of a code fence on the line that begins at `at`; sign 0 where there is none.

    Indented by any amount: in a list, a fence stands as deep as the item's text.
    """
    size = data.shape[0]
    first = at
    while first < size and (data[first] == SPACE or data[first] == TAB):
        first += 1
    if first >= size or (data[first] != TICK and data[first] != TILDE):
        return 0, 0, at
    stop = first
    while stop < size and data[stop] == data[first]:
        stop += 1
    if stop - first < 3:
        return 0, 0, at
    return data[first], stop - first, stop


@njit(cache=True, nogil=True)
def _fence_end(data: np.ndarray, at: int, sign: int, length: int) -> int:
    """End of the line that closes a fence; -1 where none does."""
    size = data.shape[0]
    at = _line_end(data, at)
    while at < size:
        found, count, stop = _fence(data, at + 1)
        end = _line_end(data, at + 1)
        if found == sign and count >= length:
            blank = stop
            while blank < end and (data[blank] == SPACE or data[blank] == TAB or data[blank] == 13):
                blank += 1
            if blank == end:
                return end
        at = end
    return -1


@njit(cache=True, nogil=True)
def _ends_paragraph(data: np.ndarray, at: int) -> bool:
    """Whether the line end at `at` is followed by an empty line."""
    at += 1
    while at < data.shape[0] and (data[at] == SPACE or data[at] == TAB or data[at] == 13):
        at += 1
    return at < data.shape[0] and data[at] == NEWLINE


@njit(cache=True, nogil=True)
def _ticks_end(data: np.ndarray, at: int) -> int:
    """End of inline code that opens at `at`; `at` where nothing closes it in its paragraph."""
    size = data.shape[0]
    stop = at
    while stop < size and data[stop] == TICK:
        stop += 1
    length = stop - at
    limit = min(size, stop + INLINE_BYTES)
    while stop < limit:
        if data[stop] == TICK:
            first = stop
            while stop < size and data[stop] == TICK:
                stop += 1
            if stop - first == length:
                return stop
        elif data[stop] == NEWLINE and _ends_paragraph(data, stop):
            return at
        else:
            stop += 1
    return at


@njit(cache=True, nogil=True)
def _is_word(byte: int) -> bool:
    return 97 <= byte <= 122 or 65 <= byte <= 90 or 48 <= byte <= 57 or byte == 95


@njit(cache=True, nogil=True)
def _dollar_end(data: np.ndarray, at: int) -> int:
    """End of a formula in dollar signs that opens at `at`; `at` where there is none."""
    size = data.shape[0]
    if at + 1 >= size:
        return at
    if data[at + 1] == DOLLAR:
        stop, limit = at + 2, min(size - 1, at + INLINE_BYTES)
        while stop < limit:
            if data[stop] == DOLLAR and data[stop + 1] == DOLLAR and stop > at + 2:
                return stop + 2
            if data[stop] == NEWLINE and _ends_paragraph(data, stop):
                return at
            stop += 2 if data[stop] == BACKSLASH else 1
        return at
    if at > 0 and (_is_word(data[at - 1]) or data[at - 1] == DOLLAR):
        return at
    if data[at + 1] <= SPACE:
        return at
    stop, limit = at + 1, min(size, at + FORMULA_BYTES)
    while stop < limit and data[stop] != NEWLINE:
        if data[stop] == BACKSLASH:
            stop += 2
            continue
        if data[stop] == DOLLAR:
            followed = stop + 1 < size and (_is_word(data[stop + 1]) or data[stop + 1] == DOLLAR)
            return at if data[stop - 1] <= SPACE or followed else stop + 1
        stop += 1
    return at


@njit(cache=True, nogil=True)
def _backslash_end(data: np.ndarray, at: int) -> int:
    """End of \\[...\\], \\(...\\) or a LaTeX environment that opens at `at`; `at` where there is none."""
    size = data.shape[0]
    if at + 1 >= size:
        return at
    opening = data[at + 1]
    if opening == 91 or opening == 40:
        closing = 93 if opening == 91 else 41
        stop, limit = at + 2, min(size - 1, at + INLINE_BYTES)
        while stop < limit:
            if data[stop] == BACKSLASH:
                if data[stop + 1] == closing:
                    return stop + 2
                stop += 2
                continue
            if data[stop] == NEWLINE and _ends_paragraph(data, stop):
                return at
            stop += 1
        return at
    # \begin{name} ... \end{name}
    if at + 8 > size or data[at + 1] != 98 or data[at + 2] != 101 or data[at + 3] != 103 or data[at + 4] != 105:
        return at
    if data[at + 5] != 110 or data[at + 6] != 123:
        return at
    name = at + 7
    close = name
    while close < size and close - name < 40 and (_is_word(data[close]) or data[close] == 42):
        close += 1
    if close >= size or data[close] != 125 or close == name:
        return at
    length = close - name
    limit = min(size - length - 5, close + ENVIRONMENT_BYTES)
    for stop in range(close, limit):
        if data[stop] != BACKSLASH or data[stop + 1] != 101 or data[stop + 2] != 110 or data[stop + 3] != 100:
            continue
        if data[stop + 4] != 123 or data[stop + 5 + length] != 125:
            continue
        same = True
        for index in range(length):
            if data[stop + 5 + index] != data[name + index]:
                same = False
                break
        if same:
            return stop + 6 + length
    return at


def splice(text: bytes, edits: Iterable[tuple[int, int, bytes]]) -> tuple[bytes, int]:
    """Apply (start, end, new) edits, in order, of which an earlier one wins over one that overlaps it; return (text,
    changes)."""
    pieces: list[bytes] = []
    at = changes = 0
    for start, end, new in edits:
        if start >= at and text[start:end] != new:
            pieces += [text[at:start], new]
            at = end
            changes += 1
    if not changes:
        return text, 0
    pieces.append(text[at:])
    return b"".join(pieces), changes


def edit(text: bytes, edits: Iterable[tuple[int, int, bytes]]) -> tuple[bytes, int]:
    """Apply (start, end, new) edits, in order, but for those that touch a protected span; return (text, changes)."""
    wanted = [(start, end, new) for start, end, new in edits if text[start:end] != new]
    if not wanted:
        return text, 0
    return splice(text, _unprotected(wanted, protected_spans(text)))


def _unprotected(edits: list[tuple[int, int, bytes]], spans: list[tuple[int, int]]) -> Iterator[tuple[int, int, bytes]]:
    span = 0
    for start, end, new in edits:
        while span < len(spans) and spans[span][1] <= start:
            span += 1
        if span == len(spans) or spans[span][0] >= end:
            yield start, end, new


def edit_outside(text: bytes, function: Callable[[str], str]) -> tuple[bytes, int]:
    """Apply `function` to the stretches between protected spans; return (text, number of stretches that changed)."""
    return edit_pieces(text, lambda pieces: [function(piece) for piece in pieces[::2]])


def edit_pieces(text: bytes, function: Callable[[list[str]], list[str]]) -> tuple[bytes, int]:
    """Replace the stretches between protected spans; return (text, number of stretches that changed).

    `function` gets all pieces of the text, stretches at even places and what is protected between them, and returns
    the new stretches.
    """
    bounds = [0, *(place for span in protected_spans(text) for place in span), len(text)]
    pieces = [text[start:end].decode() for start, end in itertools.pairwise(bounds)]
    edited = function(pieces)
    changes = sum(new != old for new, old in zip(edited, pieces[::2], strict=True))
    if not changes:
        return text, 0
    pieces[::2] = edited
    return "".join(pieces).encode(), changes
