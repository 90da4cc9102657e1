"""How much of a page's structure its text keeps, and whether the text has holes."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from autoclave.corpus.charset import decode
from autoclave.corpus.html.tree import parse
from benchmarks.extraction.gold import Page
from benchmarks.extraction.labels import block_texts

_TAG = re.compile(r"<[^<>]*>")
_FENCE = re.compile(r"^(`{3,})[^\n`]*\n(.*?)\n\1$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6} +(.+)$", re.MULTILINE)
_EDGE = 40
_HOLE_CHARACTERS = 20


def structure_scores(pages: Iterable[Page], texts: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """(found, wanted) of each kind over all pages whose parts are known: headings that are there, and that are marked;
    lines of code that are there as they are, and those in fences; formulas in TeX (blanks aside); words of tables."""
    total: dict[str, list[int]] = {kind: [0, 0] for kind in _KINDS}
    for page in pages:
        for part in page.parts:
            for kind, found in _part(part, texts[page.name]):
                total[kind][0] += found
                total[kind][1] += 1
    return {kind: (found, wanted) for kind, (found, wanted) in total.items()}


_KINDS = ("headings present", "headings marked", "code lines exact", "code lines fenced", "TeX", "table words")


def _part(part: dict[str, Any], text: str) -> Iterable[tuple[str, bool]]:
    content = part.get("content") or {}
    kind = part["type"]
    if kind == "title":
        title = _squeezed(str(content.get("title_content", "")))
        yield "headings present", title in _squeezed(text)
        yield "headings marked", any(title in _squeezed(line) for line in _HEADING.findall(text))
    elif kind == "code":
        lines = text.split("\n")
        stripped = {line.rstrip() for line in lines}
        fenced = {line.rstrip() for _, block in _FENCE.findall(text) for line in block.split("\n")}
        for line in str(content.get("code_content", "")).split("\n"):
            if line.strip():
                yield "code lines exact", line.rstrip() in stripped
                yield "code lines fenced", line.rstrip() in fenced
    elif kind == "equation-interline":
        yield "TeX", _bare(str(content.get("math_content", ""))) in _bare(text)
    elif kind == "table":
        words = set(re.findall(r"\w+", text))
        for word in re.findall(r"\w+", html.unescape(_TAG.sub(" ", str(content.get("html", ""))))):
            yield "table words", word in words
    elif kind in ("paragraph", "list"):
        for formula in _inline_formulas(content):
            yield "TeX", _bare(formula) in _bare(text)


def _inline_formulas(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        if value.get("t") == "equation-inline" and isinstance(value.get("c"), str):
            yield value["c"]
        for inner in value.values():
            yield from _inline_formulas(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _inline_formulas(inner)


def _squeezed(text: str) -> str:
    return "".join(re.findall(r"\w", text.lower()))


def _bare(tex: str) -> str:
    return re.sub(r"[\s{}$]|\\displaystyle|\\(?:begin|end)\{\w+\*?\}|&amp;", "", html.unescape(tex))


def holes(pages: Iterable[Page], extract: Callable[[str], str]) -> list[tuple[str, str]]:
    """(page, missing middle) of each paragraph whose start and end stand in the text and whose middle does not.

    Paragraphs are the blocks of the whole page, blanks folded, marks of Markdown taken out on both sides; missing are
    more than 20 characters that are nowhere in the text.
    """
    found = []
    for page in pages:
        source = decode(page.html).text
        tree = parse(source)
        text = _unmarked(extract(source))
        for paragraph in map(_unmarked, block_texts(tree, *tree.blocks())):
            if len(paragraph) < 3 * _EDGE or paragraph in text:
                continue
            start, end = text.find(paragraph[:_EDGE]), text.find(paragraph[-_EDGE:])
            if start >= 0 and end >= start:
                missing = _missing(paragraph, text[start : end + _EDGE])
                if len(missing) > _HOLE_CHARACTERS:
                    found.append((page.name, missing))
    return found


def _missing(paragraph: str, written: str) -> str:
    """What the longest common beginning and end of a paragraph and its written form leave of the paragraph."""
    first = 0
    while first < min(len(paragraph), len(written)) and paragraph[first] == written[first]:
        first += 1
    last = 0
    while last < min(len(paragraph), len(written)) - first and paragraph[-1 - last] == written[-1 - last]:
        last += 1
    missing, instead = paragraph[first : len(paragraph) - last], written[first : len(written) - last]
    return missing if len(missing) - len(instead) > _HOLE_CHARACTERS else ""


def _unmarked(text: str) -> str:
    return "".join(re.findall(r"[^\W_]", text))
