"""Long exact repeats inside documents that are not duplicates as a whole (Lee et al. 2021, 'Deduplicating Training Data
Makes Language Models Better': 50 tokens and more)."""

from __future__ import annotations

import msgspec
import numpy as np
import pyarrow as pa

from autoclave.errors import RecipeError
from autoclave.kernels.text.keys.passages import mark_repeats, token_hashes, window_hashes, without_tokens
from autoclave.kernels.text.texts import text_buffers


class SubstringSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Removal of passages that stand word for word in an earlier document, or earlier in the same one."""

    min_tokens: int = 50
    """Words (characters, where a script writes no spaces) of the shortest passage: Lee et al. use 50 BPE tokens."""
    group_mb: int = 128
    """Text that is compared at once; a larger corpus falls into groups of neighbouring shards. One task needs 10
    (English) to 20 (Chinese) times as much memory."""

    def __post_init__(self) -> None:
        if self.min_tokens < 2 or self.group_mb < 1:
            raise RecipeError("dedup.substring: min_tokens must be at least 2 and group_mb at least 1")


class Tokens(msgspec.Struct, frozen=True):
    """The t tokens of n texts.

    starts: int64[t], where one begins in the text buffer; hashes: uint64[t]; bounds: int64[n + 1], by document.
    """

    starts: np.ndarray
    hashes: np.ndarray
    bounds: np.ndarray


def find_tokens(text: pa.Array, wanted: np.ndarray) -> Tokens:
    """Return the tokens of the texts that `wanted` (bool[n]) marks; the others have none."""
    return Tokens(*token_hashes(*text_buffers(text), wanted))


def find_repeats(parts: list[Tokens], min_tokens: int) -> list[np.ndarray]:
    """Return for each part bool[t]: tokens of passages of `min_tokens` or more that stand word for word before.

    Parts are compared with one another in order; the first occurrence of a passage stays. Memory: about 60 bytes a
    token. Two passages are equal when the 64-bit hashes of all their tokens are.
    """
    hashes = np.concatenate([part.hashes for part in parts]) if parts else np.zeros(0, np.uint64)
    lengths = np.concatenate([np.diff(part.bounds) for part in parts]) if parts else np.zeros(0, np.int64)
    bounds = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    positions, keys = window_hashes(hashes, bounds, min_tokens)
    marked = mark_repeats(np.argsort(keys, kind="stable"), keys, positions, hashes, min_tokens)
    return np.split(marked, np.cumsum([part.hashes.size for part in parts])[:-1]) if parts else []


def remove_tokens(text: pa.Array, tokens: Tokens, marked: np.ndarray) -> tuple[pa.Array, np.ndarray, np.ndarray]:
    """Return (text, tokens removed int32[n], bytes removed int32[n]) without the marked tokens of each text."""
    data, offsets = text_buffers(text)
    out, kept = without_tokens(data, offsets, tokens.starts, tokens.bounds, marked)
    edited = pa.StringArray.from_buffers(kept.size - 1, pa.py_buffer(kept.astype(np.int32)), pa.py_buffer(out))
    totals = np.concatenate([[0], np.cumsum(marked)])
    count = totals[tokens.bounds[1:]] - totals[tokens.bounds[:-1]]
    return edited, count.astype(np.int32), (np.diff(offsets) - np.diff(kept)).astype(np.int32)
