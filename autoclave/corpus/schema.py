"""What a document is: the Arrow schema that every stage reads and writes, and how batches of it are made and read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from autoclave.corpus.batches import joined, open_parquet, row_group_batches
from autoclave.corpus.checksums import check
from autoclave.corpus.storage import open_read
from autoclave.errors import SchemaError, ShardError

DOCUMENT_SCHEMA = pa.schema(
    [
        pa.field("doc_id", pa.binary(16), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("url", pa.string()),
        pa.field("host", pa.string()),
        pa.field("crawled_at", pa.timestamp("ms", "UTC")),
        pa.field("source", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("content_type", pa.string()),
        pa.field("language", pa.string()),
        pa.field("language_score", pa.float32()),
        pa.field("metadata", pa.map_(pa.string(), pa.string())),
    ]
)


HTML_TYPES = frozenset({"text/html", "application/xhtml+xml", "application/vnd.wap.xhtml+xml"})
"""Content types of pages, whose documents hold the text that was extracted from them."""

CONVERTED_TYPE = "text/plain;converted"
"""Content type of a text that others made of a page: a conversion record of a WET file."""


def were_extracted(content_types: pa.Array) -> np.ndarray:
    """Return which texts were extracted from pages and hold no raw markup, bool, as long as the column (string)."""
    known = pa.array([*sorted(HTML_TYPES), CONVERTED_TYPE], pa.string())
    return np.asarray(pc.is_in(content_types.cast(pa.string()), known))


def make_doc_id(source: str, offset: int) -> bytes:
    """Return the 16 bytes that name the record at `offset` of `source` (xxh3-128).

    `source` is the input file's name relative to the folder that was named as input, so that a corpus that moves to
    another disk keeps its ids; `offset` is the record's place in it (byte offset, line number or row).
    """
    return xxhash.xxh3_128_digest(f"{source}\x00{offset}".encode())


def make_documents(
    text: pa.Array | Sequence[str], source: str | pa.Array | Sequence[str], **columns: pa.Array | Sequence[Any]
) -> pa.RecordBatch:
    """Return a batch of DOCUMENT_SCHEMA from its texts and where they are from (one name for all, or one a text).

    text, source: strings, or Arrow arrays of dtype string; columns: others by name, as long as `text`, cast to the type
    of the schema. Without them `offset` counts from 0, `doc_id` follows from source and offset, and the rest is null.
    Raises TypeError for a name that documents lack.
    """
    rows = len(text)
    given = {"text": text, "source": [source] * rows if isinstance(source, str) else source, "offset": range(rows)}
    given |= columns
    unknown = sorted(set(given) - set(DOCUMENT_SCHEMA.names))
    if unknown:
        raise TypeError(f"documents have no {unknown}; they have {DOCUMENT_SCHEMA.names}")
    arrays = {name: _column(name, values) for name, values in given.items()}
    if "doc_id" not in arrays:
        places = zip(arrays["source"].to_pylist(), arrays["offset"].to_pylist(), strict=True)
        arrays["doc_id"] = _column("doc_id", [make_doc_id(*place) for place in places])
    filled = [arrays.get(field.name, pa.nulls(rows, field.type)) for field in DOCUMENT_SCHEMA]
    return pa.RecordBatch.from_arrays(filled, schema=DOCUMENT_SCHEMA)


def _column(name: str, values: pa.Array | Sequence[Any]) -> pa.Array:
    kind = DOCUMENT_SCHEMA.field(name).type
    return values.cast(kind) if isinstance(values, pa.Array) else pa.array(values, kind)


def text_bytes(batch: pa.RecordBatch) -> int:
    """Return the UTF-8 bytes of the `text` column of a batch of DOCUMENT_SCHEMA."""
    return pc.sum(pc.binary_length(batch.column("text"))).as_py() or 0


def open_documents(path: str) -> tuple[pq.ParquetFile, BinaryIO]:
    """Open a documents shard and check its checksum and schema; the caller closes the file.

    Raises DamageError where it is not what its stage committed, ShardError where the file is not Parquet, SchemaError
    where it has other columns.
    """
    check(path)
    file = open_read(path)
    try:
        parquet = open_parquet(file)
    except (pa.ArrowInvalid, OSError) as error:
        file.close()
        raise ShardError(
            f"{path}: not a readable Parquet file ({error}); delete it and its commit, then run again"
        ) from error
    missing = [name for name in DOCUMENT_SCHEMA.names if name not in parquet.schema_arrow.names]
    if missing:
        file.close()
        raise SchemaError(
            f"{path}: columns {missing} are missing; give the output folder of a stage, not other Parquet files"
        )
    return parquet, file


def read_documents(path: str, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Yield the documents of one shard in order, in batches of DOCUMENT_SCHEMA (or `columns` of it).

    Batches keep to BATCH_ROWS and BATCH_BYTES, and memory to a few of them. Raises ShardError and SchemaError as
    `open_documents` does.
    """
    names = DOCUMENT_SCHEMA.names if columns is None else columns
    parquet, file = open_documents(path)
    with file:
        groups = range(parquet.num_row_groups)
        for batch in joined(piece for group in groups for piece in row_group_batches(parquet, group, names)):
            yield batch.select(names)


def count_documents(path: str) -> int:
    """Return the number of documents of one shard, from its footer."""
    parquet, file = open_documents(path)
    with file:
        return parquet.metadata.num_rows
