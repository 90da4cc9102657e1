"""The loader against a plain list of all positions: nothing lost, nothing repeated, the same on any world size."""

from __future__ import annotations

import collections
import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoclave.corpus.storage import Folder
from autoclave.errors import DamageError, InputError, RecipeError, SchemaError
from autoclave.tokenize.loader import IGNORE, TokenLoader
from autoclave.tokenize.shards import TokenMeaning, TokenShardWriter, write_manifest

BOS, EOS = 1, 2


def write_tokens(
    folder: Path, documents: list[list[int]], per_batch: int, batches_per_shard: int, fingerprint: str = "f" * 32
) -> None:
    meaning, entries = TokenMeaning(fingerprint, 1 << 20, BOS, EOS), []
    groups = [documents[start : start + per_batch] for start in range(0, len(documents), per_batch)] or [[]]
    for shard, start in enumerate(range(0, len(groups), batches_per_shard)):
        with Folder(folder).open_write(f"{shard:06d}.arrow") as file:
            writer = TokenShardWriter(file, meaning)
            for group in groups[start : start + batches_per_shard]:
                ids = pa.array([bytes(16)] * len(group), pa.binary(16))
                writer.write(ids, pa.array(group, pa.list_(pa.uint32())), pa.array([0] * len(group), pa.int32()))
            writer.close()
        entries.append(writer.entry(f"{shard:06d}.arrow", file.size, file.checksum))
    write_manifest(Folder(folder), meaning, entries)


def unique_documents(lengths: list[int], first: int = 10) -> list[list[int]]:
    """Documents of these lengths in which no token occurs twice, so that each position has a pair of its own."""
    edges = np.cumsum([first, *lengths])
    return [list(range(a, b)) for a, b in itertools.pairwise(edges)]


def pairs(documents: list[list[int]]) -> collections.Counter[tuple[int, int]]:
    return collections.Counter(
        pair for document in documents for pair in zip([BOS, *document], [*document, EOS], strict=True)
    )


def rows_of(loader: TokenLoader, steps: int) -> tuple[np.ndarray, np.ndarray]:
    batches = [loader.batch(step) for step in range(steps)]
    return np.concatenate([b.inputs for b in batches]), np.concatenate([b.targets for b in batches])


def check_segments(inputs: np.ndarray, targets: np.ndarray, cu_seqlens: np.ndarray) -> None:
    """cu_seqlens marks rows, documents and padding, nothing else; inside a segment targets are the next inputs."""
    expected = []
    for row in range(len(inputs)):
        for column in range(inputs.shape[1]):
            pads = targets[row, column] == IGNORE and column > 0 and targets[row, column - 1] != IGNORE
            if column == 0 or inputs[row, column] == BOS or pads:
                expected.append(row * inputs.shape[1] + column)
    assert cu_seqlens.dtype == np.int32
    assert cu_seqlens.tolist() == [*expected, inputs.size]
    flat_inputs, flat_targets = inputs.ravel(), targets.ravel()
    for begin, end in itertools.pairwise(cu_seqlens):
        if flat_targets[begin] != IGNORE:
            assert flat_inputs[begin + 1 : end].tolist() == flat_targets[begin : end - 1].tolist()


