"""From a page to its tree, with formulas written as TeX."""

from __future__ import annotations

import numpy as np
from resiliparse.parse.html import HTMLTree

from autoclave.extraction.formulas import write_formulas
from autoclave.extraction.tree import Tree
from autoclave.kernels.markup.measure import shorten

# More tags, deeper nesting, more in one tag, more open formatting elements than any page has that people read.
HOSTILE = np.array([400_000, 1_000, 4_000, 60], np.int64)


def parse(page: str) -> Tree:
    """Parse a page by the rules of HTML 5. Formulas become their TeX between dollar signs.

    A page that would take a parser long (its time grows with the square of the depth of nesting and of the attributes
    of a tag, and with the product of open formatting elements and paragraphs) is read as it stands, without the rules
    of error correction, in time in proportion to its length.
    """
    short, costs = shorten(np.frombuffer(page.encode("utf-8", "replace"), np.uint8))
    data = short.tobytes()
    if not (costs > HOSTILE).any():
        document = HTMLTree.parse_from_bytes(data, "utf-8").document
        data = document.html.encode("utf-8", "replace") if document is not None else b""
    tree = Tree(data)
    written = write_formulas(tree)
    return tree if written is None else Tree(written)
