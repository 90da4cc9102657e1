"""Letters of a text, and which of them an edit lost or put in."""

from __future__ import annotations

import functools
import unicodedata
from collections import Counter

_COMPATIBLE = (*range(0xFB00, 0xFB07), *range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B))
_RADICALS = range(0x2F00, 0x2FD6)
OTHER_FORMS = str.maketrans(
    {chr(point): unicodedata.normalize("NFKC", chr(point)) for point in (*_COMPATIBLE, *_RADICALS)}
)
"""Ligatures, full-width letters and radicals: other forms of letters, which a text may be given in their usual one.
Not the other compatibility forms of Unicode: 10² is not 102."""


JOINERS = frozenset("\u180e\u200c\u200d")
"""Invisible signs that spelling needs: the Mongolian vowel separator, the zero-width non-joiner and joiner."""


RAISED = frozenset("²³¹⁰ⁱ⁴⁵⁶⁷⁸⁹ⁿ₀₁₂₃₄₅₆₇₈₉")
"""What raised and lowered digits and letters of markup may be written as."""


def letters(text: str) -> Counter[str]:
    """Return how often each letter, mark, digit and joiner stands in a text in NFC, other forms in their usual one."""
    counts = Counter(unicodedata.normalize("NFC", text).translate(OTHER_FORMS))
    return Counter({sign: count for sign, count in counts.items() if _is_letter(sign)})


@functools.lru_cache(maxsize=1 << 16)
def _is_letter(sign: str) -> bool:
    return unicodedata.category(sign)[0] in "LMN" or sign in JOINERS


@functools.lru_cache(maxsize=1 << 16)
def script(sign: str) -> str:
    """Return the script of a letter by the first word of its name (LATIN, HEBREW, CJK), '' for digits and marks."""
    return unicodedata.name(sign, "?").split()[0] if unicodedata.category(sign)[0] == "L" else ""


def lost_and_new(removed: str, put: str) -> tuple[Counter[str], Counter[str]]:
    """Return (letters of `removed` that `put` has not, letters of `put` that `removed` has not).

    A digit that is raised or lowered, as 10<sup>6</sup> becomes 10⁶, is the same one; the way back is a loss.
    """
    before, after = letters(removed), letters(put)
    lost, new = before - after, after - before
    for sign in [sign for sign in new if sign in RAISED]:
        plain = unicodedata.normalize("NFKC", sign)
        same = min(lost[plain], new[sign])
        lost, new = lost - Counter({plain: same}), new - Counter({sign: same})
    return lost, new


def other_scripts(lost: Counter[str], new: Counter[str]) -> int:
    """Return how many new letters are of a script that none of the lost ones is of."""
    scripts = {script(sign) for sign in lost}
    return sum(count for sign, count in new.items() if script(sign) and script(sign) not in scripts)
