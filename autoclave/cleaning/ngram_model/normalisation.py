"""Text as CCNet's language models see it (Wenzek et al. 2020, arXiv 1911.00359; cc_net `text_normalizer.py`).

Lower case, no accents, every digit 0, Unicode punctuation as ASCII. The published normaliser deletes line breaks with
nothing in their place and so glues the words around them; `ccnet-exact` does that for comparison with published
perplexities, `ccnet` puts a space there.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from typing import Literal

Normalisation = Literal["ccnet", "ccnet-exact", "none"]

_REPLACEMENTS = {
    ",": "，、", ".": "。", '"': "„”“«»」「《》", "'": "´’", ":": "∶：", "?": "？", "!": "！", "(": "（", ")": "）",
    ";": "；", "-": "–━►", "~": "～", "<": "〈", ">": "〉", "[": "【", "]": "】",
    "%": "％", " - ": "—", ". ": "．", "...": "…",
}  # fmt: skip
_PUNCTUATION = {mark: ascii_mark for ascii_mark, marks in _REPLACEMENTS.items() for mark in marks}


class _Table(dict[int, str]):
    """What each code point becomes after NFD and lower case; filled as characters occur."""

    def __init__(self, break_becomes: str) -> None:
        super().__init__()
        self._break_becomes = break_becomes

    def __missing__(self, point: int) -> str:
        character = chr(point)
        if point < 32 or 127 <= point < 160:
            result = self._break_becomes if character.isspace() else ""
        elif unicodedata.category(character) == "Mn":
            result = ""
        elif unicodedata.category(character) == "Nd":
            result = "0"
        else:
            result = _PUNCTUATION.get(character, character)
        self[point] = result
        return result


@functools.cache
def _table(exact: bool) -> _Table:
    return _Table("" if exact else " ")


_BLANKS = re.compile(r"\s+")


def normalise(text: str, mode: Normalisation = "ccnet") -> str:
    """Return the text as the language model reads it.

    ccnet-exact: as published; ccnet: the same but that a line break, a tab and the like become a space and runs of
    white space one space; none: only white space is made single spaces.
    """
    if mode == "none":
        return _BLANKS.sub(" ", text).strip()
    text = unicodedata.normalize("NFD", text.strip().lower()).translate(_table(mode == "ccnet-exact"))
    return text if mode == "ccnet-exact" else _BLANKS.sub(" ", text).strip()
