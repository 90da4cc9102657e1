"""Personal data: what goes, what only looks like it and stays, what a recipe may set, and how much work it is."""

from __future__ import annotations

import importlib.util
import json
import random
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import phonenumbers
import pyarrow as pa
import pytest

from autoclave.cleaning.transforms.personal_data.identity_numbers import cards
from autoclave.cleaning.transforms.personal_data.redaction import KINDS, PersonalDataOptions, redact_pii
from autoclave.cleaning.transforms.personal_data.scan import kinds_of_personal_data
from autoclave.cleaning.transforms.registry import TRANSFORMS
from autoclave.errors import RecipeError


def redacted(text: str, language: str | None = None) -> str:
    edited, _ = TRANSFORMS["redact_pii"].apply(pa.array([text]), pa.array([language], pa.string()))
    return edited[0].as_py()


GOES = [
    # e-mail
    ("joe.b+x@mail.corp.io, a@example.com @user x@y", "[EMAIL], a@example.com @user x@y"),
    ("<me@sub.site.co.uk>, ME@SITE.COM.", "<[EMAIL]>, [EMAIL]."),
    ("mailto:joe@site.com?subject=x", "mailto:[EMAIL]?subject=x"),
    ("请联系abc@site.cn。", "请联系[EMAIL]。"),
    ("josé@site.es, иван@почта.рф, joe@bücher.de", "[EMAIL], [EMAIL], [EMAIL]"),
    ("write to joe@163.com.Then wait", "write to [EMAIL].Then wait"),
    ("from mb/joe@site.org on Tuesday", "from mb/[EMAIL] on Tuesday"),
    ("http://a.site.org/x?u=1&email=joe@site.org", "http://a.site.org/x?u=1&email=[EMAIL]"),
    ("login user@81.2.69.142 or joe@[81.2.69.142]", "login [EMAIL] or [EMAIL]"),
    ("user@1.2.3.4", "[EMAIL]"),
    ("joe@1.2.3.4.dyn.site.org", "[EMAIL]"),
    # IP
    ("8.8.8.8 192.168.0.1 127.0.0.1 1.2.3.4.5 999.1.1.1 v10.15.7",
     "[IP] 192.168.0.1 127.0.0.1 1.2.3.4.5 999.1.1.1 v10.15.7"),
    ("2001:4860:4860::8888 and fe80::1 and 12:30:45 and a::b", "[IP] and fe80::1 and 12:30:45 and a::b"),
    ("81.2.69.142 - - [10/Oct/2000:13:55:36] \"GET / HTTP/1.0\"", "[IP] - - [10/Oct/2000:13:55:36] \"GET / HTTP/1.0\""),
    ("from 81.2.69.142, client: 203.0.113.5, host 9.9.9.9", "from [IP], client: 203.0.113.5, host [IP]"),
    ("http://4.3.2.1/x and 5.6.7.8:443, 4.4.0.0/16", "http://[IP]/x and [IP]:443, [IP]/16"),
    ("[2a00:1450:4001:81b::200e]:443", "[[IP]]:443"),
    # telephone
    ("+440000000000 (E.164, no separators)", "[PHONE] (E.164, no separators)"),
    ("(283) 282 0000", "[PHONE]"), ("(283)-282-0000", "[PHONE]"), ("283 282 0000", "[PHONE]"),
    ("+49 30 000000", "[PHONE]"), ("020 7000 0000", "[PHONE]"), ("0044 20 7000 0000", "[PHONE]"),
    ("手机13812345678，电话010-62345678", "手机[PHONE]，电话[PHONE]"),
    ("(415) 555-2671, 415-555-2671, +44 20 7946 0958", "[PHONE], [PHONE], [PHONE]"),
    ("Tel.: 5551234 or 555 1235; fax 030/12 34 56 x12", "Tel.: [PHONE] or [PHONE]; fax [PHONE]"),
    ("Телефон: 2-12-85-06, phone 1-800-555-0199 ext. 7", "Телефон: [PHONE], phone [PHONE]"),
    ("Telefon\n030 1234567\n", "Telefon\n[PHONE]\n"),
    ("+33 (0)1 23 45 67 89; tel:+12125553151; 8 (912) 345-67-89", "[PHONE]; tel:[PHONE]; [PHONE]"),
    ("Suite 200 415-555-2671, +49 30 1234567 10115 Berlin", "Suite 200 [PHONE], [PHONE] 10115 Berlin"),
    ("room 12 (415) 555-2671 and 4 030/1234567", "room 12 [PHONE] and 4 [PHONE]"),
    ("2020-01-15 415-555-2671 2021-01-15", "2020-01-15 [PHONE] 2021-01-15"),
    # cards, accounts, identity numbers
    ("4111 1111 1111 1111 or 4111 1111 1111 1112", "[ID] or 4111 1111 1111 1112"),
    ("3782 822463 10005; 5555-5555-5555-4444; 3056 930902 5904", "[ID]; [ID]; [ID]"),
    ("my visa 4012888888881881 expires 12/27", "my visa [ID] expires 12/27"),
    ("DE89 3704 0044 0532 0130 00 or DE88 3704 0044 0532 0130 00", "[ID] or DE88 3704 0044 0532 0130 00"),
    ("GB82WEST12345698765432", "[ID]"),
    ("11010519491231002X 110105194912310021", "[ID] 110105194912310021"),
    ("SSN 123-45-6789 not 000-45-6789", "SSN [ID] not 000-45-6789"),
    # keys
    ("key AKIAIOSFODNN7EXAMPLE `ghp_" + "a1B2" * 9 + "` task-oriented", "key [SECRET] `[SECRET]` task-oriented"),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----.", "[SECRET]."),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), GOES)
def test_personal_data_goes(text: str, expected: str) -> None:
    assert redacted(text) == expected


STAYS = """
Install version 1.2.3.4 of the driver and firmware 8.4.2.1; see section 3.2.1.4 of the manual.
A tape of 16 GiB holds 17179869184 bytes, and the budget was 15000000000 yen in that year.
The four stations read +12 13 14 15 degrees; in the diff the colour was +255 255 255 0.
attn = q@k.transpose(-2,-1); loss = x@W.mean()
Clone it with git clone git@github.com:org/repo.git and install foo@1.0.beta.
SHA-512 cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f
2023-01-15 10:11:12, 1,234,567,890, 3.14159265358979, 20230115123456
q@k.T + a@b.data and A@B.dot(c) with @decorator and @app.route("/")
git+ssh://git@github.com/owner/repo, ssh joe@server.org, scp x joe@server.org:/srv and https://user:pass@site.org/x
aes128-gcm@openssh.com, https://lists.site.org/archives/list/dev@site.org/thread/X, joe@myhost.invalid
foo-12.40.50.60.tar.gz, foo==81.200.69.142, >=81.200.69.142 and 1.3.6.1.4.1.311, kernel 81.200.69.142
5.2.1.4 Configuring the IP address
10.1.2.3, 172.16.0.1, 169.254.1.1, 198.51.100.7, 224.0.0.1, 255.255.255.0 and 2001:db8::1
ISBN 0306406157, ISBN 978-0-306-40615-7, ISSN 1234-5678, doi:10.1000/182123456, PMID: 12345678
12 345 678 people, 1 234 567 890 EUR, 415 555 267 bytes, $4155552671, 415.555.267 zł, call 1234567 times
id 4155552671, size=2125553151, 0x2125553151, f(2125553151), [2125553151, 2125553152], 555-1234
pages 1990-1995 and 2345-2367, J. Chem. 12 (34) 2345-2367, 1024 x 2048, 01.02.2020, 08.30-12.00, 15/01/2020
4012888888881881 and 5105105105105100 are sums; 4000 1234 5678 9011; 123-45-6789 is a part
444-44-4444 is an example of a social security number
018f3a2b-1234-7890-8abc-123456789012 and 12345678-1234-1234-1234-123456789012
(f64.const 4155552671.5) (i64.const 1234567890123456789) lat 040.712776, lon -074.005974
"""


@pytest.mark.parametrize("line", STAYS.strip().splitlines())
@pytest.mark.parametrize("language", [None, "en", "de", "es", "zh"])
def test_what_only_looks_like_it_stays(line: str, language: str | None) -> None:
    assert redacted(f"Words before.\n{line}\nWords behind.", language) == f"Words before.\n{line}\nWords behind."


def test_shared_cases(shared_data: Path) -> None:
    folder = shared_data.parent / "cases" / "privacy"
    for line in (folder / "57_pii_false.jsonl").read_text(encoding="utf-8").splitlines():
        text = json.loads(line)["text"]
        assert redacted(text) == text
    for case in json.loads((folder / "phones.json").read_text(encoding="utf-8")):
        assert case["want"] in redacted(case["text"]), case


@pytest.fixture(scope="module")
def benchmark(repository: Path) -> ModuleType:
    """The module of the benchmark, which has the written forms of countries and the lines of technical text."""
    spec = importlib.util.spec_from_file_location("personal_data", repository / "benchmarks/personal_data.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_numbers_in_written_forms_are_found(benchmark: ModuleType) -> None:
    """Of numbers drawn at random, in the forms that 26 countries write, 95 in 100 are found: alone, in a sentence
    without a word that says what they are, and with one; in each country, but for numbers alone without a language."""
    table = benchmark.recall(2, seed=1)
    for circumstance in ("alone", "sentence", "word"):
        shares = {}
        for country in benchmark.FORMS:
            cells = [v for (c, k, n), v in table.items() if (c, n) == (country, circumstance) and k != "digits alone"]
            shares[country] = [sum(cell[place] for cell in cells) for place in (0, 1)]
        found, made = (sum(share[place] for share in shares.values()) for place in (0, 1))
        print(circumstance, found, made, {country: share for country, share in shares.items() if share[0] < share[1]})
        assert found >= 0.97 * made
        assert sum(share[0] >= 0.95 * share[1] for share in shares.values()) >= (23 if circumstance == "alone" else 26)
    alone = [v for (_, k, n), v in table.items() if k == "digits alone" and n == "word"]
    assert sum(cell[0] for cell in alone) >= 0.95 * sum(cell[1] for cell in alone)


def test_numbers_as_libphonenumber_writes_them_are_found() -> None:
    """Its examples of every country, in E.164 and with blanks; not found are those of a few islands whose numbers have
    four or five digits."""
    found = made = 0
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in (phonenumbers.PhoneNumberType.FIXED_LINE, phonenumbers.PhoneNumberType.MOBILE):
            number = phonenumbers.example_number_for_type(region, kind)
            if number is None:
                continue
            for form in (phonenumbers.PhoneNumberFormat.E164, phonenumbers.PhoneNumberFormat.INTERNATIONAL):
                written = phonenumbers.format_number(number, form)
                made += 1
                found += redacted(f"It was {written}, they said.") == "It was [PHONE], they said."
    print(f"{found} of {made}")
    assert made > 900
    assert found >= 0.96 * made


def test_made_up_technical_lines_stay(benchmark: ModuleType) -> None:
    lost = benchmark.made_up(10, seed=2)
    lines = benchmark.LINES.strip().splitlines()
    assert len(lines) > 100
    assert sum(sum(kinds.values()) for kinds in lost.values()) <= 0.002 * 10 * len(lines), lost


def test_technical_text_keeps_its_numbers(benchmark: ModuleType, shared_data: Path) -> None:
    """A part of the benchmark: of what is taken from real technical text, 95 in 100 are what they are called."""
    kinds: dict[str, list[str]] = {kind: [] for kind in KINDS}
    size = 0
    for index, (_, language, text) in enumerate(benchmark.technical_texts(shared_data)):
        if index % 4 == 0:
            size += len(text.encode())
            for kind, match in benchmark.taken(text, language):
                kinds[kind].append(match)
    wrong = {kind: sum(match in benchmark.MISTAKES.get(kind, ()) for match in found) for kind, found in kinds.items()}
    print(f"{size / 1e6:.1f} MB: " + ", ".join(f"{kind} {len(kinds[kind])} ({wrong[kind]} wrong)" for kind in kinds))
    assert size > 8e6
    assert wrong["email"] <= 0.05 * len(kinds["email"])
    assert (kinds["card"], kinds["iban"], kinds["national_id"]) == ([], [], [])
    assert len(kinds["phone"]) <= 8  # examples of <input type="tel">
    assert all(match.count(".") == 3 or match.count(":") >= 2 for match in kinds["ip"])


def test_cards_need_their_check_digit() -> None:
    """Of 1,000 rows of four times four digits that begin as cards do, those go that Luhn's sum allows, no others."""
    chance = random.Random(0)
    for _ in range(1000):
        groups = [f"4{chance.randrange(1000):03}", *(f"{chance.randrange(10_000):04}" for _ in range(3))]
        digits = [int(sign) for sign in "".join(groups)]
        total = sum(digits[1::2]) + sum(int(sign) for digit in digits[::2] for sign in str(2 * digit))
        text = " ".join(groups).encode()
        assert bool(list(cards(text, 0, len(text)))) == (total % 10 == 0)


# -- options --------------------------------------------------------------------------------------------------------

EVERY = (
    "joe@site.org 81.2.69.142 +49 30 1234567, 4111 1111 1111 1111 GB82WEST12345698765432 11010519491231002X ghp_"
    + "a1B2" * 9
)


def with_options(**options: Any) -> str:
    transform = TRANSFORMS["redact_pii"].with_options(options, "clean.transforms.redact_pii")
    return transform.apply(pa.array([EVERY]))[0][0].as_py()


def test_kinds_and_replacements_are_chosen() -> None:
    token = EVERY.split()[-1]
    rest = f"+49 30 1234567, 4111 1111 1111 1111 GB82WEST12345698765432 11010519491231002X {token}"
    assert with_options() == "[EMAIL] [IP] [PHONE], [ID] [ID] [ID] [SECRET]"
    assert with_options(kinds="all") == with_options(kinds=list(KINDS)) == with_options()
    assert with_options(kinds="fineweb") == with_options(kinds=["ip", "email"]) == f"[EMAIL] [IP] {rest}"
    assert with_options(kinds=[]) == EVERY
    assert with_options(replacement="***") == "*** *** ***, *** *** *** ***"
    assert with_options(kinds="fineweb", replacement={"email": "email@example.com"}) == f"email@example.com [IP] {rest}"
    assert with_options(replacement={"card": "[CARD]"}) == "[EMAIL] [IP] [PHONE], [CARD] [ID] [ID] [SECRET]"
    for kind in KINDS:
        assert with_options(kinds=[kind]).count("[") == 1, kind


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kinds": ["emails"]}, "redact_pii: Invalid enum value 'emails'"),
        ({"kinds": "some"}, "redact_pii: "),
        ({"kind": ["email"]}, "unknown key 'kind'; options are kinds, replacement"),
        ({"replacement": 3}, "redact_pii: Expected "),
        (["email"], "give options as a mapping"),
    ],
)
def test_wrong_options_are_one_clear_line(options: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        TRANSFORMS["redact_pii"].with_options(options, "clean.transforms.redact_pii")
    assert str(caught.value).startswith("clean.transforms.redact_pii: ")
    with pytest.raises(RecipeError, match=r"strip_urls: give options as a mapping, not .*; it has none"):
        TRANSFORMS["strip_urls"].with_options(options, "clean.transforms.strip_urls")


def test_a_replacement_that_looks_like_what_it_replaces_is_no_change() -> None:
    options = PersonalDataOptions(replacement={"ip": "81.2.69.142"})
    once, changes = redact_pii(b"from 81.2.69.160 to 81.2.69.142", options=options)
    assert (once, changes) == (b"from 81.2.69.142 to 81.2.69.142", 1)
    assert redact_pii(once, options=options) == (once, 0)


# -- work -----------------------------------------------------------------------------------------------------------

HOSTILE = [
    "1", "@", "(", "+", ":", "1 ", "1-", "1/", "+1", "+(", "(1) ", "00 ", "tel 1", "a@", "a.b@", "é@", "a" * 63 + "@",
    "1.1.1.1 ", "1.1.1.1/a ", "ip 1.2.3.4 ", "2001:1:", "::", "123-45-6789 ", "4111 1111 1111 1111 ", "AA11 1111 ",
    "12345678901\n", "\n1\n", "-----BEGIN PRIVATE KEY-----", "eyJ-", "eyJ.eyJ", "sk-", "1\u2013", "\u00a01",
]  # fmt: skip


def calls(text: bytes) -> int:
    """How many functions, ours and built-in ones, a text takes."""
    count = 0

    def see(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(see)
    try:
        redact_pii(text)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("piece", HOSTILE)
def test_work_grows_with_the_length_of_a_text(piece: str) -> None:
    redact_pii(b"+49 30 1234567 joe@site.org")
    short, long = ((piece * (size // len(piece))).encode() for size in (20_000, 80_000))
    assert calls(long) <= 4.2 * calls(short) + 100


def test_hints_cost_no_row_what_it_has_not() -> None:
    """Ordinary prose, dates and sums are not looked at a second time."""
    rows = ["It was on 2020-01-15 that 12,345 people came, 3.5 % more.", "a@b", "page 12-34", "", "1990-95"]
    assert kinds_of_personal_data(pa.array(rows)).tolist() == [0, 1, 0, 0, 0]
