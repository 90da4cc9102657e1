"""All that reading one archive gave, for the tests of its reader."""

from __future__ import annotations

from collections import Counter
from typing import Any

from autoclave.corpus.readers.warc import read_warc


class Reading:
    """The batches and rows of one file, what was skipped by kind, and the errors."""

    def __init__(self, file: Any, **options: Any) -> None:
        self.errors: list[tuple[str, str]] = []
        self.skipped: Counter[str] = Counter()
        batches = read_warc(file, "s", lambda *e: self.errors.append(e), lambda k: self.skipped.update([k]), **options)
        self.batches = list(batches)
        self.rows = [row for batch in self.batches for row in batch.to_pylist()]

    @property
    def payloads(self) -> list[bytes]:
        return [row["payload"] for row in self.rows]
