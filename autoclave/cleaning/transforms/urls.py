"""Rule 1: URLs out of texts that are not code."""

from __future__ import annotations

import re
from collections.abc import Iterator

from autoclave.cleaning.transforms.protected import edit

_ASCII = rb"[!#$%&*+,\-./0-9:;=?@A-Z_a-z~]"
# Letters of scripts with spaces between words: what stands in a URL belongs to it (RFC 3987).
_SPACED = (
    rb"(?:\xc3[\x80-\x96\x98-\xb6\xb8-\xbf]|[\xc4-\xcc\xce-\xd6][\x80-\xbf]|\xcd[\x80-\xaf]|\xd7[\x80-\xaf]"
    rb"|\xd8[\x90-\x9a\xa0-\xbf]|\xd9[\x80-\xa9\xae-\xbf]|[\xda-\xdf][\x80-\xbf]|\xe0[\xa4-\xb7][\x80-\xa3\xa6-\xbf]"
    rb"|\xe1[\x82-\x83\x88-\x8c\xb8-\xbf][\x80-\xbf])"
)
# Letters of scripts without: prose runs on behind a URL, so that they belong to it only behind a sign that divides
# one (in 193 of 194 places in Chinese documentation), as in /wiki/奶酪 and #语法图; so do endings in Korean.
_UNSPACED = (
    rb"(?:\xe3[\x81-\x83\x90-\xbf][\x80-\xbf]|[\xe4-\xe9\xeb\xec][\x80-\xbf]{2}|\xea[\xb0-\xbf][\x80-\xbf]"
    rb"|\xed[\x80-\x9e][\x80-\xbf]|\xe0[\xb8-\xbb][\x80-\xbf]|\xe1[\x80-\x81\x9e-\x9f][\x80-\xbf])"
)
_WORD_OF_UNSPACED = rb"(?:(?<=[/#=_&?-])|(?<=[\x80-\xbf]\.))%s{1,30}(?!%s)" % (_UNSPACED, _UNSPACED)
# A URL ends at blanks, quotes, brackets that it did not open, and signs beyond ASCII.
_BODY = re.compile(
    rb"(?:%s+|%s+|%s|\((?:%s|%s|%s)*\))*" % (_ASCII, _SPACED, _WORD_OF_UNSPACED, _ASCII, _SPACED, _UNSPACED)
)
_TARGET = re.compile(rb"[^\s()<>]*(?:\([^\s()<>]*\)[^\s()<>]*)*")  # of a Markdown link: up to its bracket
_TRAILING = b".,;:!?*_"
_LINK_END = re.compile(rb""">?(?:[ \t]+(?:"[^"\n]*"|'[^'\n]*'))?[ \t]*\)""")
_OPENING = re.compile(rb"""[ \t]?(?:\(|\[|\xef\xbc\x88)[ \t]*\Z""")
_CLOSING = re.compile(rb"""[ \t]*(?:\)|\]|\xef\xbc\x89)""")
_INSIDE_WORD = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_INSIDE_NAME = _INSIDE_WORD | frozenset(b"./@-")
# Without a scheme: a host or an IPv4 address with a port and a path, and an address with a path that is no prefix.
_PORT = re.compile(rb":\d{2,5}/")
_HOST = re.compile(rb"(?<![\w./@:-])(?:[A-Za-z0-9-]{1,63}\.){1,8}(?:[A-Za-z]{2,24}|\d{1,3})\Z")
_PATH = re.compile(rb"\.\d{1,3}/[A-Za-z_~%]")
_ADDRESS = re.compile(rb"(?<![\w./@:-])\d{1,3}(?:\.\d{1,3}){2}\Z")
_HOST_BYTES = 255
_BLANK = b" \t"
_ENDS = re.compile(rb"[ \t\n.,;:!?]|\xd8\x8c|\xe3\x80[\x81\x82]|\xef\xbc[\x81\x8c\x9a\x9b\x9f]|\Z")
_LINK_TEXT = 500


def strip_urls(text: bytes, language: str | None = None, hint: int = 0) -> tuple[bytes, int]:
    """Remove URLs (http, https, ftp, www., host:port/path, address/path); of a Markdown link its text stays, an image
    goes with its description.

    Brackets that held nothing but the URL go with it, one of the blanks around it, and a line that is empty without.
    """
    return edit(text, _without_empty_lines(text, list(_urls(text))))


def _urls(text: bytes) -> Iterator[tuple[int, int, bytes]]:
    done = 0
    for start, begin in _url_starts(text):
        if start < done:
            continue
        is_target = text[max(0, start - 2) : start] == b"](" or text[max(0, start - 3) : start] == b"](<"
        match = (_TARGET if is_target else _BODY).match(text, begin)
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
            if start >= 0 and text[start:at].lower() == scheme and (start == 0 or text[start - 1] not in _INSIDE_WORD):
                starts.append((start, at + 3))
                break
        at = text.find(b"://", at + 3)
    lowered = text.lower()
    at = lowered.find(b"www.")
    while at >= 0:
        if at == 0 or text[at - 1] not in _INSIDE_NAME:
            starts.append((at, at + 4))
        at = lowered.find(b"www.", at + 4)
    for port in _PORT.finditer(text):
        host = _HOST.search(text, max(0, port.start() - _HOST_BYTES), port.start())
        if host is not None:
            starts.append((host.start(), port.end()))
    for path in _PATH.finditer(text):
        address = _ADDRESS.search(text, max(0, path.start() - 11), path.start())
        if address is not None:
            starts.append((address.start(), path.end() - 2))
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
    if start and text[start - 1] in _BLANK and _ENDS.match(text, end):
        return start - 1, end, b""
    return start, end, b""


_MARKER = re.compile(rb"\s*(?:(?:[-*+>]|\xe2\x80\xa2|\d{1,3}[.)])\s*)?")  # of a list or a quotation


def _without_empty_lines(text: bytes, edits: list[tuple[int, int, bytes]]) -> Iterator[tuple[int, int, bytes]]:
    """Yield edits, those of a line of which nothing would be left as one edit that takes the line."""
    at = 0
    while at < len(edits):
        begin = text.rfind(b"\n", 0, edits[at][0]) + 1
        end = text.find(b"\n", edits[at][1])
        end = len(text) if end < 0 else end
        stop = at
        rest: list[bytes] = []
        place = begin
        while stop < len(edits) and edits[stop][0] < end:
            rest += [text[place : edits[stop][0]], edits[stop][2]]
            place = edits[stop][1]
            stop += 1
        rest.append(text[place:end])
        if _MARKER.fullmatch(b"".join(rest)):
            yield (*_line(text, begin, end), b"")
        else:
            yield from edits[at:stop]
        at = stop


def _line(text: bytes, begin: int, end: int) -> tuple[int, int]:
    """Return the line [begin, end) with its line end, and with one of two empty lines that it stood between."""
    if end == len(text):
        return max(0, begin - 1), end
    following = text.find(b"\n", end + 1)
    empty_above = not text[text.rfind(b"\n", 0, max(0, begin - 1)) + 1 : max(0, begin - 1)].strip()
    if empty_above and following >= 0 and not text[end + 1 : following].strip():
        return begin, following + 1
    return begin, end + 1
