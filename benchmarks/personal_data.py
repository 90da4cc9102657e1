"""Personal data: what `redact_pii` takes from technical text, and what it finds of generated numbers in written forms.

    python -m benchmarks.personal_data                # both tables
    python -m benchmarks.personal_data --show phone   # what was taken of a kind, to be read

Technical text holds few numbers of persons and many that look like them. What is taken there and is none was read by
hand and is listed in MISTAKES; what is not listed counts as right, so read `--show` after a change. Text: lines made
here, and the folder of shared data (AUTOCLAVE_DATA, or ../shared/data).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import string
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


def print_recall(table: dict[tuple[str, str, str], list[int]]) -> None:
    kinds = list(dict.fromkeys(kind for _, kind, _ in table))
    for circumstance in ("alone", "sentence", "word"):
        print(f"\nrecall, {circumstance}: " + ", ".join(kinds) + "; all but digits alone")
        for country in [*FORMS, "all"]:
            cells, total = [], [0, 0]
            for kind in kinds:
                chosen = [
                    v for (c, k, n), v in table.items() if (k, n) == (kind, circumstance) and country in (c, "all")
                ]
                both = [sum(cell[place] for cell in chosen) for place in (0, 1)]
                cells.append(f"{both[0] / both[1]:5.2f}" if both[1] else "     ")
                if kind != "digits alone":
                    total = [total[0] + both[0], total[1] + both[1]]
            print(f"{country:4} " + " ".join(cells) + f"   {total[0] / total[1]:.3f}")


# -- technical text -------------------------------------------------------------------------------------------------

# Lines as code, logs, references and tables have them; nothing in them is personal data. {dN}: N digits; {hN}: N
# hexadecimal ones; {bN}: N letters of base64; {v}: a version of four parts; {s}: a section number of four parts.
LINES = """
Version {v} of the library fixes a crash.
Upgrade to {v} or later, see section {s}.
pip install foo=={v}
requires foo>={v},<{v}
firmware {v}, driver {v}
{s} Installing the server
(see {s} and {s})
{h8}-{h4}-{h4}-{h4}-{h12}
ISBN 978-0-{d6}-{d2}-{d1}
ISBN-10: 0-{d3}-{d5}-{d1}
ISBN {d10}
doi:10.{d4}/{d8}
https://doi.org/10.1016/j.cell.20{d2}.{d2}.{d3}
arXiv:2{d3}.{d5}
ISSN {d4}-{d4}
PMID: {d8}
ORCID 0000-000{d1}-{d4}-{d4}
Timestamp: 1{d9}
at 1{d12} ms since the epoch
20{d2}-0{d1}-1{d1} 1{d1}:2{d1}:3{d1},{d3} INFO main: started
[2019-03-1{d1}T1{d1}:2{d1}:3{d1}.{d6}Z] request
20{d2}0{d1}1{d1}{d6}
total {d9} bytes in {d7} files
{d8} rows affected
The population was {d3} {d3} {d3} in 2010.
budget of {d3} {d3} {d3} euros
{d3}.{d3}.{d3} EUR
pages {d4}-{d4}
J. Chem. 12 (20{d2}) {d4}-{d4}
vol. {d2}({d1}), pp. {d3}-{d3}
CAS number {d5}-{d2}-{d1}
part no. {d3}-{d4}-{d3}
serial {d3}-{d3}-{d3}
order #{d10}
bug #{d7}
issue {d7} was closed
commit {d7}
case {d2}-{d5}-{d4}
(i32.const {d10})
(i64.const {d19})
(f64.const {d9}.{d4})
(call {d10})
0x{h8} {d10}
size={d10}
offset: {d10}
id: {d11}
"id": {d12},
user_id = {d9}
{d3} {d3} {d3} {d4}
{d2} {d3} {d4} {d5}
| {d4} | {d4} | {d4} |
{d5} {d5} {d5}
{d3},{d3},{d3}
[{d3}, {d4}, {d3}]
rgb({d3}, {d3}, {d3})
+{d2} {d2} {d2} {d2} degrees
+{d3} {d3} {d3} {d1}
x + {d9} = {d10}
a+{d10}
-{d9}
{d3}.{d6} {d3}.{d6}
lat 0{d2}.{d6}, lon {d3}.{d6}
{d2}:{d2}:{d2}.{d3}
{d10} {d10}
{d6}/{d6}
attn = q@k.transpose(-2,-1)
loss = x@W.mean()
y = a@b.T + c
out = h@self.weight.t()
git clone git@github.com:owner/repo{d2}.git
git@gitlab.com:group/project.git
scp file user@host:path
rsync -av dir/ backup@nas:/volume{d1}
npm install foo@{d1}.{d1}.{d1}
foo@{d1}.{d1}.beta
@app.route("/x")
uses: actions/checkout@v{d1}
std::vector<int>::iterator
aa:bb:cc:{d2}:{d2}:ff
SHA256:{b43}
"integrity": "sha512-{b86}=="
md5 {h32}
{h128}  file.tar
{d2}.{d2}.20{d2} um {d2}:{d2}
{d2}/{d2}/20{d2}
10.{d2}.{d1}.{d1}
127.0.0.1:{d4}
OID 1.3.6.1.4.1.{d4}
Chrome/{d2}.0.{d4}.{d3}
RFC {d4}, RFC {d4}
port {d5}, pid {d7}
{d9}
{d10}
{d4} {d4}
{d3}-{d4}
{d3}.{d3}.{d3}
{d2}.{d5}
10^{d2} = {d10}
{d8} + {d8}
{d3} x {d4} x {d3}
$ {d9}
call {d7} times
The text has {d8} characters
phone storage: {d11} bytes
ring buffer of {d8} entries
mobile build {d4}.{d3}
The cell count was {d7}
"""
_SIGNS = {"d": "0123456789", "h": "0123456789abcdef", "b": string.ascii_letters + string.digits + "+/"}


def technical_line(line: str, chance: random.Random) -> str:
    """Return a line with its places filled in; no number begins with 0."""

    def fill(match: re.Match[str]) -> str:
        kind, size = match.group(1), int(match.group(2) or 0)
        if not size:
            return ".".join(str(chance.randrange(1, 15 if kind == "s" else 30)) for _ in range(4))
        return "".join([chance.choice(_SIGNS[kind].replace("0", "")), *chance.choices(_SIGNS[kind], k=size - 1)])

    return re.sub(r"\{([a-z])(\d*)\}", fill, line)


SETS = {
    "tech_peps": ("tech_peps/peps.jsonl.zst", "en"),
    "tech_mdn_de": ("tech_mdn_de_mt/mdn_de.jsonl.zst", "de"),
    "zh_techdocs": ("zh_techdocs/docs.jsonl.zst", "zh"),
    "edu_openstax": ("edu_openstax/sections.jsonl.zst", "en"),
}
# Taken from the sets below, and no address at all: names of extensions, of mails, and of hosts in a chat. Invented
# addresses and numbers (you@mysite.com, "Tel: 12345678") count as right: they have the form and the name of one.
MISTAKES = {
    "email": {"my-extension@mozilla.org", "favourite-colour-examples@mozilla.org",
              "75030FAC-6918-4E94-95DA-67A88D53E6F5@mac.com", "5BB87CC4-F31B-4213-AAAC-0C0CE738460C@mac.com",
              "00AA7433-C853-4101-9718-060468EBAC54@mac.com", "sex@Rizon-2EDFBC28.pool8250.interbusiness.it",
              "SEX@RIZON-2EDFBC28.POOL8250.INTERBUSINESS.IT"},
}  # fmt: skip


def technical_texts(data: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (set, language, text) of real technical text."""
    for name, (path, language) in SETS.items():
        with zstandard.open(data / path, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield name, language, json.loads(line)["text"]
    with open(data / "html_debian_handbook/handbook.tar.zst", "rb") as packed:
        unpacked = zstandard.ZstdDecompressor().stream_reader(packed)
        with tarfile.open(fileobj=unpacked, mode="r|") as archive:
            for member in archive:
                if member.name.endswith(".html"):
                    page = archive.extractfile(member)
                    assert page is not None
                    language = re.search(r"/([a-z]{2})(?:-[A-Z]{2})?/", member.name)
                    text = extract_plain_text(page.read().decode("utf-8", "replace"))
                    yield "debian_handbook", language.group(1) if language else "en", text


def taken(text: str, language: str | None) -> list[tuple[str, str]]:
    """Return (kind, what was taken) of a text."""
    hint = int(kinds_of_personal_data(pa.array([text]))[0])
    data = text.encode()
    return [(kind, data[a:b].decode()) for a, b, kind in personal_data(data, frozenset(KINDS), language, hint)]


def print_precision(data: Path, show: str | None) -> None:
    found: Counter[tuple[str, str]] = Counter()
    wrong: Counter[tuple[str, str]] = Counter()
    size: Counter[str] = Counter()
    for name, language, text in technical_texts(data):
        size[name] += len(text.encode())
        for kind, match in taken(text, language):
            found[name, kind] += 1
            wrong[name, kind] += match in MISTAKES.get(kind, ())
            if kind == show:
                print(f"{name}  {match}")
    print("\ntaken from technical text (of it wrong)")
    for name in size:
        cells = [f"{kind} {found[name, kind]} ({wrong[name, kind]})" for kind in KINDS if found[name, kind]]
        print(f"{name:16} {size[name] / 1e6:5.1f} MB  " + ", ".join(cells))
    for kind in KINDS:
        total = sum(count for (_, k), count in found.items() if k == kind)
        bad = sum(count for (_, k), count in wrong.items() if k == kind)
        print(f"{kind:12} " + (f"precision {1 - bad / total:.3f} of {total}" if total else "nothing taken"))


def made_up(count: int, seed: int = 0) -> dict[str, Counter[str]]:
    """Return {line: what was taken of `count` of its kind, by kind} for the lines of which anything was."""
    chance = random.Random(seed)
    found: dict[str, Counter[str]] = {}
    for line in LINES.strip().splitlines():
        for index in range(count):
            text = f"Before it.\n{technical_line(line, chance)}\nAnd after."
            for kind, _ in taken(text, ("en", "de", "zh", "es", None)[index % 5]):
                found.setdefault(line, Counter())[kind] += 1
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--show", choices=list(KINDS), help="print what was taken of a kind from technical text")
    parser.add_argument("--count", type=int, default=20, help="numbers for each form, and lines of each kind")
    chosen = parser.parse_args()
    default = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
    print_precision(Path(os.environ.get("AUTOCLAVE_DATA", default)), chosen.show)
    lines = LINES.strip().splitlines()
    mistakes = made_up(chosen.count)
    lost = sum(sum(kinds.values()) for kinds in mistakes.values())
    print(f"\nof {len(lines) * chosen.count} made-up technical lines {lost} were changed")
    for line, kinds in mistakes.items():
        print(f"    {line}: {dict(kinds)} of {chosen.count}")
    print_recall(recall(chosen.count))


if __name__ == "__main__":
    main()
