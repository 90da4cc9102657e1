"""C4's line rules: drops lines, takes citations out, and counts what decides over the document."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

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
from autoclave.kernels.text.texts import LineEdit, Texts
from autoclave.kernels.text.words.arrays import Words
from autoclave.kernels.text.words.kinds import ALL_PUNCTUATION, SENTENCE_END

LINES_IN, LINES_KEPT, LONG_WORD, UNPUNCTUATED, FEW_WORDS, LOREM, JAVASCRIPT, CURLY, POLICY, CITATIONS = range(10)
"""Columns of `edit_lines`: lines; lines kept; lines dropped for a long word, no end mark, too few words; lines with
'lorem ipsum' that got that far; dropped for 'javascript'; with '{'; dropped for a policy phrase; citations removed."""

COLUMNS = 10


class LineRules(NamedTuple):
    """Which lines go; `cleaning.filters.c4.LineRules` says what each rule is."""

    terminal_punctuation: bool
    single_quote: bool
    min_words_per_line: int
    max_word_length: int
    citations: bool
    javascript: bool
    policy: bool
    strip_lines: bool


_EDIT = np.frombuffer(b"[edit]", dtype=np.uint8)
_NEEDED = np.frombuffer(b"[citation needed]", dtype=np.uint8)
_1, _8, _56, _TOP_BIT = (np.uint64(value) for value in (1, 8, 56, 0x80))

HAS_LOREM, HAS_JAVASCRIPT, HAS_POLICY, HAS_CURLY, HAS_SQUARE = 1, 2, 4, 8, 16


_PHRASES = phrase_tables(
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
def _ends_well(data: np.ndarray, start: int, stop: int, rules: LineRules, classes: np.ndarray) -> bool:
    """Say whether the line ends in . ? ! or " (or ') and not in an ellipsis; in a line as it came, before spaces."""
    if not rules.strip_lines:
        _, stop = strip_span(data, start, stop, classes)
    if stop == start:
        return False
    last = data[stop - 1]
    return (is_end_mark(last) or (rules.single_quote and last == SINGLE_QUOTE)) and not ends_in_dots(data, start, stop)


@inlined
def _without_citations(
    data: np.ndarray, first: int, last: int, classes: np.ndarray, out: np.ndarray, size: int
) -> tuple[int, int]:
    """Write data[first:last] without its citation marks to out[size:]; return (the size of out, the marks)."""
    marks = 0
    while first < last:
        mark = _citation(data, first, last, classes) if load(data, first) == LEFT_BRACKET else 0
        if mark:
            marks += 1
            first += mark
        else:
            out[size] = load(data, first)
            size += 1
            first += 1
    return size, marks


@inlined
def _judge(found: int, ends_well: bool, enough_words: bool, rules: LineRules, counts: np.ndarray) -> bool:
    """Say whether a line stays, and count what is found in it and why it goes.

    found: the phrases that it has. `enough_words` tells only of a line that ends well.
    """
    if not ends_well:
        counts[UNPUNCTUATED] += 1
        return False
    if not enough_words:
        counts[FEW_WORDS] += 1
        return False
    if found & HAS_LOREM:
        counts[LOREM] += 1
    if rules.javascript and found & HAS_JAVASCRIPT:
        counts[JAVASCRIPT] += 1
        return False
    if found & HAS_CURLY:
        counts[CURLY] += 1
    if rules.policy and found & HAS_POLICY:
        counts[POLICY] += 1
        return False
    return True


@inlined
def _edit_line(
    data: np.ndarray, first: int, last: int, classes: np.ndarray, rules: LineRules, out: np.ndarray, size: int,
    counts: np.ndarray,
) -> tuple[int, bool]:  # fmt: skip
    """Write one line, without citations, to out[size:]; return (the size of out with it, whether it stays)."""
    found, text, empty_stays = find_phrases(data, first, last, _PHRASES), size, not rules.strip_lines
    if rules.citations and found & HAS_SQUARE:
        size, marks = _without_citations(data, first, last, classes, out, size)
        counts[CITATIONS] += marks
        found |= find_phrases(out, text, size, _PHRASES)
    else:
        copy_bytes(data, first, last, out, size)
        size += last - first
    if empty_stays and text == size:
        ends_well = enough_words = True
    else:
        least = rules.min_words_per_line
        ends_well = not rules.terminal_punctuation or _ends_well(out, text, size, rules, classes)
        if empty_stays and size - text < last - first:
            enough_words = ends_well and has_words(out, text, size, classes, least)
        else:
            enough_words = ends_well and has_words(data, first, last, classes, least)
    return size, _judge(found, ends_well, enough_words, rules, counts)


