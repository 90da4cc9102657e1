"""From the bytes of a page to its text: encoding, main content, structure worth keeping (code, lists, tables, TeX)."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import detect_encoding

from autoclave.errors import MissingDependencyError

EXTRACTORS = ("resiliparse", "resiliparse-all", "trafilatura")

# Python codecs that hold everything that sites send under the name on the left.
_WIDER = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "gb_2312-80": "gb18030",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "sjis": "cp932",
    "x-sjis": "cp932",
    "euc-kr": "cp949",
    "ks_c_5601-1987": "cp949",
    "big5": "big5hkscs",
    "iso-8859-1": "cp1252",
    "latin-1": "cp1252",
    "us-ascii": "cp1252",
    "ascii": "cp1252",
    "iso-8859-9": "cp1254",
    "tis-620": "cp874",
    "windows-874": "cp874",
    "iso-8859-11": "cp874",
    "x-gbk": "gb18030",
}
# Encodings whose bytes are valid ASCII: for them a declaration goes before the test for UTF-8.
_SEVEN_BIT = frozenset({"iso-2022-jp", "iso-2022-kr", "iso-2022-cn", "hz-gb-2312", "hz"})
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_META_CHARSET = re.compile(rb"""<meta[^>]+?charset\s*=\s*["']?\s*([\w:.-]+)""", re.IGNORECASE)
_XML_CHARSET = re.compile(rb"""<\?xml[^>]+?encoding\s*=\s*["']([\w:.-]+)""", re.IGNORECASE)
META_WINDOW = 8192


@dataclass(frozen=True)
class Decoded:
    """Text of a byte string, the encoding it was read in, and how many malformed places were replaced by U+FFFD."""

    text: str
    charset: str
    replaced: int


def decode(data: bytes, declared: str | None = None) -> Decoded:
    """Decode the bytes of a page or text.

    Order: byte order mark; valid UTF-8 (text in another encoding is hardly ever valid UTF-8, while declarations are
    often wrong); the transport's declaration, then the page's own, each where it decodes without an error; what
    uchardet makes of the bytes; whichever of these leaves the fewest malformed places. Never raises.
    """
    for mark, charset in _BOMS:
        if data.startswith(mark):
            text = data[len(mark) :].decode(charset, "replace")
            return Decoded(text, charset, text.count("\ufffd"))
    candidates = [name for name in (_codec(declared), *_own_declarations(data)) if name is not None]
    if candidates[:1] == ["cp1252"]:
        candidates = [*candidates[1:], "cp1252"]  # a default of servers, in which nearly any bytes are valid
    if not any(name in _SEVEN_BIT for name in candidates):
        try:
            return Decoded(data.decode(), "utf-8", 0)
        except UnicodeDecodeError:
            pass
    for name in candidates:
        try:
            return Decoded(data.decode(name), name, 0)
        except UnicodeDecodeError:
            continue
    guess = _codec(detect_encoding(data, max_len=1 << 16))
    best: Decoded | None = None
    for name in dict.fromkeys([*([guess] if guess else []), *candidates, "utf-8"]):
        text = data.decode(name, "replace")
        replaced = text.count("\ufffd")
        if best is None or replaced < best.replaced:
            best = Decoded(text, name, replaced)
    assert best is not None
    return best


def _codec(label: str | None) -> str | None:
    """The Python codec for a charset label, or its wider relative; None where there is none (or it is no text)."""
    if not label:
        return None
    label = label.strip().lower()
    name = _WIDER.get(label, label)
    try:
        info = codecs.lookup(name)
    except (LookupError, ValueError):
        return None
    # A page that declares UTF-16 in ASCII bytes is not UTF-16.
    return name if info._is_text_encoding and not name.startswith(("utf-16", "utf-32", "utf-7", "idna")) else None


def _own_declarations(data: bytes) -> list[str | None]:
    head = data[:META_WINDOW]
    return [
        _codec(match.group(1).decode("ascii"))
        for match in (_META_CHARSET.search(head), _XML_CHARSET.search(head))
        if match
    ]


# -- structure that the extractor would lose --------------------------------------------------------------------------

_TEX_SCRIPT = re.compile(
    r"""<script\b[^<>]{0,500}?type\s*=\s*["']?math/(?:tex|latex)(;\s*mode=display)?[^<>]{0,500}>""", re.IGNORECASE
)
_SCRIPT_END = re.compile(r"</script\s*>", re.IGNORECASE)
_MATH = re.compile(r"<math\b([^<>]{0,2000})>", re.IGNORECASE)
_MATH_END = re.compile(r"</math\s*>", re.IGNORECASE)
_ANNOTATION = re.compile(
    r"""<annotation[^<>]{0,500}?encoding\s*=\s*["']?application/x-(?:la)?tex[^<>]{0,500}>([^<]*)""", re.IGNORECASE
)
# Pre-formatted text that is code by its markup; poems and mails in <pre> stay as they are.
_PRE = re.compile(
    r"<pre\b(?=[^<>]{0,500}(?:highlight|lang|code|prettyprint|brush|src|syntax)|[^<>]{0,500}>\s{0,20}<code\b)[^<>]{0,500}>",
    re.IGNORECASE,
)
_PRE_END = re.compile(r"</pre\s*>", re.IGNORECASE)
_VERBATIM = re.compile(r"<(pre|script|style|textarea)\b", re.IGNORECASE)
_VERBATIM_ENDS = {name: re.compile(f"</{name}\\b", re.IGNORECASE) for name in ("pre", "script", "style", "textarea")}
_INLINE_CODE = re.compile(r"(<code\b[^<>]{0,300}>)([^<>`\n]{1,300})(</code\s{0,9}>)", re.IGNORECASE)
# Short and without elements inside: what has a link in it is the number of a footnote.
_SUPERSCRIPT = re.compile(r"(?<=[^\s>])<sup\b[^<>]{0,300}>([\w+\u2212-]{1,12})</sup\s{0,9}>", re.IGNORECASE)
_SUBSCRIPT = re.compile(r"(?<=[^\s>])<sub\b[^<>]{0,300}>([\w+\u2212-]{1,12})</sub\s{0,9}>", re.IGNORECASE)
_CLOSING_TAGS = re.compile(r"(?:</[a-zA-Z]+\s*>\s*)*\Z")
_RENDERED_MATH = [".katex-html", ".MathJax", ".MathJax_Preview", ".MathJax_Display", ".MJX_Assistive_MathML"]


