"""Words by the Unicode rules (UAX #29, word boundaries WB3 to WB16) that begin with a letter or a digit.

This is what DCLM counts for repetition: `uniseg` words whose first character is alphanumeric. The properties are
derived from `unicodedata`, with the short lists of marks from the annex; WB3c (emoji joined to what comes before) is
left out, because no word that it concerns begins with a letter.
"""

from __future__ import annotations

import functools
import unicodedata

import numpy as np

from autoclave.kernels.text.characters import (
    ALNUM,
    ALPHA,
    DECIMAL,
    HAN,
    HEBREW,
    HIRAGANA,
    KATAKANA,
    KHMER,
    LAO,
    MYANMAR,
    THAI,
    character_tables,
    character_width,
    decode,
)
from autoclave.kernels.text.raw.memory import kernel, load
from autoclave.kernels.text.texts import Texts
from autoclave.kernels.text.words.arrays import Words
from autoclave.kernels.text.words.split import MAX_WORDS

OTHER, LETTER, HEBREW_LETTER, NUMERIC, KANA, CONNECTOR, MID_LETTER, MID_NUMBER, MID_BOTH, SINGLE, DOUBLE = range(11)
IGNORED, BREAK, SPACES, REGIONAL = 11, 12, 13, 14

_MID_LETTER = ":·\u0387\u055f\u05f4‧︓﹕："
_MID_NUMBER = ",;\u037e\u0589\u060c\u060d\u066c\u07f8⁄︐︔﹐﹔，；"
_MID_BOTH = ".‘’․﹒＇．"
_LETTER_MARKS = (
    (0x2C2, 0x2C5), (0x2D2, 0x2D7), (0x2DE, 0x2DF), (0x2E5, 0x2EB), (0x2ED, 0x2ED), (0x2EF, 0x2FF), (0x55A, 0x55C),
    (0x55E, 0x55E), (0x58A, 0x58A), (0x5F3, 0x5F3), (0x70F, 0x70F), (0x24B6, 0x24E9), (0xA708, 0xA716),
    (0xA720, 0xA721), (0xA789, 0xA78A), (0xAB5B, 0xAB5B), (0x1F130, 0x1F149), (0x1F150, 0x1F169), (0x1F170, 0x1F189),
)  # fmt: skip
"""Marks that the annex counts as letters."""

_NO_LETTERS = (
    (0x1950, 0x1974), (0x1980, 0x19C9), (0x1A20, 0x1A54), (0xAA80, 0xAADF), (0x11700, 0x1173F), (0x17000, 0x18D08),
    (0x1AFF0, 0x1B122), (0x1B150, 0x1B167), (0x1B170, 0x1B2FB),
)  # fmt: skip
"""Letters of scripts without spaces (Tai, Ahom) and further ideographs and kana, each a word of its own."""

_KANA = "\u3031\u3032\u3033\u3034\u3035\u309b\u309c\u30a0\u30fc\uff70"


@functools.cache
def word_break_table() -> np.ndarray:
    """Return the word-break property of every code point, uint8[0x110000]."""
    classes, scripts = character_tables()
    table = np.zeros(0x110000, dtype=np.uint8)
    unspaced = np.isin(scripts, (HAN, HIRAGANA, THAI, LAO, KHMER, MYANMAR))
    table[(classes & ALPHA != 0) & ~unspaced] = LETTER
    table[classes & DECIMAL != 0] = NUMERIC
    table[scripts == KATAKANA] = KANA
    table[(scripts == HEBREW) & (classes & ALPHA != 0)] = HEBREW_LETTER
    for start, stop in ((0, 0x20000), (0xE0000, 0xE0200)):
        names = np.array([unicodedata.category(chr(point)) for point in range(start, stop)])
        part = table[start:stop]
        part[np.isin(names, ("Mn", "Me", "Mc", "Cf"))] = IGNORED
        part[names == "Pc"] = CONNECTOR
        part[names == "Nl"] = LETTER
        part[names == "Zs"] = SPACES
    for ranges, value in ((_LETTER_MARKS, LETTER), (_NO_LETTERS, OTHER)):
        for first, last in ranges:
            table[first : last + 1] = value
    for marks, value in (
        (_MID_LETTER, MID_LETTER),
        (_MID_NUMBER, MID_NUMBER),
        (_MID_BOTH, MID_BOTH),
        ("'", SINGLE),
        ('"', DOUBLE),
        (_KANA, KANA),
        ("\n\r\x0b\x0c\x85\u2028\u2029", BREAK),
        ("\u202f", CONNECTOR),
        ("\u00a0\u2007\u3005\u3006\u3007\u200b", OTHER),
        ("\u02d7", LETTER),
    ):
        table[[ord(mark) for mark in marks]] = value
    table[0x1F1E6:0x1F200] = REGIONAL
    table[0x1F3FB:0x1F400] = IGNORED
    table.setflags(write=False)
    return table


