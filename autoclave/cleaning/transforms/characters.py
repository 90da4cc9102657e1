"""Characters: Unicode form, special characters, garbled strings, runs of punctuation, numbers."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from autoclave.cleaning.transforms.protected import edit, edit_outside
from autoclave.cleaning.transforms.scan import TABLE_SIZE, CodePoints, rows_misread, rows_with_long_words

# -- Unicode form ---------------------------------------------------------------------------------------------------

# What bytes 0x80 to 0xFF become when UTF-8 is read as Windows-1252 (or, where that has gaps, as Latin-1).
_AS_CP1252 = {chr(byte): byte for byte in range(0x80, 0x100)} | {
    sign: byte for byte in range(0x80, 0xA0) if (sign := bytes([byte]).decode("cp1252", "ignore"))
}
_LEADS = "".join(map(chr, range(0xC2, 0xF5)))
_MOJIBAKE = re.compile(rf"[{_LEADS}][{''.join(sorted(map(re.escape, _AS_CP1252)))}]+")
_C1 = re.compile("[\x80-\x9f]")


@functools.cache
def _unusual() -> CodePoints:
    """Rows with code points that NFC may change."""
    is_normalized = unicodedata.is_normalized
    unstable = [chr(p) for p in range(0xC0, TABLE_SIZE) if not 0xD800 <= p < 0xE000 and not 0xAC00 <= p < 0xD7A4]
    changed = [sign for sign in unstable if unicodedata.combining(sign) or not is_normalized("NFC", sign)]
    vowels = [chr(p) for p in (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))]  # compose without being combining
    return CodePoints(dict.fromkeys([*changed, *vowels], 1))


def find_unusual(text: pa.StringArray) -> np.ndarray:
    """Which rows `normalise_unicode` could change: int64[rows], 0 for the others."""
    return _unusual()(text) | rows_misread(text)


def normalise_unicode(text: bytes, language: str | None = None, hint: int = 0) -> tuple[bytes, int]:
    """Bring text to NFC and repair UTF-8 that was read as Windows-1252 ("cafÃ©" for "café"), once or twice.

    A run is repaired only if all of it is valid UTF-8 when written back as bytes, which text that was meant that way
    hardly ever is. NFC, not NFKC: compatibility forms carry meaning (superscripts, full-width punctuation).
    """
    return edit_outside(text, _normalise)


def _normalise(stretch: str) -> str:
    for _ in range(2):
        repaired = _MOJIBAKE.sub(_unscramble, stretch)
        if repaired == stretch:
            break
        stretch = repaired
    return unicodedata.normalize("NFC", stretch)


def _unscramble(match: re.Match[str]) -> str:
    raw = match.group()
    try:
        fixed = bytes(_AS_CP1252[sign] for sign in raw).decode()
    except UnicodeDecodeError:
        return raw
    return raw if _C1.search(fixed) else fixed


# -- special characters ---------------------------------------------------------------------------------------------

_MAPPED: dict[str, str] = {
    **dict.fromkeys([*"\u00a0\u1680\u202f\u205f\u3000", *map(chr, range(0x2000, 0x200B))], " "),
    **dict.fromkeys("\u0085\u2028\u2029\x0b\x0c", "\n"),
    # Invisible, and not needed to write any language (unlike the zero-width joiner and non-joiner).
    **dict.fromkeys("\u00ad\u200b\u2060\u2061\u2062\u2063\u2064\ufeff\u180e\ufff9\ufffa\ufffb", ""),
    # Directional embeddings and isolates: marks of layout; the implicit order of the letters remains.
    **dict.fromkeys("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069", ""),
    **dict(
        zip("\ufb00\ufb01\ufb02\ufb03\ufb04\ufb05\ufb06", ["ff", "fi", "fl", "ffi", "ffl", "st", "st"], strict=True)
    ),
    # Full-width letters and digits; full-width punctuation stays, it is what Chinese and Japanese use.
    **{chr(point): chr(point - 0xFEE0) for point in (*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B))},
    **{chr(point): chr(point - 0xFEE0) for point in range(0xFF41, 0xFF5B)},
    # Radicals in place of the characters they look like: what text from PDF files holds.
    **{chr(point): unicodedata.normalize("NFKC", chr(point)) for point in range(0x2F00, 0x2FD6)},
}
_PRIVATE = "".join(map(chr, range(0xE000, 0xF900)))
find_special = CodePoints({**dict.fromkeys(_MAPPED, 1), _PRIVATE: 1}, above=True)


def map_special_characters(text: bytes, language: str | None = None, hint: int = 0) -> tuple[bytes, int]:
    """Map unusual blanks, line ends, ligatures, full-width letters and digits, and radicals to their usual forms;
    remove invisible characters, directional embeddings and private-use characters (icon fonts)."""
    return edit(text, _special(text))


def _special(text: bytes) -> Iterator[tuple[int, int, bytes]]:
    for start, end, _ in find_special.spans(text):
        run = text[start:end].decode()
        if run[0] in _MAPPED:
            yield start, end, _MAPPED[run[0]].encode() * len(run)
        elif 0xE000 <= ord(run[0]) < 0xF900 or ord(run[0]) >= 0xF0000:
            yield start, end, b""


# -- garbled strings ------------------------------------------------------------------------------------------------

_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_-"
_ACCENTS = "".join(map(chr, (*range(0x300, 0x370), *range(0x483, 0x48A))))
_CONTROLS = "".join(chr(p) for p in (*range(9), *range(0x0E, 0x20), 0x7F, *range(0x80, 0xA0)) if p != 0x85)
_ACCENT_CLASS, _BLOB_CLASS = 1, 2
_GARBLED_RUNS = {_CONTROLS: 1, "\ufffd\u951f": 1, "\u70eb\u5c6f": 3}
# Longer than sums, signatures, tokens, public keys and certificates in base64, which a text shows on purpose.
_BLOB_LENGTH = 2_000
_BLOB_LETTERS = 40  # different ones; data in base64 has all 64
_SIGNS = CodePoints(_GARBLED_RUNS, ((_ACCENTS, 4),))
_SIGNS_AND_BLOBS = CodePoints(_GARBLED_RUNS, ((_ACCENTS, 4), (_BASE64, _BLOB_LENGTH)))


def find_garbled(text: pa.StringArray) -> np.ndarray:
    """Which rows `strip_garbled` could change: int64[rows], 0 for the others, else bits of what there is."""
    return _SIGNS(text) | rows_with_long_words(text, _BASE64.encode(), _BLOB_LENGTH)


_LOST = "\ufffd".encode()
_MISREAD = re.compile("(?:\u951f\u65a4\u62f7?)+".encode().replace(b"\xe6\x8b\xb7?", b"(?:\xe6\x8b\xb7)?"))
_KINDS_OF_BLOB = (re.compile(rb"[0-9]"), re.compile(rb"[a-z]"), re.compile(rb"[A-Z]"))
_URL_BEFORE = re.compile(rb"://[^\s<>\"']*\Z")
_QUOTES = "\"'`()[]<>\u2018\u2019\u201c\u201d\u300a\u300b\u300c\u300d\u300e\u300f\uff08\uff09"


def strip_garbled(text: bytes, language: str | None = None, hint: int = 7) -> tuple[bytes, int]:
    """Remove what no one wrote: replacement characters and their classic Chinese misreadings, control characters,
    stacked accents beyond three, and base64 of 2,000 letters or more; lines a quarter of which was lost go whole.

    What stands alone, between quotation marks or brackets, is shown and stays; so do sums in hexadecimal of any length,
    and what is part of a URL.
    """
    lines = 0
    if text.count(_LOST) >= 4:
        text, lines = edit(text, _lost_lines(text))
    text, places = edit(text, _garbled(text))
    return text, lines + places


def _lost_lines(text: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Lines that have lost four characters and a quarter of all: the rest of them is chance."""
    start = 0
    for line in text.split(b"\n"):
        end = min(start + len(line) + 1, len(text))
        lost = line.count(_LOST)
        if lost >= 4 and 4 * lost >= len(b"".join(line.split()).decode()):
            yield start, end, b""
        start = end


