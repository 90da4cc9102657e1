"""Token shards: Arrow IPC files that training and scoring read by memory map, and the manifest that names them.

One row a document: doc_id, tokens (list<uint16 | uint32>, no special tokens) and bytes (UTF-8 bytes of its text, so
that bits per byte need no text). The schema's metadata names the tokenizer. `manifest.json` is written last: a folder
without one is not finished.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from autoclave.corpus.checksums import check, remedy_of, require, write_recorded
from autoclave.corpus.commits import OutputFile
from autoclave.corpus.sealed import seal, unseal
from autoclave.corpus.storage import Folder, open_read
from autoclave.errors import DamageError, InputError, SchemaError, ShardError
from autoclave.tokenize.fingerprints import require_same_tokenizer

TOKEN_SCHEMA_VERSION = 1
"""Raised when token shards of an older version must not be read any more."""

MANIFEST = "manifest.json"
TOKENIZER = "tokenizer.json"

_REMEDY = "delete it and its commit, then run the tokenize stage again"


class TokenMeaning(msgspec.Struct, frozen=True):
    """What token ids mean: shards agree on it or are not read together."""

    tokenizer: str
    """Fingerprint of the tokenizer (see fingerprints.py)."""
    vocabulary_size: int
    bos_id: int
    eos_id: int

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint16 where every id fits, else uint32."""
        return np.dtype(np.uint16 if self.vocabulary_size <= 1 << 16 else np.uint32)

    def schema(self) -> pa.Schema:
        """Return the Arrow schema of a token shard."""
        metadata = {
            "autoclave.token_schema_version": str(TOKEN_SCHEMA_VERSION),
            "autoclave.tokenizer": self.tokenizer,
            "autoclave.vocabulary_size": str(self.vocabulary_size),
            "autoclave.bos_id": str(self.bos_id),
            "autoclave.eos_id": str(self.eos_id),
        }
        fields = [
            pa.field("doc_id", pa.binary(16), nullable=False),
            pa.field("tokens", pa.list_(pa.from_numpy_dtype(self.dtype)), nullable=False),
            pa.field("bytes", pa.int32(), nullable=False),
        ]
        return pa.schema(fields, metadata)


class BatchCounts(msgspec.Struct, frozen=True, array_like=True):
    """Size of one record batch of a shard."""

    documents: int
    tokens: int


class ShardEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One shard of a manifest; its checksum is the xxh3-128 of the file."""

    file: str
    documents: int
    tokens: int
    text_bytes: int
    file_bytes: int
    checksum: str
    batches: list[BatchCounts]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a folder of token shards holds."""

    version: int = TOKEN_SCHEMA_VERSION
    meaning: TokenMeaning
    documents: int
    tokens: int
    """Without special tokens; training sees tokens + documents positions an epoch."""
    text_bytes: int
    shards: list[ShardEntry]


class TokenShardWriter:
    """Writes one shard to a binary file object, batch by batch; counts as it goes."""

    def __init__(self, file: Any, meaning: TokenMeaning) -> None:
        self._schema = meaning.schema()
        self._writer = pa.ipc.new_file(file, self._schema)
        self.batches: list[BatchCounts] = []
        self.text_bytes = 0

    def write(self, doc_id: pa.Array, tokens: pa.ListArray, text_bytes: pa.Array) -> None:
        """Write rows of doc_id, tokens and text_bytes (int32); an empty batch is not written."""
        if len(doc_id) == 0:
            return
        self._writer.write_batch(pa.RecordBatch.from_arrays([doc_id, tokens, text_bytes], schema=self._schema))
        self.batches.append(BatchCounts(len(doc_id), len(tokens.flatten())))
        self.text_bytes += int(np.sum(text_bytes.to_numpy(), dtype=np.int64))

    def close(self) -> None:
        """Write the footer; the file object stays open."""
        self._writer.close()

    def entry(self, file: str, file_bytes: int, checksum: str) -> ShardEntry:
        """Return what the manifest says of the shard, given its name in the folder and what its bytes came to."""
        return ShardEntry(
            file=file,
            documents=sum(batch.documents for batch in self.batches),
            tokens=sum(batch.tokens for batch in self.batches),
            text_bytes=self.text_bytes,
            file_bytes=file_bytes,
            checksum=checksum,
            batches=self.batches,
        )


@dataclass(frozen=True)
class TokenBatchView:
    """One record batch of a shard, without copies: ids of document j are values[offsets[j] - offsets[0] : ...].

    values: uint16 or uint32 [tokens]; offsets: int32 [documents + 1].
    """

    values: np.ndarray
    offsets: np.ndarray

    @property
    def documents(self) -> int:
        return len(self.offsets) - 1


