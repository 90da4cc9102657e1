"""Telephone numbers as people write them: by their form, by what is known of countries, and by the words beside them.

libphonenumber's own matcher is not used: it takes a hundred times the time, and wants numbers that are assigned to
somebody. What has the form of a telephone number and of a sum, a version or a serial number alike counts only beside a
word that says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, pairwise

from autoclave.cleaning.transforms.personal_data import phone_forms as forms
from autoclave.cleaning.transforms.personal_data.phone_forms import MOST_DIGITS, Written, is_international, is_national
from autoclave.cleaning.transforms.personal_data.telephone_words import NONE, OTHER, STRONG, UNIT, WEAK, evidence
from autoclave.cleaning.transforms.personal_data.words_beside import beside

_DIGITS = re.compile(rb"\d+")
_BLANKS = re.compile(rb"(?:[ \t]|\xc2\xa0|\xe2\x80[\x89\xaf])+")
_HELD = re.compile(rb"[-/.)]")
_EXTENSION = re.compile(rb"[ ,]{0,2}(?:x|ext\.?|extension)[ .:]?\d{1,5}(?![\w-])", re.IGNORECASE)
_LEAST = 7  # digits


def phone_numbers(text: bytes, start: int, end: int, digits: int, language: str | None) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of the telephone numbers in the run text[start:end] of so many digits and separators."""
    done = start
    for first, last in chain(((start, end),) if digits <= MOST_DIGITS + 2 else (), _parts(text, start, end)):
        if first < done:
            continue
        number = _read(text, first, last)
        if number is not None and _is_apart(text, number) and _is_phone(text, number, language):
            extension = _EXTENSION.match(text, number.end)
            done = extension.end() if extension else number.end
            yield number.start, done


