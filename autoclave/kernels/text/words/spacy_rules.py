"""Splitting one chunk (characters between white space) into words and marks, close to spaCy's English rules.

The order is spaCy's: marks are taken off the front and the back, contractions and abbreviations are looked up, web
addresses stay whole, and what is left is split at inner marks between letters. Runs of ideographs, kana and
South-East Asian letters, which are not spaced, are cut by script (`split_chunk`).
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
    HAN,
    HANGUL,
    HIRAGANA,
    KANA,
    KATAKANA,
    KHMER,
    LOWER,
    MYANMAR,
    QUOTE,
    SYMBOL,
    THAI,
    UNSPACED,
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
    ZERO_WIDTH_SPACE,
)
from autoclave.kernels.text.raw.memory import inlined, kernel, load
from autoclave.kernels.text.words.chinese import mix_point, mix_points, segment_ideographs
from autoclave.kernels.text.words.japanese import is_japanese, segment_japanese
from autoclave.kernels.text.words.southeast_asian import joins, segment_clusters

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
def _inner_mark(points: np.ndarray, first: int, at: int, last: int, classes: np.ndarray) -> int:
    """Return the length of the mark at `at`, strictly inside points[first:last], that splits there; 0 for none."""
    point = np.int64(load(points, at))
    bits = np.int64(load(classes, point))
    if bits & ALNUM:
        return 0
    if point == FULL_STOP and points[at + 1] == FULL_STOP:
        run = 2
        while at + run < last and points[at + run] == FULL_STOP:
            run += 1
        return run
    if point == HORIZONTAL_ELLIPSIS:
        return 1
    before, after = classes[points[at - 1]], classes[points[at + 1]]
    if point == HYPHEN and points[at + 1] == HYPHEN:
        if not before & ALPHA:
            return 0
        run = 2
        while at + run < last and points[at + run] == HYPHEN:
            run += 1
        if at + run < last and classes[points[at + run]] & ALPHA:
            return run
        return 0
    if point == HYPHEN or point == EN_DASH or point == EM_DASH or point == TILDE:
        if before & ALPHA and after & ALPHA:
            return 1
        if point == HYPHEN and before & DIGIT and after & DIGIT:
            return 1
        return 0
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
def _split_spaced(
    points: np.ndarray,
    places: np.ndarray,
    first: int,
    last: int,
    marks: np.ndarray,
    mark: int,
    mark_count: int,
    classes: np.ndarray,
    exceptions: np.ndarray,
    seen: int,
    pending: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    words: int,
) -> int:
    """Emit the tokens of points[first:last], a chunk of a spaced script; return the new number of words.

    seen: class bits that some character has, so that rules that cannot apply are not tried; marks[mark:mark_count]:
    the characters after `first`, in order, that are neither letters nor digits.
    """
    suffixes, exception = 0, False
    special = seen & (DOT | ADDRESS | APOSTROPHE) != 0
    while first < last:
        exception = special and _is_exception(points, first, last, exceptions)
        if exception:
            break
        point, taken = np.int64(load(points, first)), 0
        if point == FULL_STOP and first + 1 < last and load(points, first + 1) == FULL_STOP:
            taken = 2
            while first + taken < last and load(points, first + taken) == FULL_STOP:
                taken += 1
        elif load(classes, point) & ATTACHED or (
            point == PLUS and (first + 1 == last or not load(classes, np.int64(load(points, first + 1))) & DIGIT)
        ):
            taken = 1
        if taken:
            start[words], end[words] = load(places, first), load(places, first + taken)
            words += 1
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
            start[words], end[words] = load(places, first), load(places, last - cut)
            start[words + 1], end[words + 1] = load(places, last - cut), load(places, last)
            words += 2
        else:
            begin, allowed = first, first + 1
            if exception or (seen & (DOT | ADDRESS) and _is_address(points, first, last, classes)):
                mark = mark_count  # it stays whole
            for index in range(mark, mark_count):
                at = np.int64(load(marks, index))
                if at >= last - 1:
                    break
                if at < allowed:
                    continue
                taken = _inner_mark(points, first, at, last, classes)
                if taken == 0 or at + taken >= last:
                    continue
                if begin < at:
                    start[words], end[words] = load(places, begin), load(places, at)
                    words += 1
                start[words], end[words] = load(places, at), load(places, at + taken)
                words += 1
                begin = at + taken
                allowed = begin + 1 if taken == 1 and load(points, at) != HORIZONTAL_ELLIPSIS else begin
            start[words], end[words] = load(places, begin), load(places, last)
            words += 1
    for index in range(suffixes - 2, -1, -2):  # the last mark taken is the first in the text
        start[words] = load(places, np.int64(load(pending, index)))
        end[words] = load(places, np.int64(load(pending, index + 1)))
        words += 1
    return words


@inlined
def _run_kind(script: int, japanese: bool) -> int:
    """Return 0 for spaced scripts, and for each that is not spaced its own number; in Japanese Han's is hiragana's."""
    if japanese and HAN <= script <= KATAKANA:
        return HIRAGANA
    return script if HAN <= script <= MYANMAR and script != HANGUL else 0


@inlined
def split_chunk(
    length: int,
    mark_count: int,
    seen: int,
    classes: np.ndarray,
    scripts: np.ndarray,
    exceptions: np.ndarray,
    dictionary: tuple[np.ndarray, ...],
    room: tuple[np.ndarray, ...],
    start: np.ndarray,
    end: np.ndarray,
    words: int,
) -> int:
    """Emit the tokens of a chunk; return the new number of words.

    room: points, places (and where the last ends), marks, pending, costs, steps; the first three describe the chunk:
    its `length` characters, where they are in the text, and which of them, `mark_count`, are neither letters nor
    digits. seen: class bits that some character has. dictionary: of `ideographs.build_table`, four arrays of the
    Chinese one, (keys, costs) of the Thai, Lao and Khmer one, and those of the Japanese one. Burmese letters, and kana
    in a chunk that is not Japanese, stay in runs of one script. A zero-width space (U+200B) between such runs
    separates words, as white space does.
    """
    points, places, marks, pending, costs, steps = room[0], room[1], room[2], room[3], room[4], room[5]
    mixed = seen & UNSPACED != 0
    japanese = seen & KANA != 0 and is_japanese(points, length, classes)
    first, mark = np.int64(0), 0  # numba would compile what it is given to once more for a literal 0
    while first < length:
        kind, last = 0, length
        if mixed:
            kind = _run_kind(np.int64(load(scripts, np.int64(load(points, first)))), japanese)
            last = first + 1
            while last < length:
                point = np.int64(load(points, last))
                if _run_kind(np.int64(load(scripts, point)), japanese) != kind and not (kind >= THAI and joins(point)):
                    break
                last += 1
        if kind == HAN:
            words = segment_ideographs(points, places, first, last, dictionary, costs, steps, start, end, words)
        elif japanese and kind == HIRAGANA:
            words = segment_japanese(
                points, places, first, last, scripts, dictionary[6], dictionary[7], costs, steps, start, end, words
            )  # fmt: skip
        elif THAI <= kind <= KHMER:
            words = segment_clusters(
                points, places, first, last, dictionary[4], dictionary[5], costs, steps, start, end, words
            )  # fmt: skip
        elif mixed and last == first + 1 and load(points, first) == ZERO_WIDTH_SPACE:
            pass
        elif kind:
            start[words], end[words] = places[first], places[last]
            words += 1
        else:
            while mark < mark_count and load(marks, mark) <= first:
                mark += 1
            words = _split_spaced(
                points, places, first, last, marks, mark, mark_count, classes, exceptions, seen, pending, start, end,
                words,
            )  # fmt: skip
        first = last
    return words
