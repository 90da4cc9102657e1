"""The tokenizer: exact round trips, guaranteed characters, determinism, and an independent encoder to compare with."""

from __future__ import annotations

import collections
import itertools
import json
import os
import random
import subprocess
import sys
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoclave.errors import InputError, RecipeError, SchemaError
from autoclave.tokenize.alphabet import (
    big5_level_1,
    choose_alphabet,
    common_han,
    count_characters,
    gb2312_level_1,
    is_han,
)
from autoclave.tokenize.encoding import Encoder, split_text
from autoclave.tokenize.fingerprints import tokenizer_fingerprint
from autoclave.tokenize.training import BYTES, PATTERN, SPECIALS, TokenizerSettings, train_tokenizer, truncate_text

WORDS = ["the", "crawl", "of", "a", "page", "nobody", "cleaned", "is", "read", "again", "by", "model's", "and", "don't"]
WORDS += ["3", "1415", "km", "/", "h", ",", "(", "see", "fig.", "2", ")"]
HAN = "清洗语料的模型自己训练自己我们从网页中提取正文并且去掉重复的内容鑪靐齉鑪靐齉"
MARKUP = "<s>hello</s> <unk> <0x41><0xE4> </s></s> <s> <s>"


def corpus() -> list[str]:
    rng = random.Random(7)
    english = [" ".join(rng.choices(WORDS, k=60)) + "\n\n  - item\n" for _ in range(300)]
    chinese = [
        "".join(rng.choices(HAN, k=40)) + "。" + "".join(rng.choices(HAN, k=25)) + "，2024年！\n" for _ in range(200)
    ]
    return english + chinese + [MARKUP * 20]


@pytest.fixture(scope="module")
def tokenizer_json() -> str:
    return train_tokenizer(corpus, TokenizerSettings(vocabulary_size=16384))


@pytest.fixture(scope="module")
def encoder(tokenizer_json: str) -> Encoder:
    return Encoder(tokenizer_json)


def encode(encoder: Encoder, text: str) -> list[int]:
    return list(map(int, encoder.encode([text])[1]))


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
"""Any valid text: every code point of every plane but the surrogates."""
TRICKY = st.lists(
    st.sampled_from(
        [*"\t\n\r \u3000\x00\u200bé中ーーあア\u0301ſ9٣,'", "\r\n", "</s>", "<0x41>", "'S", "'LL", " word", "  "]
    ),
    max_size=40,
).map("".join)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(text=ANY_TEXT | TRICKY)
def test_decode_of_encode_is_the_text(encoder: Encoder, text: str) -> None:
    ids = encode(encoder, text)
    assert encoder.decode(ids) == text
    assert all(index >= len(SPECIALS) for index in ids)


def test_every_code_point_survives(encoder: Encoder) -> None:
    points = [chr(point) for point in range(0x110000) if not 0xD800 <= point < 0xE000]
    texts = ["".join(points[start : start + 8192]) for start in range(0, len(points), 8192)]
    offsets, ids = encoder.encode(texts)
    for row, text in enumerate(texts):
        assert encoder.decode(ids[offsets[row] : offsets[row + 1]]) == text


def test_every_common_character_is_one_token(encoder: Encoder) -> None:
    characters = gb2312_level_1()
    assert len(set(characters)) == 3755
    assert characters[0] == "啊"
    assert characters[-1] == "座"
    assert all("CJK UNIFIED" in unicodedata.name(character) for character in characters)
    assert [len(encode(encoder, character)) for character in characters] == [1] * 3755


def test_rare_characters_seen_twice_are_one_token_and_unseen_ones_are_bytes(encoder: Encoder) -> None:
    for character in "鑪靐齉":  # outside GB 2312, seen in the corpus
        assert character not in gb2312_level_1()
        assert len(encode(encoder, character)) == 1
    assert encode(encoder, "𠮷") == [3 + byte for byte in "𠮷".encode()]


