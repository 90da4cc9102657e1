"""Stop words per language, and the tables that kernels look them up in."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import numpy as np

from autoclave.cleaning.language.limits import language_entries
from autoclave.kernels.text.rules.counts import STOP_SLOTS
from autoclave.kernels.text.words.kinds import hash_word

NO_LIST = -1
"""Row of a language without stop words: what a filter counts there says nothing."""


def stop_words(language: str, published: bool = False) -> tuple[str, ...]:
    """Return the stop words of a language in lower case, () where there is no list.

    published: FineWeb-2's list (Gopher's in English), whatever it keeps of good text.
    """
    entry = language_entries().get(language)
    return () if entry is None else entry.published if published else entry.stop_words


def _forms(words: Sequence[str], any_case: bool) -> Iterator[tuple[str, int]]:
    """Yield (form, number of its word + 1) of each way that a word is looked for."""
    for number, word in enumerate(words, 1):
        forms = (word, word.capitalize(), word.upper()) if any_case else (word,)
        yield from ((form, number) for form in dict.fromkeys(forms))


def _table(words: Sequence[str], any_case: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return (hashes uint64 [STOP_SLOTS], 0 where empty; numbers int64 [STOP_SLOTS], the same for forms of a word)."""
    slots, numbers = np.zeros(STOP_SLOTS, dtype=np.uint64), np.zeros(STOP_SLOTS, dtype=np.int64)
    for form, number in _forms(words, any_case):
        value = int(np.uint64(hash_word(np.frombuffer(form.encode(), dtype=np.uint8))))
        slot = value % STOP_SLOTS
        while slots[slot] and slots[slot] != value:
            slot = (slot + 1) % STOP_SLOTS
        if not slots[slot]:
            slots[slot], numbers[slot] = value, number
    return slots, numbers


@functools.cache
def stop_tables(published: bool, any_case: bool) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """Return (hashes uint64 [lists, STOP_SLOTS], numbers int64 [lists, STOP_SLOTS], language -> row).

    Forms of one word ("the", "The", "THE" where any_case) have one number. Row 0 is English.
    """
    lists = {code: words for code in language_entries() if (words := stop_words(code, published))}
    names = sorted(lists, key=lambda code: (code != "en", code))
    tables = [_table(lists[name], any_case) for name in names]
    rows = {name: row for row, name in enumerate(names)}
    return np.stack([hashes for hashes, _ in tables]), np.stack([numbers for _, numbers in tables]), rows


def stop_rows(languages: Sequence[str | None], published: bool, any_case: bool) -> np.ndarray:
    """Return the row of `stop_tables` for each document's language (int32[documents]), NO_LIST where it has none.

    A document whose language is not known (None) counts as English.
    """
    rows = stop_tables(published, any_case)[2]
    return np.fromiter((rows.get(language or "en", NO_LIST) for language in languages), np.int32, len(languages))
