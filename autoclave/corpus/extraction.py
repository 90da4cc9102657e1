"""From the characters of a page to its text: main content, structure worth keeping (code, lists, tables, TeX)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from resiliparse.extract.html2text import extract_plain_text

from autoclave.corpus.html.main_content import extract_main_content
from autoclave.corpus.inline import drop_readings, write_code, write_scripts
from autoclave.errors import MissingDependencyError

EXTRACTORS = ("autoclave", "autoclave-all", "resiliparse", "resiliparse-all", "trafilatura")

# -- structure that the extractor would lose --------------------------------------------------------------------------

_STRUCTURE = re.compile(r"<(pre|math|su[pb]|code|rt)\b", re.IGNORECASE)
_TEX_SCRIPT = re.compile(
    r"""<script\b[^<>]{0,500}?type\s*=\s*["']?math/(?:tex|latex)(;\s*mode=display)?[^<>]{0,500}>""", re.IGNORECASE
)
_SCRIPT_END = re.compile(r"</script\s*>", re.IGNORECASE)
_MATH = re.compile(r"<math\b([^<>]{0,2000})>", re.IGNORECASE)
_MATH_END = re.compile(r"</math\s*>", re.IGNORECASE)
_ANNOTATION = re.compile(
    r"""<annotation[^<>]{0,500}?encoding\s*=\s*["']?application/x-(?:la)?tex[^<>]{0,500}>([^<]*)""", re.IGNORECASE
)
_PRE = re.compile(r"<pre\b([^<>]{0,500})>", re.IGNORECASE)
_PRE_END = re.compile(r"</pre\s*>", re.IGNORECASE)
# Pre-formatted text that is code by its markup, or by that of the elements around it; poems and mails in <pre> stay as
# they are.
_CODE_WORDS = "highlight|lang|code|prettyprint|brush|src|source|syntax|listing"
_IS_CODE = re.compile(_CODE_WORDS, re.IGNORECASE)
_BEGINS_WITH_CODE = re.compile(r"\s{0,20}<code\b", re.IGNORECASE)
_TOKENS = re.compile(r"""<span\s+class=["']?(?:[a-z]{1,2}|token|hljs|pl-|cm-)[\s"'>a-z-]""")
_INSIDE_CODE = re.compile(
    rf"<(?:div|td|figure|span)\s[^<>]{{0,300}}(?:{_CODE_WORDS})[^<>]{{0,300}}>\s*(?:<[^<>]{{0,300}}>\s*){{0,3}}\Z",
    re.IGNORECASE,
)
_LINE_NUMBER_WORDS = "lineno|linenos|line-?numbers?|gutter|lnum|blob-num"
_INSIDE_GUTTER = re.compile(
    rf"<(?:td|div)\s[^<>]{{0,300}}(?:{_LINE_NUMBER_WORDS})[^<>]{{0,300}}>\s*(?:<[^<>/]{{0,300}}>\s*){{0,2}}\Z",
    re.IGNORECASE,
)
_LINE_NUMBER = re.compile(
    rf"""<(span|a|td|i)\s[^<>]{{0,300}}(?:{_LINE_NUMBER_WORDS})[^<>]{{0,300}}>[\s\d]{{0,12}}</\1\s*>""", re.IGNORECASE
)
_ANY_TAG = re.compile(r"<[^<>]{0,1000}>")
_CLOSING_TAGS = re.compile(r"(?:</[a-zA-Z]+\s*>\s*)*\Z")
_RENDERED_MATH = [".katex-html", ".MathJax", ".MathJax_Preview", ".MathJax_Display", ".MJX_Assistive_MathML"]


def keep_structure(html: str) -> str:
    """Write formulas as $TeX$, code between backticks and ``` fences, superscripts and subscripts as text into the
    HTML, so that the text has them.

    TeX is taken from MathJax script elements and from the annotation of MathML; formulas without TeX stay as text.
    Takes time in proportion to the length, whatever is opened and never closed.
    """
    if "math/" in html:
        html = _replace_elements(html, _TEX_SCRIPT, _SCRIPT_END, lambda m, tex, _: _dollars(tex, bool(m.group(1))))
    found = {name.lower() for name in _STRUCTURE.findall(html)}  # costs as much as a search for a single word
    if "math" in found:
        html = _replace_elements(html, _MATH, _MATH_END, _annotated)
    if "pre" in found:
        return _replace_elements(html, _PRE, _PRE_END, _preformatted, lambda between: _inline(between, found))
    return _inline(html, found)


def _inline(html: str, found: set[str]) -> str:
    if "sup" in found or "sub" in found:
        html = write_scripts(html)
    if "code" in found:
        html = write_code(html)
    return drop_readings(html) if "rt" in found else html


