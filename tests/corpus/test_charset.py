"""Bytes to characters: labels, declarations, evidence, damage."""

from __future__ import annotations

import json
import tarfile
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from autoclave.corpus.charset import decode, own_declarations, replaced_share
from autoclave.corpus.encoding.evidence import SAMPLE_BYTES, bits, sample
from autoclave.corpus.encoding.labels import SEVEN_BIT, codec, read
from benchmarks.charset_pages import SENTENCES, Page, all_pages, encodable, html

CHINESE, JAPANESE, RUSSIAN, FRENCH = (SENTENCES[language] for language in ("zh", "ja", "ru", "fr"))
PAGES = list(all_pages(SENTENCES))


@pytest.mark.parametrize("kind", sorted({page.kind for page in PAGES}))
def test_pages_whose_text_is_known(kind: str) -> None:
    """Every page of the benchmark but UTF-16 of Japanese alone: no mark, no header, not one character of ASCII."""
    wrong = [page.name for page in PAGES if page.kind == kind and not _is_right(page)]
    known = ["ja utf-16-le plain", "ja utf-16-be plain"] if kind == "unicode: nothing" else []
    assert wrong == known


def _is_right(page: Page) -> bool:
    decoded = decode(page.data, page.header)
    text = unicodedata.normalize("NFC", decoded.text)
    assert decoded.replaced <= 12 or not page.kind.startswith("damage")
    return all(wanted in text for wanted in page.wanted)


# -- labels -----------------------------------------------------------------------------------------------------------


def standard_labels() -> Iterator[tuple[str, str]]:
    """(encoding, label) of the WHATWG Encoding Standard's encodings.json."""
    stored = json.loads((Path(__file__).parent / "encoding_labels.json").read_text(encoding="utf-8"))
    yield from ((name, label) for name, labels in stored.items() for label in labels)


def test_every_label_of_the_standard_is_known() -> None:
    labels = list(standard_labels())
    assert len(labels) > 210
    for name, label in labels:
        expected = codec("hz-gb-2312" if name == "replacement" and "hz" in label else name)
        if name == "x-user-defined":
            assert codec(label) is None
        elif name == "replacement":
            assert codec(label) in {*SEVEN_BIT, None}
        else:
            assert codec(label) == expected is not None, label
            assert codec(f" {label.upper()}\n") == expected


def test_single_byte_decoders_are_those_of_the_standard() -> None:
    """Where the standard has a letter or sign, ours is the same; where it has a control or nothing, ours has a sign of
    Windows or nothing."""
    tables = json.loads((Path(__file__).parent / "encoding_indexes.json").read_text(encoding="utf-8"))
    assert len(tables) >= 26
    lacking = {("windows-1255", 0xCA)}  # a vowel point that Python's table lacks
    for name, table in tables.items():
        for byte, point in enumerate(table, 0x80):
            ours = read(bytes([byte]) if name != "windows-1258" else b"q" + bytes([byte]), codec(name) or "")[-1:]
            if point is not None and not 0x80 <= point < 0xA0 and (name, byte) not in lacking:
                assert ours == chr(point), (name, hex(byte))


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("gb2312", "gb18030"),
        ("ISO-8859-1", "cp1252"),
        ("windows1251", "cp1251"),
        ("utf8mb4", "utf-8"),
        ("x-mac-romanian", "mac_romanian"),
        ("ibm437", "cp437"),
        ("iso-2022-jp-2", "iso2022_jp_ext"),
        *(
            (label, None)
            for label in ("rot13", "hex", "unicode_escape", "utf-7", "cp037", "\u00e9", "", "x" * 99, "a\x00")
        ),
    ],
)
def test_other_labels(label: str, name: str | None) -> None:
    assert codec(label) == name


def test_own_declarations() -> None:
    page = b"""<?xml version="1.0" encoding='koi8-r'?><!-- <meta charset="big5"> --><html><head>
    <META HTTP-EQUIV=Content-Type CONTENT="text/html; charset = windows-1251"><meta charset=utf-8></head>"""
    assert own_declarations(page) == ["koi8-r", "windows-1251", "utf-8"]


# -- declarations -----------------------------------------------------------------------------------------------------


def test_the_page_knows_better_than_a_default_of_the_server() -> None:
    """Servers that declare ISO-8859-1 for everything: any bytes are valid in it."""
    data = b'<meta http-equiv="Content-Type" content="text/html; charset=gb2312">' + "\u597d".encode("gbk")
    assert "\u597d" in decode(data, "ISO-8859-1").text


