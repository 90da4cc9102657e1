"""Numbers of persons and of their accounts, where the check digits are right: cards, accounts, identity numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from autoclave.cleaning.transforms.personal_data.words_beside import beside, word_pattern

# ISO/IEC 7812: issuers, how many digits their numbers have, and the groups in which they are printed.
_CARD = re.compile(
    rb"""(?<![\w.,/+=#-])(?<!\d[ ])(?:
        (?:4\d{3}|5[1-5]\d\d|2[2-7]\d\d|6\d{3}|35\d\d)(?P<four>[ -]?)\d{4}(?P=four)\d{4}(?P=four)\d{4}
      | 3[47]\d\d(?P<six>[ -]?)\d{6}(?P=six)\d{5}
      | 3[068]\d\d(?P<five>[ -]?)\d{6}(?P=five)\d{4}
    )(?![\w-]|[.,/:]\d|[ ]\d{3})""",
    re.VERBOSE,
)
_CARD_WORDS = word_pattern(
    "card cards visa mastercard amex maestro discover diners jcb unionpay credit debit karte kreditkarte carte tarjeta "
    "cartão carta карта карты карту kart kartı",
    "卡号 卡號 信用卡 银行卡 カード 카드",
)
_IBAN = re.compile(rb"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)")
_RESIDENT = re.compile(rb"(?<![\dA-Za-z._/-])([1-8]\d)\d{4}((?:19|20)\d{6})\d{3}[\dXx](?![\dA-Za-z_-])")
_PROVINCES = frozenset(
    b"11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65 71 81 82".split()
)
_SOCIAL_SECURITY = re.compile(rb"(?<![\w-])(?!000|666|9\d\d)\d{3}([ -])(?!00)\d{2}\1(?!0000)\d{4}(?![\w-])")
_SOCIAL_SECURITY_WORDS = word_pattern("ssn ssns social security")


def cards(text: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of payment cards in text[start:end]: issuer, groups, Luhn's check digit; without groups, one
    number in ten passes by chance, and a word must say what it is."""
    for match in _CARD.finditer(text, start, end + 1):
        number = [sign - 48 for sign in match.group() if 48 <= sign <= 57]
        doubled = [digit if at % 2 else sum(divmod(2 * digit, 10)) for at, digit in enumerate(reversed(number), 1)]
        if sum(doubled) % 10 or len(set(number)) < 2:
            continue
        if match.end() - match.start() > len(number) or any(map(_CARD_WORDS.search, beside(text, *match.span()))):
            yield match.span()


def residents(text: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of Chinese resident identity numbers in text[start:end]: GB 11643, with a province, a date of
    birth and the check digit of ISO 7064, MOD 11-2."""
    for match in _RESIDENT.finditer(text, start, min(len(text), end + 2)):
        number = match.group().decode().upper()
        total = sum(int(digit) * (2 ** (17 - at) % 11) for at, digit in enumerate(number[:17]))
        if match.group(1) in _PROVINCES and "10X98765432"[total % 11] == number[17] and _is_day(match.group(2)):
            yield match.span()


def _is_day(digits: bytes) -> bool:
    try:
        date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return False
    return True


def social_security(text: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of US social security numbers in text[start:end]; they have no check digit, so that only
    those count beside which a word says so."""
    for match in _SOCIAL_SECURITY.finditer(text, start, min(len(text), end + 1)):
        shown = len(set(match.group())) == 2  # 444-44-4444: an example
        if not shown and any(map(_SOCIAL_SECURITY_WORDS.search, beside(text, *match.span()))):
            yield match.span()


def accounts(text: bytes) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of international bank account numbers: ISO 13616, check digits of MOD 97-10."""
    for match in _IBAN.finditer(text):
        number = match.group().decode().replace(" ", "")
        if 15 <= len(number) <= 34 and int("".join(str(int(sign, 36)) for sign in number[4:] + number[:4])) % 97 == 1:
            yield match.span()
