"""Blocks of a page (a paragraph, an item, a cell, a heading: text between two breaks) and what is in them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from autoclave.kernels.markup.flatten import Nodes
from autoclave.kernels.markup.vocabulary import (
    BLOCK,
    HASH_PRIME,
    HASH_START,
    HIDDEN_BY_STYLE,
    INVISIBLE,
    TAG,
    TAG_PROPERTIES,
    TEXT,
    WORD,
)

_A, _BR, _BODY, _HTML = TAG["a"], TAG["br"], TAG["body"], TAG["html"]
# Class names of an element that holds more of the page's text than this say nothing of a block in it (class="page
# with-sidebar"), but for those of comments: there may be more of them than of what they comment on.
WIDE = 0.6
_COMMENT = WORD["comment"]
_GENERATIONS = 3

# Columns of what is counted in the bytes of a text.
CHARACTERS, WORDS, ENDERS, COMMAS, UPPER, LETTERS, DIGITS, MARKS, WIDE_CHARACTERS = range(9)
COUNTS = 9


class Inherited(NamedTuple):
    """What each node has from the elements around it.

    shown: uint8[nodes], 0 in what no reader sees; linked: uint8, 1 inside <a>; container: int32, the nearest block
    element, -1 at the top; near: int64, words of the three nearest elements; around: int64, words of all elements
    around that are not wide; path: int64, bits of the block tags around (1 << number of `PATH_TAGS`);
    depth: int32; characters: int32[nodes], visible characters inside; in_links: int32, those of them inside <a>.
    """

    shown: np.ndarray
    linked: np.ndarray
    container: np.ndarray
    near: np.ndarray
    around: np.ndarray
    path: np.ndarray
    depth: np.ndarray
    characters: np.ndarray
    in_links: np.ndarray


class Blocks(NamedTuple):
    """Blocks in document order.

    first, last: int32[blocks], the first text node and one after the last; container: int32, the block element that
    holds them, -1 for none; counts: int32[blocks, COUNTS], sums over their bytes; linked: int32, characters inside
    links; links: int32, their number; ending: uint8, the last byte that is no blank; digest: uint64, of the text
    without blanks.
    """

    first: np.ndarray
    last: np.ndarray
    container: np.ndarray
    counts: np.ndarray
    linked: np.ndarray
    links: np.ndarray
    ending: np.ndarray
    digest: np.ndarray


PATH_TAGS = [
    "nav",
    "header",
    "footer",
    "aside",
    "article",
    "main",
    "section",
    "form",
    "figure",
    "table",
    "ul",
    "ol",
    "dl",
    "blockquote",
    "pre",
    "details",
    "address",
    "h1",
    "h2",
    "h3",
    "li",
    "td",
    "th",
    "p",
    "button",
    "label",
    "noscript",
    "figcaption",
]


def _path_bits() -> np.ndarray:
    bits = np.zeros(len(TAG_PROPERTIES), np.int64)
    for number, name in enumerate(PATH_TAGS):
        bits[TAG[name]] = 1 << number
    return bits


PATH_BITS = _path_bits()


@njit(cache=True, nogil=True)
def _count(data: np.ndarray, start: int, end: int, counts: np.ndarray) -> None:
    """Add to `counts` what is in a text: characters and words without blanks; characters of scripts without blanks
    between words (three bytes and more, CJK punctuation too) count as half a word each, rounded down in the end."""
    in_word = False
    at = start
    while at < end:
        byte = data[at]
        if byte <= 32 or (byte == 0xC2 and at + 1 < end and data[at + 1] == 0xA0):
            in_word = False
            at += 2 if byte == 0xC2 else 1
            continue
        if byte == 38:  # an entity: one character
            stop = at + 1
            while stop < end and stop - at < 8 and data[stop] != 59:
                stop += 1
            if stop < end and data[stop] == 59:
                if stop - at == 5 and data[at + 1] == 110:  # &nbsp;
                    in_word = False
                else:
                    counts[CHARACTERS] += 1
                at = stop + 1
                continue
        if not in_word:
            counts[WORDS] += 1
            in_word = True
        counts[CHARACTERS] += 1
        if byte < 0x80:
            _count_ascii(byte, counts)
            at += 1
        elif byte < 0xE0:
            counts[LETTERS] += 1
            at += 2
        elif byte < 0xF0:
            _count_wide(data, at, end, counts)
            at += 3
        else:
            counts[WIDE_CHARACTERS] += 1
            at += 4


@njit(cache=True, nogil=True, inline="always")
def _count_ascii(byte: int, counts: np.ndarray) -> None:
    if 97 <= byte <= 122:
        counts[LETTERS] += 1
    elif 65 <= byte <= 90:
        counts[LETTERS] += 1
        counts[UPPER] += 1
    elif 48 <= byte <= 57:
        counts[DIGITS] += 1
    elif byte == 46 or byte == 33 or byte == 63:
        counts[ENDERS] += 1
    elif byte == 44 or byte == 59 or byte == 58:
        counts[COMMAS] += 1
    elif byte == 124 or byte == 62 or byte == 42 or byte == 64 or byte == 35 or byte == 95:
        counts[MARKS] += 1


@njit(cache=True, nogil=True)
def _count_wide(data: np.ndarray, at: int, end: int, counts: np.ndarray) -> None:
    second = data[at + 1] if at + 1 < end else 0
    third = data[at + 2] if at + 2 < end else 0
    code = ((data[at] & 15) << 12) | ((second & 63) << 6) | (third & 63)
    if code == 0x3002 or code == 0xFF01 or code == 0xFF1F or code == 0xFF61 or code == 0x0964:
        counts[ENDERS] += 1
    elif code == 0xFF0C or code == 0x3001 or code == 0xFF1B or code == 0xFF1A:
        counts[COMMAS] += 1
    elif 0x2000 <= code < 0x2100 or 0x2190 <= code < 0x2600:
        if code == 0x203A or code == 0x2192 or code == 0x25B6 or code == 0x2022 or code >= 0x2190:
            counts[MARKS] += 1
    elif code >= 0x2E80:
        counts[WIDE_CHARACTERS] += 1
        counts[LETTERS] += 1
    else:
        counts[LETTERS] += 1


@njit(cache=True, nogil=True)
def _inherit(
    data: np.ndarray, nodes: Nodes, properties: np.ndarray, path_bits: np.ndarray, out: Inherited, counts: np.ndarray
) -> None:
    """Fill what comes down from parents, then the characters that go up to them; `counts` of each text."""
    for node in range(len(nodes.tag)):
        parent, tag = nodes.parent[node], nodes.tag[node]
        shown, linked, container, path, depth = 1, 0, -1, 0, 0
        if parent >= 0:
            shown, linked, container = out.shown[parent], out.linked[parent], out.container[parent]
            path, depth = out.path[parent], out.depth[parent] + 1
            if properties[nodes.tag[parent]] & BLOCK:
                container = parent
        if tag != TEXT:
            is_block = properties[tag] & BLOCK
            if properties[tag] & INVISIBLE or (nodes.words[node] & HIDDEN_BY_STYLE and not is_block):
                shown = 0
            linked |= tag == _A
            path |= path_bits[tag]
        elif shown:
            _count(data, nodes.start[node], nodes.end[node], counts[node])
        out.shown[node], out.linked[node], out.container[node] = shown, linked, container
        out.path[node], out.depth[node] = path, depth
        out.characters[node] = counts[node, CHARACTERS]
        out.in_links[node] = counts[node, CHARACTERS] if linked else 0
    for node in range(len(nodes.tag) - 1, -1, -1):
        parent = nodes.parent[node]
        if parent >= 0:
            out.characters[parent] += out.characters[node]
            out.in_links[parent] += out.in_links[node]


@njit(cache=True, nogil=True)
def _inherit_words(nodes: Nodes, total: int, out: Inherited) -> None:
    wide = max(1, int(WIDE * total))
    for node in range(len(nodes.tag)):
        parent = nodes.parent[node]
        words = nodes.words[node]
        if nodes.tag[node] == _BODY or nodes.tag[node] == _HTML:
            words = 0
        near = words
        for _ in range(_GENERATIONS - 1):
            if parent < 0 or nodes.tag[parent] == _BODY:
                break
            near |= nodes.words[parent]
            parent = nodes.parent[parent]
        out.near[node] = near
        parent = nodes.parent[node]
        inherited = out.around[parent] if parent >= 0 else 0
        out.around[node] = inherited | (words & _COMMENT if out.characters[node] > wide else words)


@njit(cache=True, nogil=True)
def _digest(data: np.ndarray, start: int, end: int, value: np.uint64) -> np.uint64:
    for at in range(start, end):
        if data[at] > 32:
            value = (value ^ np.uint64(data[at])) * HASH_PRIME
    return value


@njit(cache=True, nogil=True)
def _find_blocks(
    data: np.ndarray, nodes: Nodes, inherited: Inherited, counts: np.ndarray, properties: np.ndarray, out: Blocks
) -> int:
    """Fill the blocks, which have room for one a node; returns their number."""
    count = -1
    broken, breaks = True, 0
    for node in range(len(nodes.tag)):
        tag = nodes.tag[node]
        if tag == _BR:
            breaks += 1
            broken |= breaks >= 2
        elif tag != TEXT:
            broken |= (properties[tag] & BLOCK) != 0
            if tag == _A and count >= 0 and not broken:
                out.links[count] += 1
        elif inherited.shown[node] and counts[node, CHARACTERS] > 0:
            if broken or out.container[count] != inherited.container[node]:
                count += 1
                out.first[count], out.container[count] = node, inherited.container[node]
                out.links[count], out.linked[count] = inherited.linked[node], 0
                out.digest[count] = HASH_START
                out.counts[count] = 0
            broken, breaks = False, 0
            out.last[count] = node + 1
            out.counts[count] += counts[node]
            if inherited.linked[node]:
                out.linked[count] += counts[node, CHARACTERS]
            start, end = nodes.start[node], nodes.end[node]
            out.digest[count] = _digest(data, start, end, out.digest[count])
            while end > start and data[end - 1] <= 32:
                end -= 1
            out.ending[count] = data[end - 1]
    return count + 1


def find_blocks(data: np.ndarray, nodes: Nodes) -> tuple[Inherited, Blocks]:
    """Return what each node has from around it, and the blocks of a page.

    data: uint8[bytes], the canonical HTML; nodes: as `flatten` gives them. A block is a run of text that no block
    element, and no two <br>, break; text in scripts, forms' choices and elements hidden by their style (inline ones)
    is in none.
    """
    size = len(nodes.tag)
    kinds = (np.uint8, np.uint8, np.int32, *[np.int64] * 3, *[np.int32] * 3)
    inherited = Inherited._make(np.empty(size, kind) for kind in kinds)
    counts = np.zeros((size, COUNTS), np.int32)
    _inherit(data, nodes, TAG_PROPERTIES, PATH_BITS, inherited, counts)
    total = int(inherited.characters[nodes.parent == -1].sum())
    _inherit_words(nodes, total, inherited)
    room = max(1, int(np.count_nonzero(nodes.tag == TEXT)))
    first, last, container, linked, links = (np.empty(room, np.int32) for _ in range(5))
    found = np.empty((room, COUNTS), np.int32)
    blocks = Blocks(first, last, container, found, linked, links, np.empty(room, np.uint8), np.empty(room, np.uint64))
    count = _find_blocks(data, nodes, inherited, counts, TAG_PROPERTIES, blocks)
    return inherited, Blocks._make(array[:count] for array in blocks)
