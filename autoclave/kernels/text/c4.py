"""C4's line rules: drops lines, takes citations out, and counts what decides over the document."""

from __future__ import annotations

import numpy as np
from numba import njit

from autoclave.kernels.text.characters import DECIMAL, SPACE, character_width, decode
from autoclave.kernels.text.search import find, find_lowered
from autoclave.kernels.text.segments import LINES, UNIVERSAL_LINES, _separator, strip_span
from autoclave.kernels.text.words import ALL_PUNCTUATION, SENTENCE_END

LINES_IN, LINES_KEPT, LONG_WORD, UNPUNCTUATED, FEW_WORDS, LOREM, JAVASCRIPT, CURLY, POLICY, CITATIONS = range(10)
"""Columns of `edit_lines`: lines; lines kept; lines dropped for a long word, no end mark, too few words; lines with
'lorem ipsum' that got that far; dropped for 'javascript'; with '{'; dropped for a policy phrase; citations removed."""

COLUMNS = 10

_CITATIONS = (np.frombuffer(b"[edit]", dtype=np.uint8), np.frombuffer(b"[citation needed]", dtype=np.uint8))
_LOREM = np.frombuffer(b"lorem ipsum", dtype=np.uint8)
_JAVASCRIPT = np.frombuffer(b"javascript", dtype=np.uint8)
_BRACKET = np.frombuffer(b"{", dtype=np.uint8)
_POLICIES = tuple(
    np.frombuffer(phrase, dtype=np.uint8)
    for phrase in (
        b"terms of use",
        b"privacy policy",
        b"cookie policy",
        b"uses cookies",
        b"use of cookies",
        b"use cookies",
    )
)
_P0, _P1, _P2, _P3, _P4, _P5 = _POLICIES
_EDIT, _NEEDED = _CITATIONS


@njit(cache=True, nogil=True)
def _citation(data: np.ndarray, at: int, stop: int, classes: np.ndarray) -> int:
    r"""Return the bytes of a citation mark at `at` ([12], [], [edit], [citation needed]); 0 for none."""
    inner = at + 1
    while inner < stop and classes[decode(data, inner)] & DECIMAL:
        inner += character_width(data[inner])
    if inner < stop and data[inner] == 0x5D:
        return inner + 1 - at
    if find(data, at, min(stop, at + len(_EDIT)), _EDIT, len(_EDIT)) == at:
        return len(_EDIT)
    if find(data, at, min(stop, at + len(_NEEDED)), _NEEDED, len(_NEEDED)) == at:
        return len(_NEEDED)
    return 0


@njit(cache=True, nogil=True)
def _count_words(data: np.ndarray, start: int, stop: int, classes: np.ndarray) -> tuple[int, int]:
    """Return (words between white space, characters of the longest)."""
    words, longest, length = 0, 0, 0
    at = start
    while at < stop:
        if classes[decode(data, at)] & SPACE:
            length = 0
        else:
            if length == 0:
                words += 1
            length += 1
            longest = max(longest, length)
        at += character_width(data[at])
    return words, longest


@njit(cache=True, nogil=True)
def _ends_well(data: np.ndarray, start: int, stop: int, quote: bool, trailing: bool, classes: np.ndarray) -> bool:
    """Say whether the line ends in . ? ! or " (with quote also ') and not in an ellipsis."""
    if trailing:
        _, stop = strip_span(data, start, stop, classes)
    if stop == start:
        return False
    last = data[stop - 1]
    if last == 0x2E:
        return not (stop - start >= 3 and data[stop - 2] == 0x2E and data[stop - 3] == 0x2E)
    return last == 0x3F or last == 0x21 or last == 0x22 or (quote and last == 0x27)


@njit(cache=True, nogil=True)
def _has_policy(data: np.ndarray, start: int, stop: int) -> bool:
    return (
        find_lowered(data, start, stop, _P0, len(_P0)) >= 0
        or find_lowered(data, start, stop, _P1, len(_P1)) >= 0
        or find_lowered(data, start, stop, _P2, len(_P2)) >= 0
        or find_lowered(data, start, stop, _P3, len(_P3)) >= 0
        or find_lowered(data, start, stop, _P4, len(_P4)) >= 0
        or find_lowered(data, start, stop, _P5, len(_P5)) >= 0
    )


