"""The main text of a page: its blocks, scored by boosted trees, and what is done where these find too little."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

import numpy as np

from autoclave.corpus.html.metadata import Metadata, read_metadata, structured_text
from autoclave.corpus.html.repeats import drop_repeats
from autoclave.corpus.html.selection import select
from autoclave.corpus.html.tree import Tree, parse
from autoclave.corpus.html.writing import Writer
from autoclave.kernels.html.blocks import CHARACTERS, Blocks, Inherited
from autoclave.kernels.html.features import FEATURES, block_features
from autoclave.kernels.html.forest import Forest, predict
from autoclave.kernels.html.vocabulary import HIDDEN_BY_STYLE

MODEL = "main_content.npz"
# A page that gives less than this share of its text, and less than so many characters, is read again with less doubt.
_LITTLE_SHARE = 0.15
_LITTLE_CHARACTERS = 250
_LOWER = (0.25, 0.08)
_NESTED_PAGES = 2


@dataclass(frozen=True)
class MainContent:
    """Main text of one page.

    text: Markdown; how: blocks, relaxed (little was found with the usual doubt), structured_data (JSON-LD), whole_page
    (nothing looked like running text), frames, or none; visible_characters: what a reader of the page sees, without
    blanks; characters: those of them in the text.
    """

    text: str
    how: str
    visible_characters: int
    characters: int
    metadata: Metadata = field(default_factory=Metadata)


@cache
def load_model() -> Forest:
    """The model that is part of the package, fitted by `python -m benchmarks.extraction.fit`."""
    with (files("autoclave") / "assets" / MODEL).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        if tuple(arrays["features"].tolist()) != FEATURES:
            raise ValueError(f"{MODEL} was fitted on other features; run python -m benchmarks.extraction.fit")
        return Forest(*(arrays[part] for part in Forest._fields))


def score_blocks(tree: Tree, inherited: Inherited, blocks: Blocks) -> np.ndarray:
    """How sure it is that each block is main text, float64[blocks]."""
    rows, _ = block_features(tree.data, tree.nodes, inherited, blocks, tree.title_words())
    return predict(rows, load_model())


def extract_main_content(page: str, with_boilerplate: bool = False) -> MainContent:
    """Return the main text of an HTML page as Markdown, its metadata, and how it was found.

    with_boilerplate: all visible text, navigation too. May run long on hostile pages; `Extractor` puts a limit on that.
    """
    return _extract(page, with_boilerplate, 0)


def _extract(page: str, with_boilerplate: bool, depth: int) -> MainContent:
    tree = parse(page)
    metadata = read_metadata(tree)
    inherited, blocks = tree.blocks()
    visible = int(blocks.counts[:, CHARACTERS].sum())
    chosen, how = np.ones(len(blocks.first), bool), "whole_page"
    if not with_boilerplate:
        chosen, how = _choose(tree, inherited, blocks, visible)
        chosen = drop_repeats(tree, blocks, chosen)
    characters = int(blocks.counts[chosen, CHARACTERS].sum())
    if characters < _LITTLE_CHARACTERS and not with_boilerplate:
        text = structured_text(tree)
        if len(text) > max(2 * characters, 100):
            return MainContent(text, "structured_data", visible, len("".join(text.split())), metadata)
    if visible == 0 and depth < _NESTED_PAGES:
        inner = _frames(tree, with_boilerplate, depth)
        if inner is not None:
            return MainContent(inner.text, "frames", inner.visible_characters, inner.characters, metadata)
    text = Writer(tree, inherited, blocks, chosen).write()
    return MainContent(text, how if text else "none", visible, characters, metadata)


def _choose(tree: Tree, inherited: Inherited, blocks: Blocks, visible: int) -> tuple[np.ndarray, str]:
    """The blocks of the main text; where that is little, those of a page read with less doubt."""
    if not len(blocks.first):
        return np.zeros(0, bool), "none"
    scores = score_blocks(tree, inherited, blocks)
    chosen = select(tree, inherited, blocks, scores, 0.5)
    sizes = blocks.counts[:, CHARACTERS]
    how = "blocks"
    for threshold in _LOWER:
        found = int(sizes[chosen].sum())
        if found >= _LITTLE_CHARACTERS or found >= _LITTLE_SHARE * visible:
            break
        relaxed = select(tree, inherited, blocks, scores, threshold)
        if int(sizes[relaxed].sum()) > found:
            chosen, how = relaxed, "relaxed"
    if not chosen.any():
        hidden = np.array([bool(tree.nodes.words[node] & HIDDEN_BY_STYLE) for node in blocks.container])
        running = (blocks.linked < 0.5 * sizes) & ~hidden
        if sizes[running].sum() >= 0.3 * visible:
            chosen, how = running, "whole_page"
    return chosen, how


def _frames(tree: Tree, with_boilerplate: bool, depth: int) -> MainContent | None:
    """The text of <noframes>, which a parser keeps as it stands."""
    for node in tree.find("noframes"):
        markup = tree.raw_text(node)
        if markup.strip():
            return _extract(markup, with_boilerplate, depth + 1)
    return None

