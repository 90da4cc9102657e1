"""Features of blocks: what tells the main text of a page from what stands around it, in any language."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from autoclave.kernels.markup.blocks import (
    CHARACTERS,
    COMMAS,
    COUNTS,
    DIGITS,
    ENDERS,
    LETTERS,
    MARKS,
    PATH_TAGS,
    UPPER,
    WIDE_CHARACTERS,
    WORDS,
    Blocks,
    Inherited,
)
from autoclave.kernels.markup.flatten import Nodes
from autoclave.kernels.markup.titles import count_title_words
from autoclave.kernels.markup.vocabulary import TAG, WORD_KINDS

OWN = [
    "characters",
    "words",
    "link_share",
    "links",
    "enders",
    "commas",
    "upper_share",
    "digit_share",
    "mark_share",
    "wide_share",
    "ends_sentence",
    "mean_word",
    "depth",
    "hidden",
    "aria_hidden",
    "panel",
    "tag",
]
PLACE = [
    "index",
    "from_start",
    "from_end",
    "characters_before",
    "after_title",
    "title_words",
    "repeats",
    "first_repeat",
]
AROUND = [
    "container_characters",
    "container_links",
    "parent_characters",
    "parent_links",
    "list_characters",
    "list_links",
    "siblings",
    "sibling_text",
    "root_share",
    "root_score",
    "in_root",
    "before_root",
    "after_root",
]
_OFFSETS = (-3, -2, -1, 1, 2, 3)
NEIGHBOUR = ["characters", "link_share", "enders", "heading", "same_parent"]
PAGE = ["page_characters", "page_blocks", "page_links", "page_wide", "root_characters", "page_paragraphs"]
FEATURES = (
    *OWN,
    *PLACE,
    *AROUND,
    *(f"{name}_{offset:+d}" for offset in _OFFSETS for name in NEIGHBOUR),
    *PAGE,
    *(f"in_{tag}" for tag in PATH_TAGS),
    *(f"near_{word}" for word in WORD_KINDS),
    *(f"around_{word}" for word in WORD_KINDS),
)
_PATH, _KINDS = len(PATH_TAGS), len(WORD_KINDS)
_PLACE = len(OWN)
_AROUND = _PLACE + len(PLACE)
_NEIGHBOUR = _AROUND + len(AROUND)
_PAGE = _NEIGHBOUR + len(_OFFSETS) * len(NEIGHBOUR)
_BITS = _PAGE + len(PAGE)
_OFFSET_ARRAY = np.array(_OFFSETS, np.int64)
_LONG = 60  # characters of a paragraph that is one for certain

# A number for each kind of container, so that a tree can part them.
_TAG_ORDER = [
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "p",
    "blockquote",
    "pre",
    "li",
    "dd",
    "dt",
    "td",
    "th",
    "div",
    "section",
    "article",
    "main",
    "figcaption",
    "caption",
    "summary",
    "details",
    "span",
    "header",
    "footer",
    "aside",
    "nav",
    "form",
    "fieldset",
    "label",
    "button",
    "address",
]


def _tag_numbers() -> np.ndarray:
    numbers = np.full(256, len(_TAG_ORDER), np.float32)
    for number, name in enumerate(_TAG_ORDER):
        numbers[TAG[name]] = number
    return numbers


_TAG_NUMBERS = _tag_numbers()
_H1, _H6, _BODY = TAG["h1"], TAG["h6"], TAG["body"]
_UL, _OL, _TABLE, _DL = TAG["ul"], TAG["ol"], TAG["table"], TAG["dl"]


@njit(cache=True, nogil=True, inline="always")
def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0


@njit(cache=True, nogil=True)
def find_root(nodes: Nodes, inherited: Inherited, blocks: Blocks, scores: np.ndarray) -> int:
    """The element in which most running text lies, -1 for none, and the score of every element in `scores`.

    As Readability does it (Arc90, 2009): a paragraph of 25 characters or more gives 1 + commas + characters / 100 (at
    most 3) to its container's parent, half of it one above, a third above that; elements lose their share of links.
    scores: float64[nodes], zeros to begin with.
    """
    for block in range(len(blocks.first)):
        characters, container = blocks.counts[block, CHARACTERS], blocks.container[block]
        # Characters that are words: Chinese says in 10 what English says in 25.
        weight = characters + 1.5 * blocks.counts[block, WIDE_CHARACTERS]
        if weight < 25 or container < 0:
            continue
        gain = 1.0 + blocks.counts[block, COMMAS] + min(weight / 100.0, 3.0)
        gain *= 1.0 - _share(blocks.linked[block], characters)
        for divisor in (1.0, 1.0, 2.0, 3.0):
            scores[container] += gain / divisor
            container = nodes.parent[container]
            if container < 0:
                break
    best, root = 0.0, -1
    for node in range(len(scores)):
        if scores[node] > 0:
            scores[node] *= 1.0 - _share(inherited.in_links[node], inherited.characters[node])
            if scores[node] > best and nodes.tag[node] != _BODY:
                best, root = scores[node], node
    return root


@njit(cache=True, nogil=True)
def _own(nodes: Nodes, inherited: Inherited, blocks: Blocks, block: int, row: np.ndarray) -> None:
    counts, node = blocks.counts[block], blocks.first[block]
    characters = counts[CHARACTERS]
    container = blocks.container[block]
    words = counts[WORDS] + 0.5 * counts[WIDE_CHARACTERS]
    row[0] = math.log1p(characters + 1.5 * counts[WIDE_CHARACTERS])
    row[1] = math.log1p(words)
    row[2] = _share(blocks.linked[block], characters)
    row[3] = math.log1p(blocks.links[block])
    row[4] = math.log1p(counts[ENDERS])
    row[5] = math.log1p(counts[COMMAS])
    row[6] = _share(counts[UPPER], counts[LETTERS])
    row[7] = _share(counts[DIGITS], characters)
    row[8] = _share(counts[MARKS], characters)
    row[9] = _share(counts[WIDE_CHARACTERS], characters)
    ending = blocks.ending[block]
    row[10] = 1.0 if ending == 46 or ending == 33 or ending == 63 or ending == 34 else (0.5 if ending == 58 else 0.0)
    row[11] = _share(characters, words)
    row[12] = inherited.depth[node]
    row[16] = _TAG_NUMBERS[nodes.tag[container]] if container >= 0 else 99.0
    bits = nodes.words[container] if container >= 0 else 0
    for _ in range(4):
        if container < 0:
            break
        bits |= nodes.words[container]
        container = nodes.parent[container]
    row[13], row[14], row[15] = (bits >> 40) & 1, (bits >> 41) & 1, (bits >> 42) & 1


@njit(cache=True, nogil=True)
def _list_around(nodes: Nodes, node: int) -> int:
    """The nearest list or table around, or the grandparent."""
    at = node
    for _ in range(6):
        if at < 0:
            return node
        tag = nodes.tag[at]
        if tag in (_UL, _OL, _TABLE, _DL):
            return at
        at = nodes.parent[at]
    return node


@njit(cache=True, nogil=True)
def _around(nodes: Nodes, inherited: Inherited, blocks: Blocks, block: int, row: np.ndarray, root: int) -> None:
    container = blocks.container[block]
    if container < 0:
        return
    parent = max(0, nodes.parent[container])
    grandparent = max(0, nodes.parent[parent])
    listing = _list_around(nodes, container)
    row[0] = math.log1p(inherited.characters[container])
    row[1] = _share(inherited.in_links[container], inherited.characters[container])
    row[2] = math.log1p(inherited.characters[parent])
    row[3] = _share(inherited.in_links[parent], inherited.characters[parent])
    row[4] = math.log1p(inherited.characters[listing])
    row[5] = _share(inherited.in_links[listing], inherited.characters[listing])
    row[6] = math.log1p(inherited.characters[grandparent])
    row[7] = _share(inherited.in_links[grandparent], inherited.characters[grandparent])
    if root >= 0:
        node = blocks.first[block]
        row[8] = _share(inherited.characters[root], inherited.characters[0])
        row[10] = 1.0 if root <= node < nodes.last[root] else 0.0
        row[11] = 1.0 if node < root else 0.0
        row[12] = 1.0 if node >= nodes.last[root] else 0.0


@njit(cache=True, nogil=True)
def _neighbours(nodes: Nodes, blocks: Blocks, block: int, rows: np.ndarray, offsets: np.ndarray, at: int) -> None:
    row = rows[block]
    for offset in offsets:
        other = block + offset
        if 0 <= other < len(blocks.first):
            row[at], row[at + 1], row[at + 2] = rows[other, 0], rows[other, 2], rows[other, 4]
            container = blocks.container[other]
            row[at + 3] = 1.0 if container >= 0 and _H1 <= nodes.tag[container] <= _H6 else 0.0
            mine = blocks.container[block]
            same = container >= 0 and mine >= 0 and nodes.parent[container] == nodes.parent[mine]
            row[at + 4] = 1.0 if same else 0.0
        else:
            row[at : at + 5] = -1.0
        at += 5


@njit(cache=True, nogil=True)
def _place(
    data: np.ndarray,
    nodes: Nodes,
    blocks: Blocks,
    block: int,
    before: int,
    total: int,
    title: np.ndarray,
    order: np.ndarray,
    row: np.ndarray,
) -> None:
    count = len(blocks.first)
    row[0] = block
    row[1] = _share(block, count)
    row[2] = count - block
    row[3] = _share(before, total)
    found = words = 0
    if blocks.counts[block, CHARACTERS] < 300 and len(title):
        for node in range(blocks.first[block], blocks.last[block]):
            if nodes.tag[node] == 0:
                one, other = count_title_words(data, nodes.start[node], nodes.end[node], title)
                found, words = found + one, words + other
    row[5] = _share(found, words) if words > 1 else 0.0
    low, high = order[block, 0], order[block, 1]
    row[6] = high
    row[7] = 1.0 if low == block else 0.0


@njit(cache=True, nogil=True)
def _repeats(blocks: Blocks, by_digest: np.ndarray, out: np.ndarray) -> None:
    """For each block the first one with its text, and how many there are."""
    at = 0
    while at < len(by_digest):
        stop = at
        while stop < len(by_digest) and blocks.digest[by_digest[stop]] == blocks.digest[by_digest[at]]:
            stop += 1
        for place in range(at, stop):
            out[by_digest[place], 0] = by_digest[at]
            out[by_digest[place], 1] = stop - at
        at = stop


@njit(cache=True, nogil=True)
def _fill(
    data: np.ndarray,
    nodes: Nodes,
    inherited: Inherited,
    blocks: Blocks,
    title: np.ndarray,
    by_digest: np.ndarray,
    rows: np.ndarray,
    scores: np.ndarray,
) -> int:
    root = find_root(nodes, inherited, blocks, scores)
    order = np.zeros((len(blocks.first), 2), np.int64)
    _repeats(blocks, by_digest, order)
    before, total, linked, wide, paragraphs = 0, 0, 0, 0, 0
    for block in range(len(blocks.first)):
        _own(nodes, inherited, blocks, block, rows[block])
        total += blocks.counts[block, CHARACTERS]
        linked += blocks.linked[block]
        wide += blocks.counts[block, WIDE_CHARACTERS]
        paragraphs += blocks.counts[block, CHARACTERS] > _LONG and rows[block, 2] < 0.3
    after_title = 0.0
    best = scores[root] if root >= 0 else 1.0
    for block in range(len(blocks.first)):
        row = rows[block]
        place = row[_PLACE:_AROUND]
        _place(data, nodes, blocks, block, before, total, title, order, place)
        container = blocks.container[block]
        if container >= 0 and nodes.tag[container] == _H1:
            after_title = 1.0
        place[4] = after_title
        before += blocks.counts[block, CHARACTERS]
        around = row[_AROUND:_NEIGHBOUR]
        _around(nodes, inherited, blocks, block, around, root)
        around[9] = _share(scores[max(0, nodes.parent[container])], best) if container >= 0 else 0.0
        _neighbours(nodes, blocks, block, rows, _OFFSET_ARRAY, _NEIGHBOUR)
        page = row[_PAGE:_BITS]
        page[0], page[1], page[2] = math.log1p(total), math.log1p(len(blocks.first)), _share(linked, total)
        page[3], page[5] = _share(wide, total), math.log1p(paragraphs)
        page[4] = math.log1p(inherited.characters[root]) if root >= 0 else 0.0
        node = blocks.first[block]
        for bit in range(_PATH):
            row[_BITS + bit] = (inherited.path[node] >> bit) & 1
        for bit in range(_KINDS):
            row[_BITS + _PATH + bit] = (inherited.near[node] >> bit) & 1
            row[_BITS + _PATH + _KINDS + bit] = (inherited.around[node] >> bit) & 1
    return root


def block_features(
    data: np.ndarray, nodes: Nodes, inherited: Inherited, blocks: Blocks, title: np.ndarray
) -> tuple[np.ndarray, int]:
    """Return the features of blocks, and the element in which most running text lies (-1: none).

    title: uint64[words], hashes of the words of the page's title (`hash_words`). The features are float32[blocks,
    len(FEATURES)], their names in FEATURES.
    """
    rows = np.zeros((len(blocks.first), len(FEATURES)), np.float32)
    scores = np.zeros(len(nodes.tag), np.float64)
    by_digest = np.argsort(blocks.digest, kind="stable")
    root = _fill(data, nodes, inherited, blocks, title, by_digest, rows, scores)
    return rows, root


assert COUNTS > WIDE_CHARACTERS
