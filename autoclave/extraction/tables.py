"""Tables of data (not of layout) and their Markdown."""

from __future__ import annotations

from dataclasses import dataclass

from autoclave.extraction.tree import Tree
from autoclave.kernels.markup.vocabulary import TAG

_TABLE, _TR, _TD, _TH, _PRE, _CAPTION = (TAG[name] for name in ("table", "tr", "td", "th", "pre", "caption"))
_SECTIONS = frozenset(TAG[name] for name in ("thead", "tbody", "tfoot"))
_OF_PAGES = frozenset(
    TAG[name] for name in ("h1", "h2", "h3", "article", "section", "nav", "form", "blockquote", "pre", "footer")
)
# A cell with more text than this is a column of a page, not a datum; a table with a header row may say more.
_CELL_CHARACTERS = 600
_HEADED_CELL_CHARACTERS = 3_000
_COLUMNS = 200
_ROWS = 20_000


@dataclass(frozen=True)
class Table:
    """Rows of a table of data: the cell nodes, -1 where a cell spans from the left or from above."""

    rows: list[list[int]]
    caption: int

    def write(self, cells: list[list[str]], title: str) -> str:
        """Return the Markdown of its cells' texts; the first row is the head, empty rows and columns stay away."""
        rows = [row for row in cells if any(row)]
        if not rows:
            return ""
        width = max(map(len, rows))
        rows = [row + [""] * (width - len(row)) for row in rows]
        columns = [number for number in range(width) if any(row[number] for row in rows)]
        lines = [] if not title else [title, ""]
        body = ["| " + " | ".join(row[number] for number in columns) + " |" for row in rows]
        return "\n".join([*lines, body[0], "|" + " --- |" * len(columns), *body[1:]])


def find_table(tree: Tree, node: int) -> Table | None:
    """The table of data that a <table> is, None where it is layout: holds tables, headings or whole texts, or has one
    row or one column."""
    rows: list[list[int]] = []
    caption, headed = -1, False
    spans: dict[int, int] = {}
    at, last = node + 1, tree.last[node]
    while at < last:
        tag = tree.tag[at]
        if tag == _TABLE or tag in _OF_PAGES:
            return None
        if tag == _CAPTION:
            caption = at
        elif tag == _TR:
            if len(rows) >= _ROWS:
                return None
            row, heads = _row(tree, at, spans)
            headed |= heads
            rows.append(row)
        at += 1
    full = [row for row in rows if sum(cell >= 0 and tree.has_text(cell) for cell in row) >= 1]
    if len(full) < 2 or max(sum(cell >= 0 for cell in row) for row in full) < 2:
        return None
    limit = _HEADED_CELL_CHARACTERS if headed else _CELL_CHARACTERS
    if any(tree.text_bytes(cell) > limit for row in full for cell in row if cell >= 0):
        return None
    return Table(rows, caption)


def _row(tree: Tree, row: int, spans: dict[int, int]) -> tuple[list[int], bool]:
    """The cells of a row, and whether one of them is a head; `spans`: rows that each column is still spanned for."""
    cells: list[int] = []
    headed = False
    at = row + 1
    while at < tree.last[row] and len(cells) < _COLUMNS:
        if tree.tag[at] in (_TD, _TH):
            while spans.get(len(cells), 0) > 0:
                spans[len(cells)] -= 1
                cells.append(-1)
            headed |= tree.tag[at] == _TH
            attributes = tree.attributes(at)
            width = _span(attributes.get("colspan"))
            height = _span(attributes.get("rowspan"))
            if height > 1:
                spans.update({len(cells) + column: height - 1 for column in range(width)})
            cells += [at, *[-1] * (width - 1)]
        at = max(at + 1, tree.last[at])
    while spans.get(len(cells), 0) > 0:
        spans[len(cells)] -= 1
        cells.append(-1)
    return cells, headed


def _span(text: str | None) -> int:
    return min(int(text), _COLUMNS) if text and text.isdigit() and len(text) < 5 and int(text) > 0 else 1
