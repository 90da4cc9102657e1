"""Labels of encodings, as the WHATWG Encoding Standard has them, and the decoders behind them."""

from __future__ import annotations

import codecs
import functools
import re
import unicodedata

# WHATWG Encoding Standard, 4.2 "Names and labels" (https://encoding.spec.whatwg.org/#names-and-labels): Python's codec,
# or a wider relative of it that holds everything that sites send under these names, and its labels.
_LABELS = {
    "utf-8": "unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf-8 utf8 x-unicode20utf8",
    "cp866": "866 cp866 csibm866 ibm866",
    "iso8859_2": "csisolatin2 iso-8859-2 iso-ir-101 iso8859-2 iso88592 iso_8859-2 iso_8859-2:1987 l2 latin2",
    "iso8859_3": "csisolatin3 iso-8859-3 iso-ir-109 iso8859-3 iso88593 iso_8859-3 iso_8859-3:1988 l3 latin3",
    "iso8859_4": "csisolatin4 iso-8859-4 iso-ir-110 iso8859-4 iso88594 iso_8859-4 iso_8859-4:1988 l4 latin4",
    "iso8859_5": "csisolatincyrillic cyrillic iso-8859-5 iso-ir-144 iso8859-5 iso88595 iso_8859-5 iso_8859-5:1988",
    "iso8859_6": "arabic asmo-708 csiso88596e csiso88596i csisolatinarabic ecma-114 iso-8859-6 iso-8859-6-e "
    "iso-8859-6-i iso-ir-127 iso8859-6 iso88596 iso_8859-6 iso_8859-6:1987",
    "iso8859_7": "csisolatingreek ecma-118 elot_928 greek greek8 iso-8859-7 iso-ir-126 iso8859-7 iso88597 iso_8859-7 "
    "iso_8859-7:1987 sun_eu_greek",
    "iso8859_8": "csiso88598e csisolatinhebrew hebrew iso-8859-8 iso-8859-8-e iso-ir-138 iso8859-8 iso88598 iso_8859-8 "
    "iso_8859-8:1988 visual csiso88598i iso-8859-8-i logical",
    "iso8859_10": "csisolatin6 iso-8859-10 iso-ir-157 iso8859-10 iso885910 l6 latin6",
    "iso8859_13": "iso-8859-13 iso8859-13 iso885913",
    "iso8859_14": "iso-8859-14 iso8859-14 iso885914",
    "iso8859_15": "csisolatin9 iso-8859-15 iso8859-15 iso885915 iso_8859-15 l9",
    "iso8859_16": "iso-8859-16",
    "koi8_r": "cskoi8r koi koi8 koi8-r koi8_r",
    "koi8_u": "koi8-ru koi8-u",
    "mac_roman": "csmacintosh mac macintosh x-mac-roman",
    "cp874": "dos-874 iso-8859-11 iso8859-11 iso885911 tis-620 windows-874",
    "cp1250": "cp1250 windows-1250 x-cp1250",
    "cp1251": "cp1251 windows-1251 x-cp1251",
    "cp1252": "ansi_x3.4-1968 ascii cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1 iso88591 "
    "iso_8859-1 iso_8859-1:1987 l1 latin1 us-ascii windows-1252 x-cp1252",
    "cp1253": "cp1253 windows-1253 x-cp1253",
    "cp1254": "cp1254 csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9 iso_8859-9:1989 l5 latin5 "
    "windows-1254 x-cp1254",
    "cp1255": "cp1255 windows-1255 x-cp1255",
    "cp1256": "cp1256 windows-1256 x-cp1256",
    "cp1257": "cp1257 windows-1257 x-cp1257",
    "cp1258": "cp1258 windows-1258 x-cp1258",
    "mac_cyrillic": "x-mac-cyrillic x-mac-ukrainian",
    "gb18030": "chinese csgb2312 csiso58gb231280 gb2312 gb_2312 gb_2312-80 gbk iso-ir-58 x-gbk gb18030",
    "big5hkscs": "big5 big5-hkscs cn-big5 csbig5 x-x-big5",
    "euc_jp": "cseucpkdfmtjapanese euc-jp x-euc-jp",
    "iso2022_jp_ext": "csiso2022jp iso-2022-jp",
    "cp932": "csshiftjis ms932 ms_kanji shift-jis shift_jis sjis windows-31j x-sjis",
    "cp949": "cseuckr csksc56011987 euc-kr iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601 "
    "windows-949",
    "utf-16-be": "unicodefffe utf-16be",
    "utf-16-le": "csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16 utf-16le",
    # The standard replaces the text of these, for the safety of browsers; the text is what we are after.
    "iso2022_kr": "csiso2022kr iso-2022-kr",
    "hz": "hz-gb-2312",
    # Not in the standard.
    "utf-32-le": "utf-32 utf-32le ucs-4",
    "utf-32-be": "utf-32be",
    "mac_latin2": "x-mac-ce x-mac-centraleurroman mac-centraleurope",
    "mac_greek": "x-mac-greek",
    "mac_turkish": "x-mac-turkish",
    "mac_iceland": "x-mac-icelandic",
    "mac_croatian": "x-mac-croatian",
    "mac_romanian": "x-mac-romanian",
}
_CODECS = {label: name for name, labels in _LABELS.items() for label in labels.split()}
_CODECS |= {"x-mac-japanese": "cp932", "x-mac-chinesesimp": "gb18030", "x-mac-chinesetrad": "big5hkscs"}
_CODECS |= {"x-mac-korean": "cp949", "latin-1": "cp1252", "iso-8859-1-windows-1252": "cp1252"}
# As people write the same names: "windows1251", "win-1251", "utf8mb4", "iso8859_1".
_WINDOWS = re.compile(r"(?:x-)?(?:windows|win|cp|ms)[-_ ]?(874|949|932|125[0-8])")
_ISO = re.compile(r"iso[-_ ]?8859[-_ ](\d\d?)")
_UTF_8 = re.compile(r"utf[-_ ]?8\b|utf8mb[34]|unicode-utf-8")
# Python's text codecs that no page is written in: escapes, addresses, and EBCDIC.
_NOT_FOR_PAGES = re.compile(
    r"utf[-_]7|idna|punycode|.*unicode[-_]escape|undefined|charmap|mbcs|oem|cp(?:037|273|424|500|875|1026|1140)"
)

