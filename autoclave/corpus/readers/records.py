"""One record of a web archive, as WARC and ARC files hold it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class WarcRecord:
    """One record as stored. `content` is None where it was longer than the limit; `length` counts it all the same."""

    offset: int
    headers: dict[str, str]
    content: bytes | None
    length: int

    @property
    def kind(self) -> str:
        return self.headers.get("warc-type", "").lower()
