"""C4's rules as Dolma and NeMo Curator have them: whole lines go, or the paragraphs at one end of the document."""

from __future__ import annotations

import numpy as np

from autoclave.kernels.text.characters import WHITE_SPACE, character_width, decode
from autoclave.kernels.text.code_points import lower_byte
from autoclave.kernels.text.raw.memory import copy_bytes, inlined, kernel, load
from autoclave.kernels.text.rules.c4 import has_words
from autoclave.kernels.text.rules.search import find_phrases, phrase_tables
from autoclave.kernels.text.rules.segments import is_end_mark, strip_span
from autoclave.kernels.text.texts import SegmentSpans, Texts

CURLY, LOREM, JAVASCRIPT, JAVASCRIPT_WORDS, DROPPED = range(5)
"""Columns of `drop_lines`: lines with '{', 'lorem ipsum', 'javascript'; words that are 'javascript'; lines dropped."""

COLUMNS = 5

_HAS_CURLY, _HAS_LOREM, _HAS_JAVASCRIPT = 1, 2, 4
_JAVASCRIPT = np.frombuffer(b"javascript", dtype=np.uint8)
_PHRASES = phrase_tables([(b"{", _HAS_CURLY), (b"lorem ipsum", _HAS_LOREM), (b"javascript", _HAS_JAVASCRIPT)])


@inlined
def _count_word(data: np.ndarray, start: int, stop: int, word: np.ndarray, classes: np.ndarray) -> int:
    """Return how many words between white space equal the lower-case ASCII word, in any case."""
    count, at = 0, start
    while at < stop:
        if load(classes, decode(data, at)) & WHITE_SPACE:
            at += character_width(np.int64(load(data, at)))
            continue
        begin = at
        while at < stop and not load(classes, decode(data, at)) & WHITE_SPACE:
            at += character_width(np.int64(load(data, at)))
        same = 0
        while same < len(word) and begin + same < at:
            if lower_byte(load(data, begin + same)) != word[same]:
                break
            same += 1
        count += same == len(word) == at - begin
    return count


@kernel
def drop_lines(
    texts: Texts, classes: np.ndarray, applies: np.ndarray, lines: SegmentSpans, terminal: bool, min_words: int,
    edited: Texts, counts: np.ndarray,
) -> None:  # fmt: skip
    """Write the lines that stay, each with its newline, to `edited` (room for all bytes); fill int64 [texts, COLUMNS].

    applies: bool a text; others are copied. lines: the text between newlines. A line goes where it does not end in
    . ? ! or " before white space (terminal), or has fewer than min_words words. The other columns count over all
    lines, also those that go.
    """
    data, offsets = texts.data, texts.offsets
    size = 0
    for text in range(len(offsets) - 1):
        edited.offsets[text] = size
        for column in range(COLUMNS):
            counts[text, column] = 0
        if not applies[text]:
            copy_bytes(data, offsets[text], offsets[text + 1], edited.data, size)
            size += offsets[text + 1] - offsets[text]
            continue
        for line in range(lines.offsets[text], lines.offsets[text + 1]):
            first, last = np.int64(lines.start[line]), np.int64(lines.end[line])
            found = find_phrases(data, first, last, _PHRASES)
            counts[text, CURLY] += found & _HAS_CURLY != 0
            counts[text, LOREM] += found & _HAS_LOREM != 0
            if found & _HAS_JAVASCRIPT:
                counts[text, JAVASCRIPT] += 1
                counts[text, JAVASCRIPT_WORDS] += _count_word(data, first, last, _JAVASCRIPT, classes)
            inner, outer = strip_span(data, first, last, classes)
            mark = data[outer - 1] if outer > inner else 0
            ends = not terminal or is_end_mark(mark)
            if not ends or not has_words(data, inner, outer, classes, min_words):
                counts[text, DROPPED] += 1
                continue
            if line + 1 < lines.offsets[text + 1]:
                last += 1
            copy_bytes(data, first, last, edited.data, size)
            size += last - first
    edited.offsets[len(offsets) - 1] = size


@kernel
def cut_ends(
    texts: Texts, applies: np.ndarray, paragraphs: SegmentSpans, marked: np.ndarray, edited: Texts, removed: np.ndarray
) -> None:
    """Write the texts to `edited` without the marked paragraphs, where all of them stand together at one end.

    applies: bool a text; others are copied. marked: bool a paragraph. Nothing is cut where every paragraph is marked,
    or one stands anywhere else. removed (int32) counts paragraphs.
    """
    size = 0
    for text in range(len(texts.offsets) - 1):
        edited.offsets[text], removed[text] = size, 0
        begin, stop = texts.offsets[text], texts.offsets[text + 1]
        first, last = paragraphs.offsets[text], paragraphs.offsets[text + 1]
        count, lowest, highest = 0, -1, -1
        for paragraph in range(first, last):
            if marked[paragraph]:
                lowest = paragraph if count == 0 else lowest
                highest = paragraph
                count += 1
        together = 0 < count < last - first and highest - lowest + 1 == count
        if applies[text] and together and (lowest == first or highest == last - 1):
            removed[text] = count
            if lowest == first:
                begin = np.int64(paragraphs.start[highest + 1])
            else:
                stop = np.int64(paragraphs.end[lowest - 1])
        copy_bytes(texts.data, begin, stop, edited.data, size)
        size += stop - begin
    edited.offsets[len(texts.offsets) - 1] = size
