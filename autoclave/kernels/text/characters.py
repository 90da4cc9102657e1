"""What a character is: one table of class bits and one of scripts, indexed by code point.

The classes are those of the running Python's `str` methods and `unicodedata`, so that a kernel and a plain Python
oracle agree by construction. Planes beyond 1 hold ideographs and unassigned code points only, which is why they are
filled by blocks instead of being asked about one by one.
"""

from __future__ import annotations

import functools
import unicodedata
from typing import NamedTuple

import numpy as np

from autoclave.kernels.text.code_points import ASCII_LIMIT
from autoclave.kernels.text.raw.memory import TOP_BITS, count_bits, inlined, kernel, load, load64

WHITE_SPACE, ALPHA, DIGIT, ALNUM, UPPER, LOWER, PUNCTUATION, SYMBOL = 1, 2, 4, 8, 16, 32, 64, 128
LINE_BREAK, DECIMAL, TERMINAL, DATATROVE_PUNCTUATION, IDEOGRAPH = 256, 512, 1024, 2048, 4096
"""Bits of the class table: str.isspace, isalpha, isdigit, isalnum, isupper, islower; categories P and S;
str.splitlines breaks; category Nd; sentence-final marks; datatrove's punctuation; Han."""

CONTROL, QUOTE, CURRENCY, ATTACHED = 8192, 16384, 32768, 65536
"""Category C without spaces; quotation marks and brackets; currency signs; characters split off the ends of words."""

HASH, ELLIPSIS, UNSPACED, DOT, ADDRESS, APOSTROPHE, KANA = (1 << bit for bit in range(17, 24))
"""The character #; the character …; letters of scripts that put no spaces between words; a full stop; one of : / @;
an apostrophe; hiragana and katakana."""

LATIN, HAN, HIRAGANA, KATAKANA, HANGUL, THAI, LAO, KHMER, MYANMAR = 1, 2, 3, 4, 5, 6, 7, 8, 9
CYRILLIC, ARABIC, DEVANAGARI, GREEK, HEBREW, OTHER_SCRIPT = 10, 11, 12, 13, 14, 15
_SCRIPT_NAMES = (
    "none latin han hiragana katakana hangul thai lao khmer myanmar cyrillic arabic devanagari greek hebrew other"
)
SCRIPTS = _SCRIPT_NAMES.split()
"""Names of the scripts, by their number in the script table; 'none' is for what belongs to all (digits, marks)."""

_SCRIPT_RANGES = (
    (LATIN, ((0x41, 0x5A), (0x61, 0x7A), (0xAA, 0xAA), (0xBA, 0xBA), (0xC0, 0xD6), (0xD8, 0xF6), (0xF8, 0x2AF))),
    (LATIN, ((0x1E00, 0x1EFF), (0x2C60, 0x2C7F), (0xA722, 0xA7FF), (0xFF21, 0xFF3A), (0xFF41, 0xFF5A))),
    (GREEK, ((0x370, 0x3FF), (0x1F00, 0x1FFF))),
    (CYRILLIC, ((0x400, 0x52F), (0x1C80, 0x1C8F), (0x2DE0, 0x2DFF), (0xA640, 0xA69F))),
    (HEBREW, ((0x591, 0x5F4), (0xFB1D, 0xFB4F))),
    (ARABIC, ((0x600, 0x6FF), (0x750, 0x77F), (0x8A0, 0x8FF), (0xFB50, 0xFDFF), (0xFE70, 0xFEFC))),
    (DEVANAGARI, ((0x900, 0x97F), (0xA8E0, 0xA8FF))),
    (THAI, ((0xE01, 0xE3A), (0xE40, 0xE4E))),
    (LAO, ((0xE81, 0xECD), (0xEDC, 0xEDF))),
    (MYANMAR, ((0x1000, 0x109F), (0xA9E0, 0xA9FE), (0xAA60, 0xAA7F))),
    (KHMER, ((0x1780, 0x17D3), (0x17D7, 0x17D7), (0x17DC, 0x17DD))),
    (HANGUL, ((0x1100, 0x11FF), (0x3131, 0x318E), (0xA960, 0xA97C), (0xAC00, 0xD7FB))),
    (HIRAGANA, ((0x3041, 0x3096), (0x309D, 0x309F))),
    (KATAKANA, ((0x30A1, 0x30FA), (0x30FC, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9D))),
    (HAN, ((0x3005, 0x3007), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAD9), (0x20000, 0x323AF))),
)

