"""Lines of web interface (comment buttons, cookie notices, "read more"), removed where a closed list proves them."""

# mypy: disable-error-code="assignment,call-arg,has-type,return-value"
# (numba, not mypy, types the bodies of kernels)

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator
from importlib.resources import files
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from autoclave.cleaning.language.script import string_buffers
from autoclave.cleaning.transforms.protected import protected_spans
from autoclave.kernels.text.characters import character_width, decode
from autoclave.kernels.text.raw.memory import bytes_equal, inlined, kernel, load64, trailing_zeros

NOTICE_BYTES = 300
"""The longest line that counts as a notice for its beginning alone."""

_SEPARATOR, _DROPPED, _SPACE, _DIGIT = 0, 1, 32, 48
_WHOLE, _ELLIPSIS, _BEGINNING = 1, 2, 4
_OPENING = 3  # characters by which most lines are told to be none of the list
_SLOTS = 1 << 13
_CHUNK = 1 << 16  # spans that are Python objects at once: a text may be of nothing but such lines
_SEED, _MULTIPLIER, _29 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xFF51AFD7ED558CCD), np.uint64(29)
_LOW, _MASK = np.uint64(0xFFFF), np.uint64(_SLOTS - 1)
# Of headings, code, addresses, questions, exclamations and quoted speech: what no bullet or arrow is.
_SIGNIFICANT = '#$%&/;<=?@\\^_`{}~!"“”„‟「」『』¿¡'
_UNDERLINE = re.compile(rb"[ \t]*(?:=+|-+)[ \t\r]*(?:\n|\Z)")


class _Tables(NamedTuple):
    forms: np.ndarray  # uint32 [0x10000], what a code point counts as
    openings: np.ndarray  # bool [0x10000], low bits of the hashes of the first characters of phrases
    keys: np.ndarray  # uint64 [_SLOTS], hashes of phrases, open addressing
    kinds: np.ndarray  # uint8 [_SLOTS], bits _WHOLE, _ELLIPSIS, _BEGINNING; 0 is a free slot
    longest: int  # characters of the longest phrase


