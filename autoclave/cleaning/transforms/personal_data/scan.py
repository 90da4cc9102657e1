"""Which texts may hold personal data, and where numbers stand that could be some: over UTF-8 bytes, in linear time."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numba import njit

from autoclave.cleaning.language.script import string_buffers
from autoclave.cleaning.transforms.personal_data.telephone_words import prefix_table

EMAIL, ADDRESS_4, ADDRESS_6, NUMBER, SECRET, ACCOUNT = 1, 2, 4, 8, 16, 32

# A run of digits that telephone and identity numbers fit in: digits, groups, signs between two groups, and how far
# around it a word such as "phone" counts.
LEAST_DIGITS = 7
MOST_GROUPS = 24
MOST_SEPARATORS = 3
WORDS_BEFORE = 48
WORDS_AFTER = 12

_PLAIN, _DIGIT, _AT, _COLON, _SECRET = 0, 1, 2, 3, 4
_CLASSES = np.zeros(256, dtype=np.uint8)
_CLASSES[list(b"0123456789")] = _DIGIT
_CLASSES[64] = _AT
_CLASSES[58] = _COLON
_CLASSES[list(b"ABJ_-")] = _SECRET  # signs that every known beginning of a key has, and prose seldom


@njit(cache=True, nogil=True, inline="always")
def _is_digit(byte: int) -> bool:
    return 48 <= byte <= 57


@njit(cache=True, nogil=True, inline="always")
def _is_alphanumeric(byte: int) -> bool:
    return 97 <= byte <= 122 or 65 <= byte <= 90 or 48 <= byte <= 57


@njit(cache=True, nogil=True, inline="always")
def _is_hexadecimal(byte: int) -> bool:
    return 48 <= byte <= 57 or 97 <= byte <= 102 or 65 <= byte <= 70


@njit(cache=True, nogil=True, inline="always")
def _is_word(byte: int) -> bool:
    return _is_alphanumeric(byte) or byte == 95


@njit(cache=True, nogil=True)
def _separator(data: np.ndarray, at: int, end: int) -> int:
    """Bytes of the sign at `at` that may stand between the groups of a number; 0 for any other sign."""
    byte = data[at]
    if byte < 0x80:
        return 1 if byte in (32, 45, 46, 47, 40, 41) else 0
    if byte == 0xC2:
        return 2 if at + 1 < end and data[at + 1] == 0xA0 else 0
    if at + 2 >= end:
        return 0
    if byte == 0xE2:  # no-break hyphen, dashes, narrow and thin blanks
        last = data[at + 2]
        return 3 if data[at + 1] == 0x80 and (0x90 <= last <= 0x95 or last in (0x89, 0xAF)) else 0
    if byte == 0xEF:  # full-width brackets and hyphen
        return 3 if data[at + 1] == 0xBC and data[at + 2] in (0x88, 0x89, 0x8D) else 0
    return 0


@njit(cache=True, nogil=True)
def _number(data: np.ndarray, at: int, begin: int, end: int, groups: np.ndarray) -> tuple[int, int, int]:
    """(end, groups, digits) of the number that begins with the digit at `at` of the text data[begin:end]; group lengths
    go into `groups`.

    A date ends a number: what follows it is another. Groups that are a part of a word are not of one with others.
    """
    count = digits = 0
    start = stop = at
    glued = at > begin and _is_word(data[at - 1])
    while True:
        first = at
        while at < end and _is_digit(data[at]):
            at += 1
        if count and at < end and _is_word(data[at]) and data[at] | 32 not in (120, 101):
            return stop, count, digits
        if count < MOST_GROUPS:
            groups[count] = at - first
        count += 1
        digits += at - first
        stop = at
        if glued or (count == 3 and _is_date(data, first, groups, start, begin)):
            return stop, count, digits
        signs = 0
        while at < end and signs < MOST_SEPARATORS:
            size = _separator(data, at, end)
            if size == 0:
                break
            at += size
            signs += 1
        if signs == 0 or at >= end or not _is_digit(data[at]):
            return stop, count, digits


@njit(cache=True, nogil=True)
def _is_date(data: np.ndarray, last: int, groups: np.ndarray, start: int, begin: int) -> bool:
    """Whether three groups, from `start` on and the last of them at `last`, are a date with a year of four digits."""
    a, b, c = groups[0], groups[1], groups[2]
    if b > 2 or not ((a == 4 and c <= 2) or (a <= 2 and c == 4)) or last != start + a + b + 2:
        return False
    if data[start + a] != data[last - 1] or data[last - 1] == 32 or (start > begin and data[start - 1] == 43):
        return False
    year = last if c == 4 else start
    return (data[year] == 49 and data[year + 1] >= 53) or (data[year] == 50 and data[year + 1] == 48)


@njit(cache=True, nogil=True)
def _has_word(data: np.ndarray, start: int, stop: int, begin: int, end: int, table: np.ndarray) -> bool:
    """Whether a word that could be one of the table stands near [start, stop), by its first four bytes."""
    first, last = max(begin, start - WORDS_BEFORE), min(end, stop + WORDS_AFTER)
    at = first
    while at < last:
        if at == start:
            at = stop
            continue
        byte = data[at]
        letter = byte >= 0x80 or _is_alphanumeric(byte)
        if letter and (byte >= 0xE0 or at == begin or not (data[at - 1] >= 0x80 or _is_alphanumeric(data[at - 1]))):
            key = 0
            for index in range(at, at + 4):
                sign = int(data[index]) if index < end else 0
                if sign < 0x80:
                    sign = (sign | 32) if _is_alphanumeric(sign) and sign >= 65 else 0
                key = key * 31 + sign
            if table[key & (table.shape[0] - 1)]:
                return True
        at += 1
    return False


@njit(cache=True, nogil=True)
def _is_set_apart(data: np.ndarray, start: int, stop: int, begin: int, end: int) -> bool:
    """Whether letters or signs beyond Latin, or the ends of a line, stand on both sides of a number."""
    before, after = start - 1, stop
    while before >= begin and data[before] == 32:
        before -= 1
    while after < end and data[after] == 32:
        after += 1
    left = before < begin or data[before] == 10 or data[before] >= 0x80
    return left and (after == end or data[after] == 10 or data[after] >= 0xE0)


@njit(cache=True, nogil=True)
def _is_worth(
    data: np.ndarray, at: int, stop: int, begin: int, end: int, groups: np.ndarray, count: int, digits: int,
    table: np.ndarray,
) -> bool:  # fmt: skip
    """Whether a number could be personal data: by its shape alone, or by its shape and a word beside it."""
    if digits < LEAST_DIGITS:
        return False
    before = int(data[at - 1]) if at > begin else 32
    if _is_word(before) or (stop < end and _is_word(data[stop]) and data[stop] | 32 not in (120, 101)):
        return False  # a part of a name; but for x12 and ext. 12, and the X of an identity number
    if before == 43 or (before == 40 and at > begin + 1 and data[at - 2] == 43):
        return True
    zero = data[at] == 48
    if count == 1:
        if digits == 18 or (digits == 17 and stop < end and data[stop] | 32 == 120):
            return True
        if 14 <= digits <= 16 and 50 <= data[at] <= 54:
            return True  # a card
        if digits > 15:
            return False
        if zero and 9 <= digits <= 15:
            return True
        if digits == 11 and data[at] == 49 and data[at + 1] >= 51 and _is_set_apart(data, at, stop, begin, end):
            return True  # a mobile number as it is written in China
        return _has_word(data, at, stop, begin, end, table)
    if count == 3 and _is_date(data, stop - groups[2], groups, at, begin):
        return False
    if zero or before == 40 or digits >= 9:
        if zero or groups[0] > 3 or count > MOST_GROUPS or data[at + groups[0]] == 45 or (count == 3 and digits == 9):
            return True
        for index in range(1, count):
            if groups[index] != 3:
                return True
    if digits == 8 and (count == 4 or (count == 3 and groups[1] == 2) or (count == 2 and groups[0] == 4)):
        return True  # 20 12 34 56, 406 12 345, 8269 4726
    return _has_word(data, at, stop, begin, end, table)  # short, or like a sum with its thousands set apart


@njit(cache=True, nogil=True)
def _is_account(data: np.ndarray, at: int, begin: int, end: int) -> bool:
    """Whether two capitals, two digits and eleven more of either, with blanks between, begin here."""
    if at < begin or (at > begin and _is_alphanumeric(data[at - 1])):
        return False
    if not (65 <= data[at] <= 90 and 65 <= data[at + 1] <= 90):
        return False
    if at + 3 >= end or not (_is_digit(data[at + 2]) and _is_digit(data[at + 3])):
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
def _is_secret(data: np.ndarray, at: int, begin: int, end: int) -> bool:
    """Whether the sign at `at` stands in one of the beginnings of known keys and tokens, with enough behind it."""
    if at + 5 > end:
        return False
    byte = data[at]
    if byte == 66:  # -----BEGIN
        return at > begin and data[at - 1] == 45 and data[at + 1] == 69 and data[at + 2] == 71
    if byte == 65:  # AKIA ASIA AIza
        b, c, d = data[at + 1], data[at + 2], data[at + 3]
        if not (((b == 75 or b == 83) and c == 73 and d == 65) or (b == 73 and c == 122 and d == 97)):
            return False
        first = at
    elif at < begin + 2:
        return False
    else:
        p, q = data[at - 1], data[at - 2]
        first = at - 2
        if byte == 74:  # eyJ
            if q != 101 or p != 121:
                return False
        elif byte == 95 and p == 102 and q == 104:  # hf_
            pass
        elif byte == 95 and q == 104 and at >= begin + 3 and data[at - 3] == 103:  # ghp_ gho_ ghu_ ghs_ ghr_
            first = at - 3
        elif byte == 95 and p == 116 and q == 97 and at >= begin + 10 and data[at - 3] == 112:  # github_pat_
            first = at - 10
        elif byte == 45 and p == 107 and q == 115:  # sk-
            pass
        elif byte == 45 and at >= begin + 4 and q == 120 and data[at - 3] == 111 and data[at - 4] == 120:  # xoxb-
            first = at - 4
        elif byte == 45 and p == 116 and q == 97 and at >= begin + 5 and data[at - 3] == 112:  # glpat-
            first = at - 5
        else:
            return False
    if first > begin and (_is_alphanumeric(data[first - 1]) or data[first - 1] == 95):
        return False
    at += 1
    stop = min(end, at + 16)
    while at < stop and (_is_alphanumeric(data[at]) or data[at] in (45, 46, 95)):
        at += 1
    return at == stop and stop - first >= 18


@njit(cache=True, nogil=True)
def _kinds(data: np.ndarray, offsets: np.ndarray, classes: np.ndarray, table: np.ndarray, kinds: np.ndarray) -> None:
    """Which kinds of personal data a row could hold: bits EMAIL to ACCOUNT."""
    groups = np.zeros(MOST_GROUPS, dtype=np.int64)
    for row in range(offsets.shape[0] - 1):
        begin, end = int(offsets[row]), int(offsets[row + 1])
        found = 0
        at = begin
        while at < end:
            kind = classes[data[at]]
            if kind == _PLAIN:
                at += 1
            elif kind == _DIGIT:
                stop, count, digits = _number(data, at, begin, end, groups)
                if at >= begin + 2 and _is_account(data, at - 2, begin, end):
                    found |= ACCOUNT
                if not found & NUMBER and _is_worth(data, at, stop, begin, end, groups, count, digits, table):
                    found |= NUMBER
                if not found & ADDRESS_4 and count >= 4 and digits <= 3 * count:
                    while at < stop:
                        if _is_digit(data[at]) and _is_dotted(data, at, begin, end):
                            found |= ADDRESS_4
                            break
                        at += 1
                at = stop
            else:
                if kind == _AT:
                    if at > begin and at + 1 < end and data[at - 1] > 32:
                        following = data[at + 1]
                        if following >= 0x80 or following == 91 or _is_alphanumeric(following):
                            found |= EMAIL
                elif kind == _COLON:
                    if _is_colons(data, at, begin, end):
                        found |= ADDRESS_6
                elif _is_secret(data, at, begin, end):
                    found |= SECRET
                at += 1
        kinds[row] = found


@njit(cache=True, nogil=True)
def _is_dotted(data: np.ndarray, at: int, begin: int, end: int) -> bool:
    """Whether four groups of one to three digits with dots between them begin at `at`."""
    if at > begin and (data[at - 1] == 46 or _is_digit(data[at - 1])):
        return False
    for group in range(4):
        first = at
        while at < end and _is_digit(data[at]) and at - first < 4:
            at += 1
        if not 1 <= at - first <= 3:
            return False
        if group < 3:
            if at >= end or data[at] != 46:
                return False
            at += 1
    return True


@njit(cache=True, nogil=True)
def _is_colons(data: np.ndarray, at: int, begin: int, end: int) -> bool:
    """Whether the colon at `at` stands behind the first group of a public IPv6 address, which are in 2000::/3."""
    if at < begin + 4 or not 50 <= data[at - 4] <= 51 or (at > begin + 4 and _is_alphanumeric(data[at - 5])):
        return False
    for index in range(at - 3, at):
        if not _is_hexadecimal(data[index]):
            return False
    for index in range(at + 1, min(end, at + 6)):
        if data[index] == 58:
            return True
        if not _is_hexadecimal(data[index]):
            return False
    return False


@njit(cache=True, nogil=True)
def _spans(data: np.ndarray, table: np.ndarray, spans: np.ndarray) -> int:
    """Write (start, end, digits) of the numbers worth a look into `spans` as far as they fit; return how many."""
    groups = np.zeros(MOST_GROUPS, dtype=np.int64)
    size = data.shape[0]
    found, at = 0, int(np.int64(0))
    while at < size:
        if not _is_digit(data[at]):
            at += 1
            continue
        stop, count, digits = _number(data, at, 0, size, groups)
        if _is_worth(data, at, stop, 0, size, groups, count, digits, table):
            if found < spans.shape[0]:
                spans[found, 0], spans[found, 1], spans[found, 2] = at, stop, digits
            found += 1
        at = stop
    return found


def kinds_of_personal_data(text: pa.StringArray) -> np.ndarray:
    """For each row the kinds of personal data it may hold, as bits, int64[rows]."""
    data, offsets = string_buffers(text)
    kinds = np.zeros(len(text), dtype=np.int64)
    if len(text):
        _kinds(data, offsets, _CLASSES, prefix_table(), kinds)
    return kinds


def numbers(text: bytes) -> list[tuple[int, int, int]]:
    """Return (start, end, how many digits) of the numbers that may be telephone or identity numbers, in order."""
    data = np.frombuffer(text, dtype=np.uint8)
    spans = np.empty((64, 3), dtype=np.int64)
    count = _spans(data, prefix_table(), spans)
    if count > len(spans):
        spans = np.empty((count, 3), dtype=np.int64)
        _spans(data, prefix_table(), spans)
    return [(start, end, digits) for start, end, digits in spans[:count].tolist()]
