"""How much speaks for an encoding: the bits that the characters take which it makes of the bytes.

The cost of a letter is that of it after the letter before, in the language that the whole sample is cheapest in; words
of 62 languages that are written in legacy encodings were counted (`benchmarks.charset_statistics`). A right reading of
a sample takes fewer bits than wrong ones, whose letters stand in no language side by side, whose signs stand inside
words, and whose bytes are malformed or unassigned. The same bytes are compared, so no length has to be allowed for.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from autoclave.corpus.encoding.letters import BOUNDARY, code_points, is_counted, letters, neighbour_bits

SAMPLE_BYTES = 3_000
_LITTLE = 3
_HEAD = 1 << 18
_STEPS = 8  # costs are stored in eighths of a bit
_SECOND_BY_ITSELF = 2.3  # bits: a pair that was not seen, with UNSEEN_PAIR of benchmarks.charset_statistics
_FOREIGN = 14.0  # bits of a letter that the language does not have
_UNKNOWN, _UNKNOWN_APART = 10.0, 15.0  # ... that no language here has, beside a letter of its script, and otherwise

_LONG_TAG = 4_000
_HIDDEN = (
    (b"<!--", b"-->"), (b"<script", b"</script"), (b"<SCRIPT", b"</SCRIPT"), (b"<style", b"</style"),
    (b"<STYLE", b"</STYLE"),
)  # fmt: skip


@dataclass(frozen=True)
class _Statistics:
    """row: a letter's row of `alone` by code point, -1 where it has none; alone: (letters, languages) bits by itself;
    pairs: sorted keys (before << 16 | letter); after: (pairs, languages) bits, those of `alone` where unseen;
    neighbours, counted: by classes of characters, as `letters` makes them."""

    row: np.ndarray
    alone: np.ndarray
    pairs: np.ndarray
    after: np.ndarray
    neighbours: np.ndarray
    counted: np.ndarray


@functools.cache
def _statistics() -> _Statistics:
    with files("autoclave").joinpath("assets/charset_statistics.npz").open("rb") as file, np.load(file) as stored:
        tokens, pairs = stored["letters"], stored["pairs"]
        alone, after = stored["alone"].astype(np.float32), stored["after"].astype(np.float32)
    row = np.full(1 << 16, -1, np.int32)
    row[tokens] = np.arange(len(tokens))
    alone = np.where(alone == 255, _FOREIGN, alone / _STEPS)
    unseen = alone[row[pairs & 0xFFFF]] + _SECOND_BY_ITSELF
    after = np.where(after == 255, unseen, after / _STEPS)
    return _Statistics(row, alone, pairs, after, neighbour_bits(), is_counted())


def bits(text: str, limit: float = math.inf) -> float:
    """Bits that the characters of a text take which are beyond ASCII, or follow one that is.

    Where its signs alone take more than `limit`, what they take is returned.
    """
    if not text or text.isascii():
        return float(letters().sign[code_points(text)].sum())
    known, tables = _statistics(), letters()
    points = code_points(text)
    kind = np.zeros(len(points) + 2, np.uint16)
    kind[1:-1] = tables.kind[points]
    pair = kind[:-2] << 4 | kind[1:-1]
    signs = float(tables.sign[points].sum() + known.neighbours[pair << 4 | kind[2:]].sum())
    if signs > limit:
        return signs
    counted = np.flatnonzero(known.counted[pair])
    token = tables.token[points]
    before = token[counted - 1]
    if len(counted) and counted[0] == 0:
        before[0] = BOUNDARY
    return signs + _letter_bits(token[counted], before, known)


def _letter_bits(token: np.ndarray, before: np.ndarray, known: _Statistics) -> float:
    """Bits of letters, each after another, in the language that has them cheapest."""
    row = known.row[token]
    total = 0.0
    if len(row) and row.min() < 0:
        unknown = row < 0
        apart = np.count_nonzero((token[unknown] >> 8) != (before[unknown] >> 8))
        total = _UNKNOWN * float(np.count_nonzero(unknown) - apart) + _UNKNOWN_APART * apart
        token, before, row = token[~unknown], before[~unknown], row[~unknown]
    if not len(token):
        return total
    keys = before.astype(np.uint32) << 16 | token
    place = np.minimum(np.searchsorted(known.pairs, keys), len(known.pairs) - 1)
    seen = known.pairs[place] == keys
    unseen = ~seen
    costs = known.after[place[seen]].sum(axis=0) + known.alone[row[unseen]].sum(axis=0)
    # Letters without pairs of their own, as Han, are no worse for it.
    return total + float(costs.min()) + _SECOND_BY_ITSELF * np.count_nonzero(unseen & (token < 0x3040))


# -- sample -----------------------------------------------------------------------------------------------------------


def sample(data: bytes) -> bytes:
    """Up to SAMPLE_BYTES of what is beyond ASCII, with its neighbours, a line each: of the text outside of tags,
    comments, scripts and style sheets, or of all where there is hardly any. Looks at the first bytes, and at more only
    where there is nothing beyond ASCII."""
    codes = np.frombuffer(data, np.uint8, min(len(data), _HEAD))
    places = np.flatnonzero(codes >= 128)
    if len(places) < _LITTLE and len(data) > _HEAD:
        first = np.flatnonzero(np.frombuffer(data, np.uint8, offset=_HEAD) >= 128)[:1]
        return sample(data[int(first[0]) + _HEAD - 3 :][:_HEAD]) if len(first) else _joined(data, places, places)
    for hidden in (_in_tags(codes, places) | _in_spans(data[:_HEAD], places), _in_spans(data[:_HEAD], places)):
        shown = places[~hidden]
        if len(shown) >= _LITTLE:
            return _joined(data, shown, places)
    return _joined(data, places, places)


def _in_tags(codes: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Whether each place lies between "<" and ">", not far from it."""
    opening, closing = (np.concatenate([[-(1 << 20)], np.flatnonzero(codes == sign)]) for sign in b"<>")
    last = opening[np.searchsorted(opening, places) - 1]
    return (last > closing[np.searchsorted(closing, places) - 1]) & (places - last < _LONG_TAG)


