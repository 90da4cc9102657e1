"""Rule 1: HTML tags and URLs out of texts that are not code."""

from __future__ import annotations

import html
import re

from autoclave.cleaning.protected import edit

_BLOCK = (
    "address|article|aside|blockquote|br|center|dd|details|dir|div|dl|dt|fieldset|figcaption|figure|footer|form|"
    "h[1-6]|header|hr|li|main|menu|nav|ol|option|p|section|summary|table|tbody|td|tfoot|th|thead|tr|ul"
)
_INLINE = (
    "a|abbr|acronym|area|audio|b|base|basefont|bdi|bdo|big|body|button|canvas|caption|cite|code|col|colgroup|data|"
    "datalist|del|dfn|dialog|em|embed|font|frame|frameset|head|html|i|iframe|img|input|ins|kbd|label|legend|link|map|"
    "mark|meta|meter|noframes|noscript|object|optgroup|output|param|picture|pre|progress|q|rp|rt|ruby|s|samp|script|"
    "select|small|source|span|strike|strong|style|sub|sup|svg|template|textarea|time|title|track|tt|u|var|video|wbr"
)
# Only names that HTML has, and custom elements (a hyphen in the name): <Directory>, <T> and <stdio.h> are no tags.
_ATTRIBUTES = r"""(?:\s+(?:"[^"<>]*"|'[^'<>]*'|[^<>"'])*)?"""
_TAG = re.compile(
    rf"""<(script|style)\b{_ATTRIBUTES}>.*?</\1\s*>|<!--.*?-->|<!doctype\b[^<>]*>
    |</?(?:(?P<block>{_BLOCK})|{_INLINE}|[a-z][a-z0-9]*(?:-[a-z0-9]+)+){_ATTRIBUTES}\s*/?>""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
TAG_TRIGGER = r"(?i)</?[a-z!][^<>]*>|&#?[a-z0-9]+;|<script|<style|<!--"

# A URL ends at blanks, quotes, brackets, CJK punctuation and full-width forms; trailing punctuation is not its own.
_URL_BODY = r"""[^\s<>"'`()\[\]{}|\\^\u2018-\u201f\u3000-\u303f\uff00-\uffef\u4e00-\u9fff]"""
_URL = rf"(?:(?:https?|ftp)://|\bwww\.(?=[\w-]+\.)){_URL_BODY}*(?:\({_URL_BODY}*\){_URL_BODY}*)*(?<![.,;:!?*_])"
_LINK = re.compile(
    rf"""(?P<image>!?)\[(?P<text>[^\[\]\n]*)\]\(\s*<?{_URL}>?(?:\s+["'][^"'\n]*["'])?\s*\)   # [text](url "title")
    |<{_URL}>                                                                               # <url>
    |[ \t]?[(（\[]\s*{_URL}\s*[)）\]]                                                         # (url) and nothing else
    |{_URL}""",
    re.VERBOSE | re.IGNORECASE,
)
URL_TRIGGER = r"(?i)(?:https?|ftp)://|\bwww\.[\w-]+\."
_BLANKS = re.compile(r"(?<=\S) {2,}(?=\S)| +(?=\n|$)")


def strip_html_tags(text: str, language: str | None = None) -> tuple[str, int]:
    """Remove HTML tags, comments, scripts and styles with their content; decode character references.

    A tag of a block element that stood between words leaves a line end, any other nothing.
    """
    changes = 0
    for _ in range(3):  # a tag inside a tag shows only when the inner one is gone
        text, found = edit(text, _TAG, _tag)
        changes += found
        if not found:
            break
    text, entities = edit(text, _ENTITY, _entity)
    return text, changes + entities


def _tag(match: re.Match[str]) -> str:
    if match.group("block") is None:
        return ""
    text, (start, end) = match.string, match.span()
    between = start > 0 and end < len(text) and text[start - 1] != "\n" and text[end] != "\n"
    return "\n" if between else ""


def _entity(match: re.Match[str]) -> str:
    decoded = html.unescape(match.group())
    return "" if decoded == "\x00" or "\ud800" <= decoded[:1] <= "\udfff" else decoded


def strip_urls(text: str, language: str | None = None) -> tuple[str, int]:
    """Remove URLs; of a Markdown link its text stays, of an image its description goes with it.

    Brackets that held nothing but the URL go with it, and blanks that it leaves are joined.
    """
    edited, changes = edit(text, _LINK, _link)
    if changes:
        edited, _ = edit(edited, _BLANKS, lambda match: " " if match.group().strip("\n") and not _at_end(match) else "")
    return edited, changes


def _link(match: re.Match[str]) -> str:
    if match.group("text") is None:
        return ""
    return "" if match.group("image") else match.group("text")


def _at_end(match: re.Match[str]) -> bool:
    return match.end() == len(match.string) or match.string[match.end()] == "\n"
