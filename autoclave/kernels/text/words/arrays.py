"""The arrays that travel together while words are found: the words, what is looked up, and room to work in."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Words(NamedTuple):
    """The words of some texts, in order; kernels fill them and say how many there are.

    start, end: int32[words], byte spans; chars: int32[words], code points; hashes: uint64[words]
    (`kinds.hash_bytes`); flags: uint8[words] (`kinds`); offsets: int64[texts + 1], words of text i are
    offsets[i]:offsets[i + 1].
    """

    start: np.ndarray
    end: np.ndarray
    chars: np.ndarray
    hashes: np.ndarray
    flags: np.ndarray
    offsets: np.ndarray

    def shortened(self, count: int) -> Words:
        """Return the first `count` words; the offsets stay."""
        spans = self.start[:count], self.end[:count], self.chars[:count]
        return Words(*spans, self.hashes[:count], self.flags[:count], self.offsets)


class Dictionary(NamedTuple):
    """Words with their costs, -log2 of their probability, as `dictionary.build_table` fills them in.

    keys: uint64[slots], hashes of words and of all their prefixes in an open-addressing table, a power of two long, 0
    where empty; costs: float32[slots], infinite for what is only a prefix; singles: float32[65536], of each character
    alone; pairs: uint8[bytes], a bit for each hash of two characters (`dictionary.PAIR_BITS`), set where some word
    begins with them.
    """

    keys: np.ndarray
    costs: np.ndarray
    singles: np.ndarray
    pairs: np.ndarray


class Tables(NamedTuple):
    """What splitting looks up.

    ascii_classes: int32[128], classes of ASCII, with WHITE_SPACE where the kind of words separates; classes, scripts:
    int32[0x110000], uint8[0x110000], of `characters.character_tables`; exceptions: uint64[slots], of
    `spacy_rules.exception_table`; then a dictionary for each script that writes no spaces.
    """

    ascii_classes: np.ndarray
    classes: np.ndarray
    scripts: np.ndarray
    exceptions: np.ndarray
    chinese: Dictionary
    south_east_asian: Dictionary
    japanese: Dictionary


class Chunk(NamedTuple):
    """What stands between white space: data[begin:stop].

    length: characters; letters, marks: of those the letters, and what is neither letter nor digit (both 0 for kinds
    that do not cut chunks); some, every: the OR and the AND of their classes.
    """

    begin: int
    stop: int
    length: int
    letters: int
    marks: int
    some: int
    every: int


class Room(NamedTuple):
    """Where one chunk is taken apart, and what `ascii.known_chunk` knows of earlier ones.

    points: int32[room], the code points of the chunk; places: int32[room], the byte where each begins, and where the
    last ends; marks: int32[room], which of them are neither letters nor digits; pending: int32[room], marks taken off
    the end, waiting; costs: float32[room], steps: int32[room], of the best split from each character on; known_places,
    known_words: int32[KNOWN], by the hash of a chunk where it stood last, -1 for nowhere, and its first word.
    """

    points: np.ndarray
    places: np.ndarray
    marks: np.ndarray
    pending: np.ndarray
    costs: np.ndarray
    steps: np.ndarray
    known_places: np.ndarray
    known_words: np.ndarray
