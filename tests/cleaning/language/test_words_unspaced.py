"""Words of Thai, Lao, Khmer and Japanese: the kernel against plain Python on random text, and against other cutters."""

from __future__ import annotations

import itertools
import json
import unicodedata
from functools import cache
from importlib.resources import files
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from autoclave.cleaning.language.words import scans

LETTERS = {
    "th": {*range(0xE01, 0xE3B), *range(0xE40, 0xE4F)},
    "lo": {*range(0xE81, 0xECE), *range(0xEDC, 0xEE0)},
    "km": {*range(0x1780, 0x17D4), 0x17D7, 0x17DC, 0x17DD},
}
HIRAGANA, KATAKANA = {*range(0x3041, 0x3097), 0x309D, 0x309E, 0x309F}, {*range(0x30A1, 0x30FB), *range(0x30FC, 0x3100)}
KANA, HAN = HIRAGANA | KATAKANA, {0x3005, *range(0x4E00, 0xA000)}
LEADING = set("เแโใไເແໂໃໄ\u17d2")
TRAILING = set("ะาำๅະາຳຽ\u200c\u200d")
JOINERS = "\u200c\u200d\u0301\ufe0f\u0ece"
GOLDEN = [json.loads(line) for line in Path(__file__).with_name("golden_words.jsonl").read_text().splitlines()]


@cache
def dictionary(asset: str = "south_east_asian_words") -> dict[str, float]:
    packed = files("autoclave").joinpath(f"assets/{asset}.txt.zst").read_bytes()
    lines = map(str.split, zstandard.ZstdDecompressor().decompress(packed).decode().splitlines())
    return {word: int(cost) / 8 for cost, *words in lines for word in words}


def script_of(letter: str, before: str | None) -> str | None:
    if letter in JOINERS and before is not None:
        return before
    return next((code for code, letters in LETTERS.items() if ord(letter) in letters), None)


def clusters(run: str) -> list[str]:
    found = [run[0]]
    for letter in run[1:]:
        mark = unicodedata.category(letter) in ("Mn", "Mc") or letter in TRAILING or letter in JOINERS
        if mark or found[-1][-1] in LEADING:
            found[-1] += letter
        else:
            found.append(letter)
    return found


def plain_words(run: str) -> list[str]:
    """Return the cheapest split by dynamic programming over clusters, the longer word first; strangers joined."""
    pieces, entries = clusters(run), dictionary()
    best: list[tuple[float, int, bool]] = [(0.0, 0, True)]  # from the right: cost, clusters taken, known
    for at in range(len(pieces) - 1, -1, -1):
        tail = len(pieces) - at
        choices = [(32.0 + best[tail - 1][0], 1, False)]
        for count in range(1, tail + 1):
            word = "".join(pieces[at : at + count])
            if len(word) > 32:
                break
            if word in entries:
                choices.append((entries[word] + best[tail - count][0], count, True))
        cheapest = min(choice[0] for choice in choices)
        best.append([choice for choice in choices if choice[0] == cheapest][-1])
    words: list[str] = []
    at, stranger = 0, False
    while at < len(pieces):
        _, count, known = best[len(pieces) - at]
        word = "".join(pieces[at : at + count])
        if not known and stranger:
            words[-1] += word
        else:
            words.append(word)
        stranger = not known
        at += count
    return words


def plain(text: str) -> list[str]:
    found: list[str] = []
    for chunk in text.split():
        scripts: list[str | None] = []
        for letter in chunk:
            scripts.append(script_of(letter, scripts[-1] if scripts else None))
        for script, group in itertools.groupby(zip(scripts, chunk, strict=True), key=lambda pair: pair[0]):
            run = "".join(letter for _, letter in group)
            if script:
                found += plain_words(run)
            elif run != "\u200b" or not any(scripts):
                found.append(run)
    return found


def words_of(text: str, kind: str = "script") -> list[str]:
    scan = next(scans(pa.array([text])))
    words, data = scan.words(kind), scan.data.tobytes()
    return [data[a:b].decode() for a, b in zip(words.start.tolist(), words.end.tolist(), strict=True)]


def _random_text() -> st.SearchStrategy[str]:
    entries = sorted(dictionary())[::7]
    letters = [chr(point) for points in LETTERS.values() for point in sorted(points)]
    piece = st.one_of(
        st.sampled_from(entries),
        st.sampled_from(entries),
        st.sampled_from(letters),
        st.sampled_from([*JOINERS, " ", "\n", "\u200b", "a", "ๆ", "ៗ", "ໆ"]),
    )
    return st.lists(piece, max_size=40).map("".join)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(_random_text())
def test_words_are_those_of_plain_python(text: str) -> None:
    # Latin letters beside accents go through the rules for spaced words, which other tests hold to account.
    text = text.replace("a\u0301", "a").replace("\u0301", "") if "a" in text else text
    if any(mark in text for mark in JOINERS):
        text = "".join(
            letter
            for before, letter in zip(" " + text, text, strict=False)
            if letter not in JOINERS or script_of(before, None)
        )
    assert words_of(text) == plain(text)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(_random_text())
