"""What each character of the Basic Multilingual Plane is to the evidence: a letter of a word, or a sign with a cost."""

from __future__ import annotations

import functools
import itertools
import unicodedata
from dataclasses import dataclass

import numpy as np

BOUNDARY = 32
"""What stands for everything that is no letter, beside a letter."""
CONTROL = 16
"""Bits of a control character."""
_POINTS = 1 << 16
# Bits for a character that is no letter. Orders of magnitude: a quotation mark is about as frequent among the
# characters beyond ASCII of a page as a rare letter; a character of private use, or one that is not assigned, stands in
# no text that was read rightly.
_IMPOSSIBLE, _MALFORMED, _SIGN = 22, 20, 13
_USUAL = {
    6: "\u00a0\u3000、。，・「」『』（）：；？！《》ー",
    7: "\u2010\u2011«»“”‘’„–—…•·€©®°™‹›",
    9: "¿¡§ºª½²³±×№→″′",
    10: "¼¾¹÷´µ†‡‰‚ƒ¶",
}
_JOINS = "’‘·\u2010\u2011\u00ad\u200c\u200d"
_FOLLOWS = "“”»›«…–—•\u00a0™®©°ªº¹²³†‡\u200b\u200e\u200f"

# Classes of characters: what stands beside what tells words from chance.
_OTHER, _ASCII_SMALL, _ASCII_CAPITAL, _LATIN_SMALL, _LATIN_CAPITAL = 0, 1, 2, 3, 4
_FOREIGN_SMALL, _FOREIGN_CAPITAL, _IDEOGRAPH, _STRANGE, _JOINING, _FOLLOWING = 5, 6, 7, 8, 9, 10
_CLASSES = 16
_INSIDE_A_WORD = 6.0  # bits more for a sign between letters
_BEHIND_A_WORD = 3.0  # ... behind a letter, that is none of those which stand behind words
_CASE = 6.0  # ... for a capital letter behind a small one
_CAPITAL = 1.0  # ... for a capital letter
_MIXED = 6.0  # ... for a letter of another alphabet beside one of ASCII


@dataclass(frozen=True)
class Letters:
    """Tables by code point: `token` the letter in lower case, or BOUNDARY; `kind` its class; `sign` bits of what is no
    letter, 0 for letters and ASCII. Shapes: [65536], uint16, uint16 and float32."""

    token: np.ndarray
    kind: np.ndarray
    sign: np.ndarray


@functools.cache
def letters() -> Letters:
    """The tables, made once a process."""
    token = np.full(_POINTS, BOUNDARY, np.uint16)
    kind = np.zeros(_POINTS, np.uint16)
    sign = np.zeros(_POINTS, np.float32)
    ideographs = slice(0x3400, 0xD7A4)  # Han and Hangul: nearly all are letters without case
    token[ideographs], kind[ideographs] = np.arange(0x3400, 0xD7A4), _IDEOGRAPH
    for point in (*range(ideographs.start), *range(ideographs.stop, _POINTS)):
        character = chr(point)
        category = unicodedata.category(character)
        if category[0] in "LM" and not 0xFF61 <= point <= 0xFF9F and category != "Lm":
            lower = character.lower()
            token[point] = ord(lower) if len(lower) == 1 else point
            kind[point] = _kind_of_letter(point, category in ("Lu", "Lt"))
        elif point >= 128 or category == "Cc":
            sign[point] = _bits_of_sign(character, category)
            kind[point] = _kind_of_sign(character)
    return Letters(token, kind, sign)


def _kind_of_letter(point: int, capital: bool) -> int:
    if point < 128:
        return _ASCII_SMALL + capital
    if 0x370 <= point < 0x1E00:
        return _FOREIGN_SMALL + capital
    return _IDEOGRAPH if point >= 0x2E80 else _LATIN_SMALL + capital


def _kind_of_sign(character: str) -> int:
    if character < "\x80":
        return _OTHER
    if character in _JOINS:
        return _JOINING
    return _FOLLOWING if character in _FOLLOWS or character >= "\u2e80" else _STRANGE


def _bits_of_sign(character: str, category: str) -> float:
    if character in "\t\n\r\f":
        return 0
    if character == "\ufffd":
        return _MALFORMED
    if category == "Cc":
        return _IMPOSSIBLE if character >= "\x7f" else CONTROL
    if category in ("Co", "Cn", "Cs"):
        return _IMPOSSIBLE
    return next((bits for bits, signs in _USUAL.items() if character in signs), _SIGN)


@functools.cache
def neighbour_bits() -> np.ndarray:
    """Bits of a character for what it stands between, by (class before) << 8 | class << 4 | class behind.

    Shape: [4096], float32.
    """
    table = np.zeros(_CLASSES**3, np.float32)
    words = range(_ASCII_SMALL, _FOREIGN_CAPITAL + 1)
    small, capital = (_LATIN_SMALL, _FOREIGN_SMALL), (_LATIN_CAPITAL, _FOREIGN_CAPITAL)
    ascii_letters, foreign = (_ASCII_SMALL, _ASCII_CAPITAL), (_FOREIGN_SMALL, _FOREIGN_CAPITAL)
    for before, at, behind in itertools.product(range(_FOLLOWING + 1), repeat=3):
        cost = _CAPITAL * (at in capital)
        if at in (_STRANGE, _FOLLOWING) and before in words and behind in words:
            cost += _INSIDE_A_WORD
        if at == _STRANGE and before in words:
            cost += _BEHIND_A_WORD
        if (before in small and at in (*capital, _ASCII_CAPITAL)) or (before == _ASCII_SMALL and at in capital):
            cost += _CASE
        if (before in ascii_letters and at in foreign) or (before in foreign and at in ascii_letters):
            cost += _MIXED
        table[before << 8 | at << 4 | behind] = cost
    return table


def is_counted() -> np.ndarray:
    """Whether a letter's bits count, by (class before) << 4 | class: it is beyond ASCII, or what is before it is; a
    sign counts by its own bits (bool).

    Shape: [256].
    """
    table = np.zeros(_CLASSES**2, np.bool_)
    beyond = range(_LATIN_SMALL, _IDEOGRAPH + 1)
    for before, at in itertools.product(range(_CLASSES), repeat=2):
        table[before << 4 | at] = at in beyond or (before in beyond and at < _LATIN_SMALL)
    return table


def code_points(text: str) -> np.ndarray:
    """The code points of a text, [characters] uint16; beyond the Basic Multilingual Plane that of a rare sign."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    return np.where(points < _POINTS, points, 0x2600).astype(np.uint16)
