"""Parquet files of documents: any file with a text column."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from os import PathLike
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from autoclave.corpus.readers.jsonl import FIELD_NAMES, FieldMap, flatten_metadata, timestamp
from autoclave.corpus.readers.raw import BATCH_ROWS, ErrorReport, RawBatchBuilder
from autoclave.corpus.storage import open_read


def read_parquet(
    file: BinaryIO | str | PathLike[str],
    source: str,
    errors: ErrorReport,
    fields: Mapping[str, str] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a Parquet file as batches of RAW_SCHEMA; `offset` is the row number, from 0.

    A row group that cannot be decoded, and a row without text, go to `errors` with their place; a file without a
    usable footer or text column is one error. `fields` as in `read_jsonl`.
    """
    names = FieldMap(fields)
    with contextlib.ExitStack() as stack:
        if isinstance(file, (str, PathLike)):
            file = stack.enter_context(open_read(str(file)))
        try:
            parquet = pq.ParquetFile(file)
        except (pa.ArrowException, OSError) as error:
            errors(source, f"not a readable Parquet file: {error}")
            return
        columns = parquet.schema_arrow.names
        if names.find("text", columns) is None:
            errors(source, f"no column {names.names['text']} among {columns[:20]}; set fields.text to its name")
            return
        builder = RawBatchBuilder(source)
        first = 0
        for group in range(parquet.num_row_groups):
            rows = 0
            try:
                for table in parquet.iter_batches(batch_size=BATCH_ROWS, row_groups=[group]):
                    yield from _add_rows(builder, table, first + rows, names, errors)
                    rows += table.num_rows
            except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
                errors(f"{source}:{first + rows}", f"row group {group} cannot be read: {error}")
            first += parquet.metadata.row_group(group).num_rows
        last = builder.flush()
        if last is not None:
            yield last


def _add_rows(
    builder: RawBatchBuilder, table: pa.RecordBatch, first: int, names: FieldMap, errors: ErrorReport
) -> Iterator[pa.RecordBatch]:
    present = table.schema.names
    found = {ours: names.find(ours, present) for ours in FIELD_NAMES}
    values = {name: table.column(name).to_pylist() for name in present}
    used = {name for name in found.values() if name is not None}
    others = [name for name in present if name not in used]
    blank: list[None] = [None] * table.num_rows
    taken = {ours: values[name] if name is not None else blank for ours, name in found.items()}
    for row in range(table.num_rows):
        text = taken["text"][row]
        if isinstance(text, bytes):
            text = text.decode("utf-8", "replace")
        if not isinstance(text, str):
            errors(f"{builder.source}:{first + row}", f"no text in column {found['text']!r}")
            continue
        url, language, nested = (taken[ours][row] for ours in ("url", "language", "metadata"))
        if isinstance(nested, list):  # an Arrow map comes as a list of pairs
            nested = dict(nested) if all(isinstance(pair, tuple) for pair in nested) else nested
        batch = builder.add(
            first + row,
            text=text,
            url=url if isinstance(url, str) else None,
            crawled_at=timestamp(taken["crawled_at"][row]),
            language=language if isinstance(language, str) else None,
            metadata=flatten_metadata(nested, {name: values[name][row] for name in others}),
        )
        if batch is not None:
            yield batch
