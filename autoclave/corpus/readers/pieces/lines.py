"""Pieces of uncompressed files of lines: where lines begin, and how many there are."""

from __future__ import annotations

import codecs
from typing import BinaryIO

from autoclave.corpus.readers.pieces.file_range import FileRange

BLOCK_BYTES, EDGE_BYTES = 1 << 20, 1 << 16


def line_start(file: BinaryIO, at: int) -> int:
    """Return where the first line at or after byte `at` begins: behind a line end (\\n, \\r\\n or \\r) or at byte 0.

    The end of the file where no line does.
    """
    if at == 0:
        return 0
    file.seek(at - 1)
    at -= 1
    after_turn = False
    while block := file.read(EDGE_BYTES):
        if after_turn:  # a \\r that ended the block before
            return at + block.startswith(b"\n")
        ends = [end for end in (block.find(b"\n"), block.find(b"\r")) if end >= 0]
        if ends:
            end = min(ends)
            if block[end] == 0x0A:
                return at + end + 1
            if end + 1 < len(block):
                return at + end + 1 + (block[end + 1] == 0x0A)
            after_turn = True
        at += len(block)
    return at


def whole_lines(file: BinaryIO, start: int, end: int, head: bytes = b"", edges: BinaryIO | None = None) -> FileRange:
    """Return, behind `head`, the lines of a file that begin from byte `start` on and before byte `end`.

    Without the byte order mark that the file begins with. edges: the same file, opened to fetch little at once.
    """
    edges = edges or file
    first = line_start(edges, start)
    stop = line_start(edges, end) if first < end else first
    edges.seek(0)
    mark = len(codecs.BOM_UTF8) if first == 0 and edges.read(3) == codecs.BOM_UTF8 else 0
    return FileRange(file, first + mark, stop, head)


def count_lines(file: BinaryIO, start: int, end: int, edges: BinaryIO | None = None) -> int:
    """Return how many lines of a file begin from byte `start` on and before byte `end`, as `TextStream` takes them."""
    lines = whole_lines(file, start, end, edges=edges)
    count, last = 0, b""
    while block := lines.read(BLOCK_BYTES):
        turns = block.count(b"\r")
        count += block.count(b"\n") + turns
        count -= block.count(b"\r\n") if turns else 0
        count -= last == b"\r" and block.startswith(b"\n")
        last = block[-1:]
    return count + (last not in (b"", b"\n", b"\r"))
