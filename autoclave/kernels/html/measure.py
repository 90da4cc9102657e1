"""How much work a page would make for a parser, measured before it is parsed."""

from __future__ import annotations

import numpy as np
from numba import njit

from autoclave.kernels.html.flatten import look_up
from autoclave.kernels.html.vocabulary import RAW, TAG, TAG_KEYS, TAG_PROPERTIES, TAG_VALUES, VOID

# Columns of `measure_markup`.
TAGS_OPENED, DEPTH, ATTRIBUTES, FORMATTING = range(4)
_FORMATTING = "a b big code em font i nobr s small strike strong tt u".split()
# Elements whose end the parser adds by itself, so that one that is not closed does not make the page deeper.
_IMPLIED = "p li dt dd tr td th thead tbody tfoot option optgroup rp rt rb rtc caption colgroup html head body".split()


def _kinds() -> np.ndarray:
    kinds = np.zeros(len(TAG_PROPERTIES), np.uint8)
    for name in _FORMATTING:
        kinds[TAG[name]] = 1
    for name in _IMPLIED:
        kinds[TAG[name]] = 2
    kinds[(TAG_PROPERTIES & VOID) > 0] = 2
    return kinds


_KINDS = _kinds()


@njit(cache=True, nogil=True)
def _name(data: np.ndarray, at: int, keys: np.ndarray, values: np.ndarray) -> tuple[int, int]:
    key = np.uint64(0xCBF29CE484222325)
    end = len(data)
    while at < end:
        byte = data[at]
        if byte <= 32 or byte == 62 or byte == 47:
            break
        if 65 <= byte <= 90:
            byte |= 32
        key = (key ^ np.uint64(byte)) * np.uint64(0x100000001B3)
        at += 1
    return look_up(key, keys, values), at


@njit(cache=True, nogil=True)
def _end_of_raw(data: np.ndarray, at: int) -> int:
    """The next `</s`, `</x` and so on: an end tag of a raw element, nearly enough."""
    while at + 1 < len(data) and not (data[at] == 60 and data[at + 1] == 47):
        at += 1
    return at


@njit(cache=True, nogil=True)
def _measure(
    data: np.ndarray, keys: np.ndarray, values: np.ndarray, kinds: np.ndarray, properties: np.ndarray, out: np.ndarray
) -> None:
    at, end = 0, len(data)
    depth = formatting = 0
    while at < end:
        if data[at] != 60 or at + 1 >= end:
            at += 1
            continue
        byte = data[at + 1] | 32
        closing = data[at + 1] == 47
        if not closing and not 97 <= byte <= 122:
            at += 1
            continue
        tag, at = _name(data, at + (2 if closing else 1), keys, values)
        if closing:
            depth -= kinds[tag] != 2 and depth > 0
            formatting -= kinds[tag] == 1 and formatting > 0
            continue
        out[TAGS_OPENED] += 1
        attributes = 0
        while at < end and data[at] != 62:
            attributes += data[at] <= 32 or data[at] == 47 or data[at] == 34
            at += 1
        out[ATTRIBUTES] = max(out[ATTRIBUTES], attributes)
        if at > 0 and at < end and data[at - 1] == 47:
            continue
        depth += kinds[tag] != 2
        formatting += kinds[tag] == 1
        out[DEPTH], out[FORMATTING] = max(out[DEPTH], depth), max(out[FORMATTING], formatting)
        if properties[tag] & RAW:
            at = _end_of_raw(data, at)


def measure_markup(data: np.ndarray) -> np.ndarray:
    """Return int64[4]: tags opened, the deepest nesting (ends that a parser adds left aside), the most blanks, quotes and
    slashes in one tag (attributes, and what stands between them), the most formatting elements open at once.

    data: uint8[bytes], HTML as it came. These are upper bounds for whole pages and near the truth for hostile ones; they
    depend on the bytes alone.
    """
    out = np.zeros(4, np.int64)
    _measure(data, TAG_KEYS, TAG_VALUES, _KINDS, TAG_PROPERTIES, out)
    return out
