"""Text to normalised units: what near-duplicate detection compares, in one pass over the UTF-8 bytes.

What counts as the same is a choice, `Normalisation`. The rules of `fineweb` are those of datatrove's `simplify_text`
(lower case, runs of digits become one 0, diacritics off) but that punctuation becomes a space ("a,b" is two words) and
scripts without spaces are cut into characters. They are written down once, in `character_table`:

- separators: Unicode categories P, S, Z, Cc, Co, Cn, and white space; they end a unit and leave nothing behind;
- dropped: invisible format characters (Cf), variation selectors, and the combining marks of Latin, Greek, Cyrillic,
  Hebrew, Arabic and Japanese (é and e + U+0301 both become e; か and が are the same);
- units of their own: Han characters, kana, bopomofo, Thai, Lao, Khmer and Myanmar letters, which are written without
  spaces; a following vowel sign or tone mark of these scripts stays with its letter;
- everything else belongs to a word: letters (lower case, full-width forms as ASCII, canonical decomposition without
  marks), the vowel signs of Indic scripts, letter numbers. Hangul syllables are letters: Korean writes spaces.

`words` differs in numbers: each digit counts, by its value in whatever script, and so do the minus before a number and
the signs inside one; 12,345.60 or 2024-05-01 is one unit, so that a changed number is one changed word.
`whitespace` changes no character: white space separates, scripts without spaces are cut into characters.
"""

import functools
import unicodedata
from typing import Any, Literal, NamedTuple

import numpy as np
from numba import njit

from autoclave.kernels.text.code_points import ASCII_LIMIT, CASE_BIT, SPACE, is_letter
from autoclave.kernels.text.raw.memory import TOP_BITS, load64, store64, trailing_zeros

Normalisation = Literal["fineweb", "words", "whitespace"]

SEPARATOR, WORD, UNIT, MARK, DROP, DIGIT, PLAIN, JOINER, MINUS = range(9)
"""Kinds of characters. PLAIN: part of a word as it stands (in `words`: a digit). JOINER: PLAIN between two of them,
else a separator. MINUS: a joiner, and PLAIN also before one where no word is open."""

CLASS_SHIFT = 24

_SIGNS_IN_NUMBERS = {
    "-": "-\u2010\u2011\u2013\u2212\uff0d",
    ".": ".\u066b\uff0e",
    ",": ",\u00a0\u066c\u202f\uff0c",  # no-break spaces group digits
    "'": "'\u2019\uff07",
    ":": ":\uff1a",
    "/": "/\uff0f",
}
"""What stands between digits of one number (or date, or time), and as what it counts."""

_MINUS_SIGNS = "-\u2212\uff0d"

_ZERO = np.uint64(0)
_LOW_7 = np.uint64(0x7F7F7F7F7F7F7F7F)
_BIT_5 = np.uint64(0x2020202020202020)
_FROM_A = np.uint64(0x1F1F1F1F1F1F1F1F)  # 0x80 - ord("a") in each byte: carries into the high bit from "a" on
_ABOVE_Z = np.uint64(0x0505050505050505)  # 0x7F - ord("z"): carries above "z"

_DROPPED_MARKS = (
    (0x0300, 0x036F),
    (0x0483, 0x0489),
    (0x0591, 0x05C7),
    (0x0610, 0x061A),
    (0x064B, 0x065F),
    (0x0670, 0x0670),
    (0x06D6, 0x06ED),
    (0x1AB0, 0x1AFF),
    (0x1DC0, 0x1DFF),
    (0x20D0, 0x20FF),
    (0x3099, 0x309A),
    (0xFE00, 0xFE2F),
)
_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x31FF),  # radicals, kana, bopomofo, strokes
    (0x3400, 0x9FFF),  # Han
    (0xF900, 0xFAFF),  # Han, compatibility
    (0xFF66, 0xFF9F),  # half-width kana
)


