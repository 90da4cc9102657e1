"""The engines that make a text of a page: our own, Resiliparse's, trafilatura's."""

from __future__ import annotations

from dataclasses import dataclass, field

from autoclave.corpus.tidy import tidy
from autoclave.errors import MissingDependencyError
from autoclave.extraction.main_content import extract_main_content
from autoclave.extraction.resiliparse_engine import extract_by_resiliparse

EXTRACTORS = ("autoclave", "autoclave-all", "resiliparse", "resiliparse-all", "trafilatura")


@dataclass(frozen=True)
class PageText:
    """Text of one page.

    how: how its main text was found (`MainContent.how`), None of engines that do not say; visible_characters: what a
    reader of the page sees, without blanks, None where the engine does not count it; metadata: what the page says of
    itself (`Metadata.pairs`), empty for other engines.
    """

    text: str
    how: str | None = None
    visible_characters: int | None = None
    metadata: dict[str, str] = field(default_factory=dict)


def extract_page(html: str, extractor: str = "autoclave") -> PageText:
    """Return the text of an HTML page, and what else the engine tells of it.

    autoclave: the main text as Markdown (headings, lists, tables, code in fences, TeX), blocks scored by a small model.
    autoclave-all: all visible text in the same form. resiliparse, resiliparse-all: main content, or all, by
    Resiliparse's rules. trafilatura: slower; its tables and lists in Markdown. May run long or crash on hostile pages:
    `Extractor` puts a limit on that. Raises MissingDependencyError where trafilatura is not installed.
    """
    if extractor.startswith("autoclave"):
        found = extract_main_content(html, with_boilerplate=extractor.endswith("-all"))
        return PageText(tidy(found.text), found.how, found.visible_characters, found.metadata.pairs())
    text = tidy(_trafilatura(html) if extractor == "trafilatura" else extract_by_resiliparse(html, extractor))
    if text.strip():
        return PageText(text)
    # So that a page of which an engine makes nothing is told from one on which there is nothing.
    return PageText("", "none", extract_main_content(html, with_boilerplate=True).visible_characters)


def _trafilatura(html: str) -> str:
    try:
        import trafilatura
    except ImportError as error:
        raise MissingDependencyError("trafilatura", "extract", "extractor: trafilatura") from error
    return trafilatura.extract(html, include_comments=False, include_tables=True) or ""
