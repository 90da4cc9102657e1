"""Where a model runs: the device a name stands for, and the CPU threads it may use."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from autoclave.errors import RecipeError


def resolve_device(device: str) -> torch.device:
    """The device of a name; "auto" is CUDA when there is one (under torchrun this process's own GPU), else the CPU.

    Raises RecipeError for a name of no device, and for a CUDA device that PyTorch does not see.
    """
    if device != "auto":
        try:
            found = torch.device(device)
        except RuntimeError as error:
            raise RecipeError(f"device: there is no '{device}'; use auto, cpu, cuda or cuda:1") from error
        if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
            raise RecipeError(f"device: '{device}' is not there; PyTorch sees {torch.cuda.device_count()} CUDA devices")
        return found
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


@contextlib.contextmanager
def cpu_threads(threads: int | None) -> Iterator[None]:
    """PyTorch on so many threads (None: as they are), and as it was before afterwards."""
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