@njit(cache=True, nogil=True)
def edit_lines(
    data: np.ndarray,
    offsets: np.ndarray,
    classes: np.ndarray,
    applies: np.ndarray,
    strip_lines: bool,
    terminal: bool,
    quote: bool,
    min_words: int,
    max_word: int,
    citations: bool,
    javascript: bool,
    policy: bool,
    out: np.ndarray,
    out_offsets: np.ndarray,
    counts: np.ndarray,
) -> None:
    """Write the edited documents to `out` (room for all of data) and the columns LINES_IN to CITATIONS.

    applies: bool per document; others are copied. strip_lines: cut with splitlines, strip each line and drop empty
    ones (datatrove), else cut at '\\n' and keep empty lines (DCLM). Rules over the document never cut the work short,
    so that the edit does not depend on their limits: a line with '{' goes on as if the rule were not there.
    """
    size = 0
    mode = UNIVERSAL_LINES if strip_lines else LINES
    for document in range(len(offsets) - 1):
        out_offsets[document] = size
        counts[document, :] = 0
        at, stop = offsets[document], offsets[document + 1]
        if not applies[document]:
            out[size : size + stop - at] = data[at:stop]
            size += stop - at
            continue
        begin, any_kept = size, False
        while at <= stop:
            line = at
            taken = 0
            while at < stop:
                taken = _separator(data, at, stop, mode, classes)
                if taken:
                    break
                at += 1
            first, last = line, at
            final = taken == 0
            at += taken
            if final and strip_lines and first == last:
                break
            if strip_lines:
                first, last = strip_span(data, first, last, classes)
            counts[document, LINES_IN] += 1
            words, longest = _count_words(data, first, last, classes)
            kept_from = size
            if any_kept:
                out[size] = 10
                size += 1
            text = size
            keep = longest <= max_word or max_word < 0
            if not keep:
                counts[document, LONG_WORD] += 1
            else:
                byte = first
                while byte < last:
                    mark = _citation(data, byte, last, classes) if citations and data[byte] == 0x5B else 0
                    if mark:
                        counts[document, CITATIONS] += 1
                        byte += mark
                    else:
                        out[size] = data[byte]
                        size += 1
                        byte += 1
                keep = _keep_line(
                    out,
                    text,
                    size,
                    classes,
                    words,
                    strip_lines,
                    terminal,
                    quote,
                    min_words,
                    javascript,
                    policy,
                    counts[document],
                )
            if keep:
                any_kept = True
                counts[document, LINES_KEPT] += 1
            else:
                size = kept_from
            if final:
                break
        first, last = strip_span(out, begin, size, classes)
        for byte in range(last - first):
            out[begin + byte] = out[first + byte]
        size = begin + last - first
    out_offsets[len(offsets) - 1] = size


@njit(cache=True, nogil=True)
def _keep_line(
    out: np.ndarray,
    text: int,
    size: int,
    classes: np.ndarray,
    words: int,
    strip_lines: bool,
    terminal: bool,
    quote: bool,
    min_words: int,
    javascript: bool,
    policy: bool,
    counts: np.ndarray,
) -> bool:
    """Apply the rules after citations are gone, in C4's order; count what each finds."""
    if not strip_lines and text == size:
        return True
    if terminal and not _ends_well(out, text, size, quote, not strip_lines, classes):
        counts[UNPUNCTUATED] += 1
        return False
    if not strip_lines:
        words = _count_words(out, text, size, classes)[0]
    if words < min_words:
        counts[FEW_WORDS] += 1
        return False
    if find_lowered(out, text, size, _LOREM, len(_LOREM)) >= 0:
        counts[LOREM] += 1
    if javascript and find_lowered(out, text, size, _JAVASCRIPT, len(_JAVASCRIPT)) >= 0:
        counts[JAVASCRIPT] += 1
        return False
    if find(out, text, size, _BRACKET, 1) >= 0:
        counts[CURLY] += 1
    if policy and _has_policy(out, text, size):
        counts[POLICY] += 1
        return False
    return True


@njit(cache=True, nogil=True)
def count_line_sentences(
    data: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    flags: np.ndarray,
    word_offsets: np.ndarray,
    out: np.ndarray,
) -> None:
    """Fill out[d] (int64) with the sentences of a document, each line on its own.

    A sentence ends at a token that is one sentence-final mark, before the next token that is no punctuation
    (spaCy's sentencizer); what is left on a line is a sentence too.
    """
    for document in range(len(word_offsets) - 1):
        sentences, waiting, inside = 0, False, False
        previous = -1
        for word in range(word_offsets[document], word_offsets[document + 1]):
            if previous >= 0:
                for at in range(previous, start[word]):
                    if data[at] == 10:
                        sentences += 1
                        waiting = inside = False
                        break
            if flags[word] & SENTENCE_END:
                waiting = True
            elif waiting and not flags[word] & ALL_PUNCTUATION:
                sentences += 1
                waiting = False
            inside = True
            previous = end[word]
        out[document] = sentences + (1 if inside else 0)
