"""Words of a text that was edited, from those of the text before: what stayed is copied, only the rest is cut again."""

from __future__ import annotations

import numpy as np
from numba import njit

from autoclave.kernels.text.raw.memory import load
from autoclave.kernels.text.texts import LineEdit, Texts
from autoclave.kernels.text.words.arrays import Tables, Words
from autoclave.kernels.text.words.kinds import TOKENS, copy_word
from autoclave.kernels.text.words.split import empty_room, split_range


@njit(cache=True, nogil=True)
def carry_words(
    before: Texts, after: Texts, edit: LineEdit, tables: Tables, old: Words, words: Words, whole: int
) -> int:
    """Fill the tokens of the edited texts from the words of the texts before; return their number.

    old: tokens (whole: 0), or words of the kind SCRIPT (whole: WHOLE). Of those the ones that are no single token are
    cut again, and so are all texts that were edited. Of tokens, only the lines that lost a citation are.
    """
    lines, data, room = edit.lines, after.data, empty_room()
    count, kind = np.int64(0), np.int64(TOKENS)  # numba would compile `split_range` once more for each literal
    for text in range(len(before.offsets) - 1):
        words.offsets[text] = count
        begin, stop = after.offsets[text], after.offsets[text + 1]
        word, last_word = old.offsets[text], old.offsets[text + 1]
        if not edit.applies[text]:
            shift = begin - before.offsets[text]
            for index in range(word, last_word):
                if load(old.flags, index) & whole == whole:
                    count = copy_word(old, index, shift, words, count)
                    words.flags[count - 1] = load(old.flags, index) & ~whole
                else:
                    first, last = np.int64(load(old.start, index)) + shift, np.int64(load(old.end, index)) + shift
                    count = split_range(data, first, last, kind, tables, room, words, count)
            continue
        if whole:
            count = split_range(data, begin, stop, kind, tables, room, words, count)
            continue
        for line in range(lines.offsets[text], lines.offsets[text + 1]):
            place, size = np.int64(edit.places[line]), np.int64(edit.sizes[line])
            first, last = np.int64(lines.start[line]), np.int64(lines.end[line])
            if place < 0:
                continue
            if size != last - first:
                count = split_range(
                    data, max(place, begin), min(place + size, stop), kind, tables, room, words, count
                )  # fmt: skip
                continue
            while word < last_word and load(old.start, word) < first:
                word += 1
            while word < last_word and load(old.start, word) < last:
                count = copy_word(old, word, place - first, words, count)
                word += 1
    words.offsets[len(before.offsets) - 1] = count
    return count
