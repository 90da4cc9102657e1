"""What a change is: one that a good text may suffer (an address goes, a ligature is spelled out), or a loss.

The judge is no part of the cleaning: addresses, tags and base64 are recognised by rules of its own, damage by ftfy
(Speer 2019), the library that others use for it.
"""

from __future__ import annotations

import html
import itertools
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

import ftfy
import ftfy.badness

from benchmarks.good_text.differences import Change
from benchmarks.good_text.letters import OTHER_FORMS, letters, lost_and_new
from benchmarks.good_text.sets import Document, GoodSet

SIGNS, FORM, REDACTION, ADDRESS, MARKUP, DAMAGE, DATA, LINE, LOSS = (
    "signs", "form", "redaction", "address", "markup", "damage", "data", "line", "loss",
)  # fmt: skip
KINDS = {
    SIGNS: "blanks, punctuation and invisible signs: no letter",
    FORM: "another form of the same letters: a ligature, a full-width letter, a radical",
    REDACTION: "personal data, replaced by the name of its kind (judged apart)",
    ADDRESS: "a URL, with the signs of its link",
    MARKUP: "tags and character references of a source format that has them",
    DAMAGE: "text that was damaged before: misread encodings, replacement characters",
    DATA: "base64: bytes, not text",
    LINE: "whole lines of a page as it was found",
    LOSS: "none of these: text is lost or changed",
}

PLACEHOLDER = re.compile(r"\[[A-Z][A-Z_ ]*\]")
LINE_BYTES = 200
"""Longer ones are no lines of an interface: cutting them is a loss."""

# -- addresses --------------------------------------------------------------------------------------------------------

ADDRESS_OF_WEB = re.compile(
    r"""(?:(?:https?|ftp)://|(?<![A-Za-z0-9_@./-])www\.)[^\s<>"'`\\，。；：、！？（）「」『』【】《》“”]+""",
    re.IGNORECASE,
)
_LINK_TITLE = re.compile(r"""\]\(\s*<?(?:https?|ftp)://[^)\s]*\s+(?:"[^"\n]*"|'[^'\n]*')""", re.IGNORECASE)

# -- markup -----------------------------------------------------------------------------------------------------------

_ELEMENTS = (
    "a abbr acronym address area article aside audio b base bdi bdo big blockquote body br button canvas caption "
    "center cite code col colgroup data datalist dd del details dfn dialog dir div dl dt em embed fieldset figcaption "
    "figure font footer form frame frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html i iframe img input ins kbd "
    "label legend li link main map mark math menu meta meter nav noscript object ol optgroup option output p param "
    "picture pre progress q rp rt ruby s samp script search section select small source span strike strong style sub "
    "summary sup svg table tbody td template textarea tfoot th thead time title tr track tt u ul var video wbr"
)
_BOOLEAN = (
    "allowfullscreen async autofocus autoplay checked compact controls default defer disabled hidden inert ismap "
    "itemscope loop multiple muted nomodule noshade novalidate nowrap open playsinline readonly required reversed "
    "selected"
)
_VALUE = r"""(?:"[^"]*"|'[^']*'|\{\{?[^{}]*\}?\}|[^\s"'<>=`]+)"""
_ATTRIBUTE = rf"\s+(?:[\w:@.-]+\s*=\s*{_VALUE}|(?:{'|'.join(_BOOLEAN.split())})\b)"
_NAME = rf"(?:{'|'.join(_ELEMENTS.split())}|[a-z][a-z0-9]*(?:-[a-z0-9]+)+)"
TAG = re.compile(
    rf"""<!--.{{0,2000}}?-->|<!doctype\s[^<>]{{0,500}}>|<(script|style)\b[^<>]*>.{{0,100000}}?</\1\s*>"""
    rf"""|<{_NAME}(?:{_ATTRIBUTE})*\s*/?>|</{_NAME}(?:\s[^<>]{{0,100}})?>""",
    re.IGNORECASE | re.DOTALL,
)
"""Tags by the elements of HTML's standard and custom ones, whose attributes have values, or need none: `<time unit>` is
no tag."""
GLUED = re.compile(
    r"""(?<=[\w)\]])<sup(?:\s[^<>]*)?>\s*[-\u2212\u2013+]?\d+(?:[.,/]\d+)?\s*</sup>"""
    r"""|(?<=\d)<sub(?:\s[^<>]*)?>\s*\d+\s*</sub>|<sub(?:\s[^<>]*)?>\s*\d+\s*</sub>(?=\d)""",
    re.IGNORECASE,
)
"""Numbers that mean something else without their tags: 10<sup>6</sup> is not 106, nor is r<sup>2</sup> r2."""
_RAISED = re.compile("[\\^_\u00b2\u00b3\u00b9\u2070-\u209c]")
RAW_DIRECTIVE = ".. raw:: html"
"""HTML in reStructuredText, which has none elsewhere."""
REFERENCE = re.compile(r"&(?:#\d{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")

# -- damage and data --------------------------------------------------------------------------------------------------

_REPLACED = re.compile("\ufffd|\u00ef\u00bf\u00bd|\u043f\u0457\u0405|\u951f\u65a4\u62f7|\u70eb{3}|\u5c6f{3}")
"""U+FFFD, and what its bytes are read as in Western, Cyrillic and Chinese encodings."""
_STACKED = re.compile("[\u0300-\u036f\u0483-\u0489]{4,}")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{80,}={0,2}")
_CODE_SIGNS = re.compile(r"[<>{}=;$\\]")
AROUND = 60
"""Characters on both sides of a change in which damage explains it."""


