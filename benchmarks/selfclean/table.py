"""The table of scores of the experiment: cross-fitted, single, trusted and early models over every document once."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from autoclave.model.inference.surprise import surprise_features
from benchmarks.selfclean.models import Size, score, train

EARLY = 0.2
"""The early checkpoint stands after so much of the training."""

TRUSTED = 1000
"""Documents that somebody vouched for: good ones, of some domains alone, as a user would have them."""

TRUSTED_DOMAINS = ("books_eltec", "tech_peps", "edu_openstax", "web_en_ewt", "zh_laws", "zh_techdocs", "web_registers")


def read_tokens(table: pa.Table) -> list[np.ndarray]:
    """Return the token ids of each document, int64 [n] each."""
    column = table.column("tokens").combine_chunks()
    values, offsets = column.values.to_numpy().astype(np.int64), column.offsets.to_numpy()
    return [values[a:b] for a, b in itertools.pairwise(offsets)]


def trusted_rows(table: pa.Table, seed: int, count: int = TRUSTED) -> np.ndarray:
    """Return the rows of the documents that are vouched for, int64 [count]."""
    domain, bad = (np.array(table.column(name).to_pylist()) for name in ("domain", "bad"))
    rows = np.flatnonzero((bad == "") & np.isin(domain, TRUSTED_DOMAINS))
    return np.sort(np.random.default_rng(seed).choice(rows, min(count, len(rows) // 2), replace=False))


def score_table(crawl: pa.Table, size: Size, vocabulary: int, seed: int, *, single: bool = True) -> pa.Table:
    """Return the crawl's table with the models' columns; crawl: rows that are not held out."""
    tokens = read_tokens(crawl)
    sizes = crawl.column("bytes").to_numpy()
    fold = crawl.column("fold").to_numpy()
    count = len(tokens)
    columns: dict[str, np.ndarray] = {}
    hidden = np.zeros((count, size.width), dtype=np.float32)
    for held in sorted(set(fold.tolist())):
        begun = time.monotonic()
        rows = np.flatnonzero(fold == held)
        model, early = train([tokens[row] for row in np.flatnonzero(fold != held)], size, vocabulary, seed, early=EARLY)
        texts, lengths = [tokens[row] for row in rows], sizes[rows]
        trained = time.monotonic() - begun
        found = score(model, texts, lengths, pool=True)
        assert found.pooled is not None
        assert early is not None
        hidden[rows] = found.pooled
        values = {"bits_per_byte": found.bits_per_byte, **surprise_features(found.losses)}
        values["early_bits_per_byte"] = score(early, texts, lengths).bits_per_byte
        for name, one in values.items():
            columns.setdefault(name, np.full(count, np.nan, dtype=np.float32))[rows] = one
        print(
            f"fold {held}: trained in {trained:.0f} s, scored in {time.monotonic() - begun - trained:.0f} s", flush=True
        )
    columns["trusted_bits_per_byte"] = _one_model(
        tokens, trusted_rows(crawl, seed), sizes, _shorter(size), vocabulary, seed
    )
    if single:
        columns["single_bits_per_byte"] = _one_model(tokens, np.arange(count), sizes, size, vocabulary, seed)
    for name, one in columns.items():
        crawl = crawl.append_column(name, pa.array(one.astype(np.float32)))
    pooled = pa.FixedSizeListArray.from_arrays(pa.array(hidden.ravel()), size.width)
    return crawl.append_column("pooled_hidden", pooled)


def _shorter(size: Size) -> Size:
    """The trusted model sees a thousand documents about as often as the others see theirs, at least four times."""
    return Size(**{**size.__dict__, "tokens": size.tokens // 4})


def _one_model(
    tokens: Sequence[np.ndarray], rows: np.ndarray, sizes: np.ndarray, size: Size, vocabulary: int, seed: int
) -> np.ndarray:
    """Return bits per byte of every document under one model trained on some rows."""
    model, _ = train([tokens[row] for row in rows], size, vocabulary, seed)
    return score(model, tokens, sizes).bits_per_byte
