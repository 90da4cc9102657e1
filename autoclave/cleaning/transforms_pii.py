"""Personal data and secrets, replaced by a name of their kind."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

_EMAIL = re.compile(
    r"(?<![\w.%+-])[A-Za-z0-9_%+-][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,24}(?![\w-])"
)
# Reserved for documentation (RFC 2606): nobody's address.
_NOBODY = re.compile(
    r"@(?:[\w.-]+\.)?(?:example\.(?:com|org|net)|[\w-]+\.example|example|invalid|test|localhost)$", re.I
)
_IPV4 = re.compile(r"(?<![\w.])(?<!version )(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d)(?!\.\d)")
_IPV6 = re.compile(r"(?<![\w:])(?:[0-9A-Fa-f]{1,4}:){2,7}(?::?[0-9A-Fa-f]{1,4}){1,6}(?![\w:])")
_PHONE = re.compile(
    r"""(?<![\w.+/=-])(?:
        (?:\+?86[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4}                       # mobile, China
      | (?:0\d{2,3}|\(0\d{2,3}\))[- ]\d{7,8}                              # land line, China
      | \+\d{1,3}[-. ]?(?:\(\d{1,4}\)[-. ]?)?\d{1,4}(?:[-. ]\d{2,4}){2,4} # international
      | (?:\+?1[-. ])?(?:\(\d{3}\)\ ?|\d{3}[-.])[2-9]\d{2}[-.]\d{4}       # North America
    )(?![\w/-]|\.\d)""",
    re.VERBOSE,
)
_RESIDENT = re.compile(
    r"(?<![\dA-Za-z])[1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx](?![\dA-Za-z])"
)
_SOCIAL_SECURITY = re.compile(r"(?<![\w-])(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])")
_CARD = re.compile(r"(?<![\w.-])(?:\d[ -]?){12,18}\d(?![\w-]|\.\d)")
_IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)")
_SECRET = re.compile(
    r"""-----BEGIN\ [A-Z ]*PRIVATE\ KEY-----.*?-----END\ [A-Z ]*PRIVATE\ KEY-----
      | (?<![A-Za-z0-9_])(?:AKIA|ASIA)[0-9A-Z]{16}(?![A-Za-z0-9_])         # Amazon
      | (?<![A-Za-z0-9_])gh[pousr]_[A-Za-z0-9]{36,}                        # GitHub
      | (?<![A-Za-z0-9_])github_pat_[A-Za-z0-9_]{60,}
      | (?<![A-Za-z0-9_])glpat-[A-Za-z0-9_-]{20,}                          # GitLab
      | (?<![A-Za-z0-9_])xox[abposr]-[A-Za-z0-9-]{20,}                     # Slack
      | (?<![A-Za-z0-9_])AIza[0-9A-Za-z_-]{35}                             # Google
      | (?<![A-Za-z0-9_])sk-(?:proj-|ant-)?[A-Za-z0-9_-]{32,}              # model providers
      | (?<![A-Za-z0-9_])hf_[A-Za-z]{30,}
      | (?<![A-Za-z0-9_])eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}   # JSON web token
    """,
    re.VERBOSE | re.DOTALL,
)
TRIGGER = (
    r"[A-Za-z0-9_%+-]@[A-Za-z0-9]|\d\.\d{1,3}\.\d{1,3}\.\d|[0-9A-Fa-f]:[0-9A-Fa-f:]+:[0-9A-Fa-f]|\d{3}[-. ]?\d{4}"
    r"|\d{2}-\d{4}|\d{4} \d{2}|\d{2}[-. ]\d{2}[-. ]\d{2}|[A-Z]{2}\d{2} ?[A-Z0-9]{4}|PRIVATE KEY-----"
    r"|gh[pousr]_|github_pat_|glpat-|xox[abposr]-|AIza|sk-|hf_|eyJ|AKIA|ASIA"
)


def _is_public(match: re.Match[str]) -> bool:
    try:
        return ipaddress.ip_address(match.group()).is_global
    except ValueError:
        return False


def _is_resident(match: re.Match[str]) -> bool:
    """Check digit of GB 11643 (ISO 7064, MOD 11-2)."""
    number = match.group().upper()
    total = sum(int(digit) * (2 ** (17 - at) % 11) for at, digit in enumerate(number[:17]))
    return "10X98765432"[total % 11] == number[17]


def _is_card(match: re.Match[str]) -> bool:
    """Luhn's check digit, and the first digits that payment cards have."""
    digits = [int(sign) for sign in match.group() if sign.isdigit()]
    if not (digits[0] in (3, 4, 5, 6) or digits[:2] == [2, 2]) or len(set(digits)) < 2:
        return False
    doubled = [digit if at % 2 else sum(divmod(2 * digit, 10)) for at, digit in enumerate(reversed(digits), 1)]
    return sum(doubled) % 10 == 0


def _is_iban(match: re.Match[str]) -> bool:
    """Check digits of ISO 13616 (MOD 97-10)."""
    number = match.group().replace(" ", "")
    return 15 <= len(number) <= 34 and int("".join(str(int(sign, 36)) for sign in number[4:] + number[:4])) % 97 == 1


def _always(match: re.Match[str]) -> bool:
    return True


# Kind, pattern, whether a match really is one; in the order in which they are looked for.
_KINDS: tuple[tuple[str, re.Pattern[str], Callable[[re.Match[str]], bool]], ...] = (
    ("[SECRET]", _SECRET, _always),
    ("[EMAIL]", _EMAIL, lambda match: _NOBODY.search(match.group()) is None),
    ("[ID]", _RESIDENT, _is_resident),
    ("[ID]", _IBAN, _is_iban),
    ("[ID]", _CARD, _is_card),
    ("[ID]", _SOCIAL_SECURITY, _always),
    ("[IP]", _IPV4, _is_public),
    ("[IP]", _IPV6, _is_public),
    ("[PHONE]", _PHONE, _always),
)


def redact_pii(text: str, language: str | None = None) -> tuple[str, int]:
    """Replace e-mail addresses, public IP addresses, telephone and identity numbers (Chinese resident, US social
    security, payment card, IBAN), keys and tokens by [EMAIL], [IP], [PHONE], [ID] and [SECRET].

    Numbers with a check digit count only where it is right. Addresses reserved for documentation stay. Works in code
    and tables as well: a key that leaked in a code block has leaked.
    """
    changes = 0

    for name, pattern, check in _KINDS:

        def replace(match: re.Match[str], name: str = name, check: Callable[[re.Match[str]], bool] = check) -> str:
            nonlocal changes
            if not check(match):
                return match.group()
            changes += 1
            return name

        text = pattern.sub(replace, text)
    return text, changes
