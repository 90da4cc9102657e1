"""Limits of a task and what a lost shard means: `guards:` of a recipe. Outputs do not depend on them."""

from __future__ import annotations

from typing import Literal

import msgspec

BASE_SECONDS, SECONDS_PER_MB = 120.0, 60.0
"""Default time of a task: about 60 times what the slowest text stage needs, after the start of a worker on a busy
machine. A shard that runs into it is searched for the document at fault, so that it need not be exact."""

BASE_BYTES, BYTES_PER_BYTE = 4 << 30, 32
"""Default memory of a task: batches of 32 MB, models and indexes, and a factor for what Parquet unpacks to."""


class GuardSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of a task and what a lost shard means. Outputs do not depend on them."""

    task_seconds: float | None = None
    """Longest time of one task on documents; none: 120 s and 60 s for each MB that it reads as stored. Tasks
    that train or score with a model have no limit."""
    task_memory_mb: int | None = None
    """Most memory of one task on documents in MiB; none: 4096, or 32 times what it reads as stored where that is
    more, and never more than nine tenths of the machine's."""
    on_lost_shard: Literal["stop", "continue"] = "stop"
    """Whether a run goes on to the next stage when a shard, or all of an input file, was lost."""

    def __post_init__(self) -> None:
        if self.task_seconds is not None and not self.task_seconds > 0:
            raise ValueError("task_seconds: must be above 0")
        if self.task_memory_mb is not None and self.task_memory_mb < 1:
            raise ValueError("task_memory_mb: must be at least 1")

    def seconds(self, size: int | None) -> float | None:
        """Return the time limit of a task that reads `size` bytes (None: not known); None where it has no limit."""
        if self.task_seconds is not None or size is None:
            return self.task_seconds
        return BASE_SECONDS + SECONDS_PER_MB * size / 1e6

    def memory(self, size: int | None) -> int | None:
        """Return the memory limit in bytes of a task that reads `size` bytes; None where it is left to the machine."""
        if self.task_memory_mb is not None:
            return self.task_memory_mb << 20
        return None if size is None else max(BASE_BYTES, BYTES_PER_BYTE * size)
