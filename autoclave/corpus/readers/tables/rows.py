"""Rows of Arrow tables as raw records: which column is the document, and what becomes of the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from autoclave.corpus.batches import BATCH_BYTES, row_bytes
from autoclave.corpus.readers.fields import FieldMap, add_record, used_content
from autoclave.corpus.readers.raw import ErrorReport, RawBatchBuilder, ValueReport
from autoclave.corpus.readers.tables.columns import plain_values, texts, unique_names
from autoclave.corpus.readers.tables.nested import lift_columns, lifted_names

Content = list[str | bytes | None]


def has_content(schema: pa.Schema, names: FieldMap, source: str, errors: ErrorReport) -> bool:
    """Whether tables of a schema have a column of text or HTML; an error of the source where they have none."""
    columns = lifted_names(schema, names.paths)
    if names.found(columns).keys() & set(names.content):
        return True
    errors(source, f"no column {names.missing()}; there are {columns[:20]}")
    return False


class TableRows:
    """Turns the rows of one source into raw records; `row` is the number of the next one.

    unreadable: told of values that cannot be expressed; max_text_bytes: a text that stands alone in its table and is
    far larger than this is left out, with its size.
    """

    def __init__(
        self,
        source: str,
        errors: ErrorReport,
        names: FieldMap,
        unreadable: ValueReport,
        max_text_bytes: int | None,
        first: int = 0,
    ) -> None:
        self.builder = RawBatchBuilder(source)
        self.row = first
        self._source, self._errors, self._names = source, errors, names
        self._unreadable, self._limit = unreadable, max_text_bytes

    def add(self, table: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Add all rows of a table whose columns have any dtypes; yield the batches of RAW_SCHEMA that this closed."""
        table = lift_columns(table, self._names.paths)
        names = unique_names(table.schema.names)
        columns = dict(zip(names, table.columns, strict=True))
        found = self._names.found(names)
        order = [ours for ours in self._names.content if ours in found]
        size = self._left_out(columns[found[order[0]]]) if order else None
        contents: list[Content] = [[None]] if size is not None else _contents(columns, found, order)
        values, lost = _other_columns(columns, found[order[0]] if order else None)
        if lost:
            self._unreadable(sum(map(len, lost.values())))
        for row in range(table.num_rows):
            number, self.row = self.row, self.row + 1
            used = next((at for at, content in enumerate(contents) if content[row] is not None), None)
            if used is None and size is None:
                self._errors(f"{self._source}:{number}", self._cause(found, order))
                continue
            record = {column: value[row] for column, value in values.items()}
            batch = add_record(
                self.builder,
                number,
                None if used is None else contents[used][row],
                record,
                used_content(found, order[used or 0]),
                size=size,
                unreadable=lost.get(row, ()),
            )
            if batch is not None:
                yield batch

    def _cause(self, found: dict[str, str], order: list[str]) -> str:
        """Why a row is no document."""
        if not order:
            return f"no column {self._names.missing()}"
        return f"no text in column {' or '.join(repr(found[ours]) for ours in order)}"

    def _left_out(self, column: pa.Array) -> int | None:
        """The bytes of the only row of a column where they are too many to carry; None where they are not."""
        if len(column) != 1 or self._limit is None:
            return None
        size = int(row_bytes(column)[0])
        return size if size > max(BATCH_BYTES, 2 * self._limit) else None


def _contents(columns: dict[str, pa.Array], found: dict[str, str], order: list[str]) -> list[Content]:
    """Return what documents may be made of, the first choice first; the second only where the first has gaps."""
    chosen: list[Content] = []
    for ours in order:
        column = columns[found[ours]]
        chosen.append(list(pages(column) if ours == "html" else texts(column)))
        if None not in chosen[-1]:
            break
    return chosen


def pages(array: pa.Array) -> list[str | bytes | None]:
    """Return the pages of an array [rows]: strings of a dtype that is text, bytes as they are of one that is binary."""
    if isinstance(array, pa.ExtensionArray):
        return pages(array.storage)
    if pa.types.is_dictionary(array.type):
        known = dict(enumerate(pages(array.dictionary)))
        return [known.get(index) for index in array.indices.to_pylist()]
    kind, types = array.type, pa.types
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind):
        return array.to_pylist()
    return list(texts(array))


def _other_columns(
    columns: dict[str, pa.Array], content: str | None
) -> tuple[dict[str, list[Any]], dict[int, list[str]]]:
    """Return (the values of all columns but `content` by name, the names of values that are lost by row)."""
    values: dict[str, list[Any]] = {}
    lost: dict[int, list[str]] = {}
    for name, column in columns.items():
        if name == content:
            continue
        values[name], rows = plain_values(column)
        for row in rows:
            lost.setdefault(row, []).append(name)
    return values, lost
