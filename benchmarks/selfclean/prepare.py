"""The experiment's data as one file: tokens and rule signals of every document. Text libraries are needed here alone.

python -m benchmarks.selfclean prepare --out .cache/selfclean.parquet --documents 25330
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from autoclave.cleaning.ngram_model.estimation import FALLBACK_DISCOUNTS, estimate
from autoclave.cleaning.ngram_model.scoring import OwnScorer
from autoclave.cleaning.selfclean.text_signals import text_signals
from autoclave.tokenize.encoding import Encoder
from autoclave.tokenize.training import TokenizerSettings, train_tokenizer
from benchmarks.selfclean.corpus import build_crawl


def host_folds(host: list[str], folds: int, seed: int) -> np.ndarray:
    """Return a fold for each document, int64 [n]: a host is in one fold."""
    names = sorted(set(host))
    draw = np.random.default_rng(seed).integers(0, folds, len(names))
    by_name = dict(zip(names, draw.tolist(), strict=True))
    return np.array([by_name[one] for one in host])


def kenlm_bits(tokens: list[np.ndarray], sizes: np.ndarray, fold: np.ndarray, order: int = 5) -> np.ndarray:
    """Return cross-fitted bits per byte of an n-gram model over tokens, float32 [n]; a document of no fold (-1) is
    scored by the first model."""
    bits = np.zeros(len(tokens), dtype=np.float32)
    lines = [" ".join(map(str, one.tolist())) for one in tokens]
    for held in sorted(set(fold[fold >= 0].tolist())):
        training = [line for line, one in zip(lines, fold, strict=True) if one not in (held, -1)]
        scorer = OwnScorer(estimate(iter(training), order, discount_fallback=FALLBACK_DISCOUNTS))
        rows = np.flatnonzero((fold == held) | ((fold < 0) & (held == 0)))
        found = scorer.score(pa.array([lines[row] for row in rows], pa.string()))
        bits[rows] = -found.log10 / np.log10(2) / sizes[rows]
    return bits


def prepare(data: Path, out: Path, documents: int, vocabulary: int, seed: int, order: int = 5) -> None:
    """Build the crawl, train a tokenizer on it, encode, measure, and write one Parquet file."""
    table = build_crawl(data, documents, seed).table()
    text = table.column("text").combine_chunks()
    crawl = pc.invert(table.column("held_out"))

    def texts() -> Iterator[str]:
        yield from table.filter(crawl).column("text").to_pylist()[::2]

    encoder = Encoder(train_tokenizer(texts, TokenizerSettings(vocabulary_size=vocabulary)))
    tokens = encoder.encode_arrow(text).cast(pa.list_(pa.uint16()))
    lists = [one.values.to_numpy() for one in tokens]
    sizes = pc.binary_length(text).to_numpy(zero_copy_only=False)
    fold = host_folds(table.column("host").to_pylist(), 2, seed)
    fold[table.column("held_out").to_numpy()] = -1
    columns = {
        "tokens": tokens,
        "bytes": pa.array(sizes.astype(np.int32)),
        "fold": pa.array(fold.astype(np.int8)),
        "kenlm_bits_per_byte": pa.array(kenlm_bits(lists, sizes, fold, order)),
        **text_signals(text, table.column("language").to_pylist()),
    }
    for name, column in columns.items():
        table = table.append_column(name, column)
    meta = {"vocabulary": str(encoder.vocabulary_size), "seed": str(seed)}
    out.parent.mkdir(parents=True, exist_ok=True)
    table = table.drop_columns(["text"]).replace_schema_metadata(meta)
    pq.write_table(table, out, compression="zstd", compression_level=19, use_dictionary=["host", "domain", "language"])
