"""Token shards: what is written is read, damage is noticed, tokenizers do not mix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from autoclave.corpus.storage import Folder
from autoclave.errors import DamageError, InputError, SchemaError, ShardError
from autoclave.tokenize.shards import (
    TokenMeaning,
    TokenShard,
    TokenShardWriter,
    open_listed,
    read_manifest,
    verify_shards,
    write_manifest,
)

MEANING = TokenMeaning("f" * 32, 1000, 1, 2)


def rows(documents: list[list[int]], dtype: pa.DataType, first: int = 0) -> tuple[pa.Array, pa.Array, pa.Array]:
    ids = pa.array([(first + i).to_bytes(16, "big") for i in range(len(documents))], pa.binary(16))
    return ids, pa.array(documents, pa.list_(dtype)), pa.array([3 * len(d) for d in documents], pa.int32())


def write_folder(url: Path, batches: list[list[list[int]]], meaning: TokenMeaning = MEANING, shards: int = 1) -> None:
    folder, entries = Folder(url), []
    for shard in range(shards):
        with folder.open_write(f"{shard:06d}.arrow") as file:
            writer = TokenShardWriter(file, meaning)
            for batch in batches[shard::shards]:
                writer.write(*rows(batch, pa.from_numpy_dtype(meaning.dtype)))
            writer.close()
        entries.append(writer.entry(f"{shard:06d}.arrow", file.size, file.checksum))
    write_manifest(folder, meaning, entries)


BATCHES = [[[5, 6, 7], [], [9]], [[10] * 200]]


@pytest.mark.parametrize(("size", "dtype"), [(1000, pa.uint16()), (65536, pa.uint16()), (65537, pa.uint32())])
def test_what_is_written_is_read(tmp_path: Path, size: int, dtype: pa.DataType) -> None:
    write_folder(tmp_path, BATCHES, TokenMeaning("a" * 32, size, 1, 2))
    manifest = verify_shards(str(tmp_path))
    assert (manifest.documents, manifest.tokens, manifest.text_bytes) == (4, 204, 612)
    assert [(b.documents, b.tokens) for b in manifest.shards[0].batches] == [(3, 4), (1, 200)]
    shard = open_listed(str(tmp_path), manifest, manifest.shards[0])
    assert shard.meaning.vocabulary_size == size
    assert shard.batch(0).schema.field("tokens").type == pa.list_(dtype)
    assert [batch.column("tokens").to_pylist() for batch in shard.batches()] == BATCHES
    assert shard.batch(0).column("doc_id").to_pylist()[2] == (2).to_bytes(16, "big")
    assert shard.batch(1).column("bytes").to_pylist() == [600]
    view = shard.view(0)
    assert view.values.tolist() == [5, 6, 7, 9]
    assert view.offsets.tolist() == [0, 3, 3, 4]


def test_other_readers_understand_the_file(tmp_path: Path) -> None:
    write_folder(tmp_path, BATCHES)
    with pa.ipc.open_file(tmp_path / "000000.arrow") as reader:
        assert reader.read_all().column("tokens").to_pylist() == BATCHES[0] + BATCHES[1]
        assert reader.schema.metadata[b"autoclave.tokenizer"] == b"f" * 32


def test_reading_maps_the_file_instead_of_copying_it(tmp_path: Path) -> None:
    write_folder(tmp_path, [[list(range(900))] * 500])
    shard = TokenShard(str(tmp_path / "000000.arrow"))
    before = pa.total_allocated_bytes()
    view = shard.view(0)
    assert view.values.nbytes == 900_000
    assert pa.total_allocated_bytes() - before < 10_000


def test_same_rows_same_bytes(tmp_path: Path) -> None:
    write_folder(tmp_path / "a", BATCHES)
    write_folder(tmp_path / "b", BATCHES)
    for name in ("000000.arrow", "manifest.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_shard_cut_short_anywhere_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path, BATCHES)
    path = tmp_path / "000000.arrow"
    whole = path.read_bytes()
    manifest = read_manifest(str(tmp_path))
    for length in [*range(0, len(whole), 61), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(DamageError, match=r"000000\.arrow: damaged: .*run tokenize again"):
            open_listed(str(tmp_path), manifest, manifest.shards[0])
        with pytest.raises(ShardError, match=r"000000\.arrow.*truncated"):
            TokenShard(str(path))
    path.unlink()
    with pytest.raises(DamageError, match=r"000000\.arrow.*missing"):
        verify_shards(str(tmp_path))


def test_a_changed_byte_is_found(tmp_path: Path) -> None:
    write_folder(tmp_path, BATCHES)
    path = tmp_path / "000000.arrow"
    data = bytearray(path.read_bytes())
    place = data.index(np.full(20, 10, dtype=np.uint16).tobytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamageError, match=r"000000\.arrow: damaged: its checksum is"):
        verify_shards(str(tmp_path))


def test_another_tokenizer_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path / "a", BATCHES)
    write_folder(tmp_path / "b", BATCHES, TokenMeaning("0" * 32, 1000, 1, 2))
    (tmp_path / "a" / "000000.arrow").write_bytes((tmp_path / "b" / "000000.arrow").read_bytes())
    write_manifest(Folder(tmp_path / "a"), MEANING, read_manifest(str(tmp_path / "b")).shards)
    with pytest.raises(SchemaError, match=r"000000\.arrow: made with tokenizer 000000000000, not ffffffffffff"):
        verify_shards(str(tmp_path / "a"))


def test_what_is_not_a_token_shard_is_refused(tmp_path: Path) -> None:
    with pa.ipc.new_file(str(tmp_path / "x.arrow"), pa.schema([("n", pa.int8())])):
        pass
    with pytest.raises(SchemaError, match=r"x\.arrow"):
        TokenShard(str(tmp_path / "x.arrow"))
    with pytest.raises(InputError, match=r"y\.arrow"):
        TokenShard(str(tmp_path / "y.arrow"))
    with pytest.raises(InputError, match="finished tokenize stage"):
        read_manifest(str(tmp_path))
    (tmp_path / "manifest.json").write_text('{"version": 1')
    with pytest.raises(DamageError, match=r"manifest\.json"):
        read_manifest(str(tmp_path))


def test_shards_on_another_filesystem() -> None:
    folder = Folder("memory://token-shards")
    with folder.open_write("000000.arrow") as file:
        writer = TokenShardWriter(file, MEANING)
        writer.write(*rows(BATCHES[0], pa.uint16()))
        writer.close()
    write_manifest(folder, MEANING, [writer.entry("000000.arrow", file.size, file.checksum)])
    assert verify_shards(folder.url).tokens == 4
