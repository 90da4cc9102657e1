"""The dictionaries that a text needs are those of the scripts it has letters of, by the table of scripts."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from autoclave.kernels.text.characters import HAN, HIRAGANA, KATAKANA, KHMER, LAO, THAI, character_tables
from autoclave.kernels.text.words.scripts import (
    HAN_LETTERS,
    KANA_LETTERS,
    SOUTH_EAST_ASIAN_LETTERS,
    scripts_in,
)

NEEDED = {HAN: HAN_LETTERS, HIRAGANA: KANA_LETTERS, KATAKANA: KANA_LETTERS}
NEEDED |= dict.fromkeys((THAI, LAO, KHMER), SOUTH_EAST_ASIAN_LETTERS)


def found(text: str) -> int:
    data = np.frombuffer(text.encode(), dtype=np.uint8)
    return int(scripts_in(data))


def test_every_letter_of_the_scripts_is_seen() -> None:
    scripts = character_tables()[1]
    for script, needed in NEEDED.items():
        for point in np.flatnonzero(scripts == script).tolist():
            assert found(chr(point)) & needed == needed, hex(point)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(0, 200), st.integers(0, 200), st.sampled_from("数ก\u0eab\u1780あアｱ"))
def test_one_letter_is_seen_wherever_it_stands(before: int, after: int, letter: str) -> None:
    needed = NEEDED[int(character_tables()[1][ord(letter)])]
    assert found("x" * before + letter + "y" * after) & needed == needed


def test_other_texts_need_no_dictionary() -> None:
    assert found("It’s a “text” — naïve Русский العربية." * 5) == 0
    assert found("中文，标点。「」、" * 20) == HAN_LETTERS
