"""Per-document counts over characters and bytes: classes, scripts, entropy, addresses that look personal."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from autoclave.kernels.text.characters import ALNUM, DECIMAL, UPPER, CharacterTables, character_width, decode
from autoclave.kernels.text.code_points import (
    ASCII_LIMIT,
    AT_SIGN,
    BACKSPACE,
    CASE_BIT,
    COLON,
    COMMA,
    DIGIT_0,
    DIGIT_9,
    EXCLAMATION_MARK,
    FULL_STOP,
    HYPHEN,
    LEFT_ANGLE_BRACKET,
    LEFT_BRACE,
    LEFT_BRACKET,
    LEFT_PARENTHESIS,
    NEWLINE,
    PERCENT,
    PLUS,
    QUESTION_MARK,
    RETURN,
    RIGHT_ANGLE_BRACKET,
    RIGHT_BRACE,
    RIGHT_BRACKET,
    RIGHT_PARENTHESIS,
    SLASH,
    SMALL_A,
    SPACE,
    TAB,
    UNDERSCORE,
    is_digit,
    is_letter,
)
from autoclave.kernels.text.raw.compare import BLOCK, below_mask, equal_mask
from autoclave.kernels.text.raw.memory import kernel, load, trailing_zeros
from autoclave.kernels.text.texts import Texts

CHARS, CURATOR_ALNUM, DECIMALS, CURATOR_SPACE, BRACKETS, UPPERCASE, URL_CHARS, EMAILS, ADDRESSES, PHONES, DIGITS = (
    range(11)
)
"""Columns: code points;
ASCII letters, digits, newline and ?!,.; category Nd; tab, newline, return, backspace, space;
brackets of NeMo Curator's list; upper case; characters of URLs; e-mail addresses; IPv4 addresses; phone numbers;
0-9."""

COLUMNS = 11

_F, _H, _P, _S, _T = (ord(letter) for letter in "fhpst")
_URL_MARKS = tuple(ord(mark) for mark in "$-_@.&+/:=?#~!*(),")


@kernel
def _url_length(data: np.ndarray, at: int, stop: int) -> int:
    """Return the length of a URL at `at`, as Curator's pattern has it (ASCII characters only); 0 for none."""
    begin = at
    if at + 8 > stop or data[at] != _H or data[at + 1] != _T or data[at + 2] != _T or data[at + 3] != _P:
        return 0
    at += 4
    if data[at] == _S:
        at += 1
    if at + 3 > stop or data[at] != COLON or data[at + 1] != SLASH or data[at + 2] != SLASH:
        return 0
    at += 3
    inner = at
    while at < stop:
        byte = data[at]
        letter = is_letter(byte) or is_digit(byte)
        if letter or byte in _URL_MARKS:
            at += 1
        elif byte == PERCENT and at + 2 < stop and _is_hex(data[at + 1]) and _is_hex(data[at + 2]):
            at += 3
        else:
            break
    return at - begin if at > inner else 0


@kernel
def _is_hex(byte: int) -> bool:
    return is_digit(byte) or SMALL_A <= (byte | CASE_BIT) <= _F


@kernel
def _is_local(byte: int) -> bool:
    return is_digit(byte) or is_letter(byte) or byte in (FULL_STOP, UNDERSCORE, PERCENT, PLUS, HYPHEN)


@kernel
def _is_email(data: np.ndarray, at: int, start: int, stop: int) -> bool:
    """Say whether the @ at `at` stands in an e-mail address: a local part, a host, a dot and two letters."""
    if at == start or at + 1 >= stop or not _is_local(data[at - 1]):
        return False
    place, dot = at + 1, -1
    while place < stop and _is_local(data[place]):
        if data[place] == FULL_STOP:
            dot = place
        place += 1
    if dot < 0 or dot == at + 1:
        return False
    letters = 0
    while dot + 1 + letters < stop and is_letter(data[dot + 1 + letters]):
        letters += 1
    return letters >= 2


@kernel
def _numeric_run(data: np.ndarray, at: int, stop: int) -> tuple[int, int, bool]:
    """Return (bytes, digits, is an IPv4 address) of the run of digits and phone marks at `at`."""
    begin, digits, groups, group, value, address = at, 0, 1, 0, 0, True
    while at < stop:
        byte = data[at]
        if DIGIT_0 <= byte <= DIGIT_9:  # a call of `is_digit` costs this loop a twentieth
            digits += 1
            group += 1
            value = 10 * value + np.int64(byte) - DIGIT_0 if group <= 3 else 999
        elif byte == FULL_STOP and at + 1 < stop and DIGIT_0 <= data[at + 1] <= DIGIT_9:
            address = address and group > 0 and value <= 255
            groups += 1
            group, value = 0, 0
        elif byte in (SPACE, HYPHEN, LEFT_PARENTHESIS, RIGHT_PARENTHESIS, PLUS):
            if byte == SPACE and (
                at + 1 >= stop or not (DIGIT_0 <= data[at + 1] <= DIGIT_9 or data[at + 1] == LEFT_PARENTHESIS)
            ):
                break
            address = False
        else:
            break
        at += 1
    return at - begin, digits, address and groups == 4 and group > 0 and value <= 255


