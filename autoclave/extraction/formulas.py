"""Formulas of pages as TeX: MathML with and without its source, MathJax, KaTeX, Wikipedia's, pictures of formulas."""

from __future__ import annotations

import html
import re

from autoclave.extraction.mathml import mathml_to_tex
from autoclave.extraction.tree import Tree
from autoclave.kernels.markup.vocabulary import FORMULA, TAG

# Without one of these, a <math> or a class name that says so, a page has no formula that is not plain text.
_SIGNS = (b"math/", b"latex", b"<mjx-", b"data-tex")
_WRAPPER = re.compile(
    r"(?:^|\s)(?:mwe-math-element|katex|katex-display|MathJax|MathJax_Display|MathJax_SVG|"
    r"MathJax_CHTML|MathJax_Preview|mjx-chtml|mjpage|ltx_Math)(?:\s|$)"
)
_RENDERED = re.compile(r"(?:^|\s)(?:katex-html|MathJax(?:_\w+)?|mjx-chtml)(?:\s|$)")
_DISPLAY = re.compile(r"(?:^|\s)(?:katex-display|MathJax_Display|mwe-math-mathml-display|ltx_displaymath)(?:\s|$)")
_PICTURE = re.compile(r"(?:^|[\s_-])(?:latex|tex|mwe-math-fallback-image-\w+|math|equation|formula)(?:[\s_-]|$)")
_PICTURE_SOURCE = re.compile(r"latex\.(?:php|codecogs|cgi)|/latex|math/render|mimetex|mathtex|cgi-bin/tex|\.codecogs\.")
_STYLED = re.compile(r"\A\{\\(?:displaystyle|textstyle|scriptstyle)\s?(.*)\}\Z", re.DOTALL)
_TEX_ATTRIBUTES = ("data-tex", "data-latex", "data-math", "data-expr", "data-formula", "data-katex", "data-equation")
_LOOKS_LIKE_TEX = re.compile(r"[\\^_{}=+<>|]|^\s*\S{1,3}\s*$")


# What is larger is no formula, but a page that forgot to close one.
_FORMULA_BYTES = 100_000


