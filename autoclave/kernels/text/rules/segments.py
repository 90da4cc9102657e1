"""Lines and paragraphs of a batch: spans, lengths, hashes, flags, and how much of them is duplicated."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from autoclave.kernels.text.characters import (
    TERMINAL,
    WHITE_SPACE,
    character_width,
    count_characters,
    decode,
    step_back,
)
from autoclave.kernels.text.code_points import (
    ASTERISK,
    BLACK_CIRCLE,
    BULLET,
    DOUBLE_QUOTE,
    EXCLAMATION_MARK,
    FILE_SEPARATOR,
    FULL_STOP,
    HORIZONTAL_ELLIPSIS,
    HYPHEN,
    LEFT_BRACKET,
    LEFT_PARENTHESIS,
    NEWLINE,
    QUESTION_MARK,
    RECORD_SEPARATOR,
    RETURN,
    RIGHT_BRACKET,
    RIGHT_GUILLEMET,
    RIGHT_PARENTHESIS,
    SINGLE_QUOTE,
    SPACE,
    lower_byte,
)
from autoclave.kernels.text.raw.compare import BLOCK, below_mask, equal_mask
from autoclave.kernels.text.raw.memory import inlined, kernel, load, trailing_zeros
from autoclave.kernels.text.texts import SegmentSpans, Texts
from autoclave.kernels.text.words.kinds import hash_long

LINES, UNIVERSAL_LINES, LINE_RUNS, PARAGRAPHS, PARAGRAPH_RUNS = 0, 1, 2, 3, 4
"""How text is cut: text.split("\\n"), text.splitlines(), re.split("\\n+"), split("\\n\\n"), re.split("\\n{2,}")."""

MAX_BREAKS = 1 << 20
"""Line breaks of one document that are found; what follows is its last line (bounded memory)."""

BULLET_DATATROVE, BULLET_DCLM, BULLET_DOLMA, BULLET_CURATOR = 1, 2, 4, 8
"""Begins, after white space, with • or -; begins with ●•*-; begins with * or -; one of Curator's twelve marks."""

ELLIPSIS_DATATROVE, ELLIPSIS_DCLM, ELLIPSIS_DOLMA, ELLIPSIS_CURATOR = 16, 32, 64, 128
"""Ends, before white space, in ... or …; also in '. . .'; in … exactly; in ..., …, [...], -», 'read more' and alike."""

TERMINAL_END, MARK_END, BLANK = 256, 512, 1024
"""Last character is a sentence-final mark of any script; last before white space is one of .?!"'; only white space."""


class Breaks(NamedTuple):
    """Line breaks of all texts, in order: `find_line_breaks`, or each '\\n'.

    places, widths: int32[breaks], where each begins and its bytes.
    """

    places: np.ndarray
    widths: np.ndarray


class Cut(NamedTuple):
    """How texts are cut into segments.

    mode: LINES, ...; strip_text: strip the text first; strip: strip each segment; drop_blank: leave out what is only
    white space.
    """

    mode: int
    strip_text: bool = False
    strip: bool = False
    drop_blank: bool = False


_CURATOR_BULLETS = tuple(ord(mark) for mark in "•‣⁃⁌⁍∙○●◘◦⦾⦿")


@inlined
def strip_span(data: np.ndarray, start: int, stop: int, classes: np.ndarray) -> tuple[int, int]:
    """Return the span of data (uint8[bytes]) without white space at its ends, as str.strip(); classes:
    int32[0x110000]."""
    while start < stop and load(classes, decode(data, start)) & WHITE_SPACE:
        start += character_width(np.int64(load(data, start)))
    while stop > start:
        before = step_back(data, stop)
        if not load(classes, decode(data, before)) & WHITE_SPACE:
            break
        stop = before
    return start, stop


