"""Batches of documents: made from a few columns, with ids that follow from where a document is from."""

from __future__ import annotations

import datetime

import pyarrow as pa
import pytest
import xxhash

from autoclave.corpus.schema import DOCUMENT_SCHEMA, make_documents

NULLS = {"url", "host", "crawled_at", "content_type", "language", "language_score", "metadata"}


def test_texts_and_a_source_make_documents() -> None:
    batch = make_documents(["one", "", "三"], "crawl/a.warc")
    assert batch.schema.equals(DOCUMENT_SCHEMA)
    rows = batch.to_pylist()
    assert [row["text"] for row in rows] == ["one", "", "三"]
    assert [(row["source"], row["offset"]) for row in rows] == [("crawl/a.warc", i) for i in range(3)]
    assert [row["doc_id"] for row in rows] == [xxhash.xxh3_128_digest(b"crawl/a.warc\0%d" % i) for i in range(3)]
    assert all(batch.column(name).null_count == 3 for name in NULLS)


def test_given_columns_take_the_type_of_the_schema() -> None:
    time = datetime.datetime(2024, 5, 6, 7, 8, 9, tzinfo=datetime.UTC)
    batch = make_documents(
        pa.array(["a", "b"], pa.large_string()),
        pa.array(["x", "y"]),
        offset=pa.array([7, 9], pa.int32()),
        crawled_at=pa.array([time, None], pa.timestamp("s", "UTC")),
        language_score=[0.5, None],
        metadata=[[("key", "value")], []],
    )
    assert batch.schema.equals(DOCUMENT_SCHEMA)
    first, second = batch.to_pylist()
    assert (first["doc_id"], second["doc_id"]) == tuple(xxhash.xxh3_128_digest(p) for p in (b"x\0007", b"y\0009"))
    assert (first["crawled_at"], first["language_score"], first["metadata"]) == (time, 0.5, [("key", "value")])
    assert (second["crawled_at"], second["language_score"], second["metadata"]) == (None, None, [])
    ids = [bytes([i] * 16) for i in range(2)]
    assert make_documents(["a", "b"], "s", doc_id=ids).column("doc_id").to_pylist() == ids


def test_no_texts_make_an_empty_batch() -> None:
    assert make_documents([], "s").num_rows == 0
    assert make_documents([], "s").schema.equals(DOCUMENT_SCHEMA)


def test_wrong_columns_are_refused() -> None:
    with pytest.raises(TypeError, match="lang"):
        make_documents(["a"], "s", lang=["en"])
    with pytest.raises(ValueError, match="length"):
        make_documents(["a", "b"], "s", url=["u"])
