"""Training in several gloo processes of this machine."""

from __future__ import annotations

import os
import socket

import msgspec
import torch
from batches import PatternLoader
from small_training import CONFIG, SETTINGS

from autoclave.model.training.loop import train

STEPS = msgspec.structs.replace(SETTINGS, steps=6, checkpoint_every=3)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


Runs = list[tuple[str, PatternLoader, dict[str, object]]]


def worker(rank: int, size: int, port: int, runs: Runs) -> None:
    os.environ |= {
        "RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    try:
        for folder, loader, options in runs:
            train(CONFIG, msgspec.structs.replace(STEPS, **options), loader, folder)
    finally:
        torch.distributed.destroy_process_group()
