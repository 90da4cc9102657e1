"""Code of pages: where it is, its lines without their numbers, its language."""

from __future__ import annotations

import re
from dataclasses import dataclass

from autoclave.corpus.inline import CODE_CHARACTERS, backticks
from autoclave.extraction.tree import Tree
from autoclave.kernels.markup.vocabulary import TAG, TEXT, WORD

_PRE, _CODE, _BR, _TABLE, _TD, _SPAN, _TEXTAREA = (
    TAG[name] for name in ("pre", "code", "br", "table", "td", "span", "textarea")
)
_LINES = frozenset(TAG[name] for name in ("div", "p", "li", "tr"))
# Pre-formatted text that is code by its markup, or by that of the elements around it; poems and mails in <pre> stay as
# they are.
_IS_CODE = re.compile(
    r"highlight|lang(?:uage)?[-_]|\bcode|prettyprint|brush|\bsource|\bsrc\b|syntax|listing|hljs|programlisting|screen|"
    r"crayon|prism|shiki|codehilite|snippet",
    re.IGNORECASE,
)
_TOKENS = re.compile(r"^(?:[a-z]{1,2}\d?|token.*|hljs-.*|pl-.*|cm-.*|mtk\d+|\w+-keyword)$")
_GUTTER = re.compile(
    r"(?:^|[\s_-])(?:lineno|linenos|linenumbers?|line-numbers?(?:-rows)?|gutter|lnum|blob-num|hljs-ln-n\w*|ln|"
    r"react-syntax-highlighter-line-number|crayon-nums?|rouge-gutter|linenodiv|num)(?:[\s_-]|$)",
    re.IGNORECASE,
)
_LINE = re.compile(r"(?:^|\s)(?:line|code-line|view-line|token-line|cl|CodeMirror-line|crayon-line|ec-line)(?:\s|$)")
_NUMBER = re.compile(r"[\d\s]*\Z")
# What highlighters put around code that they write without <pre>: an element a line.
_HOLDER = re.compile(
    r"(?:^|\s)(?:syntaxhighlighter|dp-highlighter|js-file-line-container|CodeMirror-(?:code|lines)|ace_text-layer|"
    r"crayon-(?:main|code)|hljs-ln|blob-wrapper|view-lines)(?:\s|$)"
)
# Names of languages in class names: of <code> and <pre> themselves, or of what GitHub and Jekyll put around them. The
# wrapper of Sphinx (highlight-python) names its default, whatever the code is, and says nothing.
_LANGUAGE = re.compile(
    r"(?:^|\s)(?:lang(?:uage)?-|highlight-source-|brush:\s*|sourceCode\s+|prettyprint lang-)([\w+#.-]+)"
)
_NOT_A_LANGUAGE = frozenset(
    {"none", "text", "plaintext", "plain", "txt", "nohighlight", "default", "code", "undefined"}
)


@dataclass(frozen=True)
class Code:
    """A piece of code. node: the element that holds all of it; fenced: whether it is code, or other text whose lines
    stand as they are; language: its name, or ""."""

    node: int
    fenced: bool
    language: str


def find_code(tree: Tree, text_node: int, around: list[int]) -> Code | None:
    """The code that a block lies in; around: the block elements around it, nearest first."""
    for node in reversed(around):  # a highlighter may write a <pre> a line, or a cell
        if tree.nodes.words[node] & WORD["code"] and _HOLDER.search(tree.attributes(node).get("class", "")):
            return Code(node, True, _language(tree, node, [], []))
    place = next((number for number, node in enumerate(around) if tree.tag[node] == _PRE), None)
    if place is None:
        return _code_without_pre(tree, text_node, around)
    pre = around[place]
    attributes = tree.attributes(pre)
    names = attributes.get("class", "")
    inner = [node for node in range(pre + 1, min(tree.last[pre], pre + 40)) if tree.tag[node] != TEXT]
    codes = [node for node in inner if tree.tag[node] == _CODE]
    language = _language(tree, pre, codes, around[place + 1 : place + 4])
    is_code = bool(codes) or bool(language) or bool(_IS_CODE.search(names)) or "data-language" in attributes
    is_code = is_code or any(
        _IS_CODE.search(tree.attributes(node).get("class", "")) for node in around[place + 1 : place + 5]
    )
    is_code = is_code or sum(bool(_TOKENS.match(tree.attributes(node).get("class", ""))) for node in inner[:8]) >= 2
    return Code(pre, is_code, language)