def _replace_elements(
    html: str,
    opening: re.Pattern[str],
    closing: re.Pattern[str],
    build: Callable[[re.Match[str], str, str], str],
    between: Callable[[str], str] = str,
) -> str:
    """Replace every element by `build(opening match, content, closing tag)`, none behind the last closing tag, and what
    stands around them by `between(it)`."""
    pieces: list[str] = []
    at = 0
    while (begin := opening.search(html, at)) is not None:
        end = closing.search(html, begin.end())
        if end is None:
            break
        pieces += [between(html[at : begin.start()]), build(begin, html[begin.end() : end.start()], end.group())]
        at = end.end()
    return "".join([*pieces, between(html[at:])]) if pieces else between(html)


def _annotated(begin: re.Match[str], content: str, end: str) -> str:
    tex = _ANNOTATION.search(content)
    if tex is None:
        return begin.group() + content + end
    return _dollars(tex.group(1), 'display="block"' in begin.group(1))


def _dollars(tex: str, display: bool) -> str:
    tex = tex.replace("<![CDATA[", "").replace("]]>", "").strip().strip("%").strip()
    tex = tex.replace("<", "&lt;")
    sign = "$$" if display else "$"
    return f"<span>{sign}{tex}{sign}</span>" if tex else ""


def _preformatted(begin: re.Match[str], content: str, end: str) -> str:
    """Put pre-formatted code between fences, and leave the numbers of its lines out."""
    around = begin.string[max(0, begin.start() - 600) : begin.start()]
    if _INSIDE_GUTTER.search(around) and not _ANY_TAG.sub("", content).strip("0123456789 \t\r\n"):
        return ""
    is_code = _IS_CODE.search(begin.group(1)) or _BEGINS_WITH_CODE.match(content) or _TOKENS.search(content)
    if "```" in content or not content.strip() or not (is_code or _INSIDE_CODE.search(around)):
        return begin.group() + content + end
    # The line end before the fence goes inside whatever element closes last.
    tail = _LINE_NUMBER.sub("", content).rstrip()
    tags = _CLOSING_TAGS.search(tail, max(0, len(tail) - 200))
    closing = tags.group() if tags else ""
    return f"{begin.group()}```\n{tail.removesuffix(closing).rstrip()}{closing}\n```{end}"


# -- text -------------------------------------------------------------------------------------------------------------

_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x85\u2028\u2029\ufffe\uffff\ud800-\udfff]")
_UNWANTED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u2028\ufffe\uffff\ud800-\udfff]")
# Characters that end a line, a page or a record (vertical tab, form feed, FS, GS, RS, LINE SEPARATOR) between others.
_BREAKS = re.compile("(?<=[^\n])[\x0b\x0c\x1c-\x1e\u2028]+(?=[^\n])")
# NEXT LINE is one only where no other C1 control says that the text is Windows-1252 read as Latin-1 (there it is '…').
_C1 = re.compile("[\x80-\x84\x86-\x9f]")
_TRAILING = " \t\u00a0\u3000"
_MANY_LINES = re.compile(r"\n{3,}")


def tidy(text: str) -> str:
    """Line ends become \\n, U+2029 an empty line, form feeds and other separators between words a line end or a blank;
    NUL and other control characters, lone surrogates, noncharacters and trailing blanks go; at most one empty line in
    a row; the result is valid UTF-8 when encoded."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if _CONTROLS.search(text):
        if not _C1.search(text):
            text = text.replace("\x85", "\n")
        text = _BREAKS.sub("\n", text.replace("\u2029", "\n\n").replace("\x1f", " "))
        text = _UNWANTED.sub("", text)
    text = "\n".join([line.rstrip(_TRAILING) for line in text.split("\n")])
    return _MANY_LINES.sub("\n\n", text).strip("\n")


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
    autoclave-all: all visible text in the same form. resiliparse, resiliparse-all: main content, or all, by Resiliparse's
    rules. trafilatura: slower; its tables and lists in Markdown. May run long or crash on hostile pages: `Extractor` puts
    a limit on that. Raises MissingDependencyError where trafilatura is not installed.
    """
    if extractor.startswith("autoclave"):
        found = extract_main_content(html, with_boilerplate=extractor.endswith("-all"))
        return PageText(tidy(found.text), found.how, found.visible_characters, found.metadata.pairs())
    return PageText(tidy(_trafilatura(html) if extractor == "trafilatura" else _resiliparse(html, extractor)))


def _resiliparse(html: str, extractor: str) -> str:
    return extract_plain_text(
        keep_structure(html),
        main_content=extractor == "resiliparse",
        preserve_formatting=True,
        alt_texts=False,
        list_bullets=True,
        # Matching selectors costs time on every element of a page, so only where there is something to match.
        skip_elements=_RENDERED_MATH if "katex" in html or "MathJax" in html else None,
    )


def _trafilatura(html: str) -> str:
    try:
        import trafilatura
    except ImportError as error:
        raise MissingDependencyError("trafilatura", "extract", "extractor: trafilatura") from error
    return trafilatura.extract(html, include_comments=False, include_tables=True) or ""
