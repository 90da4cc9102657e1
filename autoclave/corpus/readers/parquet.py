"""Parquet files of documents: any file with a text column, whatever its other columns hold."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from os import PathLike
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from autoclave.corpus.batches import BATCH_BYTES, ExpansionError, open_parquet, row_bytes, row_group_batches
from autoclave.corpus.decoding.parquet_pages import column_chunks, page_fault
from autoclave.corpus.readers.columns import plain_values, texts, unique_names
from autoclave.corpus.readers.fields import FieldMap, add_record
from autoclave.corpus.readers.raw import (
    ErrorReport,
    RawBatchBuilder,
    ValueReport,
    ignore_unreadable,
    raise_if_machine,
)
from autoclave.corpus.storage import open_read


def read_parquet(
    file: BinaryIO | str | PathLike[str],
    source: str,
    errors: ErrorReport,
    fields: Mapping[str, str] | None = None,
    unreadable: ValueReport = ignore_unreadable,
    max_text_bytes: int | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a Parquet file as batches of RAW_SCHEMA; `offset` is the row number, from 0.

    A text column that cannot be decoded further, and a row without text, go to `errors` with their place; a file
    without a usable footer or text column is one error. Another column that cannot be decoded is an error, too, and
    its values are null; a single value that cannot be expressed (`plain_values` says which can) is null, named in the
    document's metadata and counted through `unreadable`. Texts above `max_text_bytes` are left out, with their size.
    `fields` as in `read_jsonl`. Memory: a few batches, and the pages and dictionaries that are open.
    """
    with contextlib.ExitStack() as stack:
        if isinstance(file, (str, PathLike)):
            file = stack.enter_context(open_read(str(file)))
        try:
            parquet = open_parquet(file)
        except (pa.ArrowException, OSError) as error:
            raise_if_machine(error)
            errors(source, f"not a readable Parquet file: {error}")
            return
        names = FieldMap(fields)
        columns = parquet.schema_arrow.names
        if names.find("text", columns) is None:
            errors(source, f"no column {names.names['text']} among {columns[:20]}; set fields.text to its name")
            return
        reader = _ParquetReader(parquet, source, errors, names, unreadable, max_text_bytes)
        chunks = column_chunks(file)
        for group in range(parquet.num_row_groups):
            described = chunks[group] if group < len(chunks) else []
            faults = [(chunk.path, page_fault(file, chunk)) for chunk in described]
            yield from reader.group(group, {path: fault for path, fault in faults if fault is not None})
        last = reader.builder.flush()
        if last is not None:
            yield last


def _columns(table: pa.RecordBatch, names: list[str], text: str) -> tuple[dict[str, list[Any]], dict[int, list[str]]]:
    """Return (the values of all columns but the text by name, the names of values that are lost by row)."""
    values: dict[str, list[Any]] = {}
    lost: dict[int, list[str]] = {}
    for name, column in zip(names, table.columns, strict=True):
        if name == text:
            continue
        values[name], rows = plain_values(column)
        for row in rows:
            lost.setdefault(row, []).append(name)
    return values, lost


class _ParquetReader:
    """Reads one file row group by row group; `_row` is the number of the next row."""

    def __init__(
        self,
        parquet: pq.ParquetFile,
        source: str,
        errors: ErrorReport,
        names: FieldMap,
        unreadable: ValueReport,
        max_text_bytes: int | None,
    ) -> None:
        self.builder = RawBatchBuilder(source)
        self._parquet, self._source, self._errors, self._unreadable = parquet, source, errors, unreadable
        self._columns = parquet.schema_arrow.names
        self._found = names.found(self._columns)
        self._limit = max_text_bytes
        self._row = 0

    def group(self, group: int, refused: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        """Yield the batches of one row group, again without the columns that cannot be decoded where there are any.

        refused: paths of columns that are not to be decoded, and why.
        """
        first, text = self._row, self._found["text"]
        columns = self._without(refused, group)
        if columns is not None and text not in columns:
            self._row = first + self._parquet.metadata.row_group(group).num_rows
            return
        try:
            yield from self._read(group, first, columns)
        except ExpansionError as error:
            self._errors(f"{self._source}:{self._row}", f"{error}; its rows from here on are left out")
        except (pa.ArrowException, OSError) as error:
            raise_if_machine(error)
            if self._fault(group, text) is None:
                yield from self._read_sound(group, first, columns)
            else:
                self._errors(f"{self._source}:{self._row}", f"row group {group} cannot be read: {error}")
        self._row = first + self._parquet.metadata.row_group(group).num_rows

    def _without(self, refused: Mapping[str, str], group: int) -> list[str] | None:
        """The names of the columns that may be decoded, None for all of them; reports the others."""
        if not refused:
            return None
        kept = []
        for name in self._columns:
            causes = [cause for path, cause in refused.items() if path == name or path.startswith(f"{name}.")]
            if causes:
                what = f"column {name!r} of row group {group} is left out: {causes[0]}"
                self._errors(f"{self._source}:{self._row}", what)
            else:
                kept.append(name)
        return kept

    def _read_sound(self, group: int, first: int, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
        """Read the rows from `_row` on without the columns that cannot be read to their ends."""
        causes = {name: self._fault(group, name) for name in (self._columns if columns is None else columns)}
        for name, cause in causes.items():
            if cause is not None:
                what = f"column {name!r} of row group {group} is left out, it cannot be read: {cause}"
                self._errors(f"{self._source}:{first}", what)
        try:
            yield from self._read(group, first, [name for name, cause in causes.items() if cause is None])
        except (pa.ArrowException, OSError, ExpansionError) as error:
            raise_if_machine(error)
            self._errors(f"{self._source}:{self._row}", f"row group {group} cannot be read: {error}")

    def _fault(self, group: int, column: str) -> str | None:
        """Why one column of a row group cannot be read to its end; None where it can."""
        try:
            for _ in row_group_batches(self._parquet, group, [column]):
                pass
        except ExpansionError:
            return None
        except (pa.ArrowException, OSError) as error:
            raise_if_machine(error)
            return str(error)
        return None

    def _read(self, group: int, first: int, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
        """Yield what the rows of a group from `_row` on close of batches; `first` is the group's first row."""
        at = first
        for table in row_group_batches(self._parquet, group, columns):
            at += table.num_rows
            if at > self._row:
                yield from self._add_rows(table.slice(max(0, table.num_rows - (at - self._row))))

    def _add_rows(self, table: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        schema, name = table.schema.names, self._found["text"]
        names = unique_names(schema)
        values, lost = _columns(table, names, name)
        if lost:
            self._unreadable(sum(map(len, lost.values())))
        size = int(row_bytes(table.column(schema.index(name)))[0])
        large = table.num_rows == 1 and self._limit is not None and size > max(BATCH_BYTES, 2 * self._limit)
        text = [None] if large else texts(table.column(schema.index(name)))
        for row in range(table.num_rows):
            number, self._row = self._row, self._row + 1
            if text[row] is None and not large:
                self._errors(f"{self._source}:{number}", f"no text in column {name!r}")
                continue
            record = {column: found[row] for column, found in values.items()}
            size_if_left_out = size if large else None
            batch = add_record(
                self.builder,
                number,
                text[row],
                record,
                self._found,
                size=size_if_left_out,
                unreadable=lost.get(row, ()),
            )
            if batch is not None:
                yield batch
