"""Personal data: what `redact_pii` takes from technical text, and what it finds of generated numbers in written forms.

    python benchmarks/personal_data.py            # both tables
    python benchmarks/personal_data.py --show phone   # what was taken of a kind, to be read

Technical text holds few numbers of persons and many that look like them. What is taken there and is none was read by
hand and is listed in MISTAKES; what is not listed counts as right, so read `--show` after a change. Text: the folder of
shared data (AUTOCLAVE_DATA, or ../shared/data).
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import zstandard
from resiliparse.extract.html2text import extract_plain_text

from autoclave.cleaning.transforms.personal_data.redaction import KINDS, personal_data
from autoclave.cleaning.transforms.personal_data.scan import kinds_of_personal_data

# -- forms ----------------------------------------------------------------------------------------------------------

# N is 2 to 9, Z 1 to 9, X any digit. Per country: its language, and forms as its own people write them.
FORMS: dict[str, tuple[str, str]] = {
    "US": ("en", "(NXX) NXX-XXXX|(NXX) NXX XXXX|(NXX)-NXX-XXXX|NXX-NXX-XXXX|NXX.NXX.XXXX|NXX NXX XXXX|1-NXX-NXX-XXXX"
           "|+1 NXX NXX XXXX|+1-NXX-NXX-XXXX|+1 (NXX) NXX-XXXX|+1NXXNXXXXXX|001 NXX NXX XXXX|NXXNXXXXXX"),
    "GB": ("en", "020 ZXXX XXXX|(020) ZXXX XXXX|0121 ZXX XXXX|01ZXX XXXXXX|07ZXX XXXXXX|07ZXX XXX XXX|020-ZXXX-XXXX"
           "|020.ZXXX.XXXX|+44 20 ZXXX XXXX|+44 (0)20 ZXXX XXXX|+447ZXXXXXXXX|0044 20 ZXXX XXXX|07ZXXXXXXXX"),
    "DE": ("de", "030 ZXXXXX|030/ZXXXXXX|030-ZXXXXXXX|(030) ZXX XX XX|0171 ZXXXXXX|0171/ZXX XX XX"
           "|089 / ZX XX XX XX|02ZXX ZXXXX|+49 30 ZXXXXX|+49 (0)30 ZXXXXXX|+49171ZXXXXXX|0049 30 ZXXXXXX|0171ZXXXXXX"),
    "FR": ("fr", "01 XX XX XX XX|06 XX XX XX XX|01.XX.XX.XX.XX|01-XX-XX-XX-XX|01/XX/XX/XX/XX|0800 XXX XXX"
           "|+33 1 XX XX XX XX|+33 (0)1 XX XX XX XX|+331XXXXXXXX|0033 1 XX XX XX XX|06XXXXXXXX"),
    "ES": ("es", "91 ZXX XX XX|91-ZXX-XX-XX|91.ZXX.XX.XX|6XX XXX XXX|6XX XX XX XX|9ZX XXX XXX|6XX-XXX-XXX"
           "|+34 6XX XXX XXX|+34 91 ZXX XX XX|+346XXXXXXXX|0034 91 ZXX XX XX|6XXXXXXXX"),
    "IT": ("it", "06 ZXXX XXXX|06/ZXXXXXXX|02-ZXXXXXXX|051 ZXXXXXX|3ZX XXX XXXX|3ZX XXXXXXX|3ZX-XXXXXXX|3ZX.XXX.XXXX"
           "|3ZX/XXXXXXX|+39 06 ZXXX XXXX|+39 3ZX XXX XXXX|+393ZXXXXXXXX|0039 06 ZXXXXXXX|3ZXXXXXXXX"),
    "NL": ("nl", "020 ZXX XXXX|020-ZXXXXXX|020.ZXX.XXXX|(020) ZXX XX XX|06 ZXXXXXXX|06-ZXXXXXXX|06 ZX XX XX XX"
           "|0ZZX-XXXXXX|+31 20 ZXX XXXX|+31 6 ZXXXXXXX|+316ZXXXXXXX|0031 20 ZXX XX XX|06ZXXXXXXX"),
    "BE": ("nl", "02 ZXX XX XX|02/ZXX.XX.XX|02.ZXX.XX.XX|0471 XX XX XX|0471/XX.XX.XX|0471-XX-XX-XX"
           "|+32 2 ZXX XX XX|+32 471 XX XX XX|+32471XXXXXX|0032 2 ZXX XX XX|0471XXXXXX"),
    "CH": ("de", "044 ZXX XX XX|044/ZXX XX XX|044.ZXX.XX.XX|079 ZXX XX XX|079-ZXX-XX-XX|+41 44 ZXX XX XX"
           "|+41 (0)79 ZXX XX XX|+4179ZXXXXXX|0041 44 ZXX XX XX|079ZXXXXXX"),
    "AT": ("de", "01 ZXXXXXX|01/ZXX XX XX|0664 ZXXXXXX|0664/ZXX XX XX|0ZXXX/XXXXX|+43 1 ZXXXXXX|+43 (0)664 ZXXXXXX"
           "|+43664ZXXXXXX|0043 1 ZXXXXXX|0664ZXXXXXX"),
    "PL": ("pl", "22 XXX XX XX|(22) XXX XX XX|22-XXX-XX-XX|5XX XXX XXX|6XX-XXX-XXX|5XX.XXX.XXX|+48 22 XXX XX XX"
           "|+48 5XX XXX XXX|+485XXXXXXXX|0048 22 XXX XX XX|5XXXXXXXX"),
    "CZ": ("cs", "6XX XXX XXX|2XX XXX XXX|6XX-XXX-XXX|6XX.XXX.XXX|+420 6XX XXX XXX|+4206XXXXXXXX|00420 6XX XXX XXX"
           "|6XXXXXXXX"),
    "SE": ("sv", "08-ZXX XX XX|08-ZXX XXX XX|08 ZXX XX XX|070-ZXX XX XX|070 ZXX XX XX|0ZXX-XX XX XX|+46 8 ZXX XX XX"
           "|+46 (0)70 ZXX XX XX|+4670ZXXXXXX|0046 8 ZXX XX XX|070ZXXXXXX"),
    "DK": ("da", "ZX XX XX XX|ZXXX XXXX|+45 ZX XX XX XX|+45 ZXXX XXXX|+45ZXXXXXXX|0045 ZX XX XX XX|ZXXXXXXX"),
    "FI": ("fi", "040 XXX XXXX|040-XXXXXXX|050 XXX XX XX|09 XXX XXXX|(09) XXX XXXX|+358 40 XXX XXXX|+35840XXXXXXX"
           "|00358 40 XXX XXXX|040XXXXXXX"),
    "RU": ("ru", "8 (495) XXX-XX-XX|8(495)XXX-XX-XX|8 495 XXX-XX-XX|8-9XX-XXX-XX-XX|8 9XX XXX XX XX|(495) XXX-XX-XX"
           "|+7 495 XXX-XX-XX|+7 (9XX) XXX-XX-XX|+7 9XX XXX XX XX|+79XXXXXXXXX|89XXXXXXXXX"),
    "UA": ("uk", "044 XXX XX XX|(044) XXX-XX-XX|067 XXX XX XX|067-XXX-XX-XX|+38 (044) XXX-XX-XX|+380 44 XXX XX XX"
           "|+380 67 XXX-XX-XX|+38067XXXXXXX|067XXXXXXX"),
    "TR": ("tr", "0212 XXX XX XX|(0212) XXX XX XX|0532 XXX XX XX|0532-XXX-XX-XX|0 212 XXX XX XX|0 (212) XXX XX XX"
           "|+90 212 XXX XX XX|+90 532 XXX XX XX|+90532XXXXXXX|0090 212 XXX XX XX|0532XXXXXXX"),
    "CN": ("zh", "010-ZXXXXXXX|(010) ZXXXXXXX|（010）ZXXXXXXX|021 ZXXX XXXX|0755-ZXXXXXXX|13X XXXX XXXX|13X-XXXX-XXXX"
           "|400-XXX-XXXX|+86 10 ZXXX XXXX|+86 13X XXXX XXXX|+8613XXXXXXXXX|0086 10 ZXXXXXXX|13XXXXXXXXX"),
    "JP": ("ja", "03-ZXXX-XXXX|(03) ZXXX-XXXX|03(ZXXX)XXXX|03 ZXXX XXXX|045-ZXX-XXXX|090-XXXX-XXXX|0120-XXX-XXX"
           "|+81 3 ZXXX XXXX|+81-3-ZXXX-XXXX|+8190XXXXXXXX|0081 3 ZXXX XXXX|090XXXXXXXX"),
    "KR": ("ko", "02-ZXX-XXXX|02-ZXXX-XXXX|02) ZXXX-XXXX|031-XXX-XXXX|010-ZXXX-XXXX|010 ZXXX XXXX|010.ZXXX.XXXX"
           "|+82 2 ZXXX XXXX|+82-10-ZXXX-XXXX|+8210ZXXXXXXX|0082 2 ZXXX XXXX|010ZXXXXXXX"),
    "IN": ("en", "98XXX XXXXX|098XXX XXXXX|011-2XXX XXXX|(022) 2XXX XXXX|080 4XXX XXXX|022-2XXXXXXX|+91 98XXX XXXXX"
           "|+91-98XXXXXXXX|+9198XXXXXXXX|0091 11 2XXX XXXX|98XXXXXXXX"),
    "BR": ("pt", "(11) 9XXXX-XXXX|(11) ZXXX-XXXX|11 9XXXX-XXXX|11 9XXXX XXXX|11 ZXXX-XXXX|(021) ZXXX-XXXX"
           "|+55 11 9XXXX-XXXX|+55 (11) ZXXX-XXXX|+55119XXXXXXXX|0055 11 ZXXX XXXX|119XXXXXXXX"),
    "MX": ("es", "55 ZXXX XXXX|55-ZXXX-XXXX|(55) ZXXX XXXX|3ZX XXX XXXX|(3ZX) XXX XXXX|+52 55 ZXXX XXXX"
           "|+52 3ZX XXX XXXX|+5255ZXXXXXXX|0052 55 ZXXX XXXX|55ZXXXXXXX"),
    "AU": ("en", "(02) ZXXX XXXX|02 ZXXX XXXX|04XX XXX XXX|04XX-XXX-XXX|1300 XXX XXX|1800 XXX XXX|+61 2 ZXXX XXXX"
           "|+61 4XX XXX XXX|+614XXXXXXXX|0061 2 ZXXX XXXX|04XXXXXXXX"),
    "ZA": ("en", "011 ZXX XXXX|(011) ZXX-XXXX|082 ZXX XXXX|082-ZXX-XXXX|+27 11 ZXX XXXX|+2782ZXXXXXX|0027 11 ZXX XXXX"
           "|082ZXXXXXX"),
}  # fmt: skip

# Per language: a sentence without and one with a word that says what the number is.
SENTENCES: dict[str, tuple[str, str]] = {
    "en": ("It was {} that they gave us yesterday.", "Phone: {}, from nine to five."),
    "de": ("Wir sind unter {} für Sie da.", "Telefon: {}, von neun bis fünf."),
    "fr": ("Le bureau est ouvert le lundi, {}, sur rendez-vous.", "Tél. : {}, de neuf à cinq heures."),
    "es": ("La oficina abre los lunes, {}, con cita.", "Teléfono: {}, de nueve a cinco."),
    "it": ("L'ufficio apre il lunedì, {}, su appuntamento.", "Tel. {}, dalle nove alle cinque."),
    "nl": ("Het kantoor is op maandag open, {}, op afspraak.", "Telefoon: {}, van negen tot vijf."),
    "pl": ("Biuro jest czynne w poniedziałki, {}, po umówieniu.", "Tel. {}, od dziewiątej do piątej."),
    "cs": ("Kancelář je otevřena v pondělí, {}, po domluvě.", "Telefon: {}, od devíti do pěti."),
    "sv": ("Kontoret är öppet på måndagar, {}, efter överenskommelse.", "Telefon {}, nio till fem."),
    "da": ("Kontoret har åbent om mandagen, {}, efter aftale.", "Tlf. {}, fra ni til fem."),
    "fi": ("Toimisto on auki maanantaisin, {}, sopimuksen mukaan.", "Puh. {}, yhdeksästä viiteen."),
    "ru": ("Офис открыт по понедельникам, {}, по записи.", "Телефон: {}, с девяти до пяти."),
    "uk": ("Офіс відкритий у понеділок, {}, за записом.", "Тел. {}, з дев'ятої до п'ятої."),
    "tr": ("Ofis pazartesi günleri açıktır, {}, randevu ile.", "Telefon: {}, dokuzdan beşe kadar."),
    "zh": ("办公室周一开放，{}，需预约。", "电话：{}，九点到五点。"),
    "ja": ("事務所は月曜日に開いています。{}、予約制。", "電話：{}、九時から五時まで。"),
    "ko": ("사무실은 월요일에 엽니다, {}, 예약제.", "전화: {}, 아홉 시부터 다섯 시까지."),
    "pt": ("O escritório abre às segundas, {}, com hora marcada.", "Telefone: {}, das nove às cinco."),
}


def kind_of_form(form: str) -> str:
    if form[0] == "+":
        return "E.164" if form[1:].isalnum() else "+ and groups"
    if form.startswith("00"):
        return "00 and groups"
    if form.isalnum():
        return "digits alone"
    marks = {sign for sign in form if not sign.isalnum()}
    if marks & set("(（)"):
        return "brackets"
    for sign, name in (("/", "slashes"), (".", "dots"), ("-", "dashes")):
        if sign in marks:
            return name
    return "blanks"


def generated(form: str, chance: random.Random) -> str:
    """Return a number in a form; it need not be assigned to anybody, nor be assignable."""
    digits = {"N": "23456789", "Z": "123456789", "X": "0123456789"}
    return "".join(chance.choice(digits[sign]) if sign in digits else sign for sign in form)


def is_found(text: str, number: str, language: str | None) -> bool:
    """Whether the whole number, and nothing more, is taken as a telephone number."""
    hint = int(kinds_of_personal_data(pa.array([text]))[0])
    found = personal_data(text.encode(), frozenset(KINDS), language, hint)
    start = len(text[: text.index(number)].encode())
    return any(
        kind == "phone" and abs(begin - start) <= 3 and abs(end - start - len(number.encode())) <= 3
        for begin, end, kind in found
    )


def recall(count: int, seed: int = 0) -> dict[tuple[str, str, str], list[int]]:
    """Return {(country, kind of form, circumstance): [found, generated]} of `count` numbers for each form."""
    chance = random.Random(seed)
    table: dict[tuple[str, str, str], list[int]] = {}
    for country, (language, forms) in FORMS.items():
        without, with_word = SENTENCES[language]
        for form in forms.split("|"):
            for _ in range(count):
                number = generated(form, chance)
                for name, text, code in (
                    ("alone", number, None),
                    ("sentence", without.format(number), language),
                    ("word", with_word.format(number), None),
                ):
                    cell = table.setdefault((country, kind_of_form(form), name), [0, 0])
                    cell[0] += is_found(text, number, code)
                    cell[1] += 1
    return table


def main() -> None:
    table = recall(20)
    for circumstance in ("alone", "sentence", "word"):
        print(circumstance)
        kinds = list(dict.fromkeys(kind for _, kind, _ in table))
        print("     " + " ".join(f"{kind:>13}" for kind in kinds) + "   all but digits alone")
        for country in [*FORMS, "all"]:
            cells = []
            total = [0, 0]
            for kind in kinds:
                both = [
                    sum(cell[place] for (c, k, n), cell in table.items() if k == kind and n == circumstance and country in (c, "all"))
                    for place in (0, 1)
                ]
                cells.append(f"{both[0] / both[1]:13.2f}" if both[1] else " " * 13)
                if kind != "digits alone":
                    total = [total[0] + both[0], total[1] + both[1]]
            print(f"{country:4} " + " ".join(cells) + f"   {total[0] / total[1]:.3f}")


if __name__ == "__main__":
    main()
