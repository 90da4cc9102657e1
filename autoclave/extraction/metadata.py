"""What a page says of itself: title, author, date, canonical URL, language, site; and texts that only JSON-LD holds."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from autoclave.extraction.tree import Tree

FIELDS = ("title", "author", "published", "canonical_url", "declared_language", "site_name")
# Names of <meta> elements for each, best first.
_META = {
    "title": ("og:title", "twitter:title", "dc.title", "citation_title", "title"),
    "author": ("author", "article:author", "dc.creator", "citation_author", "parsely-author", "sailthru.author"),
    "published": (
        "article:published_time",
        "datepublished",
        "date",
        "dc.date",
        "dc.date.issued",
        "citation_publication_date",
        "parsely-pub-date",
        "pubdate",
        "publishdate",
        "og:article:published_time",
    ),
    "canonical_url": ("og:url",),
    "declared_language": ("content-language", "language", "dc.language", "og:locale"),
    "site_name": ("og:site_name", "application-name"),
}
_CHARACTERS = 1_000
_JSON_BYTES = 2_000_000
_DEPTH = 30
_DATE = re.compile(r"\d{4}-\d{1,2}(?:-\d{1,2})?(?:[T ][\d:.]+(?:Z|[+-]\d\d:?\d\d)?)?|\d{4}/\d{1,2}/\d{1,2}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,3}\Z")
# What keeps XML parsers off a script, at its two ends.
_CDATA = re.compile(r"\A\s*(?://|/\*)?\s*<!\[CDATA\[(?:\s*\*/)?|(?://|/\*)?\s*\]\]>\s*(?:\*/)?\s*\Z")
_TAGS = re.compile(r"<[a-zA-Z/][^<>]{0,2000}>")


@dataclass(frozen=True)
class Metadata:
    """What a page says of itself, None where it says nothing. published: as it is written there, ISO 8601 where the
    page has that; declared_language: a tag as in BCP 47."""

    title: str | None = None
    author: str | None = None
    published: str | None = None
    canonical_url: str | None = None
    declared_language: str | None = None
    site_name: str | None = None

    def pairs(self) -> dict[str, str]:
        """The fields that are there."""
        return {name: value for name in FIELDS if (value := getattr(self, name)) is not None}


def read_metadata(tree: Tree) -> Metadata:
    """Read the metadata of a page: <meta> elements first, then JSON-LD, then what stands in the page (<title>, the
    first <h1>, <time>, <html lang>, <link rel=canonical>)."""
    named = _named(tree)
    found: dict[str, str | None] = {
        field: next((named[name] for name in names if named.get(name)), None) for field, names in _META.items()
    }
    for node in structured_data(tree):
        found["title"] = found["title"] or _string(node.get("headline"))
        found["author"] = found["author"] or _name(node.get("author"))
        found["published"] = found["published"] or _string(node.get("datePublished"))
        found["site_name"] = found["site_name"] or _name(node.get("publisher"))
    found["title"] = found["title"] or _text_of(tree, "title") or _text_of(tree, "h1")
    found["published"] = found["published"] or _time(tree)
    found["canonical_url"] = _link(tree) or found["canonical_url"]
    found["declared_language"] = _html_language(tree) or found["declared_language"]
    return Metadata(**{field: _checked(field, value) for field, value in found.items()})


def _named(tree: Tree) -> dict[str, str]:
    named: dict[str, str] = {}
    for node in tree.find("meta"):
        attributes = tree.attributes(node)
        name = attributes.get("property") or attributes.get("name") or attributes.get("itemprop")
        name = (name or attributes.get("http-equiv", "")).lower()
        content = attributes.get("content", "").strip()
        if name and content:
            named.setdefault(name, content)
    return named


def _checked(field: str, value: str | None) -> str | None:
    if value is None:
        return None
    value = " ".join(value.split())
    if not value or len(value) > _CHARACTERS:
        return None
    if field == "canonical_url":
        try:
            return value if urlsplit(value).scheme in ("http", "https") else None
        except ValueError:
            return None
    if field == "declared_language":
        value = value.split(",")[0].strip()
        return value if _LANGUAGE.match(value) else None
    if field == "author" and value.startswith(("http://", "https://")):
        return None
    return value


def _text_of(tree: Tree, name: str) -> str | None:
    return next((text for node in tree.find(name)[:3] if (text := " ".join(tree.all_text(node).split()))), None)


def _time(tree: Tree) -> str | None:
    for node in tree.find("time")[:3]:
        found = _DATE.search(tree.attributes(node).get("datetime", ""))
        if found:
            return found.group()
    return None


def _link(tree: Tree) -> str | None:
    for node in tree.find("link"):
        attributes = tree.attributes(node)
        if "canonical" in attributes.get("rel", "").lower().split():
            return attributes.get("href", "").strip() or None
    return None


def _html_language(tree: Tree) -> str | None:
    for node in tree.find("html")[:1]:
        attributes = tree.attributes(node)
        return attributes.get("lang") or attributes.get("xml:lang") or None
    return None


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _name(value: Any) -> str | None:
    if isinstance(value, list):
        names = [name for item in value[:20] if (name := _name(item))]
        return ", ".join(names) or None
    return _string(value.get("name")) if isinstance(value, dict) else _string(value)


def structured_data(tree: Tree) -> Iterator[dict[str, Any]]:
    """The objects of a page's JSON-LD, those inside others too; what is no JSON is passed over."""
    if b"ld+json" not in tree.markup:
        return
    for node in tree.find("script"):
        if "ld+json" in tree.attributes(node).get("type", ""):
            text = tree.raw_text(node)
            if len(text) <= _JSON_BYTES:
                try:
                    yield from _objects(json.loads(_CDATA.sub("", text), strict=False), 0)
                except (ValueError, RecursionError):
                    continue


