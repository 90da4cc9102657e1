"""From scores of blocks to blocks: headings with what they head, whole tables, whole pieces of code."""

from __future__ import annotations

import numpy as np

from autoclave.corpus.html.tables import find_table
from autoclave.corpus.html.tree import Tree
from autoclave.kernels.html.blocks import CHARACTERS, Blocks, Inherited
from autoclave.kernels.html.vocabulary import TAG

_H1, _H6, _TABLE, _PRE = (TAG[name] for name in ("h1", "h6", "table", "pre"))
# A heading needs less than other blocks where text that was chosen follows it, and falls where none does.
_HEADING_SHARE = 0.5
_AFTER_HEADING = 3
_WHOLE = 0.5


def select(tree: Tree, inherited: Inherited, blocks: Blocks, scores: np.ndarray, threshold: float) -> np.ndarray:
    """Return bool[blocks]: those whose score is over the threshold, and what belongs to them.

    A heading is chosen where it is over half the threshold and chosen text follows; it falls where no chosen text
    stands before the end or the next heading of its rank. Code and tables are chosen whole where half of them is.
    """
    chosen = scores > threshold
    levels = _heading_levels(tree, blocks)
    _choose_headings(levels, scores, chosen, threshold * _HEADING_SHARE)
    _choose_whole(tree, blocks, chosen)
    return chosen


def _heading_levels(tree: Tree, blocks: Blocks) -> np.ndarray:
    """1 to 6 for blocks in a heading, 0 for others."""
    levels = np.zeros(len(blocks.first), np.int8)
    for block, container in enumerate(blocks.container.tolist()):
        for _ in range(3):
            if container < 0:
                break
            tag = tree.tag[container]
            if _H1 <= tag <= _H6:
                levels[block] = tag - _H1 + 1
                break
            container = tree.parent[container]
    return levels


def _choose_headings(levels: np.ndarray, scores: np.ndarray, chosen: np.ndarray, threshold: float) -> None:
    for block in np.flatnonzero(levels).tolist()[::-1]:
        following = block + 1
        while following < len(levels) and levels[following] == levels[block] and following == block + 1:
            following += 1
        after = slice(block + 1, block + 1 + _AFTER_HEADING)
        if not chosen[block] and scores[block] > threshold and (chosen[after] & (levels[after] == 0)).any():
            chosen[block] = True
        elif chosen[block] and levels[block] > 1:
            stop = block + 1
            while stop < len(levels) and not (0 < levels[stop] <= levels[block]):
                stop += 1
            chosen[block] = bool((chosen[block + 1 : stop] & (levels[block + 1 : stop] == 0)).any())


def _choose_whole(tree: Tree, blocks: Blocks, chosen: np.ndarray) -> None:
    groups: dict[int, list[int]] = {}
    tables: dict[int, bool] = {}
    for block, container in enumerate(blocks.container.tolist()):
        node, whole = container, -1
        while node >= 0:
            if tree.tag[node] == _PRE:
                whole = node
                break
            if tree.tag[node] == _TABLE:
                if node not in tables:
                    tables[node] = find_table(tree, node) is not None
                whole = node if tables[node] else whole
            node = tree.parent[node]
        if whole >= 0:
            groups.setdefault(whole, []).append(block)
    sizes = blocks.counts[:, CHARACTERS]
    for members in groups.values():
        if len(members) > 1:
            chosen[members] = sizes[members][chosen[members]].sum() >= _WHOLE * sizes[members].sum()
