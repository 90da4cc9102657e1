"""How much speaks for an encoding: the bits that the characters take which it makes of the bytes.

The cost of a letter is that of it after the letter before, in the language that the whole sample is cheapest in; words
of 60 languages that are written in legacy encodings were counted (`benchmarks.charset_statistics`). A right reading of
a sample takes fewer bits than wrong ones, whose letters stand in no language side by side, whose signs stand inside
words, and whose bytes are malformed or unassigned. The same bytes are compared, so no length has to be allowed for.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from autoclave.corpus.encodings.letters import BOUNDARY, code_points, letters

SAMPLE_BYTES = 3_000
_LITTLE = 12
_HEAD = 1 << 18
_STEPS = 8  # costs are stored in eighths of a bit
_SECOND_BY_ITSELF = 2.3  # bits: a pair that was not seen, with UNSEEN_PAIR of benchmarks.charset_statistics
_FOREIGN = 14.0  # bits of a letter that the language does not have
_UNKNOWN, _UNKNOWN_APART = 10.0, 15.0  # ... that no language here has, beside a letter of its script, and otherwise
_INSIDE_A_WORD = 6.0  # bits more for a sign between letters
_BEHIND_A_WORD = 3.0  # ... behind a letter, that is none of those which stand behind words
_CASE = 6.0  # bits more for a capital letter behind a small one
_CAPITAL = 1.0
_MIXED = 6.0  # bits more for a letter of another alphabet beside one of ASCII

_HIDDEN = re.compile(rb"<(?:!--|script\b|style\b)", re.IGNORECASE)
_ENDS = {b"<!--": b"-->", b"<scr": b"</script", b"<sty": b"</style"}
_TAG = re.compile(rb"<[^<>]{0,4000}>")
# Beyond ASCII and what stands beside it: second bytes of two-byte characters, too, are inside.
_RUN = re.compile(rb"[!-~]{0,3}(?:[\x80-\xff]+[ -~]{0,3})+")


@dataclass(frozen=True)
class _Statistics:
    """row: a letter's row of `alone` by code point, -1 where it has none; alone: (letters, languages) bits by itself;
    pairs: sorted keys (before << 16 | letter); after: (pairs, languages) bits, those of `alone` where unseen."""

    row: np.ndarray
    alone: np.ndarray
    pairs: np.ndarray
    after: np.ndarray


@functools.cache
def _statistics() -> _Statistics:
    with files("autoclave").joinpath("assets/charset_statistics.npz").open("rb") as file, np.load(file) as stored:
        tokens, pairs = stored["letters"], stored["pairs"]
        alone, after = stored["alone"].astype(np.float32), stored["after"].astype(np.float32)
    row = np.full(1 << 16, -1, np.int32)
    row[tokens] = np.arange(len(tokens))
    alone = np.where(alone == 255, _FOREIGN, alone / _STEPS)
    unseen = alone[row[pairs & 0xFFFF]] + _SECOND_BY_ITSELF
    return _Statistics(row, alone, pairs, np.where(after == 255, unseen, after / _STEPS))


def bits(text: str) -> float:
    """Bits that the characters of a text take which are beyond ASCII, or follow one that is."""
    known, tables = _statistics(), letters()
    points = code_points(text)
    if not len(points):
        return 0.0
    beyond = points >= 128
    is_letter = tables.is_letter[points]
    token = tables.token[points]
    before = np.concatenate([[BOUNDARY], token[:-1]]).astype(np.uint16)
    signs = float(tables.sign[points].sum())
    strange = beyond & ~is_letter
    alphabetic = is_letter & (points < 0x2E80)
    signs += _INSIDE_A_WORD * _inside_words(strange & ~tables.joins[points], alphabetic)
    signs += _BEHIND_A_WORD * float(((strange & ~tables.follows[points])[1:] & alphabetic[:-1]).sum())
    signs += _case_bits(points, beyond) + _MIXED * _mixed(points, is_letter)
    counted = (beyond & is_letter) | (np.concatenate([[False], (beyond & is_letter)[:-1]]) & ~(beyond & ~is_letter))
    return signs + _letter_bits(token[counted], before[counted], known)


def _letter_bits(token: np.ndarray, before: np.ndarray, known: _Statistics) -> float:
    """Bits of letters, each after another, in the language that has them cheapest."""
    row = known.row[token]
    unknown = row < 0
    apart = (token[unknown] >> 8) != (before[unknown] >> 8)
    total = float(np.where(apart, _UNKNOWN_APART, _UNKNOWN).sum())
    token, before, row = token[~unknown], before[~unknown], row[~unknown]
    if not len(token):
        return total
    keys = before.astype(np.uint32) << 16 | token
    place = np.minimum(np.searchsorted(known.pairs, keys), len(known.pairs) - 1)
    seen = known.pairs[place] == keys
    costs = known.after[place[seen]].sum(axis=0) + known.alone[row[~seen]].sum(axis=0)
    # Letters without pairs of their own, as Han, are no worse for it.
    costs = costs + _SECOND_BY_ITSELF * float(((token < 0x3040) & ~seen).sum())
    return total + float(costs.min())


def _inside_words(signs: np.ndarray, alphabetic: np.ndarray) -> int:
    """Number of signs between two letters of alphabets."""
    return int((signs[1:-1] & alphabetic[:-2] & alphabetic[2:]).sum())


def _mixed(points: np.ndarray, is_letter: np.ndarray) -> int:
    """Number of letters of ASCII beside one of an alphabet other than Latin."""
    latin, other = is_letter & (points < 128), is_letter & (points >= 0x370) & (points < 0x1E00)
    return int((latin[1:] & other[:-1]).sum() + (latin[:-1] & other[1:]).sum())


def _case_bits(points: np.ndarray, beyond: np.ndarray) -> float:
    tables = letters()
    upper, lower = tables.is_upper[points], tables.is_lower[points]
    near = beyond[1:] | beyond[:-1]
    return _CAPITAL * float((upper & beyond).sum()) + _CASE * float((upper[1:] & lower[:-1] & near).sum())


# -- sample -----------------------------------------------------------------------------------------------------------


def sample(data: bytes) -> bytes:
    """Up to SAMPLE_BYTES of what is beyond ASCII, with its neighbours, a line each: of the text outside of tags, or of
    all where there is hardly any."""
    head = data[:_HEAD]
    shown = _shown(head)
    found = _runs(_TAG.sub(b" ", shown))
    if len(found) < _LITTLE:
        found = _runs(shown) or _runs(head)
    if len(found) < _LITTLE and len(data) > len(head):
        beyond = np.flatnonzero(np.frombuffer(data, np.uint8) >= 128)
        start = int(beyond[0]) if len(beyond) else 0
        found = _runs(data[max(0, start - 3) : start + _HEAD])
    return found


def _shown(page: bytes) -> bytes:
    """A page without its comments, scripts and style sheets; one that is never closed stays."""
    pieces, at, open_kinds = [], 0, set(_ENDS)
    for match in _HIDDEN.finditer(page):
        kind = match.group()[:4].lower()
        if match.start() < at or kind not in open_kinds:
            continue
        end = page.find(_ENDS[kind], match.end())
        if end < 0:
            open_kinds.discard(kind)
            continue
        pieces.append(page[at : match.start()])
        at = end + len(_ENDS[kind])
    return b" ".join([*pieces, page[at:]])


def _runs(page: bytes) -> bytes:
    pieces, size = [], 0
    for match in _RUN.finditer(page):
        pieces.append(match.group()[: SAMPLE_BYTES - size])
        size += len(pieces[-1]) + 1
        if size >= SAMPLE_BYTES:
            break
    return b"\n".join(pieces)
