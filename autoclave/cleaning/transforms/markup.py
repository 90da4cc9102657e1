"""Rule 1: HTML tags and URLs out of texts that are not code."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from autoclave.cleaning.transforms.protected import edit

_BLOCK = (
    "address article aside blockquote br center dd details dir div dl dt fieldset figcaption figure footer form h1 h2 "
    "h3 h4 h5 h6 header hr li main menu nav ol option p section summary table tbody td tfoot th thead tr ul"
)
_INLINE = (
    "a abbr acronym area audio b base basefont bdi bdo big body button canvas caption cite code col colgroup data "
    "datalist del dfn dialog em embed font frame frameset head html i iframe img input ins kbd label legend link map "
    "mark meta meter noframes noscript object optgroup output param picture pre progress q rp rt ruby s samp script "
    "select small source span strike strong style sub sup svg template textarea time title track tt u var video wbr"
)
_BLOCK_NAMES = frozenset(_BLOCK.encode().split())
_NAMES = _BLOCK_NAMES | frozenset(_INLINE.encode().split())
_TAG = re.compile(
    rb"""<(?:(?P<comment>!--) | !doctype\b[^<>]*>
      | /?(?P<name>[a-z][a-z0-9]*(?:-[a-z0-9]+)*)(?:\s+(?:[^<>"']|"[^"<]{0,2000}"|'[^'<]{0,2000}')*)?\s*/?>)""",
    re.IGNORECASE | re.VERBOSE,
)
# Elements whose content is not text.
_CONTENT_ENDS = {
    b"script": re.compile(rb"</script\s*>", re.IGNORECASE),
    b"style": re.compile(rb"</style\s*>", re.IGNORECASE),
    b"!--": re.compile(rb"-->"),
}
_ENTITY = re.compile(rb"&(?:#\d{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")


def strip_html_tags(text: bytes, language: str | None = None, hint: int = 0) -> tuple[bytes, int]:
    """Remove HTML tags, comments, scripts and styles with their content; decode character references.

    Only names that HTML has count, and custom elements (a hyphen in the name): `<Directory>`, `<T>` and `<stdio.h>`
    are no tags. A tag of a block element that stood between words leaves a line end, any other nothing.
    """
    changes = 0
    if b"<" in text:
        for _ in range(3):  # a tag inside a tag shows only when the inner one is gone
            text, found = edit(text, _tags(text))
            changes += found
            if not found:
                break
    if b"&" in text:
        text, entities = edit(text, _entities(text))
        changes += entities
    return text, changes


def _tags(text: bytes) -> Iterator[tuple[int, int, bytes]]:
    done = 0
    endless: set[bytes] = set()  # what has no end further on, so that it is looked for once only
    for match in _TAG.finditer(text):
        start, end = match.span()
        if start < done:
            continue
        name = (match.group("name") or match.group("comment") or b"").lower()
        if match.group("name") is not None and name not in _NAMES and b"-" not in name:
            continue
        new = b""
        if name in _CONTENT_ENDS and text[start + 1] != 47:
            closing = None if name in endless else _CONTENT_ENDS[name].search(text, end)
            if closing is not None:
                end = closing.end()
            else:
                endless.add(name)
                if name == b"!--":
                    continue
        elif name in _BLOCK_NAMES and start > 0 and end < len(text) and text[start - 1] != 10 and text[end] != 10:
            new = b"\n"
        done = end
        yield start, end, new


def _entities(text: bytes) -> Iterator[tuple[int, int, bytes]]:
    for match in _ENTITY.finditer(text):
        decoded = html.unescape(match.group().decode())
        if decoded == "\x00" or "\ud800" <= decoded[:1] <= "\udfff":
            decoded = ""
        yield match.start(), match.end(), decoded.encode()


# A URL ends at blanks, quotes, brackets and whatever is not ASCII; trailing punctuation is not its own.
_URL_BODY = re.compile(rb"""(?:[!#$%&*+,\-./0-9:;=?@A-Z_a-z~]|\([!#$%&*+,\-./0-9:;=?@A-Z_a-z~]*\))*""")
_TRAILING = b".,;:!?*_"
_LINK_END = re.compile(rb""">?(?:[ \t]+(?:"[^"\n]*"|'[^'\n]*'))?[ \t]*\)""")
_OPENING = re.compile(rb"""[ \t]?(?:\(|\[|\xef\xbc\x88)[ \t]*\Z""")
_CLOSING = re.compile(rb"""[ \t]*(?:\)|\]|\xef\xbc\x89)""")
_WORD = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_INSIDE_NAME = _WORD | frozenset(b"./@-")
_BLANK = b" \t"
_LINK_TEXT = 500


def strip_urls(text: bytes, language: str | None = None, hint: int = 0) -> tuple[bytes, int]:
    """Remove URLs (http, https, ftp, www.); of a Markdown link its text stays, an image goes with its description.

    Brackets that held nothing but the URL go with it, and one of the blanks around it.
    """
    return edit(text, _urls(text))


def _urls(text: bytes) -> Iterator[tuple[int, int, bytes]]:
    done = 0
    for start, begin in _url_starts(text):
        if start < done:
            continue
        match = _URL_BODY.match(text, begin)
        end = match.end() if match else begin
        while end > begin and text[end - 1] in _TRAILING:
            end -= 1
        if end - begin < 2:
            continue
        start, end, new = _with_context(text, start, end)
        done = end
        yield start, end, new


def _url_starts(text: bytes) -> list[tuple[int, int]]:
    """Return (where a URL begins, where its body begins after the scheme), in order."""
    starts: list[tuple[int, int]] = []
    at = text.find(b"://")
    while at >= 0:
        for scheme in (b"https", b"http", b"ftp"):
            start = at - len(scheme)
            if start >= 0 and text[start:at].lower() == scheme and (start == 0 or text[start - 1] not in _WORD):
                starts.append((start, at + 3))
                break
        at = text.find(b"://", at + 3)
    for prefix in (b"www.", b"WWW."):
        at = text.find(prefix)
        while at >= 0:
            if at == 0 or text[at - 1] not in _INSIDE_NAME:
                starts.append((at, at + 4))
            at = text.find(prefix, at + 4)
    return sorted(starts)


def _with_context(text: bytes, start: int, end: int) -> tuple[int, int, bytes]:
    """Widen a URL by the link, the brackets or the blank that would stand there for nothing without it."""
    before = text[start - 1 : start]
    opening = start - 1 if before == b"<" else start
    if text[max(0, opening - 2) : opening] == b"](":
        closing = _LINK_END.match(text, end)
        bracket = text.rfind(b"[", max(0, opening - _LINK_TEXT), opening - 2)
        if closing is not None and bracket >= 0 and b"\n" not in text[bracket:start]:
            image = bracket > 0 and text[bracket - 1] == 33
            return (bracket - 1 if image else bracket), closing.end(), b"" if image else text[bracket + 1 : opening - 2]
    if before == b"<" and text[end : end + 1] == b">":
        start, end = start - 1, end + 1
    opened = _OPENING.search(text, max(0, start - 6), start)
    closed = _CLOSING.match(text, end)
    if opened is not None and closed is not None:
        return opened.start(), closed.end(), b""
    if start and text[start - 1] in _BLANK and (end == len(text) or text[end] in b" \t\n.,;:!?"):
        return start - 1, end, b""
    return start, end, b""
