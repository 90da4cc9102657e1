"""metrics.jsonl: one line a step, no step twice, whatever kills there were; and what a device could reach."""

from __future__ import annotations

import math
import os
import resource
import sys
from pathlib import Path
from typing import Any

import msgspec
import torch

from autoclave.model.formats.checkpoint import write_atomically

METRICS_FILE = "metrics.jsonl"
# Dense bfloat16 peaks of the vendors' data sheets, FLOP/s.
PEAK_BFLOAT16 = {
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "H200": 989e12,
    "A100": 312e12,
    "B200": 2250e12,
}


def peak_flops(device: torch.device) -> float | None:
    """The device's dense bfloat16 peak in FLOP/s, or None when it is not known (so MFU is left out)."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for key, peak in PEAK_BFLOAT16.items() if key in name), None)


def peak_memory(device: torch.device) -> int:
    """The most bytes held so far: allocated on the GPU, or resident of this process where it trains on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts in KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def device_memory(device: torch.device) -> int:
    """Bytes of memory that the device has; 0 for a CPU, whose memory others use too."""
    return torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else 0


class MetricsFile:
    """Appends whole lines; after a kill, what lies beyond the checkpoint is cut off before going on."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, line: dict[str, Any]) -> None:
        """Write one line and hand it to the operating system, so that SIGKILL cannot lose it."""
        with open(self.path, "ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")

    def keep_until(self, step: int) -> None:
        """Keep the lines up to this step; drop later ones and a torn last line."""
        lines = [line for line in self.read() if line["step"] <= step]
        write_atomically(self.path, b"".join(msgspec.json.encode(line) + b"\n" for line in lines))

    def read(self) -> list[dict[str, Any]]:
        """All whole lines."""
        if not self.path.exists():
            return []
        lines = []
        for raw in self.path.read_bytes().splitlines():
            try:
                lines.append(msgspec.json.decode(raw))
            except msgspec.DecodeError:
                break  # torn by a kill; nothing follows it
        return lines

    def last_line(self) -> dict[str, Any] | None:
        """The last whole line, read from the end of the file; None when there is none."""
        try:
            with open(self.path, "rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - 8192))
                lines = file.read().split(b"\n")[:-1]
            return msgspec.json.decode(lines[-1]) if lines else None
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def last_step(self) -> int:
        """The last line's step, 0 when there is none."""
        line = self.last_line()
        return 0 if line is None else int(line["step"])

    def last_loss(self) -> float:
        """The last finite loss, NaN when there is none."""
        losses = [line["loss"] for line in self.read() if line.get("loss") is not None]
        return losses[-1] if losses else math.nan