@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 40), min_size=1, max_size=25),
    sequence_length=st.integers(1, 33),
    per_batch=st.integers(1, 9),
    per_shard=st.integers(1, 3),
    seed=st.integers(0, 5),
)
def test_each_epoch_reads_each_position_once(
    tmp_path_factory: pytest.TempPathFactory,
    lengths: list[int],
    sequence_length: int,
    per_batch: int,
    per_shard: int,
    seed: int,
) -> None:
    folder = tmp_path_factory.mktemp("tokens")
    documents = unique_documents(lengths)
    write_tokens(folder, documents, per_batch, per_shard)
    loader = TokenLoader(folder, sequence_length=sequence_length, batch_size=1, seed=seed)
    assert loader.tokens_per_epoch == sum(lengths) + len(lengths)
    assert loader.steps_per_epoch == -(-loader.tokens_per_epoch // sequence_length)
    for epoch in range(3):
        seen: collections.Counter[tuple[int, int]] = collections.Counter()
        for step in range(epoch * loader.steps_per_epoch, (epoch + 1) * loader.steps_per_epoch):
            batch = loader.batch(step)
            assert batch.epoch == epoch
            assert batch.inputs.dtype == batch.targets.dtype == np.int64
            check_segments(batch.inputs, batch.targets, batch.cu_seqlens)
            real = batch.targets != IGNORE
            assert (batch.inputs[~real] == 0).all()
            seen.update(zip(batch.inputs[real].tolist(), batch.targets[real].tolist(), strict=True))
        assert seen == pairs(documents)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "tokens"
    lengths = np.random.default_rng(1).integers(0, 120, 150).tolist()
    write_tokens(path, unique_documents(lengths), 16, 3)
    return path


@pytest.mark.parametrize(("batch_size", "world_size"), [(12, 1), (6, 2), (3, 4), (1, 12)])
def test_any_world_size_reads_the_same_rows_at_the_same_steps(folder: Path, batch_size: int, world_size: int) -> None:
    whole = TokenLoader(folder, sequence_length=64, batch_size=12, seed=5)
    ranks = [
        TokenLoader([folder], sequence_length=64, batch_size=batch_size, seed=5, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    for step in (7, 0, 31, 1000):  # in any order: nothing is remembered
        parts = [loader.batch(step) for loader in ranks]
        expected = whole.batch(step)
        assert (np.concatenate([part.inputs for part in parts]) == expected.inputs).all()
        assert (np.concatenate([part.targets for part in parts]) == expected.targets).all()
        for part in parts:
            check_segments(part.inputs, part.targets, part.cu_seqlens)


def test_resume_anywhere_gives_the_same_batches(folder: Path) -> None:
    options = {"sequence_length": 50, "batch_size": 4, "seed": 9}
    inputs, targets = rows_of(TokenLoader(folder, **options), 60)
    for step in (59, 13, 0):
        batch = TokenLoader(folder, **options).batch(step)
        assert (batch.inputs == inputs[4 * step : 4 * step + 4]).all()
        assert (batch.targets == targets[4 * step : 4 * step + 4]).all()


def test_a_step_across_epochs_loses_nothing(folder: Path) -> None:
    loader = TokenLoader(folder, sequence_length=64, batch_size=8, seed=2)
    blocks = loader.rows_per_epoch
    assert blocks % 8, "the case under test is a step that holds rows of two epochs"
    inputs, targets = rows_of(loader, 3 * loader.steps_per_epoch)
    for epoch in range(2):
        rows = slice(epoch * blocks, (epoch + 1) * blocks)
        real = targets[rows] != IGNORE
        counts = collections.Counter(zip(inputs[rows][real].tolist(), targets[rows][real].tolist(), strict=True))
        assert set(counts.values()) == {1}
        assert counts.total() == loader.tokens_per_epoch


def test_orders_and_cuts_change_with_seed_and_epoch(folder: Path) -> None:
    first = TokenLoader(folder, sequence_length=64, batch_size=1, seed=1)
    second = TokenLoader(folder, sequence_length=64, batch_size=1, seed=3)
    blocks = first.rows_per_epoch

    def cuts(loader: TokenLoader, epoch: int) -> list[tuple[int, ...]]:
        inputs, _ = rows_of(loader, 2 * blocks)
        return [tuple(row) for row in inputs[epoch * blocks : (epoch + 1) * blocks].tolist()]

    variants = [cuts(first, 0), cuts(first, 1), cuts(second, 0)]
    for index, one in enumerate(variants):
        for other in variants[index + 1 :]:
            assert one != other
            assert len(set(one) & set(other)) <= 1


def test_weights_give_each_source_its_share_and_its_own_epochs(tmp_path: Path) -> None:
    small, large = unique_documents([30] * 10), unique_documents([50] * 100, first=100_000)
    write_tokens(tmp_path / "small", small, 4, 2)
    write_tokens(tmp_path / "large", large, 16, 2)
    sources = {"small": tmp_path / "small", "large": tmp_path / "large"}
    loader = TokenLoader(sources, sequence_length=32, batch_size=4, seed=0, weights={"small": 1, "large": 3})
    inputs, targets = rows_of(loader, 50)
    is_small = (inputs < 100_000).all(axis=1)
    assert abs(is_small.sum() - 50) <= 2
    windows = is_small[:200].reshape(10, 20).sum(axis=1)
    assert windows.min() >= 4
    assert windows.max() <= 6
    blocks = -(-310 // 32)
    for epoch in range(4):
        rows = np.flatnonzero(is_small)[epoch * blocks : (epoch + 1) * blocks]
        real = targets[rows] != IGNORE
        assert collections.Counter(
            zip(inputs[rows][real].tolist(), targets[rows][real].tolist(), strict=True)
        ) == pairs(small)
    assert loader.epochs(50)["small"] == pytest.approx(is_small.sum() / blocks)
    ranks = [
        TokenLoader(
            sources, sequence_length=32, batch_size=2, seed=0, rank=r, world_size=2, weights={"large": 3, "small": 1}
        )
        for r in (0, 1)
    ]
    assert (np.concatenate([r.batch(11).inputs for r in ranks]) == inputs[44:48]).all()


def test_moving_a_corpus_does_not_change_its_order(tmp_path: Path) -> None:
    options = {"sequence_length": 16, "batch_size": 4, "seed": 3}
    found = []
    for place in ("here", "there"):
        for name in ("x", "y"):
            write_tokens(tmp_path / place / name, unique_documents([9] * 30, first=1000 if name == "x" else 9000), 8, 1)
        paths = [str(tmp_path / place / name) for name in ("x", "y")]
        plain = TokenLoader(paths, **options).batch(2)  # type: ignore[arg-type]
        mixed = TokenLoader(paths, weights={paths[0] + "/": 1, paths[1]: 1}, **options).batch(2)  # type: ignore[arg-type]
        found.append((plain.inputs.tolist(), mixed.inputs.tolist()))
    assert found[0] == found[1]


def test_single_files_are_read_as_their_folder_is(folder: Path) -> None:
    files = sorted(str(path) for path in folder.glob("*.arrow"))
    assert len(files) > 1
    options = {"sequence_length": 40, "batch_size": 3, "seed": 4}
    by_file, by_folder = TokenLoader(files, **options), TokenLoader(folder, **options)  # type: ignore[arg-type]
    assert (by_file.batch(5).inputs == by_folder.batch(5).inputs).all()


def test_shards_on_an_object_store_are_read_as_local_ones_are(folder: Path) -> None:
    remote = Folder("memory://loader-test/tokens")
    for path in sorted(folder.iterdir()):
        remote.write_bytes(path.name, path.read_bytes())
    options = {"sequence_length": 40, "batch_size": 3, "seed": 4}
    there, here = TokenLoader(remote.url, **options), TokenLoader(folder, **options)  # type: ignore[arg-type]
    assert (there.batch(5).inputs == here.batch(5).inputs).all()


def test_many_shards_keep_few_files_open(tmp_path: Path) -> None:
    write_tokens(tmp_path, unique_documents([3] * 700), 1, 1)
    loader = TokenLoader(tmp_path, sequence_length=8, batch_size=50, seed=0)
    _, targets = rows_of(loader, loader.steps_per_epoch)
    assert (targets != IGNORE).sum() >= loader.tokens_per_epoch
    open_files = [link for link in Path("/proc/self/fd").iterdir() if ".arrow" in str(link.resolve())]
    assert len(open_files) <= 300


def test_clear_errors(folder: Path, tmp_path: Path) -> None:
    def load(shards: object, **changes: object) -> TokenLoader:
        options = {"sequence_length": 8, "batch_size": 1, "seed": 0} | changes
        return TokenLoader(shards, **options)  # type: ignore[arg-type]

    for changes in ({"rank": 1}, {"batch_size": 0}, {"sequence_length": 0}, {"weights": {"other": 1.0}}):
        with pytest.raises(RecipeError):
            load(folder, **changes)
    with pytest.raises(RecipeError, match="above zero"):
        load(folder, weights={str(folder): 0.0})
    with pytest.raises(InputError, match=r"manifest\.json"):
        load(tmp_path)
    with pytest.raises(InputError, match="empty list"):
        load([])
    write_tokens(tmp_path / "empty", [], 1, 1)
    with pytest.raises(InputError, match="no tokens"):
        load(tmp_path / "empty")
    write_tokens(tmp_path / "other", unique_documents([5]), 1, 1, fingerprint="0" * 32)
    for weights in (None, {str(folder): 1.0, str(tmp_path / "other"): 1.0}):
        with pytest.raises(SchemaError, match="tokenizer"):
            load([folder, tmp_path / "other"], weights=weights)
    path = tmp_path / "other" / "000000.arrow"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DamageError, match=r"other/000000\.arrow"):
        load(tmp_path / "other").batch(0)
