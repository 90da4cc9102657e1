"""Text known to be good: the sets, their documents, and what is known of each."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import zstandard

from autoclave.cleaning.language.identification import short_code
from autoclave.corpus.charset import decode
from autoclave.corpus.extraction import extract_text
from benchmarks.data import existing, read_set

SENTENCES = 20
"""Sentences of a document that is joined of single ones, five a paragraph."""

JOINED = 12
"""Documents of joined sentences a language; half of Tatoeba is English."""

OWN_TEXTS = Path(__file__).with_name("texts")


@dataclass(frozen=True)
class Document:
    """One good text. set: its set; name: within the set; language: ISO 639-1 code, where there is one, by the set's own
    label; extracted: taken from HTML by our extraction, so that markup in it is what the page shows."""

    set: str
    name: str
    language: str
    text: str
    extracted: bool = False


@dataclass(frozen=True)
class GoodSet:
    """read: the folder of labelled sets -> documents, in an order of their own; group: the kind of text; technical:
    people's data are rare in it (redactions are judged there); markup: raw text in which HTML's tags are tags, Markdown
    say, and may go; web: pages as they were found, which hold lines that belong to the site, and real damage here and
    there."""

    read: Callable[[Path], Iterator[Document]]
    group: str
    technical: bool = False
    markup: bool = False
    web: bool = False


_CODES = {"jp": "ja", "nb": "no"}
"""Codes of the sets -> those of lid.176, which has one for Norwegian Bokmål and Norwegian."""


def _short(code: str) -> str:
    code = short_code(code)
    return _CODES.get(code, code)


# -- what lies there as documents -------------------------------------------------------------------------------------


def _rows(
    name: str, folder: str, language: str | None = None, field: str = "id"
) -> Callable[[Path], Iterator[Document]]:
    def read(data: Path) -> Iterator[Document]:
        for row in read_set(data / folder):
            yield Document(name, row[field], language or _short(row["lang"]), row["text"])

    return read


def _declarations(data: Path) -> Iterator[Document]:
    """The Universal Declaration of Human Rights: its paragraphs, one document a translation."""
    for number, rows in groupby(read_set(data / "lid_udhr"), key=lambda row: row["id"].rsplit("-", 1)[0]):
        found = list(rows)
        language = _short(found[0]["bcp47"].split("-")[0])
        yield Document("udhr", number, language, "\n\n".join(row["text"] for row in found))


_EXCERPTS = re.compile(r"\s*\.{10}\s*")
_SOLD_OR_TRANSLATED = re.compile(r"\b(?:MT|IP|DS)\b", re.IGNORECASE)
_SENTENCES = re.compile(r"""^.*[^.][.!?。！？।؟։።]["'»”’)\]]*(?=\s|$|[^\x00-\x7f])""", re.DOTALL)


def _hplt(name: str, whole_sentences: bool, natural: bool = True) -> Callable[[Path], Iterator[Document]]:
    """Pages that a native speaker found natural, or the others: two excerpts of 500 characters, without their lines.

    whole_sentences: without what follows the last end mark of an excerpt, where the page went on.
    """

    def read(data: Path) -> Iterator[Document]:
        for row in read_set(data / "web_hplt"):
            judged = "unnatural" in row
            good = judged and not row["unnatural"] and not row["porn"] and row["lang_correct"] == 1
            if judged and good == natural:
                excerpts = _EXCERPTS.split(row["text"].strip())
                text = "\n\n".join(_whole_sentences(excerpt) if whole_sentences else excerpt for excerpt in excerpts)
                yield Document(name, row["id"], _short(row["lang"]), text)

    return read


def _whole_sentences(excerpt: str) -> str:
    match = _SENTENCES.match(excerpt)
    return match.group() if match is not None and 2 * len(match.group()) >= len(excerpt) else excerpt


def _registers(data: Path) -> Iterator[Document]:
    """Whole pages of every register but what was translated by a machine and what sells."""
    for row in read_set(data / "web_registers"):
        if not _SOLD_OR_TRANSLATED.search(row["register"]):
            yield Document("registers", row["id"], _short(row["lang"]), row["text"])


# -- single sentences -------------------------------------------------------------------------------------------------


def _joined(name: str, folder: str, kind: str | None = None) -> Callable[[Path], Iterator[Document]]:
    def read(data: Path) -> Iterator[Document]:
        done: Counter[str] = Counter()
        waiting: dict[str, list[str]] = {}
        for row in read_set(data / folder):
            language = row["lang"]
            if (kind is not None and row["kind"] != kind) or done[language] == JOINED:
                continue
            sentences = waiting.setdefault(language, [])
            sentences.append(row["text"])
            if len(sentences) == SENTENCES:
                paragraphs = [" ".join(sentences[at : at + 5]) for at in range(0, SENTENCES, 5)]
                yield Document(name, f"{language}-{done[language]}", _short(language), "\n\n".join(paragraphs))
                done[language] += 1
                sentences.clear()

    return read


# -- pages ------------------------------------------------------------------------------------------------------------


def _members(file: Path) -> Iterator[tuple[str, bytes]]:
    with zstandard.open(existing(file), "rb") as packed, tarfile.open(fileobj=io.BytesIO(packed.read())) as archive:
        for member in sorted(archive.getmembers(), key=lambda member: member.name):
            if member.isfile() and member.name.endswith(".html"):
                content = archive.extractfile(member)
                assert content is not None
                yield member.name, content.read()