def phrases() -> dict[str, list[str]]:
    """Return the phrases of assets/interface_lines.txt by language, as they stand there."""
    found: dict[str, list[str]] = {}
    for line in (files("autoclave") / "assets" / "interface_lines.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            group = found.setdefault(line.strip("[]"), [])
        elif line and not line.startswith(";"):
            group.append(line)
    return found


def _forms() -> np.ndarray:
    """Letters in lower case, digits as 0; white space, bullets, arrows, brackets and most punctuation separate."""
    forms = np.zeros(0x10000, dtype=np.uint32)
    for point in range(0x10000):
        sign = chr(point)
        category = unicodedata.category(sign)
        if category == "Cf":
            forms[point] = _DROPPED
        elif category == "Nd":
            forms[point] = _DIGIT
        elif category[0] in "LMN":
            lower = sign.lower()
            forms[point] = ord(lower) if len(lower) == 1 else point
        elif sign in _SIGNIFICANT:
            forms[point] = point
    for sign, same in ("İi", "ıi", "ςσ", "？?", "！!"):
        forms[ord(sign)] = ord(same)
    return forms


@inlined
def _step(value: np.uint64, form: int) -> np.uint64:
    value = (value ^ np.uint64(form)) * _MULTIPLIER
    return value ^ (value >> _29)


@inlined
def _form(sign: int, forms: np.ndarray) -> int:
    if sign < 0x10000:
        return np.int64(forms[sign])
    return _SEPARATOR if 0x1F000 <= sign < 0x20000 else sign  # pictographs are bullets; the other planes hold letters


@inlined
def _kind(value: np.uint64, keys: np.ndarray, kinds: np.ndarray) -> int:
    slot = np.int64(value & _MASK)
    while kinds[slot]:
        if keys[slot] == value:
            return np.int64(kinds[slot])
        slot = (slot + 1) % _SLOTS
    return 0


@inlined
def _line_end(data: np.ndarray, at: int, stop: int) -> int:
    while at + 8 <= stop:
        found = bytes_equal(load64(data, at), 10)
        if found:
            return at + (trailing_zeros(found) >> 3)
        at += 8
    while at < stop and data[at] != 10:
        at += 1
    return at


@inlined
def _ends_in_ellipsis(data: np.ndarray, start: int, end: int) -> bool:
    while end > start and data[end - 1] <= _SPACE:
        end -= 1
    if end - start < 3:
        return False
    last = data[end - 1]
    dots = last == 46 and data[end - 2] == 46 and data[end - 3] == 46
    return dots or (last == 0xA6 and data[end - 2] == 0x80 and data[end - 3] == 0xE2)


@kernel
def _read_line(
    data: np.ndarray,
    start: int,
    stop: int,
    forms: np.ndarray,
    openings: np.ndarray,
    keys: np.ndarray,
    kinds: np.ndarray,
    longest: int,
) -> tuple[int, bool, np.uint64, np.uint64, int]:
    """Read the line that begins at byte `start`, and no further than `stop`.

    Returns (where it ends, whether it is interface, the hash of what it says, that of its first characters, how many
    characters it has). The last three mean something only where the line is read to its end.
    """
    value, opening, count = _SEED, np.uint64(0), 0
    last, gap, joint = np.int64(0), 0, False
    colon = numbered = False
    at, begun = np.int64(start), False
    while at < stop and data[at] != 10:
        sign = decode(data, at)
        at += character_width(np.int64(data[at]))
        form = _form(sign, forms)
        if form == _DROPPED:
            continue
        if sign == 40 and gap == 0 and count:
            form = sign  # share(), a name in code
        if form == _SEPARATOR:
            joint = gap == 0 and (sign == 46 or sign == 44)
            colon = colon or sign == 58 or sign == 0xFF1A
            gap += 1
            continue
        if form == _DIGIT and last == _DIGIT and (gap == 0 or joint):
            gap, joint = 0, False
            continue
        if gap and count:
            value = _step(value, _SPACE)
        value = _step(value, form)
        last, gap, joint, colon = form, 0, False, False
        numbered = numbered or form == _DIGIT
        count += 1
        if count == _OPENING:
            opening = value
            if not openings[np.int64(value & _LOW)]:
                return _line_end(data, at, stop), False, value, opening, count
        if count >= _OPENING and _kind(value, keys, kinds) & _BEGINNING:
            begun = True
        if begun or count > longest:
            end = _line_end(data, at, stop)
            return end, begun and end - start <= NOTICE_BYTES, value, opening, count
    if numbered and colon:
        return at, False, value, opening, count  # "12 comments:" and then the comments, a heading
    kind = _kind(value, keys, kinds)
    found = kind & _WHOLE != 0 or (kind & _ELLIPSIS != 0 and _ends_in_ellipsis(data, start, at))
    return at, found, value, opening, count


@kernel
def _scan(
    data: np.ndarray,
    offsets: np.ndarray,
    forms: np.ndarray,
    openings: np.ndarray,
    keys: np.ndarray,
    kinds: np.ndarray,
    longest: int,
    marks: np.ndarray,
    spans: np.ndarray,
) -> int:
    """Count the lines of interface of each row in `marks`, int64 [rows]; write their (start, end) into `spans`, int64
    [most, 2], as far as they fit; return how many there are."""
    count = 0
    for row in range(len(offsets) - 1):
        at, stop = np.int64(offsets[row]), np.int64(offsets[row + 1])
        while at < stop:
            end, found, _, _, _ = _read_line(data, at, stop, forms, openings, keys, kinds, longest)
            if found:
                marks[row] += 1
                if count < len(spans):
                    spans[count, 0], spans[count, 1] = at, end
                count += 1
            at = end + 1
    return count


@functools.cache
def _tables() -> _Tables:
    keys, kinds = np.zeros(_SLOTS, dtype=np.uint64), np.zeros(_SLOTS, dtype=np.uint8)
    every, openings = np.ones(0x10000, dtype=np.bool_), np.zeros(0x10000, dtype=np.bool_)
    forms, longest = _forms(), 0
    for phrase in (phrase for group in phrases().values() for phrase in group):
        data = np.frombuffer(phrase.encode(), dtype=np.uint8)
        _, _, value, opening, count = _read_line(
            data, 0, len(data), forms, every, keys, np.zeros_like(kinds), len(data)
        )
        slot = int(value) % _SLOTS
        while kinds[slot] and keys[slot] != value:
            slot = (slot + 1) % _SLOTS
        keys[slot] = value
        kinds[slot] |= _BEGINNING if phrase.endswith(" *") else _ELLIPSIS if phrase.endswith(" ...") else _WHOLE
        openings[int(opening) & 0xFFFF] = True
        longest = max(longest, count)
    return _Tables(forms, openings, keys, kinds, longest)


def find_interface_lines(text: pa.StringArray) -> np.ndarray:
    """Return how many lines of each row are interface, protected or not, int64 [rows]."""
    data, offsets = string_buffers(text)
    marks = np.zeros(len(text), dtype=np.int64)
    if len(text):
        _scan(data, offsets, *_tables(), marks, np.empty((0, 2), dtype=np.int64))
    return marks


def strip_interface_lines(text: bytes, language: str | None = None, hint: int = 0) -> tuple[bytes, int]:
    """Remove the lines that say what a phrase of the list says, and nothing else; return (text, lines removed).

    Lines that touch code, formulas or tables and headings stay, and a text that says nothing else stays whole. A blank
    line on either side of what is removed leaves one; all other lines stay as they are.
    """
    out, at, removed = bytearray(), 0, 0
    blank = False  # whether a blank line stood on either side of what was removed last
    for start, end in _removable(text, hint):
        blank = _append(out, text[at:start], removed > 0, blank)
        at, removed = end + 1, removed + 1
    if not removed:
        return text, 0
    length = len(out)
    _append(out, text[at:], True, blank, last=True)
    if not out:
        return text, 0
    if len(out) == length and not text.endswith(b"\n"):
        out.pop()
    return bytes(out), removed


def _append(out: bytearray, segment: bytes, after: bool, blank: bool, *, last: bool = False) -> bool:
    """Append the lines between two removed ones, without blank lines next to these but one where there were some.

    after, blank: whether a line was removed before the segment, and a blank one stood by it; last: whether none is
    removed behind it. Returns whether a blank line stands by the removed one that follows.
    """
    text = segment.rstrip()
    if not text:
        return blank or bool(segment)
    begin = segment.rfind(b"\n", 0, len(segment) - len(segment.lstrip())) + 1 if after else 0
    if after and (blank or begin > 0) and out:
        out += b"\n"
    stop = len(segment) if last else segment.index(b"\n", len(text)) + 1
    out += segment[begin:stop]
    return stop < len(segment)


def _removable(text: bytes, most: int) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of the lines that may go, in order."""
    data = np.frombuffer(text, dtype=np.uint8)
    offsets, marks = np.array([0, len(data)], dtype=np.int32), np.zeros(1, dtype=np.int64)
    spans = np.empty((max(most, 0), 2), dtype=np.int64)
    count = _scan(data, offsets, *_tables(), marks, spans)
    if count > len(spans):
        spans = np.empty((count, 2), dtype=np.int64)
        _scan(data, offsets, *_tables(), marks, spans)
    protected = protected_spans(text) if count else []
    place = 0
    for first in range(0, count, _CHUNK):
        for start, end in spans[first : min(first + _CHUNK, count)].tolist():
            while place < len(protected) and protected[place][1] <= start:
                place += 1
            if place < len(protected) and protected[place][0] < end:
                continue
            if _UNDERLINE.match(text, end + 1) is None:
                yield start, end
