"""What deduplication folds: by default no digit of any script. What differs in numbers stays, copies still fall."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from dedup_corpus import WORDS, corpus, ledger, run, write_source
from number_texts import DIGITS, number_texts, with_numbers_of_the_day, write_number

from autoclave.cleaning.dedup.lines import LineSettings
from autoclave.cleaning.dedup.substring import SubstringSettings
from autoclave.corpus.commits import read_commits
from autoclave.corpus.sealed import seal
from autoclave.errors import RecipeError, SchemaError
from autoclave.pipelines.dedup.settings import DedupSettings, MinHashSettings
from autoclave.pipelines.dedup.stage import explain_settings

FINEWEB = MinHashSettings(normalisation="fineweb", min_units=1)
SHORT = {
    "en": ("the cat sat", "the dog sat"), "de": ("Guten Morgen", "Guten Abend"), "fr": ("le pêcheur", "le pécheur"),
    "vi": ("ma", "má", "mà", "mã"), "ar": ("كَتَبَ", "كُتِبَ", "كتب"), "he": ("שלום", "תודה"), "hi": ("नमस्ते", "धन्यवाद"),
    "th": ("สวัสดี", "ขอบคุณ"), "zh": ("你好", "再见", "第1条 第12条"), "ja": ("かき", "かぎ", "ｶｷ"),
    "ko": ("안녕", "감사"), "el": ("καλημέρα", "καλησπέρα"), "case": ("Polish", "polish", "POLISH"),
    "signs": ("!!!", "???", "😀", "😂", "→", "-", "+", "\u0301\u0302", "\u200b", "\u200bx"),
    "numbers": ("1", "2", "1.5", "1,5", "15", "-4", "4", "12,345", "1,2345", "½"),
}  # fmt: skip


def texts_that_stay(tmp_path: Path, texts: list[str], **settings: Any) -> list[str]:
    inputs = write_source(tmp_path / "source", [texts[::2], texts[1::2]])
    run(tmp_path / "out", inputs, **settings)
    files = sorted((tmp_path / "out/documents").iterdir())
    return [text for file in files for text in pq.read_table(file, columns=["text"]).column(0).to_pylist()]


@pytest.mark.parametrize("name", ["10_short_docs", "11_only_numbers_differ"])
def test_different_short_texts_and_numbers_are_no_copies(shared_data: Path, tmp_path: Path, name: str) -> None:
    lines = (shared_data.parent / f"cases/text/{name}.jsonl").read_text().splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    assert sorted(texts_that_stay(tmp_path, texts)) == sorted(texts)


def test_short_texts_of_many_languages_are_no_copies(tmp_path: Path) -> None:
    texts = [text for group in SHORT.values() for text in group]
    texts += [f"{first} {second} {third}" for first, second in (texts[:2], texts[2:4]) for third in texts]
    assert len(set(texts)) == len(texts)
    assert sorted(texts_that_stay(tmp_path, texts)) == sorted(texts)


@pytest.mark.parametrize("preset", ["fineweb", "nemo", "olmocr", "duplodocus"])
def test_texts_that_differ_in_numbers_are_no_copies_in_ten_languages(tmp_path: Path, preset: str) -> None:
    texts = [
        text
        for seed, language in enumerate(DIGITS)
        for kind in number_texts(language, seed, 5).values()
        for text in kind
    ]
    assert len(set(texts)) == len(texts) == 300
    kept = texts_that_stay(tmp_path, texts, minhash=MinHashSettings(preset=preset))
    assert sorted(kept) == sorted(texts)


def test_numbers_are_folded_where_fineweb_is_chosen(tmp_path: Path) -> None:
    """The same texts: with datatrove's rules most are taken for copies."""
    texts = [text for seed, language in enumerate(DIGITS) for text in number_texts(language, seed, 5)["grid"]]
    assert len(texts_that_stay(tmp_path, texts, minhash=FINEWEB)) == 1
    assert len(texts_that_stay(tmp_path, texts)) == 50


