"""The Markdown of the blocks that were chosen: headings, lists, quotes, tables, code, and text with its line breaks."""

from __future__ import annotations

import re

import numpy as np

from autoclave.corpus.inline import subscript, superscript
from autoclave.extraction.code_blocks import code_block, find_code, inline_code
from autoclave.extraction.tables import Table, find_table
from autoclave.extraction.tree import Tree
from autoclave.kernels.markup.blocks import Blocks, Inherited
from autoclave.kernels.markup.vocabulary import TAG, TEXT

# Characters between which a line break of the source is no blank (CSS Text 3, 4.1.3): Chinese and Japanese, not Korean.
_UNSPACED = "\u2e80-\u303f\u3040-\u312f\u3190-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff01-\uff60\uffe0-\uffe6"
_BREAK_BETWEEN = re.compile(rf"(?<=[{_UNSPACED}])[ \t\r\f]*\n[ \t\r\n\f]*(?=[{_UNSPACED}])")
_BLANKS = re.compile(r"[ \t\r\n\f]+")
_BREAK = "\x00"
_AROUND_BREAK = re.compile(r" *\x00 *")
_EDGES = " \u3000\x00"

_BR, _SUP, _SUB, _CODE, _Q, _IMG = (TAG[name] for name in ("br", "sup", "sub", "code", "q", "img"))
_CODE_LIKE = frozenset({TAG["code"], TAG["kbd"], TAG["samp"], TAG["tt"]})
_H1, _H6, _LI, _DD, _PRE = TAG["h1"], TAG["h6"], TAG["li"], TAG["dd"], TAG["pre"]
_LISTS = frozenset({TAG["ul"], TAG["ol"], TAG["menu"], TAG["dir"]})
_OL, _QUOTE, _TABLE = TAG["ol"], TAG["blockquote"], TAG["table"]
_MARKED = frozenset({_BR, _SUP, _SUB, _Q, *_CODE_LIKE})
# Lists and quotes that lie deeper have no marks of their own.
_MARK_CHARACTERS = 40
_NOTE_MARKS = "\u21a9\u2191\u2b06\ufe0e^"


