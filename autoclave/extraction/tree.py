"""A page as a flat tree: the parser's, in arrays."""

from __future__ import annotations

import html
import re
from xml.etree.ElementTree import Element

import numpy as np

from autoclave.kernels.markup.blocks import Blocks, Inherited, find_blocks
from autoclave.kernels.markup.flatten import Nodes, flatten
from autoclave.kernels.markup.titles import hash_words
from autoclave.kernels.markup.vocabulary import BLOCK, TAG, TAG_PROPERTIES, TAGS, TEXT

# A name begins behind a blank or a value: so a long name is looked at once, not from each of its characters.
_ATTRIBUTE = re.compile(r'(?<![^\s"])([^\s="]+)="([^"]*)"')
_TITLE_WORDS = 64


class Tree:
    """The nodes of a page in document order.

    markup: the page as its parser writes it, UTF-8; nodes: `Nodes`, whose arrays `tag`, `parent` and `last` are lists
    here, since Python reads single places of them; is_whole: False where the page has more nodes than are read.
    """

    def __init__(self, markup: bytes) -> None:
        self.markup = markup
        self.data = np.frombuffer(markup, np.uint8)
        nodes, self.is_whole = flatten(self.data)
        self.nodes: Nodes = nodes
        self.tag: list[int] = self.nodes.tag.tolist()
        self.parent: list[int] = self.nodes.parent.tolist()
        self.last: list[int] = self.nodes.last.tolist()

    def __len__(self) -> int:
        return len(self.tag)

    def name(self, node: int) -> str:
        """The tag's name, or "#text", or "#unknown"."""
        return TAGS[self.tag[node]]

    def opening(self, node: int) -> int:
        """The place of the `<` of an element."""
        return self.markup.rindex(b"<", 0, int(self.nodes.start[node]))

    def written_name(self, node: int) -> str:
        """The tag's name as the page has it."""
        return self.markup[self.opening(node) + 1 : self.nodes.start[node]].decode("utf-8", "replace")

    def element(self, node: int) -> Element:
        """An element with all that is in it, as the standard library has them."""
        made: dict[int, Element] = {}
        for at in range(node, self.last[node]):
            around = made.get(self.parent[at])
            if self.tag[at] != TEXT:
                made[at] = Element(self.written_name(at), self.attributes(at))
                if around is not None:
                    around.append(made[at])
            elif around is not None and len(around):
                around[-1].tail = (around[-1].tail or "") + self.text(at)
            elif around is not None:
                around.text = (around.text or "") + self.text(at)
        return made[node]

    def attributes(self, node: int) -> dict[str, str]:
        """The attributes of an element."""
        start, end = self.nodes.start[node], self.nodes.end[node]
        if end <= start:
            return {}
        found = _ATTRIBUTE.findall(self.markup[start:end].decode("utf-8", "replace"))
        return {name: html.unescape(value) for name, value in reversed(found)}

    def text(self, node: int) -> str:
        """The characters of a text node."""
        text = self.markup[self.nodes.start[node] : self.nodes.end[node]].decode("utf-8", "replace")
        return html.unescape(text) if "&" in text else text

    def raw_text(self, node: int) -> str:
        """What stands in a script or another raw element."""
        if self.last[node] == node + 1:
            return ""
        return self.markup[self.nodes.start[node + 1] : self.nodes.end[node + 1]].decode("utf-8", "replace")

    def all_text(self, node: int) -> str:
        """All text inside an element, seen or not."""
        return "".join([self.text(at) for at in range(node, self.last[node]) if self.tag[at] == TEXT])

    def is_block(self, node: int) -> bool:
        """Whether an element breaks the line."""
        return bool(TAG_PROPERTIES[self.tag[node]] & BLOCK)

    def block_ends(self, node: int) -> set[int]:
        """One after the last node of each block element inside an element."""
        return {self.last[at] for at in range(node + 1, self.last[node]) if self.is_block(at)}

    def has_text(self, node: int) -> bool:
        """Whether something other than blanks stands inside, seen or not."""
        return any(self.tag[at] == TEXT and self.text(at).strip() for at in range(node, self.last[node]))

    def text_bytes(self, node: int) -> int:
        """Bytes of the text inside an element, blanks and all."""
        spans = slice(node, self.last[node])
        texts = self.nodes.tag[spans] == TEXT
        return int((self.nodes.end[spans] - self.nodes.start[spans])[texts].sum())

    def find(self, name: str) -> list[int]:
        """All elements of a name."""
        return np.flatnonzero(self.nodes.tag == TAG[name]).tolist()

    def ancestors(self, node: int) -> list[int]:
        """The elements around a node, nearest first."""
        found = []
        node = self.parent[node]
        while node >= 0:
            found.append(node)
            node = self.parent[node]
        return found

    def blocks(self) -> tuple[Inherited, Blocks]:
        """What each node has from around it, and the blocks of text."""
        return find_blocks(self.data, self.nodes)

    def title_words(self) -> np.ndarray:
        """Hashes of the words of the page's title, uint64[words]."""
        out = np.zeros(_TITLE_WORDS, np.uint64)
        for node in self.find("title")[:1]:
            if self.last[node] > node + 1:
                span = int(self.nodes.start[node + 1]), int(self.nodes.end[node + 1])
                return out[: hash_words(self.data, *span, out)]
        return out[:0]
