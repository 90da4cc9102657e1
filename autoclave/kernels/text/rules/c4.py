"""C4's line rules: drops lines, takes citations out, and counts what decides over the document."""

from __future__ import annotations

import numpy as np
from numba import njit

from autoclave.kernels.text.characters import DECIMAL, WHITE_SPACE, character_width, decode
from autoclave.kernels.text.code_points import ASCII_LIMIT, LEFT_BRACKET, NEWLINE, RIGHT_BRACKET, SINGLE_QUOTE, SPACE
from autoclave.kernels.text.raw.compare import BLOCK, below_mask, equal_mask, within
from autoclave.kernels.text.raw.memory import (
    ALL_BITS,
    TOP_BITS,
    bytes_below,
    copy_bytes,
    count_bits,
    inlined,
    kernel,
    load,
    load64,
)
from autoclave.kernels.text.rules.counts import longest_word
from autoclave.kernels.text.rules.search import find, find_phrases, phrase_tables
from autoclave.kernels.text.rules.segments import ends_in_dots, is_end_mark, strip_span
from autoclave.kernels.text.words.kinds import ALL_PUNCTUATION, SENTENCE_END, TOKENS
from autoclave.kernels.text.words.split import scratch, split_range

LINES_IN, LINES_KEPT, LONG_WORD, UNPUNCTUATED, FEW_WORDS, LOREM, JAVASCRIPT, CURLY, POLICY, CITATIONS = range(10)
"""Columns of `edit_lines`: lines; lines kept; lines dropped for a long word, no end mark, too few words; lines with
'lorem ipsum' that got that far; dropped for 'javascript'; with '{'; dropped for a policy phrase; citations removed."""

COLUMNS = 10

_EDIT = np.frombuffer(b"[edit]", dtype=np.uint8)
_NEEDED = np.frombuffer(b"[citation needed]", dtype=np.uint8)
_1, _8, _56, _TOP_BIT = (np.uint64(value) for value in (1, 8, 56, 0x80))

HAS_LOREM, HAS_JAVASCRIPT, HAS_POLICY, HAS_CURLY, HAS_SQUARE = 1, 2, 4, 8, 16


_PAIRS, _TABLE, _LETTERS = phrase_tables(
    [
        (b"lorem ipsum", HAS_LOREM),
        (b"javascript", HAS_JAVASCRIPT),
        (b"terms of use", HAS_POLICY),
        (b"privacy policy", HAS_POLICY),
        (b"cookie policy", HAS_POLICY),
        (b"uses cookies", HAS_POLICY),
        (b"use of cookies", HAS_POLICY),
        (b"use cookies", HAS_POLICY),
        (b"{", HAS_CURLY),
        (b"[", HAS_SQUARE),
    ]
)


@inlined
def _citation(data: np.ndarray, at: int, stop: int, classes: np.ndarray) -> int:
    r"""Return the bytes of a citation mark at `at` ([12], [], [edit], [citation needed]); 0 for none."""
    inner = at + 1
    while inner < stop and classes[decode(data, inner)] & DECIMAL:
        inner += character_width(data[inner])
    if inner < stop and data[inner] == RIGHT_BRACKET:
        return inner + 1 - at
    if find(data, at, min(stop, at + len(_EDIT)), _EDIT, len(_EDIT)) == at:
        return len(_EDIT)
    if find(data, at, min(stop, at + len(_NEEDED)), _NEEDED, len(_NEEDED)) == at:
        return len(_NEEDED)
    return 0


@inlined
def _count_words(data: np.ndarray, start: int, stop: int, classes: np.ndarray, enough: int) -> int:
    """Return the words between white space; stops once there are `enough`."""
    words, inside, at = 0, False, start
    while at < stop and words < enough:
        space = load(classes, decode(data, at)) & WHITE_SPACE != 0
        words += not space and not inside
        inside = not space
        at += character_width(np.int64(load(data, at)))
    return words


@inlined
def has_words(data: np.ndarray, start: int, stop: int, classes: np.ndarray, enough: int) -> bool:
    """Say whether data[start:stop] has at least so many words between white space; ASCII eight bytes at a time.

    data: uint8[bytes]; classes: int32[0x110000], of `character_tables`.
    """
    if start < stop and start + BLOCK <= len(data):  # the first 64 bytes tell of nearly all lines
        valid, spaces = within(ALL_BITS, start, stop), equal_mask(data, start, SPACE)
        if valid & (below_mask(data, start, SPACE) | ~below_mask(data, start, ASCII_LIMIT)) == 0:
            found = count_bits(~spaces & (spaces << _1 | _1) & valid)
            if found >= enough or stop - start <= BLOCK:
                return found >= enough
    words, at, before = 0, start, _TOP_BIT
    while words < enough and at + 8 <= stop:
        eight = load64(data, at)
        spaces = bytes_below(eight, SPACE + 1)
        if eight & TOP_BITS or bytes_below(eight, SPACE):
            break
        words += count_bits(~spaces & (spaces << _8 | before) & TOP_BITS)
        before = spaces >> _56
        at += 8
    return words >= enough or _count_words(data, start, stop, classes, enough) >= enough