def _garbled(text: bytes) -> Iterator[tuple[int, int, bytes]]:
    done = 0
    for start, end, kind in sorted(_SIGNS_AND_BLOBS.spans(text)):
        if start < done:
            continue
        if kind == _ACCENT_CLASS:
            start += 6  # three accents are seen in real words
        elif kind == _BLOB_CLASS:
            if not _is_blob(text, start, end):
                continue
            while text[end : end + 1] == b"=":
                end += 1
        elif text.startswith(b"\xe9\x94\x9f", start):
            misread = _MISREAD.match(text, start)
            if misread is None:
                continue
            end = misread.end()
        if text[start] >= 0xE0 and _is_shown(text, start, end):
            continue
        done = end
        yield start, end, b""


def _is_shown(text: bytes, start: int, end: int) -> bool:
    """Whether garbled characters are what the text is about: in quotation marks, or one lost character by itself."""
    before, after = text[start - 1 : start], text[end : end + 1]
    if before.isalnum() or after.isalnum():
        return False
    if text[start:end] == _LOST and before < b"\x80" and after < b"\x80":
        return True
    left, right = text[max(0, start - 4) : start], text[end : end + 4]
    signs = left.decode(errors="ignore")[-1:], right.decode(errors="ignore")[:1]
    return all(sign and sign in _QUOTES for sign in signs)