@kernel
def find_line_breaks(data: np.ndarray, breaks: Breaks) -> int:
    """Fill where str.splitlines() breaks data, uint8[bytes]; return how many breaks, no more than there is room for."""
    places, widths = breaks.places, breaks.widths
    count, at, stop, most = 0, 0, np.int64(len(data)), len(places)
    while at < stop and count < most:
        if at + BLOCK <= stop:
            look = below_mask(data, at, SPACE) | equal_mask(data, at, 0xC2) | equal_mask(data, at, 0xE2)
            if look == 0:
                at += BLOCK
                continue
            at += trailing_zeros(look)
        byte = load(data, at)
        width = 0
        if byte < SPACE:
            if NEWLINE <= byte <= RETURN or FILE_SEPARATOR <= byte <= RECORD_SEPARATOR:
                width = 2 if byte == RETURN and at + 1 < stop and load(data, at + 1) == NEWLINE else 1
        elif byte == 0xC2:  # U+0085
            width = 2 if load(data, at + 1) == 0x85 else 0
        elif byte == 0xE2:  # U+2028, U+2029
            width = 3 if load(data, at + 1) == 0x80 and load(data, at + 2) & 0xFE == 0xA8 else 0
        if width == 0:
            at += 1
            continue
        places[count], widths[count] = at, width
        count += 1
        at += width
    return count


@kernel
def find_newlines(data: np.ndarray, places: np.ndarray) -> int:
    """Fill places, integer[room], with where '\\n' is in data, uint8[bytes]; return how many, at most len(places)."""
    count, at, stop, most = 0, 0, np.int64(len(data)), len(places)
    while at + BLOCK <= stop and count < most:
        found = equal_mask(data, at, NEWLINE)
        while found and count < most:
            places[count] = at + trailing_zeros(found)
            count += 1
            found &= found - np.uint64(1)
        at += BLOCK
    while at < stop and count < most:
        if load(data, at) == NEWLINE:
            places[count] = at
            count += 1
        at += 1
    return count


@inlined
def _next_end(breaks: Breaks, at: int, stop: int, mode: int) -> tuple[int, int, int]:
    """Return (where the segment ends, the bytes of what ends it, the break after that), looking from break `at` on.

    At the end of the text no bytes end it.
    """
    places, count = breaks.places, len(breaks.places)
    while at < count and places[at] < stop:
        place, taken = np.int64(places[at]), np.int64(breaks.widths[at])
        at += 1
        if mode > LINES and mode != UNIVERSAL_LINES:
            while (
                at < count and places[at] < stop and places[at] == place + taken and (mode != PARAGRAPHS or taken < 2)
            ):
                taken += 1
                at += 1
        if taken > 1 or mode <= LINE_RUNS:  # a single break ends no paragraph
            return place, taken, at
    return stop, 0, at


@kernel
def split_segments(texts: Texts, classes: np.ndarray, breaks: Breaks, cut: Cut, segments: SegmentSpans) -> int:
    """Fill the spans of all segments (room for a segment a break and a text); return how many there are.

    classes: int32[0x110000], of `character_tables`.
    """
    data, offsets = texts.data, texts.offsets
    count, mark = 0, 0
    for text in range(len(offsets) - 1):
        segments.offsets[text] = count
        begin, stop = offsets[text], offsets[text + 1]
        if cut.strip_text:
            begin, stop = strip_span(data, begin, stop, classes)
        while mark < len(breaks.places) and breaks.places[mark] < begin:
            mark += 1
        taken = -1
        while taken != 0:
            at, taken, mark = _next_end(breaks, mark, stop, cut.mode)
            if taken == 0 and cut.mode == UNIVERSAL_LINES and begin == stop:
                break  # splitlines gives no last empty line
            first, last = begin, at
            keep = True
            if cut.strip or cut.drop_blank:
                inner, outer = strip_span(data, first, last, classes)
                if cut.strip:
                    first, last = inner, outer
                keep = not (cut.drop_blank and inner == outer)
            if keep:
                segments.start[count], segments.end[count] = first, last
                count += 1
            begin = at + taken
    segments.offsets[len(offsets) - 1] = count
    return count


