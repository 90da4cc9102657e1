"""One file, one page: HTML (or plain text) files."""  # noqa: A005

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from os import PathLike
from typing import BinaryIO

import pyarrow as pa

from autoclave.corpus.readers.raw import MAX_PAYLOAD_BYTES, ErrorReport, RawBatchBuilder
from autoclave.corpus.readers.streams import ByteStream
from autoclave.corpus.storage import open_read


def read_html(
    file: BinaryIO | str | PathLike[str],
    source: str,
    errors: ErrorReport,
    content_type: str = "text/html",
    max_payload_bytes: int = MAX_PAYLOAD_BYTES,
) -> Iterator[pa.RecordBatch]:
    """Yield the file (plain or compressed) as one record of RAW_SCHEMA with offset 0.

    An empty file is a record with an empty payload; a page above `max_payload_bytes` has none and tells its size.
    """
    with contextlib.ExitStack() as stack:
        if isinstance(file, (str, PathLike)):
            file = stack.enter_context(open_read(str(file)))
        stream = ByteStream(file)
        payload: bytes | None = stream.read(max_payload_bytes)
        size = len(payload or b"")
        rest = stream.skip(1 << 62)
        if stream.damage is not None:
            errors(f"{source}:0", stream.damage)
            if not size or not stream.truncated:
                return
        builder = RawBatchBuilder(source)
        if rest:
            payload, size = None, size + rest
        builder.add(0, payload=payload, content_type=content_type, payload_bytes=size)
        batch = builder.flush()
        assert batch is not None
        yield batch
