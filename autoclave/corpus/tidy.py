"""Characters that no text should hold, and line ends and blanks as all texts have them."""

from __future__ import annotations

import re

_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x85\u2028\u2029\ufffe\uffff\ud800-\udfff]")
_UNWANTED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u2028\ufffe\uffff\ud800-\udfff]")
# Characters that end a line, a page or a record (vertical tab, form feed, FS, GS, RS, LINE SEPARATOR) between others.
_BREAKS = re.compile("(?<=[^\n])[\x0b\x0c\x1c-\x1e\u2028]+(?=[^\n])")
# NEXT LINE is one only where no other C1 control says that the text is Windows-1252 read as Latin-1 (there it is '…').
_C1 = re.compile("[\x80-\x84\x86-\x9f]")
_TRAILING = " \t\u00a0\u3000"
_MANY_LINES = re.compile(r"\n{3,}")


def tidy(text: str) -> str:
    """Line ends become \\n, U+2029 an empty line, form feeds and other separators between words a line end or a blank;
    NUL and other control characters, lone surrogates, noncharacters and trailing blanks go; at most one empty line in
    a row; the result is valid UTF-8 when encoded."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if _CONTROLS.search(text):
        if not _C1.search(text):
            text = text.replace("\x85", "\n")
        text = _BREAKS.sub("\n", text.replace("\u2029", "\n\n").replace("\x1f", " "))
        text = _UNWANTED.sub("", text)
    text = "\n".join([line.rstrip(_TRAILING) for line in text.split("\n")])
    return _MANY_LINES.sub("\n\n", text).strip("\n")
