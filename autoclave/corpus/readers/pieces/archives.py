"""Pieces of WARC files: where a record begins at or after a byte, and the records from there to behind the end.

Where records begin is looked for in the bytes alone, so a record may be found that is not one: an archive inside an
archive. The piece before knows better, since it reads on until it is behind its end. So each says where it began and
where it stopped, and whoever reads all pieces compares (`pipelines/extract_plan.py`).
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, cast

import zstandard

from autoclave.corpus.decoding.frames import GZIP_MAGIC, ZSTD_MAGIC
from autoclave.corpus.readers.pieces.file_range import FileRange
from autoclave.corpus.readers.pieces.piece import Piece, PieceFacts
from autoclave.corpus.readers.raw import ErrorReport, SkipReport
from autoclave.corpus.readers.records import WarcRecord
from autoclave.corpus.readers.streams import INSIDE_FRAME
from autoclave.corpus.readers.warc import WarcParser

WINDOW_BYTES = 1 << 18
DICTIONARY_MAGIC = b"\x5d\x2a\x4d\x18"
_VERSION = re.compile(rb"WARC/\d+\.\d+", re.IGNORECASE)
_RECORD = re.compile(rb"(?<=\n)WARC/\d+\.\d+[^\S\n]*\n[^\S\n]*[A-Za-z][\w-]*[^\S\n]*:", re.IGNORECASE)
_RECORD_BYTES = 256
VERSION_BYTES = 16
DICTIONARY_BYTES = 64 << 20


class PieceParser(WarcParser):
    """Iterates over the records of a piece, whose offsets are those in the whole file; then `facts` are complete.

    view: the file from where the first record begins, behind `base` other bytes fewer than stand before it in the file.
    """

    def __init__(
        self,
        view: FileRange,
        source: str,
        errors: ErrorReport,
        skipped: SkipReport,
        limit: int,
        piece: Piece,
        begin: int,
        base: int,
    ) -> None:
        self.facts = PieceFacts(began=begin)
        self._end, self._base = piece.end, base
        self._position = 0 if begin == 0 else piece.position
        super().__init__(cast(BinaryIO, view), source, errors, skipped, limit)

    def __iter__(self) -> Iterator[WarcRecord]:
        if self.facts.began < 0:
            return
        for record in super().__iter__():
            record.offset = self._place(record.offset)
            yield record
        self.facts.length = self.stream.position

    def _place(self, offset: int) -> int:
        """Return the offset in the whole file of what has this offset in the view."""
        if not offset & INSIDE_FRAME:
            return offset + self._base
        if self._position is None:
            self.facts.unplaced += 1
            return offset
        return (offset & ~INSIDE_FRAME) + self._position | INSIDE_FRAME

    def _report(self, offset: int, cause: str) -> None:
        super()._report(self._place(offset), cause)

    def _is_behind(self, offset: int) -> bool:
        behind = not offset & INSIDE_FRAME and offset + self._base >= self._end
        if behind:
            self.facts.stopped = offset + self._base
        return behind


def piece_parser(
    file: BinaryIO,
    source: str,
    errors: ErrorReport,
    skipped: SkipReport,
    limit: int,
    piece: Piece,
    beginning: BinaryIO | None = None,
) -> PieceParser:
    """Return a parser of the records that begin in a piece of a WARC file, plain or in gzip members or zstd frames.

    beginning: the same file, opened to fetch little at once.
    """
    beginning = beginning or file
    size = file.seek(0, 2)
    begin = piece.first if piece.first is not None else find_record(file, piece.start, piece.end, beginning)
    if begin is None or begin >= piece.end:
        return PieceParser(FileRange(file, size, size), source, errors, skipped, limit, piece, -1, 0)
    head = read_dictionary(beginning) if begin else b""
    view = FileRange(file, begin, size, head)
    return PieceParser(view, source, errors, skipped, limit, piece, begin, begin - len(head))


def read_dictionary(file: BinaryIO) -> bytes:
    """Return the frame with the dictionary that a `.warc.zst` begins with; nothing where there is none."""
    file.seek(0)
    head = file.read(8)
    if not head.startswith(DICTIONARY_MAGIC):
        return b""
    return head + file.read(min(int.from_bytes(head[4:], "little"), DICTIONARY_BYTES))


def find_record(file: BinaryIO, start: int, end: int, beginning: BinaryIO | None = None) -> int | None:
    """Return the byte from `start` on and before `end` where something begins that looks like a record; None without.

    In gzip and zstd that is a member or frame whose content begins so, in plain files a line. beginning: the same file
    to look at its container; None for `file`.
    """
    if start == 0:
        return 0
    beginning = beginning or file
    beginning.seek(0)
    head = beginning.read(4)
    if head.startswith(GZIP_MAGIC):
        return _find(file, start, end, re.compile(re.escape(GZIP_MAGIC)), _gzip_begins)
    if head in (ZSTD_MAGIC, DICTIONARY_MAGIC):
        begins = _ZstdBeginning(read_dictionary(beginning)[8:])
        return _find(file, start, end, re.compile(re.escape(ZSTD_MAGIC)), begins)
    return _find(file, start, end, _RECORD, lambda probe: True)


def _find(
    file: BinaryIO, start: int, end: int, sign: re.Pattern[bytes], is_record: Callable[[bytes], bool]
) -> int | None:
    """Return where the first match of `sign` lies at which `is_record` holds of the bytes there."""
    at = start - 1  # lines are told by the line end before them
    while at < end:
        file.seek(at)
        window = file.read(WINDOW_BYTES + _RECORD_BYTES)
        for match in sign.finditer(window, 1):
            found = at + match.start()
            if found >= end or match.start() > WINDOW_BYTES:
                break
            file.seek(found)
            if is_record(file.read(WINDOW_BYTES) if sign is not _RECORD else b""):
                return found
        if len(window) < WINDOW_BYTES + _RECORD_BYTES:
            return None
        at += WINDOW_BYTES
    return None


def _gzip_begins(probe: bytes) -> bool:
    try:
        return bool(_VERSION.match(zlib.decompressobj(wbits=31).decompress(probe, VERSION_BYTES)))
    except zlib.error:
        return False


class _ZstdBeginning:
    """Whether a zstd frame begins like a record."""

    def __init__(self, dictionary: bytes) -> None:
        try:
            if dictionary.startswith(ZSTD_MAGIC):
                dictionary = zstandard.ZstdDecompressor().decompressobj().decompress(dictionary)
            data = zstandard.ZstdCompressionDict(dictionary) if dictionary else None
        except zstandard.ZstdError:  # the first piece reports it
            data = None
        self._decompressor = zstandard.ZstdDecompressor(dict_data=data)

    def __call__(self, probe: bytes) -> bool:
        try:
            return bool(_VERSION.match(self._decompressor.stream_reader(io.BytesIO(probe)).read(VERSION_BYTES)))
        except zstandard.ZstdError:
            return False
