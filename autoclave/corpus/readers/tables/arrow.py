"""Arrow IPC: files with a footer (also Feather 2), and streams such as `datasets.save_to_disk` writes."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping
from os import PathLike
from typing import Any, BinaryIO

import pyarrow as pa

from autoclave.corpus.batches import split_batch
from autoclave.corpus.readers.fields import FieldMap
from autoclave.corpus.readers.raw import ErrorReport, ValueReport, ignore_unreadable, raise_if_machine
from autoclave.corpus.readers.tables.rows import TableRows, has_content
from autoclave.corpus.storage import open_read

FILE_MAGIC = b"ARROW1"
STREAM_MAGIC = b"\xff\xff\xff\xff"
REMEDY = "write it again with pyarrow.ipc.new_file or datasets.save_to_disk, or as Parquet"


def read_arrow(
    file: BinaryIO | str | PathLike[str],
    source: str,
    errors: ErrorReport,
    fields: Mapping[str, str] | None = None,
    unreadable: ValueReport = ignore_unreadable,
    max_text_bytes: int | None = None,
    batches: range | None = None,
    first: int = 0,
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of an Arrow IPC file or stream as batches of RAW_SCHEMA; `offset` is the row number, from 0.

    What is no Arrow file, or has no column of text or HTML, is one error; a batch that cannot be read is one, too:
    those behind it in a stream are lost with it, in a file they are read, and numbered as if it had no rows. A column
    whose bytes make no sense is an error, and null in that batch. batches: the batches of a file to read, None for all;
    first: the number of their first row. The rest as for `read_parquet`. Memory: a batch as it is stored, of a local
    file that is not compressed only what is looked at.
    """
    with contextlib.ExitStack() as stack:
        if isinstance(file, (str, PathLike)):
            file = stack.enter_context(open_read(str(file)))
        try:
            opened = open_arrow(file)
        except (pa.ArrowException, OSError) as error:
            raise_if_machine(error)
            errors(source, f"not a readable Arrow file: {error}; {REMEDY}")
            return
        names = FieldMap(fields)
        if not has_content(opened.schema, names, source, errors):
            return
        rows = TableRows(source, errors, names, unreadable, max_text_bytes, first)
        for table in _stored_batches(opened, source, errors, rows, batches):
            for part in split_batch(_sound(table, f"{source}:{rows.row}", errors)):
                yield from rows.add(part)
        last = rows.builder.flush()
        if last is not None:
            yield last


def open_arrow(file: BinaryIO, columns: list[int] | None = None) -> Any:
    """Open an Arrow file or stream by its first bytes: pyarrow's RecordBatchFileReader or RecordBatchStreamReader.

    columns: numbers of those to read, None for all.

    A local file is mapped. Raises pyarrow.ArrowException or OSError where it is neither.
    """
    options = pa.ipc.IpcReadOptions(included_fields=columns, use_threads=False)
    file.seek(0)
    head = file.read(len(FILE_MAGIC))
    file.seek(0)
    name = getattr(file, "name", None)
    mapped = isinstance(file, io.BufferedReader) and isinstance(name, str)
    opened = pa.memory_map(name) if mapped else pa.PythonFile(file, mode="r")
    if head == FILE_MAGIC:
        return pa.ipc.open_file(opened, options=options)
    return pa.ipc.open_stream(opened, options=options)


def batch_rows(file: BinaryIO) -> list[int]:
    """Return how many rows each batch of an Arrow file has, reading one small column; 0 where it cannot be read."""
    reader = open_arrow(file)
    widths = [field.type.bit_width if pa.types.is_primitive(field.type) else 1 << 20 for field in reader.schema]
    reader = open_arrow(file, [widths.index(min(widths))] if widths else None)
    rows = []
    for number in range(reader.num_record_batches):
        try:
            rows.append(reader.get_batch(number).num_rows)
        except (pa.ArrowException, OSError) as error:
            raise_if_machine(error)
            rows.append(0)
    return rows


def _stored_batches(
    opened: Any,
    source: str,
    errors: ErrorReport,
    rows: TableRows,
    batches: range | None,
) -> Iterator[pa.RecordBatch]:
    """Yield the batches as they are stored, reporting those that cannot be read."""
    if isinstance(opened, pa.RecordBatchFileReader):
        for number in range(opened.num_record_batches) if batches is None else batches:
            try:
                table = opened.get_batch(number)
            except (pa.ArrowException, OSError) as error:
                raise_if_machine(error)
                errors(f"{source}:{rows.row}", f"batch {number} cannot be read: {error}")
                continue
            yield table
        return
    number = 0
    while True:
        try:
            table = opened.read_next_batch()
        except StopIteration:
            return
        except (pa.ArrowException, OSError) as error:
            raise_if_machine(error)
            errors(f"{source}:{rows.row}", f"batch {number} cannot be read, the rest is left out: {error}")
            return
        yield table
        number += 1


def _sound(table: pa.RecordBatch, place: str, errors: ErrorReport) -> pa.RecordBatch:
    """Return the batch with nulls for the columns whose bytes make no sense: Arrow files carry no checksums."""
    columns = []
    for field, column in zip(table.schema, table.columns, strict=True):
        fault = _fault(column)
        if fault is not None:
            errors(place, f"column {field.name!r} is left out of a batch of {table.num_rows} rows: {fault}")
            column = pa.nulls(table.num_rows, pa.string())
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, names=table.schema.names)


def _fault(column: pa.Array) -> str | None:
    """What is wrong with an array's buffers; None where all can be read (strings that are not UTF-8 can)."""
    for kind, stored in ((pa.string(), pa.binary()), (pa.large_string(), pa.large_binary())):
        if column.type == kind:
            column = column.view(stored)
    try:
        column.validate(full=True)
    except (pa.ArrowException, ValueError) as error:
        return str(error)
    return None
