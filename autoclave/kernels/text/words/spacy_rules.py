"""Splitting a run of a spaced script into words and marks, close to spaCy's English rules.

The order is spaCy's: marks are taken off the front and the back, contractions and abbreviations are looked up, web
addresses stay whole, and what is left is split at inner marks between letters.
"""

from __future__ import annotations

import numpy as np

from autoclave.kernels.text.characters import (
    ADDRESS,
    ALNUM,
    ALPHA,
    APOSTROPHE,
    ATTACHED,
    CURRENCY,
    DIGIT,
    DOT,
    LOWER,
    QUOTE,
    SYMBOL,
    UPPER,
)
from autoclave.kernels.text.code_points import (
    ASCII_LIMIT,
    ASTERISK,
    AT_SIGN,
    CASE_BIT,
    CIRCUMFLEX,
    COLON,
    COMMA,
    DIGIT_0,
    DIGIT_9,
    EM_DASH,
    EN_DASH,
    EQUALS,
    FULL_STOP,
    GREATER_THAN,
    HORIZONTAL_ELLIPSIS,
    HYPHEN,
    LESS_THAN,
    PERCENT,
    PLUS,
    RIGHT_SINGLE_QUOTE,
    SINGLE_QUOTE,
    SLASH,
    SUPERSCRIPT_2,
    TILDE,
    UNDERSCORE,
)
from autoclave.kernels.text.raw.memory import inlined, kernel, load
from autoclave.kernels.text.words.arrays import Chunk, Room, Tables, Words
from autoclave.kernels.text.words.dictionary import mix_point, mix_points
from autoclave.kernels.text.words.kinds import append_span

_1 = np.uint64(1)
EXCEPTION_SLOTS = 1024

_UNIT_NAMES = "km m dm cm mm nm kg g mg lb oz mph hPa Pa mbar mb MB kb KB gb GB tb TB T G M K"

_D, _E, _L, _M, _N, _R, _S, _T, _V, _W = (ord(letter) for letter in "delmnrstvw")
_CANNOT = tuple(ord(letter) for letter in "cannot")


def _pack(word: str) -> int:
    packed = 0
    for letter in word:
        packed = packed << 8 | ord(letter)
    return packed


_PACKED_UNITS = tuple(sorted(_pack(unit) for unit in _UNIT_NAMES.split()))

_ABBREVIATIONS = (
    "Adm. Bros. Co. Corp. D.C. Dr. E.G. E.g. Gen. Gov. I.E. I.e. Inc. Jr. Ltd. Md. Messrs. Mo. Mont. Mr. Mrs. Ms. "
    "N.C. N.D. N.H. N.J. N.M. N.Y. Neb. Nebr. Nev. No. Ph.D. Prof. Rep. Rev. S.C. Sen. St. a.k.a. e.g. i.e. v.s. vs. "
    "Ak. Ala. Apr. Ariz. Ark. Aug. Calif. Colo. Conn. Dec. Del. Feb. Fla. Ga. Ia. Id. Ill. Ind. Jan. Jul. Jun. Kan. "
    "Kans. Ky. La. Mar. Mass. Mich. Minn. Miss. Mt. Nov. Oct. Okla. Ore. Pa. S.D. Sep. Sept. Tenn. Va. Wash. Wis. "
    "a.m. p.m. A.M. P.M. and/or w/o Ca. co. C++ c++ a. b. c. d. e. f. g. h. i. j. k. l. m. n. o. p. q. r. s. t. u. v. "
    "w. x. y. z."
)
ABBREVIATIONS = _ABBREVIATIONS.split()
"""Chunks that stay whole although they end in a full stop or have marks inside (spaCy's English exceptions)."""


def exception_table() -> np.ndarray:
    """Return the hashes of `ABBREVIATIONS` in an open-addressing table, uint64[EXCEPTION_SLOTS], 0 where empty."""
    slots = np.zeros(EXCEPTION_SLOTS, dtype=np.uint64)
    for word in ABBREVIATIONS:
        value = mix_points(word)
        slot = value % EXCEPTION_SLOTS
        while slots[slot] not in (0, value):
            slot = (slot + 1) % EXCEPTION_SLOTS
        slots[slot] = value
    return slots


@inlined
def _is_exception(points: np.ndarray, first: int, last: int, exceptions: np.ndarray) -> bool:
    if last - first > 8:
        return False
    value = np.uint64(0)
    for at in range(first, last):
        value = mix_point(value, np.int64(load(points, at)))
    slot = value & np.uint64(EXCEPTION_SLOTS - 1)
    while exceptions[slot] != 0:
        if exceptions[slot] == value:
            return True
        slot = (slot + _1) & np.uint64(EXCEPTION_SLOTS - 1)
    return False


