"""What a piece of a large file is."""

from __future__ import annotations

import msgspec


class Piece(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A part of one file, read as a shard of its own.

    A record belongs to the piece that its first byte lies in, so that every record is read once, whatever the sizes.
    """

    kind: str
    """warc, jsonl, parquet or arrow."""
    start: int
    """First byte of WARC and JSONL, first row group of Parquet, first batch of Arrow."""
    end: int
    """... behind the last."""
    first: int | None = None
    """Number of the first line (JSONL) or row (Arrow); where the first record begins (WARC), None to look for it."""
    position: int | None = None
    """WARC: position of the first record in the uncompressed stream, where that is known."""


class PieceFacts(msgspec.Struct):
    """What reading a piece of a WARC file showed; bytes of the file, -1 where there is none."""

    began: int = -1
    """Where its first record begins."""
    stopped: int = -1
    """Where the first record behind its end begins."""
    length: int = 0
    """Uncompressed bytes from the one to the other, or to the end of the file."""
    unplaced: int = 0
    """Records and errors whose place is one in the uncompressed stream, read without knowing where that began."""