@inlined
def _strip_text(out: np.ndarray, begin: int, size: int, classes: np.ndarray, edit: LineEdit, text: int) -> int:
    """Strip the edited text out[begin:size] and move its lines with it; return the size of out."""
    first, last = strip_span(out, begin, size, classes)
    if first > begin:
        for byte in range(last - first):
            out[begin + byte] = out[first + byte]
        for line in range(edit.lines.offsets[text], edit.lines.offsets[text + 1]):
            if edit.places[line] >= 0:
                place = edit.places[line] - (first - begin)
                stripped = max(begin - place, 0)
                edit.places[line] = place + stripped
                edit.sizes[line] = max(edit.sizes[line] - stripped, 0)
    return begin + last - first


@kernel
def edit_lines(
    texts: Texts, classes: np.ndarray, rules: LineRules, edit: LineEdit, edited: Texts, counts: np.ndarray
) -> None:
    """Write the edited texts, fill where their lines went (`edit`), and the columns LINES_IN to CITATIONS.

    edited: room for all bytes of the texts and one more; counts: int64 [texts, COLUMNS]. Texts that the edit does not
    apply to are copied. Each line is written before it is judged, and taken back where it goes: end marks and phrases
    are looked for in what citations leave. Rules over the document never cut the work short, so that the edit does not
    depend on their limits: a line with '{' goes on as if the rule were not there.
    """
    data, offsets, lines, out, longest = texts.data, texts.offsets, edit.lines, edited.data, rules.max_word_length
    size = np.int64(0)  # numba would compile what it is given to once more for a literal 0
    for text in range(len(offsets) - 1):
        edited.offsets[text] = size
        for column in range(COLUMNS):
            counts[text, column] = 0
        for line in range(lines.offsets[text], lines.offsets[text + 1]):
            edit.places[line] = -1
        if not edit.applies[text]:
            copy_bytes(data, offsets[text], offsets[text + 1], out, size)
            size += offsets[text + 1] - offsets[text]
            continue
        begin = size
        for line in range(lines.offsets[text], lines.offsets[text + 1]):
            first, last = np.int64(lines.start[line]), np.int64(lines.end[line])
            counts[text, LINES_IN] += 1
            if last - first > longest >= 0 and longest_word(data, first, last, classes, longest) > longest:
                counts[text, LONG_WORD] += 1
                continue
            place = size
            if counts[text, LINES_KEPT]:
                out[place] = NEWLINE
                place += 1
            after, stays = _edit_line(data, first, last, classes, rules, out, place, counts[text])
            if stays:
                counts[text, LINES_KEPT] += 1
                edit.places[line], edit.sizes[line] = place, after - place
                size = after
        size = _strip_text(out, begin, size, classes, edit, text)
    edited.offsets[len(offsets) - 1] = size


@kernel
def count_line_sentences(data: np.ndarray, words: Words, out: np.ndarray) -> None:
    """Fill out, int64[documents], with the sentences of each document, each line on its own.

    data: uint8[bytes]; words: tokens.

    A sentence ends at a token that is one sentence-final mark, before the next token that is no punctuation
    (spaCy's sentencizer); what is left on a line is a sentence too.
    """
    for document in range(len(words.offsets) - 1):
        sentences, waiting, inside = 0, False, False
        previous = -1
        for word in range(words.offsets[document], words.offsets[document + 1]):
            if previous >= 0:
                for at in range(previous, words.start[word]):
                    if data[at] == NEWLINE:
                        sentences += 1
                        waiting = inside = False
                        break
            if words.flags[word] & SENTENCE_END:
                waiting = True
            elif waiting and not words.flags[word] & ALL_PUNCTUATION:
                sentences += 1
                waiting = False
            inside = True
            previous = words.end[word]
        out[document] = sentences + (1 if inside else 0)
