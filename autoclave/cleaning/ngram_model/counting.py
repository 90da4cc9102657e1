"""Counting n-grams of a text in bounded memory: chunks are sorted and merged, never the whole text held."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from autoclave.cleaning.ngram_model.keys import BEGIN, END
from autoclave.errors import InputError

CHUNK = 1 << 20
"""N-grams that are sorted at once."""

MAX_NGRAMS = 20_000_000
"""Different n-grams of the highest order that the estimator accepts: about 2 GB at work. `lmplz` works on disk."""

SPECIAL_WORDS = {b"<unk>", b"<s>", b"</s>"}
"""Names of the special words; in a text they count as white space, as with `lmplz --skip_symbols`."""

_BLANKS = bytes.maketrans(b"\x00\t\n\r", b"    ")


class Vocabulary:
    """Words and their ids, in order of first occurrence after <unk> 0, <s> 1, </s> 2."""

    def __init__(self) -> None:
        self.ids: dict[bytes, int] = {b"<unk>": 0, b"<s>": BEGIN, b"</s>": END}

    def __len__(self) -> int:
        return len(self.ids)

    def encode(self, sentence: bytes) -> list[int]:
        """Return the ids of the words of a sentence, new words getting new ids."""
        ids = self.ids
        words = sentence.translate(_BLANKS).split(b" ")
        return [ids.setdefault(word, len(ids)) for word in words if word and word not in SPECIAL_WORDS]


def count_ngrams(
    sentences: Iterable[str], order: int, vocabulary: Vocabulary, max_ngrams: int = MAX_NGRAMS
) -> tuple[np.ndarray, np.ndarray]:
    """Return (n-grams int32[U, order], counts int64[U]) of the sentences, sorted from the last word to the first.

    A sentence is preceded by order - 1 times <s> and followed by </s>. Raises InputError beyond max_ngrams.
    """
    ngrams, counts = np.empty((0, order), dtype=np.int32), np.empty(0, dtype=np.int64)
    pending: list[tuple[np.ndarray, np.ndarray]] = []
    waiting = 0
    for chunk in _chunks(sentences, order, vocabulary):
        found = _unique(chunk, np.ones(len(chunk), dtype=np.int64))
        pending.append(found)
        waiting += len(found[1])
        if waiting > max(len(counts), CHUNK):
            ngrams, counts = _merge([(ngrams, counts), *pending])
            pending, waiting = [], 0
        if len(counts) > max_ngrams:
            raise InputError(
                f"more than {max_ngrams} different {order}-grams: give less text, or install lmplz, which sorts on disk"
            )
    return _merge([(ngrams, counts), *pending])


def _chunks(sentences: Iterable[str], order: int, vocabulary: Vocabulary) -> Iterator[np.ndarray]:
    padding = [BEGIN] * (order - 1)
    ids: list[int] = []
    for sentence in sentences:
        for line in sentence.encode("utf-8", "replace").split(b"\n"):
            ids += padding
            ids += vocabulary.encode(line)
            ids.append(END)
        if len(ids) >= CHUNK:
            yield _windows(ids, order)
            ids = []
    if ids:
        yield _windows(ids, order)


def _windows(ids: list[int], order: int) -> np.ndarray:
    windows = np.lib.stride_tricks.sliding_window_view(np.array(ids, dtype=np.int32), order)
    return windows[windows[:, -1] != BEGIN]


def _unique(ngrams: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort n-grams from the last word to the first and add up the counts of equal ones."""
    if not len(ngrams):
        return ngrams, counts
    columns = [ngrams[:, column].astype(np.int64) for column in range(ngrams.shape[1])]
    if len(columns) % 2:
        columns.insert(0, np.zeros_like(columns[0]))
    pairs = [columns[i + 1] << 32 | columns[i] for i in range(0, len(columns), 2)]
    rows = np.lexsort(pairs)
    ngrams, counts = ngrams[rows], counts[rows]
    starts = np.flatnonzero(np.r_[True, np.any(ngrams[1:] != ngrams[:-1], axis=1)])
    return ngrams[starts], np.add.reduceat(counts, starts)


def _merge(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    return _unique(np.concatenate([ngrams for ngrams, _ in parts]), np.concatenate([counts for _, counts in parts]))