_TERMINAL = (
    "!.?։؞؟۔܀܁܂߹।॥၊။።፧፨᙮᜵᜶᠃᠉᥄᥅᪨᪩᪪᪫᭚᭛᭞᭟᰻᰼᱾᱿‼‽⁇⁈⁉⸮⸼꓿꘎꘏꛳꛷꡶꡷꣎꣏꤯꧈꧉꩝꩞꩟꫰꫱꯫﹒﹖﹗！．？｡。៖៕។៚៙࠷࠹࠽࠾"
    "\u061d\u1b7d\u1b7e\u2e53\u2e54\U00010a56\U00010a57\U00010f55\U00010f56\U00010f57\U00010f58\U00010f59\U00010f86"
    "\U00010f87\U00010f88\U00010f89\U00011047\U00011048\U000110be\U000110bf\U000110c0\U000110c1\U00011141\U00011142"
    "\U00011143\U000111c5\U000111c6\U000111cd\U000111de\U000111df\U00011238\U00011239\U0001123b\U0001123c\U000112a9"
    "\U0001144b\U0001144c\U000115c2\U000115c3\U000115c9\U000115ca\U000115cb\U000115cc\U000115cd\U000115ce\U000115cf"
    "\U000115d0\U000115d1\U000115d2\U000115d3\U000115d4\U000115d5\U000115d6\U000115d7\U00011641\U00011642\U0001173c"
    "\U0001173d\U0001173e\U00011944\U00011946\U00011a42\U00011a43\U00011a9b\U00011a9c\U00011c41\U00011c42\U00011ef7"
    "\U00011ef8\U00011f43\U00011f44\U00016a6e\U00016a6f\U00016af5\U00016b37\U00016b38\U00016b44\U00016e98\U0001bc9f"
    "\U0001da88"
)
"""Sentence-final marks of all scripts: Unicode's Sentence_Terminal with its relatives, as FineWeb counts them."""

_DATATROVE_ENDS = "!/—”:％１〈&(、━\\【#%「」，】；+^]~“《„';’{|∶´[=-`*．（–？！：$～«〉,><》)?）。…@_.\"}►»"
"""The marks that datatrove 0.10 calls punctuation, besides control characters and the sentence-final marks."""

_ATTACHED = "…,:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪§%=—–\"'“”‘’‚„`´»«「」『』（）〔〕【】《》〈〉⟦⟧"
"""Marks that English tokenisers (spaCy's rules) split off the beginning and the end of a word."""

_QUOTES = "\"'“”‘’‚„`´»«「」『』（）〔〕【】《》〈〉⟦⟧"


def _block(start: int, stop: int) -> np.ndarray:
    """Return the class bits of the code points [start, stop)."""
    letters = [chr(point) for point in range(start, stop)]
    category = [unicodedata.category(letter) for letter in letters]
    bits = np.zeros(stop - start, dtype=np.int32)
    for bit, test in (
        (WHITE_SPACE, str.isspace),
        (ALPHA, str.isalpha),
        (DIGIT, str.isdigit),
        (ALNUM, str.isalnum),
        (UPPER, str.isupper),
        (LOWER, str.islower),
    ):
        bits[np.fromiter(map(test, letters), np.bool_, stop - start)] |= bit
    groups = np.array([name[0] for name in category])
    bits[groups == "P"] |= PUNCTUATION
    bits[groups == "S"] |= SYMBOL
    bits[(groups == "C") & (bits & WHITE_SPACE == 0)] |= CONTROL
    names = np.array(category)
    bits[names == "Nd"] |= DECIMAL
    bits[names == "Sc"] |= CURRENCY | ATTACHED
    bits[(names == "So") & (np.arange(start, stop) > 0xFF)] |= ATTACHED
    return bits