def _page(name: str, where: str, language: str, page: bytes) -> Iterator[Document]:
    text = extract_text(decode(page).text)
    if text:
        yield Document(name, where, language, text, extracted=True)


def _handbook(data: Path) -> Iterator[Document]:
    for where, page in _members(data / "html_debian_handbook" / "handbook.tar.zst"):
        yield from _page("handbook", where, where.split("-")[0], page)


def _pages(data: Path) -> Iterator[Document]:
    """Pages that show code, formulas, tables and markup."""
    for file in ("extract_llmwebkit/bench.tar.zst", "extract_defuddle/fixtures.tar.zst"):
        for where, page in _members(data / file):
            yield from _page("pages", f"{file.split('/')[0]}/{where}", "und", page)


CASES = {
    "text/01_text_lost.jsonl": "text",
    "text/c4_code.jsonl": "text",
    "text/10_short_docs.jsonl": "text",
    "text/11_only_numbers_differ.jsonl": "text",
    "text/50_languages.jsonl": "text",
    "privacy/57_pii_false.jsonl": "text",
}


def _cases(data: Path) -> Iterator[Document]:
    """Small texts with known right values, which lie beside the folder of sets."""
    folder = data.parent / "cases"
    for file, field in CASES.items():
        for number, line in enumerate(existing(folder / file).read_text(encoding="utf-8").strip("\n").split("\n")):
            row = json.loads(line)
            yield Document("cases", f"{file}:{number + 1}", row.get("true_language", "und"), row[field])


def _case_pages(data: Path) -> Iterator[Document]:
    """Small pages of kinds that extractors lose text of."""
    folder = data.parent / "cases"
    for path in sorted([*(folder / "extraction").glob("*.html"), *(folder / "text").glob("*.html")]):
        yield from _page("case_pages", str(path.relative_to(folder)), "und", path.read_bytes())


def _own(data: Path) -> Iterator[Document]:
    """Our own texts about HTML, TeX, patterns, shells and the like, as extraction gives them; they need no data."""
    for path in sorted(OWN_TEXTS.glob("*.txt")):
        language = path.stem.split(".")[-1]
        yield Document("own", path.stem, language, path.read_text(encoding="utf-8"), extracted=True)


LANGUAGES, TECHNICAL, BOOKS, WEB, MARKUP, EXCERPTS, POEMS = (
    "many languages", "technical", "books and laws", "web pages", "code and markup", "cut excerpts", "poems",
)  # fmt: skip
GROUPS = (LANGUAGES, TECHNICAL, BOOKS, WEB, MARKUP, EXCERPTS, POEMS)

SETS: dict[str, GoodSet] = {
    "udhr": GoodSet(_declarations, LANGUAGES),
    "tatoeba": GoodSet(_joined("tatoeba", "lid_tatoeba"), LANGUAGES, markup=True),
    "lingua": GoodSet(_joined("lingua", "lid_lingua", "sentences"), LANGUAGES, markup=True),
    "peps": GoodSet(_rows("peps", "tech_peps"), TECHNICAL, technical=True),
    "mdn": GoodSet(_rows("mdn", "tech_mdn_de_mt"), TECHNICAL, technical=True, markup=True),
    "openstax": GoodSet(_rows("openstax", "edu_openstax"), TECHNICAL, technical=True, markup=True),
    "handbook": GoodSet(_handbook, TECHNICAL, technical=True, web=True),
    "zh_techdocs": GoodSet(_rows("zh_techdocs", "zh_techdocs"), TECHNICAL, technical=True, markup=True),
    "zh_laws": GoodSet(_rows("zh_laws", "zh_laws"), BOOKS, markup=True),
    "zh_classical": GoodSet(_rows("zh_classical", "zh_classical"), BOOKS, markup=True),
    "novels": GoodSet(_rows("novels", "books_eltec"), BOOKS),
    "ewt": GoodSet(_rows("ewt", "web_en_ewt"), WEB, markup=True, web=True),
    "hplt": GoodSet(_hplt("hplt", True), WEB, markup=True, web=True),
    "registers": GoodSet(_registers, WEB, markup=True, web=True),
    "pages": GoodSet(_pages, MARKUP, web=True),
    "cases": GoodSet(_cases, MARKUP, technical=True),
    "case_pages": GoodSet(_case_pages, MARKUP, technical=True, web=True),
    "own": GoodSet(_own, MARKUP, technical=True),
    "hplt_cut": GoodSet(_hplt("hplt_cut", False), EXCERPTS, markup=True, web=True),
    "zh_poetry": GoodSet(_rows("zh_poetry", "zh_poetry"), POEMS),
}
"""By name, in the order in which they are run. Poems are shorter than what the filters are for, cases often too; in
`hplt_cut` lines end where an excerpt does, which rules on lines judge oddly, `hplt` are the same pages as far as their
sentences are whole."""


def bad_pages(data: Path) -> Iterator[Document]:
    """Yield pages that people judged bad: HPLT's others, DCLM's votes, documents of boilerplate lines."""
    yield from _hplt("hplt", True, natural=False)(data)
    for row in read_set(data / "quality_dclm_human"):
        if row["label"] == 0:
            yield Document("dclm", row["text"][:40], "en", row["text"])
    for row in read_set(data / "quality_lines"):
        sizes = [len(line) for line in row["lines"]]
        main = sum(size for size, label in zip(sizes, row["labels"], strict=True) if label)
        if main <= 0.1 * sum(sizes):
            yield Document("lines", row["id"], row["lang"], "\n".join(line.strip() for line in row["lines"]))