@pytest.mark.parametrize("normalisation", ["fineweb", "words", "whitespace"])
@pytest.mark.parametrize("language", list(DIGITS))
def test_an_article_with_other_numbers_of_the_day_falls(tmp_path: Path, language: str, normalisation: str) -> None:
    rng = np.random.default_rng(5)
    words = list("天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏") if language in ("zh", "ja") else WORDS
    articles = [" ".join(words[k] for k in rng.integers(0, len(words), 200)) for _ in range(6)]
    texts = [with_numbers_of_the_day(articles[i // 2], language, i) for i in range(12)]
    assert len(set(texts)) == 12
    settings = msgspec.convert({"normalisation": normalisation}, MinHashSettings)
    assert len(texts_that_stay(tmp_path, texts, minhash=settings)) == 6


def reference_shingles(text: str) -> set[str]:
    """Word 5-grams, numbers and their signs kept; for scripts with spaces and without vowel signs."""
    plain = "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) not in ("Mn", "Cf"))
    plain = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in plain.lower())
    plain = plain.translate(str.maketrans("٫٬\u00a0\u202f", ".,,,"))
    units = re.findall(r"(?:(?<![^\W_])-(?=\d))?(?:(?<=\d)[-.,:/'](?=\d)|[^\W_])+", plain)
    return {" ".join(units[i : i + 5]) for i in range(max(1, len(units) - 4))}


def test_verification_agrees_with_brute_force_on_unfolded_text(tmp_path: Path) -> None:
    """Every pair is a candidate: a document falls exactly where Python finds a better one at or above the threshold."""
    rng = np.random.default_rng(2)
    texts: list[str] = []
    for number, language in enumerate(["en", "de", "fr", "ru", "ar", "fa"]):
        for kind, found in number_texts(language, number, 3).items():
            for text in found if kind != "chapter" else []:
                texts.append(text)
                changed = write_number(int(rng.integers(10, 9999)), language)
                for count in (1, 2, 4):
                    texts.append(re.sub(r"\d\b", changed, text, count=count))
    texts = list(dict.fromkeys(texts))
    minhash = MinHashSettings(bands=100, rows=1, min_units=1)
    inputs = write_source(tmp_path / "source", [texts])
    run(tmp_path / "out", inputs, minhash=minhash, verify_threshold=0.6)
    rows = ledger(tmp_path / "out")
    sets = [reference_shingles(text) for text in texts]
    stay: list[int] = []
    for i in sorted(range(len(texts)), key=lambda i: (-len(texts[i].encode()), i)):
        alike = [(len(sets[i] & sets[j]) / len(sets[i] | sets[j]), -k, j) for k, j in enumerate(stay)]
        best, _, leader = max(alike, default=(0.0, 0, -1))
        assert rows[i]["kept"] == (best < 0.6), texts[i]
        if best < 0.6:
            stay.append(i)
        else:
            assert rows[i]["jaccard"] == pytest.approx(best, abs=1e-6), (texts[i], texts[leader])
            assert rows[i]["duplicate_of"] == rows[leader]["doc_id"]
    assert len(texts) / 5 < len(stay) < len(texts)


def test_what_the_shortest_compared_text_is(tmp_path: Path) -> None:
    long, short = " ".join(WORDS[:40]), " ".join(WORDS[:39])
    texts = [long, long.upper() + "!", short, short.upper() + "!", short + "\n"]
    inputs = write_source(tmp_path / "source", [texts])
    run(tmp_path / "out", inputs, keep="first")
    rows = ledger(tmp_path / "out")
    assert [r["filter"] for r in rows] == [None, "near_duplicate", None, None, "exact_duplicate"]
    characters = MinHashSettings(preset="nemo")
    assert characters.parameters().min_units == 192  # characters
    run(tmp_path / "characters", inputs, keep="first", minhash=characters)
    assert len(long) < 192
    assert [r["kept"] for r in ledger(tmp_path / "characters")] == [True, True, True, True, False]
    with pytest.raises(RecipeError, match="min_units 0"):
        run(tmp_path / "wrong", inputs, minhash=MinHashSettings(min_units=0))


TOWNS = ["Arlen", "Borne", "Calde", "Drune"]


def towns(shared_data: Path) -> list[str]:
    return [
        page["text"] for page in json.loads((shared_data.parent / "cases/text/line_dedup_numbers.json").read_text())
    ]


@pytest.mark.parametrize("unit", ["line", "paragraph"])
def test_lines_of_a_host_that_differ_in_numbers_stay(shared_data: Path, tmp_path: Path, unit: Any) -> None:
    pages = towns(shared_data)
    inputs = write_source(tmp_path / "source", [pages], [["towns.test"] * len(pages)])
    run(tmp_path / "out", inputs, lines=LineSettings(unit=unit))
    assert [row["lines_removed"] for row in ledger(tmp_path / "out")] == [0, 0, 0]
    if unit == "line":
        folded = LineSettings(normalisation="fineweb")
        run(tmp_path / "folded", inputs, lines=folded)
        assert [row["lines_removed"] for row in ledger(tmp_path / "folded")] == [1, 1, 1]


def test_lines_are_equal_up_to_what_is_chosen(tmp_path: Path) -> None:
    """A line for each thing that may be folded: white space, case, punctuation, diacritics, numbers of four scripts."""
    variants = [
        ["Home  |  About", "\u00a0Home | About ", "Home\t|\u3000About"],
        ["READ MORE", "Read more", "read more"],
        ["Read on...", "Read on", "(Read on)"],
        ["Résumé du site", "Resume du site", "Résume\u0301 du site"],
        ["Page 1 of 9", "Page 2 of 9", "Page 13 of 9"],
        ["السكان ١٢", "السكان ٣٤", "السكان ٥٦"],
        ["जनसंख्या १२", "जनसंख्या ३४", "जनसंख्या ५६"],
        ["人口１２人", "人口３４人", "人口５６人"],
    ]
    pages = ["\n".join([f"Page about {name}", *(v[i] for v in variants)]) for i, name in enumerate(TOWNS[:3])]
    inputs = write_source(tmp_path / "source", [pages], [["towns.test"] * 3])
    removed = {}
    for normalisation in ("whitespace", "words", "fineweb"):
        lines = msgspec.convert({"normalisation": normalisation}, LineSettings)
        run(tmp_path / normalisation, inputs, lines=lines)
        removed[normalisation] = [row["lines_removed"] for row in ledger(tmp_path / normalisation)]
    assert removed == {"whitespace": [1] * 3, "words": [4] * 3, "fineweb": [8] * 3}


def test_rules_and_fences_are_no_repeated_lines(tmp_path: Path) -> None:
    pages = [f"Title {name}\n---\n```\n{name} = 1\n}}\n```\n| --- | --- |\n***" for name in TOWNS]
    inputs = write_source(tmp_path / "source", [pages], [["towns.test"] * 4])
    run(tmp_path / "out", inputs, lines=LineSettings())
    assert [row["lines_removed"] for row in ledger(tmp_path / "out")] == [0] * 4


def test_passages_that_differ_in_a_digit_or_a_sign_stay(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rows = [f"{a},{b}" for a, b in rng.integers(100, 999, (60, 2))]
    tables = [" ".join(f"{row}{sign}" if i % 9 == 0 else row for i, row in enumerate(rows)) for sign in ("", "0", "-")]
    inputs = write_source(tmp_path / "source", [tables])
    run(tmp_path / "out", inputs, minhash=None, substring=SubstringSettings(min_tokens=9))
    assert [row["passage_tokens_removed"] for row in ledger(tmp_path / "out")] == [0, 0, 0]


def test_exact_duplicates_differ_in_white_space_alone(tmp_path: Path) -> None:
    same = ["Total: 1 234", "Total:\u202f1\u00a0234", "\u3000Total:\n1\t234\r\n"]
    other = ["Total: 1 235", "total: 1 234", "Total: 1,234", "Tótal: 1 234", "Total : 1 234", "Total: 1234"]
    assert len(texts_that_stay(tmp_path, [*same, *other], minhash=None)) == 1 + len(other)
    assert len(texts_that_stay(tmp_path, [*same, *other], minhash=None, exact_normalisation="none")) == 3 + len(other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"normalisation": "fineweb"}, "normalisation words there, fineweb here"),
        ({"normalisation": "whitespace"}, "normalisation words there, whitespace here"),
        ({"min_units": 1}, "min_units 40 there, 1 here"),
    ],
)
def test_an_index_of_another_folding_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    inputs = write_source(tmp_path / "source", [[" ".join(WORDS[:60])]])
    run(tmp_path / "old", inputs, write_index=True)
    with pytest.raises(SchemaError, match=message):
        run(tmp_path / "new", inputs, index=str(tmp_path / "old"), minhash=MinHashSettings(**change))