def test_traditional_characters_join_where_the_vocabulary_has_room() -> None:
    assert len(set(big5_level_1())) == 5401
    assert {"籲", "龜", "灣"} <= set(big5_level_1())
    assert len(common_han("auto", 64_000)) == len(set(gb2312_level_1()) | set(big5_level_1()))
    assert len(common_han("auto", 16_384)) == 3755
    assert common_han("auto", 8_192) == []
    assert bool(is_han(np.array([ord(c) for c in common_han("common", 0)])).all())


def test_reserved_ids_come_first_and_control_names_in_text_are_text(encoder: Encoder, tokenizer_json: str) -> None:
    vocabulary = json.loads(tokenizer_json)["model"]["vocab"]
    assert [vocabulary[token] for token in (*SPECIALS, *BYTES)] == list(range(259))
    assert sorted(vocabulary.values()) == list(range(len(vocabulary)))
    assert json.loads(tokenizer_json)["added_tokens"] == []
    ids = encode(encoder, MARKUP)
    assert min(ids) >= 259
    assert encoder.decode(ids) == MARKUP


def test_same_tokenizer_whatever_the_threads_and_the_order(tokenizer_json: str) -> None:
    script = (
        "import runpy, sys, random; m = runpy.run_path(sys.argv[1]); texts = m['corpus'](); "
        "random.Random(int(sys.argv[2])).shuffle(texts); "
        "sys.stdout.write(m['train_tokenizer'](lambda: texts, m['TokenizerSettings'](vocabulary_size=16384)))"
    )
    for threads, order in (("1", "1"), ("2", "2"), ("5", "3")):
        environment = os.environ | {"RAYON_NUM_THREADS": threads, "PYTHONHASHSEED": order}
        command = [sys.executable, "-c", script, __file__, order]
        assert subprocess.check_output(command, env=environment, text=True) == tokenizer_json


def naive_encode(tokenizer_json: str, text: str) -> list[int]:
    """BPE as defined: cut by the pattern, then merge the pair of the lowest rank until none is left."""
    regex = pytest.importorskip("regex")
    model = json.loads(tokenizer_json)["model"]
    ranks = {tuple(pair): rank for rank, pair in reversed(list(enumerate(model["merges"])))}
    pieces = regex.findall(PATTERN.replace("'(?i:[sdmt]|ll|ve|re)", "'(?i:[sdmt]|ll|ve|re)"), text, flags=regex.V1)
    assert "".join(pieces) == text
    ids: list[int] = []
    for piece in pieces:
        symbols = [
            s for c in piece for s in ([c] if c in model["vocab"] else [f"<0x{byte:02X}>" for byte in c.encode()])
        ]
        while len(symbols) > 1:
            rank, place = min((ranks.get(pair, 10**9), i) for i, pair in enumerate(itertools.pairwise(symbols)))
            if rank == 10**9:
                break
            symbols[place : place + 2] = [symbols[place] + symbols[place + 1]]
        ids += [model["vocab"][symbol] for symbol in symbols]
    return ids


@pytest.mark.parametrize(
    "text", [*corpus()[::60], MARKUP, "Don't  stop…\r\n\r\n 　全角　空格ａｂｃ １２３ naïve café 𠮷野家 a\u0301"]
)
def test_encoding_is_what_the_definition_says(encoder: Encoder, tokenizer_json: str, text: str) -> None:
    assert encode(encoder, text) == naive_encode(tokenizer_json, text)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(text=TRICKY | ANY_TEXT | st.lists(st.sampled_from([*WORDS, "\n", " ", "中文", "́"])).map(" ".join))
def test_long_texts_are_cut_only_where_the_encoding_does_not_change(encoder: Encoder, text: str) -> None:
    pieces = list(split_text(text, size=3))
    assert "".join(pieces) == text
    assert [i for piece in pieces for i in encode(encoder, piece)] == encode(encoder, text)


def test_a_long_text_is_really_cut() -> None:
    assert max(len(piece) for piece in split_text("some words here\n" * 1000, size=100)) < 120
    assert max(len(piece) for piece in split_text("some words here " * 1000, size=100)) < 120


def test_encode_arrow_keeps_rows_apart(encoder: Encoder) -> None:
    texts = ["", "hello the page", "清洗语料", ""]
    rows = encoder.encode_arrow(pa.array(texts))
    assert rows.type == pa.list_(pa.uint16())
    assert len(rows) == 4
    assert [encoder.decode(row) for row in rows.to_pylist()] == texts


