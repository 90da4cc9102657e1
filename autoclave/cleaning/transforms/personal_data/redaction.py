"""Personal data and secrets, replaced by the name of their kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from autoclave.cleaning.transforms.personal_data.addresses import addresses_4, addresses_6, emails
from autoclave.cleaning.transforms.personal_data.credentials import credentials
from autoclave.cleaning.transforms.personal_data.identity_numbers import accounts, cards, residents, social_security
from autoclave.cleaning.transforms.personal_data.phone_numbers import phone_numbers
from autoclave.cleaning.transforms.personal_data.scan import (
    ACCOUNT,
    ADDRESS_4,
    ADDRESS_6,
    EMAIL,
    NUMBER,
    SECRET,
    numbers,
)
from autoclave.cleaning.transforms.protected import splice

Kind = Literal["email", "ip", "phone", "card", "iban", "national_id", "secret"]
KINDS: dict[str, str] = {
    "email": "[EMAIL]",
    "ip": "[IP]",
    "phone": "[PHONE]",
    "card": "[ID]",
    "iban": "[ID]",
    "national_id": "[ID]",
    "secret": "[SECRET]",
}
"""The kinds, and what stands in their place by default."""
FINEWEB = frozenset(("email", "ip"))


class PersonalDataOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of `redact_pii` a recipe may set."""

    kinds: list[Kind] | Literal["all", "fineweb"] = "all"
    """Kinds to redact, of email, ip, phone, card, iban, national_id, secret; all; or FineWeb's choice: email and ip."""
    replacement: str | dict[Kind, str] = {}
    """What stands in their place: one text for all kinds, or a text by kind; others keep [EMAIL], [IP], [PHONE], [ID]
    (card, iban, national_id) and [SECRET]."""

    def chosen(self) -> frozenset[str]:
        """Return the kinds to redact."""
        if isinstance(self.kinds, str):
            return FINEWEB if self.kinds == "fineweb" else frozenset(KINDS)
        return frozenset(self.kinds)

    def text_for(self, kind: str) -> str:
        """Return what stands in place of a kind."""
        if isinstance(self.replacement, str):
            return self.replacement
        return {str(name): text for name, text in self.replacement.items()}.get(kind, KINDS[kind])


_DEFAULT = PersonalDataOptions()


Found = tuple[int, int, str]


def personal_data(text: bytes, kinds: frozenset[str], language: str | None = None, hint: int = ~0) -> list[Found]:
    """Return (start, end, kind) of the personal data in a UTF-8 text, in order, none overlapping another.

    kinds: those to look for, of KINDS; language: the text's code, None where it is not known; hint: what
    `scan.kinds_of_personal_data` says of the text.
    """
    found: list[Found] = []

    def add(spans: Iterator[tuple[int, int]], kind: str) -> None:
        found.extend((start, end, kind) for start, end in spans)

    if hint & SECRET and "secret" in kinds:
        add(credentials(text), "secret")
    if hint & EMAIL and "email" in kinds:
        add(emails(text), "email")
    if hint & ACCOUNT and "iban" in kinds:
        add(accounts(text), "iban")
    if hint & ADDRESS_4 and "ip" in kinds:
        add(addresses_4(text), "ip")
    if hint & ADDRESS_6 and "ip" in kinds:
        add(addresses_6(text), "ip")
    if hint & NUMBER and not kinds.isdisjoint(("phone", "card", "national_id")):
        for start, end, digits in numbers(text):
            if "national_id" in kinds and digits == 9:
                add(social_security(text, start, end), "national_id")
            if "national_id" in kinds and digits >= 17:
                add(residents(text, start, end), "national_id")
            if "card" in kinds and digits >= 14:
                add(cards(text, start, end), "card")
            if "phone" in kinds:
                add(phone_numbers(text, start, end, digits, language), "phone")
    return _apart(found)


def _apart(found: list[Found]) -> list[Found]:
    """Return what was found in order: the longer of two that begin together (a telephone number rather than an address
    of as many bytes), and the earlier of two that overlap."""
    kept: list[Found] = []
    for start, end, kind in sorted(found, key=lambda place: (place[0], -place[1], place[2] != "phone")):
        if not kept or start >= kept[-1][1]:
            kept.append((start, end, kind))
    return kept


def redact_pii(
    text: bytes, language: str | None = None, hint: int = ~0, options: PersonalDataOptions = _DEFAULT
) -> tuple[bytes, int]:
    """Replace e-mail addresses, public IP addresses, telephone and identity numbers, keys and tokens by their kind.

    Works in code and tables as well: a key that leaked in a code block has leaked.
    """
    found = personal_data(text, options.chosen(), language, hint)
    return splice(text, ((start, end, options.text_for(kind).encode()) for start, end, kind in found))