SEVEN_BIT = frozenset({"iso2022_jp_ext", "iso2022_kr", "hz"})
"""Encodings whose bytes are ASCII."""
WIDE = frozenset({"utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"})
"""Encodings whose ASCII characters take two bytes or four."""

# Another codec for the same encoding, for what the first lacks (NEC's row 13 and others).
_OTHERS = {"euc_jp": "euc_jis_2004", "big5hkscs": "cp950"}
# What Windows has in the place of C1 controls, for the encodings whose decoders give controls.
_WINDOWS_OF = {
    "iso8859_2": "cp1250", "iso8859_3": "cp1254", "iso8859_4": "cp1257", "iso8859_5": "cp1251", "iso8859_6": "cp1256",
    "iso8859_7": "cp1253", "iso8859_8": "cp1255", "iso8859_10": "cp1252", "iso8859_13": "cp1257",
    "iso8859_14": "cp1252", "iso8859_15": "cp1252", "iso8859_16": "cp1250",
}  # fmt: skip
_C1 = re.compile("[\x80-\x9f]")
# Windows' dots, quotation marks and dashes in UTF-8 text: single bytes, where nothing of UTF-8 can stand.
_LONE_PUNCTUATION = re.compile(rb"(?<![\x80-\xff])[\x85\x91-\x97](?![\x80-\xff])")
_C1_IN_UTF8 = re.compile(b"\xc2[\x80-\x9f]")


def codec(label: str | None) -> str | None:
    """The Python codec for a charset label, or its wider relative; None where there is none, or none for pages."""
    label = (label or "").strip(" \t\r\n\f\"';,").lower()
    if not label or len(label) > 60:
        return None
    usual = _usual(label)
    known = _CODECS.get(label) or _CODECS.get(usual)
    if known is not None:
        return known
    try:
        info = codecs.lookup(usual)
    except (LookupError, ValueError):
        return None
    if info.name.startswith("iso2022_jp"):
        return "iso2022_jp_ext"
    return _CODECS.get(info.name, info.name) if info._is_text_encoding and not _NOT_FOR_PAGES.match(info.name) else None