def test_an_index_of_an_older_version_is_refused(tmp_path: Path) -> None:
    """It says nothing of normalisation, and folded digits."""
    inputs = write_source(tmp_path / "source", [["one"]])
    run(tmp_path / "old", inputs, write_index=True)
    file = tmp_path / "old/index.json"
    index = json.loads(file.read_text())
    file.write_text(json.dumps({name: value for name, value in index.items() if name != "version"}))
    with pytest.raises(SchemaError, match="not a dedup index of this version"):
        run(tmp_path / "new", inputs, index=str(tmp_path / "old"))
    del index["checksum"]
    file.write_bytes(seal(index | {"version": 2}))
    with pytest.raises(SchemaError, match="a dedup index of version 2"):
        run(tmp_path / "new", inputs, index=str(tmp_path / "old"))


def test_pages_beside_an_index_differ_in_their_numbers(tmp_path: Path) -> None:
    """The old texts are not read: signatures alone must tell a table from another."""
    tables = [table for seed, language in enumerate(DIGITS) for table in number_texts(language, seed, 4)["grid"]]
    run(tmp_path / "old", write_source(tmp_path / "first", [tables[::2]]), write_index=True)
    new = write_source(tmp_path / "second", [tables[1::2] + tables[:2]])
    run(tmp_path / "out", new, index=str(tmp_path / "old"))
    rows = ledger(tmp_path / "out")
    assert [row["kept"] for row in rows] == [True] * 20 + [False, False]  # of the last two one is old, one a copy