def _in_spans(page: bytes, places: np.ndarray) -> np.ndarray:
    """Whether each place lies in a comment, script or style sheet; those that are never closed are none."""
    edges = [0]
    for start, end in sorted(span for kind in _HIDDEN for span in spans(page, *kind)):
        if start >= edges[-1]:
            edges += [start, end]
    return np.searchsorted(np.array(edges[1:], np.int64), places, side="right") % 2 == 1


def spans(page: bytes, opening: bytes, closing: bytes) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of each stretch from an opening to the closing after it."""
    at = page.find(opening)
    while at >= 0:
        end = page.find(closing, at + len(opening))
        if end < 0:
            return
        yield at, end + len(closing)
        at = page.find(opening, end + len(closing))


def _joined(data: bytes, shown: np.ndarray, places: np.ndarray) -> bytes:
    """The runs of shown places that stand together, with up to three ASCII characters before and behind, up to the next
    of all places: second bytes of two-byte characters are inside."""
    if not len(shown):
        return b""
    gaps = np.flatnonzero(np.diff(shown) > 4)
    starts = shown[np.concatenate([[0], gaps + 1])]
    ends = shown[np.concatenate([gaps, [len(shown) - 1]])] + 1
    number = int(np.searchsorted(np.cumsum(ends - starts + 7), SAMPLE_BYTES)) + 1
    starts, ends = starts[:number], ends[:number]
    around = np.concatenate([[-2], places, [len(data)]])
    before = around[np.searchsorted(places, starts)] + 2
    behind = around[np.searchsorted(places, ends) + 1]
    spans = zip(
        np.maximum(starts - 3, np.minimum(before, starts)).tolist(), np.minimum(ends + 3, behind).tolist(), strict=True
    )
    return b"\n".join([data[start:end] for start, end in spans])[:SAMPLE_BYTES]
