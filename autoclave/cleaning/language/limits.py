"""What published recipes and counts say of words and lines in each language: stop words and FineWeb-2's limits.

The asset is made, and what its lists keep of good text is measured, by `benchmarks/filters/language_limits.py`. A
language without an entry, or with an empty list, is not judged by stop words.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from importlib.resources import files

import msgspec
import zstandard

Range = tuple[float | None, float | None]


WORDS_UNKNOWN = ("bo", "my")
"""Languages whose words we do not tell apart: no rule on words judges them. Tibetan and Burmese have blanks between
phrases only, and we have no dictionary of either."""


class LanguageEntry(msgspec.Struct, frozen=True):
    """One language of the asset.

    configurations: FineWeb-2's files; published: its stop words in lower case; stop_words: those that are used, []
    where no list keeps enough of good text; limits: by signal, None for a rule that FineWeb-2 switches off.
    """

    configurations: tuple[str, ...]
    published: tuple[str, ...]
    stop_words: tuple[str, ...]
    limits: dict[str, Range | None] = {}


class _Asset(msgspec.Struct, frozen=True):
    commit: str
    languages: dict[str, LanguageEntry]


@functools.cache
def language_entries() -> dict[str, LanguageEntry]:
    """Return the entries by the codes of lid.176, in their order."""
    content = (files("autoclave") / "assets" / "language_limits.json.zst").read_bytes()
    return msgspec.json.decode(zstandard.ZstdDecompressor().decompress(content), type=_Asset).languages


def published_limits(signals: Iterable[str]) -> dict[str, dict[str, Range | None]]:
    """Return language -> signal -> FineWeb-2's limits, where it has them; None for a rule that it switches off."""
    wanted = list(signals)
    return {
        language: {signal: entry.limits[signal] for signal in wanted if signal in entry.limits}
        for language, entry in language_entries().items()
        if entry.limits
    }


def wider_limits(
    tables: dict[str, dict[str, Range | None]], english: dict[str, Range]
) -> dict[str, dict[str, Range | None]]:
    """Return the tables with each limit the wider one of itself and of the English rule.

    FineWeb-2 fitted its limits on text that other tools had cut into words: where the two disagree, both are wrong by
    some good documents, and the wider one drops fewer of them.
    """
    return {
        language: {signal: _wider(limits, english.get(signal)) for signal, limits in table.items()}
        for language, table in tables.items()
    }


def without_word_rules(
    tables: dict[str, dict[str, Range | None]], signals: Iterable[str]
) -> dict[str, dict[str, Range | None]]:
    """Return the tables with the rules on those signals off in WORDS_UNKNOWN."""
    off: dict[str, Range | None] = dict.fromkeys(signals)
    return {**tables, **{language: {**tables.get(language, {}), **off} for language in WORDS_UNKNOWN}}


def _wider(limits: Range | None, english: Range | None) -> Range | None:
    if limits is None or english is None:
        return limits
    low = None if limits[0] is None or english[0] is None else min(limits[0], english[0])
    high = None if limits[1] is None or english[1] is None else max(limits[1], english[1])
    return low, high
