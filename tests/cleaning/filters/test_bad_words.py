"""The bad-words rule: the kernel against regular expressions built as C4 documents them. No word is spelled out."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoclave.cleaning.chain import Chain, CleanSettings
from autoclave.cleaning.filters.bad_words import ALLOWED, LANGUAGES, word_lists
from autoclave.cleaning.signals import measure
from autoclave.kernels.text.rules.listed_words import list_tables

CODES = [code for code in LANGUAGES if code in word_lists()]


@functools.cache
def expression(language: str, as_written: bool) -> re.Pattern[str]:
    """Return C4's expression, longest entries first, with look-around so that neighbours can share a flank."""
    words = {word if as_written else word.lower() for word in word_lists()[language] if word not in ALLOWED}
    either = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    return re.compile(either if language in ("ja", "th", "zh") else rf"(?<!\w)(?:{either})(?!\w)")


def counted(text: str, language: str, dialect: str = "paper") -> int:
    found = measure(pa.array([text]), ["bad_words"], dialect=dialect, languages=[language])
    count: int = found["bad_words"][0].as_py()
    return count


def test_there_are_28_lists() -> None:
    assert len(CODES) == len(word_lists()) == 28
    assert sum(map(len, word_lists().values())) == 2663
    assert list_tables([["ab"], ["b"]]).kinds.sum() == 1 + 3 + 3


@st.composite
def mixtures(draw: st.DrawFn, codes: Sequence[str] = CODES) -> tuple[str, str]:
    language = draw(st.sampled_from(codes))
    entries = st.sampled_from(sorted(word_lists()[language]))
    piece = st.one_of(
        entries,
        entries.map(str.upper),
        entries.map(lambda word: word[:-1]),
        st.sampled_from([*" .,-_\n", "a", "İ", "i", "\u0307", "é", "1", "字", "ก", "\U0001f600"]),
        st.text(max_size=2),
    )
    return language, "".join(draw(st.lists(piece, max_size=12))).replace("Σ", "σ")


@pytest.mark.parametrize("dialect", ["paper", "datatrove"])
@settings(max_examples=500, deadline=None, derandomize=True)
@given(mixtures())
def test_counts_are_those_of_the_expression(dialect: str, mixture: tuple[str, str]) -> None:
    language, text = mixture
    pattern = expression(language, dialect == "datatrove")
    assert counted(text, language, dialect) == len(pattern.findall(text.lower())), text


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(mixtures(["en"]), min_size=1, max_size=3))
def test_dolma_counts_whole_words_and_phrases_anywhere(mixed: list[tuple[str, str]]) -> None:
    text = " ".join(piece for _, piece in mixed)
    words = {word for word in word_lists()["en"] if " " not in word}
    phrases = sorted({word for word in word_lists()["en"] if " " in word}, key=len, reverse=True)
    lowered = text.lower()
    expected = sum(word in words for word in lowered.split())
    expected += len(re.findall("|".join(map(re.escape, phrases)), lowered))
    assert counted(text, "en", "dolma") == expected, text


@pytest.mark.parametrize("language", CODES)
def test_every_entry_is_found_between_words_but_inside_them_only_where_none_are_spaced(language: str) -> None:
    inside = language in ("ja", "th", "zh")
    for word in word_lists()[language]:
        if word in ALLOWED:
            assert counted(f"... {word} ...", language) == 0
            continue
        assert counted(f"({word})", language) >= 1
        if word[0].isalnum() and word[-1].isalnum() and " " not in word and language == "en":
            assert counted(f"q{word}q", language) == 0
        if inside:
            assert counted(f"字{word}字", language) >= 1


def test_capitals_of_the_list_are_the_difference_of_the_dialects() -> None:
    capitalised = next(word for word in word_lists()["es"] if word != word.lower())
    assert counted(f"({capitalised})", "es", "paper") == 1
    assert counted(f"({capitalised})", "es", "datatrove") == 0


def test_it_is_a_filter_and_other_languages_have_no_signal() -> None:
    word = next(word for word in word_lists()["en"] if word.isalpha())
    texts = pa.array([f"One {word} only.", "Nothing here.", f"One {word} only."])
    found = measure(texts, ["bad_words"], languages=["en", "en", "bg"])
    assert found["bad_words"].to_pylist() == [1, 0, None]
    chain = Chain(CleanSettings(language=None, filters=["bad_words"], transforms=[]))
    reasons = chain.filters[0].decide(found, ["en", "en", "bg"])
    assert reasons.tolist() == ["bad_words > 0", None, None]
