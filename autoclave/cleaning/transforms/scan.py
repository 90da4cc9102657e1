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
    """Rows with "p://" or "s://" (http, https, ftp end so), or with "www."."""
    for row in range(offsets.shape[0] - 1):
        for at in range(offsets[row] + 1, offsets[row + 1] - 2):
            byte = data[at]
            if byte == 58:
                if data[at + 1] == 47 and data[at + 2] == 47 and data[at - 1] | 32 in (112, 115):
                    marks[row] = True
                    break
            elif byte == 46 and at >= offsets[row] + 3 and data[at - 1] | 32 == 119 and data[at - 2] | 32 == 119:
                marks[row] = True
                break


_SECRET_STARTS = np.zeros(256, dtype=np.bool_)
_SECRET_STARTS[list(b"ABeghsx")] = True

EMAIL, ADDRESS_4, ADDRESS_6, NUMBER, SECRET, ACCOUNT = 1, 2, 4, 8, 16, 32


@njit(cache=True, nogil=True)
def _mark_personal(data: np.ndarray, offsets: np.ndarray, starts: np.ndarray, kinds: np.ndarray) -> None:
    """Which kinds of personal data a row could hold: bits EMAIL to ACCOUNT."""
    for row in range(offsets.shape[0] - 1):
        begin, end = offsets[row], offsets[row + 1]
        found = 0
        digits = 0  # of the numeric run at hand: digits with blanks, dots, hyphens or brackets between them
        dots = 0  # groups of up to three digits, joined by dots
        colons = 0  # groups of hexadecimal digits, joined by colons
        group = 0
        last = 0
        for at in range(begin, end):
            byte = data[at]
            if 48 <= byte <= 57:
                digits += 1
                group += 1
                if digits >= 9:
                    found |= NUMBER
                if dots >= 3:
                    found |= ADDRESS_4
                if colons >= 2:
                    found |= ADDRESS_6
                if group == 2 and at >= begin + 3 and _is_account(data, at - 3, begin, end):
                    found |= ACCOUNT
            elif byte == 46:
                dots = dots + 1 if 1 <= group <= 3 and 48 <= last <= 57 else 0
                group = 0
                colons = 0
            elif byte == 58:
                colons = colons + 1
                group = 0
                digits = dots = 0
            elif byte in (32, 45, 40, 41):
                dots = colons = group = 0
                if last in (32, 45, 40, 41) and not (last == 41 and byte == 32) and not (last == 32 and byte == 40):
                    digits = 0
            else:
                if byte == 64:
                    if at > begin and at + 1 < end and _is_alphanumeric(data[at + 1]) and last > 32:
                        found |= EMAIL
                elif byte >= 65 and not _is_alphanumeric(last) and starts[byte] and _is_secret(data, at, end):
                    found |= SECRET
                digits = int(byte == 43)  # "+" is as good as a digit
                dots = group = 0
                if colons:
                    if not (97 <= byte <= 102 or 65 <= byte <= 70):
                        colons = 0
                    elif colons >= 2:
                        found |= ADDRESS_6
            last = byte
        kinds[row] = found


@njit(cache=True, nogil=True)
def _is_account(data: np.ndarray, at: int, begin: int, end: int) -> bool:
    """Whether two capitals, two digits and eleven more of either, with blanks between, begin here."""
    for index in range(at, at + 2):
        if not 65 <= data[index] <= 90:
            return False
    if at > begin and _is_alphanumeric(data[at - 1]):
        return False
    count, index = 0, at + 4
    while index < end and count < 11:
        byte = data[index]
        if 65 <= byte <= 90 or 48 <= byte <= 57:
            count += 1
        elif byte != 32:
            return False
        index += 1
    return count == 11


