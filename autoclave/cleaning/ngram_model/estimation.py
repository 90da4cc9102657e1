"""Interpolated modified Kneser-Ney estimation, as lmplz does it, for models that fit in memory.

Source: Heafield, Pouzyrevsky, Clark, Koehn, "Scalable Modified Kneser-Ney Language Model Estimation", ACL 2013; the
discounts are equation 26 of Chen and Goodman 1998. Nothing is pruned.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from autoclave.cleaning.ngram_model.arpa import ArpaModel
from autoclave.cleaning.ngram_model.counting import MAX_NGRAMS, Vocabulary, count_ngrams
from autoclave.cleaning.ngram_model.keys import BEGIN, END, UNKNOWN, fill_table, find_keys, new_table, ngram_keys
from autoclave.errors import InputError

Discounts = tuple[float, float, float]
"""D1, D2 and D3+: what is taken from n-grams of adjusted count 1, 2, and 3 or more."""

FALLBACK_DISCOUNTS: Discounts = (0.5, 1.0, 1.5)
"""What `lmplz --discount_fallback` takes where the counts of counts give no usable discounts."""


@dataclass(frozen=True)
class OrderCounts:
    """The n-grams of one order. ngrams: int32[U, k]; adjusted: int64[U]; suffix: int64[U], row of the last k - 1 words
    among the n-grams of the order below (-1 for k = 1); counts_of_counts: n-grams of adjusted count 0, 1, 2, 3, 4."""

    ngrams: np.ndarray
    adjusted: np.ndarray
    suffix: np.ndarray
    counts_of_counts: np.ndarray


def estimate(
    sentences: Iterable[str],
    order: int = 5,
    *,
    discount_fallback: Discounts | None = None,
    max_ngrams: int = MAX_NGRAMS,
) -> ArpaModel:
    """Return the model of the sentences (words between blanks, tabs; one sentence a line).

    order: 1 to 8; discount_fallback: discounts for orders whose own are undefined (small or artificial data), None to
    refuse such data. Raises InputError for empty or too small texts and beyond max_ngrams.
    """
    if not 1 <= order <= 8:
        raise ValueError(f"order {order} is not between 1 and 8")
    vocabulary = Vocabulary()
    ngrams, counts = count_ngrams(sentences, order, vocabulary, max_ngrams)
    if len(vocabulary) <= 3:
        raise InputError("no words to estimate a language model from: give a text with words")
    orders = adjusted_counts(ngrams, counts, len(vocabulary))
    discounts = [_discounts(level, number + 1, discount_fallback) for number, level in enumerate(orders)]
    probabilities, backoffs = _interpolate(orders, discounts)
    return ArpaModel(
        words=list(vocabulary.ids),
        ngrams=[level.ngrams for level in orders],
        probabilities=probabilities,
        backoffs=backoffs,
    )


def adjusted_counts(ngrams: np.ndarray, counts: np.ndarray, vocabulary: int) -> list[OrderCounts]:
    """Return the adjusted counts of every order from the counts of the highest.

    ngrams: int32[U, n], sorted from the last word to the first; counts: int64[U]. Below the highest order the adjusted
    count is the number of different words before the n-gram; for one that begins with <s>, its count.
    """
    order = ngrams.shape[1]
    result: list[OrderCounts] = []
    differs = np.r_[True, ngrams[1:, -1] != ngrams[:-1, -1]]
    group = np.zeros(len(ngrams), dtype=np.int64)
    for size in range(1, order + 1):
        starts = np.flatnonzero(differs)
        grams = np.ascontiguousarray(ngrams[starts, order - size :])
        raw = np.add.reduceat(counts, starts)
        finer = (
            differs
            if size == order
            else differs | np.r_[True, ngrams[1:, order - size - 1] != ngrams[:-1, order - size - 1]]
        )
        extensions = np.add.reduceat(finer.astype(np.int64), starts)
        adjusted = raw if size == order else np.where(grams[:, 0] == BEGIN, raw, extensions)
        # Padding: only the first word of an n-gram may be <s>.
        valid = np.ones(len(starts), dtype=np.bool_) if size == 1 else grams[:, 1] != BEGIN
        histogram = np.bincount(adjusted[valid & (adjusted < 5)], minlength=5)[:5]
        if size < order and valid[-1]:
            # lmplz enters the very last n-gram of an order by its raw count; so do we, to have its discounts.
            histogram += np.bincount([min(raw[-1], 5)], minlength=6)[:5]
            histogram -= np.bincount([min(adjusted[-1], 5)], minlength=6)[:5]
        suffix = group[starts][valid] if size > 1 else np.full(len(starts), -1)
        numbers = np.cumsum(valid) - 1
        group = numbers[np.cumsum(differs) - 1]
        if size == 1:  # every word but <unk> and <s> occurs, so that rows are ids once these two are put in
            grams = np.arange(vocabulary, dtype=np.int32)[:, None]
            adjusted, valid = np.r_[0, 0, adjusted], np.ones(vocabulary, dtype=np.bool_)
            suffix, group = np.full(vocabulary, -1), group + 2
        result.append(OrderCounts(grams[valid], adjusted[valid], suffix, histogram))
        differs = finer
    return result


def _discounts(level: OrderCounts, order: int, fallback: Discounts | None) -> np.ndarray:
    """Return float64 [0, D1, D2, D3+]; InputError where the counts of counts give none and there is no fallback."""
    histogram = level.counts_of_counts.astype(np.float64)
    if np.all(histogram[1:4] > 0):
        share = histogram[1] / (histogram[1] + 2 * histogram[2])
        found = np.array([j - (j + 1) * share * histogram[j + 1] / histogram[j] for j in (1, 2, 3)])
        if np.all((found >= 0) & (found <= (1, 2, 3))):
            return np.r_[0.0, found]
    if fallback is None:
        raise InputError(
            f"too little text for Kneser-Ney discounts of {order}-grams (n-grams of adjusted count 1 to 4: "
            f"{level.counts_of_counts[1:].tolist()}): give more text, a lower order, or discount_fallback"
        )
    return np.r_[0.0, fallback]


def _interpolate(orders: list[OrderCounts], discounts: list[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return (probabilities, back-offs) of each order, float32, log10; the highest order has no back-offs."""
    lower = np.array([1.0 / (len(orders[0].ngrams) - 1)])  # <unk> is a word, <s> is not
    probabilities: list[np.ndarray] = []
    backoffs: list[np.ndarray] = []
    for number, (level, discount) in enumerate(zip(orders, discounts, strict=True)):
        contexts = len(orders[number - 1].ngrams) if number else 1
        context = _prefixes(orders, number)
        kinds = np.minimum(level.adjusted, 3)
        total = np.bincount(context, weights=level.adjusted, minlength=contexts)
        taken = np.bincount(context, weights=discount[kinds], minlength=contexts)
        gamma = np.divide(taken, total, out=np.ones(contexts), where=total > 0)
        own = (level.adjusted - discount[kinds]) / total[context]
        probability = own + gamma[context] * lower[level.suffix]
        if number:
            backoffs.append(np.log10(gamma).astype(np.float32))
        else:
            probability[BEGIN] = 1.0  # lmplz: <s> is given, never predicted
        probabilities.append(np.minimum(np.log10(probability), 0).astype(np.float32))
        lower = probability
    for level, backoff in zip(orders, backoffs, strict=False):
        last = level.ngrams[:, -1]
        backoff[(last == UNKNOWN) | (last == END)] = 0
    return probabilities, [*backoffs, np.zeros(len(orders[-1].ngrams), dtype=np.float32)]


def _prefixes(orders: list[OrderCounts], number: int) -> np.ndarray:
    """Return int64: for each n-gram of orders[number], the row of its first words among the order below."""
    ngrams = orders[number].ngrams
    if number <= 1:
        return ngrams[:, 0].astype(np.int64) if number else np.zeros(len(ngrams), dtype=np.int64)
    below = orders[number - 1].ngrams
    slots, values = new_table(len(below))
    keys = np.empty(len(below), dtype=np.uint64)
    ngram_keys(below, keys)
    if fill_table(keys, 0, slots, values):
        raise InputError(f"two {number}-grams have the same 64-bit key: leave one sentence out and train again")
    wanted, found = np.empty(len(ngrams), dtype=np.uint64), np.empty(len(ngrams), dtype=np.int64)
    ngram_keys(np.ascontiguousarray(ngrams[:, :-1]), wanted)
    find_keys(slots, values, wanted, found)
    return found
