"""One chunk, the characters between white space: read, cut by script, and each run split by the rules of its script."""

from __future__ import annotations

import numpy as np

from autoclave.kernels.text.characters import (
    ALNUM,
    ALPHA,
    ATTACHED,
    DECIMAL,
    HAN,
    HANGUL,
    HIRAGANA,
    KANA,
    KATAKANA,
    KHMER,
    LOWER,
    MYANMAR,
    THAI,
    UNSPACED,
    WHITE_SPACE,
    character_width,
    decode,
)
from autoclave.kernels.text.code_points import ASCII_LIMIT, DOLLAR, EQUALS, FULL_STOP, PERCENT, ZERO_WIDTH_SPACE
from autoclave.kernels.text.raw.memory import inlined, load
from autoclave.kernels.text.words.arrays import Chunk, Room, Tables, Words
from autoclave.kernels.text.words.chinese import segment_ideographs
from autoclave.kernels.text.words.japanese import is_japanese, segment_japanese
from autoclave.kernels.text.words.kinds import (
    ASCII_SPACE,
    OF_LETTERS,
    SCRIPT,
    TOKENS,
    WHOLE,
    append_span,
    append_word,
    word_flags,
)
from autoclave.kernels.text.words.southeast_asian import joins, segment_clusters
from autoclave.kernels.text.words.spacy_rules import may_be_cannot, split_spaced

MAX_CHUNK = 1 << 16
"""Characters without white space that are segmented at once; a longer run is cut there (bounded memory)."""


@inlined
def read_chunk(data: np.ndarray, at: int, stop: int, kind: int, tables: Tables, room: Room) -> Chunk:
    """Return the chunk of data[at:stop], uint8[bytes], that begins at `at`; of no length where white space is there.

    For the kinds that cut chunks (TOKENS, SCRIPT) its characters are left in `room`, MAX_CHUNK at most.
    """
    begin, length, letters, marks, some, every = at, 0, 0, 0, 0, -1
    while at < stop:
        point, width = np.int64(load(data, at)), 1
        if point < ASCII_LIMIT:
            bits = np.int64(load(tables.ascii_classes, point))
        else:
            width = character_width(point)
            point = decode(data, at)
            bits = np.int64(load(tables.classes, point))
            if kind == ASCII_SPACE:
                bits &= ~WHITE_SPACE
        if bits & WHITE_SPACE:
            break
        if kind >= TOKENS:
            if length == MAX_CHUNK:
                break
            room.points[length], room.places[length], room.marks[marks] = point, at, length
            marks += bits & ALNUM == 0
            letters += bits & ALPHA != 0
        every &= bits
        some |= bits
        length += 1
        at += width
    return Chunk(begin, at, length, letters, marks, some, every)


@inlined
def _is_letters_and_mark(data: np.ndarray, chunk: Chunk, first: int, ascii_classes: np.ndarray) -> bool:
    """Say whether the chunk is letters and one ASCII mark behind them that spaCy's rules take off: most chunks are.

    first: the class of its first character. A full stop may belong to an abbreviation, = % $ to what is before them.
    """
    final = np.int64(load(data, chunk.stop - 1))
    return (
        chunk.letters == chunk.length - 1
        and chunk.length > 3
        and not may_be_cannot(chunk.length - 1, np.int64(load(data, chunk.begin)))
        and final < ASCII_LIMIT
        and load(ascii_classes, final) & ATTACHED
        and (
            final != FULL_STOP
            or (
                (first & LOWER or chunk.length > 8)
                and load(ascii_classes, np.int64(load(data, chunk.stop - 2))) & LOWER
            )
        )
        and final != EQUALS
        and final != PERCENT
        and final != DOLLAR
        and load(data, chunk.stop - 2) < ASCII_LIMIT
    )


@inlined
def take_plainly(data: np.ndarray, chunk: Chunk, kind: int, tables: Tables, words: Words, count: int) -> int:
    """Append a chunk that is one word, or letters with one mark before or behind; return the new number of words.

    That is `count` where the chunk is anything else, to be taken apart by `split_chunk`. data: uint8[bytes].
    """
    begin, stop, length, some, every = chunk.begin, chunk.stop, chunk.length, chunk.some, chunk.every
    opening = np.int64(load(data, begin))
    first = np.int64(
        load(tables.ascii_classes, opening) if opening < ASCII_LIMIT else load(tables.classes, decode(data, begin))
    )
    one_token = length == 1 or (every & ALPHA and not may_be_cannot(length, opening)) or every & DECIMAL != 0
    spaced = not some & UNSPACED
    if kind < TOKENS or (spaced and (kind == SCRIPT or one_token)):
        flags = word_flags(some, every, first, length) | (WHOLE if kind == SCRIPT and one_token else 0)
        return append_word(data, begin, stop, length, flags, words, count)
    if kind == TOKENS and spaced and _is_letters_and_mark(data, chunk, first, tables.ascii_classes):
        bits = np.int64(load(tables.ascii_classes, np.int64(load(data, stop - 1))))
        count = append_word(data, begin, stop - 1, length - 1, OF_LETTERS, words, count)
        return append_word(data, stop - 1, stop, 1, word_flags(bits, bits, bits, 1), words, count)
    if (
        kind == TOKENS
        and opening < ASCII_LIMIT
        and spaced
        and chunk.letters == length - 1
        and first & ATTACHED
        and length > 2
        and not may_be_cannot(length - 1, np.int64(load(data, begin + 1)))
    ):  # a mark and letters: (word
        count = append_word(data, begin, begin + 1, 1, word_flags(first, first, first, 1), words, count)
        return append_word(data, begin + 1, stop, length - 1, OF_LETTERS, words, count)
    return count


@inlined
def _run_kind(script: int, japanese: bool) -> int:
    """Return 0 for spaced scripts, and for each that is not spaced its own number; in Japanese Han's is hiragana's."""
    if japanese and HAN <= script <= KATAKANA:
        return HIRAGANA
    return script if HAN <= script <= MYANMAR and script != HANGUL else 0


@inlined
def split_chunk(chunk: Chunk, tables: Tables, room: Room, words: Words, count: int) -> int:
    """Append the spans of the tokens of a chunk, whose characters are in `room`; return the new number of words.

    Burmese letters, and kana in a chunk that is not Japanese, stay in runs of one script. A zero-width space (U+200B)
    between such runs separates words, as white space does.
    """
    points, scripts, length = room.points, tables.scripts, chunk.length
    mixed = chunk.some & UNSPACED != 0
    japanese = chunk.some & KANA != 0 and is_japanese(points, length, tables.classes)
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
            count = segment_ideographs(room, first, last, tables.chinese, words, count)
        elif japanese and kind == HIRAGANA:
            count = segment_japanese(room, first, last, tables, words, count)
        elif THAI <= kind <= KHMER:
            count = segment_clusters(room, first, last, tables.south_east_asian, words, count)
        elif mixed and last == first + 1 and load(points, first) == ZERO_WIDTH_SPACE:
            pass
        elif kind:
            count = append_span(words, count, room.places, first, last)
        else:
            while mark < chunk.marks and load(room.marks, mark) <= first:
                mark += 1
            count = split_spaced(chunk, room, first, last, mark, tables, words, count)
        first = last
    return count