def _is_damage(change: Change, before: str) -> bool:
    """Whether a change lies in damage: misread UTF-8 by ftfy, replacement characters, accents stacked beyond three."""
    first, last = max(0, change.start - AROUND), change.end + AROUND
    around = before[first:last]
    if any(m.start() < change.end - first and m.end() > change.start - first for m in _STACKED.finditer(around)):
        return True
    replaced = len(_REPLACED.findall(change.removed))
    if replaced:
        return len(change.removed.encode()) <= LINE_BYTES or replaced * 20 >= len(change.removed)
    start, end = around.find(" "), around.rfind(" ")  # words at the ends may be cut
    if 0 <= start < change.start - first and end > change.end - first:
        around = around[start + 1 : end]
    return ftfy.badness.is_bad(around) and ftfy.fix_encoding(around) != around


def is_base64(word: str) -> bool:
    """Whether a long run of base64's letters holds bytes: capitals, small letters and digits, and no hexadecimal."""
    return all(re.search(kind, word) for kind in ("[A-Z]", "[a-z]", "[0-9]")) and not re.fullmatch("[0-9A-Fa-f]+", word)


# -- the verdict ------------------------------------------------------------------------------------------------------

Spans = Sequence[tuple[int, int]]


class Judge:
    """Says of every change of one document what it is.

    before: the document's text; document, of: what is known of it.
    """

    def __init__(self, before: str, document: Document, of: GoodSet) -> None:
        self._before, self._web = before, of.web
        self._addresses = _found(before, ADDRESS_OF_WEB, _LINK_TITLE)
        raw = (of.markup or RAW_DIRECTIVE in before) and not document.extracted
        self._tags = _found(before, TAG) if raw else []
        self._references = _found(before, REFERENCE) if raw else []
        self._glued = _found(before, GLUED) if raw else []
        self._data = [span for span in _found(before, _BASE64) if is_base64(before[span[0] : span[1]])]

    def kinds(self, made: Sequence[Change], after: str) -> tuple[list[str], Counter[str], Counter[str]]:
        """Return (the kind of each change, the letters lost, the letters new) of an edit of the text into `after`.

        Letters are counted over the whole document, so that it does not matter how two texts are laid side by side:
        where all that a change seems to lose stands elsewhere after the edit, it is none of its own.
        """
        kinds = [self._kind(change) for change in made]
        if LOSS not in kinds:
            return kinds, Counter(), Counter()
        lost, new = lost_and_new(self._before, after)
        for change, kind in zip(made, kinds, strict=True):
            if kind in (REDACTION, DAMAGE, LINE):
                lost, new = lost - letters(change.removed), new - letters(change.put)
        lost = lost - self._letters(made, self._addresses, self._tags, self._references, self._data)
        new = new - letters(html.unescape(self._text(made, self._references)))
        for place, change in enumerate(made):
            gone, come = lost_and_new(change.removed, change.put)
            if kinds[place] == LOSS and (glued := self._newly_glued(change)):
                lost = lost + Counter(sign for sign in glued if sign.isdigit())
            elif kinds[place] == LOSS and not (gone & lost) and not (come & new):
                kinds[place] = MARKUP if self._tags or self._references else SIGNS
        return kinds, lost, new

    def _kind(self, change: Change) -> str:
        lost, new = lost_and_new(change.removed, change.put)
        if not lost and not new:
            return FORM if change.removed.translate(OTHER_FORMS) != change.removed else SIGNS
        names = PLACEHOLDER.findall(change.put)
        if names and names[0] not in self._before and len(change.removed) <= len(names) * LINE_BYTES:
            return REDACTION
        if not new and not lost - self._letters([change], self._addresses):
            return ADDRESS
        excused = self._letters([change], self._addresses, self._tags, self._references, self._data)
        if not lost - excused and not new - letters(html.unescape(self._text([change], self._references))):
            if self._newly_glued(change):
                return LOSS
            return MARKUP if self._letters([change], self._tags, self._references) else DATA
        if _is_damage(change, self._before):
            return DAMAGE
        return LINE if self._web and self._is_line(change) else LOSS

    def _newly_glued(self, change: Change) -> str:
        """Return the raised and lowered numbers whose tags a change takes without a mark in their place."""
        if _RAISED.search(change.put):
            return ""
        return "".join(self._before[a:b] for a, b in self._glued if change.start <= a < change.end)

    def _is_line(self, change: Change) -> bool:
        """Whether a change takes out one whole short line without code."""
        removed = change.removed.strip()
        start = change.start + change.removed.find(removed)
        first, last = self._before.rfind("\n", 0, start) + 1, self._before.find("\n", start + len(removed))
        line = self._before[first : last if last >= 0 else len(self._before)].strip()
        whole = line == removed and "\n" not in line and not change.put.strip()
        return whole and len(line.encode()) <= LINE_BYTES and not _CODE_SIGNS.search(line)

    def _letters(self, made: Sequence[Change], *kinds: Spans) -> Counter[str]:
        """Return the letters of all spans that one of the changes touches.

        They count wherever a change cuts them: of a word in a link's text and in its address, it cannot be told which
        went.
        """
        return letters("".join(self._text(made, spans) for spans in kinds))

    def _text(self, made: Sequence[Change], spans: Spans) -> str:
        if len(made) == 1:
            at = bisect_left(spans, (made[0].start - 1, 0))
            while at > 0 and spans[at - 1][1] > made[0].start:
                at -= 1
            spans = list(itertools.takewhile(lambda span: span[0] < made[0].end, spans[at:]))
        starts = [change.start for change in made]
        pieces = []
        for first, last in spans:
            place = bisect_left(starts, last) - 1  # the last change that begins before the span ends
            if place >= 0 and made[place].end > first:
                pieces.append(self._before[first:last])
        return "".join(pieces)


def _found(text: str, *patterns: re.Pattern[str]) -> list[tuple[int, int]]:
    return sorted(match.span() for pattern in patterns for match in pattern.finditer(text))
