"""XML documents by their first element: pages are pages whatever stands before them, feeds and images never."""

from __future__ import annotations

import random
import xml.etree.ElementTree as ElementTree

import pytest

from autoclave.corpus.xml_types import NO_PAGES, PAGE_TYPE, begins_as_xml, xml_type

XHTML = '<html xmlns="http://www.w3.org/1999/xhtml"><body><p>a</p></body></html>'
DOCTYPE = (
    '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd">'
)
CASES = {
    XHTML: PAGE_TYPE,
    f'<?xml version="1.0"?>\n{DOCTYPE}\n{XHTML}': PAGE_TYPE,
    f'<?xml version="1.0"?><?xml-stylesheet href="a.css"?><!-- <rss> a comment -->{XHTML}': PAGE_TYPE,
    f'<!DOCTYPE html [<!ENTITY a "b"> <!ENTITY c "<svg>">]>{XHTML}': PAGE_TYPE,
    '<div xmlns="http://www.w3.org/1999/xhtml">a</div>': PAGE_TYPE,
    '<h:html xmlns:h="http://www.w3.org/1999/xhtml"/>': PAGE_TYPE,
    "<HTML><BODY>no XML at all<br></BODY></HTML>": PAGE_TYPE,
    '<?xml version="1.0"?><rss version="2.0"><channel><title>t</title></channel></rss>': "application/rss+xml",
    '<feed xmlns="http://www.w3.org/2005/Atom"><title>t</title></feed>': "application/atom+xml",
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/>': "application/rdf+xml",
    '<svg xmlns="http://www.w3.org/2000/svg"/>': "image/svg+xml",
    '<svg:svg xmlns:svg="http://www.w3.org/2000/svg"/>': "image/svg+xml",
    '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"/>': "application/sitemap+xml",
    "<book><title>t</title></book>": "application/xml",
}


@pytest.mark.parametrize("document", list(CASES))
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_the_first_element_tells(document: str, encoding: str) -> None:
    assert xml_type(document.encode(encoding)) == CASES[document]
    assert xml_type(f"\n \n{document}".encode(encoding)) == CASES[document]


@pytest.mark.parametrize(
    "data", [b"", b"words", b"<", b"<!-- no end", b"<?xml no end", b"<!DOCTYPE html [", b"{}", b"\xff\xfe"]
)
def test_what_has_no_element_has_no_type(data: bytes) -> None:
    assert xml_type(data) is None


def test_it_agrees_with_a_parser() -> None:
    """On random documents with comments, instructions and blanks before the first element."""
    parts = ["<!-- c -->", "<?pi x?>", "\n", " ", "<!-- <html> -->", "<?pi <rss>?>"]
    for number in range(300):
        rng = random.Random(number)
        before = "".join(rng.choices(parts, k=rng.randrange(5)))
        document = before + rng.choice([XHTML, "<rss/>", "<svg/>", "<x a='>'/>"])
        name = ElementTree.fromstring(document.strip()).tag.rpartition("}")[2]
        expected = {"html": PAGE_TYPE, "rss": "application/rss+xml", "svg": "image/svg+xml", "x": "application/xml"}
        assert xml_type(document.encode()) == expected[name]


def test_hostile_beginnings_cost_their_length() -> None:
    for sign in (b"<!--", b"<?", b"<![", b"<! [", b" ", b"<a ", b"<!-- -->", b"<??>"):
        assert xml_type(sign * (2_000_000 // len(sign))) in (None, "application/xml")


def test_feeds_are_told_from_pages() -> None:
    assert begins_as_xml(b"\xef\xbb\xbf <?xml version='1.0'?>")
    assert begins_as_xml(b"<RSS>")
    assert not begins_as_xml(b"<!DOCTYPE html><title>")
    assert PAGE_TYPE not in NO_PAGES