@kernel
def _is_address(points: np.ndarray, first: int, last: int, classes: np.ndarray) -> bool:
    """Say whether the characters look like a URL, a host name with a known form of ending, or an e-mail address."""
    if last - first < 5:
        return False
    if points[first] == _W and points[first + 1] == _W and points[first + 2] == _W and points[first + 3] == FULL_STOP:
        return True
    dot, at_sign, slash = -1, -1, -1
    for at in range(first, last):
        point = points[at]
        if point == COLON and at + 2 < last and points[at + 1] == SLASH and points[at + 2] == SLASH:
            return at > first
        if point == SLASH and slash < 0:
            slash = at
        if slash < 0 and point == FULL_STOP:
            dot = at
        if point == AT_SIGN:
            at_sign = at
    if dot <= first:
        return False
    stop = slash if slash >= 0 else last
    if stop - dot < 3:
        return False
    for at in range(dot + 1, stop):
        if not classes[points[at]] & ALPHA:
            return False
    for at in range(first, dot):
        point = points[at]
        if not (
            classes[point] & ALNUM or point == HYPHEN or point == FULL_STOP or point == AT_SIGN or point == UNDERSCORE
        ):
            return False
    if at_sign >= 0:
        return True
    capitals = 0
    for at in range(dot + 1, stop):  # a host's ending; `end.Next` is two sentences glued together
        capitals += not classes[points[at]] & LOWER
    return capitals == 0


@inlined
def _suffix_length(points: np.ndarray, first: int, last: int, classes: np.ndarray, digits: bool) -> int:
    """Return how many characters spaCy's suffix rules take off the end of points[first:last]; 0 for none.

    digits: whether there may be any before a unit.
    """
    point = points[last - 1]
    bits = classes[point]
    length = last - first
    before = np.int64(points[last - 2]) if length > 1 else np.int64(0)
    if point == FULL_STOP:
        run = 1
        while run < length and points[last - 1 - run] == FULL_STOP:
            run += 1
        if run > 1:
            return run
        if length < 2:
            return 0
        kind = classes[before]
        if kind & (LOWER | DIGIT | ATTACHED) or before == SUPERSCRIPT_2 or before == HYPHEN or before == PLUS:
            return 1
        if kind & UPPER and length > 2 and classes[points[last - 3]] & UPPER:
            return 1
        if kind & ALPHA and not kind & UPPER:
            return 1
        return 0
    if bits & ATTACHED and point != PERCENT and point != EQUALS and not bits & CURRENCY:
        return 1
    if length > 2 and _is_apostrophe(before) and point | CASE_BIT == _S:
        return 2
    if length > 1 and classes[before] & DIGIT and (point == PLUS or point == PERCENT or bits & CURRENCY):
        return 1
    if digits and bits & ALPHA and point < ASCII_LIMIT:  # a unit after a number: 10km
        letters, packed = 0, 0
        while letters < 5 and letters < length and points[last - 1 - letters] < ASCII_LIMIT:
            if not classes[points[last - 1 - letters]] & ALPHA:
                break
            packed |= np.int64(points[last - 1 - letters]) << (8 * letters)
            letters += 1
        if 0 < letters < 5 and letters < length and classes[points[last - 1 - letters]] & DIGIT:
            for unit in _PACKED_UNITS:
                if unit == packed:
                    return letters
    return 0


@inlined
def may_be_cannot(length: int, first: int) -> bool:
    """Say whether a word of `length` letters that begins with `first` may be `cannot`, the one word that is two tokens.

    Every way that words are cut by asks this of a word of nothing but letters, and leaves it to `split_chunk` then.
    """
    return (length == len(_CANNOT)) & (first | CASE_BIT == _CANNOT[0])


@inlined
def _is_apostrophe(point: int) -> bool:
    return point == SINGLE_QUOTE or point == RIGHT_SINGLE_QUOTE


@inlined
def _contraction_length(points: np.ndarray, first: int, last: int) -> int:
    """Return the length of n't, 'll, 're, 've, 'd or 'm at the end of points[first:last], or of the `not` of cannot."""
    length = last - first
    if may_be_cannot(length, np.int64(points[first])):
        same = 1
        for at in range(1, len(_CANNOT)):
            same += points[first + at] == _CANNOT[at]
        if same == len(_CANNOT):
            return 3
    if length < 3:
        return 0
    a, b, c = points[last - 3] | CASE_BIT, points[last - 2] | CASE_BIT, points[last - 1] | CASE_BIT
    if length > 3 and a == _N and _is_apostrophe(points[last - 2]) and c == _T:
        return 3
    ending = (b == _L and c == _L) or ((b == _R or b == _V) and c == _E)
    if length > 3 and _is_apostrophe(points[last - 3]) and ending:
        return 3
    if _is_apostrophe(points[last - 2]) and (c == _D or c == _M):
        return 2
    return 0


@inlined
def _run_of_dots(points: np.ndarray, first: int, last: int) -> int:
    """Return how many full stops points[first:last] begins with, if more than one."""
    if load(points, first) != FULL_STOP or first + 1 >= last or load(points, first + 1) != FULL_STOP:
        return 0
    run = 2
    while first + run < last and load(points, first + run) == FULL_STOP:
        run += 1
    return run