@kernel
def _url_before(data: np.ndarray, colon: int, start: int, stop: int) -> tuple[int, int]:
    """Return (where it begins, its length) of a URL whose scheme ends at the colon; length 0 for none."""
    at = colon - 4
    if at < start or data[colon - 1] == _S:
        at -= 1
    return at, _url_length(data, at, stop) if at >= start and data[at] == _H else 0


@kernel
def _count_bytes(data: np.ndarray, start: int, stop: int, histogram: np.ndarray) -> None:
    """Fill histogram[0] with how often each byte occurs; four rows, so that equal neighbours do not wait."""
    for row in range(4):
        for value in range(256):
            histogram[row, value] = 0
    at = start
    while at + 4 <= stop:
        for row in range(4):
            histogram[row, load(data, at + row)] += 1
        at += 4
    while at < stop:
        histogram[0, load(data, at)] += 1
        at += 1
    for value in range(256):
        histogram[0, value] += histogram[1, value] + histogram[2, value] + histogram[3, value]


@kernel
def _count_ascii(histogram: np.ndarray, tables: CharacterTables, counts: np.ndarray, script_counts: np.ndarray) -> None:
    """Set the counts of one document, and those of scripts, to what its ASCII characters give."""
    for column in range(COLUMNS):
        counts[column] = 0
    for script in range(16):
        script_counts[script] = 0
    for byte in range(ASCII_LIMIT):
        number, bits = np.int64(histogram[byte]), np.int64(tables.classes[byte])
        script_counts[tables.scripts[byte]] += number
        counts[CHARS] += number
        if bits & UPPER:
            counts[UPPERCASE] += number
        if bits & DECIMAL:
            counts[DECIMALS] += number
            counts[DIGITS] += number
        if bits & ALNUM or byte in (NEWLINE, QUESTION_MARK, EXCLAMATION_MARK, COMMA, FULL_STOP):
            counts[CURATOR_ALNUM] += number
        if byte in (TAB, NEWLINE, RETURN, BACKSPACE, SPACE):
            counts[CURATOR_SPACE] += number
        elif byte in (LEFT_BRACE, RIGHT_BRACE, LEFT_BRACKET, RIGHT_BRACKET, LEFT_PARENTHESIS, RIGHT_PARENTHESIS):
            counts[BRACKETS] += number


@kernel
def _count_rest(
    data: np.ndarray, start: int, stop: int, tables: CharacterTables, counts: np.ndarray, script_counts: np.ndarray
) -> None:
    """Add what is beyond ASCII, and URLs, addresses and numbers, which begin at few bytes: digits, colon, + and @."""
    classes, scripts = tables.classes, tables.scripts
    at, url_until, number_until = start, start, start
    while at < stop:
        if at + BLOCK <= stop:
            look = below_mask(data, at, COLON + 1) & ~below_mask(data, at, DIGIT_0) | ~below_mask(data, at, ASCII_LIMIT)
            look |= equal_mask(data, at, AT_SIGN) | equal_mask(data, at, PLUS)
            if look == 0:
                at += BLOCK
                continue
            at += trailing_zeros(look)
        byte = np.int64(load(data, at))
        if byte >= ASCII_LIMIT:
            point = decode(data, at)
            bits = np.int64(load(classes, point))
            counts[CHARS] += 1
            counts[UPPERCASE] += bits & UPPER != 0
            counts[DECIMALS] += bits & DECIMAL != 0
            counts[BRACKETS] += point == LEFT_ANGLE_BRACKET or point == RIGHT_ANGLE_BRACKET
            script_counts[load(scripts, point)] += 1
            at += character_width(byte)
            continue
        if byte == COLON:
            begin, length = _url_before(data, at, start, stop)
            if length and begin >= url_until:
                counts[URL_CHARS] += length
                url_until = begin + length
        elif byte == AT_SIGN:
            counts[EMAILS] += _is_email(data, at, start, stop)
        elif (byte == PLUS or is_digit(byte)) and at >= number_until and (at == start or not _is_local(data[at - 1])):
            length, digits, address = _numeric_run(data, at, stop)
            number_until = at + length
            if address:
                counts[ADDRESSES] += 1
            elif 9 <= digits <= 15 and digits < length:
                counts[PHONES] += 1
        at += 1


class CharacterCounts(NamedTuple):
    """What is counted of each text.

    counts: int64 [texts, COLUMNS]; scripts: int64 [texts, 16], characters by script number; entropy: float64, bits a
    byte of the text's own byte distribution.
    """

    counts: np.ndarray
    scripts: np.ndarray
    entropy: np.ndarray


@kernel
def character_statistics(texts: Texts, tables: CharacterTables, histogram: np.ndarray, out: CharacterCounts) -> None:
    """Fill what is counted of each text. histogram: int32 [4, 256], working room."""
    for text in range(len(texts.offsets) - 1):
        start, stop = texts.offsets[text], texts.offsets[text + 1]
        _count_bytes(texts.data, start, stop, histogram)
        _count_ascii(histogram[0], tables, out.counts[text], out.scripts[text])
        _count_rest(texts.data, start, stop, tables, out.counts[text], out.scripts[text])
        bits_per_byte = 0.0
        size = stop - start
        for value in range(256):
            if histogram[0, value]:
                share = histogram[0, value] / size
                bits_per_byte -= share * np.log2(share)
        out.entropy[text] = bits_per_byte
