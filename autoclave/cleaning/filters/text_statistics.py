"""What a text is made of: entropy, compressibility, scripts, capitals, and signs of personal data.

Measured for looking at and for limits of one's own; no limit is set, because none has been published that holds for
all kinds of text. `thresholds: {compression_ratio: [0.2, null]}` sets one.
"""

from __future__ import annotations

import numpy as np
import zstandard

from autoclave.cleaning.filters.base import Bound, Columns, Filter, Measurement, ratio
from autoclave.cleaning.language.words import Scan
from autoclave.kernels.text.characters import SCRIPTS
from autoclave.kernels.text.rules import character_counts
from autoclave.kernels.text.rules.character_counts import CharacterCounts

SOURCE = "entropy: Shannon 1948; compression ratio: as a measure of repetition, e.g. Luo et al. 2023, arXiv 2306.16857"

LARGEST_COMPRESSED = 1 << 20
"""Bytes of a document that are compressed; what follows them is taken to be alike."""

REPORTED_SCRIPTS = ("latin", "han", "hiragana", "katakana", "hangul", "cyrillic", "arabic", "devanagari", "thai")


def character_columns(scan: Scan) -> CharacterCounts:
    """Return what `kernels.text.rules.character_counts.character_statistics` counts."""

    def compute() -> CharacterCounts:
        found = CharacterCounts(
            np.empty((len(scan), character_counts.COLUMNS), dtype=np.int64),
            np.empty((len(scan), 16), dtype=np.int64),
            np.empty(len(scan), dtype=np.float64),
        )
        histogram = np.empty((4, 256), dtype=np.int32)
        character_counts.character_statistics(scan.texts, scan.characters, histogram, found)
        return found

    found: CharacterCounts = scan.once("character_columns", compute)
    return found


def compression_ratio(scan: Scan) -> np.ndarray:
    """Return compressed / original bytes with zstd at level 1, float32 a document; 1 for an empty one."""
    compressor = zstandard.ZstdCompressor(level=1, write_content_size=False, write_checksum=False)
    data, sizes = scan.data.data, np.minimum(np.diff(scan.offsets), LARGEST_COMPRESSED)
    packed = np.fromiter(
        (
            len(compressor.compress(data[start : start + size]))
            for start, size in zip(scan.offsets.tolist(), sizes.tolist(), strict=False)
        ),
        np.int64,
        len(scan),
    )
    return ratio(packed, sizes, empty=1.0)


def _measure(scan: Scan, measurement: Measurement) -> Columns:
    counts, scripts, entropy = character_columns(scan)
    chars = counts[:, character_counts.CHARS]
    shares = ratio(scripts[:, [SCRIPTS.index(name) for name in REPORTED_SCRIPTS]], scripts[:, 1:].sum(axis=1))
    return {
        "byte_entropy": entropy.astype(np.float32),
        "compression_ratio": compression_ratio(scan),
        "uppercase_ratio": ratio(counts[:, character_counts.UPPERCASE], chars),
        "digit_ratio": ratio(counts[:, character_counts.DECIMALS], chars),
        "email_count": counts[:, character_counts.EMAILS].astype(np.int32),
        "ip_address_count": counts[:, character_counts.ADDRESSES].astype(np.int32),
        "phone_count": counts[:, character_counts.PHONES].astype(np.int32),
        **{f"{name}_ratio": shares[:, column] for column, name in enumerate(REPORTED_SCRIPTS)},
    }


_SIGNALS = (
    "byte_entropy",
    "compression_ratio",
    "uppercase_ratio",
    "digit_ratio",
    "email_count",
    "ip_address_count",
    "phone_count",
    *(f"{name}_ratio" for name in REPORTED_SCRIPTS),
)

FILTERS = {
    "paper": Filter("text_statistics", SOURCE, tuple(Bound(name) for name in _SIGNALS), _measure, dialect="paper")
}
"""One reading only."""
