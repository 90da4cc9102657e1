"""Rule 1: HTML tags out of texts that are not code."""

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