class CharacterTables(NamedTuple):
    """What each code point is: classes: int32 [0x110000], its class bits; scripts: uint8 [0x110000], its script."""

    classes: np.ndarray
    scripts: np.ndarray


@functools.cache
def character_tables() -> CharacterTables:
    """Return the tables, read-only; about a tenth of a second, once a process."""
    classes = np.zeros(0x110000, dtype=np.int32)
    classes[:0x20000] = _block(0, 0x20000)
    classes[0xE0000:0xE0200] = _block(0xE0000, 0xE0200)
    classes[0xF0000:] = CONTROL
    scripts = np.zeros(0x110000, dtype=np.uint8)
    scripts[:0x20000][classes[:0x20000] & ALPHA != 0] = OTHER_SCRIPT
    for script, ranges in _SCRIPT_RANGES:
        for first, last in ranges:
            scripts[first : last + 1] = script
    for start in range(0x20000, 0x40000, 0x100):  # ideographs or nothing, but for the rows where a block ends
        first, last = (unicodedata.category(chr(point)) for point in (start, start + 0xFF))
        if first == last == "Lo":
            classes[start : start + 0x100] = ALPHA | ALNUM
        elif first == last == "Cn" and start % 0x10000 < 0xF800:
            classes[start : start + 0x100] = CONTROL
        else:
            classes[start : start + 0x100] = _block(start, start + 0x100)
    classes[scripts == HAN] |= IDEOGRAPH
    classes[(scripts == HIRAGANA) | (scripts == KATAKANA)] |= KANA
    classes[(scripts >= HAN) & (scripts <= MYANMAR) & (scripts != HANGUL)] |= UNSPACED
    for marks, bit in (
        (_TERMINAL, TERMINAL | DATATROVE_PUNCTUATION),
        (_DATATROVE_ENDS, DATATROVE_PUNCTUATION),
        (_ATTACHED, ATTACHED),
        (_QUOTES, QUOTE),
        ("#", HASH),
        ("…", ELLIPSIS),
        (".", DOT),
        (":/@", ADDRESS),
        ("'’", APOSTROPHE),
        ("\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029", LINE_BREAK),
    ):
        classes[[ord(mark) for mark in marks]] |= bit
    for first, last in ((0, 8), (11, 12), (13, 31), (127, 159)):
        classes[first : last + 1] |= DATATROVE_PUNCTUATION
    classes.setflags(write=False)
    scripts.setflags(write=False)
    return CharacterTables(classes, scripts)


@inlined
def character_width(byte: int) -> int:
    """Return the bytes of the UTF-8 character that begins with `byte`."""
    if byte < ASCII_LIMIT:
        return 1
    if byte < 0xE0:
        return 2
    if byte < 0xF0:
        return 3
    return 4


@inlined
def decode(data: np.ndarray, at: int) -> int:
    """Return the code point that begins at byte `at` of valid UTF-8, uint8[bytes]."""
    first = np.int64(load(data, at))
    if first < ASCII_LIMIT:
        return first
    second = np.int64(load(data, at + 1)) & 0x3F
    if first < 0xE0:
        return (first & 0x1F) << 6 | second
    third = np.int64(load(data, at + 2)) & 0x3F
    if first < 0xF0:
        return (first & 0x0F) << 12 | second << 6 | third
    return (first & 0x07) << 18 | second << 12 | third << 6 | np.int64(load(data, at + 3)) & 0x3F


@kernel
def step_back(data: np.ndarray, at: int) -> int:
    """Return where the character before byte `at` begins in valid UTF-8, uint8[bytes]."""
    at -= 1
    while load(data, at) & 0xC0 == 0x80:
        at -= 1
    return at


@inlined
def count_characters(data: np.ndarray, start: int, stop: int) -> int:
    """Return the characters of data[start:stop] (uint8[bytes]): the bytes that do not continue one."""
    count, at = stop - start, start
    while at + 8 <= stop:
        eight = load64(data, at)
        count -= count_bits(eight & ~(eight << np.uint64(1)) & TOP_BITS)
        at += 8
    while at < stop:
        count -= load(data, at) & 0xC0 == 0x80
        at += 1
    return count
