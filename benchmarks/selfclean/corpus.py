"""The crawl of the self-cleaning experiment: good excerpts of many domains, ten kinds of bad ones, held-out excerpts.

Good text is cut from the labelled sets; real bad text is what people said is bad in them; planted bad text is made of
good excerpts that the crawl does not hold. A document of a set (a book, a law, a site) is a host: its excerpts are
all in the crawl or all held out. Everything is a function of the data, the size and the seed.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import xxhash

from autoclave.cleaning.language.identification import short_code
from benchmarks.data import read_set

EXCERPT, EXCERPT_ZH = 2200, 900
"""Characters of an excerpt; Chinese ones hold about as many tokens."""

HELD_OUT = 8
"""One host in so many is held out."""

LEAST = 200
"""Shorter pieces (60 in Chinese) are not taken."""


@dataclass
class Excerpt:
    """One document of the crawl. bad: its kind of badness, '' where it is good."""

    text: str
    host: str
    domain: str
    language: str
    bad: str = ""


@dataclass
class Crawl:
    """What is trained on, and what no model of the experiment sees."""

    documents: list[Excerpt] = field(default_factory=list)
    held_out: list[Excerpt] = field(default_factory=list)

    def table(self) -> pa.Table:
        """Return both as one table: text, host, domain, language, bad, held_out."""
        rows = [(one, False) for one in self.documents] + [(one, True) for one in self.held_out]
        columns = {
            name: [getattr(one, name) for one, _ in rows] for name in ("text", "host", "domain", "language", "bad")
        }
        return pa.table({**columns, "held_out": [held for _, held in rows]})


def pieces(text: str, chinese: bool, most: int) -> Iterator[str]:
    """Yield up to `most` excerpts of a text, cut at line ends where there are any."""
    size = EXCERPT_ZH if chinese else EXCERPT
    start = 0
    while start < len(text) and most > 0:
        stop = min(len(text), start + size)
        end = text.rfind("\n", start + size // 2, stop) + 1 if stop < len(text) else stop
        piece = text[start : end or stop].strip()
        start = end or stop
        if len(piece) >= (60 if chinese else LEAST):
            yield piece
            most -= 1


_MARKUP = re.compile(r"<[^>\n]{1,200}>|^---\n.*?\n---\n", re.DOTALL)
_MAIL_HEADER = re.compile(r"\A.*?\n\n", re.DOTALL)


def _good_sets(data: Path) -> Iterator[tuple[str, str, str, str]]:
    """Yield (domain, host, language, text) of every document known to be good."""
    for name in ("books_eltec", "tech_peps", "edu_openstax", "zh_laws", "zh_techdocs", "zh_classical", "web_en_ewt"):
        for row in read_set(data / name):
            text = _MARKUP.sub(" ", row["text"]) if name == "edu_openstax" else row["text"]
            yield name, row["id"], short_code(row["lang"].split("+")[0]), text
    for row in read_set(data / "dedup_licences"):
        yield "dedup_licences", row["id"], "en", row["text"]
    for domain, host, language, kind, text in _labelled(data):
        if not kind:
            yield domain, host, language, text


def _labelled(data: Path) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield (domain, host, language, kind of badness or '', text) of the sets in which people judged documents."""
    for row in read_set(data / "web_hplt"):
        if "unnatural" in row:
            bad = "unnatural" if str(row["unnatural"]) == "1" else ""
            yield "web_hplt", row["id"], short_code(row["lang"].split("_")[0]), bad, row["text"]
    for row in read_set(data / "web_registers"):
        bad = "machine_translated" if "MT" in row["register"].split() else ""
        yield "web_registers", row["id"], short_code(row["lang"]), bad, row["text"]
    for number, row in enumerate(read_set(data / "quality_dclm_human")):
        yield "quality_dclm_human", f"dclm{number}", "en", "" if str(row["label"]) == "1" else "dclm", row["text"]
    for row in read_set(data / "quality_spam_en"):
        if "group" in row:
            bad = "" if row["label"] == "ham" else "spam"
            yield "ham", row["id"], "en", bad, _MAIL_HEADER.sub("", row["text"])
    for row in read_set(data / "quality_lines"):
        lines = [line for line, keep in zip(row["lines"], row["labels"], strict=True) if not keep]
        yield "web_registers", row["id"], short_code(row["lang"]), "boilerplate", "\n".join(lines)


def _shuffled(text: str, draw: random.Random, others: list[str]) -> str:
    words = text.split(" ") if " " in text[:200] else list(text)
    draw.shuffle(words)
    return (" " if " " in text[:200] else "").join(words)


def _mojibake(text: str, draw: random.Random, others: list[str]) -> str:
    return text.encode().decode("cp1252", errors="replace")