@inlined
def _inner_mark(points: np.ndarray, first: int, at: int, last: int, classes: np.ndarray) -> int:
    """Return the length of the mark at `at`, strictly inside points[first:last], that splits there; 0 for none."""
    point = np.int64(load(points, at))
    bits = np.int64(load(classes, point))
    if bits & ALNUM:
        return 0
    run = _run_of_dots(points, at, last)
    if run:
        return run
    if point == HORIZONTAL_ELLIPSIS:
        return 1
    before, after = classes[points[at - 1]], classes[points[at + 1]]
    number = DIGIT_0 <= points[at - 1] <= DIGIT_9  # English rules have [0-9] before a hyphen, and letters of any script
    if point == HYPHEN and points[at + 1] == HYPHEN:
        if number:
            return 1  # [0-9]-(?=[0-9-])
        if not before & ALPHA:
            return 0
        run = 2
        while at + run < last and points[at + run] == HYPHEN:
            run += 1
        if at + run < last and classes[points[at + run]] & ALPHA:
            return run
        return 0
    if point == HYPHEN or point == EN_DASH or point == EM_DASH or point == TILDE:
        if (before & ALPHA or number) and after & ALPHA:
            return 1
        return 1 if point == HYPHEN and number and DIGIT_0 <= points[at + 1] <= DIGIT_9 else 0
    if point == PLUS or point == ASTERISK or point == CIRCUMFLEX:
        return 1 if before & DIGIT and (after & DIGIT or points[at + 1] == HYPHEN) else 0
    if point == FULL_STOP:
        return 1 if before & (LOWER | QUOTE) and after & (UPPER | QUOTE) else 0
    if point == COMMA:
        return 1 if before & ALPHA and after & ALPHA else 0
    if point == COLON or point == LESS_THAN or point == GREATER_THAN or point == EQUALS or point == SLASH:
        return 1 if before & ALNUM and after & ALPHA else 0
    if bits & ATTACHED and point > 0x2FFF:
        return 1
    if bits & ATTACHED and bits & SYMBOL and point > 0xFF:  # pictographs
        return 1
    return 0


@inlined
def _prefix_length(points: np.ndarray, first: int, last: int, classes: np.ndarray) -> int:
    """Return how many characters spaCy's prefix rules take off the front of points[first:last]; 0 for none."""
    run = _run_of_dots(points, first, last)
    if run:
        return run
    point = np.int64(load(points, first))
    if load(classes, point) & ATTACHED or (
        point == PLUS and (first + 1 == last or not load(classes, np.int64(load(points, first + 1))) & DIGIT)
    ):
        return 1
    return 0


@inlined
def _split_inside(
    chunk: Chunk, room: Room, first: int, last: int, mark: int, classes: np.ndarray, words: Words, count: int
) -> int:
    """Append the spans of points[first:last], which has no marks at its ends, cut at the marks that split it inside.

    mark: the first of room.marks[:chunk.marks] that may; where that is chunk.marks all stays one token.
    """
    begin, allowed = first, first + 1
    for index in range(mark, chunk.marks):
        at = np.int64(load(room.marks, index))
        if at >= last - 1:
            break
        if at < allowed:
            continue
        taken = _inner_mark(room.points, first, at, last, classes)
        if taken == 0 or at + taken >= last:
            continue
        if begin < at:
            count = append_span(words, count, room.places, begin, at)
        count = append_span(words, count, room.places, at, at + taken)
        begin = at + taken
        allowed = begin + 1 if taken == 1 and load(room.points, at) != HORIZONTAL_ELLIPSIS else begin
    return append_span(words, count, room.places, begin, last)


@inlined
def split_spaced(
    chunk: Chunk, room: Room, first: int, last: int, mark: int, tables: Tables, words: Words, count: int
) -> int:
    """Append the spans of the tokens of points[first:last], a run of a spaced script; return the new number of words.

    mark: the first of room.marks[:chunk.marks] after `first`. Rules that no character of the chunk asks for
    (chunk.some) are not tried.
    """
    points, pending, classes, seen = room.points, room.pending, tables.classes, chunk.some
    suffixes, exception = 0, False
    special = seen & (DOT | ADDRESS | APOSTROPHE) != 0
    while first < last:
        exception = special and _is_exception(points, first, last, tables.exceptions)
        if exception:
            break
        taken = _prefix_length(points, first, last, classes)
        if taken:
            count = append_span(words, count, room.places, first, first + taken)
            first += taken
            continue
        taken = _suffix_length(points, first, last, classes, seen & DIGIT != 0)
        if taken == 0:
            break
        pending[suffixes] = last - taken
        pending[suffixes + 1] = last
        suffixes += 2
        last -= taken
    if first < last:
        cut = _contraction_length(points, first, last) if seen & APOSTROPHE or last - first == len(_CANNOT) else 0
        if cut:
            count = append_span(words, count, room.places, first, last - cut)
            count = append_span(words, count, room.places, last - cut, last)
        else:
            if exception or (seen & (DOT | ADDRESS) and _is_address(points, first, last, classes)):
                mark = chunk.marks
            count = _split_inside(chunk, room, first, last, mark, classes, words, count)
    for index in range(suffixes - 2, -1, -2):  # the last mark taken is the first in the text
        taken, after = np.int64(load(pending, index)), np.int64(load(pending, index + 1))
        count = append_span(words, count, room.places, taken, after)
    return count