def test_fingerprint_ignores_formatting_only(tokenizer_json: str) -> None:
    content = json.loads(tokenizer_json)
    assert tokenizer_fingerprint(json.dumps(content)) == tokenizer_fingerprint(tokenizer_json)
    content["model"]["merges"] = content["model"]["merges"][:-1]
    assert tokenizer_fingerprint(json.dumps(content)) != tokenizer_fingerprint(tokenizer_json)


def test_no_token_is_longer_than_asked() -> None:
    texts = ["-" * 500 + " " + "abcdefghij" * 30] * 20
    trained = train_tokenizer(
        lambda: texts, TokenizerSettings(vocabulary_size=1000, han_alphabet="none", maximum_token_characters=8)
    )
    learned = [token for token in json.loads(trained)["model"]["vocab"] if token not in (*SPECIALS, *BYTES)]
    assert 4 < max(map(len, learned)) <= 8


def test_merges_do_not_reach_across_characters_outside_the_alphabet() -> None:
    texts = ["abé" * 50] * 3 + ["ab\U0001f600ab"]
    trained = train_tokenizer(
        lambda: texts, TokenizerSettings(vocabulary_size=1000, han_alphabet="none", minimum_character_count=10**6)
    )
    assert json.loads(trained)["model"]["merges"] == [["a", "b"]]


@settings(derandomize=True, max_examples=50, deadline=None)
@given(texts=st.lists(ANY_TEXT, max_size=5))
def test_characters_are_counted(texts: list[str]) -> None:
    expected = collections.Counter("".join(texts))
    counts = count_characters(texts)
    assert {chr(point): int(counts[point]) for point in np.flatnonzero(counts)} == dict(expected)


def test_alphabet_takes_the_most_frequent_first() -> None:
    counts = count_characters(["éé" + "üüü" + "中" + "國國" + "\x07" * 9])
    chosen = choose_alphabet(counts, guaranteed="ab", minimum_han=2, minimum_other=2, limit=10)
    assert chosen == ["a", "b", "é", "ü", "國"]
    assert choose_alphabet(counts, guaranteed="ab", minimum_han=2, minimum_other=2, limit=3) == ["a", "b", "ü"]


def test_a_small_vocabulary_is_not_eaten_by_characters() -> None:
    rare = ["".join(map(chr, range(0x4E00, 0x4E00 + 2000))) * 2, "some words of a page " * 300]
    trained = train_tokenizer(lambda: rare, TokenizerSettings(vocabulary_size=2000))
    vocabulary = json.loads(trained)["model"]["vocab"]
    characters = [token for token in vocabulary if len(token) == 1]
    assert len(characters) == (2000 - 259) // 2
    assert " words" in vocabulary


def test_truncate_text_cuts_between_characters() -> None:
    assert [truncate_text("a中b", size) for size in range(6)] == ["", "a", "a", "a", "a中", "a中b"]


def test_clear_errors(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(RecipeError, match="vocabulary_size 300"):
        train_tokenizer(lambda: ["x"], TokenizerSettings(vocabulary_size=300))
    with pytest.raises(RecipeError, match="han_alphabet"):
        train_tokenizer(lambda: ["x"], TokenizerSettings(vocabulary_size=4000, han_alphabet="simplified"))
    (tmp_path / "t.json").write_text("{}")
    with pytest.raises(SchemaError, match=r"t\.json"):
        Encoder.open(str(tmp_path / "t.json"))
    with pytest.raises(InputError, match="absent"):
        Encoder.open(str(tmp_path / "absent.json"))


def test_real_text_comes_back(encoder: Encoder, shared_data) -> None:  # type: ignore[no-untyped-def]
    zstandard = pytest.importorskip("zstandard")
    with zstandard.open(shared_data / "web_registers" / "docs.jsonl.zst", "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line, _ in zip(lines, range(150), strict=False)]
    offsets, ids = encoder.encode(texts)
    assert [encoder.decode(ids[offsets[i] : offsets[i + 1]]) for i in range(len(texts))] == texts
