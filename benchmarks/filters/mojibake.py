"""Repair of UTF-8 that was read in another encoding: what is mended, and what is broken, beside ftfy.

    python -m benchmarks.filters.mojibake [--texts N] [--encodings latin-1,cp1252,...]

Planted damage: texts of many languages (AUTOCLAVE_DATA or ../shared/data: UDHR, Tatoeba, Lingua, Chinese documents),
written as UTF-8 and read in another encoding, once and twice; printed is the share that comes back as it was. Good
texts: how many of them each changes.
"""

from __future__ import annotations

import argparse
import random
import unicodedata
from collections.abc import Iterator

import ftfy
import ftfy.bad_codecs  # registers encodings whose gaps are Latin-1, as browsers read them

from autoclave.cleaning.transforms.mojibake import repair
from benchmarks.data import DATA, read_set

SETS = {
    "udhr": "lid_udhr",
    "tatoeba": "lid_tatoeba",
    "lingua": "lid_lingua",
    "bible": "lid_bible",
    "novels": "books_eltec",
    "openstax": "edu_openstax",
    "peps": "tech_peps",
    "mdn": "tech_mdn_de_mt",
    "zh_techdocs": "zh_techdocs",
    "zh_laws": "zh_laws",
    "ewt": "web_en_ewt",
    "registers": "web_registers",
}


def good_texts(name: str) -> Iterator[str]:
    """Yield the texts of one of SETS."""
    for row in read_set(DATA / SETS[name]):
        yield row["text"]


ENCODINGS = (
    "latin-1",
    "sloppy-windows-1252",
    "sloppy-windows-1250",
    "sloppy-windows-1251",
    "sloppy-windows-1253",
    "sloppy-windows-1254",
    "sloppy-windows-1257",
    "iso-8859-2",
    "macroman",
    "cp437",
    "cp850",
    "koi8-r",
    "gb18030",
)


def ours(text: str) -> str:
    return unicodedata.normalize("NFC", repair([text])[0])


def theirs(text: str) -> str:
    return unicodedata.normalize("NFC", ftfy.fix_encoding(text))


def damaged(text: str, encoding: str, layers: int) -> str | None:
    """Return the text as UTF-8 read in an encoding, so many times; None where it cannot be or is no different."""
    new = text
    try:
        for _ in range(layers):
            new = new.encode().decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if new == text else new


def mended(texts: list[str], encoding: str, layers: int) -> tuple[int, float, float]:
    """Return (texts that the damage changes, share that we restore, share that ftfy restores)."""
    count = by_us = by_them = 0
    for text in texts:
        bad = damaged(text, encoding, layers)
        if bad is not None:
            right = unicodedata.normalize("NFC", text)
            count, by_us, by_them = count + 1, by_us + (ours(bad) == right), by_them + (theirs(bad) == right)
    return count, by_us / max(1, count), by_them / max(1, count)


def sample(name: str, count: int) -> list[str]:
    """Texts of a set that are not ASCII and that ftfy finds nothing wrong with."""
    texts = [text[:2000] for text in good_texts(name) if not text.isascii()]
    chosen = random.Random(3).sample(texts, min(count, len(texts)))
    return [text for text in chosen if ftfy.fix_encoding(text) == text]


def broken(texts: Iterator[str]) -> tuple[int, int, int]:
    """Return (texts, how many we change, how many ftfy changes)."""
    count = by_us = by_them = 0
    for text in texts:
        right = unicodedata.normalize("NFC", text)
        count, by_us, by_them = count + 1, by_us + (ours(text) != right), by_them + (theirs(text) != right)
    return count, by_us, by_them


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=400, help="texts of each set")
    parser.add_argument("--encodings", default=",".join(ENCODINGS))
    arguments = parser.parse_args()
    names = ("udhr", "tatoeba", "lingua", "zh_techdocs")
    samples = {name: sample(name, arguments.texts) for name in names}
    print(f"{'read as':22}{'times':>6}{'set':>13}{'texts':>7}{'restored':>10}{'by ftfy':>9}")
    for encoding in arguments.encodings.split(","):
        for layers in (1, 2):
            for name, texts in samples.items():
                count, by_us, by_them = mended(texts, encoding, layers)
                print(f"{encoding:22}{layers:6}{name:>13}{count:7}{by_us:10.1%}{by_them:9.1%}")
    print(f"\n{'good texts':22}{'texts':>7}{'changed':>9}{'by ftfy':>9}")
    for name in ("udhr", "tatoeba", "novels", "openstax", "ewt", "peps", "zh_techdocs", "handbook", "registers"):
        count, by_us, by_them = broken(good_texts(name))
        print(f"{name:22}{count:7}{by_us:9}{by_them:9}")


if __name__ == "__main__":
    main()