@inlined
def _ends_well(data: np.ndarray, start: int, stop: int, quote: bool, trailing: bool, classes: np.ndarray) -> bool:
    """Say whether the line ends in . ? ! or " (with quote also ') and not in an ellipsis."""
    if trailing:
        _, stop = strip_span(data, start, stop, classes)
    if stop == start:
        return False
    last = data[stop - 1]
    return (is_end_mark(last) or (quote and last == SINGLE_QUOTE)) and not ends_in_dots(data, start, stop)


@kernel
def edit_lines(
    data: np.ndarray,
    offsets: np.ndarray,
    classes: np.ndarray,
    applies: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    line_offsets: np.ndarray,
    keep_empty: bool,
    terminal: bool,
    quote: bool,
    min_words: int,
    max_word: int,
    citations: bool,
    javascript: bool,
    policy: bool,
    out: np.ndarray,
    out_offsets: np.ndarray,
    line_places: np.ndarray,
    line_sizes: np.ndarray,
    counts: np.ndarray,
) -> None:
    """Write the edited documents to `out` (room for all of data) and the columns LINES_IN to CITATIONS.

    applies: bool per document; others are copied. start, end, line_offsets: the lines. keep_empty: empty lines stay
    and white space may follow an end mark (DCLM). Rules over the document never cut the work short, so that the edit
    does not depend on their limits: a line with '{' goes on as if the rule were not there. line_places, line_sizes:
    int32 per line, where it lies in `out` (-1 where it was dropped, or its document only copied) and its bytes there.
    """
    size = 0
    for document in range(len(offsets) - 1):
        out_offsets[document] = size
        for column in range(COLUMNS):
            counts[document, column] = 0
        if not applies[document]:
            first, last = offsets[document], offsets[document + 1]
            copy_bytes(data, first, last, out, size)
            size += last - first
            for line in range(line_offsets[document], line_offsets[document + 1]):
                line_places[line] = -1
            continue
        begin = size
        for line in range(line_offsets[document], line_offsets[document + 1]):
            first, last = np.int64(start[line]), np.int64(end[line])
            line_places[line] = -1
            counts[document, LINES_IN] += 1
            if last - first > max_word >= 0 and longest_word(data, first, last, classes, max_word) > max_word:
                counts[document, LONG_WORD] += 1
                continue
            found = find_phrases(data, first, last, _PAIRS, _TABLE, _LETTERS)
            kept_from = size
            if counts[document, LINES_KEPT]:
                out[size] = NEWLINE
                size += 1
            text = size
            if citations and found & HAS_SQUARE:
                byte = first
                while byte < last:
                    mark = _citation(data, byte, last, classes) if load(data, byte) == LEFT_BRACKET else 0
                    if mark:
                        counts[document, CITATIONS] += 1
                        byte += mark
                    else:
                        out[size] = load(data, byte)
                        size += 1
                        byte += 1
                found |= find_phrases(out, text, size, _PAIRS, _TABLE, _LETTERS)
                removed = size - text < last - first
            else:
                removed = False
                copy_bytes(data, first, last, out, size)
                size += last - first
            keep = keep_empty and text == size
            if not keep:
                keep = not terminal or _ends_well(out, text, size, quote, keep_empty, classes)
                if not keep:
                    counts[document, UNPUNCTUATED] += 1
                else:
                    if removed and keep_empty:
                        keep = has_words(out, text, size, classes, min_words)
                    else:
                        keep = has_words(data, first, last, classes, min_words)
                    if not keep:
                        counts[document, FEW_WORDS] += 1
            if keep and found & HAS_LOREM:
                counts[document, LOREM] += 1
            if keep and javascript and found & HAS_JAVASCRIPT:
                counts[document, JAVASCRIPT] += 1
                keep = False
            if keep and found & HAS_CURLY:
                counts[document, CURLY] += 1
            if keep and policy and found & HAS_POLICY:
                counts[document, POLICY] += 1
                keep = False
            if keep:
                counts[document, LINES_KEPT] += 1
                line_places[line], line_sizes[line] = text, size - text
            else:
                size = kept_from
        first, last = strip_span(out, begin, size, classes)
        if first > begin:
            for byte in range(last - first):
                out[begin + byte] = out[first + byte]
            for line in range(line_offsets[document], line_offsets[document + 1]):
                if line_places[line] >= 0:
                    place = line_places[line] - (first - begin)
                    stripped = max(begin - place, 0)
                    line_places[line] = place + stripped
                    line_sizes[line] = max(line_sizes[line] - stripped, 0)
        size = begin + last - first
    out_offsets[len(offsets) - 1] = size


