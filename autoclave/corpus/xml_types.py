"""What an XML document is, by its first element: a page, or a feed, an image, a list of URLs, which are no pages."""

from __future__ import annotations

import re

from autoclave.corpus.readers.lines import text_encoding

XML_TYPES = frozenset({"text/xml", "application/xml"})
"""Declarations that say only that it is XML."""

PAGE_TYPE = "application/xhtml+xml"
OTHER_TYPE = "application/xml"
_ROOTS = {
    "html": PAGE_TYPE,
    "rss": "application/rss+xml",
    "rdf": "application/rdf+xml",
    "feed": "application/atom+xml",
    "svg": "image/svg+xml",
    "urlset": "application/sitemap+xml",
    "sitemapindex": "application/sitemap+xml",
    "opml": "text/x-opml",
}
NO_PAGES = frozenset(_ROOTS.values()) - {PAGE_TYPE}
"""Types of XML documents that hold no page whatever they were declared to be."""

HEAD_BYTES = 1 << 16
_SPACE = re.compile(rb"\s*")
_DOCTYPE = re.compile(rb"<![^>\[]*(?:\[[^\]]*\]\s*)?>")
_ROOT = re.compile(rb"<(?:[A-Za-z_][\w.-]*:)?([A-Za-z_][\w.-]*)([^>]{0,4096})")
_XHTML = b"http://www.w3.org/1999/xhtml"
_FEED_SIGNS = (b"<?xml", b"<rss", b"<feed")


def begins_as_xml(head: bytes) -> bool:
    """Whether a document that begins so calls itself XML, or is plainly a feed."""
    return _text(head[:256]).lstrip().lower().startswith(_FEED_SIGNS)


def xml_type(payload: bytes) -> str | None:
    """Return the type of an XML document (UTF-8, UTF-16 or UTF-32) by its first element; None where there is none.

    application/xhtml+xml for what is a page: the element `html`, or any in the namespace of XHTML. Looks at the first
    64 KiB, once: what stands before the element may be comments, instructions and a document type.
    """
    data = _text(bytes(payload[:HEAD_BYTES]))
    at = 0
    while True:
        at = _behind(_SPACE, data, at)
        if data.startswith(b"<?", at):
            at = data.find(b"?>", at) + 2
        elif data.startswith(b"<!--", at):
            at = data.find(b"-->", at) + 3
        elif data.startswith(b"<!", at):
            match = _DOCTYPE.match(data, at)
            at = match.end() if match else 0
        else:
            break
        if at < 4:  # no end of it is at hand
            return None
    root = _ROOT.match(data, at)
    if root is None:
        return None
    name = root.group(1).decode("ascii", "replace").lower()
    return PAGE_TYPE if _XHTML in root.group(2) else _ROOTS.get(name, OTHER_TYPE)


def _behind(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    match = pattern.match(data, at)
    return at if match is None else match.end()


def _text(data: bytes) -> bytes:
    """The beginning of a text in UTF-8, without a byte order mark."""
    encoding, mark = text_encoding(data)
    return data[mark:] if encoding == "utf-8" else data[mark:].decode(encoding, "replace").encode()
