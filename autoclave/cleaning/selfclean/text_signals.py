"""Signals of the text itself that stand beside the model's in the table of scores: what a loss cannot see.

A model finds repetition easy and misread bytes no harder than a rare language; rules find both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from autoclave.cleaning.selfclean.table import TEXT_SIGNALS
from autoclave.cleaning.signals import measure
from autoclave.cleaning.transforms.mojibake_scan import find_misread


def text_signals(text: pa.StringArray, languages: Sequence[str | None]) -> dict[str, pa.Array]:
    """Return each of TEXT_SIGNALS, float32, one value a document. text: without nulls; languages: a code each."""
    found = measure(text, ["gopher_repetition", "text_statistics"], languages=languages)
    repeated = np.fmax(
        _values(found["duplicate_5gram_ratio"]),
        _values(found["duplicate_line_character_ratio"]),
    )
    misread = (find_misread(text) != 0).astype(np.float32)
    columns = (np.nan_to_num(repeated), _values(found["compression_ratio"]), misread)
    return {name: pa.array(column) for name, column in zip(TEXT_SIGNALS, columns, strict=True)}


def _values(column: pa.Array) -> np.ndarray:
    return column.cast(pa.float32()).fill_null(np.nan).to_numpy(zero_copy_only=False)