def tidy_tex(tex: str) -> str:
    """TeX without what its makers put around it: CDATA, comment signs, {\\displaystyle ...}, dollars, \\( \\)."""
    tex = tex.replace("<![CDATA[", "").replace("]]>", "").replace("%\n", "\n").strip()
    tex = tex.removeprefix("%").removesuffix("%").strip()
    for before, after in (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")):
        if tex.startswith(before) and tex.endswith(after) and len(tex) >= len(before) + len(after):
            tex = tex[len(before) : len(tex) - len(after)].strip()
            break
    styled = _STYLED.match(tex)
    return " ".join((styled.group(1) if styled else tex).split())


def write_formulas(tree: Tree) -> bytes | None:
    """The page's markup with every formula replaced by its TeX as text; None where there is none to replace.

    A formula in its own display stands between $$, others between $. A formula of which neither TeX nor MathML is there
    stays as it is.
    """
    if not _may_have_formulas(tree):
        return None
    pieces: list[bytes] = []
    at = 0
    for node, tex, display in _formulas(tree):
        start = tree.opening(node)
        if start < at:
            continue
        sign = "$$" if display else "$"
        text = html.escape(f"{sign}{tex}{sign}", quote=False) if tex else ""
        pieces += [tree.markup[at:start], f"<span>{text}</span>".encode("utf-8", "replace")]
        at = int(tree.nodes.close[node])
    return b"".join([*pieces, tree.markup[at:]]) if pieces else None


def _may_have_formulas(tree: Tree) -> bool:
    said = (tree.nodes.tag == TAG["math"]) | ((tree.nodes.words & FORMULA) != 0)
    return bool(said.any()) or any(sign in tree.markup for sign in _SIGNS)


def _formulas(tree: Tree) -> list[tuple[int, str, bool]]:
    """(element, its TeX or "" where it shows again what another has, whether in display), outermost elements first."""
    found: list[tuple[int, str, bool]] = []
    names, node, size = tree.tag, 0, len(tree)
    sources = _tex_sources(tree)
    while node < size:
        result = _formula(tree, node, sources) if names[node] else None
        if result is None:
            node += 1
        else:
            found.append((node, *result))
            node = tree.last[node]
    return found


def _tex_sources(tree: Tree) -> bool:
    """Whether MathJax's scripts hold the TeX of what else would be read from what it rendered."""
    return any("math/" in tree.attributes(node).get("type", "") for node in tree.find("script"))


def _formula(tree: Tree, node: int, in_scripts: bool) -> tuple[str, bool] | None:
    name = tree.name(node)
    if name == "math":
        return _of_math(tree, node)
    if name == "script":
        kind = tree.attributes(node).get("type", "")
        if kind.startswith(("math/tex", "math/latex")):
            return tidy_tex(html.unescape(tree.raw_text(node))), "mode=display" in kind
        return None
    if name == "img":
        return _of_picture(tree, node)
    if name not in ("span", "div", "#unknown", "p", "figure", "nobr"):
        return None
    return _of_wrapper(tree, node, name, in_scripts)


def _of_wrapper(tree: Tree, node: int, name: str, in_scripts: bool) -> tuple[str, bool] | None:
    """A formula by the element that a renderer put around it."""
    attributes = tree.attributes(node)
    tex = next((attributes[key] for key in _TEX_ATTRIBUTES if attributes.get(key)), "")
    kind = attributes.get("class", "")
    is_container = tree.written_name(node) == "mjx-container"
    if tex and (_LOOKS_LIKE_TEX.search(tex)) and (is_container or name in ("span", "div")):
        return tidy_tex(tex), "display" in kind or attributes.get("display") == "true"
    if not is_container and not _WRAPPER.search(kind):
        return None
    display = bool(_DISPLAY.search(kind)) or attributes.get("display") in ("true", "block")
    if in_scripts and (is_container or _RENDERED.search(kind) or "Preview" in kind):
        return "", False
    for inner in range(node + 1, tree.last[node]):
        if tree.name(inner) in ("math", "img", "script"):
            result = _formula(tree, inner, in_scripts)
            if result is not None and result[0]:
                return result[0], display or result[1]
    label = attributes.get("aria-label", "")
    return (tidy_tex(label), display) if is_container and "\\" in label else None


def _of_math(tree: Tree, node: int) -> tuple[str, bool] | None:
    if int(tree.nodes.close[node]) - int(tree.nodes.start[node]) > _FORMULA_BYTES:
        return None
    attributes = tree.attributes(node)
    display = attributes.get("display") == "block" or attributes.get("mode") == "display"
    markup = tree.markup[tree.opening(node) : int(tree.nodes.close[node])].decode("utf-8", "replace")
    annotation = re.search(
        r'<annotation[^<>]{0,200}?encoding="[^"]{0,40}tex[^"]{0,20}"[^<>]{0,200}>([^<]*)', markup, re.I
    )
    tex = html.unescape(annotation.group(1)) if annotation else attributes.get("alttext", "")
    tex = tidy_tex(tex)
    if not tex and "data-latex" in attributes:
        tex = tidy_tex(attributes["data-latex"])
    tex = tex or mathml_to_tex(tree.element(node))
    return (tex, display) if tex else None


def _of_picture(tree: Tree, node: int) -> tuple[str, bool] | None:
    attributes = tree.attributes(node)
    said = next((attributes[key] for key in _TEX_ATTRIBUTES if attributes.get(key)), "")
    tex = said or attributes.get("alt") or ""
    if not tex.strip() or len(tex) > 5_000 or not _LOOKS_LIKE_TEX.search(tex):
        return None
    kind = attributes.get("class", "")
    if said or _PICTURE.search(kind) or _PICTURE_SOURCE.search(attributes.get("src", "")):
        return tidy_tex(tex), "display" in kind
    return None