def _code_without_pre(tree: Tree, text_node: int, around: list[int]) -> Code | None:
    """Code by a highlighter that writes no <pre>, or a <code> of several lines that fills its block."""
    for node in around[:8]:
        if _is_beside_numbers(tree, node):
            return Code(node, True, _language(tree, node, [], []))
    for node in tree.ancestors(text_node):
        if around and node == around[0]:
            return None
        if tree.tag[node] == _CODE:
            lines = sum(tree.tag[at] == _BR for at in range(node, tree.last[node]))
            return Code(node, True, _language(tree, node, [], [])) if lines else None
    return None


def _is_beside_numbers(tree: Tree, node: int) -> bool:
    """Whether a cell is that of the code in a table of line numbers and code."""
    if tree.tag[node] != _TD or "code" not in tree.attributes(node).get("class", ""):
        return False
    row = tree.parent[node]
    cells = [at for at in range(row + 1, node) if tree.tag[at] == _TD and tree.parent[at] == row]
    return any(_GUTTER.search(tree.attributes(at).get("class", "")) for at in cells)


def _language(tree: Tree, node: int, codes: list[int], around: list[int]) -> str:
    for at in [*codes[:1], node, *around]:
        attributes = tree.attributes(at)
        named = attributes.get("data-language") or attributes.get("data-lang") or ""
        found = _LANGUAGE.search(attributes.get("class", ""))
        name = (named or (found.group(1) if found else "")).strip().lower().rstrip(";,")
        if name and name not in _NOT_A_LANGUAGE and len(name) < 20 and re.fullmatch(r"[\w+#.-]+", name):
            return name
    return ""


def code_block(tree: Tree, code: Code) -> str:
    """The code with its lines, between fences longer than any run of backticks in it; other text without fences."""
    text = _lines(tree, code.node)
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u00a0", " ")
    text = "\n".join(line.rstrip() for line in text.split("\n")).strip("\n")
    if is_gutter(tree, code.node, text):
        return ""
    if not code.fenced or not text.strip():
        return text
    runs = [len(run) for run in re.findall("`{3,}", text)]
    fence = "`" * (max(runs, default=2) + 1)
    return f"{fence}{code.language}\n{text}\n{fence}"


def is_gutter(tree: Tree, node: int, text: str) -> bool:
    """Whether all that an element of code holds is the numbers of its lines."""
    if not all(_NUMBER.match(line) for line in text.split("\n")):
        return False
    return any(_GUTTER.search(tree.attributes(at).get("class", "")) for at in [node, *tree.ancestors(node)[:4]])


def _lines(tree: Tree, node: int) -> str:
    pieces: list[str] = []
    at, last = node + 1, tree.last[node]
    breaks_needed = not _has_breaks(tree, node)
    is_preserved = tree.tag[node] == _PRE or any(tree.tag[inner] == _PRE for inner in range(node, last))
    ends: list[int] = []
    while at < last:
        while ends and at >= ends[-1]:
            ends.pop()
            _end_line(pieces)
        tag = tree.tag[at]
        if tag == TEXT:
            text = tree.text(at)
            if is_preserved or "\n" not in text or text.strip():
                pieces.append(text)
        elif tag == _BR:
            pieces.append("\n")
        elif tree.last[at] > at + 1 or tag in _LINES:
            attributes = tree.attributes(at)
            names = attributes.get("class", "")
            if names and _GUTTER.search(names) and _NUMBER.match(tree.all_text(at)):
                at = tree.last[at]
                continue
            displayed = "display:block" in attributes.get("style", "").replace(" ", "")
            if tag in _LINES or (breaks_needed and (_LINE.search(names) or displayed or "data-line" in attributes)):
                _end_line(pieces)
                ends.append(tree.last[at])
        at += 1
    return "".join(pieces)


def _end_line(pieces: list[str]) -> None:
    if pieces and not pieces[-1].endswith("\n"):
        pieces.append("\n")


def _has_breaks(tree: Tree, node: int) -> bool:
    """Whether line ends stand between the lines of code, as text or <br>."""
    return (
        any(
            tree.tag[at] == _BR or (tree.tag[at] == TEXT and "\n" in tree.text(at).strip(" \t"))
            for at in range(node + 1, tree.last[node])
        )
        and "\n"
        in "".join(
            tree.text(at) if tree.tag[at] == TEXT else "\n" * (tree.tag[at] == _BR)
            for at in range(node + 1, tree.last[node])
        ).strip()
    )


def inline_code(content: str) -> str:
    """A piece of code in a sentence between backticks; what is long or has several lines stays as it is."""
    text = content.strip()
    if not text or len(text) > CODE_CHARACTERS or "\x00" in text or text.startswith("$"):
        return content
    return text.join(backticks(text))
