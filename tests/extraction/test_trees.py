"""Flat trees against the parser's own, short pages against whole ones, the kernel's trees against scikit-learn's."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from resiliparse.parse.html import HTMLTree
from sklearn.ensemble import HistGradientBoostingClassifier

from autoclave.extraction.engines import extract_page
from autoclave.extraction.tree import Tree
from autoclave.kernels.markup.forest import predict
from autoclave.kernels.markup.measure import shorten
from autoclave.kernels.markup.vocabulary import TEXT
from benchmarks.extraction.fit import export

PIECES = st.sampled_from(
    [
        "<p>",
        "</p>",
        "<div class='a b'>",
        "</div>",
        "<table><tr><td>",
        "</table>",
        "<b>",
        "</b>",
        "text ",
        "&amp;",
        "<br>",
        "<script>if (a<b) '</p>'</script>",
        "<style>p{}</style>",
        "<!-- <p> -->",
        "<ul><li>",
        "</ul>",
        "<a href='x>y'>",
        "</a>",
        '<img alt="a>b">',
        "<svg><path/></svg>",
        "<textarea><p></textarea>",
        "<template><p>t</template>",
        "爱",
        "<h2>",
        "</h2>",
        "<pre>\n\nx",
        "</pre>",
        "<noscript>n</noscript>",
        "<p =x>",
        "<",
        ">",
        "</",
        "<select><option>o",
    ]
)


def texts_of(markup: str) -> list[str]:
    """The text of each node of the parser's tree, scripts and styles aside, in document order."""
    document = HTMLTree.parse(markup).document
    assert document is not None
    return [node.value for node in document if node.type == 3 and node.parent.tag not in ("script", "style")]


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.lists(PIECES, max_size=25).map("".join))
def test_flat_trees_hold_the_parsers_texts(page: str) -> None:
    document = HTMLTree.parse(page).document
    assert document is not None
    tree = Tree(document.html.encode())
    flat = [
        tree.text(node)
        for node in range(len(tree))
        if tree.tag[node] == TEXT
        and not {tree.name(at) for at in tree.ancestors(node)} & {"script", "style", "template"}
    ]
    assert "".join(flat) == "".join(texts_of(page))
    assert all(parent < node < tree.last[node] for node, parent in enumerate(tree.parent))


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.lists(PIECES, max_size=25).map("".join))
def test_a_shortened_page_has_the_same_texts(page: str) -> None:
    short, _ = shorten(np.frombuffer(page.encode(), np.uint8))
    assert "".join(texts_of(short.tobytes().decode())) == "".join(texts_of(page))


def test_shortened_pages_of_the_article_benchmark(shared_data: Path) -> None:
    different = []
    for path in sorted((shared_data / "extract_aeb/html").glob("*.html.gz"))[::6]:
        page = gzip.decompress(path.read_bytes()).decode("utf-8", "replace")
        short, _ = shorten(np.frombuffer(page.encode(), np.uint8))
        if "".join(texts_of(short.tobytes().decode())) != "".join(texts_of(page)):
            different.append(path.name)
    assert different == []


def test_the_kernels_trees_are_those_that_were_fitted() -> None:
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(600, 12)).astype(np.float32)
    labels = (rows[:, 0] + rows[:, 3] * rows[:, 5] > 0).astype(int)
    model = HistGradientBoostingClassifier(max_iter=30, random_state=1).fit(rows, labels)
    assert np.abs(predict(rows, export(model)) - model.predict_proba(rows)[:, 1]).max() < 1e-6


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.lists(PIECES, max_size=25).map("".join), st.sampled_from(["autoclave", "autoclave-all"]))
def test_any_page_has_a_text(page: str, engine: str) -> None:
    found = extract_page(page, engine)
    assert found.text.encode().decode() == found.text
    assert found.visible_characters is not None


def test_no_paragraph_loses_its_middle() -> None:
    """Rules for blocks never act inside a paragraph, whatever its elements are called."""
    inside = "".join(
        f'<{name} class="{kind}">{name}{number} </{name}>'
        for number, kind in enumerate(["social share", "banner hidden", "legal comment", "ad sponsor", "author date"])
        for name in ["span", "time", "em", "label", "button", "a", "code", "abbr"]
    )
    page = f"<article><p>{'A long first sentence of the article. ' * 5}{inside} and the end of it.</p></article>"
    text = extract_page(page).text.replace("`", "")
    for number in range(5):
        for name in ["span", "time", "em", "label", "button", "a", "code", "abbr"]:
            assert f"{name}{number}" in text