@kernel
def _after(data: np.ndarray, at: int, stop: int, table: np.ndarray) -> int:
    """Return the property of the first character from `at` on that is not ignored; OTHER at the end."""
    while at < stop:
        value = np.int64(load(table, decode(data, at)))
        if value != IGNORED:
            return value
        at += character_width(np.int64(load(data, at)))
    return OTHER


@kernel
def _joins(before: int, left: int, right: int, after: int, regionals: int) -> bool:
    """Say whether no word boundary lies between characters of the properties left and right (WB5 to WB16).

    before: the property before left; after: the one after right; regionals: regional indicators up to left.
    """
    letter = left in (LETTER, HEBREW_LETTER)
    next_letter = right in (LETTER, HEBREW_LETTER)
    if letter and (next_letter or right == NUMERIC):
        return True
    if left == NUMERIC and (right == NUMERIC or next_letter):
        return True
    mid_letter = right in (MID_LETTER, MID_BOTH, SINGLE)
    if letter and mid_letter and (after in (LETTER, HEBREW_LETTER)):
        return True
    was_mid_letter = left in (MID_LETTER, MID_BOTH, SINGLE)
    if next_letter and was_mid_letter and (before in (LETTER, HEBREW_LETTER)):
        return True
    if left == HEBREW_LETTER and (right == SINGLE or (right == DOUBLE and after == HEBREW_LETTER)):
        return True
    if right == HEBREW_LETTER and left == DOUBLE and before == HEBREW_LETTER:
        return True
    if right == NUMERIC and before == NUMERIC and (left in (MID_NUMBER, MID_BOTH, SINGLE)):
        return True
    if left == NUMERIC and after == NUMERIC and (right in (MID_NUMBER, MID_BOTH, SINGLE)):
        return True
    if left == KANA and right == KANA:
        return True
    if right == CONNECTOR and (letter or left in (NUMERIC, KANA, CONNECTOR)):
        return True
    if left == CONNECTOR and (next_letter or right in (NUMERIC, KANA)):
        return True
    if left == SPACES and right == SPACES:
        return True
    return left == REGIONAL and right == REGIONAL and regionals % 2 == 1


@kernel
def split_unicode_words(texts: Texts, classes: np.ndarray, table: np.ndarray, words: Words) -> int:
    """Fill the spans (start, end, offsets) of the words that begin with a letter or digit; return their number.

    classes: int32[0x110000], of `character_tables`; table: uint8[0x110000], of `word_break_table`.
    """
    data, offsets = texts.data, texts.offsets
    count = 0
    for text in range(len(offsets) - 1):
        words.offsets[text] = count
        limit = count + MAX_WORDS
        at, stop = offsets[text], offsets[text + 1]
        while at < stop and count < limit:
            begin = at
            point = decode(data, at)
            kept = load(classes, point) & ALNUM != 0
            left, before, regionals = np.int64(load(table, point)), OTHER, 0
            if left == REGIONAL:
                regionals = 1
            at += character_width(np.int64(load(data, at)))
            last_raw = left
            while at < stop:
                right = np.int64(load(table, decode(data, at)))
                width = character_width(np.int64(load(data, at)))
                if left == BREAK or right == BREAK:
                    break
                if right == IGNORED:
                    last_raw = right
                    at += width
                    continue
                after = OTHER
                if right >= MID_LETTER and right <= DOUBLE:
                    after = _after(data, at + width, stop, table)
                spaces_apart = right == SPACES and last_raw == IGNORED
                if spaces_apart or not _joins(before, left, right, after, regionals):
                    break
                if right == REGIONAL:
                    regionals += 1
                before, left, last_raw = left, right, right
                at += width
            if kept:
                words.start[count], words.end[count] = begin, at
                count += 1
    words.offsets[len(offsets) - 1] = count
    return count
