"""The words beside a number: what it is called tells what it is."""

from __future__ import annotations

import re

_BESIDE = 48  # bytes before a number, and half as many behind it, in which words count


def beside(text: bytes, start: int, end: int) -> tuple[str, str]:
    """Return (text before, text after) the bytes [start, end) of a UTF-8 text, on its line, in lower case.

    A number that begins its line has the line above before it where that is a label: it ends in a colon, or is short.
    """
    begin = max(text.rfind(b"\n", max(0, start - _BESIDE), start) + 1, start - _BESIDE, 0)
    before = text[begin:start]
    if begin and text[begin - 1] == 10 and not before.strip():
        above = text[max(0, begin - _BESIDE) : begin - 1]
        above = above[above.rfind(b"\n") + 1 :].strip()
        if above.endswith((b":", b"\xef\xbc\x9a")) or len(above.split()) <= 2:
            before = above + b" "
    after = text[end : end + _BESIDE // 2].partition(b"\n")[0]
    return before.decode(errors="ignore").lower(), after.decode(errors="ignore").lower()


def alternatives(words: str) -> str:
    """Return a regular expression of the words in a string, longer ones first."""
    return "|".join(sorted(map(re.escape, set(words.split())), key=lambda word: (-len(word), word)))


# Han and kana before or after a word in other letters are other words.
NO_LETTER_BEFORE = r"(?<![^\W\u3040-\u30ff\u3400-\u9fff])"
NO_LETTER_AFTER = r"(?![^\W\u3040-\u30ff\u3400-\u9fff])"


def word_pattern(words: str, unspaced: str = "") -> re.Pattern[str]:
    """Return a pattern of whole words, and of others that count inside a run of letters as well."""
    whole = f"{NO_LETTER_BEFORE}(?:{alternatives(words)}){NO_LETTER_AFTER}"
    return re.compile(f"{whole}|{alternatives(unspaced)}" if unspaced else whole)