def test_another_folding_signs_again(tmp_path: Path) -> None:
    """Fingerprints hold the setting: no signature and no line count of the first run is taken for the second's."""
    inputs = write_source(tmp_path / "source", [[" ".join(WORDS[:60])]], [["a.com"]])
    first = run(tmp_path / "out", inputs, lines=LineSettings())
    before = {phase: next(read_commits(first.phase_folder(phase))).fingerprint for phase in ("signatures", "lines")}
    changed = run(tmp_path / "out", inputs, minhash=FINEWEB, lines=LineSettings(normalisation="words"))
    after = {phase: next(read_commits(changed.phase_folder(phase))).fingerprint for phase in ("signatures", "lines")}
    assert all(before[phase] != after[phase] for phase in before)


def test_explain_says_what_does_not_count() -> None:
    text = explain_settings()
    assert "normalisation: words: white space, punctuation, case and diacritics do not count; every digit does" in text
    assert "fewer than 40 words" in text
    assert "exact_normalisation: whitespace" in text
    text = explain_settings(["minhash.normalisation=fineweb", "lines.normalisation=words", "exact_normalisation=none"])
    assert "normalisation: fineweb: white space, punctuation, case, diacritics and digits" in text
    assert "lines.normalisation: words" in text
    assert "exact_normalisation: none: byte for byte" in text
    assert "fewer than 192 characters" in explain_settings(["minhash.preset=nemo"])
    with pytest.raises(RecipeError):
        explain_settings(["minhash.normalisation=datatrove"])
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"lines": {"normalisation": "digits"}}, DedupSettings)


def test_planted_copies_with_numbers_fall_in_every_normalisation(tmp_path: Path) -> None:
    """The corpus of the stage's tests has no numbers: all three find the same."""
    shards, _ = corpus(1, count=200)
    inputs = write_source(tmp_path / "source", shards)
    found = []
    for normalisation in ("fineweb", "words", "whitespace"):
        settings = msgspec.convert({"normalisation": normalisation}, MinHashSettings)
        run(tmp_path / normalisation, inputs, minhash=settings)
        found.append([(row["kept"], row["jaccard"]) for row in ledger(tmp_path / normalisation)])
    assert found[0] == found[1] == found[2]
    assert sum(not kept for kept, _ in found[0]) > 40
