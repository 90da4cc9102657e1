"""Misread encodings: right text stays, damaged text comes back, beside ftfy on the same texts."""

from __future__ import annotations

import io
import json
import random
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard

from autoclave.cleaning.transforms.mojibake import repair
from autoclave.cleaning.transforms.mojibake_scan import find_misread
from autoclave.cleaning.transforms.registry import TRANSFORMS


def normalise(text: str) -> str:
    return TRANSFORMS["normalise_unicode"].apply(pa.array([text], pa.string()))[0][0].as_py()


# Right as they are: by chance, what stands after the letter makes valid UTF-8 of it.
RIGHT = [
    "Le mot « liberté » figure sur les mairies. L’ACTUALITÉ : dix faits. «CAFÉ» et NESCAFÉ® sont des marques.",
    "Er sagte: „Das macht Spaß“, „Gruß und Kuss“, „MENÜ“.",
    "le «\xa0mode dégradé\xa0», un accent aigu («\xa0é\xa0»), le chapitre «\xa0Sécurité\xa0»",
    "5\xa0×\xa0100 = 500 and 3\xa0×\xa0Q, 2\xa0× Q",
    "České úřady („ČTÚ“) a „Žižkův“ pomník; ŠKODA™ „MŮŽE“",
    "Hochseß«, sagte sie, »hüten",
    "“AMANHÔ e «NÃO», «MANHû, IRMÃ®, IRMÙ, SÃO PAULO®",
    "AMANHÃ…",
    "A density of 25 Å², 3 Å³; the letters Å, Ä and Ã…",
    "«está»… «allá»” y «café»…",
    "ÁŠŽ ja ČÁŠ™, BÏVVE» ÁLO»",
    "ŁÓDŹ® i „ŻÓŁĆ“, «ĄĘ»",
    "İSTANBUL™ «ŞİŞLİ» ÇANKIRI® ÖĞÜT»",
    "ĐỒNG NAI® «ĐỀ» “HÀ NỘI”",
    "ƑE TAKPEKPEGÃ LE GBEƑÃ ƉE",
    "FÔRÇA» e «COMEÇÂ® TÊ™ PÊ»",
    "№ В\xa0Москве «СЛОВО» ВІ” РІ»",
    "ΟΧΙ» «ΝΑΙ»\xa0! ΕΊΝ® Ά»",
    "Malmö» »Åå» Øresund®; A–Ö, Ä–Ö",
    "ES\xadPAÑA\xad» «AÑO» MÁLAGA™ ¿QUÉ? ¡OLÉ!»",
    "cafÃ© is what becomes of café, and naÃ¯ve of naïve",
    "NESCAFÉ®",
    "CAFÉ\xa0»",
    "Spaß“",
    "×\xa0",
    "汤姆用gbk编码a和b，「联通」",
]


@pytest.mark.parametrize("text", RIGHT)
def test_right_text_stays(text: str) -> None:
    assert normalise(text) == unicodedata.normalize("NFC", text)
    assert normalise("\n".join([text] * 20)) == unicodedata.normalize("NFC", "\n".join([text] * 20))


def test_each_right_text_stays_among_ascii() -> None:
    for text in RIGHT:
        long = "An English sentence of the usual kind. " * 30 + text
        assert normalise(long) == unicodedata.normalize("NFC", long)


def misread(text: str, encoding: str) -> str:
    """The text's UTF-8 read in an encoding, in whose gaps Latin-1 stands."""
    return "".join(bytes([byte]).decode(encoding, "ignore") or chr(byte) for byte in text.encode())


DAMAGED = [
    "Tá an poll leathan, ach ní thuigim do cheist faoi chúrsaí.",
    "Voilà, c’est « l’été » à l’œuvre – déjà vu…",
    "Über die Straße; ÄPFEL, ÖL und ÜBUNG kosten 5 €.",
    "İstanbul'da güneşli bir gün, ağaçlar yeşil.",
    "Zażółć gęślą jaźń, a potem idź do domu.",
    "Příliš žluťoučký kůň úpěl ďábelské ódy.",
    "Đây là một câu tiếng Việt, có nhiều dấu.",
    "Čáppa sámi giella ja buorre beaivi.",
    "Привет, как дела? Всё хорошо.",
    "Καλημέρα, τι κάνεις;",
    "你好，世界。今天天气很好！",
    "これは日本語の文章です。",
    "이것은 한국어 문장입니다.",
    "यह हिन्दी का वाक्य है।",
    "هذه جملة عربية.",
    "Ilaq ad truḥeḍ; Mən ət yeyirəm.",
    "I’m here, and she’s “there” \U0001f600",
]


@pytest.mark.parametrize("encoding", ["cp1252", "latin_1", "cp1250", "cp1251", "cp1254", "koi8_r", "cp437"])
@pytest.mark.parametrize("text", DAMAGED)
def test_what_was_misread_comes_back(text: str, encoding: str) -> None:
    assert normalise(misread(text, encoding)) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize("layers", [2, 3])
@pytest.mark.parametrize("text", DAMAGED)
def test_all_layers_go(text: str, layers: int) -> None:
    damaged = text
    for _ in range(layers):
        damaged = misread(damaged, "cp1252")
    assert normalise(damaged) == unicodedata.normalize("NFC", text)