def _within(code: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(low <= code <= high for low, high in ranges)


def _base_character(code: int) -> str:
    """The lower-case base letter of a character: without marks, full-width as ASCII; itself where that is not one."""
    character = chr(code)
    lower = character.lower()
    decomposed = unicodedata.normalize("NFKD", lower) if code >= 0xFF00 else unicodedata.normalize("NFD", lower)
    for candidate in (decomposed, lower):
        kept = "".join(c for c in candidate if not _within(ord(c), _DROPPED_MARKS))
        if len(kept) == 1:
            return kept
    return character


def _entry(code: int) -> int:
    category = unicodedata.category(chr(code))
    if category == "Cf" or (category[0] == "M" and _within(code, _DROPPED_MARKS)):
        return DROP << CLASS_SHIFT
    if category[0] in "PSZC":
        return SEPARATOR << CLASS_SHIFT
    base = ord(_base_character(code))
    if unicodedata.category(chr(base)) == "Nd":
        return DIGIT << CLASS_SHIFT | ord("0")
    if category[0] == "M":
        return MARK << CLASS_SHIFT | base
    return (UNIT if _within(base, _UNSPACED) else WORD) << CLASS_SHIFT | base


def _fineweb_table() -> np.ndarray:
    codes = np.arange(0x110000, dtype=np.uint32)
    table = np.zeros(0x110000, np.uint32)
    for low, high, kind in (
        (0x3400, 0x4DC0, UNIT),
        (0x4E00, 0xA000, UNIT),
        (0xAC00, 0xD7A4, WORD),
        (0x10000, 0x1F000, WORD),
        (0x1F000, 0x20000, SEPARATOR),  # pictographs
        (0x20000, 0x40000, UNIT),  # Han extensions
        (0x40000, 0xE0000, WORD),
        (0xE0000, 0x110000, DROP),  # tags, variation selectors, private use
    ):
        table[low:high] = codes[low:high] | np.uint32(kind << CLASS_SHIFT)
    for low, high in ((0, 0x3400), (0x4DC0, 0x4E00), (0xA000, 0xAC00), (0xD7A4, 0xD800), (0xF900, 0x10000)):
        table[low:high] = [_entry(code) for code in range(low, high)]
    return table


def _words_table() -> np.ndarray:
    table = character_table("fineweb").copy()
    for code in np.flatnonzero(table >> CLASS_SHIFT == DIGIT).tolist():
        table[code] = PLAIN << CLASS_SHIFT | ord("0") + unicodedata.decimal(_base_character(code))
    for sign, variants in _SIGNS_IN_NUMBERS.items():
        for variant in variants:
            table[ord(variant)] = (MINUS if variant in _MINUS_SIGNS else JOINER) << CLASS_SHIFT | ord(sign)
    return table


def _whitespace_table() -> np.ndarray:
    codes = np.arange(0x110000, dtype=np.uint32)
    table = codes | np.uint32(PLAIN << CLASS_SHIFT)
    units = character_table("fineweb") >> CLASS_SHIFT == UNIT
    table[units] = codes[units] | np.uint32(UNIT << CLASS_SHIFT)
    for code in range(0x10000):
        if chr(code).isspace():
            table[code] = SEPARATOR << CLASS_SHIFT
        elif unicodedata.category(chr(code))[0] == "M":
            table[code] = MARK << CLASS_SHIFT | code
    return table


@functools.cache
def character_table(normalisation: Normalisation) -> np.ndarray:
    """uint32[0x110000]: for each character its kind in the top byte, what it becomes below.

    ValueError where the normalisation is not known.
    """
    makers = {"fineweb": _fineweb_table, "words": _words_table, "whitespace": _whitespace_table}
    if normalisation not in makers:
        raise ValueError(f"normalisation '{normalisation}' is not known; use one of {', '.join(makers)}")
    table = makers[normalisation]()
    table.setflags(write=False)
    return table


@njit(cache=True, nogil=True, inline="always")
def decode(data: np.ndarray, at: int) -> Any:
    """The code point at `at` and its length in bytes; data, uint8[bytes], is valid UTF-8 (Arrow's promise)."""
    lead = np.int64(data[at])
    if lead < ASCII_LIMIT:
        return lead, 1
    if lead < 0xE0:
        return ((lead & 0x1F) << 6) | (data[at + 1] & 0x3F), 2
    if lead < 0xF0:
        return ((lead & 0x0F) << 12) | (np.int64(data[at + 1] & 0x3F) << 6) | (data[at + 2] & 0x3F), 3
    high = ((lead & 0x07) << 18) | (np.int64(data[at + 1] & 0x3F) << 12)
    return high | (np.int64(data[at + 2] & 0x3F) << 6) | (data[at + 3] & 0x3F), 4


@njit(cache=True, nogil=True, inline="always")
def _encode(code: int, out: np.ndarray, size: int) -> int:
    """Append a code point above 0x7F as UTF-8 and return the new size."""
    if code < 0x800:
        out[size] = 0xC0 | (code >> 6)
        out[size + 1] = 0x80 | (code & 0x3F)
        return size + 2
    if code < 0x10000:
        out[size] = 0xE0 | (code >> 12)
        out[size + 1] = 0x80 | ((code >> 6) & 0x3F)
        out[size + 2] = 0x80 | (code & 0x3F)
        return size + 3
    out[size] = 0xF0 | (code >> 18)
    out[size + 1] = 0x80 | ((code >> 12) & 0x3F)
    out[size + 2] = 0x80 | ((code >> 6) & 0x3F)
    out[size + 3] = 0x80 | (code & 0x3F)
    return size + 4


@njit(cache=True, nogil=True, inline="always")
def _is_plain(data: np.ndarray, at: int, end: int, table: np.ndarray) -> bool:
    return at < end and table[decode(data, at)[0]] >> np.uint32(CLASS_SHIFT) == PLAIN


@njit(cache=True, nogil=True, inline="always")
def _copy_ascii_letters(data: np.ndarray, at: int, end: int, out: np.ndarray, size: int) -> int:
    """Append the run of ASCII letters at `at` in lower case and return its length: the hot path of most texts.

    Eight bytes at a time: a byte is a letter where its high bit is clear and, with bit 5 set, it lies in a .. z. Up to
    seven bytes beyond the run are written to `out` too.
    """
    start = at
    while at + 8 <= end:
        word = load64(data, at)
        lower = word | _BIT_5
        seven = lower & _LOW_7
        other = ~((seven + _FROM_A) & ~(seven + _ABOVE_Z) & ~word) & TOP_BITS
        store64(out, size, lower)
        run: Any = 8 if other == _ZERO else trailing_zeros(other) >> 3
        at += run
        size += run
        if run < 8:
            return at - start
    while at < end:
        byte = data[np.uint64(at)]
        if not is_letter(byte):
            break
        out[np.uint64(size)] = byte | CASE_BIT
        at += 1
        size += 1
    return at - start


class Normalised(NamedTuple):
    """Room for one normalised text, n bytes long before.

    out: uint8[at least 2 * n + 8]: its units, separated by single spaces; starts, ends: int64[at least n]: the byte
    range of each unit in `out`.
    """

    out: np.ndarray
    starts: np.ndarray
    ends: np.ndarray


@njit(cache=True, nogil=True)
def room_for(offsets: np.ndarray) -> Normalised:
    """Return room for the longest of the n texts between `offsets`, int64[n + 1]."""
    longest = 0
    for i in range(offsets.size - 1):
        longest = max(longest, offsets[i + 1] - offsets[i])
    size = 2 * longest + 8
    return Normalised(np.empty(size, np.uint8), np.empty(size, np.int64), np.empty(size, np.int64))


@njit(cache=True, nogil=True)
def normalise(
    data: np.ndarray, start: int, end: int, table: np.ndarray, split_unspaced: bool, into: Normalised
) -> tuple[int, int]:
    """Write the normalised text of `data[start:end]`, uint8[bytes]; return (bytes written, number of units).

    table: a `character_table`, uint32[0x110000]. split_unspaced: whether characters of scripts without spaces are
    units of their own (word shingles) or stay together (character shingles).
    """
    out, starts, ends = into.out, into.starts, into.ends
    size = 0
    count = 0
    inside = False  # in a unit that a letter may extend
    attached = False  # after a unit that only a mark may extend
    after_digit = False
    at = start
    while at < end:
        byte = data[np.uint64(at)]
        if byte < ASCII_LIMIT:
            ascii_kind = table[np.uint64(byte)] >> np.uint32(CLASS_SHIFT)
            if ascii_kind == SEPARATOR:
                inside, attached, after_digit = False, False, False
                at += 1
                continue
            if ascii_kind == WORD:
                if not inside:
                    if count > 0:
                        out[np.uint64(size)] = SPACE
                        size += 1
                    starts[np.uint64(count)] = size
                    count += 1
                run: Any = _copy_ascii_letters(data, at, end, out, size)
                at += run
                size += run
                ends[np.uint64(count - 1)] = size
                inside, attached, after_digit = True, False, False
                continue
        code, length = decode(data, at)
        at += length
        entry = np.int64(table[code])
        kind: Any = entry >> CLASS_SHIFT
        if kind >= JOINER:
            in_number = (after_digit or (kind == MINUS and not inside)) and _is_plain(data, at, end, table)
            kind = PLAIN if in_number else SEPARATOR
        if kind == DROP:
            continue
        if kind == SEPARATOR:
            inside, attached, after_digit = False, False, False
            continue
        if kind == DIGIT and after_digit:
            continue
        after_digit = kind >= DIGIT  # or PLAIN
        alone = kind == UNIT and split_unspaced
        joins = (attached or inside) if kind == MARK else (inside and not alone)
        if not joins:
            if count > 0:
                out[size] = SPACE
                size += 1
            starts[count] = size
            count += 1
        value: Any = entry & 0xFFFFFF
        if value < ASCII_LIMIT:
            out[size] = value
            size += 1
        else:
            size = _encode(value, out, size)
        ends[count - 1] = size
        if kind != MARK or not joins:
            inside, attached = not alone, alone
    return size, count