def _usual(label: str) -> str:
    if match := _WINDOWS.fullmatch(label):
        return {"932": "shift_jis", "949": "euc-kr"}.get(match[1], f"windows-{match[1]}")
    if match := _ISO.fullmatch(label):
        return f"iso-8859-{match[1]}"
    if label.startswith("x-mac-"):
        return label[2:]
    return "utf-8" if _UTF_8.match(label) else label


def read(data: bytes, name: str) -> str:
    """Decode bytes by one of our codecs: malformed places become U+FFFD, a character that is cut off at the end goes,
    as do NULs and marks at the beginning; C1 controls become what Windows has in their place."""
    if name == "utf-8":
        return clean_utf8(_decoded(data, "utf-8"), data)
    text = _decoded(data, name)
    if name in _OTHERS and "\ufffd" in text:
        text = min(text, _decoded(data, _OTHERS[name]), key=lambda reading: reading.count("\ufffd"))
    if name == "iso2022_jp_ext" and "\ufffd" in text:
        text = min(text, _windows_japanese(data), key=lambda reading: reading.count("\ufffd"))
    if name == "cp1258":
        text = unicodedata.normalize("NFC", text)  # its tones are marks of their own, for want of room
    if name == "koi8_u":
        text = text.replace("╝", "ў").replace("╬", "Ў")  # as in the standard
    if name in _WINDOWS_OF or name in WIDE:
        text = _without_controls(text, _WINDOWS_OF.get(name, "cp1252"), name in WIDE)
    return text.replace("\x00", "").removeprefix("\ufeff")


def _decoded(data: bytes, name: str) -> str:
    text: str = codecs.getincrementaldecoder(name)("replace").decode(data)
    return text


_DOUBLE = re.compile(rb"\x1b\$[@B]((?:[\x21-\x7e]{2})*)(?:\x1b\([BJ])?")


def _windows_japanese(data: bytes) -> str:
    """ISO-2022-JP with the rows of NEC and IBM (the numbers in circles, the signs of companies), through Shift_JIS."""
    return _DOUBLE.sub(lambda match: _shifted(match[1]), data).decode("cp932", "replace")


def _shifted(pairs: bytes) -> bytes:
    """Two-byte codes of JIS X 0208 as Shift_JIS has them."""
    out = bytearray()
    for row, cell in zip(pairs[::2], pairs[1::2], strict=True):
        first = (row + 1) // 2 + (0x70 if row < 0x5F else 0xB0)
        out += bytes((first, cell + (0x7E if row % 2 == 0 else 0x1F if cell < 0x60 else 0x20)))
    return bytes(out)


def with_punctuation(data: bytes) -> bytes:
    """UTF-8 bytes with the single bytes among them that are Windows' dots, quotation marks and dashes as UTF-8."""
    return _LONE_PUNCTUATION.sub(lambda match: match.group().decode("cp1252").encode(), data)


def clean_utf8(text: str, data: bytes) -> str:
    """Take NULs, byte order marks at the beginning and C1 controls out of the text of UTF-8 bytes."""
    if not text.isascii():
        text = text.lstrip("\ufeff")
        if b"\xc2" in data and _C1_IN_UTF8.search(data):
            text = _without_controls(text, "cp1252", True)
    return text.replace("\x00", "") if b"\x00" in data else text


def _without_controls(text: str, windows: str, spare_next_line: bool) -> str:
    """Write C1 controls as what a Windows encoding has there; one that has nothing stays, as does NEXT LINE where it is
    the only one and may be meant."""
    found = set(_C1.findall(text))
    if not found or (spare_next_line and found == {"\x85"}):
        return text
    return text.translate(_windows_signs(windows))


@functools.cache
def _windows_signs(windows: str) -> dict[int, str]:
    return {point: bytes([point]).decode(windows, "ignore") or chr(point) for point in range(0x80, 0xA0)}