def test_western_text_read_as_chinese() -> None:
    text = "L'été dernier, le garçon était à l'école, là-bas."
    assert normalise(text.encode().decode("gb18030")) == text


def test_controls_become_what_windows_has_there() -> None:
    assert normalise("qu\x92il dit \x93oui\x94\x85 1944\x961963, 5 \x80") == "qu’il dit “oui”… 1944–1963, 5 €"
    assert normalise("cze\x9cć i żółw") == "cześć i żółw"  # the other letters are of Windows-1250
    assert normalise("он сказал \x93да\x94 \x8a") == "он сказал “да” \x8a"  # letters differ between the encodings
    assert normalise("line\x85line") == "line\x85line"


def test_damage_among_much_right_text_is_left() -> None:
    """A few misread signs in a text full of right ones prove no misreading of the text."""
    text = "Déjà l’été. " * 30 + "PrÃ©nom" + " Là-bas, près d’ici. " * 30
    assert normalise(text) == text


def test_right_signs_in_a_damaged_text_stay() -> None:
    damaged = misread("L’été, les garçons étaient à l’école. " * 10, "cp1252") + "NESCAFÉ® «\xa0é\xa0» × 25 Å³"
    assert normalise(damaged).endswith("l’école. NESCAFÉ® «\xa0é\xa0» × 25 Å³")
    assert "l’école" in normalise(damaged)


def test_protected_spans_are_evidence_and_stay() -> None:
    code = "```\nprint('\u00c3\u00a9')\n```"
    damaged = misread("C'était l'été à l'école.", "cp1252")
    assert (
        normalise(f"{damaged}\n\n{code}\n\n{damaged}")
        == f"C'était l'été à l'école.\n\n{code}\n\nC'était l'été à l'école."
    )
    assert normalise(f"English, with an example:\n\n{code}\n") == f"English, with an example:\n\n{code}\n"


# -- real text ------------------------------------------------------------------------------------------------------


def texts(data: Path, name: str) -> Iterator[str]:
    with open(data / name, "rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
        for line in io.TextIOWrapper(stream, "utf-8"):
            yield json.loads(line)["text"]


GOOD = [
    "lid_udhr/udhr.jsonl.zst",
    "lid_bible/verses.jsonl.zst",
    "lid_tatoeba/tatoeba.jsonl.zst",
    "edu_openstax/sections.jsonl.zst",
    "web_en_ewt/docs.jsonl.zst",
    "books_eltec/novels.jsonl.zst",
    "tech_peps/peps.jsonl.zst",
    "tech_mdn_de_mt/mdn_de.jsonl.zst",
    "zh_techdocs/docs.jsonl.zst",
    "zh_classical/books.jsonl.zst",
    "zh_laws/laws.jsonl.zst",
    "web_hplt/labelled.jsonl.zst",
]


@pytest.mark.parametrize("name", GOOD)
def test_no_good_text_is_repaired(name: str, shared_data: Path) -> None:
    found = list(texts(shared_data, name))
    marks = find_misread(pa.array(found, pa.string()))
    changed = [text for text, mark in zip(found, marks, strict=True) if mark and repair([text])[0] != text]
    assert not changed, changed[0][:200]


def test_words_before_closing_signs_stay(shared_data: Path) -> None:
    """Words of several hundred languages before the signs that may follow a word: 30,000 chances to be UTF-8."""
    rng = random.Random(5)
    words = sorted({word for text in texts(shared_data, GOOD[0]) for word in text.split() if word.isalpha()})
    words = [word for word in words if not word[-1].isascii() or not word[0].isascii()]
    closing = [
        "»",
        "\xa0»",
        "”",
        "“",
        "’",
        "®",
        "™",
        "…",
        "–",
        "²",
        "³",
        "º",
        "°",
        "©",
        "\xa0!",
        "…»",
        "›",
        "\xa0–\xa0",
    ]
    opening = ["", "«", "„", "“", "«\xa0", "»", "‘", "("]
    cases = []
    for _ in range(30_000):
        word = rng.choice(words)
        word = rng.choice([word, word.upper(), word.capitalize()])
        piece = rng.choice(opening) + word + rng.choice(closing)
        cases.append(rng.choice(["{}", "The {} end.", "{} {} {}"]).replace("{}", piece))
    marks = find_misread(pa.array(cases, pa.string()))
    assert marks.any()
    changed = [case for case, mark in zip(cases, marks, strict=True) if mark and repair([case])[0] != case]
    assert not changed, changed[:5]


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("encoding", ["cp1252", "latin_1", "cp1250", "cp1251", "cp1254", "cp1253", "cp1257"])
def test_more_is_restored_than_by_ftfy(encoding: str, layers: int, shared_data: Path) -> None:
    ftfy = pytest.importorskip("ftfy")
    pool = [text for name in (GOOD[0], GOOD[2]) for text in texts(shared_data, name) if not text.isascii()]
    ours = theirs = count = 0
    for text in random.Random(9).sample(pool, 150):
        damaged, right = text, unicodedata.normalize("NFC", text)
        for _ in range(layers):
            damaged = misread(damaged, encoding)
        ours += normalise(damaged) == right
        theirs += unicodedata.normalize("NFC", ftfy.fix_encoding(damaged)) == right
        count += 1
    print(f"{encoding} {layers}: restored {ours} of {count}, ftfy {theirs}")
    assert ours >= theirs
    assert ours >= 0.8 * count
