"""Encodings side by side: pages whose text is known, read by ours, as browsers do, and with the libraries' guesses.

    python -m benchmarks.charset [--uchardet PYTHON] [--characters N] [--wrong]

Pages: sentences of our own and the Universal Declaration of Human Rights (lid_udhr; not among the texts whose letters
were counted), in some thirty languages and their encodings, with right, missing and wrong declarations, and damaged
(`benchmarks.charset_pages`). A page is right where its paragraph stands in the decoded text (compared in NFC, without
U+FFFD). PYTHON: an interpreter that has faust-cchardet, for uchardet's guesses.
"""

from __future__ import annotations

import argparse
import codecs
import json
import sys
import tempfile
import time
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import chardet
import charset_normalizer
from resiliparse.parse.encoding import detect_encoding

from autoclave.corpus.charset import decode, own_declarations
from autoclave.corpus.encoding.labels import codec, read
from benchmarks.charset_pages import SENTENCES, Page, all_pages, declared
from benchmarks.data import DATA, read_rows
from benchmarks.environments import run_peer

UDHR = {
    "zh": "zh",
    "zh-Hant": "zh-Hant",
    "de": "de-1996",
    "pt": "pt-PT",
    "ro": "ro",
    "sr": "sr-Cyrl",
    "el": "el-monoton",
}


def udhr_texts() -> dict[str, str]:
    """Two articles of the declaration for each language of SENTENCES that has it."""
    texts: dict[str, list[str]] = {}
    for row in read_rows(DATA / "lid_udhr/udhr.jsonl.zst"):
        texts.setdefault(row["bcp47"], []).append(unicodedata.normalize("NFC", " ".join(row["text"].split())))
    names = {language: UDHR.get(language, language) for language in SENTENCES}
    return {language: " ".join(texts[name][2:5])[:700].strip() for language, name in names.items() if name in texts}


def make_pages(characters: int | None) -> list[Page]:
    texts = [SENTENCES, udhr_texts()]
    if characters is None:
        return [page for own in texts for page in all_pages(own)]
    short = [{language: text[:characters] for language, text in own.items()} for own in texts]
    return [page for own in short for page in declared(own) if not page.wanted[0].isascii()]


def ours(data: bytes, header: str | None) -> str:
    return decode(data, header).text


def browser(data: bytes, header: str | None) -> str:
    """Mark, header, meta element, Windows-1252, as HTML has it (without the guesses that some browsers make)."""
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if data.startswith(mark):
            return read(data, name)
    return read(data, codec(header) or codec(next(iter(own_declarations(data)), None)) or "cp1252")


def guessed(detect: Callable[[bytes], str | None]) -> Callable[[bytes, str | None], str]:
    return lambda data, header: read(data, codec(detect(data)) or "utf-8")


READERS: dict[str, Callable[[bytes, str | None], str]] = {
    "ours": ours,
    "browser": browser,
    "resiliparse": guessed(lambda data: detect_encoding(data)),
    "charset_normalizer": guessed(lambda data: getattr(charset_normalizer.from_bytes(data).best(), "encoding", None)),
    "chardet 6": guessed(lambda data: chardet.detect(data)["encoding"]),
}


def is_right(page: Page, text: str) -> bool:
    text = unicodedata.normalize("NFC", text).replace("\ufffd", "")
    return all(wanted.replace("\ufffd", "") in text for wanted in page.wanted)


def uchardet_guesses(python: str, pages: list[Page]) -> list[str | None]:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump([page.data.hex() for page in pages], file)
        file.flush()
        return list(json.loads(run_peer(python, "uchardet_guesses.py", Path(file.name))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--uchardet", help="an interpreter that has faust-cchardet")
    parser.add_argument("--wrong", action="store_true", help="name the pages that ours reads wrongly, and stop")
    parser.add_argument("--characters", type=int, help="cut the texts, and leave damage and Unicode's forms out")
    arguments = parser.parse_args()
    pages = make_pages(arguments.characters)
    if arguments.wrong:
        for page in pages:
            decoded = decode(page.data, page.header)
            if not is_right(page, decoded.text):
                print(page.kind, "|", page.name, "|", page.header, "->", decoded.charset, decoded.replaced)
        return
    right: dict[str, Counter[str]] = {}
    seconds: dict[str, float] = {}
    readers = dict(READERS)
    if arguments.uchardet:
        guesses = dict(zip([page.data for page in pages], uchardet_guesses(arguments.uchardet, pages), strict=True))
        readers["uchardet"] = guessed(guesses.get)
    decode("é".encode("latin-1"))  # loads the tables
    for name, reader in readers.items():
        started = time.process_time()
        texts = [reader(page.data, page.header) for page in pages]
        seconds[name] = time.process_time() - started
        right[name] = Counter(page.kind for page, text in zip(pages, texts, strict=True) if is_right(page, text))
        print(f"{name}: {seconds[name]:.1f} s", file=sys.stderr)
    kinds = Counter(page.kind for page in pages)
    print("| pages | of | " + " | ".join(readers) + " |\n" + "| --- " * (len(readers) + 2) + "|")
    for kind, number in kinds.items():
        print(f"| {kind} | {number} | " + " | ".join(str(right[name][kind]) for name in readers) + " |")
    print(f"| all | {len(pages)} | " + " | ".join(str(right[name].total()) for name in readers) + " |")
    print("| ms a page | | " + " | ".join(f"{seconds[name] / len(pages) * 1e3:.2f}" for name in readers) + " |")


if __name__ == "__main__":
    main()