def test_no_cluster_is_cut_and_no_letter_lost(text: str) -> None:
    for kind in ("script", "tokens"):
        words = words_of(text, kind)
        assert "".join(words).replace("\u200b", "") == "".join(text.replace("\u200b", "").split())
        for before, after in itertools.pairwise(words):
            if before + after in text and script_of(before[-1], None) == script_of(after[0], None) is not None:
                assert unicodedata.category(after[0]) not in ("Mn", "Mc")
                assert before[-1] not in LEADING


def _cuts(words: list[str]) -> set[int]:
    return set(itertools.accumulate(map(len, words)))


@pytest.mark.parametrize(
    ("language", "peer", "least"),
    [("th", "icu", 0.9), ("th", "newmm", 0.9), ("lo", "icu", 0.9), ("km", "icu", 0.9), ("ja", "mecab", 0.97)],
)
def test_cuts_are_those_of_other_segmenters(language: str, peer: str, least: float) -> None:
    shared = ours = theirs = 0
    for entry in GOLDEN:
        if entry["language"] != language:
            continue
        text, letters = entry["text"], LETTERS.get(language, KANA | HAN)
        inner = {at for at in range(1, len(text)) if ord(text[at - 1]) in letters and ord(text[at]) in letters}
        golden = _cuts(entry[peer].split("|")) & inner
        scan = next(scans(pa.array([text])))
        data, found = scan.data.tobytes(), set()
        for place in (scan.words("script").start, scan.words("script").end):
            found |= {len(data[:at].decode()) for at in place.tolist()}
        found &= inner
        shared, ours, theirs = shared + len(found & golden), ours + len(found), theirs + len(golden)
    assert ours > 100
    assert 2 * shared / (ours + theirs) >= least


def test_unknown_names_are_one_word_and_zero_width_spaces_separate() -> None:
    assert words_of("ภาษาไทยง่ายมาก") == plain("ภาษาไทยง่ายมาก") == ["ภาษา", "ไทย", "ง่าย", "มาก"]
    assert words_of("ខ្ញុំ\u200bស្រឡាញ់") == ["ខ្ញុំ", "ស្រឡាញ់"]
    stranger = "ฮฮฮฬฬฬ"
    assert words_of("การ" + stranger + "การ") == ["การ", stranger, "การ"]


def plain_japanese(run: str) -> list[str]:
    """Return the cheapest split by dynamic programming over letters, the longer word first; strangers joined."""
    entries = dictionary("japanese_words")
    best: list[tuple[float, int, bool]] = [(0.0, 0, True)]  # from the right: cost, letters taken, known
    for at in range(len(run) - 1, -1, -1):
        tail = len(run) - at
        choices = [(32.0 + best[tail - 1][0], 1, False)]
        if ord(run[at]) in KATAKANA and (at == 0 or ord(run[at - 1]) not in KATAKANA):
            count = sum(1 for _ in itertools.takewhile(lambda letter: ord(letter) in KATAKANA, run[at:]))
            choices.append((28.0 + best[tail - count][0], count, True))
        for count in range(1, min(16, tail) + 1):
            if run[at : at + count] in entries:
                choices.append((entries[run[at : at + count]] + best[tail - count][0], count, True))
        cheapest = min(choice[0] for choice in choices)
        # A dictionary's word before a loan of the same cost, a known word before a stranger.
        best.append([choice for choice in choices if choice[0] == cheapest][-1])
    words: list[str] = []
    at, stranger = 0, False
    while at < len(run):
        _, count, known = best[len(run) - at]
        if not known and stranger:
            words[-1] += run[at : at + count]
        else:
            words.append(run[at : at + count])
        stranger = not known
        at += count
    return words


def _random_japanese() -> st.SearchStrategy[str]:
    entries = sorted(dictionary("japanese_words"))[::9]
    letters = [chr(point) for point in sorted(KANA) + list(range(0x4E00, 0x9FFF, 7))]
    return st.lists(st.one_of(st.sampled_from(entries), st.sampled_from(letters)), max_size=25).map("".join)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(_random_japanese())
def test_japanese_words_are_those_of_plain_python(run: str) -> None:
    kana = sum(ord(letter) in KANA for letter in run)
    if 10 * kana >= len(run) and kana:
        assert words_of(run) == plain_japanese(run)
        assert words_of(f"({run})。", "tokens") == ["(", *plain_japanese(run), ")", "。"]


def test_japanese_is_told_from_chinese_by_its_kana() -> None:
    sentence = "私は東京大学で日本語を勉強しています"
    assert words_of(sentence) == ["私", "は", "東京大学", "で", "日本語", "を", "勉強", "し", "て", "い", "ます"]
    assert words_of("这是优の良品商店的中文网页") == ["这", "是", "优", "の", "良", "品", "商店", "的", "中文", "网页"]
    assert words_of("「東京大学」は") == ["「", "東京大学", "」", "は"]  # ideographs alone, in a Japanese chunk
    assert words_of("ゾゾゲラッパの店") == ["ゾゾゲラッパ", "の", "店"]  # a name that no dictionary has
