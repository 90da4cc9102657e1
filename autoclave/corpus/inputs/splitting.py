"""Large files in pieces, so that several workers read one: where pieces begin, and why a file stays whole.

The plan depends on the file and the settings alone. It needs the beginning of the file, of Parquet and Arrow the end.
"""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from autoclave.corpus.batches import open_parquet
from autoclave.corpus.readers.detect import detect_format, read_head
from autoclave.corpus.readers.fields import FieldMap
from autoclave.corpus.readers.json_values import is_spread
from autoclave.corpus.readers.lines import text_encoding
from autoclave.corpus.readers.pieces.piece import Piece
from autoclave.corpus.readers.raw import raise_if_machine
from autoclave.corpus.readers.streams import ByteStream
from autoclave.corpus.readers.tables.arrow import FILE_MAGIC, batch_rows, open_arrow
from autoclave.corpus.readers.tables.nested import lifted_names
from autoclave.corpus.storage import open_read

LOOKS = 16
"""Files that are looked at at a time."""
LOOK_BYTES = 1 << 16
"""Bytes that are fetched at once to look at a file on a store."""
_CONTENT_BYTES = 4 << 20  # looked at behind the beginning of a compressed archive, for a second member or frame
_VERSION = re.compile(rb"WARC/\d", re.IGNORECASE)
_NEXT_RECORD = re.compile(rb"\n\r?\nWARC/\d", re.IGNORECASE)

Plan = Sequence[Piece] | str | None
"""The pieces of a file; why it stays whole though it is large; None where it is not large."""


def plan_pieces(
    files: Sequence[tuple[str, int]], split_bytes: int, fields: Mapping[str, str] | None = None
) -> list[Plan]:
    """Return the plan of each file of (path or URL, bytes as stored); those of more than `split_bytes` are
    split, none where it is 0.

    Raises InputError where a file is gone, OSError where it cannot be had.
    """
    large = [number for number, (_, size) in enumerate(files) if size > split_bytes > 0]
    plans: list[Plan] = [None] * len(files)
    with ThreadPoolExecutor(LOOKS) as pool:
        found = pool.map(lambda number: _plan(*files[number], split_bytes, fields), large)
        for number, plan in zip(large, found, strict=True):
            plans[number] = plan
    return plans


def _plan(path: str, size: int, split_bytes: int, fields: Mapping[str, str] | None) -> Plan:
    number = -(-size // split_bytes)
    with open_read(path, LOOK_BYTES) as file:
        head = read_head(file)
        form = detect_format(head, path)
        if form == "warc":
            return whole_archive(head) or _bytes("warc", size, number)
        if form == "jsonl":
            return whole_lines(head) or _bytes("jsonl", size, number)
        if form not in ("parquet", "arrow"):
            return "WACZ is read by one worker" if form == "wacz" else None
        try:
            return (_row_groups if form == "parquet" else _batches)(file, number, FieldMap(fields))
        except (pa.ArrowException, OSError) as error:
            raise_if_machine(error)
            return "its footer cannot be read"


def _bytes(kind: str, size: int, number: int) -> list[Piece]:
    """Equal parts of a file, in bytes."""
    bounds = [size * part // number for part in range(number + 1)]
    return [Piece(kind=kind, start=start, end=end) for start, end in itertools.pairwise(bounds)]


def whole_archive(head: bytes) -> str | None:
    """Return why an archive that begins so cannot be entered in the middle; None where it may be possible."""
    stream = ByteStream(io.BytesIO(head))
    content = stream.peek(_CONTENT_BYTES)
    if not _VERSION.match(content.lstrip()):
        return "ARC, and WARC that begins with something else, is read from its beginning"
    if stream.compression not in ("plain", "gzip", "zstd"):
        return "lz4, bzip2 and xz are read from their beginning: gzip or zstd, a member a record, can be split"
    if stream.compression != "plain" and stream.next_frame() is None and _NEXT_RECORD.search(content):
        return "its records share one gzip member or zstd frame: write it again with a WARC library to have it split"
    return None


def whole_lines(head: bytes) -> str | None:
    """Return why JSON that begins so is not split; None where it is lines of UTF-8."""
    if ByteStream(io.BytesIO(head)).compression != "plain":
        return "compressed JSONL is read from its beginning: write it uncompressed, or as several files"
    encoding, mark = text_encoding(head)
    if encoding != "utf-8":
        return "JSONL in UTF-16 or UTF-32 is read from its beginning"
    return (
        "JSON arrays, and values over several lines, are read from their beginning" if is_spread(head[mark:]) else None
    )


def _row_groups(file: BinaryIO, number: int, names: FieldMap) -> Sequence[Piece] | str:
    parquet = open_parquet(file)
    if not names.found(lifted_names(parquet.schema_arrow, names.paths)).keys() & set(names.content):
        return "it has no column of text"
    groups = [parquet.metadata.row_group(group) for group in range(parquet.num_row_groups)]
    sizes = [sum(g.column(c).total_compressed_size for c in range(g.num_columns)) for g in groups]
    spans = cut(sizes, number)
    if len(spans) < 2:
        return "its rows are one row group, or nearly: write smaller ones to have it split"
    return [Piece(kind="parquet", start=span.start, end=span.stop) for span in spans]


def _batches(file: BinaryIO, number: int, names: FieldMap) -> Sequence[Piece] | str:
    file.seek(0)
    if file.read(len(FILE_MAGIC)) != FILE_MAGIC:
        return "an Arrow stream is read from its beginning: save_to_disk with a smaller max_shard_size writes several"
    if not names.found(lifted_names(open_arrow(file).schema, names.paths)).keys() & set(names.content):
        return "it has no column of text"
    rows = batch_rows(file)
    spans = cut(rows, number)
    if len(spans) < 2:
        return "its rows are one batch, or nearly: write smaller ones to have it split"
    return [Piece(kind="arrow", start=s.start, end=s.stop, first=sum(rows[: s.start])) for s in spans]


def cut(weights: Sequence[int], number: int) -> list[range]:
    """Return the indices of `weights` as at most `number` runs, none empty, of about equal weight."""
    if not weights:
        return []
    begins = np.concatenate(([0], np.cumsum(weights)[:-1])).astype(np.int64)
    parts = begins * number // max(sum(weights), 1)
    starts = [0, *(np.flatnonzero(np.diff(parts)) + 1).tolist()]
    return [range(start, stop) for start, stop in itertools.pairwise([*starts, len(weights)])]