def _parts(text: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield stretches of a run that may be a number with others beside it, a house's or a postcode's: what follows a
    plus sign, longer ones first, and what is held together by other signs than blanks."""
    blanks = [match.span() for match in _BLANKS.finditer(text, start, end)]
    words = list(zip([start, *(b for _, b in blanks)], [*(a for a, _ in blanks), end], strict=True))
    if len(words) < 2:
        return
    if text[start - 1 : start] == b"+":
        for (_, stop), (first, last) in list(pairwise(words))[5::-1]:
            if last - first >= 4:
                yield start, stop
    for index, (first, last) in enumerate(words):
        if text[first : first + 1] == b"(":
            first, last = first + 1, words[min(index + 1, len(words) - 1)][1]
        if last - first > _LEAST and (_HELD.search(text, first, last) or text[first : first + 1] == b"0"):
            yield first, last


def _read(text: bytes, start: int, end: int) -> Written | None:
    """Return the number with its sign and opening bracket; None where it is too long or too short."""
    parts = _DIGITS.split(text[start:end])
    digits = b"".join(_DIGITS.findall(text, start, end))
    if not _LEAST <= len(digits) <= MOST_DIGITS + 2 or parts[0]:
        return None
    bracket = plus = False
    while text[start - 1 : start] in (b"(", b"+", b"\x88"):
        before = text[start - 1 : start]
        if before == b"+" and not plus:
            plus, start = True, start - 1
        elif before == b"(" and not bracket and b")" in text[start:end]:
            bracket, start = True, start - 1
        elif before == b"\x88" and not bracket and text[start - 3 : start] == b"\xef\xbc\x88":
            bracket, start = True, start - 3
        else:
            break
    groups = tuple(map(len, _DIGITS.findall(text, start, end)))
    between = tuple(parts[1:-1])
    if plus or digits[:2] == b"00":
        for index in range(1, len(groups) - 1):
            if groups[index] == 1 and b"(" in between[index - 1] and b")" in between[index]:
                at = sum(groups[:index])  # the trunk prefix, as in +49 (0)30
                digits = digits[:at] + digits[at + 1 :]
                groups = groups[:index] + groups[index + 1 :]
                between = between[:index] + between[index + 1 :]
                break
    return Written(start, end, digits, groups, between, plus, bracket)


# Signs on either side that make a number part of something else: a word, a decimal, a path, a sum of money, arithmetic.
_BEFORE = re.compile(
    rb"""(?:[A-Za-z0-9_/\\#@$%^&~] | [\xc3-\xcf][\x80-\xbf] | \d[.,:] | [A-Za-z]\( | [^A-Za-z][.,] | \w[-*]
      | [$+*^<>] [ ] | \xc2[\xa3\xa5\xb1] | \xc3\x97 | \xe2\x82[\xa0-\xbf][ ]? | \xe2\x88\x92[ ]?)\Z""",
    re.VERBOSE,
)
_BEFORE_PLUS = re.compile(rb"(?:[A-Za-z0-9_/\\#@$%^&~+*)\]] | [\xc3-\xcf][\x80-\xbf])\Z", re.VERBOSE)
_AFTER = re.compile(
    rb"""[A-Za-z0-9_%$\\@^] | [.,:/-]\d | [-:]\w | \.[A-Za-z0-9-]+\.[A-Za-z] | [ ]?[=*^] | [ ][+<>][ ] | \+\d
      | [\xc3-\xcf][\x80-\xbf] | [ ]?\xc2[\xa3\xa5\xb0\xb1] | [ ]?\xc3\x97 | [ ]?\xe2\x82[\xa0-\xbf]""",
    re.VERBOSE,
)


def _is_apart(text: bytes, number: Written) -> bool:
    """Whether nothing next to a number makes it part of something else."""
    before = text[max(0, number.start - 4) : number.start]
    if (_BEFORE_PLUS if number.plus else _BEFORE).search(before):
        return False
    return _AFTER.match(text, number.end) is None or _EXTENSION.match(text, number.end) is not None


def _is_phone(text: bytes, number: Written, language: str | None) -> bool:
    written = text[number.start : number.end]
    if (b"(" in written and b")" not in written) or len(number.groups) > 7 or forms.is_spread(number):
        return False
    words = evidence(*beside(text, number.start, number.end))
    abroad = number.plus or number.digits[:2] == b"00"
    if words == UNIT or (words < STRONG and (number.groups[-1] == 1 or number.groups[1:].count(1) > abroad)):
        return False
    if number.plus:
        return is_international(number, 0)
    if words == OTHER or forms.is_date(number):
        return False
    if abroad and number.groups[0] > 1 and is_international(number, 2):
        return len(number.groups) > 1 or words > NONE
    if len(number.digits) > MOST_DIGITS or (
        forms.is_quad(number) and (words < STRONG or number.groups != (2, 3, 2, 2))
    ):
        return False
    if words < STRONG and (forms.is_made_up(number) or text[number.start - 1 : number.start] in (b"=", b".")):
        return False
    return words == STRONG or _has_form(text, number, language, words)


def _has_form(text: bytes, number: Written, language: str | None, words: int) -> bool:
    """Whether a number has a form that means nothing else, or on a line of its own, or beside a word of many uses, a
    form that may."""
    if is_national(text, number, language):
        return True
    if _is_alone(text, number) and is_national(text, number, language, every=True):
        return True
    return words == WEAK and not forms.is_like_a_sum(number) and (len(number.digits) >= 9 or forms.is_local(number))


def _is_alone(text: bytes, number: Written) -> bool:
    """Whether a number has a line to itself, in no column of numbers."""
    before, after = text[max(0, number.start - 41) : number.start], text[number.end : number.end + 41]
    above, first, left = before.rpartition(b"\n")
    right, last, below = after.partition(b"\n")
    if left.strip() or right.strip() or not (first or number.start <= 41) or not (last or len(after) <= 40):
        return False
    return not any(_NUMBERS_ONLY.fullmatch(line) for line in (above.rpartition(b"\n")[2], below.partition(b"\n")[0]))


_NUMBERS_ONLY = re.compile(rb"[\d \t.,()/+-]*\d[\d \t.,()/+-]*")
