"""Lists of paths, one a line: Common Crawl's (warc.paths.gz, wet.paths.gz) and one's own."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from autoclave.corpus.inputs.left_out import PATH_LIST, bare_name
from autoclave.corpus.readers.lines import TextStream
from autoclave.corpus.storage import open_read
from autoclave.errors import InputError

COMMON_CRAWL = "https://data.commoncrawl.org/"
_LINE_BYTES = 1 << 16
_LIST_SIGN = "@"


@dataclass(frozen=True)
class ListedPath:
    """One line of a list: its number from 1, the URL or path of the file, the file's name in doc_ids."""

    line: int
    url: str
    source: str


def path_list_of(argument: str) -> str | None:
    """Return the list that an argument names: one that ends in `.paths`, compressed or not, or any behind an `@`."""
    if argument.startswith(_LIST_SIGN):
        return argument.removeprefix(_LIST_SIGN)
    return argument if bare_name(argument).endswith(PATH_LIST) else None


def read_path_list(url: str, base: str | None) -> list[ListedPath]:
    """Return the files that a list names, in its order; blank lines and those that begin with # are passed over.

    base: what relative lines are relative to. Without one, lines that begin with `crawl-data/` are Common Crawl's, and
    others lie beside the list. A relative line is the file's name in doc_ids; of other lines the last part is.
    Raises InputError where there is no such list, or it is none.
    """
    listed: list[ListedPath] = []
    with open_read(url) as file:
        stream = TextStream(file)
        number = 0
        while line := stream.readline(_LINE_BYTES):
            number += 1
            text = line.decode("utf-8", "replace").strip()
            if "\x00" in text or len(line) >= _LINE_BYTES:
                raise InputError(f"{url}:{number}: not a list of paths, one a line")
            if text and not text.startswith("#"):
                listed.append(_listed(number, text, url, base))
        if stream.damage is not None:
            raise InputError(f"{url}:{number + 1}: {stream.damage}; fetch the list again")
    return listed


def _listed(number: int, text: str, url: str, base: str | None) -> ListedPath:
    if "://" in text or text.startswith("/"):
        return ListedPath(number, text, posixpath.basename(text))
    if base is None:
        base = COMMON_CRAWL if text.startswith("crawl-data/") else posixpath.dirname(url) or "."
    inside = posixpath.normpath(text)
    source = posixpath.basename(inside) if inside.startswith("..") else inside
    return ListedPath(number, f"{base.rstrip('/')}/{inside}", source)
