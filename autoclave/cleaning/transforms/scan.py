"""Finding, over the buffers of a whole batch, the rows that a transform could change; and spans it must not touch."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
from numba import njit

from autoclave.cleaning.language.script import string_buffers

TABLE_SIZE = 0x30000
# Code points above the table (planes 3 and up) share its last entry.
ABOVE = TABLE_SIZE - 1


class CodePoints:
    """What of each code point makes a place worth looking at.

    runs: {code points: n}, where n or more of the same in a row make a run; classes: [(code points, n)], where n or
    more of the class in a row do. Called with a batch, it tells which rows have any: bit 0 for runs, bit k for the
    k-th class.
    """

    def __init__(
        self, runs: Mapping[str, int] | None = None, classes: tuple[tuple[str, int], ...] = (), above: bool = False
    ) -> None:
        self.need = np.zeros(TABLE_SIZE, dtype=np.uint8)
        self.group = np.zeros(TABLE_SIZE, dtype=np.uint8)
        self.group_need = np.zeros(len(classes) + 1, dtype=np.int64)
        for points, count in (runs or {}).items():
            self.need[[ord(point) for point in points]] = count
        for number, (points, count) in enumerate(classes, 1):
            self.group[[ord(point) for point in points]] = number
            self.group_need[number] = count
        if above:
            self.need[ABOVE] = 1
        self.plain = (self.need[:128] == 0) & (self.group[:128] == 0)

    def __call__(self, text: pa.StringArray) -> np.ndarray:
        """Return the bits of each row, int64 [rows]."""
        data, offsets = string_buffers(text)
        marks = np.zeros(len(text), dtype=np.int64)
        if len(text):
            _scan(data, offsets, self.plain, self.need, self.group, self.group_need, marks, _NO_SPANS)
        return marks

    def spans(self, text: bytes) -> list[tuple[int, int, int]]:
        """Return (start, end, 0 for a run or k for the k-th class) of every run of one text, by their ends."""
        data = np.frombuffer(text, dtype=np.uint8)
        offsets = np.array([0, len(data)], dtype=np.int32)
        marks = np.zeros(1, dtype=np.int64)
        spans = np.empty((256, 3), dtype=np.int64)
        count = _scan(data, offsets, self.plain, self.need, self.group, self.group_need, marks, spans)
        if count > len(spans):
            spans = np.empty((count, 3), dtype=np.int64)
            _scan(data, offsets, self.plain, self.need, self.group, self.group_need, marks, spans)
        return [(start, end, kind) for start, end, kind in spans[:count].tolist()]


_NO_SPANS = np.empty((0, 3), dtype=np.int64)


@njit(cache=True, nogil=True)
def _scan(
    data: np.ndarray,
    offsets: np.ndarray,
    plain: np.ndarray,
    need: np.ndarray,
    group: np.ndarray,
    group_need: np.ndarray,
    marks: np.ndarray,
    spans: np.ndarray,
) -> int:
    """Set the bits of each row in `marks`, write runs into `spans` as far as they fit; return how many there are."""
    above = need.shape[0] - 1
    count = 0
    for row in range(offsets.shape[0] - 1):
        at, end = offsets[row], offsets[row + 1]
        last = last_group = -1
        run = run_start = group_run = group_start = 0
        while at <= end:
            begin = at
            if at == end:
                point = -2  # closes the runs at hand
                at += 1
            else:
                byte = int(data[at])
                if byte < 0x80:
                    point = byte
                    at += 1
                    if plain[byte]:
                        while at < end and data[at] < 0x80 and plain[data[at]]:
                            at += 1
                        if last < 0 and last_group <= 0:
                            continue
                        point = -3  # closes the runs at hand and begins none
                elif byte < 0xE0:
                    point = (byte & 0x1F) << 6 | (data[at + 1] & 0x3F)
                    at += 2
                elif byte < 0xF0:
                    point = (byte & 0x0F) << 12 | int(data[at + 1] & 0x3F) << 6 | (data[at + 2] & 0x3F)
                    at += 3
                else:
                    point = (byte & 0x07) << 18 | int(data[at + 1] & 0x3F) << 12
                    point |= int(data[at + 2] & 0x3F) << 6 | (data[at + 3] & 0x3F)
                    at += 4
                    if point > above:
                        point = above
            if point == last:
                run += 1
            else:
                if last >= 0 and need[last] and run >= need[last]:
                    marks[row] |= 1
                    if count < spans.shape[0]:
                        spans[count, 0], spans[count, 1], spans[count, 2] = run_start, begin, 0
                    count += 1
                last, run, run_start = point, 1, begin
            now = int(group[point]) if point >= 0 else 0
            if now == last_group:
                group_run += 1
            else:
                if last_group > 0 and group_run >= group_need[last_group]:
                    marks[row] |= 1 << last_group
                    if count < spans.shape[0]:
                        spans[count, 0], spans[count, 1], spans[count, 2] = group_start, begin, last_group
                    count += 1
                last_group, group_run, group_start = now, 1, begin
    return count


@njit(cache=True, nogil=True, inline="always")
def _is_letter(byte: int) -> bool:
    return 97 <= byte <= 122 or 65 <= byte <= 90


@njit(cache=True, nogil=True, inline="always")
def _is_alphanumeric(byte: int) -> bool:
    return 97 <= byte <= 122 or 65 <= byte <= 90 or 48 <= byte <= 57


@njit(cache=True, nogil=True)
def _mark_markup(data: np.ndarray, offsets: np.ndarray, marks: np.ndarray) -> None:
    """Rows with `<` before a letter, `/` or `!`, or with something like a character reference."""
    for row in range(offsets.shape[0] - 1):
        end = offsets[row + 1]
        for at in range(offsets[row], end - 2):
            byte = data[at]
            if byte == 60:
                following = data[at + 1]
                if _is_letter(following) or following == 47 or following == 33:
                    marks[row] = True
                    break
            elif byte == 38:
                stop = at + 1
                if data[stop] == 35:
                    stop += 1
                while stop < end and stop - at < 33 and _is_alphanumeric(data[stop]):
                    stop += 1
                if stop < end and stop > at + 1 and data[stop] == 59:
                    marks[row] = True
                    break


@njit(cache=True, nogil=True)
def _mark_urls(data: np.ndarray, offsets: np.ndarray, marks: np.ndarray) -> None:
    """Rows with "p://" or "s://" (http, https, ftp end so), with "www.", or with a path behind a port or an address."""
    for row in range(offsets.shape[0] - 1):
        begin, end = offsets[row], offsets[row + 1]
        for at in range(begin + 1, end):
            byte = data[at]
            if byte == 47:
                if 48 <= data[at - 1] <= 57 and _is_host(data, at - 1, begin):
                    marks[row] = True
                    break
            elif byte == 58:
                if at + 2 < end and data[at + 1] == 47 and data[at + 2] == 47 and data[at - 1] | 32 in (112, 115):
                    marks[row] = True
                    break
            elif byte == 46 and at >= begin + 3 and data[at - 1] | 32 == 119 and data[at - 2] | 32 == 119:
                marks[row] = True
                break


@njit(cache=True, nogil=True)
def _is_host(data: np.ndarray, last: int, begin: int) -> bool:
    """Whether digits that end at `last` are a port behind a host, or the last of the four groups of an address."""
    at = last
    while at > begin and last - at < 5 and 48 <= data[at] <= 57:
        at -= 1
    if at <= begin:
        return False
    if data[at] == 58:
        return last - at >= 2 and _is_alphanumeric(data[at - 1])
    return data[at] == 46 and last - at <= 3 and 48 <= data[at - 1] <= 57


@njit(cache=True, nogil=True)
def _mark_misread(data: np.ndarray, offsets: np.ndarray, marks: np.ndarray) -> None:
    """Rows with a lead byte of UTF-8 read as Windows-1252 (U+00C2 to U+00F4) and what continuation bytes become."""
    for row in range(offsets.shape[0] - 1):
        for at in range(offsets[row], offsets[row + 1] - 3):
            if data[at] != 0xC3 or not 0x82 <= data[at + 1] <= 0xB4:
                continue
            following = data[at + 2]
            if following in (0xC2, 0xC5, 0xC6, 0xCB) or (following == 0xE2 and data[at + 3] in (0x80, 0x82, 0x84)):
                marks[row] = True
                break


def rows_with_markup(text: pa.StringArray) -> np.ndarray:
    """Which rows may hold HTML tags or character references, bool[rows]."""
    return _rows(text, _mark_markup)


def rows_misread(text: pa.StringArray) -> np.ndarray:
    """Which rows may hold UTF-8 that was read as Windows-1252, bool[rows]."""
    return _rows(text, _mark_misread)


@njit(cache=True, nogil=True)
def _mark_long_words(data: np.ndarray, offsets: np.ndarray, plain: np.ndarray, length: int, marks: np.ndarray) -> None:
    """Rows with a run of `length` letters; looked for from its end, so that most bytes are never read."""
    for row in range(offsets.shape[0] - 1):
        first = offsets[row]
        while first + length <= offsets[row + 1]:
            at = first + length - 1
            while at >= first and plain[data[at]]:
                at -= 1
            if at < first:
                marks[row] = True
                break
            first = at + 1


def rows_with_long_words(text: pa.StringArray, letters: bytes, length: int) -> np.ndarray:
    """Which rows have `length` of these ASCII letters side by side, bool[rows]."""
    table = np.zeros(256, dtype=np.bool_)
    table[list(letters)] = True
    data, offsets = string_buffers(text)
    marks = np.zeros(len(text), dtype=np.bool_)
    if len(text):
        _mark_long_words(data, offsets, table, length, marks)
    return marks


def rows_with_urls(text: pa.StringArray) -> np.ndarray:
    """Which rows may hold URLs, bool[rows]."""
    return _rows(text, _mark_urls)


def _rows(text: pa.StringArray, kernel: Callable[[np.ndarray, np.ndarray, np.ndarray], None]) -> np.ndarray:
    data, offsets = string_buffers(text)
    marks = np.zeros(len(text), dtype=np.bool_)
    if len(text):
        kernel(data, offsets, marks)
    return marks