@inlined
def ends_in_dots(data: np.ndarray, start: int, stop: int) -> bool:
    """Say whether data[start:stop], uint8[bytes], ends with '...'."""
    return (
        stop - start >= 3
        and load(data, stop - 1) == FULL_STOP
        and load(data, stop - 2) == FULL_STOP
        and load(data, stop - 3) == FULL_STOP
    )


@inlined
def is_end_mark(byte: int) -> bool:
    """Say whether the byte is one of . ? ! and the double quotation mark."""
    return byte == FULL_STOP or byte == QUESTION_MARK or byte == EXCLAMATION_MARK or byte == DOUBLE_QUOTE


@inlined
def _ends_with(data: np.ndarray, start: int, stop: int, word: np.ndarray) -> bool:
    """Say whether data[start:stop] ends with the ASCII word, in any case."""
    if stop - start < len(word):
        return False
    for index in range(len(word)):
        if lower_byte(data[stop - len(word) + index]) != word[index]:
            return False
    return True


_READ_MORE = np.frombuffer(b"read more", dtype=np.uint8)
_READ_MORE_DOTS = np.frombuffer(b"read more..", dtype=np.uint8)


@inlined
def _ends_in_spaced_dots(data: np.ndarray, start: int, stop: int) -> bool:
    """Say whether data[start:stop] ends with '. . .'."""
    return (
        stop - start >= 5
        and load(data, stop - 1) == FULL_STOP
        and load(data, stop - 2) == SPACE
        and load(data, stop - 3) == FULL_STOP
        and load(data, stop - 4) == SPACE
        and load(data, stop - 5) == FULL_STOP
    )


@inlined
def _is_curator_ellipsis(data: np.ndarray, start: int, stop: int, last: int) -> bool:
    """Say whether a stripped segment whose last character is `last` ends as NeMo Curator's list of ellipses has it.

    Its first two, ... and …, are everybody's, and are not looked for here.
    """
    size = stop - start
    if (last == RIGHT_BRACKET or last == RIGHT_PARENTHESIS) and size >= 5:
        opening = load(data, stop - 5)
        if opening == (LEFT_BRACKET if last == RIGHT_BRACKET else LEFT_PARENTHESIS):
            if ends_in_dots(data, start, stop - 1):
                return True
            if last == RIGHT_BRACKET and decode(data, step_back(data, stop - 1)) == HORIZONTAL_ELLIPSIS:
                return True
    if last == RIGHT_GUILLEMET and size >= 3 and load(data, stop - 3) == HYPHEN:
        return True
    return _ends_with(data, start, stop, _READ_MORE) or _ends_with(data, start, stop, _READ_MORE_DOTS)


@inlined
def _segment_flags(data: np.ndarray, start: int, stop: int, classes: np.ndarray) -> int:
    """Return the flags of data[start:stop]: first those of the text as it is, then those of the stripped text."""
    if start == stop:
        return BLANK
    flags = 0
    first, last = decode(data, start), decode(data, step_back(data, stop))
    if classes[last] & TERMINAL:
        flags |= TERMINAL_END
    if last == HORIZONTAL_ELLIPSIS:
        flags |= ELLIPSIS_DOLMA | ELLIPSIS_DCLM
    elif last == FULL_STOP and (ends_in_dots(data, start, stop) or _ends_in_spaced_dots(data, start, stop)):
        flags |= ELLIPSIS_DCLM
    if first == BLACK_CIRCLE or first == BULLET or first == ASTERISK or first == HYPHEN:
        flags |= BULLET_DCLM
    if first == ASTERISK or first == HYPHEN:
        flags |= BULLET_DOLMA
    start, stop = strip_span(data, start, stop, classes)
    if start == stop:
        return flags | BLANK
    first, last = decode(data, start), decode(data, step_back(data, stop))
    if first == BULLET or first == HYPHEN:
        flags |= BULLET_DATATROVE
    for mark in _CURATOR_BULLETS:
        if first == mark:
            flags |= BULLET_CURATOR
    if last == HORIZONTAL_ELLIPSIS or (last == FULL_STOP and ends_in_dots(data, start, stop)):
        flags |= ELLIPSIS_DATATROVE | ELLIPSIS_CURATOR
    elif _is_curator_ellipsis(data, start, stop, last):
        flags |= ELLIPSIS_CURATOR
    if is_end_mark(last) or last == SINGLE_QUOTE:
        flags |= MARK_END
    return flags