class TokenShard:
    """One token shard, open for reading: memory-mapped where it is a local file."""

    def __init__(self, path: str) -> None:
        """Open the shard, whose checksum is read the first time that a process does so.

        Raises InputError where there is none, DamageError where it is not what was written, ShardError where it is
        something else.
        """
        self.path = path
        check(path)
        self._source = _open_buffer(path)
        try:
            self._reader = pa.ipc.open_file(self._source)
        except (pa.ArrowInvalid, OSError) as error:
            raise ShardError(f"{path}: truncated, or not a token shard ({_first_line(error)}); {_REMEDY}") from error
        self.meaning = _meaning(path, self._reader.schema)

    def __len__(self) -> int:
        return int(self._reader.num_record_batches)

    def batch(self, index: int) -> pa.RecordBatch:
        """Return record batch `index`: doc_id, tokens, bytes, as `TokenMeaning.schema` has them."""
        try:
            return self._reader.get_batch(index)
        except (pa.ArrowInvalid, OSError) as error:
            raise ShardError(
                f"{self.path}: record batch {index} is damaged ({_first_line(error)}); {_REMEDY}"
            ) from error

    def view(self, index: int) -> TokenBatchView:
        """Return the ids of record batch `index` as numpy views of the map."""
        tokens = self.batch(index).column("tokens")
        return TokenBatchView(tokens.flatten().to_numpy(), tokens.offsets.to_numpy())

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the record batches in order, of the schema of `batch`."""
        for index in range(len(self)):
            yield self.batch(index)

    def counts(self) -> list[BatchCounts]:
        """Return the size of each record batch."""
        views = (self.view(index) for index in range(len(self)))
        return [BatchCounts(view.documents, len(view.values)) for view in views]


def _open_buffer(path: str) -> Any:
    folder = path.rpartition("/")[0]
    if Folder(folder or ".").is_local:
        local = path.removeprefix("file://")
        if not os.path.isfile(local):
            raise InputError(f"{path}: no such token shard")
        if os.path.getsize(local) == 0:
            raise ShardError(f"{path}: truncated (the file is empty); {_REMEDY}")
        return pa.memory_map(local)
    with open_read(path) as file:
        return pa.BufferReader(file.read())


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _meaning(path: str, schema: pa.Schema) -> TokenMeaning:
    metadata = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
    prefix = "autoclave."
    try:
        version = int(metadata[f"{prefix}token_schema_version"])
        meaning = TokenMeaning(
            metadata[f"{prefix}tokenizer"],
            int(metadata[f"{prefix}vocabulary_size"]),
            int(metadata[f"{prefix}bos_id"]),
            int(metadata[f"{prefix}eos_id"]),
        )
    except (KeyError, ValueError) as error:
        raise SchemaError(f"{path}: an Arrow file without the metadata of a token shard (missing {error})") from error
    if version != TOKEN_SCHEMA_VERSION or schema != meaning.schema():
        raise SchemaError(f"{path}: token shard of version {version} or of other columns; run the tokenize stage again")
    return meaning


def write_manifest(folder: Folder, meaning: TokenMeaning, entries: Sequence[ShardEntry]) -> Manifest:
    """Write `manifest.json` for the shards given, atomically, and return it."""
    manifest = Manifest(
        meaning=meaning,
        documents=sum(entry.documents for entry in entries),
        tokens=sum(entry.tokens for entry in entries),
        text_bytes=sum(entry.text_bytes for entry in entries),
        shards=list(entries),
    )
    write_recorded(folder, MANIFEST, seal(manifest), "tokenize")
    return manifest


def read_manifest(url: str) -> Manifest:
    """Read the manifest of a folder of shards.

    Raises InputError where it has none, DamageError where it is not what was written, SchemaError for another version.
    """
    folder = Folder(url)
    if not folder.exists(MANIFEST):
        raise InputError(f"{url}: no {MANIFEST} here; give the tokens folder of a finished tokenize stage")
    try:
        manifest = unseal(folder.read_bytes(MANIFEST), Manifest)
    except ValueError as error:
        what = f"damaged, or no manifest of token shards ({error})"
        raise DamageError(f"{url}/{MANIFEST}: {what}; {remedy_of('tokenize')}") from error
    if manifest.version != TOKEN_SCHEMA_VERSION:
        raise SchemaError(f"{url}/{MANIFEST}: version {manifest.version}, not {TOKEN_SCHEMA_VERSION}; tokenize again")
    return manifest


def open_listed(url: str, manifest: Manifest, entry: ShardEntry) -> TokenShard:
    """Open a shard of a manifest; DamageError where it is not as recorded, SchemaError on another tokenizer."""
    path = f"{url.rstrip('/')}/{entry.file}"
    require(path, OutputFile(entry.file_bytes, entry.checksum), remedy_of("tokenize"))
    shard = TokenShard(path)
    require_same_tokenizer(
        manifest.meaning.tokenizer, shard.meaning.tokenizer, where=path, remedy="run the tokenize stage again"
    )
    return shard


def verify_shards(url: str) -> Manifest:
    """Read every shard of a folder and compare checksums and counts; DamageError names the first file that is off."""
    manifest = read_manifest(url)
    for entry in manifest.shards:
        shard = open_listed(url, manifest, entry)
        if shard.counts() != entry.batches:
            raise DamageError(f"{shard.path}: its batches are not what the manifest recorded; {_REMEDY}")
    return manifest
