"""From the canonical HTML that a parser writes of its tree to flat arrays of nodes.

What a parser has written is regular: every element that was opened is closed in order, attributes stand in double
quotes, `<` stands only before a tag. So one pass without any rule of error correction finds the tree again.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from autoclave.kernels.markup.vocabulary import (
    ARIA_HIDDEN,
    ATTRIBUTE_KEYS,
    ATTRIBUTE_VALUES,
    ATTRIBUTES,
    HASH_PRIME,
    HASH_START,
    HIDDEN_BY_STYLE,
    RAW,
    ROLE_PANEL,
    TAG,
    TAG_KEYS,
    TAG_PROPERTIES,
    TAG_VALUES,
    TEXT,
    UNKNOWN,
    VOID,
    WORD_KEYS,
    WORD_VALUES,
)

_LT, _GT, _SLASH, _QUOTE, _BANG, _EQUALS = 60, 62, 47, 34, 33, 61
_STYLE, _HIDDEN, _ARIA, _ROLE = ATTRIBUTES["style"], ATTRIBUTES["hidden"], ATTRIBUTES["aria-hidden"], ATTRIBUTES["role"]
_SHADOW = ATTRIBUTES["shadowrootmode"]
_TEMPLATE, _SLOT = TAG["template"], TAG["slot"]
# Words and names longer than this are not looked up.
_NAME_BYTES = 40
# How far down the stack a closing tag looks for its element, where a page confuses us after all.
_SEARCH = 64
# Elements deeper than this lie beside one another: browsers stop at 512, and what climbs to the top stays short.
DEPTH = 256
# Nodes of a page beyond this are cut off: about ten times those of the largest real pages.
NODES = 1_500_000


class Nodes(NamedTuple):
    """The nodes of a page in document order.

    tag: uint8[nodes], numbers of TAGS (TEXT for text); parent: int32, -1 for those at the top; last: int32, one after
    the last node inside; start, end: int32, byte span of a text, or of an element's attributes; close: int32, one after
    the bytes of the whole node; words: int64, what class, id, role and style say (WORD and the bits beside it).
    """

    tag: np.ndarray
    parent: np.ndarray
    last: np.ndarray
    start: np.ndarray
    end: np.ndarray
    close: np.ndarray
    words: np.ndarray


@njit(cache=True, nogil=True, inline="always")
def _lower(byte: int) -> int:
    return byte | 32 if 65 <= byte <= 90 else byte


@njit(cache=True, nogil=True)
def look_up(key: np.uint64, keys: np.ndarray, values: np.ndarray) -> int:
    """The value of a hash in a table with open addressing (uint64[slots], int64[slots]), 0 where it has none."""
    mask = np.uint64(len(keys) - 1)
    at = key & mask
    while keys[at] != np.uint64(0):
        if keys[at] == key:
            return values[at]
        at = (at + np.uint64(1)) & mask
    return 0


@njit(cache=True, nogil=True)
def _word_bits(data: np.ndarray, start: int, end: int, keys: np.ndarray, values: np.ndarray) -> int:
    """OR of the bits of all words of a class name; `postMeta`, `post-meta` and `post_meta` are two words."""
    bits = 0
    at = start
    while at < end:
        value = HASH_START
        begin = at
        was_lower = False
        while at < end:
            byte = data[at]
            is_upper = 65 <= byte <= 90
            if not (is_upper or 97 <= byte <= 122) or (is_upper and was_lower):
                break
            value = (value ^ np.uint64(_lower(byte))) * HASH_PRIME
            was_lower = not is_upper
            at += 1
        if at == begin:
            at += 1
        elif at - begin <= _NAME_BYTES:
            bits |= look_up(value, keys, values)
    return bits


@njit(cache=True, nogil=True)
def _is_no_display(data: np.ndarray, start: int, end: int) -> bool:
    """Whether a style holds display:none or visibility:hidden, blanks after the colon or not."""
    for at in range(start, end - 10):
        first = _lower(data[at])
        if first == 100 and _lower(data[at + 1]) == 105 and _lower(data[at + 2]) == 115 and data[at + 7] == 58:
            place = at + 8
        elif first == 118 and _lower(data[at + 1]) == 105 and _lower(data[at + 2]) == 115 and data[at + 10] == 58:
            place = at + 11
        else:
            continue
        while place < end and data[place] == 32:
            place += 1
        if place + 4 <= end and _lower(data[place]) == 110 and _lower(data[place + 3]) == 101:
            return True  # none
        if place + 6 <= end and _lower(data[place]) == 104 and _lower(data[place + 1]) == 105:
            return True  # hidden
    return False


@njit(cache=True, nogil=True)
def _attributes(
    data: np.ndarray,
    at: int,
    end: int,
    names: tuple[np.ndarray, np.ndarray],
    words: tuple[np.ndarray, np.ndarray],
) -> tuple[int, int, bool]:
    """Read attributes up to the closing `>`: (its place, bits of their words, whether this is a shadow root)."""
    bits = 0
    shadow = False
    while at < end and data[at] != _GT:
        if data[at] == 32 or data[at] == _SLASH:
            at += 1
            continue
        key = (HASH_START ^ np.uint64(data[at])) * HASH_PRIME  # a name may begin with =
        at += 1
        while at < end and data[at] != _EQUALS and data[at] != 32 and data[at] != _GT:
            key = (key ^ np.uint64(data[at])) * HASH_PRIME
            at += 1
        begin = stop = at
        if at + 1 < end and data[at] == _EQUALS and data[at + 1] == _QUOTE:
            begin = stop = at + 2
            while stop < end and data[stop] != _QUOTE:
                stop += 1
            at = stop + 1
        kind = look_up(key, names[0], names[1])
        if kind == 0:
            continue
        if kind == _STYLE:
            if _is_no_display(data, begin, stop):
                bits |= HIDDEN_BY_STYLE
        elif kind == _HIDDEN:
            bits |= HIDDEN_BY_STYLE
        elif kind == _ARIA:
            if stop > begin and data[begin] == 116:
                bits |= ARIA_HIDDEN
        elif kind == _SHADOW:
            shadow = True
        else:
            bits |= _word_bits(data, begin, stop, words[0], words[1])
            if kind == _ROLE and stop - begin == 8 and data[begin] == 116 and data[begin + 3] == 112:
                bits |= ROLE_PANEL
    return at, bits, shadow


@njit(cache=True, nogil=True)
def _skip_raw(data: np.ndarray, at: int, end: int, name_start: int, name_end: int) -> int:
    """The place of the `</name` that ends a raw element, or the end."""
    size = name_end - name_start
    while at < end:
        if data[at] == _LT and at + 2 + size <= end and data[at + 1] == _SLASH:
            same = True
            for step in range(size):
                if _lower(data[at + 2 + step]) != data[name_start + step]:
                    same = False
                    break
            if same:
                return at
        at += 1
    return end


@njit(cache=True, nogil=True)
def _close(key: np.uint64, hashes: np.ndarray, depth: int) -> int:
    """The depth after a closing tag: that of the nearest open element of its name, or as it is."""
    for step in range(min(depth, _SEARCH)):
        if hashes[depth - 1 - step] == key:
            return depth - 1 - step
    return depth


@njit(cache=True, nogil=True)
def _flatten(
    data: np.ndarray,
    nodes: Nodes,
    stack: np.ndarray,
    hashes: np.ndarray,
    tables: tuple[np.ndarray, ...],
) -> tuple[int, bool]:
    """Fill `nodes`; returns their number, and whether these are all."""
    tag_keys, tag_values, properties, attribute_keys, attribute_values, word_keys, word_values = tables
    count, depth, deeper, at, end = 0, 0, 0, 0, len(data)
    while at < end and count + 2 <= len(nodes.tag):
        if data[at] != _LT:
            begin = at
            while at < end and data[at] != _LT:
                at += 1
            nodes.tag[count] = TEXT
            nodes.parent[count] = stack[depth - 1] if depth else -1
            nodes.start[count], nodes.end[count], nodes.close[count] = begin, at, at
            nodes.words[count] = 0
            nodes.last[count] = count + 1
            count += 1
            continue
        if at + 1 < end and data[at + 1] == _BANG:
            at = _after_comment(data, at, end)
            continue
        closing = at + 1 < end and data[at + 1] == _SLASH
        at += 2 if closing else 1
        name_start = at
        key = HASH_START
        while at < end and data[at] != 32 and data[at] != _GT and data[at] != _SLASH:
            key = (key ^ np.uint64(data[at])) * HASH_PRIME
            at += 1
        if closing:
            while at < end and data[at] != _GT:
                at += 1
            at += 1
            if deeper:
                deeper -= 1
                continue
            left = _close(key, hashes, depth)
            while depth > left:
                depth -= 1
                nodes.last[stack[depth]], nodes.close[stack[depth]] = count, at
            continue
        name_end = at
        at, bits, shadow = _attributes(data, at, end, (attribute_keys, attribute_values), (word_keys, word_values))
        tag = look_up(key, tag_keys, tag_values)
        tag = UNKNOWN if tag == 0 else tag
        if tag == _TEMPLATE and shadow:
            tag = _SLOT
        nodes.tag[count] = tag
        nodes.parent[count] = stack[depth - 1] if depth else -1
        nodes.start[count], nodes.end[count] = name_end, min(at, end)
        nodes.words[count] = bits
        nodes.last[count] = count + 1
        at += 1
        nodes.close[count] = at
        if properties[tag] & RAW:
            stop = _skip_raw(data, at, end, name_start, name_end)
            if stop > at:
                nodes.tag[count + 1] = TEXT
                nodes.parent[count + 1] = count
                nodes.start[count + 1], nodes.end[count + 1], nodes.close[count + 1] = at, stop, stop
                nodes.words[count + 1] = 0
                nodes.last[count + 1] = count + 2
                nodes.last[count] = count + 2
            at = stop
            while at < end and data[at] != _GT:
                at += 1
            at = min(at + 1, end)
            nodes.close[count] = at
            count += nodes.last[count] - count - 1
        elif not properties[tag] & VOID:
            if depth < len(stack):
                stack[depth], hashes[depth] = count, key
                depth += 1
            else:
                deeper += 1
        count += 1
    while depth > 0:
        depth -= 1
        nodes.last[stack[depth]], nodes.close[stack[depth]] = count, at
    return count, at >= end


@njit(cache=True, nogil=True)
def _after_comment(data: np.ndarray, at: int, end: int) -> int:
    """The place after a comment or a doctype."""
    if at + 3 < end and data[at + 2] == 45 and data[at + 3] == 45:
        at += 4
        while at < end and not (data[at] == _GT and data[at - 1] == 45 and data[at - 2] == 45):
            at += 1
        return at + 1
    while at < end and data[at] != _GT:
        at += 1
    return at + 1


@njit(cache=True, nogil=True)
def count_tags(data: np.ndarray) -> int:
    """How many `<` there are in data, uint8[bytes]."""
    count = 0
    for byte in data:
        count += byte == _LT
    return count


_TABLES = (TAG_KEYS, TAG_VALUES, TAG_PROPERTIES, ATTRIBUTE_KEYS, ATTRIBUTE_VALUES, WORD_KEYS, WORD_VALUES)


def flatten(data: np.ndarray) -> tuple[Nodes, bool]:
    """Return the nodes of canonical HTML, and whether these are all: at most NODES.

    data: uint8[bytes], as a parser serialises its tree (UTF-8, attributes in double quotes). Takes 33 bytes a node and
    time in proportion to the bytes; markup of another form gives other nodes, never an error.
    """
    room = min(2 * count_tags(data) + 2, NODES)
    kinds = (np.uint8, *[np.int32] * 5, np.int64)
    nodes = Nodes._make(np.empty(room, kind) for kind in kinds)
    stack, hashes = np.empty(DEPTH, np.int32), np.empty(DEPTH, np.uint64)
    count, whole = _flatten(data, nodes, stack, hashes, _TABLES)
    return Nodes._make(array[:count] for array in nodes), whole