@njit(cache=True, nogil=True)
def _numeric_runs(data: np.ndarray, spans: np.ndarray) -> int:
    """Write (start, end) of runs of nine or more digits (eight after "+"), with single separators, into `spans`."""
    size = data.shape[0]
    count = at = 0
    while at < size:
        if not 48 <= data[at] <= 57:
            at += 1
            continue
        start, digits, gap, stop = at, 0, 0, at
        if start > 0 and data[start - 1] == 40:
            start -= 1
        if start > 0 and data[start - 1] == 43:
            start, digits = start - 1, 1
        while at < size:
            byte = data[at]
            if 48 <= byte <= 57:
                digits += 1
                gap = 0
                stop = at + 1
            elif byte in (32, 45, 46, 40, 41) and gap < 2:
                gap += 1
            else:
                break
            at += 1
        if digits >= 9:
            if count < spans.shape[0]:
                spans[count, 0], spans[count, 1] = start, stop
            count += 1
    return count


def numeric_runs(text: bytes) -> list[tuple[int, int]]:
    """Return (start, end) of runs of digits long enough for a telephone or identity number, separators included."""
    data = np.frombuffer(text, dtype=np.uint8)
    spans = np.empty((64, 2), dtype=np.int64)
    count = _numeric_runs(data, spans)
    if count > len(spans):
        spans = np.empty((count, 2), dtype=np.int64)
        _numeric_runs(data, spans)
    return [(start, end) for start, end in spans[:count].tolist()]


@njit(cache=True, nogil=True)
def _is_secret(data: np.ndarray, at: int, end: int) -> bool:
    """Whether one of the beginnings of known keys and tokens stands here, with enough behind it."""
    if at + 20 > end:
        return False
    if data[at] != 66:
        if at > 0 and data[at - 1] == 95:
            return False
        for index in range(at, at + 20):
            if not _is_alphanumeric(data[index]) and data[index] != 45 and data[index] != 95 and data[index] != 46:
                return False
    a, b, c, d, e = data[at], data[at + 1], data[at + 2], data[at + 3], data[at + 4]
    if a == 65:  # AKIA ASIA AIza
        return ((b == 75 or b == 83) and c == 73 and d == 65) or (b == 73 and c == 122 and d == 97)
    if a == 66:  # BEGIN
        return b == 69 and c == 71 and d == 73 and e == 78
    if a == 103:  # gh?_ github_pat_ glpat
        return (b == 104 and d == 95) or (b == 105 and c == 116 and d == 104) or (b == 108 and c == 112 and d == 97)
    if a == 104:  # hf_
        return b == 102 and c == 95
    if a == 115:  # sk-
        return b == 107 and c == 45
    if a == 120:  # xox?-
        return b == 111 and c == 120 and e == 45
    return a == 101 and b == 121 and c == 74  # eyJ


def rows_with_markup(text: pa.StringArray) -> np.ndarray:
    """Which rows may hold HTML tags or character references."""
    return _rows(text, _mark_markup)


@njit(cache=True, nogil=True)
def _mark_long_words(data: np.ndarray, offsets: np.ndarray, plain: np.ndarray, length: int, marks: np.ndarray) -> None:
    for row in range(offsets.shape[0] - 1):
        run = 0
        for at in range(offsets[row], offsets[row + 1]):
            run = run + 1 if plain[data[at]] else 0
            if run >= length:
                marks[row] = True
                break


def rows_with_long_words(text: pa.StringArray, letters: bytes, length: int) -> np.ndarray:
    """Which rows have `length` of these ASCII letters in a row."""
    table = np.zeros(256, dtype=np.bool_)
    table[list(letters)] = True
    data, offsets = string_buffers(text)
    marks = np.zeros(len(text), dtype=np.bool_)
    if len(text):
        _mark_long_words(data, offsets, table, length, marks)
    return marks


def rows_with_urls(text: pa.StringArray) -> np.ndarray:
    """Which rows may hold URLs."""
    return _rows(text, _mark_urls)


def kinds_of_personal_data(text: pa.StringArray) -> np.ndarray:
    """For each row the kinds of personal data it may hold, as bits, int64."""
    data, offsets = string_buffers(text)
    kinds = np.zeros(len(text), dtype=np.int64)
    if len(text):
        _mark_personal(data, offsets, _SECRET_STARTS, kinds)
    return kinds


def _rows(text: pa.StringArray, kernel: Callable[[np.ndarray, np.ndarray, np.ndarray], None]) -> np.ndarray:
    data, offsets = string_buffers(text)
    marks = np.zeros(len(text), dtype=np.bool_)
    if len(text):
        kernel(data, offsets, marks)
    return marks
