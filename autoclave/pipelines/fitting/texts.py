"""Texts to train filters on: from a stage's output, or from files in any format that is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from autoclave.corpus.readers.detect import read_raw
from autoclave.corpus.schema import read_documents
from autoclave.corpus.sources import resolve_inputs
from autoclave.corpus.storage import Folder
from autoclave.errors import InputError
from autoclave.pipelines.running.stage import document_shards, refuse_run_directory


def read_texts(arguments: Sequence[str], language: str | None = None, limit: int | None = None) -> Iterator[str]:
    """Yield the texts of documents, in the order of the arguments and within them by name.

    arguments: stage directories, or files, folders and globs of JSONL and Parquet with a field `text`; language: only
    documents labelled so, None for all; limit: most documents. Raises InputError for unreadable files and records.
    """
    count = 0
    for argument in arguments:
        for batch in read_batches(argument):
            texts, labels = batch.column("text").to_pylist(), batch.column("language").to_pylist()
            for text, label in zip(texts, labels, strict=True):
                if text and (language is None or label == language):
                    if limit is not None and count >= limit:
                        return
                    count += 1
                    yield text


def read_batches(argument: str) -> Iterator[pa.RecordBatch]:
    """Yield batches of what `read_texts` takes as an argument: doc_id, text (null in pages), url, language and more.

    They are of RAW_SCHEMA from files, those and the content type of DOCUMENT_SCHEMA from a stage.
    """
    folder = Folder(argument)
    refuse_run_directory(folder)
    if folder.files("commits/*.json"):
        for shard in document_shards(folder):
            yield from read_documents(shard.path, ["doc_id", "text", "url", "language", "content_type"])
        return

    def refuse(place: str, cause: str) -> None:
        raise InputError(f"{place}: {cause}; training texts must all be readable")

    for file in resolve_inputs([argument]):
        yield from read_raw(file.path, file.source, refuse)
