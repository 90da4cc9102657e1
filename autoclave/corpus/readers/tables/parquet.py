"""Parquet files of documents: any file with a text column, whatever its other columns hold."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from os import PathLike
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from autoclave.corpus.batches import ExpansionError, open_parquet, row_group_batches
from autoclave.corpus.decoding.parquet_pages import column_chunks, page_fault
from autoclave.corpus.readers.fields import FieldMap
from autoclave.corpus.readers.raw import ErrorReport, ValueReport, ignore_unreadable, raise_if_machine
from autoclave.corpus.readers.tables.nested import lifted_names
from autoclave.corpus.readers.tables.rows import TableRows, has_content
from autoclave.corpus.storage import open_read


def read_parquet(
    file: BinaryIO | str | PathLike[str],
    source: str,
    errors: ErrorReport,
    fields: Mapping[str, str] | None = None,
    unreadable: ValueReport = ignore_unreadable,
    max_text_bytes: int | None = None,
    groups: range | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a Parquet file as batches of RAW_SCHEMA; `offset` is the row number, from 0.

    A text column that cannot be decoded further, and a row without text, go to `errors` with their place; a file
    without a usable footer or text column is one error. Another column that cannot be decoded is an error, too, and
    its values are null; a single value that cannot be expressed (`plain_values` says which can) is null, named in the
    document's metadata and counted through `unreadable`. Texts above `max_text_bytes` are left out, with their size.
    `fields` as in `read_jsonl`. groups: the row groups to read, None for all. Memory: a few batches, and the pages and
    dictionaries that are open.
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
        if not has_content(parquet.schema_arrow, names, source, errors):
            return
        chosen = range(parquet.num_row_groups) if groups is None else groups
        first = sum(parquet.metadata.row_group(group).num_rows for group in range(chosen.start))
        rows = TableRows(source, errors, names, unreadable, max_text_bytes, first)
        reader = _ParquetReader(parquet, source, errors, names, rows)
        chunks = column_chunks(file)
        for group in chosen:
            described = chunks[group] if group < len(chunks) else []
            faults = [(chunk.path, page_fault(file, chunk)) for chunk in described]
            yield from reader.group(group, {path: fault for path, fault in faults if fault is not None})
        last = rows.builder.flush()
        if last is not None:
            yield last


class _ParquetReader:
    """Reads one file row group by row group, into `rows`."""

    def __init__(
        self, parquet: pq.ParquetFile, source: str, errors: ErrorReport, names: FieldMap, rows: TableRows
    ) -> None:
        self._parquet, self._source, self._errors, self._rows = parquet, source, errors, rows
        self._columns = _separable(parquet, names.paths)
        found = names.found([*self._columns, *lifted_names(parquet.schema_arrow, names.paths)])
        self._content = [found[ours] for ours in names.content if ours in found]

    def group(self, group: int, refused: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        """Yield the batches of one row group, again without the columns that cannot be decoded where there are any.

        refused: paths of columns that are not to be decoded, and why.
        """
        first = self._rows.row
        columns = self._without(refused, group)
        if columns is not None and not set(self._content) & set(columns):
            self._rows.row = first + self._parquet.metadata.row_group(group).num_rows
            return
        try:
            yield from self._read(group, first, columns)
        except ExpansionError as error:
            self._errors(f"{self._source}:{self._rows.row}", f"{error}; its rows from here on are left out")
        except (pa.ArrowException, OSError) as error:
            raise_if_machine(error)
            if any(self._fault(group, name) is None for name in self._content):
                yield from self._read_sound(group, first, columns)
            else:
                self._errors(f"{self._source}:{self._rows.row}", f"row group {group} cannot be read: {error}")
        self._rows.row = first + self._parquet.metadata.row_group(group).num_rows

    def _without(self, refused: Mapping[str, str], group: int) -> list[str] | None:
        """The names of the columns that may be decoded, None for all of them; reports the others."""
        if not refused:
            return None
        kept = []
        for name in self._columns:
            causes = [cause for path, cause in refused.items() if path == name or path.startswith(f"{name}.")]
            if causes:
                what = f"column {name!r} of row group {group} is left out: {causes[0]}"
                self._errors(f"{self._source}:{self._rows.row}", what)
            else:
                kept.append(name)
        return kept

    def _read_sound(self, group: int, first: int, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
        """Read the rows from the next row on without the columns that cannot be read to their ends."""
        causes = {name: self._fault(group, name) for name in (self._columns if columns is None else columns)}
        for name, cause in causes.items():
            if cause is not None:
                what = f"column {name!r} of row group {group} is left out, it cannot be read: {cause}"
                self._errors(f"{self._source}:{first}", what)
        try:
            yield from self._read(group, first, [name for name, cause in causes.items() if cause is None])
        except (pa.ArrowException, OSError, ExpansionError) as error:
            raise_if_machine(error)
            self._errors(f"{self._source}:{self._rows.row}", f"row group {group} cannot be read: {error}")

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
        """Yield what the rows of a group from the next row on close of batches; `first` is the group's first row."""
        at = first
        for table in row_group_batches(self._parquet, group, columns):
            at += table.num_rows
            if at > self._rows.row:
                yield from self._rows.add(table.slice(max(0, table.num_rows - (at - self._rows.row))))


def _separable(parquet: pq.ParquetFile, paths: tuple[str, ...]) -> list[str]:
    """Return the columns that can be read one without the others; of a struct that a dotted name reaches into, its
    leaves."""
    leaves = [parquet.schema.column(number).path for number in range(parquet.metadata.num_columns)]
    names: list[str] = []
    for name in parquet.schema_arrow.names:
        inside = any(path.startswith(f"{name}.") for path in paths)
        names += [leaf for leaf in leaves if leaf.startswith(f"{name}.")] if inside else [name]
    return names
