"""Generated personal data as people write it: telephone numbers of twenty countries in their forms, cards, addresses.

Numbers and forms come from libphonenumber's tables (Google; `phonenumbers` in Python): for each country its example of
a fixed line and a mobile, with other last digits, as long as the numbering plan knows the result.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberFormat, PhoneNumberType

COUNTRIES: dict[str, tuple[str, str]] = {
    "US": ("en", "You can call me at {}, any time before noon, and we will find a day for the visit."),
    "GB": ("en", "Please ring the office on {} to ask whether the hall is free that evening."),
    "DE": ("de", "Sie erreichen uns telefonisch unter {}, am besten am Vormittag, oder Sie kommen vorbei."),
    "FR": ("fr", "Vous pouvez nous appeler au {} le matin pour prendre rendez-vous avec le docteur."),
    "ES": ("es", "Puede llamarnos al teléfono {} por la mañana para pedir una cita con la doctora."),
    "IT": ("it", "Potete telefonare al numero {} la mattina per prenotare una visita in ufficio."),
    "NL": ("nl", "U kunt ons bellen op {} om een afspraak te maken, het liefst in de ochtend."),
    "PL": ("pl", "Prosimy dzwonić pod numer {} rano, aby umówić się na wizytę w naszym biurze."),
    "SE": ("sv", "Ring oss gärna på {} under förmiddagen för att boka en tid hos läkaren."),
    "CZ": ("cs", "Zavolejte nám prosím na číslo {} dopoledne a domluvíme se na návštěvě."),
    "RU": ("ru", "Позвоните нам по телефону {} утром, чтобы записаться на приём к врачу."),
    "UA": ("uk", "Зателефонуйте нам за номером {} вранці, щоб записатися на прийом до лікаря."),
    "TR": ("tr", "Randevu almak için sabahları bizi {} numaralı telefondan arayabilirsiniz."),
    "CN": ("zh", "如需预约，请在上午拨打电话 {} 与我们的工作人员联系，谢谢您的配合。"),
    "JP": ("ja", "ご予約は午前中に電話 {} までご連絡ください。よろしくお願いいたします。"),
    "KR": ("ko", "예약을 원하시면 오전에 전화 {} 번으로 연락해 주시기 바랍니다."),
    "IN": ("en", "Our shop is open all week; call {} to ask for the price of a new pump."),
    "BR": ("pt", "Ligue para o telefone {} pela manhã para marcar uma consulta com a médica."),
    "MX": ("es", "Llámenos al número {} por la tarde y le diremos cuándo llega el pedido."),
    "AU": ("en", "If you would like to join the walk, phone Margaret on {} before the weekend."),
}
"""Region -> (language, a sentence in which its people give a number)."""

_WORD = re.compile(r"\w+")
TYPES = (PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE)
SENTENCE, LABEL, ALONE = "sentence", "label", "alone"
ABROAD = ("E.164", "international", "international, hyphens", "international, dots", "00 and blanks")
ALIKE = ("national, digits alone",)
"""Forms that are no more than digits: no one can tell them from other numbers, and no bar counts them."""


@dataclass(frozen=True)
class Written:
    """A text with one thing to redact. group: what the table counts it under (country, form, where it stands)."""

    text: str
    language: str
    group: tuple[str, str, str]
    secret: str

    def is_gone(self, text: str) -> bool:
        """Whether nothing of it is left in the text after redaction: none of its digits, or of its longer words."""
        frame = set(_WORD.findall(self.text.replace(self.secret, " ")))
        left = set(_WORD.findall(text)) - frame
        if not any(sign.isalpha() for sign in self.secret):
            return not any(sign.isdigit() for word in left for sign in word)
        return not any(len(word) >= 3 and word in left for word in _WORD.findall(self.secret.removeprefix("mailto:")))

    @property
    def counted(self) -> bool:
        """Whether the bar counts it: all but digits alone, and national forms that nothing around them explains."""
        return self.group[1] not in ALIKE and (self.group[2] != ALONE or self.group[1] in ABROAD)


def telephone_numbers(count: int, seed: int = 0) -> Iterator[Written]:
    """Yield `count` numbers of each country and type, each in every form, in a sentence, behind a label, alone."""
    chance = random.Random(seed)
    for region, (language, sentence) in COUNTRIES.items():
        for kind in TYPES:
            for _ in range(count):
                number = _number(region, kind, chance)
                for form, written in forms(number, region).items():
                    yield Written(sentence.format(written), language, (region, form, SENTENCE), written)
                    yield Written(f"Tel.: {written}", language, (region, form, LABEL), written)
                    yield Written(written, language, (region, form, ALONE), written)


def _number(region: str, kind: int, chance: random.Random) -> PhoneNumber:
    example = phonenumbers.example_number_for_type(region, kind)
    assert example is not None
    digits = str(example.national_number)
    while True:
        other = digits[:-5] + "".join(chance.choice("0123456789") for _ in range(5))
        number = PhoneNumber(
            country_code=example.country_code,
            national_number=int(other),
            italian_leading_zero=example.italian_leading_zero,
        )
        if phonenumbers.is_valid_number(number):
            return number


def forms(number: PhoneNumber, region: str) -> dict[str, str]:
    """Return the forms that a number is written in, by their names."""
    international = phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)
    national = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
    groups = re.sub(r"[\s()./-]+", " ", national).strip()
    first, _, rest = groups.partition(" ")
    found = {
        "E.164": phonenumbers.format_number(number, PhoneNumberFormat.E164),
        "international": international,
        "international, hyphens": international.replace(" ", "-"),
        "international, dots": re.sub(r"[ -]", ".", international),
        "00 and blanks": international.replace("+", "00", 1),
        "national": national,
        "national, hyphens": groups.replace(" ", "-"),
        "national, dots": groups.replace(" ", "."),
        "national, blanks": groups,
        "national, digits alone": groups.replace(" ", ""),
    }
    if rest and "(" not in national:
        found["national, brackets"] = f"({first}) {rest}"
    if groups.startswith("0") and not number.italian_leading_zero:
        code = f"+{number.country_code}"
        found["+ and (0)"] = f"{code} (0){groups[1:]}"
    return found


# -- other kinds ------------------------------------------------------------------------------------------------------


def other_data(count: int, seed: int = 0) -> Iterator[Written]:
    """Yield texts with an e-mail address, an IP address, a card, an account, in the ways that they are written."""
    chance = random.Random(seed)
    for _ in range(count):
        for kind, form, written in (*_addresses(chance), *_cards(chance), ("account", "IBAN in fours", _iban(chance))):
            yield Written(f"You will find it under {written} in our files.", "en", (kind, form, SENTENCE), written)


def _addresses(chance: random.Random) -> Iterator[tuple[str, str, str]]:
    first, last = chance.choice(["anna", "b.lee", "maria", "jo"]), chance.choice(["smith", "weber", "rossi", "novak"])
    host = chance.choice(["post.de", "mail.co.uk", "uni-ulm.de", "gmail.com", "firma.com.br", "st.paul.museum"])
    yield "e-mail", "plain", f"{first}.{last}@{host}"
    yield "e-mail", "tag", f"{first}{chance.randrange(100)}+list@{host}"
    yield "e-mail", "capitals", f"{first}_{last}@{host}".upper()
    yield "e-mail", "mailto", f"mailto:{first}-{last}@{host}"
    yield "e-mail", "at an address", f"{first}@{'.'.join(str(chance.randrange(11, 120)) for _ in range(4))}"
    yield (
        "IP",
        "version 4",
        f"{chance.randrange(77, 95)}.{chance.randrange(256)}.{chance.randrange(256)}.{chance.randrange(1, 255)}",
    )
    yield (
        "IP",
        "version 6",
        f"2a02:8109:{chance.randrange(4096, 65536):x}:{chance.randrange(4096, 65536):x}::{chance.randrange(1, 9999):x}",
    )


def _cards(chance: random.Random) -> Iterator[tuple[str, str, str]]:
    for name, prefix, size, grouping in (
        ("Visa", "4", 16, (4, 4, 4, 4)),
        ("Mastercard", "52", 16, (4, 4, 4, 4)),
        ("American Express", "37", 15, (4, 6, 5)),
        ("Diners Club", "36", 14, (4, 6, 4)),
    ):
        digits = prefix + "".join(chance.choice("0123456789") for _ in range(size - len(prefix) - 1))
        digits += str(next(check for check in range(10) if _luhn(f"{digits}{check}") == 0))
        ends = [sum(grouping[: part + 1]) for part in range(len(grouping))]
        parts = [digits[end - size : end] for end, size in zip(ends, grouping, strict=True)]
        yield "card", f"{name}, blanks", " ".join(parts)
        yield "card", f"{name}, hyphens", "-".join(parts)
        yield "card", f"{name}, digits alone", digits


def _luhn(digits: str) -> int:
    """Return the remainder that Luhn's check (ISO/IEC 7812) leaves; 0 for a right number."""
    values = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(value // 10 + value % 10 for value in values) % 10


def _iban(chance: random.Random) -> str:
    """Return a German account with right check digits (ISO 13616)."""
    account = "".join(chance.choice("0123456789") for _ in range(18))
    check = 98 - int(f"{account}131400") % 97
    number = f"DE{check:02d}{account}"
    return " ".join(number[at : at + 4] for at in range(0, len(number), 4))