def test_utf8_wins_over_a_wrong_declaration() -> None:
    data = f'<meta charset="gbk"><p>{FRENCH}'.encode()
    assert decode(data, "iso-8859-1").charset == "utf-8"
    assert FRENCH in decode(data, "iso-8859-1").text


def test_ukrainian_that_is_declared_as_koi8_r() -> None:
    """Four letters of KOI8-U are lines of boxes in KOI8-R."""
    text = encodable(SENTENCES["uk"], "koi8_u")
    assert text in decode(html(text).encode("koi8_u"), "koi8-r").text


def test_a_declared_encoding_stays_where_the_language_is_unknown() -> None:
    """Words of no language that was counted prove nothing against the page's own word."""
    text = (
        "Kî tôvâ lêmî hô nâdê ûrî, sêlô pâ vôtî kôrêmâ; tûlî êmô zâ rîvêlô kâ mûtê hô pêrâ vî sûnê tâ lôkî, âmô rêdî."
    )
    for label in ("windows-1252", "iso-8859-1", "iso-8859-15"):
        assert text in decode(html(text, label).encode("cp1252")).text


@pytest.mark.parametrize("mark", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32", "gb18030"])
def test_byte_order_marks(mark: str) -> None:
    data = FRENCH.encode(mark) if mark not in ("utf-16-be", "gb18030") else ("\ufeff" + FRENCH).encode(mark)
    assert decode(data, "big5").text == FRENCH


def test_a_wrong_mark_of_utf16_is_no_proof() -> None:
    assert decode(b"\xff\xfe<html><body><p>plain words</p></body></html>").text.endswith(
        "<p>plain words</p></body></html>"
    )


# -- damage -----------------------------------------------------------------------------------------------------------


def test_malformed_places_are_counted() -> None:
    data = CHINESE.encode() + b"\xff\xfe\xff" + CHINESE.encode()
    decoded = decode(data, "utf-8")
    assert decoded.replaced == 3
    assert decoded.text == f"{CHINESE}\ufffd\ufffd\ufffd{CHINESE}"
    assert decode(f"{CHINESE}\ufffd".encode()).replaced == 0  # the page's own


@pytest.mark.parametrize("encoding", ["utf-8", "gbk", "utf-16", "shift_jis"])
def test_a_character_cut_off_at_the_end_goes(encoding: str) -> None:
    text = JAPANESE[:-1] if encoding == "shift_jis" else CHINESE[:-1]
    decoded = decode((text + text[-1]).encode(encoding)[:-1])
    assert (decoded.text, decoded.replaced) == (text, 0)


def test_controls_become_what_windows_has_there() -> None:
    page = "<p>It\x92s \x93good\x94 \x96 he said\x85</p>"
    meant = "<p>It’s “good” – he said…</p>"
    for data, header in ((page.encode("latin-1"), "iso-8859-1"), (page.encode(), None), (page.encode("utf-16"), None)):
        assert decode(data, header).text == meant
    polish = "<p>\x8c wiêcej s³ów, ¿ó³te ³ódki p³yn¹</p>".encode("latin-1")
    assert decode(polish, "iso-8859-2").text == polish.decode("cp1250")
    assert decode("déjà vu, c’est l’été: ".encode() + b"it\x92s \x93so\x94").text == "déjà vu, c’est l’été: it’s “so”"
    assert decode("one\x85two é".encode()).text == "one\x85two é"  # NEXT LINE, perhaps


def test_vietnamese_letters_are_whole() -> None:
    data = unicodedata.normalize("NFD", "Tiếng Việt").encode("utf-8")
    assert decode(data).text == unicodedata.normalize("NFD", "Tiếng Việt")  # as the page has it
    assert decode(b"<p>Ti\xea\xecng Vi\xea\xf2t, b\xf4\xf2 \xf0\xf4\xf2i</p>", "windows-1258").text.startswith(
        "<p>Tiếng Việt"
    )


def test_numbers_in_circles_in_iso_2022_jp() -> None:
    """Row 13 of NEC, which Python's decoder lacks."""
    assert decode(b'<p>\x1b$B-!-"F|K\\8l\x1b(B</p>').text == "<p>\u2460\u2461\u65e5\u672c\u8a9e</p>"


def test_braces_of_format_strings_are_no_chinese() -> None:
    for text in ("(format t ~{~a~^, ~})", "~{ab~}", "~{~} and ~{name~}, ~{code~}"):
        assert decode(text.encode()).text == text
    assert decode("\x1b[31mred\x1b[0m é".encode()).text == "\x1b[31mred\x1b[0m é"


def test_lost_characters_in_proportion() -> None:
    assert replaced_share("abc") == 0
    assert replaced_share("a\ufffd\ufffd b\ufffd") == 0  # two places: too few
    assert replaced_share("a\ufffd\ufffd b\ufffd c\ufffd") == pytest.approx(3 / 9)


# -- evidence ---------------------------------------------------------------------------------------------------------


def test_the_right_reading_takes_the_fewest_bits() -> None:
    for text, encoding in ((RUSSIAN, "koi8_r"), (CHINESE, "gb18030"), (FRENCH, "cp1252"), (JAPANESE, "euc_jp")):
        part = sample(text.encode(encoding))
        costs = {name: bits(read(part, name)) for name in ("koi8_r", "cp1251", "gb18030", "cp1252", "euc_jp", "cp949")}
        assert min(costs, key=costs.__getitem__) == encoding
    assert bits("plain") == bits("") == 0


def test_the_sample_is_text_and_bounded() -> None:
    page = "<!-- \u6b22\u8fce --><script>'\u5149'</script><p title='\u4e34'>\u672c<b>\u7ad9</b></p>".encode("gbk")
    assert sample(page).decode("gbk") == ">\u672c<b>\u7ad9</b"
    assert len(sample(CHINESE.encode("gbk") * 500)) <= SAMPLE_BYTES
    assert sample(b"x" * (1 << 19) + "\u672c\u7ad9".encode("gbk")).endswith("\u672c\u7ad9".encode("gbk"))


# -- any bytes --------------------------------------------------------------------------------------------------------


@settings(max_examples=300, derandomize=True, deadline=None)
@given(
    st.binary(max_size=400),
    st.sampled_from(
        [None, "gbk", "utf-16", "utf-32", "rot13", "hz", "iso-2022-jp", "iso-2022-kr", "\u00e9", "idna", "a\x00"]
    ),
    st.sampled_from(
        [
            b"",
            b"\xff\xfe",
            b"\xff\xfe\x00\x00",
            b"\xef\xbb\xbf",
            b"\x1b$B",
            b"~{",
            b"<meta charset=",
            b"\x84\x31\x95\x33",
        ]
    ),
)
def test_decode_never_raises(data: bytes, declared: str | None, head: bytes) -> None:
    decoded = decode(head + data, declared)
    assert "\x00" not in decoded.text
    assert decoded.replaced >= 0
    decoded.text.encode("utf-8", "surrogatepass")


HOSTILE = {
    "controls": b"\x00\x01",
    "stray bytes": b"a\xff",
    "open comments": b"<!--\xe9",
    "comments": b"<!---->\xe9",
    "open tags": b"<\xe9",
    "metas": b"<meta \xe9",
    "scripts": b"<script>\xe9</script>",
    "escapes": b"\x1b$B!",
    "braces": b"~{<:~}",
    "c1": b"\xc2\x92\xc3",
    "lone quotes": b"\x92a\xc3\xa9",
}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_no_bytes_take_long(name: str) -> None:
    """Eight times as much takes no more than some eight times as long."""

    def spent(size: int) -> float:
        data, best = HOSTILE[name] * (size // len(HOSTILE[name])), 1e9
        for _ in range(3):
            started = time.process_time()
            decode(data)
            best = min(best, time.process_time() - started)
        return best

    assert spent(4 << 20) < 40 * max(spent(1 << 19), 2e-3)


def test_real_chinese_pages_decode_without_loss(shared_data: Path) -> None:
    data = (shared_data / "html_zh_gne/pages.tar.zst").read_bytes()
    archive = zstandard.ZstdDecompressor().stream_reader(data)
    pages = 0
    with tarfile.open(fileobj=archive, mode="r|") as tar:
        for member in tar:
            if member.name.endswith(".html"):
                stored = tar.extractfile(member)
                assert stored is not None
                decoded = decode(stored.read())
                han = sum("\u4e00" <= sign <= "\u9fff" for sign in decoded.text)
                assert decoded.replaced <= 2, member.name
                assert han > 100, member.name
                pages += 1
    assert pages >= 25
