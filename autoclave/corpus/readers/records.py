"""One record of a web archive, as WARC and ARC files hold it."""

from __future__ import annotations

from dataclasses import dataclass

DOCUMENT_TYPES = frozenset({"response", "resource", "conversion"})
"""Types of records that hold a document."""

OTHER_TYPES = frozenset({"warcinfo", "request", "metadata", "revisit", "continuation"})
"""The other types of the standard (WARC 1.1, section 6): they only describe a document."""


@dataclass(slots=True)
class WarcRecord:
    """One record as stored. `content` is None where it was longer than the limit; `length` counts it all the same."""

    offset: int
    headers: dict[str, str]
    content: bytes | memoryview | None
    length: int

    @property
    def kind(self) -> str:
        return self.headers.get("warc-type", "").lower()
