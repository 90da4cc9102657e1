"""Checkpoints: a folder that is whole or absent.

    config.json               the ModelConfig
    model.safetensors         weights, float32 as trained, our names
    tokenizer.json            the tokenizer trained with, copied as it is
    training_state.safetensors  optimizer moments
    training_state.json       step, settings, counters
    checksums.json            of all of these, written last

Where several processes trained, weights and moments lie in one file a process and an index (training/sharded.py).

A training folder holds `checkpoints/step-00000100/` and so on, and at its end the last one's config, weights and
tokenizer at its top, so that the folder itself is a checkpoint to score with and to generate from.
"""

from __future__ import annotations

import os
import re
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from autoclave.corpus.checksums import (
    CHECKSUMS,
    Checksums,
    check,
    find_damage,
    hash_file,
    read_checksums,
    write_checksums,
)
from autoclave.corpus.storage import Folder
from autoclave.errors import AutoclaveWarning, CheckpointError, DamageError
from autoclave.model.config import ModelConfig, decode_config
from autoclave.model.training.sharded import INDEX_FILE, WEIGHTS_STEM, CheckpointReader, file_name
from autoclave.model.transnormer import TransNormerLLM

CONFIG_FILE = "config.json"
WEIGHTS_FILE = file_name(WEIGHTS_STEM, 0, 1)
TOKENIZER_FILE = "tokenizer.json"
STATE_FILE = "training_state.json"


