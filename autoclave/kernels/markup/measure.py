"""A page before it is parsed: without what no reader needs, and how much work it would make for a parser."""

from __future__ import annotations

import numpy as np
from numba import njit

from autoclave.kernels.markup.flatten import look_up
from autoclave.kernels.markup.vocabulary import (
    HASH_PRIME,
    HASH_START,
    RAW,
    TAG,
    TAG_KEYS,
    TAG_PROPERTIES,
    TAG_VALUES,
    VOID,
)

# Columns of what `shorten` counts.
TAGS_OPENED, DEPTH, ATTRIBUTES, FORMATTING = range(4)
_FORMATTING = ["a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"]
# Elements whose end the parser adds by itself, so that one that is not closed does not make the page deeper.
_IMPLIED = [
    "p",
    "li",
    "dt",
    "dd",
    "tr",
    "td",
    "th",
    "thead",
    "tbody",
    "tfoot",
    "option",
    "optgroup",
    "rp",
    "rt",
    "rb",
    "rtc",
    "caption",
    "colgroup",
    "html",
    "head",
    "body",
]


def _kinds() -> np.ndarray:
    kinds = np.zeros(len(TAG_PROPERTIES), np.uint8)
    for name in _FORMATTING:
        kinds[TAG[name]] = 1
    for name in _IMPLIED:
        kinds[TAG[name]] = 2
    kinds[(TAG_PROPERTIES & VOID) > 0] = 2
    return kinds


_KINDS = _kinds()
_SCRIPT, _STYLE, _TITLE, _TEXTAREA = (TAG[name] for name in ("script", "style", "title", "textarea"))


@njit(cache=True, nogil=True)
def _name(data: np.ndarray, at: int, keys: np.ndarray, values: np.ndarray) -> tuple[int, int]:
    key = HASH_START
    end = len(data)
    while at < end:
        byte = data[at]
        if byte <= 32 or byte == 62 or byte == 47:
            break
        if 65 <= byte <= 90:
            byte |= 32
        key = (key ^ np.uint64(byte)) * HASH_PRIME
        at += 1
    return look_up(key, keys, values), at


@njit(cache=True, nogil=True)
def _end_of_tag(data: np.ndarray, at: int) -> tuple[int, int]:
    """The place of the `>` that ends a tag, quoted values passed over, and the blanks and slashes before it."""
    end = len(data)
    attributes = 0
    after_equals = False
    while at < end and data[at] != 62:
        byte = data[at]
        if after_equals and (byte == 34 or byte == 39):
            at += 1
            while at < end and data[at] != byte:
                at += 1
            attributes += 1
            after_equals = False
        elif byte <= 32 or byte == 47:
            attributes += 1
        else:
            after_equals = byte == 61
        at += 1
    return at, attributes


@njit(cache=True, nogil=True)
def _end_of_comment(data: np.ndarray, at: int) -> int:
    """One after the comment, doctype or other declaration that begins at `at`."""
    end = len(data)
    if at + 3 < end and data[at + 2] == 45 and data[at + 3] == 45:
        at += 4
        if at < end and data[at] == 62:
            return at + 1
        while at < end and not (data[at] == 62 and data[at - 1] == 45 and data[at - 2] == 45):
            if data[at] == 62 and data[at - 1] == 33 and data[at - 2] == 45 and data[at - 3] == 45:
                break
            at += 1
        return at + 1
    while at < end and data[at] != 62:
        at += 1
    return at + 1


@njit(cache=True, nogil=True)
def _end_of_raw(data: np.ndarray, at: int, name: int) -> tuple[int, bool]:
    """Where the `</s` or `</x` stands that ends a raw element whose name begins at `name`, and whether all is as simple
    as that: no comment in it, in which a script's end tag would not count."""
    end = len(data)
    simple = True
    while at + 2 < end:
        if data[at] == 60:
            if data[at + 1] == 47 and (data[at + 2] | 32) == (data[name] | 32) and _same_name(data, at + 2, name):
                return at, simple
            simple &= data[at + 1] != 33
        at += 1
    return end, False


@njit(cache=True, nogil=True)
def _same_name(data: np.ndarray, at: int, name: int) -> bool:
    end = len(data)
    while name < end and (97 <= data[name] | 32 <= 122):
        if at >= end or (data[at] | 32) != (data[name] | 32):
            return False
        at, name = at + 1, name + 1
    return at >= end or not 97 <= data[at] | 32 <= 122


@njit(cache=True, nogil=True)
def _is_read(data: np.ndarray, start: int, end: int) -> bool:
    """Whether a script's attributes say that it holds JSON-LD or TeX: `ld+json`, `math/`."""
    for at in range(start, end - 4):
        if data[at] == 108 and data[at + 1] == 100 and data[at + 2] == 43:
            return True
        if (
            data[at] == 109
            and data[at + 1] == 97
            and data[at + 2] == 116
            and data[at + 3] == 104
            and data[at + 4] == 47
        ):
            return True
    return False


@njit(cache=True, nogil=True)
def _shorten(
    data: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    kinds: np.ndarray,
    properties: np.ndarray,
    counts: np.ndarray,
    out: np.ndarray,
) -> int:
    at, end, size, kept = 0, len(data), 0, 0
    depth = formatting = 0
    while at < end:
        if data[at] != 60 or at + 1 >= end:
            at += 1
            continue
        byte = data[at + 1] | 32
        closing = data[at + 1] == 47
        if data[at + 1] == 33:
            stop = min(_end_of_comment(data, at), end)
            if at + 2 < end and data[at + 2] == 45:
                out[size : size + at - kept] = data[kept:at]
                size, kept = size + at - kept, stop
            at = stop
            continue
        if not closing and not 97 <= byte <= 122:
            at += 1
            continue
        name = at + (2 if closing else 1)
        tag, at = _name(data, name, keys, values)
        start = at
        at, attributes = _end_of_tag(data, at)
        if closing:
            depth -= kinds[tag] != 2 and depth > 0
            formatting -= kinds[tag] == 1 and formatting > 0
            at += 1
            continue
        counts[TAGS_OPENED] += 1
        counts[ATTRIBUTES] = max(counts[ATTRIBUTES], attributes)
        depth += kinds[tag] != 2
        formatting += kinds[tag] == 1
        counts[DEPTH], counts[FORMATTING] = max(counts[DEPTH], depth), max(counts[FORMATTING], formatting)
        at += 1
        if tag in (_SCRIPT, _STYLE):
            stop, simple = _end_of_raw(data, at, name)
            if simple and not (tag == _SCRIPT and _is_read(data, start, at)):
                out[size : size + at - kept] = data[kept:at]
                size, kept = size + at - kept, stop
            at = stop
        elif properties[tag] & RAW or tag in (_TITLE, _TEXTAREA):
            at, _ = _end_of_raw(data, at, name)
    out[size : size + end - kept] = data[kept:end]
    return size + max(0, end - kept)


def shorten(data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a page without what no reader and no parser needs, and what it would cost a parser.

    data: uint8[bytes], HTML as it came. Gone are comments and what is inside <style> and <script>, but for JSON-LD and
    TeX. The costs are int64[4]: tags opened, the deepest nesting (ends that a parser adds left aside), the most blanks,
    slashes and quoted values in one tag (attributes, nearly), the most formatting elements open at once; they depend on
    the bytes alone.
    """
    counts, out = np.zeros(4, np.int64), np.empty(len(data), np.uint8)
    size = _shorten(data, TAG_KEYS, TAG_VALUES, _KINDS, TAG_PROPERTIES, counts, out)
    return out[:size], counts
