"""The forms in which countries write telephone numbers, and what is known of their digits.

libphonenumber (Google; `phonenumbers` in Python) knows each country's calling code and how long its numbers are.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

import phonenumbers

MOST_DIGITS = 15  # E.164

# Written without a trunk prefix or country code: groups, how the digits begin, and the languages where that form is
# common enough to count without a word beside it (None for
# all; the others count where they have a line to themselves).
_FORMS: dict[tuple[int, ...], tuple[tuple[re.Pattern[bytes], frozenset[str] | None], ...]] = {}


def _form(groups: tuple[int, ...], begin: bytes, languages: str | None) -> None:
    known = None if languages is None else frozenset(languages.split())
    _FORMS[groups] = (*_FORMS.get(groups, ()), (re.compile(begin), known))


_form((3, 3, 4), rb"[2-9]\d\d[2-9]|[48]00", None)  # North America; 400 and 800 in China
_form((3, 3, 4), rb"[2-9]", "el it es")
_form((1, 3, 3, 4), rb"1[2-9]\d\d[2-9]|[78][3489]", None)  # North America; Russia
_form((1, 3, 3, 2, 2), rb"[78]|0[2-5]", None)  # Russia; Turkey
_form((1, 3, 2, 2, 3), rb"[78][3489]", None)
_form((1, 3, 3, 3), rb"08", None)  # France
_form((3, 4, 4), rb"1[3-9]", None)  # mobile, China
_form((2, 5, 4), rb"[1-9][1-9]9", None)  # mobile, Brazil
_form((4, 3, 3), rb"1[38]00", None)  # Australia
_form((3, 7), rb"3[1-9]", "it")
_form((3, 7), rb"2|69", "el")
_form((4, 6), rb"2|69", "el")
_form((2, 4, 4), rb"[1-9]", "pt es el ja ko")
_form((5, 5), rb"[6-9]", "en hi bn ta te mr gu kn ml pa ur")
_form((3, 2, 2, 2), rb"[6-9]", "es ca gl eu")
_form((2, 3, 2, 2), rb"[1-9]", "pl uk es ca")
_form((2, 2, 2, 2), rb"[2-9]", "da no nb nn")
_form((3, 2, 3), rb"[2-9]", "no nb nn")
_form((3, 3, 3), rb"[2-9]", "pl cs sk pt es ca")
_form((2, 3, 4), rb"[1-9]", "pt hu")
_form((4, 4), rb"(?!20)[2-9]", "da no nb nn")
_form((11,), rb"1[3-9]", "zh")
_DASHED = {(3, 3, 4), (1, 3, 3, 4)}  # with a dash at the end, whatever the digits


# Countries of a language whose numbers are written with a leading 0, and at times without separators.
_REGIONS = {
    language: tuple(regions.split())
    for language, regions in {
        "en": "GB AU ZA IN", "de": "DE AT CH", "fr": "FR BE CH", "it": "IT", "nl": "NL BE", "sv": "SE", "fi": "FI",
        "uk": "UA", "tr": "TR", "ja": "JP", "ko": "KR", "zh": "CN TW", "th": "TH", "vi": "VN", "id": "ID", "fa": "IR",
        "ar": "EG SA AE", "he": "IL", "ro": "RO", "hi": "IN", "ur": "PK",
    }.items()
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Written:
    """A number as it stands in a text: bytes [start, end), its digits, and what is between its groups."""

    start: int
    end: int
    digits: bytes
    groups: tuple[int, ...]
    between: tuple[bytes, ...]
    plus: bool
    bracket: bool


@functools.cache
def _country(code: int) -> tuple[frozenset[int], re.Pattern[str]] | None:
    """Return how many digits follow a calling code, and a pattern of them; None where no country has that code."""
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(code, ())
    if not regions:
        return None
    if regions[0] == "001":
        data = phonenumbers.PhoneMetadata.metadata_for_nongeo_region(code)
    else:
        data = phonenumbers.PhoneMetadata.metadata_for_region(regions[0])
    if data is None or data.general_desc is None or not data.general_desc.national_number_pattern:
        return None
    return frozenset(data.general_desc.possible_length), re.compile(data.general_desc.national_number_pattern)


def is_international(number: Written, skip: int) -> bool:
    """Whether digits, but for the first `skip`, are a calling code and as many digits as its country has."""
    digits = number.digits[skip:]
    groups = number.groups
    if len(digits) > MOST_DIGITS:
        return False
    for size in (1, 2, 3):
        country = _country(int(digits[:size] or 0))
        if country is None:
            continue
        lengths, pattern = country
        national = digits[size:]
        if len(national) not in lengths and national[:1] == b"0" and len(groups) > 1:
            national = national[1:]
        if len(national) not in lengths or len(national) < 6 or (digits[:1] == b"1" and national[0] < 50):
            return False
        # Short ones are easily something else: they have to be given out in that country.
        return len(national) >= 8 or pattern.fullmatch(national.decode()) is not None
    return False


_BLANKS_ONLY = {(2, 2, 2, 2), (4, 4), (5, 5)}
_UNSURE = {*_BLANKS_ONLY, (11,), (4, 6)}
_LIKE_SUMS = {(3, 3, 3), (4, 4)}
_NO_DOTS_IN_SUMS = frozenset(("pl", "cs", "sk"))
_COUNTED = re.compile(rb"[ ]?[A-Za-z\xc3-\xf4]")


def is_national(text: bytes, number: Written, language: str | None, every: bool = False) -> bool:
    """Whether a number has a form that is written within a country and means nothing else.

    language: whose forms count besides those that count everywhere; every: all forms that any language has.
    """
    digits, groups = number.digits, number.groups
    if number.bracket:
        return _is_bracketed(number)
    if digits[:1] == b"0" and groups[0] > 1:
        return _has_trunk_prefix(number) if len(groups) > 1 else _is_assigned(digits, "" if every else language)
    if any(b"-" in sign and len(sign) > 1 for sign in number.between):
        return False  # from one number to another
    if groups in _LIKE_SUMS and _COUNTED.match(text, number.end):
        return False  # a sum, and what it counts
    if groups == (3, 3, 3) and number.between[0] == b"." and language not in _NO_DOTS_IN_SUMS:
        return False
    signs = {sign.replace(b"\xc2\xa0", b" ") for sign in number.between if b")" not in sign}
    if b"." in signs and len(signs) > 1:
        return False
    if groups in _DASHED and number.between[-1] == b"-" and digits[:1] != b"0":
        return True
    slashes = sum(b"/" in sign for sign in number.between)
    alike = signs <= {b" ", b"-", b".", b"/"} and slashes <= (b"/" in number.between[:1])
    if (len(groups) == 1 and language not in (None, "zh")) or (groups == (4, 4) and every):
        return False
    every = every or (language is None and groups not in _UNSURE)
    if groups in _BLANKS_ONLY and signs != {b" "}:
        return False
    return any(
        begin.match(digits) and (languages is None or (alike and (every or language in languages)))
        for begin, languages in _FORMS.get(groups, ())
    )


def _has_trunk_prefix(number: Written) -> bool:
    """Forms that begin with 0 and an area: 030 123456, 020 7000 0000, 01 23 45 67 89, 0800 123 456."""
    digits, groups = number.digits, number.groups
    least = 8 if number.between[0] in (b"-", b"/") and b" " in number.between else 9
    if not least <= len(digits) <= 13 or digits[1:2] == b"0" or groups[-1] < 2:
        return False
    if (groups[0] > 5 and groups != (6, 5)) or (max(groups) == 2 and len(groups) != 5 and least > 8):
        return False
    if groups == (2, 5, 4) or number.between == (b".",):
        return False  # cases of courts; degrees
    if sum(b"/" in sign for sign in number.between) > 1 and len(groups) != 5:
        return False
    if len(digits) == 9 and groups == (2, 4, 3) and digits[2:4] in (b"19", b"20"):
        return False  # the second number of a year
    return len(groups) < 4 or any(digits[at : at + 1] != b"0" for at in _starts(groups))


@functools.lru_cache(maxsize=4096)
def _is_assigned(digits: bytes, language: str | None) -> bool:
    """Whether a number without any separator could be called in a country of the language, of any language for ""."""
    every = [region for regions in _REGIONS.values() for region in regions]
    for region in every if language == "" else _REGIONS.get(language or "", ()):
        try:
            number = phonenumbers.parse(digits.decode(), region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number_for_region(number, region):
            return True
    return False


def _starts(groups: tuple[int, ...]) -> list[int]:
    return [sum(groups[:index]) for index in range(len(groups))]


_REST = {(3, 4), (4, 4), (5, 4), (3, 2, 2), (2, 2, 2), (3, 3), (2, 2, 3), (3, 2, 3), (4, 3)}


def _is_bracketed(number: Written) -> bool:
    """Forms with the area in brackets: (283) 282 0000, (11) 96123-4567, (030) 123456."""
    digits, groups = number.digits, number.groups
    if b")" not in number.between[0] and not number.between[0].startswith(b"\xef\xbc\x89"):
        return False
    area, rest = groups[0], groups[1:]
    if digits[:1] == b"0":
        return 2 <= area <= 6 and 8 <= len(digits) <= 13 and digits[1:2] != b"0"
    if len(digits) > 10 and area <= 3 and _country(int(digits[:area])) and is_international(number, 0):
        return True
    if not 2 <= area <= 4 or len(digits) < 9 or (area == 4 and digits[:2] in (b"19", b"20")):
        return False
    if len(rest) == 2 and rest[0] == rest[1] and 0 <= int(digits[-rest[1] :]) - int(digits[area : -rest[1]]) < 100:
        return False  # pages of an article, behind its issue
    return rest in _REST or (rest == (7,) and area == 3)


def is_date(number: Written) -> bool:
    """Dates, and from one year to another."""
    digits, groups = number.digits, number.groups
    if len(groups) == 2:
        return groups == (4, 4) and all(1500 <= int(year) < 2100 for year in (digits[:4], digits[4:]))
    return groups in ((2, 2, 4), (4, 2, 2), (1, 2, 4), (2, 1, 4), (4, 1, 2), (4, 2, 1))


def is_spread(number: Written) -> bool:
    """Columns of a table, decimals, addresses of computers: what no one writes within a telephone number."""
    groups, between = number.groups, number.between
    if any(sign.count(b" ") > 1 and b"-" not in sign and b"/" not in sign for sign in between):
        return True
    dotted = all(sign == b"." for sign in between)
    if dotted and len(groups) == 2 and groups[0] < 3:
        return True
    return dotted and len(groups) == 4 and max(groups) <= 3 and min(groups) == 1


def is_local(number: Written) -> bool:
    """555 1234 and 555-1234, the number without its area."""
    return number.groups == (3, 4) and number.between[0] in (b" ", b"-") and number.digits[3:5] not in (b"19", b"20")


def is_made_up(number: Written) -> bool:
    """Whether digits are all the same, or without separators and in a row, or binary."""
    if len(set(number.digits)) == 1:
        return True
    row = number.digits.startswith((b"01234567", b"12345678", b"98765432"))
    return len(number.groups) == 1 and (row or not number.digits.strip(b"01"))


def is_quad(number: Written) -> bool:
    """Whether a number may be an address of a computer, or a version."""
    return (
        number.between == (b".", b".", b".")
        and number.digits[:1] != b"0"
        and all(
            int(number.digits[at : at + size]) < 256
            for at, size in zip(_starts(number.groups), number.groups, strict=True)
        )
    )


def is_like_a_sum(number: Written) -> bool:
    """Digits that are not set apart at all, or in thousands."""
    if len(number.groups) == 1:
        return number.digits[:1] != b"0" or is_made_up(number)
    return all(size == 3 for size in number.groups[1:]) and number.groups[0] <= 3 and number.digits[:1] != b"0"
