"""Raw markup goes where the whole text shows that it is markup; prose, code and pages about HTML stay to the letter."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from html import unescape
from pathlib import Path
from unicodedata import normalize

import pyarrow as pa
import pytest
import zstandard

from autoclave.cleaning.chain import Chain, CleanSettings
from autoclave.cleaning.transforms.markup import CONTENT_BYTES, strip_html_tags
from autoclave.corpus.schema import CONVERTED_TYPE, make_documents
from autoclave.extraction.engines import extract_page

STRIPPED = [
    ("a <b>bold</b> and <i>italic</i> word", "a bold and italic word", 4),
    ("one<br/>two<p class='x' id=\"a>b\">three", "one\ntwo\nthree", 2),
    ("<p>One.\n<p>Two.\n<p>Three.", "One.\nTwo.\nThree.", 3),
    ("<p>Hello <b>world</b></p>", "Hello world", 4),
    ('See <a href="http://x">this</a> for more.', "See this for more.", 2),
    ('<div class="a"><script>var a=1;</script>Text</div> more', "Text\n more", 3),
    ("a<ul><li>one</li><li>two</li></ul>b", "a\n\none\n\ntwo\n\nb", 6),
    ("<p>x</p><!-- gone\n --><script>var a = '</b>';</script><STYLE>p{}</STYLE>y", "x\ny", 5),
    ('<cnx-pi data-type="x">note</cnx-pi> <p>x</p>', "note \nx", 4),
    ("<p>R&amp;D</p> <b>x</b> &eacute; &#20013;", "R&D\n x \u00e9 \u4e2d", 7),
    ("AT&amp;T don&#39;t &quot;x&quot; and R&amp;D", 'AT&T don\'t "x" and R&D', 5),
    ("\u4e2d\u6587&nbsp;\u6587\u5b57&ldquo;\u5f15&rdquo;", "\u4e2d\u6587\xa0\u6587\u5b57\u201c\u5f15\u201d", 3),
]
KEPT = [
    "The <p> element represents a paragraph, and the <b> element draws attention. Use <div> only where none fits.",
    "a <b>bold</b> word alone is too little to go by",
    "Let p<q and assume that both are prime. " * 400 + "Hence f: A -> B is onto.",
    "for <code for statement1> or <time unit> or <a_name>, <key-name>, <T> and <stdio.h>",
    "vector<i> v; for (i=0; i<a && b>c; i++) map<string, object> x = a<b>c;",
    "<Directory> List<T> #include <stdio.h> a < b > c <3 <-",
    "Write &lt; where a less-than sign is wanted, &amp; for an ampersand, &nbsp; for a blank that does not break.",
    "if (a && b) { x &= y; } // R&D, AT&T, Q&A and &c.",
    "- `<p>` opens a paragraph\n- `</p>` closes it\n",
    "```html\n<p>One</p>\n<p>Two</p>\n```\nThis is how it is done.",
    "Email me <someone@example.org> or see <http://example.org/a/b>, he said <sigh> <grin>.",
    "Prose about something else. " * 60 + "<pre><span style='x'>a</span> <b id='1'>b</b></pre>" + " And prose." * 60,
    "\u5728 <head> \u548c <body> \u4e2d\u4f7f\u7528 <div> \u6807\u7b7e",
]


@pytest.mark.parametrize(("text", "left", "changes"), STRIPPED)
def test_raw_markup_goes(text: str, left: str, changes: int) -> None:
    assert strip_html_tags(text.encode()) == (left.encode(), changes)


@pytest.mark.parametrize("text", KEPT)
def test_what_is_written_to_be_read_stays(text: str) -> None:
    assert strip_html_tags(text.encode()) == (text.encode(), 0)


def test_no_prose_goes_with_a_tag() -> None:
    """A script that is closed nowhere near, an attribute that is never closed: the tags go, the text stays."""
    prose = "It was the best of times. " * 2_000
    text = f"<p>a</p><p>b</p><script>{prose}</script><!-- {prose} --><p title='{prose}</p>"
    left = strip_html_tags((text + "<p>x</p>" * 150).encode())[0].decode()
    assert left.count(prose) == 3
    assert len(prose) > CONTENT_BYTES


def test_letters_of_good_texts_stay(shared_data: Path) -> None:
    """Specifications, handbooks and text books, in which tags and references stand to be read: none loses a letter."""
    lost: list[tuple[str, str]] = []
    changed: dict[str, int] = {}
    for name in ("tech_peps", "zh_techdocs", "edu_openstax", "tech_mdn_de_mt"):
        for file in sorted((shared_data / name).glob("*.jsonl.zst")):
            with zstandard.open(file, "rt", encoding="utf-8") as lines:
                for line in lines:
                    text = json.loads(line)["text"]
                    left = strip_html_tags(text.encode())[0].decode()
                    if left != text:
                        changed[name] = changed.get(name, 0) + 1
                        shown = Counter(filter(str.isalnum, normalize("NFKC", unescape(re.sub(r"<[^<>]*>", "", text)))))
                        shown.subtract(filter(str.isalnum, normalize("NFKC", unescape(left))))
                        lost += [(name, text[:60])] if max(shown.values()) > 20 else []
    assert lost == []
    assert changed["edu_openstax"] > 350  # written in Markdown with elements of their own: real raw markup
    assert changed.get("tech_peps", 0) <= 3


def documents(texts: list[str], types: list[str | None]) -> pa.RecordBatch:
    return make_documents(texts, "s", content_type=types)


def test_what_was_extracted_is_never_parsed_again() -> None:
    """A page shows markup; its text, extracted, holds what it shows."""
    text = "<p>One</p>\n<p>Two</p>\n<p>Three</p>"
    types = ["text/html", "application/xhtml+xml", CONVERTED_TYPE, "text/plain", None]
    chain = Chain(CleanSettings(language=None, filters=[], transforms=["strip_html_tags"]))
    texts = chain.apply(documents([text] * 5, types))[0].column("text").to_pylist()
    assert texts == [text] * 3 + ["One\nTwo\nThree"] * 2


def test_a_page_about_html_keeps_what_it_shows(shared_data: Path) -> None:
    page = (shared_data.parent / "cases" / "text" / "02_html_tutorial.html").read_text(encoding="utf-8")
    text = extract_page(page).text
    edited, _ = Chain(CleanSettings()).apply(documents([text], ["text/html"]))
    left = edited.column("text")[0].as_py()
    for shown in ("<p>", "<div>", "</div>", "<span>", "&lt;", "&amp;", "vector<i>", "i<a && b>c"):
        assert shown in left


@pytest.mark.parametrize(
    "piece",
    ["<", "<a ", "<a b='", "<!--", "<script>", "&amp", "</", "<a b=c ", "<p>", "&#1;", "<a-", '<br title="', "<x "],
)
def test_time_grows_with_the_length_whatever_is_repeated(piece: str) -> None:
    def spent(count: int) -> float:
        text, best = (piece * count).encode(), 1e9
        for _ in range(3):
            start = time.process_time()
            strip_html_tags(text)
            best = min(best, time.process_time() - start)
        return best

    small = max(spent(4_000), 1e-3)
    assert spent(64_000) < 64 * small  # 16 times the text; quadratic would be 256 times