class TrainingState(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Where a training run stands.

    step: optimizer steps done; tokens: target tokens seen; skipped: steps whose update was not finite
    fingerprint: of the settings that shape the loss curve; resuming with others is refused
    settings: what the run was made with, by name (training/identity.py)
    """

    step: int
    tokens: int = 0
    skipped: int = 0
    fingerprint: str = ""
    settings: dict[str, Any] = {}


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part."""
    temporary = path.with_name(f".{path.name}.partial")
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def save_weights(path: Path, weights: dict[str, Tensor]) -> None:
    """Write weights as one safetensors file, in their shapes and dtypes, names sorted; atomic."""
    temporary = path.with_name(f".{path.name}.partial")
    tensors = {name: weights[name].detach().contiguous().cpu() for name in sorted(weights)}
    # One key only: safetensors writes metadata in the order of a randomised map.
    save_file(tensors, temporary, metadata={"format": "pt"})
    with open(temporary, "rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)


def load_weights(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file, in the shapes and dtypes stored, on the CPU.

    Raises DamageError when it is not what was written, CheckpointError when it is missing or broken.
    """
    check(str(path))
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such file; is this a checkpoint folder?") from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file ({error})") from error


def model_weights(folder: Path) -> dict[str, Tensor]:
    """All weights of a checkpoint folder, whole, in the shapes and dtypes stored, on the CPU, whether one process wrote
    them or many."""
    if not (folder / INDEX_FILE).exists():
        return load_weights(folder / WEIGHTS_FILE)
    reader = CheckpointReader(folder)
    return {name: reader.whole(name) for name in sorted(reader.weights)}


def weights_files(folder: Path) -> list[Path]:
    """The files that a checkpoint folder's weights lie in."""
    if not (folder / INDEX_FILE).exists():
        return [folder / WEIGHTS_FILE]
    return sorted(folder.glob("model-*-of-*.safetensors"))


def checkpoint_folder(folder: str | Path) -> Path:
    """The folder to read a model from: `folder` itself, or its newest `checkpoints/step-*` that is whole.

    What a finished run published at the top of its folder counts while no checkpoint is newer. A damaged checkpoint is
    passed over, with a warning. Raises CheckpointError where there is none.
    """
    folder = Path(folder)
    published = (folder / CONFIG_FILE).is_file() and any(
        (folder / name).is_file() for name in (WEIGHTS_FILE, INDEX_FILE)
    )
    found = list(newest_first(folder))
    if published and (not found or _published_step(folder) >= step_of(found[0])):
        return folder
    for checkpoint in found:
        damage = checkpoint_damage(checkpoint, state=False)
        if damage is None:
            return checkpoint
        warn(f"{damage}; taking the checkpoint before it")
    if found:
        raise CheckpointError(
            f"{folder}: none of its {len(found)} checkpoints is whole; see: autoclave verify {folder}"
        )
    raise CheckpointError(f"{folder}: holds no {CONFIG_FILE} and {WEIGHTS_FILE}, nor checkpoints/step-*")


def _published_step(folder: Path) -> int:
    """The steps of the model at the top of a training folder; -1 where it is unfinished or not known to be right."""
    try:
        listed = read_checksums(str(folder))
    except DamageError:
        return -1
    return -1 if listed is None or listed.step is None else listed.step


def warn(message: str) -> None:
    """Tell the person of something that the work goes on without."""
    warnings.warn(message, AutoclaveWarning, stacklevel=3)


def step_of(checkpoint: Path) -> int:
    """The steps of a folder `step-00000100`."""
    return int(checkpoint.name.removeprefix("step-"))


def newest_first(folder: Path) -> Iterator[Path]:
    """The committed checkpoints of a training folder, whole or not."""
    found = (folder / "checkpoints").glob("step-*")
    yield from sorted((path for path in found if re.fullmatch(r"step-\d+", path.name)), key=step_of, reverse=True)


def checkpoint_damage(checkpoint: Path, *, state: bool = True, part: tuple[int, int] = (0, 1)) -> str | None:
    """What is wrong with a `step-*` folder, in words that name the file; None where all is as it was written.

    state: with the optimizer's; part: (k, n) looks at every n-th file only, from the k-th on.
    """
    try:
        listed = read_checksums(str(checkpoint))
    except DamageError as error:
        return str(error)
    if listed is None:
        return f"{checkpoint / CHECKSUMS}: damaged: it is missing"
    names = [name for name in sorted(listed.files) if state or not name.startswith("training_state")]
    chosen = {name: listed.files[name] for name in names[part[0] :: part[1]]}
    return next(
        (f"{checkpoint / name}: damaged: {what}" for name, what in find_damage(Folder(checkpoint), chosen).items()),
        None,
    )


def record_files(folder: Path, made_by: str, step: int | None = None) -> None:
    """Write the checksums of all files at the top of a folder, last of all."""
    names = [path.name for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")]
    files = {name: hash_file(str(folder / name)) for name in names if name != CHECKSUMS}
    write_checksums(Folder(folder), Checksums(made_by=made_by, step=step, files=files))


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest committed checkpoint of a training folder, or None."""
    return next(newest_first(folder), None)


def read_config(folder: str | Path) -> ModelConfig:
    """The config of a checkpoint folder."""
    path = checkpoint_folder(folder) / CONFIG_FILE
    check(str(path))
    return decode_config(path.read_bytes(), str(path))


def load_model(folder: str | Path, *, device: str = "cpu", dtype: torch.dtype | None = None) -> TransNormerLLM:
    """The model of a checkpoint folder, in eval mode; `dtype` is for matrices only, LRPE's theta stays float32.

    Raises CheckpointError when files are missing, broken, or do not fit the config (the first bad name is given).
    """
    folder = checkpoint_folder(folder)
    config = read_config(folder)
    with torch.device("meta"):
        model = TransNormerLLM(config)
    assign_weights(model, model_weights(folder), str(folder / WEIGHTS_FILE))
    for name, parameter in model.named_parameters():
        if dtype is not None and parameter.dim() == 2 and not name.endswith("lrpe.theta"):
            parameter.data = parameter.data.to(dtype)
    return model.to(device=device).eval()


def assign_weights(model: nn.Module, weights: dict[str, Tensor], origin: str) -> None:
    """Put these tensors into the model (which may be on the meta device), every name and shape checked.

    Parameters take the tensors' dtypes. origin: what the message of a CheckpointError names.
    """
    expected = {name: parameter.shape for name, parameter in model.named_parameters()}
    missing = sorted(set(expected) - set(weights))
    surplus = sorted(set(weights) - set(expected))
    if missing or surplus:
        what = f"lacks '{missing[0]}'" if missing else f"has an unknown tensor '{surplus[0]}'"
        raise CheckpointError(f"{origin}: {what}; the weights belong to another model or layout")
    for name, shape in expected.items():
        if weights[name].shape != shape:
            have, want = list(weights[name].shape), list(shape)
            raise CheckpointError(f"{origin}: '{name}' has shape {have}, the config asks for {want}")
    model.load_state_dict(weights, strict=True, assign=True)
    for parameter in model.parameters():
        parameter.requires_grad_(True)


def publish(checkpoint: Path, folder: Path, step: int) -> None:
    """Put a checkpoint's weights, whole, tokenizer and config at the top of the training folder, their checksums last.

    Nothing is done where they are there as they should be.
    """
    if _published_step(folder) == step:
        listed = read_checksums(str(folder))
        if listed is not None and not find_damage(Folder(folder), listed.files):
            return
    unpublish(folder)
    if (checkpoint / INDEX_FILE).exists():
        save_weights(folder / WEIGHTS_FILE, model_weights(checkpoint))
    for name in (WEIGHTS_FILE, TOKENIZER_FILE, CONFIG_FILE):
        if (checkpoint / name).exists():
            check(str(checkpoint / name))
            temporary = folder / f".{name}.partial"
            shutil.copyfile(checkpoint / name, temporary)
            os.replace(temporary, folder / name)
    record_files(folder, "train", step)


def unpublish(folder: Path) -> None:
    """Say that the model at the top of a training folder is not the newest any more: its checkpoints are."""
    (folder / CHECKSUMS).unlink(missing_ok=True)


def read_training_state(checkpoint: Path) -> TrainingState:
    """The training state of one `step-*` folder. Raises CheckpointError when it is unreadable."""
    path = checkpoint / STATE_FILE
    check(str(path))
    try:
        return msgspec.json.decode(path.read_bytes(), type=TrainingState)
    except (OSError, msgspec.DecodeError) as error:
        raise CheckpointError(f"{path}: unreadable training state ({error})") from error