def _is_blob(text: bytes, start: int, end: int) -> bool:
    """Whether a long run of base64 letters is data: no path, no rule of hyphens, no word, no part of a URL."""
    if text[start - 1 : start] in (b".", b"=") or text[end : end + 1] == b".":
        return False
    word = text[start:end]
    if word.count(b"/") + word.count(b"-") + word.count(b"_") > len(word) // 8 or len(set(word)) < _BLOB_LETTERS:
        return False
    if not all(kind.search(word) for kind in _KINDS_OF_BLOB):
        return False
    return _URL_BEFORE.search(text, max(0, start - 300), start) is None


# -- punctuation ----------------------------------------------------------------------------------------------------

find_runs = CodePoints(
    {"\uff0c\u3002\u3001\uff1b\uff5e\uff1a!?\uff01\uff1f": 2, ",;\u2026\u2014\u00b7~": 3, ".": 4},
    (("!?\uff01\uff1f", 4),),
)
_DOUBLED = ("\u2026", "\u2014")


def collapse_punctuation(text: bytes, language: str | None = None, hint: int = 0) -> tuple[bytes, int]:
    """Collapse runs of one punctuation sign to a single one.

    An ellipsis counts as one sign ("...", and two in Chinese), and so does the double dash of Chinese. Two commas or
    semicolons stay (empty cells, `for (;;)`), and signs that draw lines or mark up (- = _ * #) are not touched.
    """
    return edit(text, _runs(text))


def _runs(text: bytes) -> Iterator[tuple[int, int, bytes]]:
    done = 0
    for start, end, kind in sorted(find_runs.spans(text), key=lambda span: (span[0], -span[1])):
        if start < done:
            continue
        run = text[start:end].decode()
        sign = run[0]
        if kind:
            new = _one_period(run)
        elif sign == "~":
            # A fence, or a line under a heading in some markups, when it does not end a word.
            if end < len(text) and text[end] < 0x80 and not text[end : end + 1].isspace():
                continue
            new = sign
        else:
            new = "..." if sign == "." else sign * 2 if sign in _DOUBLED else sign
        done = end
        yield start, end, new.encode()


def _one_period(run: str) -> str:
    """The shortest beginning of one or two signs that a mixed run of them repeats; a run that repeats none has its
    doubled signs collapsed."""
    if len(set(run)) == 1:
        return run[0]
    if len(run) % 2 == 0 and run == run[:2] * (len(run) // 2):
        return run[:2]
    return "".join(sign for at, sign in enumerate(run) if at == 0 or run[at - 1] != sign)


# -- numbers --------------------------------------------------------------------------------------------------------

_NUMBER = re.compile(r"(?<![\d.,/-])\d{1,3}(?:,\d{3})+(?![\d,])|(?:(?![0-9])\d)+")


def find_numbers(text: pa.StringArray) -> np.ndarray:
    """Every row (bool[rows]): the transform is off by default, and cheap next to looking twice."""
    return np.ones(len(text), dtype=np.bool_)


def standardise_numbers(text: bytes, language: str | None = None, hint: int = 0) -> tuple[bytes, int]:
    """Write decimal digits of every script as ASCII and drop commas between thousands: "1,234,567" is 1234567."""
    return edit_outside(text, lambda stretch: _NUMBER.sub(_plain_number, stretch))


def _plain_number(match: re.Match[str]) -> str:
    return "".join(str(unicodedata.decimal(sign)) for sign in match.group() if sign != ",")
