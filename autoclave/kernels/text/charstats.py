"""Per-document counts over characters and bytes: classes, scripts, entropy, addresses that look personal."""

# mypy: disable-error-code="call-arg,arg-type,var-annotated,assignment,has-type,return-value,operator,call-overload"
# (numba, not mypy, types the bodies of kernels)

from __future__ import annotations

import numpy as np
from numba import njit

from autoclave.kernels.text.characters import ALNUM, DECIMAL, UPPER, character_width, decode
from autoclave.kernels.text.memory import load

CHARS, CURATOR_ALNUM, DECIMALS, CURATOR_SPACE, BRACKETS, UPPERCASE, URL_CHARS, EMAILS, ADDRESSES, PHONES, DIGITS = (
    range(11)
)
"""Columns: code points;
ASCII letters, digits, newline and ?!,.; category Nd; tab, newline, return, backspace, space;
brackets of NeMo Curator's list; upper case; characters of URLs; e-mail addresses; IPv4 addresses; phone numbers;
0-9."""

COLUMNS = 11


@njit(cache=True, nogil=True)
def _url_length(data: np.ndarray, at: int, stop: int) -> int:
    """Return the length of a URL at `at`, as Curator's pattern has it (ASCII characters only); 0 for none."""
    begin = at
    if at + 8 > stop or data[at] != 0x68 or data[at + 1] != 0x74 or data[at + 2] != 0x74 or data[at + 3] != 0x70:
        return 0
    at += 4
    if data[at] == 0x73:
        at += 1
    if at + 3 > stop or data[at] != 0x3A or data[at + 1] != 0x2F or data[at + 2] != 0x2F:
        return 0
    at += 3
    inner = at
    while at < stop:
        byte = data[at]
        letter = 97 <= (byte | 0x20) <= 122 or 48 <= byte <= 57
        mark = byte in (0x24, 0x2D, 0x5F, 0x40, 0x2E, 0x26, 0x2B, 0x2F, 0x3A, 0x3D, 0x3F, 0x23, 0x7E)
        other = byte in (0x21, 0x2A, 0x28, 0x29, 0x2C)
        if letter or mark or other:
            at += 1
        elif byte == 0x25 and at + 2 < stop and _is_hex(data[at + 1]) and _is_hex(data[at + 2]):
            at += 3
        else:
            break
    return at - begin if at > inner else 0


@njit(cache=True, nogil=True)
def _is_hex(byte: int) -> bool:
    return 48 <= byte <= 57 or 97 <= (byte | 0x20) <= 102


@njit(cache=True, nogil=True)
def _is_local(byte: int) -> bool:
    return 48 <= byte <= 57 or 97 <= (byte | 0x20) <= 122 or byte in (0x2E, 0x5F, 0x25, 0x2B, 0x2D)


@njit(cache=True, nogil=True)
def _is_email(data: np.ndarray, at: int, start: int, stop: int) -> bool:
    """Say whether the @ at `at` stands in an e-mail address: a local part, a host, a dot and two letters."""
    if at == start or at + 1 >= stop or not _is_local(data[at - 1]):
        return False
    place, dot = at + 1, -1
    while place < stop and _is_local(data[place]):
        if data[place] == 0x2E:
            dot = place
        place += 1
    if dot < 0 or dot == at + 1:
        return False
    letters = 0
    while dot + 1 + letters < stop and 97 <= (data[dot + 1 + letters] | 0x20) <= 122:
        letters += 1
    return letters >= 2


@njit(cache=True, nogil=True)
def _numeric_run(data: np.ndarray, at: int, stop: int) -> tuple[int, int, bool]:
    """Return (bytes, digits, is an IPv4 address) of the run of digits and phone marks at `at`."""
    begin, digits, groups, group, value, address = at, 0, 1, 0, 0, True
    while at < stop:
        byte = data[at]
        if 48 <= byte <= 57:
            digits += 1
            group += 1
            value = 10 * value + np.int64(byte) - 48 if group <= 3 else 999
        elif byte == 0x2E and at + 1 < stop and 48 <= data[at + 1] <= 57:
            address = address and group > 0 and value <= 255
            groups += 1
            group, value = 0, 0
        elif byte in (0x20, 0x2D, 0x28, 0x29, 0x2B):
            if byte == 0x20 and (at + 1 >= stop or not (48 <= data[at + 1] <= 57 or data[at + 1] == 0x28)):
                break
            address = False
        else:
            break
        at += 1
    return at - begin, digits, address and groups == 4 and group > 0 and value <= 255


@njit(cache=True, nogil=True)
def character_statistics(
    data: np.ndarray, offsets: np.ndarray, classes: np.ndarray, scripts: np.ndarray, counts: np.ndarray,
    script_counts: np.ndarray, entropy: np.ndarray,
) -> None:  # fmt: skip
    """Fill counts int64 [documents, COLUMNS], script_counts int64 [documents, 16], entropy float64 [documents].

    script_counts: characters by script number; entropy: bits a byte of the document's own byte distribution.
    """
    histogram = np.zeros(256, np.int64)
    for document in range(len(offsets) - 1):
        histogram[:] = 0
        counts[document, :], script_counts[document, :] = 0, 0
        start, stop = offsets[document], offsets[document + 1]
        at, url_until, number_until = start, start, start
        while at < stop:
            byte = np.int64(load(data, at))
            point = byte if byte < 0x80 else decode(data, at)
            bits = np.int64(load(classes, point))
            counts[document, CHARS] += 1
            if bits & UPPER:
                counts[document, UPPERCASE] += 1
            script_counts[document, load(scripts, point)] += 1
            if byte < 0x80:
                if bits & ALNUM or byte in (10, 0x3F, 0x21, 0x2C, 0x2E):
                    counts[document, CURATOR_ALNUM] += 1
                if byte in (9, 10, 13, 8, 32):
                    counts[document, CURATOR_SPACE] += 1
                elif byte in (0x7B, 0x7D, 0x5B, 0x5D, 0x28, 0x29):
                    counts[document, BRACKETS] += 1
                if byte == 0x68 and at >= url_until:
                    length = _url_length(data, at, stop)
                    counts[document, URL_CHARS] += length
                    url_until = at + length
                if byte == 0x40 and _is_email(data, at, start, stop):
                    counts[document, EMAILS] += 1
                digit = 48 <= byte <= 57
                if (digit or byte == 0x2B) and at >= number_until and (at == start or not _is_local(data[at - 1])):
                    length, digits, address = _numeric_run(data, at, stop)
                    number_until = at + length
                    if address:
                        counts[document, ADDRESSES] += 1
                    elif 9 <= digits <= 15 and digits < length:
                        counts[document, PHONES] += 1
            elif point == 0x27E8 or point == 0x27E9:
                counts[document, BRACKETS] += 1
            if 48 <= byte <= 57:
                counts[document, DIGITS] += 1
            if bits & DECIMAL:
                counts[document, DECIMALS] += 1
            at += character_width(byte)
        for place in range(start, stop):
            histogram[load(data, place)] += 1
        bits_per_byte = 0.0
        size = stop - start
        for value in range(256):
            if histogram[value]:
                share = histogram[value] / size
                bits_per_byte -= share * np.log2(share)
        entropy[document] = bits_per_byte
