"""The table of scores: one row a document, from one pass over it, and all that a decision may look at.

It stands in the ledger and in a round's score files. Whatever is decided, once or again, is a function of this table.
"""

from __future__ import annotations

import pyarrow as pa

TEXT_SIGNALS = ("repeated_share", "compression_ratio", "misread")
"""repeated_share: characters in word 5-grams that occurred before in the text, or in lines that did, whichever is more
(0 to 1); compression_ratio: zstd, compressed / original bytes; misread: 1 where bytes were read in a wrong encoding."""

MODEL_SCORES = (
    "bits_per_byte",
    "surprise_mean",
    "surprise_spread",
    "surprise_upper",
    "near_certain_share",
    "surprise_trend",
    "worst_window",
    "window_spread",
    "early_minus_late",
    "trusted_difference",
    "kenlm_bits_per_byte",
)
"""Scores that a model gave: bits_per_byte under the model of the document's fold; features of its tokens' losses
(model/inference/surprise.py); bits per byte under that model early in its training, and under the model of trusted
text, minus bits_per_byte; bits per byte of an n-gram model. Null where a model was not asked for."""

POOLED_SIZE = 16
"""Values of a document's pooled hidden state that are kept: a random projection, which keeps distances."""

SCORE_SCHEMA = pa.schema(
    [
        pa.field("doc_id", pa.binary(16)),
        pa.field("fold", pa.int8()),
        pa.field("nll", pa.float64()),
        pa.field("tokens", pa.int64()),
        pa.field("bytes", pa.int64()),
        *(pa.field(name, pa.float64() if name == "bits_per_byte" else pa.float32()) for name in MODEL_SCORES),
        *(pa.field(name, pa.float32()) for name in TEXT_SIGNALS),
        pa.field("pooled_hidden", pa.list_(pa.float32(), POOLED_SIZE)),
        pa.field("language", pa.string()),
        pa.field("source", pa.string()),
        pa.field("host", pa.string()),
    ]
)
"""A row of a score file; doc_id, model scores and tokens are null where an earlier round dropped the document."""

LEDGER_SCORES = ("bits_per_byte", *(name for name in MODEL_SCORES if name != "bits_per_byte"), *TEXT_SIGNALS)
"""Columns of the table that the ledger holds as signals, float32."""
