"""Checkpoints written by many processes: every tensor in boxes, so that any other cut of the model can read them.

    model-00001-of-00004.safetensors           the boxes of weights that process 0 held
    training_state-00001-of-00004.safetensors  and of the optimizer's moments
    shards.json                                where each tensor's boxes lie

One process writes whole tensors into `model.safetensors` and `training_state.safetensors`, and needs no index. Nothing
here is a pickle: torch.distributed.checkpoint's metadata file is one, and whoever could write it could run code on
whoever loads it. Its idea is kept, a tensor as a set of boxes, with safetensors and JSON in the place of pickles.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from autoclave.corpus.checksums import check
from autoclave.errors import CheckpointError

INDEX_FILE = "shards.json"
WEIGHTS_STEM, STATE_STEM = "model", "training_state"
_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


class Piece(NamedTuple):
    """A box of a whole tensor: its name, the whole's shape, where the box begins, its numbers (a view, same dtype)."""

    name: str
    shape: tuple[int, ...]
    offset: tuple[int, ...]
    tensor: Tensor


class Box(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a box lies: the file in this folder, its key there, its offset in the whole tensor, and its shape."""

    file: str
    key: str
    offset: list[int]
    shape: list[int]


class StoredTensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole tensor's safetensors dtype ("F32"), shape and boxes."""

    dtype: str
    shape: list[int]
    boxes: list[Box]


class Index(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """shards.json: all tensors of a checkpoint, weights by name, moments as `<name>/<moment>`."""

    tensors: dict[str, StoredTensor]

    def merge(self, other: Index) -> None:
        """Add another process's boxes. Raises CheckpointError where the two disagree on a tensor."""
        for name, stored in other.tensors.items():
            mine = self.tensors.setdefault(name, StoredTensor(stored.dtype, stored.shape, []))
            if (mine.dtype, mine.shape) != (stored.dtype, stored.shape):
                raise CheckpointError(f"processes disagree on the shape of '{name}'")
            mine.boxes.extend(stored.boxes)


def file_name(stem: str, rank: int, size: int) -> str:
    """The file of a process: `model.safetensors` where there is one, `model-00001-of-00004.safetensors` of several."""
    return f"{stem}.safetensors" if size == 1 else f"{stem}-{rank + 1:05d}-of-{size:05d}.safetensors"


def lay_out(pieces: Sequence[Piece], rank: int, size: int) -> tuple[dict[str, dict[str, Tensor]], Index]:
    """What each of this process's files holds (file -> key -> tensor, the pieces' own), and the index of their boxes.

    The index has each box's shape and dtype. The first piece of a tensor has its name as key, more `<name>@<number>`.
    """
    files: dict[str, dict[str, Tensor]] = {file_name(stem, rank, size): {} for stem in (WEIGHTS_STEM, STATE_STEM)}
    index = Index({})
    codes = {dtype: code for code, dtype in _DTYPES.items()}
    for piece in pieces:
        file = file_name(STATE_STEM if "/" in piece.name else WEIGHTS_STEM, rank, size)
        stored = StoredTensor(codes[piece.tensor.dtype], list(piece.shape), [])
        stored = index.tensors.setdefault(piece.name, stored)
        key = piece.name if not stored.boxes else f"{piece.name}@{len(stored.boxes)}"
        stored.boxes.append(Box(file, key, list(piece.offset), list(piece.tensor.shape)))
        files[file][key] = piece.tensor
    return files, index


def read_index(path: Path) -> Index:
    """An index from its file.

    Raises DamageError when it is not what was written, CheckpointError when it is broken or names a file outside of its
    folder.
    """
    check(str(path))
    try:
        index = msgspec.json.decode(path.read_bytes(), type=Index)
    except (OSError, msgspec.DecodeError) as error:
        raise CheckpointError(f"{path}: not a readable index of shards ({error})") from error
    for name, stored in index.tensors.items():
        for box in stored.boxes:
            if Path(box.file).name != box.file or not box.file.endswith(".safetensors"):
                raise CheckpointError(f"{path}: '{name}' names the file '{box.file}', which is not one of this folder")
            if not len(box.offset) == len(box.shape) == len(stored.shape) or stored.dtype not in _DTYPES:
                raise CheckpointError(f"{path}: '{name}' has a box that does not fit its shape or dtype")
    return index


def _index_of_whole_files(folder: Path, reader: CheckpointReader) -> Index:
    tensors: dict[str, StoredTensor] = {}
    for name in (file_name(WEIGHTS_STEM, 0, 1), file_name(STATE_STEM, 0, 1)):
        if (folder / name).exists():
            with reader.reading(name) as file:
                for key in file.keys():  # noqa: SIM118 (not a mapping)
                    part = file.get_slice(key)
                    shape = list(part.get_shape())
                    tensors[key] = StoredTensor(part.get_dtype(), shape, [Box(name, key, [0] * len(shape), shape)])
    return Index(tensors)


class CheckpointReader:
    """Reads boxes of the tensors of one checkpoint folder, in whatever boxes they were written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: dict[str, Any] = {}
        indexed = (folder / INDEX_FILE).exists()
        self.index = read_index(folder / INDEX_FILE) if indexed else _index_of_whole_files(folder, self)

    @property
    def weights(self) -> set[str]:
        """Names of the weights."""
        return {name for name in self.index.tensors if "/" not in name}

    @property
    def moments(self) -> set[str]:
        """Names of the optimizer's moments, `<parameter>/<moment>`."""
        return {name for name in self.index.tensors if "/" in name}

    @contextlib.contextmanager
    def reading(self, name: str) -> Iterator[Any]:
        """An open safetensors file of the folder; errors in the block become a CheckpointError that names the file."""
        path = self.folder / name
        try:
            if name not in self._open:
                check(str(path))
                self._open[name] = safe_open(path, framework="pt")
            yield self._open[name]
        except FileNotFoundError as error:
            raise CheckpointError(f"{path}: no such file; is this a whole checkpoint folder?") from error
        except (SafetensorError, OSError, IndexError, RuntimeError) as error:
            raise CheckpointError(f"{path}: not a readable safetensors file ({error})") from error

    def read_into(self, piece: Piece) -> None:
        """Fill the piece's tensor. Raises CheckpointError for another shape, or where the boxes leave a gap."""
        stored = self.index.tensors.get(piece.name)
        if stored is None:
            raise CheckpointError(f"{self.folder}: lacks '{piece.name}'; it belongs to another model or layout")
        if tuple(stored.shape) != tuple(piece.shape):
            have, want = stored.shape, list(piece.shape)
            raise CheckpointError(f"{self.folder}: '{piece.name}' has shape {have}, the config asks for {want}")
        filled = 0
        for box in stored.boxes:
            starts = [max(a, b) for a, b in zip(box.offset, piece.offset, strict=True)]
            ends = zip(box.offset, box.shape, piece.offset, piece.tensor.shape, strict=True)
            stops = [min(a + n, b + m) for a, n, b, m in ends]
            if any(stop <= start for start, stop in zip(starts, stops, strict=True)):
                continue
            source = tuple(slice(a - o, b - o) for a, b, o in zip(starts, stops, box.offset, strict=True))
            target = tuple(slice(a - o, b - o) for a, b, o in zip(starts, stops, piece.offset, strict=True))
            with self.reading(box.file) as file:
                numbers = file.get_slice(box.key)[source] if source else file.get_tensor(box.key)
                piece.tensor[target] = numbers.to(piece.tensor.device)
            filled += math.prod(b - a for a, b in zip(starts, stops, strict=True))
        if filled != piece.tensor.numel():
            raise CheckpointError(f"{self.folder}: '{piece.name}' is not whole: {INDEX_FILE} leaves a part out")

    def whole(self, name: str) -> Tensor:
        """A whole tensor on the CPU, in the shape and dtype that it was written in."""
        stored = self.index.tensors[name]
        tensor = torch.empty(stored.shape, dtype=_DTYPES[stored.dtype])
        self.read_into(Piece(name, tuple(stored.shape), (0,) * tensor.dim(), tensor))
        return tensor