@kernel
def segment_flags(data: np.ndarray, classes: np.ndarray, segments: SegmentSpans, flags: np.ndarray) -> None:
    """Fill flags, int32[segments], from their spans in data, uint8[bytes]; classes: of `character_tables`."""
    for segment in range(len(segments.start)):
        first, last = np.int64(segments.start[segment]), np.int64(segments.end[segment])
        flags[segment] = _segment_flags(data, first, last, classes)


@kernel
def segment_hashes(data: np.ndarray, segments: SegmentSpans, chars: np.ndarray, hashes: np.ndarray) -> None:
    """Fill chars, int32[segments], and hashes, uint64[segments], from their spans in data, uint8[bytes]."""
    for segment in range(len(segments.start)):
        first, last = np.int64(segments.start[segment]), np.int64(segments.end[segment])
        chars[segment] = count_characters(data, first, last)
        hashes[segment] = hash_long(data, first, last)


@kernel
def count_flagged(flags: np.ndarray, mask: int, offsets: np.ndarray, out: np.ndarray) -> None:
    """Fill out[d] (int64[documents]) with how many segments of document d have one of the flags in `mask`.

    flags: int32[segments]; offsets: int64[documents + 1].
    """
    for document in range(len(offsets) - 1):
        count = 0
        for segment in range(offsets[document], offsets[document + 1]):
            count += np.int64(load(flags, segment)) & mask != 0
        out[document] = count


@kernel
def sum_values(values: np.ndarray, offsets: np.ndarray, out: np.ndarray) -> None:
    """Fill out[d] (int64[documents]) with the sum of values[offsets[d]:offsets[d + 1]], int32."""
    for document in range(len(offsets) - 1):
        total = 0
        for place in range(offsets[document], offsets[document + 1]):
            total += np.int64(load(values, place))
        out[document] = total


@njit(cache=True, nogil=True)
def count_duplicates(chars: np.ndarray, hashes: np.ndarray, offsets: np.ndarray, out: np.ndarray) -> None:
    """Fill out[d] = (segments, chars, repeated, chars of repeated, members, chars of members).

    `repeated` counts the second and later occurrences; `members` every occurrence of what occurs more than once.
    out: int64 [documents, 6].
    """
    most = 1
    for document in range(len(offsets) - 1):
        most = max(most, offsets[document + 1] - offsets[document])
    size = 4
    while size < 2 * most:
        size *= 2
    table = np.empty(size, np.int64)
    counts = np.empty(most, np.int64)
    for document in range(len(offsets) - 1):
        first, last = offsets[document], offsets[document + 1]
        size = 4
        while size < 2 * (last - first):
            size *= 2
        table[:size] = -1
        mask = np.uint64(size - 1)
        for column in range(6):
            out[document, column] = 0
        for segment in range(first, last):
            length = np.int64(chars[segment])
            out[document, 0] += 1
            out[document, 1] += length
            counts[segment - first] = 1
            slot = hashes[segment] & mask
            while table[slot] >= 0 and hashes[table[slot]] != hashes[segment]:
                slot = (slot + np.uint64(1)) & mask
            if table[slot] < 0:
                table[slot] = segment
                continue
            original = table[slot] - first
            out[document, 2] += 1
            out[document, 3] += length
            if counts[original] == 1:
                out[document, 4] += 1
                out[document, 5] += length
            counts[original] += 1
            out[document, 4] += 1
            out[document, 5] += length
