"""Personal data and secrets, replaced by a name of their kind."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

from autoclave.cleaning.transforms.scan import ACCOUNT, ADDRESS_4, ADDRESS_6, EMAIL, NUMBER, SECRET, numeric_runs

# Reserved for documentation (RFC 2606): nobody's address.
_NOBODY = re.compile(
    rb"(?:[\w.-]+\.)?(?:example\.(?:com|org|net)|[\w-]+\.example|example|invalid|test|localhost)", re.I
)
_LOCAL = re.compile(rb"(?:[A-Za-z0-9_%+-][A-Za-z0-9._%+-]{0,63})\Z")
_DOMAIN = re.compile(rb"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,24}(?![\w-])")
_IPV4 = re.compile(rb"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d)(?!\.\d)")
_IPV6 = re.compile(rb"(?<![\w:])(?:[0-9A-Fa-f]{1,4}:){2,7}(?::?[0-9A-Fa-f]{1,4}){1,6}(?![\w:])")
# What both begin with behind their first group: a literal that the regular expression engine finds fast.
_DOTTED = re.compile(rb"\.\d{1,3}\.\d{1,3}\.\d")
_COLONS = re.compile(rb":[0-9A-Fa-f]{0,4}:")
_HEXADECIMAL = frozenset(b"0123456789abcdefABCDEF")
_PHONE = re.compile(
    rb"""(?<![\w.+/=-])(?:
        (?:\+?86[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4}                       # mobile, China
      | (?:0\d{2,3}|\(0\d{2,3}\))[- ]\d{7,8}                              # land line, China
      | \+\d{1,3}[-. ]?(?:\(\d{1,4}\)[-. ]?)?\d{1,4}(?:[-. ]\d{2,4}){2,4} # international
      | (?:\+?1[-. ])?(?:\(\d{3}\)\ ?|\d{3}[-.])[2-9]\d{2}[-.]\d{4}       # North America
    )(?![\w/-]|\.\d)""",
    re.VERBOSE,
)
_RESIDENT = re.compile(
    rb"(?<![\dA-Za-z])[1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx](?![\dA-Za-z])"
)
_SOCIAL_SECURITY = re.compile(rb"(?<![\w-])(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])")
_CARD = re.compile(rb"(?<![\w.-])(?:\d[ -]?){12,18}\d(?![\w-]|\.\d)")
_IBAN = re.compile(rb"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)")
_SECRET = re.compile(
    rb"""-----BEGIN\ [A-Z ]*PRIVATE\ KEY-----.{0,10000}?-----END\ [A-Z ]*PRIVATE\ KEY-----
      | (?<![A-Za-z0-9_])(?:
            (?:AKIA|ASIA)[0-9A-Z]{16}(?![A-Za-z0-9_])                  # Amazon
          | gh[pousr]_[A-Za-z0-9]{36,} | github_pat_[A-Za-z0-9_]{60,}  # GitHub
          | glpat-[A-Za-z0-9_-]{20,}                                   # GitLab
          | xox[abposr]-[A-Za-z0-9-]{20,}                              # Slack
          | AIza[0-9A-Za-z_-]{35}                                      # Google
          | sk-(?:proj-|ant-)?[A-Za-z0-9_-]{32,} | hf_[A-Za-z]{30,}    # model providers
          | eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,})   # JSON web token
    """,
    re.VERBOSE | re.DOTALL,
)


def _is_public(match: re.Match[bytes]) -> bool:
    try:
        return ipaddress.ip_address(match.group().decode()).is_global
    except ValueError:
        return False


def _is_resident(match: re.Match[bytes]) -> bool:
    """Check digit of GB 11643 (ISO 7064, MOD 11-2)."""
    number = match.group().decode().upper()
    total = sum(int(digit) * (2 ** (17 - at) % 11) for at, digit in enumerate(number[:17]))
    return "10X98765432"[total % 11] == number[17]


def _is_card(match: re.Match[bytes]) -> bool:
    """Luhn's check digit, and the first digits that payment cards have."""
    digits = [sign - 48 for sign in match.group() if 48 <= sign <= 57]
    if not (digits[0] in (3, 4, 5, 6) or digits[:2] == [2, 2]) or len(set(digits)) < 2:
        return False
    doubled = [digit if at % 2 else sum(divmod(2 * digit, 10)) for at, digit in enumerate(reversed(digits), 1)]
    return sum(doubled) % 10 == 0


