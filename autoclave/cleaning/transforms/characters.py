"""Characters: Unicode form, special characters, garbled strings, runs of punctuation, numbers."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from autoclave.cleaning.transforms.mojibake import repair
from autoclave.cleaning.transforms.mojibake_scan import MISREAD, find_misread
from autoclave.cleaning.transforms.protected import edit, edit_outside, edit_pieces
from autoclave.cleaning.transforms.scan import TABLE_SIZE, CodePoints, rows_with_long_words

# -- Unicode form ---------------------------------------------------------------------------------------------------


@functools.cache
def _unusual() -> CodePoints:
    """Rows with code points that NFC may change."""
    is_normalized = unicodedata.is_normalized
    unstable = [chr(p) for p in range(0xC0, TABLE_SIZE) if not 0xD800 <= p < 0xE000 and not 0xAC00 <= p < 0xD7A4]
    changed = [sign for sign in unstable if unicodedata.combining(sign) or not is_normalized("NFC", sign)]
    vowels = [chr(p) for p in (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))]  # compose without being combining
    return CodePoints(dict.fromkeys([*changed, *vowels], 1))


def find_unusual(text: pa.StringArray) -> np.ndarray:
    """Which rows `normalise_unicode` could change: int64[rows], 0 for the others, MISREAD where the encoding is in
    doubt."""
    return _unusual()(text) | find_misread(text)


def normalise_unicode(text: bytes, language: str | None = None, hint: int = MISREAD) -> tuple[bytes, int]:
    """Bring text to NFC, and undo the reading of UTF-8 in another encoding ("cafÃ©" for "café") where the whole text
    proves it (see `mojibake`).

    NFC, not NFKC: compatibility forms carry meaning (superscripts, full-width punctuation). NFC leaves every letter in
    its script. The Greek varia (U+1FEF) stays: its canonical form is the sign that marks code.
    """
    return edit_pieces(text, lambda pieces: [_nfc(s) for s in (repair(pieces) if hint & MISREAD else pieces[::2])])


def _nfc(text: str) -> str:
    return "\u1fef".join([unicodedata.normalize("NFC", part) for part in text.split("\u1fef")])


# -- special characters ---------------------------------------------------------------------------------------------

_MAPPED: dict[str, str] = {
    **dict.fromkeys([*"\u00a0\u1680\u202f\u205f\u3000", *map(chr, range(0x2000, 0x200B))], " "),
    **dict.fromkeys("\u0085\u2028\u2029\x0b\x0c", "\n"),
    # Invisible, and not needed to write any language (unlike the zero-width joiner and non-joiner).
    **dict.fromkeys("\u00ad\u200b\u2060\u2061\u2062\u2063\u2064\ufeff\u180e\ufff9\ufffa\ufffb", ""),
    # Directional embeddings and isolates: marks of layout; the implicit order of the letters remains.
    **dict.fromkeys("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069", ""),
    **dict(
        zip(
            "\ufb00\ufb01\ufb02\ufb03\ufb04\ufb05\ufb06", ["ff", "fi", "fl", "ffi", "ffl", "\u017ft", "st"], strict=True
        )
    ),
    # Full-width letters and digits; full-width punctuation stays, it is what Chinese and Japanese use.
    **{chr(point): chr(point - 0xFEE0) for point in (*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B))},
    **{chr(point): chr(point - 0xFEE0) for point in range(0xFF41, 0xFF5B)},
    # Radicals in place of the characters they look like: what text from PDF files holds.
    **{chr(point): unicodedata.normalize("NFKC", chr(point)) for point in range(0x2F00, 0x2FD6)},
}
_PRIVATE = "".join(map(chr, range(0xE000, 0xF900)))
find_special = CodePoints({**dict.fromkeys(_MAPPED, 1), _PRIVATE: 1}, above=True)

_GROUPING = "\u00a0\u2007\u2009\u202f"
_WIDE = re.compile("[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]")
_RADICAL = re.compile("[\u2f00-\u2fd5]")
_IN_WORDS = re.compile("[\u2f00-\u2fd5](?=[\u3041-\u9fff])|(?<=[\u3041-\u9fff])[\u2f00-\u2fd5]")
_PRIVATE_USE = re.compile("[\ue000-\uf8ff\U000f0000-\U0010ffff]")
_EAST_ASIAN = re.compile("[\u3041-\u30ff\u3400-\u9fff\uac00-\ud7a3]")
# Scripts written without blanks, in which U+200B parts words; and Mongolian, in which blanks of its own part suffixes.
_UNSPACED = re.compile(
    "[\u0e00-\u109f\u1700-\u177f\u1780-\u17ff\u1950-\u19ff\u1a00-\u1aad\u1b00-\u1bff\ua930-\ua9ff\uaa00-\uaadf]"
)
_MONGOLIAN = re.compile("[\u1800-\u18af]")


def map_special_characters(text: bytes, language: str | None = None, hint: int = 0) -> tuple[bytes, int]:
    """Map unusual blanks, line ends, ligatures, full-width letters and digits, and radicals to their usual forms;
    remove invisible characters, directional embeddings and private-use characters (icon fonts).

    What has a meaning stays: the blank between groups of digits, the zero-width blank between words of scripts without
    blanks, the blanks of Mongolian, full-width letters in Chinese and Japanese text, radicals that stand for
    themselves, private-use characters in words (rare Chinese characters, medieval letters) or where they are
    a quarter of the text.
    """
    return edit(text, _special(text))


def _special(text: bytes) -> Iterator[tuple[int, int, bytes]]:
    spans = find_special.spans(text)
    kept = _kept_by_the_whole(text.decode(), {text[start:end].decode()[0] for start, end, _ in spans})
    for start, end, _ in spans:
        sign = text[start:end].decode()[0]
        if sign in kept:
            continue
        before, after = _character_before(text, start), _character_after(text, end)
        if sign in _MAPPED:
            if not _has_meaning(sign, before, after):
                yield start, end, _MAPPED[sign].encode() * len(text[start:end].decode())
        elif _PRIVATE_USE.match(sign) and not _is_in_word(before, after):
            yield start, end, b""


def _kept_by_the_whole(text: str, signs: set[str]) -> set[str]:
    """The signs of a text, out of these, that stand in it for what they are."""
    kept: set[str] = set()
    wide, radicals, private = (set(filter(kind.match, signs)) for kind in (_WIDE, _RADICAL, _PRIVATE_USE))
    east_asian = len(_EAST_ASIAN.findall(text)) if wide or radicals else 0
    if wide and len(_WIDE.findall(text)) < 4 * east_asian:
        kept |= wide
    if radicals:
        count = len(_RADICAL.findall(text))
        if east_asian < 4 * count or 2 * len(_IN_WORDS.findall(text)) < count:
            kept |= radicals
    if private and 4 * len(_PRIVATE_USE.findall(text)) > len(text):
        kept |= private
    return kept


def _has_meaning(sign: str, before: str, after: str) -> bool:
    """Whether a blank or an invisible sign between two characters is more than layout."""
    if sign in _GROUPING and before.isdecimal() and after.isdecimal():
        return True
    if sign in "\u202f\u180e":
        return bool(_MONGOLIAN.match(before) or _MONGOLIAN.match(after))
    return sign == "\u200b" and bool(_UNSPACED.match(before) or _UNSPACED.match(after))


def _is_in_word(before: str, after: str) -> bool:
    """Whether what stands between two characters is a letter of their word: Chinese on a side, letters on both."""
    return bool(_EAST_ASIAN.match(before) or _EAST_ASIAN.match(after)) or (before.isalpha() and after.isalpha())


def _character_before(text: bytes, at: int) -> str:
    start = at - 1
    while start > 0 and text[start] & 0xC0 == 0x80:
        start -= 1
    return text[start:at].decode() if at else ""


def _character_after(text: bytes, at: int) -> str:
    end = at + 1
    while end < len(text) and text[end] & 0xC0 == 0x80:
        end += 1
    return text[at:end].decode()


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
_INDENT_BYTES = 80
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
        if start < done or _begins_line(text, start):
            continue
        run = text[start:end].decode()
        sign = run[0]
        if kind:
            new = _one_period(run)
        elif sign == "~":
            if end < len(text) and text[end] < 0x80 and not text[end : end + 1].isspace():
                continue
            new = sign
        else:
            new = "..." if sign == "." else sign * 2 if sign in _DOUBLED else sign
        done = end
        yield start, end, new.encode()


def _begins_line(text: bytes, start: int) -> bool:
    """Whether nothing but blanks, a few, is before: what begins a line marks it up (lines under headings, fences,
    `;;;` comments, `!!! note`, `...` in place of outputs)."""
    before = text[max(0, start - _INDENT_BYTES) : start]
    line = before[before.rfind(b"\n") + 1 :]
    return not line.strip() and (len(line) < len(before) or len(before) == start)


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
