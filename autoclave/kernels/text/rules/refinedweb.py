"""RefinedWeb's line rules: which lines go at once, which need a closer look, and the text that is left."""

from __future__ import annotations

import numpy as np

from autoclave.kernels.text.characters import (
    ALNUM,
    DECIMAL,
    DIGIT,
    UPPER,
    WHITE_SPACE,
    character_width,
    decode,
    step_back,
)
from autoclave.kernels.text.code_points import (
    ASCII_LIMIT,
    CAPITAL_A,
    CAPITAL_Z,
    CASE_BIT,
    DIGIT_0,
    DIGIT_9,
    NEWLINE,
    SPACE,
    UNDERSCORE,
)
from autoclave.kernels.text.raw.compare import BLOCK, below_mask, equal_mask, within
from autoclave.kernels.text.raw.memory import (
    ALL_BITS,
    TOP_BITS,
    bytes_below,
    bytes_equal,
    copy_bytes,
    count_bits,
    inlined,
    kernel,
    load,
    load64,
)
from autoclave.kernels.text.rules.search import find_phrases, phrase_tables
from autoclave.kernels.text.rules.segments import strip_span
from autoclave.kernels.text.texts import SegmentSpans, Texts

KEEP, DROP, LOOK = 0, 1, 2

_PHRASES = phrase_tables([(b"items in cart", 1), (b"read more", 1), (b"sign-in", 1)])
_NOTHING, _1, _7, _8, _56, _63, _TOP_BIT = (np.uint64(value) for value in (0, 1, 7, 8, 56, 63, 0x80))
_S = ord("s")
_FOLDED = tuple(ord(letter) for letter in "İıſ")
"""Letters that a pattern without case takes for an ASCII i or s."""


@inlined
def _final_letter(data: np.ndarray, first: int, stop: int, classes: np.ndarray) -> int:
    """Return the last letter, digit or underscore of data[first:stop]; 0 where there is none."""
    while stop > first:
        stop = step_back(data, stop)
        point = decode(data, stop)
        if load(classes, point) & ALNUM or point == UNDERSCORE:
            return point
    return 0


@kernel
def judge_lines(data: np.ndarray, lines: SegmentSpans, classes: np.ndarray, verdict: np.ndarray) -> None:
    """Fill verdict, uint8[lines]: DROP, KEEP, or LOOK for lines that a pattern may match.

    data: uint8[bytes]; classes: int32[0x110000], of `character_tables`.

    Dropped: more than half upper case, all digits, or a single word. Looked at: lines of two to ten words with a digit
    whose last letter is an s (a counter, '3,402 likes'), or with one of the phrases that are taken out.
    """
    for line in range(len(lines.start)):
        first, stop = np.int64(lines.start[line]), np.int64(lines.end[line])
        at = first
        chars, upper, digits, words, decimals, apart, folded = 0, 0, 0, 0, 0, _TOP_BIT, False
        while at < stop:
            if at + BLOCK <= len(data):
                valid, spaces = within(ALL_BITS, at, stop), equal_mask(data, at, SPACE)
                if valid & (below_mask(data, at, SPACE) | ~below_mask(data, at, ASCII_LIMIT)) == 0:
                    words += count_bits(~spaces & (spaces << _1 | apart >> _7) & valid)
                    apart = spaces >> _63 << _7
                    upper += count_bits(below_mask(data, at, CAPITAL_Z + 1) & ~below_mask(data, at, CAPITAL_A) & valid)
                    numbers = count_bits(below_mask(data, at, DIGIT_9 + 1) & ~below_mask(data, at, DIGIT_0) & valid)
                    digits += numbers
                    decimals += numbers
                    chars += count_bits(valid)
                    at += BLOCK
                    continue
            if at + 8 <= stop:
                eight = load64(data, at)
                controls = bytes_below(eight, SPACE)
                if eight & TOP_BITS == 0 and controls == 0:
                    spaces = bytes_equal(eight, SPACE)
                    words += count_bits(~spaces & (spaces << _8 | apart) & TOP_BITS)
                    apart = spaces >> _56
                    upper += count_bits(bytes_below(eight, CAPITAL_Z + 1) & ~bytes_below(eight, CAPITAL_A))
                    numbers = count_bits(bytes_below(eight, DIGIT_9 + 1) & ~bytes_below(eight, DIGIT_0))
                    digits += numbers
                    decimals += numbers
                    chars += 8
                    at += 8
                    continue
            point = decode(data, at)
            bits = np.int64(load(classes, point))
            chars += 1
            upper += bits & UPPER != 0
            digits += bits & DIGIT != 0
            decimals += bits & DECIMAL != 0
            if bits & WHITE_SPACE:
                apart = _TOP_BIT
            else:
                words += apart != 0
                apart = _NOTHING
            if point >= ASCII_LIMIT:
                folded = folded or point in _FOLDED
                at += character_width(np.int64(load(data, at)))
            else:
                at += 1
        verdict[line] = KEEP
        if chars == 0:
            continue
        if 2 * upper > chars or digits > 0.999999 * chars or words < 2:
            verdict[line] = DROP
        elif words <= 10:
            counter = decimals > 0 and _final_letter(data, first, stop, classes) | CASE_BIT == _S
            if counter or folded or find_phrases(data, first, stop, _PHRASES):
                verdict[line] = LOOK


@kernel
def keep_lines(
    texts: Texts, classes: np.ndarray, applies: np.ndarray, lines: SegmentSpans, verdict: np.ndarray, rewritten: Texts,
    edited: Texts, dropped: np.ndarray,
) -> None:  # fmt: skip
    """Write the lines that are not dropped, joined by newlines and stripped, to `edited`.

    applies: bool a text; others are copied. verdict: DROP, KEEP, or LOOK for the lines whose new texts are those of
    `rewritten`, in order. edited: room for all bytes and one more a text. dropped (int32) counts lines a text.
    """
    data, offsets, out = texts.data, texts.offsets, edited.data
    size, looked = 0, 0
    for text in range(len(offsets) - 1):
        edited.offsets[text], dropped[text] = size, 0
        if not applies[text]:
            copy_bytes(data, offsets[text], offsets[text + 1], out, size)
            size += offsets[text + 1] - offsets[text]
            continue
        begin, joined = size, False
        for line in range(lines.offsets[text], lines.offsets[text + 1]):
            if verdict[line] == DROP:
                dropped[text] += 1
                continue
            if joined:
                out[size] = NEWLINE
                size += 1
            joined = True
            if verdict[line] == LOOK:
                first, last = rewritten.offsets[looked], rewritten.offsets[looked + 1]
                copy_bytes(rewritten.data, first, last, out, size)
                looked += 1
            else:
                first, last = np.int64(lines.start[line]), np.int64(lines.end[line])
                copy_bytes(data, first, last, out, size)
            size += last - first
        first, last = strip_span(out, begin, size, classes)
        if first > begin:
            for byte in range(last - first):
                out[begin + byte] = out[first + byte]
        size = begin + last - first
    edited.offsets[len(offsets) - 1] = size