def _is_iban(match: re.Match[bytes]) -> bool:
    """Check digits of ISO 13616 (MOD 97-10)."""
    number = match.group().decode().replace(" ", "")
    return 15 <= len(number) <= 34 and int("".join(str(int(sign, 36)) for sign in number[4:] + number[:4])) % 97 == 1


def _always(match: re.Match[bytes]) -> bool:
    return True


Check = Callable[[re.Match[bytes]], bool]
# Pattern, whether a match really is one, and the name it gets; in the order in which they are looked for.
_NUMBERS: tuple[tuple[re.Pattern[bytes], Check, bytes], ...] = (
    (_RESIDENT, _is_resident, b"[ID]"),
    (_CARD, _is_card, b"[ID]"),
    (_SOCIAL_SECURITY, _always, b"[ID]"),
    (_PHONE, _always, b"[PHONE]"),
)
Edits = list[tuple[int, int, bytes]]


def redact_pii(text: bytes, language: str | None = None, hint: int = ~0) -> tuple[bytes, int]:
    """Replace e-mail addresses, public IP addresses, telephone and identity numbers (Chinese resident, US social
    security, payment card, IBAN), keys and tokens by [EMAIL], [IP], [PHONE], [ID] and [SECRET].

    Numbers with a check digit count only where it is right. Addresses reserved for documentation stay. Works in code
    and tables as well: a key that leaked in a code block has leaked. `hint` tells which kinds to look for.
    """
    edits: Edits = []
    if hint & SECRET:
        edits += [(*match.span(), b"[SECRET]") for match in _SECRET.finditer(text)]
    if hint & EMAIL:
        edits += _emails(text)
    if hint & ACCOUNT:
        edits += [(*match.span(), b"[ID]") for match in _IBAN.finditer(text) if _is_iban(match)]
    if hint & ADDRESS_4:
        edits += _addresses(text, _DOTTED, _IPV4, 3)
    if hint & ADDRESS_6:
        edits += _addresses(text, _COLONS, _IPV6, 4)
    if hint & NUMBER:
        edits += _numbers(text)
    if not edits:
        return text, 0
    pieces: list[bytes] = []
    at = changes = 0
    for start, end, new in sorted(edits, key=lambda found: (found[0], -found[1])):
        if start < at:
            continue
        pieces += [text[at:start], new]
        at = end
        changes += 1
    pieces.append(text[at:])
    return b"".join(pieces), changes


def _addresses(text: bytes, anchor: re.Pattern[bytes], pattern: re.Pattern[bytes], group: int) -> Edits:
    """Addresses around what their inner separators look like; `group` is the most signs before the first of them."""
    found: Edits = []
    for place in anchor.finditer(text):
        start = place.start()
        while start > 0 and place.start() - start < group and text[start - 1] in _HEXADECIMAL:
            start -= 1
        match = pattern.match(text, start)
        if match is not None and _is_public(match):
            found.append((*match.span(), b"[IP]"))
    return found


def _emails(text: bytes) -> Edits:
    found: Edits = []
    at = text.find(b"@")
    while at >= 0:
        local = _LOCAL.search(text, max(0, at - 64), at)
        domain = _DOMAIN.match(text, at + 1)
        if local is not None and domain is not None and _NOBODY.fullmatch(domain.group()) is None:
            found.append((local.start(), domain.end(), b"[EMAIL]"))
        at = text.find(b"@", at + 1)
    return found


def _numbers(text: bytes) -> Edits:
    found: Edits = []
    for start, end in numeric_runs(text):
        # One sign more on either side than the patterns look at; they begin and end inside the run.
        first, last = max(0, start - 2), min(len(text), end + 3)
        window = text[first:last]
        for pattern, check, name in _NUMBERS:
            for match in pattern.finditer(window):
                if check(match):
                    found.append((first + match.start(), first + match.end(), name))
    return found
