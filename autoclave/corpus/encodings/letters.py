"""What each character of the Basic Multilingual Plane is to the evidence: a letter of a word, or a sign with a cost."""

from __future__ import annotations

import functools
import unicodedata
from dataclasses import dataclass

import numpy as np

BOUNDARY = 32
"""What stands for everything that is no letter, beside a letter."""
_POINTS = 1 << 16
# Bits for a character that is no letter. Orders of magnitude: a quotation mark is about as frequent among the
# characters beyond ASCII of a page as a rare letter; a control character, one of private use, or one that is not
# assigned stands in no text that was read rightly.
CONTROL = 16
_IMPOSSIBLE, _MALFORMED = 22, 20
_USUAL = {
    6: "\u00a0\u3000、。，・「」『』（）：；？！《》ー",
    7: "\u2010\u2011«»“”‘’„–—…•·€©®°™‹›",
    9: "¿¡§ºª½²³±×№→″′",
    10: "¼¾¹÷´µ†‡‰‚ƒ¶",
}
_SIGN = 13


@dataclass(frozen=True)
class Letters:
    """Tables by code point (uint16): `token` the letter in lower case, or BOUNDARY (uint16); `is_letter`, `is_upper`,
    `is_lower`, `joins` (stands inside words: apostrophes, soft hyphens), `follows` (stands behind words: closing quotation marks,
    blanks, trade marks) (bool); `sign` bits of what is no letter
    (float32), 0 for letters and ASCII."""

    token: np.ndarray
    is_letter: np.ndarray
    is_upper: np.ndarray
    is_lower: np.ndarray
    joins: np.ndarray
    follows: np.ndarray
    sign: np.ndarray


@functools.cache
def letters() -> Letters:
    """The tables, made once a process."""
    token = np.full(_POINTS, BOUNDARY, np.uint16)
    is_letter, is_upper, is_lower = (np.zeros(_POINTS, np.bool_) for _ in range(3))
    sign = np.zeros(_POINTS, np.float32)
    for point in range(_POINTS):
        if 0x3400 <= point < 0xD7A4:  # Han and Hangul: nearly all are letters without case
            is_letter[point] = True
            token[point] = point
            continue
        character = chr(point)
        category = unicodedata.category(character)
        if category[0] in "LM" and not 0xFF61 <= point <= 0xFF9F and category != "Lm":
            lower = character.lower()
            is_letter[point], is_upper[point], is_lower[point] = True, category in ("Lu", "Lt"), category == "Ll"
            token[point] = ord(lower) if len(lower) == 1 else point
        elif point >= 128 or category == "Cc":
            sign[point] = _sign(character, category)
    joins, follows = _set("’‘'·\u2010\u2011\u00ad\u200c\u200d-"), _set("’‘“”»›«…–—•·\u00a0\u00ad™®©°ªº¹²³†‡\u200b\u200c\u200d\u200e\u200f")
    follows[0x2E80:] = True
    return Letters(token, is_letter, is_upper, is_lower, joins, follows, sign)


def _set(signs: str) -> np.ndarray:
    table = np.zeros(_POINTS, np.bool_)
    table[[ord(sign) for sign in signs]] = True
    return table


def _sign(character: str, category: str) -> float:
    if character in "\t\n\r\f":
        return 0
    if character == "\ufffd":
        return _MALFORMED
    if category == "Cc":
        return _IMPOSSIBLE if character >= "\x7f" else CONTROL
    if category in ("Co", "Cn", "Cs"):
        return _IMPOSSIBLE
    return next((bits for bits, signs in _USUAL.items() if character in signs), _SIGN)


def code_points(text: str) -> np.ndarray:
    """The code points of a text as uint16; those beyond the Basic Multilingual Plane as that of a rare sign."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    return np.where(points < _POINTS, points, 0x2600).astype(np.uint16)
