"""Text that a page holds twice, for wide and for narrow screens."""

from __future__ import annotations

import numpy as np

from autoclave.extraction.tree import Tree
from autoclave.kernels.markup.blocks import CHARACTERS, Blocks

# Below this a repeated passage may be a refrain.
_CHARACTERS = 150
# Blocks compared on a page, so that one that repeats itself for ever takes no longer than others.
_COMPARISONS = 200_000


def drop_repeats(tree: Tree, blocks: Blocks, chosen: np.ndarray) -> np.ndarray:
    """Return `chosen`, bool[blocks], without the second of two elements that hold the same text, block by block.

    A paragraph that recurs, a chorus, a form's heading stay: the repeated run must be all that the two elements hold,
    in two blocks or more.
    """
    order = np.flatnonzero(chosen).tolist()
    first_place: dict[int, int] = {}
    digests = blocks.digest.tolist()
    kept = chosen.copy()
    place = compared = 0
    while place < len(order):
        block = order[place]
        before = first_place.get(digests[block])
        run = 0
        if before is not None and compared < _COMPARISONS and not _are_siblings(tree, blocks, order[before], block):
            run = _run(order, digests, before, place)
            compared += run
        if before is not None and run >= 2 and _is_twin(tree, blocks, order, before, place, run):
            kept[order[place : place + run]] = False
            place += run
            continue
        first_place.setdefault(digests[block], place)
        place += 1
    return kept


def _are_siblings(tree: Tree, blocks: Blocks, one: int, other: int) -> bool:
    """Whether two blocks, or their containers, stand in one element: a recurring paragraph, not the page once more."""
    first, second = int(blocks.container[one]), int(blocks.container[other])
    return first == second or (first >= 0 and second >= 0 and tree.parent[first] == tree.parent[second])


def _run(order: list[int], digests: list[int], before: int, place: int) -> int:
    """How many chosen blocks from `place` on are those from `before` on."""
    run = 0
    while (
        before + run < place
        and place + run < len(order)
        and digests[order[before + run]] == digests[order[place + run]]
    ):
        run += 1
    return run


def _is_twin(tree: Tree, blocks: Blocks, order: list[int], before: int, place: int, run: int) -> bool:
    one, other = order[before : before + run], order[place : place + run]
    if int(blocks.counts[other, CHARACTERS].sum()) < _CHARACTERS:
        return False
    return _holder(tree, blocks, one) != _holder(tree, blocks, other)


def _holder(tree: Tree, blocks: Blocks, run: list[int]) -> int:
    """The smallest element around a run of blocks."""
    last = int(blocks.first[run[-1]])
    node = int(blocks.container[run[0]])
    while node >= 0 and tree.last[node] <= last:
        node = tree.parent[node]
    return node
