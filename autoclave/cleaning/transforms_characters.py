"""Characters: Unicode form, special characters, garbled strings, runs of punctuation, numbers."""

from __future__ import annotations

import re
import unicodedata

from autoclave.cleaning.protected import edit, edit_outside

# -- Unicode form ---------------------------------------------------------------------------------------------------

NORMALISE_TRIGGER = r"[^\x00-\x7f]"
# What bytes 0x80 to 0xFF become when UTF-8 is read as Windows-1252 (or, where that has gaps, as Latin-1).
_AS_CP1252 = {bytes([byte]).decode("cp1252", "ignore") or chr(byte): byte for byte in range(0x80, 0x100)} | {
    chr(byte): byte for byte in range(0x80, 0x100)
}
_HIGH = "".join(sorted(re.escape(character) for character in _AS_CP1252))
_LEADS = "\u00c2-\u00f4"
_MOJIBAKE = re.compile(rf"[{_LEADS}][{_HIGH}]+")
_C1 = re.compile("[\x80-\x9f]")


def normalise_unicode(text: str, language: str | None = None) -> tuple[str, int]:
    """Bring text to NFC and repair UTF-8 that was read as Windows-1252 ("cafÃ©" for "café"), once or twice.

    A run is repaired only if all of it is valid UTF-8 when written back as bytes, which text that was meant that way
    hardly ever is. NFC, not NFKC: compatibility forms carry meaning (superscripts, full-width punctuation).
    """
    changes = 0
    if text.isascii():
        return text, 0
    for _ in range(2):
        text, found = edit(text, _MOJIBAKE, _unscramble)
        changes += found
        if not found:
            break
    if not unicodedata.is_normalized("NFC", text):
        text, found = edit_outside(text, lambda stretch: unicodedata.normalize("NFC", stretch))
        changes += found
    return text, changes


def _unscramble(match: re.Match[str]) -> str:
    raw = match.group()
    try:
        fixed = bytes(_AS_CP1252[character] for character in raw).decode()
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
    "\ufb00": "ff", "\ufb01": "fi", "\ufb02": "fl", "\ufb03": "ffi", "\ufb04": "ffl", "\ufb05": "st", "\ufb06": "st",
    # Full-width letters and digits; full-width punctuation stays, it is what Chinese and Japanese use.
    **{chr(point): chr(point - 0xFEE0) for span in ((0xFF10, 0xFF19), (0xFF21, 0xFF3A), (0xFF41, 0xFF5A))
       for point in range(span[0], span[1] + 1)},
    # Radicals in place of the characters they look like: what text from PDF files holds.
    **{chr(point): unicodedata.normalize("NFKC", chr(point)) for point in range(0x2F00, 0x2FD6)},
}  # fmt: skip
_PRIVATE = "\ue000-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd"
_SPECIAL = re.compile(f"[{''.join(map(re.escape, _MAPPED))}{_PRIVATE}]")
SPECIAL = (
    r"[\x{00a0}\x{1680}\x{2000}-\x{200b}\x{202a}-\x{202f}\x{205f}-\x{2064}\x{2066}-\x{2069}\x{3000}\x{0085}\x{2028}"
    r"\x{2029}\x0b\x0c\x{00ad}\x{feff}\x{180e}\x{fff9}-\x{fffb}\x{fb00}-\x{fb06}\x{ff10}-\x{ff19}\x{ff21}-\x{ff3a}"
    r"\x{ff41}-\x{ff5a}\x{2f00}-\x{2fd5}\x{e000}-\x{f8ff}\x{f0000}-\x{ffffd}\x{100000}-\x{10fffd}]"
)


def map_special_characters(text: str, language: str | None = None) -> tuple[str, int]:
    """Map unusual blanks, line ends, ligatures, full-width letters and digits, and radicals to their usual forms;
    remove invisible characters, directional embeddings and private-use characters (icon fonts)."""
    return edit(text, _SPECIAL, lambda match: _MAPPED.get(match.group(), ""))


# -- garbled strings ------------------------------------------------------------------------------------------------