def _garbled(text: str, draw: random.Random, others: list[str]) -> str:
    letters = list(text)
    for at in draw.sample(range(len(letters)), len(letters) * 12 // 100):
        letters[at] = chr(draw.randrange(33, 127))
    return "".join(letters)


def _spliced(text: str, draw: random.Random, others: list[str]) -> str:
    parts, size = [], max(60, len(text) // 6)
    for one in [text, *draw.sample(others, 5)]:
        start = draw.randrange(max(1, len(one) - size))
        parts.append(one[start : start + size])
    return " ".join(parts)


def _repeated(text: str, draw: random.Random, others: list[str]) -> str:
    sentences = [one for one in re.split(r"(?<=[.!?。！？\n])", text) if len(one) > 8][:40] or [text[:200]]
    chosen = draw.sample(sentences, min(len(sentences), draw.randint(1, 4)))
    out = ""
    while len(out) < len(text):
        out += draw.choice(chosen)
    return out


PLANTED: dict[str, Callable[[str, random.Random, list[str]], str]] = {
    "shuffled": _shuffled,
    "mojibake": _mojibake,
    "garbled": _garbled,
    "spliced": _spliced,
    "repeated": _repeated,
}
"""Kind -> (text, generator, texts of the same language) -> its damaged form. UTF-8 of ASCII alone cannot be misread."""

KINDS = 10
"""Five real ones (spam, boilerplate, machine_translated, unnatural, dclm) and those of PLANTED."""


def _gather(data: Path, most: int) -> tuple[dict[str, list[Excerpt]], dict[str, list[Excerpt]]]:
    """Return (good excerpts by domain, real bad ones by kind); most: excerpts of one document."""
    good: dict[str, list[Excerpt]] = defaultdict(list)
    bad: dict[str, list[Excerpt]] = defaultdict(list)
    for domain, host, language, text in _good_sets(data):
        limit = most * 20 if domain == "books_eltec" else most
        for piece in pieces(text, language in ("zh", "lzh"), limit):
            good[domain].append(Excerpt(piece, f"{domain}/{host}", domain, language))
    for domain, host, language, kind, text in _labelled(data):
        if kind:
            for piece in pieces(text, language == "zh", most // 2):
                bad[kind].append(Excerpt(piece, f"{domain}/{host}", domain, language, kind))
    return good, bad


def _is_held_out(one: Excerpt) -> bool:
    host = one.host if one.domain != "books_eltec" else one.host + one.text[:40]
    return xxhash.xxh3_64_intdigest(host.encode()) % HELD_OUT == 0


def build_crawl(data: Path, documents: int, seed: int, *, bad_share: float = 0.2) -> Crawl:
    """Return a crawl of about `documents` documents, `bad_share` of them bad, and what is held out (an eighth)."""
    draw = random.Random(seed)
    good, real = _gather(data, most=16)
    wanted = documents - round(documents * bad_share)
    kept: dict[str, list[Excerpt]] = {}
    crawl = Crawl()
    for domain in sorted(good):
        draw.shuffle(good[domain])
        held = [one for one in good[domain] if _is_held_out(one)]
        kept[domain] = [one for one in good[domain] if not _is_held_out(one)]
        crawl.held_out += held[: max(20, round(documents * 0.012))]
    share = _even_shares({name: len(rows) for name, rows in kept.items()}, wanted)
    spare: list[Excerpt] = []
    for domain, rows in kept.items():
        crawl.documents += rows[: share[domain]]
        spare += rows[share[domain] :]
    crawl.documents += _bad(real, spare, documents - wanted, draw)
    draw.shuffle(crawl.documents)
    return crawl


def _even_shares(available: dict[str, int], wanted: int) -> dict[str, int]:
    """Return how many to take of each, as even as far as they reach; a tenth of each is left for planting."""
    left = {name: number * 9 // 10 for name, number in available.items()}
    taken = dict.fromkeys(available, 0)
    while wanted > 0 and any(left.values()):
        open_ones = [name for name in sorted(left) if left[name]]
        each = max(1, wanted // len(open_ones))
        for name in open_ones:
            step = min(each, left[name], wanted)
            taken[name] += step
            left[name] -= step
            wanted -= step
    return taken


def _bad(real: dict[str, list[Excerpt]], spare: list[Excerpt], wanted: int, draw: random.Random) -> list[Excerpt]:
    """Return bad documents, kinds in equal shares as far as the real ones reach; planted ones fill up."""
    for kind in sorted(real):
        draw.shuffle(real[kind])
    found = [one for kind in sorted(real) for one in real[kind][: wanted // KINDS]]
    draw.shuffle(spare)
    by_language: dict[str, list[str]] = defaultdict(list)
    for one in spare:
        by_language[one.language].append(one.text)
    kinds = list(PLANTED)
    for number, one in enumerate(spare):
        if len(found) >= wanted:
            break
        kind, others = kinds[number % len(kinds)], by_language[one.language]
        damaged = PLANTED[kind](one.text, draw, others) if len(others) > 6 else one.text
        if damaged != one.text:
            found.append(Excerpt(damaged, one.host, one.domain, one.language, kind))
    return found