class Writer:
    """Writes chosen blocks of a page.

    chosen: bool[blocks]. `write` may be called once.
    """

    def __init__(self, tree: Tree, inherited: Inherited, blocks: Blocks, chosen: np.ndarray) -> None:
        self.tree = tree
        self.shown: list[int] = inherited.shown.tolist()
        self.first: list[int] = blocks.first.tolist()
        self.end: list[int] = blocks.last.tolist()
        self.container: list[int] = blocks.container.tolist()
        self.chosen = chosen
        self.lines: list[str] = []
        self._tables: dict[int, Table | None] = {}
        self._done: set[int] = set()
        self._marked: set[int] = set()
        self._numbers: dict[int, int] = {}
        self._heading = -1
        self._item = -1

    def write(self) -> str:
        """Return the Markdown."""
        for block in np.flatnonzero(self.chosen).tolist():
            self._write_block(block)
        return "\n".join(self.lines)

    def _write_block(self, block: int) -> None:
        around = self._around(block)
        whole = next((node for node in around if node in self._done), None)
        if whole is not None:
            return
        code = find_code(self.tree, self.first[block], around)
        if code is not None:
            self._done.add(code.node)
            text = code_block(self.tree, code)
            if text:
                self._put(text, around, is_code=code.fenced)
            return
        for node in reversed(around):  # the outermost table that is one
            if self.tree.tag[node] == _TABLE and self._table(node) is not None:
                self._done.add(node)
                self._put(self._write_table(node), around)
                return
        text = self.inline(self.first[block], self.end[block], around)
        if text:
            self._put(text, around)

    def _around(self, block: int) -> list[int]:
        node = self.container[block]
        return [node, *self.tree.ancestors(node)] if node >= 0 else []

    # -- text ---------------------------------------------------------------------------------------------------------

    def inline(self, first: int, end: int, around: list[int] | None = None) -> str:
        """The text of a run of inline nodes: one line, or several where <br> parts it."""
        tree = self.tree
        if end == first + 1:
            text = tree.text(first)
        else:
            text = "".join(self._pieces(first, end))
        preserved = around is not None and any(tree.tag[node] == _PRE for node in around[:4])
        return fold(text, preserved)

    def _pieces(self, first: int, end: int) -> list[str]:
        tree, pieces, node = self.tree, [], first
        while node < end:
            tag = tree.tag[node]
            if tag == TEXT:
                if self.shown[node]:
                    pieces.append(tree.text(node))
            elif tag in _MARKED:
                if tag == _BR:
                    pieces.append(_BREAK)
                elif self.shown[node] and tree.last[node] > node + 1:
                    stop = min(end, tree.last[node])
                    pieces.append(self._marked_up(tag, node, stop, pieces))
                    node = stop
                    continue
            node += 1
        return pieces

    def _marked_up(self, tag: int, node: int, stop: int, before: list[str]) -> str:
        content = "".join(self._pieces(node + 1, stop))
        if tag == _Q:
            return f"“{content}”"
        if tag in _CODE_LIKE:
            return inline_code(content) if tag == _CODE else content
        left = next((piece for piece in reversed(before) if piece), "")
        base = left[-1:].strip()
        if tag == _SUP and base and self._is_note(node, stop, content):
            return f"[{content.strip()}]"
        return (superscript if tag == _SUP else subscript)(content, base)

    def _is_note(self, node: int, stop: int, content: str) -> bool:
        """Whether a superscript is the number of a note: in a link into the page, or around one."""
        text = content.strip()
        if not text.isdigit():
            return False
        near = [*range(node, stop), *self.tree.ancestors(node)[:2]]
        links = [at for at in near if self.tree.tag[at] == TAG["a"]]
        return any(self.tree.attributes(at).get("href", "").startswith("#") for at in links)

    # -- tables -------------------------------------------------------------------------------------------------------

    def _table(self, node: int) -> Table | None:
        if node not in self._tables:
            self._tables[node] = find_table(self.tree, node)
        return self._tables[node]

    def _write_table(self, node: int) -> str:
        table = self._table(node)
        assert table is not None
        rows = [[self._cell(cell) for cell in row] for row in table.rows]
        return table.write(rows, self._cell(table.caption))

    def _cell(self, cell: int) -> str:
        """The text of a cell on one line: its blocks, lines and items one after another."""
        if cell < 0:
            return ""
        parts: list[str] = []
        tree, last, run, item = self.tree, self.tree.last[cell], cell + 1, -1
        ends = tree.block_ends(cell)
        for node in range(cell + 1, last + 1):
            if node == last or node in ends or tree.is_block(node):
                text = fold("".join(self._pieces(run, node)), False).replace("\n", " ")
                if text:
                    around = next((at for at in (run, *tree.ancestors(run)) if at <= cell or tree.tag[at] == _LI), cell)
                    parts.append(f"; {text}" if parts and around not in (cell, item) else f" {text}" if parts else text)
                    item = around
                run = node
        return "".join(parts).replace("|", "\\|")

    # -- what stands before a line ------------------------------------------------------------------------------------

    def _put(self, text: str, around: list[int], is_code: bool = False) -> None:
        """Write a block behind the marks of the headings, lists and quotes that it stands in; code in a list stands at
        the margin, so that its lines are what they are."""
        tree = self.tree
        marks, item, heading = self._marks(around)
        if heading >= 0:
            if heading == self._heading and self.lines:
                self.lines[-1] += " " + text.replace("\n", " ")
                return
            text = "#" * (tree.tag[heading] - _H1 + 1) + " " + text.replace("\n", " ")
        self._heading = heading
        first, rest = marks
        if is_code and item >= 0:
            first = rest = "> " * first.count("> ")
        lines = text.split("\n")
        if self.lines and not self._follows(item, around):
            self.lines.append("")
        self._item = item
        self.lines += [f"{first if number == 0 else rest}{line}".rstrip() for number, line in enumerate(lines)]

    def _follows(self, item: int, around: list[int]) -> bool:
        """Whether a block stands directly under the one before: items of one list or of lists in one another, what
        else is in an item, and what is said of a term."""
        tree, before = self.tree, self._item
        if item < 0 or before < 0:
            return bool(around) and tree.tag[around[0]] == _DD and bool(self.lines[-1])
        lists = tree.parent[before], tree.parent[item]
        return lists[0] == lists[1] or any(low <= at < tree.last[low] for low, at in (lists, lists[::-1]))

    def _marks(self, around: list[int]) -> tuple[tuple[str, str], int, int]:
        """(what stands before the first line and before the others), the innermost item (-1: none), the heading."""
        tree, first, rest = self.tree, "", ""
        item = heading = -1
        for node in reversed(around):
            tag = tree.tag[node]
            if len(rest) > _MARK_CHARACTERS and tag in (_QUOTE, _LI):
                item = node if tag == _LI else item
            elif tag == _QUOTE:
                first, rest = first + "> ", rest + "> "
            elif _H1 <= tag <= _H6:
                heading = node
            elif tag == _LI:
                item = node
                mark = self._item_mark(node)
                is_new = node not in self._marked
                self._marked.add(node)
                first += mark if is_new else " " * len(mark)
                rest += " " * len(mark)
        return (first, rest), item, heading

    def _item_mark(self, item: int) -> str:
        tree = self.tree
        listing = tree.parent[item]
        if listing < 0 or tree.tag[listing] != _OL:
            return "- "
        if item not in self._numbers:
            self._number(listing)
        return f"{self._numbers.get(item, 1)}. "

    def _number(self, listing: int) -> None:
        """Number the items of a list, each as a browser does; those without text have none."""
        tree = self.tree
        number = _integer(tree.attributes(listing).get("start"), 1)
        at = listing + 1
        while at < tree.last[listing]:
            if tree.tag[at] == _LI and tree.has_text(at):
                number = _integer(tree.attributes(at).get("value"), number)
                self._numbers[at] = number
                number += 1
            at = tree.last[at]


def _integer(text: str | None, otherwise: int) -> int:
    try:
        return int(text) if text and len(text) < 9 else otherwise
    except ValueError:
        return otherwise


def fold(text: str, preserved: bool) -> str:
    """White space as a browser folds it: runs of blanks and line ends are one blank, none at the edges and around line
    breaks; none at all for a line end between two characters that are written without blanks. Two breaks in a row are
    an empty line. A no-break space is a blank: pages use it for layout, and words beside it must be found. preserved:
    line ends stay."""
    if preserved:
        return text.replace(_BREAK, "\n").strip("\n").rstrip()
    if "\n" in text and not text.isascii():
        text = _BREAK_BETWEEN.sub("", text)
    text = text.replace("\u00a0", " ")
    if "\n" in text or "  " in text or "\t" in text:
        text = _BLANKS.sub(" ", text)
    text = text.strip(_EDGES)
    if _BREAK in text:
        text = re.sub(r"\n{3,}", "\n\n", _AROUND_BREAK.sub("\n", text))
    return text.rstrip(_NOTE_MARKS).rstrip() if text and text[-1] in "\u21a9\ufe0e" else text
