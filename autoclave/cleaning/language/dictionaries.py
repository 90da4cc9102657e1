"""The dictionaries of scripts without spaces, from the package's assets."""

from __future__ import annotations

import functools
from importlib.resources import files

import numpy as np
import zstandard

from autoclave.kernels.text.words.arrays import Dictionary
from autoclave.kernels.text.words.chinese import UNKNOWN_COST
from autoclave.kernels.text.words.dictionary import PAIR_BITS, build_table
from autoclave.kernels.text.words.scripts import HAN_LETTERS, KANA_LETTERS, SOUTH_EAST_ASIAN_LETTERS

_ASSETS = (
    ("chinese", 1 << 18, HAN_LETTERS),
    ("south_east_asian", 1 << 19, SOUTH_EAST_ASIAN_LETTERS),
    ("japanese", 1 << 19, KANA_LETTERS),
)
"""Name, slots of the table, and the scripts that ask for it, in the order of `words.arrays.Tables`."""


def load_dictionaries(scripts: int) -> list[Dictionary]:
    """Return the Chinese dictionary, that of Thai, Lao and Khmer, and the Japanese one.

    scripts: of `kernels.text.words.scripts.scripts_in`; a dictionary that the text has no letters for is an empty one,
    so that a worker builds none that it does not need.
    """
    return [_load(name, slots if scripts & letters else 0) for name, slots, letters in _ASSETS]


@functools.cache
def _load(name: str, slots: int) -> Dictionary:
    dictionary = Dictionary(
        np.zeros(max(slots, 1), dtype=np.uint64),
        np.full(max(slots, 1), np.inf, dtype=np.float32),
        np.full(1 << 16, UNKNOWN_COST, dtype=np.float32),
        np.zeros(1 << PAIR_BITS - 3, dtype=np.uint8),
    )
    if slots:
        packed = files("autoclave").joinpath(f"assets/{name}_words.txt.zst").read_bytes()
        data = np.frombuffer(zstandard.ZstdDecompressor().decompress(packed), dtype=np.uint8)
        entries = build_table(data, dictionary)
        assert entries < 0.7 * slots
    return dictionary
