"""What the tasks of the dedup stage must know of one another: the shards, their numbering, the shared parameters.

A document's id inside the stage is its shard's place in the manifest and its row: place << 32 | row. Shards of an
index come first, so that an earlier document has the smaller id.
"""

from __future__ import annotations

import msgspec
import numpy as np
import xxhash

from autoclave.cleaning.dedup.minhash import MinHashParameters
from autoclave.corpus.sealed import unseal
from autoclave.corpus.storage import Folder, open_read
from autoclave.errors import DamageError, InputError, SchemaError

ROW_BITS = np.uint64(32)
ROW_MASK = np.uint64(0xFFFFFFFF)

PHASES_VERSION = 4
"""Raised whenever phases after the signatures must not go on from files of an older version."""


class ManifestShard(msgspec.Struct, frozen=True):
    """One shard: its name, the folder of its signatures, its rows, whether it belongs to an index."""

    name: str
    folder: str
    rows: int
    indexed: bool
    documents: str = ""
    """URL of the documents; empty for an index, whose texts are not needed."""
    text_bytes: int = 0
    """UTF-8 bytes of all texts."""

    def file(self, kind: str) -> str:
        return f"{self.folder}/{kind}/{self.name}.arrow"


class Manifest(msgspec.Struct, frozen=True):
    """All shards of a dedup run in order, and what their signatures agree on."""

    partitions: int
    parameters: MinHashParameters | None
    shards: list[ManifestShard]

    def bases(self) -> np.ndarray:
        """int64[S + 1]: number of rows before each shard, and in all."""
        return np.concatenate([[0], np.cumsum([shard.rows for shard in self.shards])]).astype(np.int64)

    def dense(self, ids: np.ndarray) -> np.ndarray:
        """Return the positions, int64[n] from 0 to rows - 1, of the ids uint64[n]."""
        return self.bases()[(ids >> ROW_BITS).astype(np.int64)] + (ids & ROW_MASK).astype(np.int64)

    def digest(self) -> str:
        """Return what names the order of the shards and the parameters (not where they lie), and the files' version."""
        shards = [(shard.name, shard.rows, shard.indexed) for shard in self.shards]
        return xxhash.xxh3_128_hexdigest(
            msgspec.json.encode([PHASES_VERSION, self.partitions, self.parameters, shards])
        )


class IndexFile(msgspec.Struct, frozen=True):
    """`index.json` of a dedup folder: what a later run deduplicates against."""

    version: int
    """PHASES_VERSION of the run that wrote it."""
    partitions: int
    parameters: MinHashParameters | None
    exact_normalisation: str
    earlier: list[ManifestShard]
    """Shards of the index that this run used itself."""
    own: list[tuple[str, int]]
    """Name and rows of this run's shards; their files lie in phases/index beside this file."""


def read_manifest(url: str) -> Manifest:
    """Read the manifest that the leading process wrote; DamageError where it is not what was written."""
    with open_read(url) as file:
        data = file.read()
    try:
        return unseal(data, Manifest)
    except ValueError as error:
        raise DamageError(f"{url}: damaged ({error}); run the dedup stage again, which makes it anew") from error


def pack(place: int | np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the ids uint64[n] of rows (integer[n]) of the shard at `place` (one for all, or [n])."""
    return (np.asarray(place, np.uint64) << ROW_BITS) | rows.astype(np.uint64)


def load_index(
    url: str, parameters: MinHashParameters | None, exact_normalisation: str, partitions: int | None
) -> IndexFile:
    """Read the index of an earlier dedup folder; InputError where there is none, SchemaError where it does not fit."""
    folder = Folder(url)
    if not folder.exists("index.json"):
        raise InputError(f"{url}: no index.json here; name the dedup folder of a run that finished with write_index")
    try:
        index = unseal(folder.read_bytes("index.json"), IndexFile)
    except ValueError as error:
        raise SchemaError(
            f"{url}/index.json: damaged, or not a dedup index of this version ({error}); run its dedup stage again"
        ) from error
    if index.version != PHASES_VERSION:
        raise SchemaError(
            f"{url}/index.json: a dedup index of version {index.version}, this is {PHASES_VERSION}; "
            "run its dedup stage again"
        )
    if parameters is not None and index.parameters is None:
        raise SchemaError(f"{url}: the index holds no signatures (minhash was off)")
    if parameters is not None and index.parameters is not None:
        parameters.require_equal(index.parameters, url)
    if exact_normalisation != index.exact_normalisation:
        raise SchemaError(
            f"{url}: exact_normalisation is {index.exact_normalisation} there, {exact_normalisation} here"
        )
    if partitions is not None and partitions != index.partitions:
        raise SchemaError(f"{url}: {index.partitions} partitions there, {partitions} here; leave partitions out")
    return index


def index_entries(url: str, index: IndexFile) -> list[ManifestShard]:
    """Return the manifest's entries for an index, oldest first."""
    folder = Folder(url).path("phases/index")
    return index.earlier + [ManifestShard(name, folder, rows, True) for name, rows in index.own]