def _objects(value: Any, depth: int) -> Iterator[dict[str, Any]]:
    if depth > _DEPTH:
        return
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _objects(item, depth + 1)


def structured_text(tree: Tree) -> str:
    """The longest text that a page's JSON-LD holds (articleBody, text), without markup; "" where there is none."""
    nodes = list(structured_data(tree))
    texts = [text for node in nodes for key in ("articleBody", "reviewBody") if (text := _string(node.get(key)))]
    asked = [part for node in nodes if _kind(node) == "Question" for part in _question(node)]
    steps = [part for node in nodes if _kind(node) == "Recipe" for part in _recipe(node)]
    texts += ["\n\n".join(asked), "\n".join(steps)]
    texts += [
        text
        for node in nodes
        if _kind(node) not in ("Question", "Answer", "HowToStep") and (text := _string(node.get("text")))
    ]
    text = html.unescape(max(texts, key=len, default=""))
    return _TAGS.sub(" ", text).strip() if "<" in text else text.strip()


def _kind(node: dict[str, Any]) -> str:
    kind = node.get("@type")
    return str(kind[0] if isinstance(kind, list) and kind else kind)


def _question(node: dict[str, Any]) -> list[str]:
    """A question and its answers."""
    given = [node.get("acceptedAnswer"), node.get("suggestedAnswer")]
    answers = [answer for one in given for answer in (one if isinstance(one, list) else [one])]
    said = [answer.get("text") for answer in answers[:50] if isinstance(answer, dict)]
    return [part for part in [node.get("name"), *said] if isinstance(part, str) and part.strip()]


def _recipe(node: dict[str, Any]) -> list[str]:
    """What a recipe takes, and its steps."""
    parts: list[str] = []
    for key in ("description", "recipeIngredient", "recipeInstructions"):
        value = node.get(key)
        for item in value if isinstance(value, list) else [value]:
            said = item.get("text") if isinstance(item, dict) else item
            if isinstance(said, str) and said.strip():
                parts.append(said)
    return parts