def keep_structure(html: str) -> str:
    """Mark code blocks with ``` fences and write formulas as $TeX$ in the HTML, so that the text has them; put inline
    code in backticks, superscripts behind ^ and subscripts behind _.

    TeX is taken from MathJax script elements and from the annotation of MathML; formulas without TeX stay as text.
    Takes time in proportion to the length, whatever is opened and never closed.
    """
    if "math/" in html:
        html = _replace_elements(html, _TEX_SCRIPT, _SCRIPT_END, lambda m, tex, _: _dollars(tex, bool(m.group(1))))
    if "<math" in html:
        html = _replace_elements(html, _MATH, _MATH_END, _annotated)
    if "<pre" in html or "<PRE" in html:
        html = _replace_elements(html, _PRE, _PRE_END, _fence)
    if "<code" in html or "<sup" in html or "<sub" in html:
        html = _outside_pre(html, _mark_inline)
    return html


def _outside_pre(html: str, change: Callable[[str], str]) -> str:
    """Apply `change` to what lies outside of <pre> elements, and of scripts and styles."""
    pieces: list[str] = []
    at = 0
    while (begin := _VERBATIM.search(html, at)) is not None:
        end = _VERBATIM_ENDS[begin.group(1).lower()].search(html, begin.end())
        if end is None:
            break
        pieces += [change(html[at : begin.start()]), html[begin.start() : end.start()]]
        at = end.start()
    return "".join([*pieces, change(html[at:])])


def _mark_inline(html: str) -> str:
    """Put inline code in backticks, and write superscripts and subscripts with ^ and _, so that 10^6 is not 106."""
    html = _INLINE_CODE.sub(r"\1`\2`\3", html)
    html = _SUPERSCRIPT.sub(_raised, html)
    return _SUBSCRIPT.sub(r"_\1", html)


def _raised(match: re.Match[str]) -> str:
    """A number or a sign that is raised means a power or a note; letters are an ordinal (1st, M^me) or a mark."""
    text = match.group(1)
    return match.group() if text.isalpha() and (len(text) > 1 or not text.isascii()) else f"^{text}"


def _replace_elements(
    html: str, opening: re.Pattern[str], closing: re.Pattern[str], build: Callable[[re.Match[str], str, str], str]
) -> str:
    """Replace every element by `build(opening match, content, closing tag)`; none behind the last closing tag."""
    pieces: list[str] = []
    at = 0
    while (begin := opening.search(html, at)) is not None:
        end = closing.search(html, begin.end())
        if end is None:
            break
        pieces += [html[at : begin.start()], build(begin, html[begin.end() : end.start()], end.group())]
        at = end.end()
    return "".join([*pieces, html[at:]]) if pieces else html


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


def _fence(begin: re.Match[str], content: str, end: str) -> str:
    if "```" in content or not content.strip():
        return begin.group() + content + end
    # The line end before the fence goes inside whatever element closes last.
    tail = content.rstrip()
    tags = _CLOSING_TAGS.search(tail, max(0, len(tail) - 200))
    closing = tags.group() if tags else ""
    return f"{begin.group()}```\n{tail.removesuffix(closing).rstrip()}{closing}\n```{end}"


# -- text -------------------------------------------------------------------------------------------------------------

_UNWANTED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff\ud800-\udfff]")
_TRAILING = " \t\u00a0\u3000"
_MANY_LINES = re.compile(r"\n{3,}")


def tidy(text: str) -> str:
    """Line ends become \\n; NUL and other control characters, lone surrogates, noncharacters and trailing blanks go;
    at most one empty line in a row; the result is valid UTF-8 when encoded."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _UNWANTED.sub("", text)
    text = "\n".join([line.rstrip(_TRAILING) for line in text.split("\n")])
    return _MANY_LINES.sub("\n\n", text).strip("\n")


def extract_text(html: str, extractor: str = "resiliparse") -> str:
    """Return the text of an HTML page.

    resiliparse: main content only, structure kept (paragraphs, lists, tables by tabs, code fences, TeX).
    resiliparse-all: the same with navigation and other boilerplate. trafilatura: slower and more precise; its tables
    and lists in Markdown. May run long or crash on hostile pages: `Extractor` puts a limit on that.
    Raises MissingDependencyError where trafilatura is not installed.
    """
    if extractor == "trafilatura":
        return tidy(_trafilatura(html))
    text = extract_plain_text(
        keep_structure(html),
        main_content=extractor == "resiliparse",
        preserve_formatting=True,
        alt_texts=False,
        list_bullets=True,
        # Matching selectors costs time on every element of a page, so only where there is something to match.
        skip_elements=_RENDERED_MATH if "katex" in html or "MathJax" in html else None,
    )
    return tidy(text)


def _trafilatura(html: str) -> str:
    try:
        import trafilatura
    except ImportError as error:
        raise MissingDependencyError("trafilatura", "extract", "extractor: trafilatura") from error
    return trafilatura.extract(html, include_comments=False, include_tables=True, favor_precision=True) or ""