_GARBLED = re.compile(
    r"""
    ^[^\n]*(?:\ufffd[^\n\ufffd]{0,3}){4}[^\n]*\n?        # a line that lost its encoding
  | \ufffd+ | (?:\u951f\u65a4\u62f7|\u951f\u65a4)+       # replacement characters, and read as GBK twice
  | (?:\u70eb){3,} | (?:\u5c6f){3,}                      # uninitialised memory (0xCC, 0xCD) read as GBK
  | (?<=[\u0300-\u036f\u0483-\u0489]{3})[\u0300-\u036f\u0483-\u0489]+            # stacked accents ("Zalgo")
  | (?<![A-Za-z0-9+/_=.-])(?=[A-Za-z0-9+/_-]*[0-9])(?=[A-Za-z0-9+/_-]*[a-z])(?=[A-Za-z0-9+/_-]*[A-Z])
    [A-Za-z0-9+/_-]{80,}={0,2}(?![A-Za-z0-9+/_=-])       # base64 and its kin
  | (?<![0-9A-Fa-f])(?=[0-9A-Fa-f]*[0-9])(?=[0-9A-Fa-f]*[A-Fa-f])[0-9A-Fa-f]{96,}(?![0-9A-Fa-f])   # hexadecimal dumps
  | [\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]+              # control characters
    """,
    re.VERBOSE | re.MULTILINE,
)
GARBLED_TRIGGER = (
    r"\x{fffd}|\x{951f}\x{65a4}|\x{70eb}{3}|\x{5c6f}{3}|[\x{0300}-\x{036f}\x{0483}-\x{0489}]{4}"
    r"|[A-Za-z0-9+/_-]{80}|[\x00-\x08\x0e-\x1f\x7f]|[\x{0080}-\x{0084}\x{0086}-\x{009f}]"
)


def strip_garbled(text: str, language: str | None = None) -> tuple[str, int]:
    """Remove what no one wrote: replacement characters and their classic Chinese misreadings, control characters,
    stacked accents beyond three, base64 and hexadecimal blobs; lines with four or more lost characters go whole."""
    return edit(text, _GARBLED, "")


# -- punctuation ----------------------------------------------------------------------------------------------------

_RUN = re.compile(
    r"""(?P<one>[!?\uff01\uff1f\u3002\uff0c\u3001\uff1b\uff5e\uff1a])(?P=one)+
    |(?P<few>[,;])(?P=few){2,}
    |(?P<pair>[!?\uff01\uff1f]{2})(?P=pair)+
    |\.{4,}|\u2026{3,}|(?<![\u2014\u2500])\u2014{3,}|(?P<tilde>~)~{2,}(?=\s|[^\x00-\x7f])|(?P<middot>\u00b7)\u00b7{2,}""",
    re.VERBOSE,
)
RUN_TRIGGER = (
    r"!!|\?\?|!\?!|\?!\?|,,,|;;;|\.{4}|~~~|[\x{ff01}\x{ff1f}]{2}|\x{3002}{2}|\x{ff0c}{2}|\x{3001}{2}|\x{ff1b}{2}|\x{ff5e}{2}"
    r"|\x{ff1a}{2}|\x{2026}{3}|\x{2014}{3}|\x{00b7}{3}|[!?\x{ff01}\x{ff1f}]{4}"
)


def collapse_punctuation(text: str, language: str | None = None) -> tuple[str, int]:
    """Collapse runs of one punctuation sign to a single one.

    An ellipsis counts as one sign ("...", and two in Chinese), and so does the double dash of Chinese. Two commas or
    semicolons stay (empty cells, `for (;;)`), and signs that draw lines or mark up (- = _ * #) are not touched.
    """
    return edit(text, _RUN, _collapse)


def _collapse(match: re.Match[str]) -> str:
    groups = match.groupdict()
    for name in ("one", "few", "pair", "tilde", "middot"):
        if groups[name] is not None:
            return str(groups[name])
    sign = match.group()[0]
    return {".": "...", "\u2026": "\u2026\u2026"}.get(sign, "\u2014\u2014")


# -- numbers --------------------------------------------------------------------------------------------------------

_NUMBER = re.compile(r"(?<![\d.,/-])\d{1,3}(?:,\d{3})+(?![\d,])|[^\x00-\x7f\D]+")
NUMBER_TRIGGER = r"\d,\d{3}|[^\x00-\x7f\P{Nd}]"


def standardise_numbers(text: str, language: str | None = None) -> tuple[str, int]:
    """Write decimal digits of every script as ASCII and drop commas between thousands: "1,234,567" is 1234567."""
    return edit(text, _NUMBER, _plain_number)


def _plain_number(match: re.Match[str]) -> str:
    return "".join(str(unicodedata.decimal(sign)) for sign in match.group() if sign != ",")
