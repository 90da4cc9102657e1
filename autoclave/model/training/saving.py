"""Saving while training goes on: numbers are copied to the CPU, a thread writes them, and a rename makes them count.

Every process writes its own files into `checkpoints/.partial-step-N` (a folder that all of them see). When all have,
the first adds config, counters and index, and renames the folder to `step-N`. Before that rename the checkpoint does
not exist, and the one before it is removed only afterwards: a kill at any moment leaves the last committed one. The
processes learn about each other through files, never through collectives, which would run into the training step's.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import torch
from torch import Tensor

from autoclave.corpus.checksums import Checksums, hash_file, write_checksums
from autoclave.corpus.commits import OutputFile
from autoclave.corpus.sealed import seal, unseal
from autoclave.corpus.storage import Folder
from autoclave.errors import CheckpointError
from autoclave.model.config import ModelConfig, encode_config
from autoclave.model.formats import checkpoint as checkpoints
from autoclave.model.training.sharded import INDEX_FILE, Index, Piece, lay_out

PATIENCE = 1800.0
"""Seconds to wait for the other processes' files, once ours are written."""


class _Part(msgspec.Struct, frozen=True):
    """What one process tells the first: where its boxes lie, and the checksums of its files."""

    index: Index
    files: dict[str, OutputFile]


class CheckpointSaver:
    """Writes the checkpoints of one process of a run, one at a time."""

    def __init__(self, folder: Path, rank: int, size: int, keep: int, tokenizer: Path | None) -> None:
        self.parent = folder / "checkpoints"
        self.rank, self.size, self.keep, self.tokenizer = rank, size, keep, tokenizer
        self._buffers: dict[tuple[str, tuple[int, ...]], Tensor] = {}
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._stop = threading.Event()

    def save(self, config: ModelConfig, pieces: Sequence[Piece], state: checkpoints.TrainingState) -> None:
        """Copy the pieces and begin to write them; waits first for the save before this one.

        Raises what that one raised.
        """
        self.wait()
        copies = self._copy(pieces)
        state = msgspec.structs.replace(state)
        self._thread = threading.Thread(target=self._run, args=(config, copies, state), daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Until the last save is committed. Raises CheckpointError or OSError where it failed."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def close(self) -> None:
        """End without raising: finish what this process can finish alone, do not wait for others that may be dead."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _copy(self, pieces: Sequence[Piece]) -> list[Piece]:
        """The pieces on the CPU, in memory that is kept for the next save (pinned for those of a GPU)."""
        copies = []
        on_gpu = False
        for piece in pieces:
            key, value = (piece.name, piece.offset), piece.tensor.detach()
            if key not in self._buffers:
                shape, dtype = value.shape, value.dtype
                self._buffers[key] = torch.empty(shape, dtype=dtype, device="cpu", pin_memory=value.is_cuda)
            self._buffers[key].copy_(value, non_blocking=True)
            on_gpu |= value.is_cuda
            copies.append(piece._replace(tensor=self._buffers[key]))
        if on_gpu:
            torch.cuda.synchronize()
        return copies

    def _run(self, config: ModelConfig, pieces: list[Piece], state: checkpoints.TrainingState) -> None:
        try:
            self._write(config, pieces, state)
        except BaseException as error:  # raised again by wait(), in the thread that trains
            self._error = error

    def _write(self, config: ModelConfig, pieces: list[Piece], state: checkpoints.TrainingState) -> None:
        final = self.parent / f"step-{state.step:08d}"
        partial = self.parent / f".partial-{final.name}"
        partial.mkdir(parents=True, exist_ok=True)
        files, index = lay_out(pieces, self.rank, self.size)
        for name, tensors in files.items():
            checkpoints.save_weights(partial / name, tensors)
        written = {name: hash_file(str(partial / name)) for name in files}
        if self.size > 1:
            checkpoints.write_atomically(self._part(partial, self.rank), seal(_Part(index, written)))
        if self.rank > 0:
            return
        if self.size > 1:
            self._await_others(partial)
            parts = [self._part(partial, rank) for rank in range(self.size)]
            index = Index({})
            for part in parts:
                found = unseal(part.read_bytes(), _Part)
                index.merge(found.index)
                written |= found.files
            checkpoints.write_atomically(partial / INDEX_FILE, msgspec.json.encode(index))
            for part in parts:
                part.unlink()
        checkpoints.write_atomically(partial / checkpoints.CONFIG_FILE, encode_config(config))
        checkpoints.write_atomically(partial / checkpoints.STATE_FILE, msgspec.json.format(msgspec.json.encode(state)))
        if self.tokenizer is not None:
            shutil.copyfile(self.tokenizer, partial / checkpoints.TOKENIZER_FILE)
        for name in (INDEX_FILE, checkpoints.CONFIG_FILE, checkpoints.STATE_FILE, checkpoints.TOKENIZER_FILE):
            if (partial / name).exists():
                written[name] = hash_file(str(partial / name))
        write_checksums(Folder(partial), Checksums(made_by="train", step=state.step, files=written))
        commit(partial, final)
        remove_old_checkpoints(self.parent, self.keep)

    def _part(self, partial: Path, rank: int) -> Path:
        return partial / f"part-{rank + 1:05d}.json"

    def _await_others(self, partial: Path) -> None:
        deadline = time.monotonic() + PATIENCE
        missing = list(range(self.size))
        while missing:
            missing = [rank for rank in missing if not self._part(partial, rank).exists()]
            if missing and (self._stop.wait(0.02) or time.monotonic() > deadline):
                raise CheckpointError(f"{partial}: process {missing[0]} did not write its part; nothing was committed")


def commit(partial: Path, final: Path) -> None:
    """Give a finished folder its name, durably."""
    _synchronise(partial)
    if final.exists():
        shutil.rmtree(final)
    os.replace(partial, final)
    _synchronise(final.parent)


def _synchronise(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_old_checkpoints(parent: Path, keep: int) -> None:
    """Keep the newest `keep` (at least one)."""
    for old in list(checkpoints.newest_first(parent.parent))[max(keep, 1) :]:
        # Renamed first, so that a kill during removal leaves no checkpoint that looks whole.
        doomed = old.with_name(f".partial-{old.name}")
        os.replace(old, doomed)
        shutil.rmtree(doomed)


def remove_partial_checkpoints(folder: Path) -> None:
    """Remove what a kill left half-written. Only before training begins: a save in progress looks the same."""
    for stale in (folder / "checkpoints").glob(".partial-*"):
        shutil.rmtree(stale)


def set_aside(checkpoint: Path) -> None:
    """Take a damaged checkpoint out of the way of the next ones; `remove_partial_checkpoints` removes it later."""
    doomed = checkpoint.with_name(f".partial-damaged-{checkpoint.name}")
    shutil.rmtree(doomed, ignore_errors=True)
    os.replace(checkpoint, doomed)
