"""From scores of blocks to blocks: headings with what they head, whole tables, whole pieces of code."""

from __future__ import annotations

import numpy as np

from autoclave.extraction.tables import find_table
from autoclave.extraction.tree import Tree
from autoclave.kernels.markup.blocks import CHARACTERS, PATH_BITS, Blocks, Inherited
from autoclave.kernels.markup.vocabulary import TAG, WORD

_H1, _H6, _TABLE, _PRE = (TAG[name] for name in ("h1", "h6", "table", "pre"))
# A heading needs less than other blocks where text that was chosen follows it, and falls where none does.
_HEADING_SHARE = 0.5
_AFTER_HEADING = 3
_WHOLE = 0.5
_HEADING_DEPTH = 3
# Boxes between paragraphs. The trees see these words too, but few pages of theirs have such boxes in the text.
_BOX_WORDS = WORD["newsletter"] | WORD["cookie"] | WORD["byline"] | WORD["popup"]
_TEXT_WORDS = WORD["note"] | WORD["post"]
_BOX_CHARACTERS = 300
_BOX_DEPTH = 3
_INSIDE = PATH_BITS[_TABLE] | PATH_BITS[_PRE]


def select(tree: Tree, inherited: Inherited, blocks: Blocks, scores: np.ndarray, threshold: float) -> np.ndarray:
    """Return bool[blocks]: those whose score is over the threshold, and what belongs to them.

    A heading is chosen where it is over half the threshold and chosen text follows; it falls where no chosen text
    stands before the end or the next heading of its rank. Code and tables are chosen whole where half of them is.
    """
    chosen = scores > threshold
    _leave_boxes(tree, inherited, blocks, chosen)
    levels = _heading_levels(tree, blocks)
    _choose_headings(levels, scores, chosen, threshold * _HEADING_SHARE)
    _choose_whole(tree, inherited, blocks, chosen)
    return chosen


def _leave_boxes(tree: Tree, inherited: Inherited, blocks: Blocks, chosen: np.ndarray) -> None:
    """Leave out what stands in a small element of its own whose name says newsletter, cookies, author or pop-up."""
    suspects = chosen & ((inherited.near[blocks.first] & _BOX_WORDS) != 0)
    for block in np.flatnonzero(suspects).tolist():
        node = int(blocks.container[block])
        for _ in range(_BOX_DEPTH):
            if node < 0 or inherited.characters[node] > _BOX_CHARACTERS:
                break
            if tree.nodes.words[node] & _BOX_WORDS and not tree.nodes.words[node] & _TEXT_WORDS:
                chosen[block] = False
                break
            node = tree.parent[node]


def _heading_levels(tree: Tree, blocks: Blocks) -> np.ndarray:
    """1 to 6 for blocks in a heading, 0 for others."""
    levels = np.zeros(len(blocks.first), np.int8)
    around = blocks.container.copy()
    for _ in range(_HEADING_DEPTH):
        tags = np.where(around >= 0, tree.nodes.tag[around], 0)
        found = (levels == 0) & (tags >= _H1) & (tags <= _H6)
        levels[found] = tags[found] - _H1 + 1
        around = np.where(around >= 0, tree.nodes.parent[around], -1)
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


def _choose_whole(tree: Tree, inherited: Inherited, blocks: Blocks, chosen: np.ndarray) -> None:
    groups: dict[int, list[int]] = {}
    tables: dict[int, bool] = {}
    for block in np.flatnonzero(inherited.path[blocks.first] & _INSIDE).tolist():
        node, whole = int(blocks.container[block]), -1
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
