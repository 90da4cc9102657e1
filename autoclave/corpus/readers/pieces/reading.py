"""Reading one piece of a large file: the documents of all its pieces, in order, are those of the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import BinaryIO, cast

import pyarrow as pa

from autoclave.corpus.readers.jsonl import read_jsonl
from autoclave.corpus.readers.pieces.archives import piece_parser
from autoclave.corpus.readers.pieces.lines import EDGE_BYTES, whole_lines
from autoclave.corpus.readers.pieces.piece import Piece, PieceFacts
from autoclave.corpus.readers.raw import (
    MAX_PAYLOAD_BYTES,
    ErrorReport,
    SkipReport,
    ValueReport,
    ignore_skipped,
    ignore_unreadable,
    raise_if_machine,
)
from autoclave.corpus.readers.tables.arrow import read_arrow
from autoclave.corpus.readers.tables.columns import FAULTS
from autoclave.corpus.readers.tables.parquet import read_parquet
from autoclave.corpus.readers.warc import read_warc
from autoclave.corpus.storage import open_read

_BLANK_LINES = b"\n" * 4  # before a piece of lines, so that nothing in it is taken for the beginning of a file


class PieceReader:
    """Iterates over the raw records (RAW_SCHEMA) of one piece of a file; then `facts` of WARC are complete.

    The arguments are those of `read_raw`. Raises what it does.
    """

    def __init__(
        self,
        path: str,
        source: str,
        piece: Piece,
        errors: ErrorReport,
        skipped: SkipReport = ignore_skipped,
        fields: Mapping[str, str] | None = None,
        max_payload_bytes: int = MAX_PAYLOAD_BYTES,
        *,
        unreadable: ValueReport = ignore_unreadable,
        max_text_bytes: int | None = None,
    ) -> None:
        self.facts = PieceFacts()
        self._path, self._source, self._piece = path, source, piece
        self._errors, self._skipped, self._unreadable = errors, skipped, unreadable
        self._fields, self._payload_bytes, self._text_bytes = fields, max_payload_bytes, max_text_bytes

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        with open_read(self._path) as file:
            try:
                yield from {"warc": self._warc, "jsonl": self._jsonl, "parquet": self._parquet, "arrow": self._arrow}[
                    self._piece.kind
                ](file)
            except (*FAULTS, OSError) as error:  # no reader should raise; where one does, other shards stay
                raise_if_machine(error)
                self._errors(self._source, f"reading stopped, the rest is left out: {type(error).__name__}: {error}")

    def _warc(self, file: BinaryIO) -> Iterator[pa.RecordBatch]:
        with open_read(self._path, EDGE_BYTES) as edges:
            parser = piece_parser(
                file, self._source, self._errors, self._skipped, self._payload_bytes, self._piece, edges
            )
        yield from read_warc(file, self._source, self._errors, self._skipped, self._payload_bytes, parser)
        self.facts = parser.facts

    def _jsonl(self, file: BinaryIO) -> Iterator[pa.RecordBatch]:
        assert self._piece.first is not None
        with open_read(self._path, EDGE_BYTES) as edges:
            lines = whole_lines(file, self._piece.start, self._piece.end, _BLANK_LINES, edges)
        first = self._piece.first - len(_BLANK_LINES)
        yield from read_jsonl(cast(BinaryIO, lines), self._source, self._errors, self._fields, first)

    def _parquet(self, file: BinaryIO) -> Iterator[pa.RecordBatch]:
        groups = range(self._piece.start, self._piece.end)
        yield from read_parquet(
            file, self._source, self._errors, self._fields, self._unreadable, self._text_bytes, groups
        )

    def _arrow(self, file: BinaryIO) -> Iterator[pa.RecordBatch]:
        batches, first = range(self._piece.start, self._piece.end), self._piece.first or 0
        yield from read_arrow(
            file, self._source, self._errors, self._fields, self._unreadable, self._text_bytes, batches, first
        )
