"""How chosen blocks are written: lists, tables, code, scripts, line breaks."""

from __future__ import annotations

import pytest

from autoclave.extraction.engines import extract_page

HIGHLIGHTED = """<div class="syntaxhighlighter jsp"><table><tr><td class="gutter"><div class="line">1</div>
<div class="line">2</div></td><td class="code"><div class="container"><div class="line"><code>int</code> <code>x</code>
</div><div class="line"><code>&nbsp;&nbsp;</code><code>y</code></div></div></td></tr></table></div>"""
NUMBERED = """<table><tr><td class="gutter"><pre>1
2</pre></td><td class="code"><pre><code class="language-go">a := 1
\tb()</code></pre></td></tr></table>"""


@pytest.mark.parametrize(
    ("markup", "written"),
    [
        ("<ul><li>one<ol start=3><li>in<li>side</ol><li>two</ul>", "- one\n  3. in\n  4. side\n- two"),
        ("<ul><li></li><li>&nbsp;</li><li>x</li></ul>", "- x"),
        ("<ul><li>one<pre><code>a\n  b</code></pre></li><li>two</li></ul>", "- one\n```\na\n  b\n```\n- two"),
        (NUMBERED, "```go\na := 1\n\tb()\n```"),
        ("<pre>a poem\n  of two lines</pre>", "a poem\n  of two lines"),
        ("<pre><code>a ``` b</code></pre>", "````\na ``` b\n````"),
        (
            "<table><tr><th colspan=2>Fare</th></tr><tr><td>May</td><td>4|5</td></tr></table>",
            "| Fare |  |\n| --- | --- |\n| May | 4\\|5 |",
        ),
        (
            "<table><tr><th>a</th><th>b</th></tr><tr><td><ul><li>x<li>y</ul></td><td><p>p</p><p>q</p></td></tr></table>",
            "| a | b |\n| --- | --- |\n| x; y | p q |",
        ),
        ("<blockquote><p>one<br>two</p></blockquote>", "> one\n> two"),
        ("<p>one<br><br>two</p>", "one\n\ntwo"),
        ("<p>CO<sub>2</sub> and 10<sup>−3</sup> and x<sup>n+1</sup></p>", "CO₂ and 10⁻³ and xⁿ⁺¹"),
        ('<p>closed<sup><a href="#n1">1</a></sup> twice</p>', "closed[1] twice"),
        ("<p>その<ruby>船<rp>(</rp><rt>ふね</rt><rp>)</rp></ruby>は\n来た</p>", "その船は来た"),
        ("<p>한국어는\n띄어 쓴다</p>", "한국어는 띄어 쓴다"),
        ("<p>a <q>word</q> of <code>code</code></p>", "a “word” of `code`"),
        ("<h2>Head<br>line</h2><p>text</p>", "## Head line\n\ntext"),
        ("<dl><dt>term</dt><dd>meaning</dd></dl>", "term\nmeaning"),
    ],
)
def test_writing(markup: str, written: str) -> None:
    assert extract_page(markup, "autoclave-all").text == written


def test_code_of_highlighters_without_pre() -> None:
    assert extract_page(HIGHLIGHTED, "autoclave-all").text == "```\nint x\n  y\n```"


def test_a_text_for_two_screens_stands_once_and_a_chorus_stays() -> None:
    paragraphs = "".join(
        f"<p>{word} sentence that is as long as a paragraph of an article is.</p>" for word in "ABCDEF"
    )
    page = f"<article><div class=desktop>{paragraphs}</div><div class=phone>{paragraphs}</div></article>"
    assert extract_page(page).text.count("A sentence") == 1
    chorus = "<p>And so we sang it all night long, and sang it till the morning.</p>"
    song = (
        f"<article><h1>Song</h1>{''.join(f'<p>Verse {n} tells of the sea and of ships.</p>{chorus}' for n in range(4))}"
    )
    assert extract_page(f"{song}</article>").text.count("sang it all night") == 4