@njit(cache=True, nogil=True)
def carry_words(
    data: np.ndarray,
    out: np.ndarray,
    offsets: np.ndarray,
    out_offsets: np.ndarray,
    applies: np.ndarray,
    line_start: np.ndarray,
    line_end: np.ndarray,
    line_offsets: np.ndarray,
    line_places: np.ndarray,
    line_sizes: np.ndarray,
    ascii_classes: np.ndarray,
    classes: np.ndarray,
    scripts: np.ndarray,
    exceptions: np.ndarray,
    dictionary: tuple[np.ndarray, ...],
    old_start: np.ndarray,
    old_end: np.ndarray,
    old_chars: np.ndarray,
    old_hashes: np.ndarray,
    old_flags: np.ndarray,
    old_offsets: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    chars: np.ndarray,
    hashes: np.ndarray,
    flags: np.ndarray,
    word_offsets: np.ndarray,
    whole: int,
) -> int:
    """Fill the tokens of the edited text from words of the text before: a line that stayed keeps its tokens.

    Only lines that lost a citation are cut again. Words before may also be of the kind SCRIPT (whole: WHOLE, 0 for
    tokens): then those that are no single token are cut again, and all of the documents that were edited. Returns the
    number of tokens.
    """
    room = scratch()
    words, kind = np.int64(0), np.int64(TOKENS)  # numba would compile `split_range` once more for each literal
    for document in range(len(offsets) - 1):
        word_offsets[document] = words
        word, last_word = old_offsets[document], old_offsets[document + 1]
        if not applies[document]:
            shift = out_offsets[document] - offsets[document]
            for old in range(word, last_word):
                first, last = np.int64(load(old_start, old)) + shift, np.int64(load(old_end, old)) + shift
                if load(old_flags, old) & whole == whole:
                    start[words], end[words] = first, last
                    chars[words], hashes[words] = load(old_chars, old), load(old_hashes, old)
                    flags[words] = load(old_flags, old) & ~whole
                    words += 1
                else:
                    words = split_range(
                        out, first, last, kind, ascii_classes, classes, scripts, exceptions, dictionary, room,
                        start, end, chars, hashes, flags, words,
                    )  # fmt: skip
            continue
        if whole:
            words = split_range(
                out, out_offsets[document], out_offsets[document + 1], kind, ascii_classes, classes, scripts,
                exceptions, dictionary, room, start, end, chars, hashes, flags, words,
            )  # fmt: skip
            continue
        for line in range(line_offsets[document], line_offsets[document + 1]):
            if line_places[line] < 0:
                continue
            place, stop = np.int64(line_places[line]), np.int64(line_end[line])
            if line_sizes[line] != line_end[line] - line_start[line]:
                words = split_range(
                    out, max(place, out_offsets[document]), min(place + line_sizes[line], out_offsets[document + 1]),
                    kind, ascii_classes, classes, scripts, exceptions, dictionary, room,
                    start, end, chars, hashes, flags, words,
                )  # fmt: skip
                continue
            while word < last_word and old_start[word] < line_start[line]:
                word += 1
            shift = place - np.int64(line_start[line])
            while word < last_word and load(old_start, word) < stop:
                start[words], end[words] = load(old_start, word) + shift, load(old_end, word) + shift
                chars[words], hashes[words] = load(old_chars, word), load(old_hashes, word)
                flags[words] = load(old_flags, word)
                words += 1
                word += 1
    word_offsets[len(offsets) - 1] = words
    return words


@kernel
def count_line_sentences(
    data: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    flags: np.ndarray,
    word_offsets: np.ndarray,
    out: np.ndarray,
) -> None:
    """Fill out[d] (int64) with the sentences of a document, each line on its own.

    A sentence ends at a token that is one sentence-final mark, before the next token that is no punctuation
    (spaCy's sentencizer); what is left on a line is a sentence too.
    """
    for document in range(len(word_offsets) - 1):
        sentences, waiting, inside = 0, False, False
        previous = -1
        for word in range(word_offsets[document], word_offsets[document + 1]):
            if previous >= 0:
                for at in range(previous, start[word]):
                    if data[at] == NEWLINE:
                        sentences += 1
                        waiting = inside = False
                        break
            if flags[word] & SENTENCE_END:
                waiting = True
            elif waiting and not flags[word] & ALL_PUNCTUATION:
                sentences += 1
                waiting = False
            inside = True
            previous = end[word]
        out[document] = sentences + (1 if inside else 0)
