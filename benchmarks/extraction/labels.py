"""Which blocks of a page are its main text, by its right text: the labels that the model is fitted on."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from autoclave.corpus.charset import decode
from autoclave.corpus.html.tree import Tree, parse
from autoclave.kernels.html.blocks import Blocks, Inherited
from autoclave.kernels.html.features import block_features
from benchmarks.extraction.gold import Page

_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]|[^\W_]+")
SILVER_WEIGHT = 0.3


@dataclass
class Labelled:
    """A page's features (float32[blocks, FEATURES]), labels (float32[blocks], 0 or 1), weights, and its texts."""

    page: Page
    rows: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    texts: list[str]


def tokens(text: str) -> list[str]:
    return _TOKEN.findall(text.lower())


def block_texts(tree: Tree, inherited: Inherited, blocks: Blocks) -> list[str]:
    """The text of each block, blanks folded."""
    shown = inherited.shown.tolist()
    return [
        " ".join("".join([tree.text(node) for node in range(first, last) if shown[node] and not tree.tag[node]]).split())
        for first, last in zip(blocks.first.tolist(), blocks.last.tolist(), strict=True)
    ]


def label(page: Page, silver: str = "") -> Labelled:
    """Find a page's blocks and label them.

    A block is main text where most of its runs of three words stand in the right text; a shorter one where it stands
    there as it is, between two that are. Where only segments are known they decide, and `silver` (another extractor's
    text) for the rest, at a lower weight.
    """
    tree = parse(decode(page.html).text)
    inherited, blocks = tree.blocks()
    rows, _ = block_features(tree.data, tree.nodes, inherited, blocks, tree.title_words())
    texts = block_texts(tree, inherited, blocks)
    if page.text is not None:
        labels, weights = _by_text(texts, page.text)
    else:
        labels, weights = _by_text(texts, silver)
        weights *= SILVER_WEIGHT
        _by_segments(texts, page, labels, weights)
    return Labelled(page, rows, labels, weights, texts)


def _by_text(texts: list[str], gold: str) -> tuple[np.ndarray, np.ndarray]:
    wanted = tokens(gold)
    runs = {tuple(wanted[at : at + 3]) for at in range(len(wanted) - 2)}
    spaced = f" {' '.join(wanted)} "
    labels, weights = np.zeros(len(texts), np.float32), np.zeros(len(texts), np.float32)
    short = []
    for number, text in enumerate(texts):
        found = tokens(text)
        weights[number] = min(len(found), 120) ** 0.6
        if len(found) >= 4:
            hits = sum(tuple(found[at : at + 3]) in runs for at in range(len(found) - 2)) / (len(found) - 2)
            labels[number] = hits > 0.5
            if 0.25 < hits < 0.75:
                weights[number] *= 0.3
        else:
            short.append(number)
    long = np.flatnonzero((labels > 0) & (weights > 2.3))
    for number in short:
        found = tokens(texts[number])
        inside = len(long) > 0 and long[0] - 3 <= number <= long[-1] + 3
        labels[number] = bool(found) and inside and f" {' '.join(found)} " in spaced
        weights[number] *= 0.7
    return labels, weights


def _fold(text: str) -> str:
    return " ".join(text.split())


def _by_segments(texts: list[str], page: Page, labels: np.ndarray, weights: np.ndarray) -> None:
    for segments, value in ((page.wanted, 1.0), (page.unwanted, 0.0)):
        for segment in map(_fold, segments):
            holders = [number for number, text in enumerate(texts) if segment in text]
            if value and len(holders) > 1:  # once is enough: the one that others hold to be main text, else the longest
                holders = [max(holders, key=lambda number: (labels[number], len(texts[number])))]
            for number in holders:
                labels[number], weights[number] = value, 4.0
