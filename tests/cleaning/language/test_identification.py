"""Languages: accuracy on labelled sets, scripts, determinism, models of other makers."""

from __future__ import annotations

import io
import json
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fasttext
import numpy as np
import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from autoclave.cleaning.classifier.quality import run_fasttext
from autoclave.cleaning.language.identification import (
    BUNDLED_SHA256,
    SAMPLE_BYTES,
    LanguageIdentifier,
    bundled_model,
    identifier,
    sample,
)
from autoclave.cleaning.language.script import SCRIPTS, script_bytes
from autoclave.errors import InputError


def labelled(path: Path) -> Iterator[dict[str, Any]]:
    with open(path, "rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
        for line in io.TextIOWrapper(stream, "utf-8"):
            yield json.loads(line)


def accuracy(rows: list[tuple[str, str]], **options: Any) -> dict[str, float]:
    """Share of right answers per language of (language, text) rows."""
    names, _ = LanguageIdentifier(**options).predict(pa.array([text for _, text in rows]))
    right, count = Counter[str](), Counter[str]()
    for (language, _), name in zip(rows, names.to_pylist(), strict=True):
        count[language] += 1
        right[language] += name == language
    return {language: right[language] / count[language] for language in count}


def test_accuracy_on_sentences(shared_data: Path) -> None:
    """lingua's test sentences: 66 languages that the model knows; floors are what was measured, less a point."""
    known = {label.removeprefix("__label__") for label in fasttext.load_model(bundled_model()).get_labels()}
    rows = [
        (row["lang"], row["text"])
        for row in labelled(shared_data / "lid_lingua/lingua_testdata.jsonl.zst")
        if row["kind"] == "sentences" and row["lang"] in known
    ]
    by_language = accuracy(rows)
    print({name: round(value, 3) for name, value in sorted(by_language.items())})
    assert np.mean(list(by_language.values())) > 0.885
    floors = {"en": 0.985, "zh": 0.985, "ja": 0.99, "ko": 0.98, "fr": 0.97, "de": 0.98, "ru": 0.98, "ar": 0.98}
    assert {name: by_language[name] for name, floor in floors.items() if by_language[name] < floor} == {}


def test_the_script_check_helps_chinese_and_hurts_no_one(shared_data: Path) -> None:
    rows = [
        (row["lang"], row["text"])
        for row in labelled(shared_data / "lid_lingua/lingua_testdata.jsonl.zst")
        if row["kind"] == "sentences" and row["lang"] in ("zh", "ja", "ko", "ru", "en", "el", "hi")
    ]
    without, with_check = accuracy(rows, check_script=False), accuracy(rows)
    assert with_check["zh"] > without["zh"]
    assert all(with_check[name] >= without[name] - 1e-9 for name in without)


def test_long_documents(shared_data: Path) -> None:
    """Laws are Chinese, PEPs English, whatever the length; MDN pages German with code."""
    for name, language, floor in (
        ("zh_laws/laws", "zh", 1.0),
        ("tech_peps/peps", "en", 1.0),
        ("tech_mdn_de_mt/mdn_de", "de", 0.9),
    ):
        path = shared_data / f"{name}.jsonl.zst"
        if not path.exists():
            [path] = (shared_data / name.split("/")[0]).glob("*.jsonl.zst")
        texts = [row["text"] for row in labelled(path)][:300]
        names, scores = identifier().predict(pa.array(texts))
        assert Counter(names.to_pylist())[language] >= floor * len(texts), name
        assert np.median(scores.to_numpy()) > 0.6


def test_real_web_documents(shared_data: Path) -> None:
    """2,000 web pages as text in 15 languages, labelled by people (the set says jp for Japanese)."""
    rows = [row for path in sorted((shared_data / "web_registers").glob("*.jsonl.zst")) for row in labelled(path)]
    names = identifier().predict(pa.array([row["text"] for row in rows]))[0].to_pylist()
    right = sum({"jp": "ja"}.get(row["lang"], row["lang"]) == name for row, name in zip(rows, names, strict=True))
    assert right > 0.99 * len(rows)


def test_no_letters_no_language() -> None:
    texts = ["", " \n ", "12345 !?", "\u3002\uff0c", "\U0001f600\U0001f601", None, "ok then, this is English text"]
    names, scores = identifier().predict(pa.array(texts))
    assert names.to_pylist() == ["und", "und", "und", "und", "und", None, "en"]
    assert scores.to_pylist()[:6] == [0, 0, 0, 0, 0, None]


def test_a_label_must_fit_the_script() -> None:
    texts = [
        "\u6771\u4eac\u90fd\u306b\u884c\u304d\u307e\u3057\u305f",
        "\u6211\u5728\u5317\u4eac\u5de5\u4f5c",
        "\u041f\u0440\u0438\u0432\u0435\u0442",
    ]
    names, _ = identifier().predict(pa.array(texts))
    assert names.to_pylist() == ["ja", "zh", "ru"]


def test_the_same_in_any_batch(shared_data: Path) -> None:
    texts = [row["text"] for row in labelled(shared_data / "zh_techdocs/docs.jsonl.zst")][:60]
    names, scores = identifier().predict(pa.array(texts))
    for start in (0, 17, 59):
        part = pa.array(texts).slice(start, 7)
        again, again_scores = LanguageIdentifier().predict(part)
        assert again.to_pylist() == names.to_pylist()[start : start + 7]
        assert again_scores.to_pylist() == scores.to_pylist()[start : start + 7]
    assert identifier().predict(pa.array([], pa.string()))[0].to_pylist() == []


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.lists(st.text(max_size=60), max_size=5), st.integers(8, 64))
def test_samples_are_whole_characters_within_the_budget(texts: list[str], budget: int) -> None:
    texts = [text.encode("utf-8", "replace").decode() for text in texts]
    windows, owners = sample(pa.array(texts, pa.string()), budget)
    for row, text in enumerate(texts):
        pieces = [piece for piece, owner in zip(windows.to_pylist(), owners, strict=True) if owner == row]
        if len(text.encode()) <= budget:
            assert pieces == [text]
        else:
            assert sum(len(piece.encode()) for piece in pieces) <= budget + 4 * 3
            assert all(piece in text for piece in pieces)


def test_the_middle_of_a_long_document_counts() -> None:
    english, chinese = (
        "This is a menu of links and other English things. ",
        "\u8fd9\u662f\u4e00\u7bc7\u4e2d\u6587\u6587\u7ae0\u7684\u6b63\u6587\u3002",
    )
    names, _ = identifier().predict(pa.array([english * (SAMPLE_BYTES // 50) + chinese * 2000]))
    assert names.to_pylist() == ["zh"]


def test_models_of_other_makers(tmp_path: Path) -> None:
    """A tiny model with labels as GlotLID and OpenLID write them."""
    lines = ["__label__eng_Latn the cat and the dog are in the house"] * 50
    lines += ["__label__cmn_Hani \u732b \u548c \u72d7 \u5728 \u5bb6 \u91cc"] * 50
    (tmp_path / "train.txt").write_text("\n".join(lines) + "\n")
    run_fasttext(str(tmp_path / "train.txt"), str(tmp_path / "model.bin"), dim=8, epoch=20, minn=1, maxn=3)
    texts = pa.array(["the dog in the house", "\u732b \u5728 \u5bb6"])
    assert LanguageIdentifier(str(tmp_path / "model.bin")).predict(texts)[0].to_pylist() == ["en", "zh"]
    as_is = LanguageIdentifier(str(tmp_path / "model.bin"), labels="as-is").predict(texts)[0].to_pylist()
    assert as_is == ["eng_Latn", "cmn_Hani"]


def test_wrong_models(tmp_path: Path) -> None:
    (tmp_path / "no.bin").write_bytes(b"not a model")
    for path in (str(tmp_path / "no.bin"), str(tmp_path / "absent.bin")):
        with pytest.raises(InputError, match="not a fastText model"):
            LanguageIdentifier(path)
    with pytest.raises(ValueError, match="labels"):
        LanguageIdentifier(labels="iso")
    assert BUNDLED_SHA256.startswith("8f3472cfe873")


_SCRIPT_WORDS = {
    "Latn": "LATIN",
    "Grek": "GREEK",
    "Cyrl": "CYRILLIC",
    "Hang": "HANGUL",
    "Thai": "THAI",
    "Deva": "DEVANAGARI",
}


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.lists(st.text(max_size=40), max_size=4))
def test_script_bytes_against_unicode_names(texts: list[str]) -> None:
    """Letters of six scripts, told by their Unicode names, are counted, byte for byte."""
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]
    counts = script_bytes(pa.array(texts, pa.string()))
    for row, text in enumerate(texts):
        for script, word in _SCRIPT_WORDS.items():
            letters = [
                sign
                for sign in text
                if unicodedata.category(sign) in ("Ll", "Lu", "Lt", "Lo")
                and unicodedata.name(sign, "").startswith(word)
            ]
            expected = sum(
                len(sign.encode()) for sign in letters if ord(sign) < 0x1D00 or 0x1E00 <= ord(sign) <= 0x1FFF
            )
            assert counts[row, SCRIPTS.index(script)] >= expected
    assert counts.sum() <= sum(len(text.encode()) for text in texts)


@pytest.mark.parametrize(
    "change",
    [
        str.upper,
        lambda text: text.replace(" ", "\xa0"),
        lambda text: text.replace(" ", "\u3000"),
        lambda text: text.replace(" ", "\u2028"),
        lambda text: "".join(chr(ord(c) + 0xFEE0) if c.isascii() and c.isalpha() else c for c in text),
        lambda text: text.replace("e", "e\u200b"),
        lambda text: text.replace("fi", "\ufb01"),
        lambda text: unicodedata.normalize("NFD", text),
    ],
    ids=["capitals", "NBSP", "ideographic blank", "line separator", "full width", "zero width", "ligature", "NFD"],
)
@pytest.mark.parametrize("code", ["en", "fr", "ru", "ko", "vi"])
def test_form_is_no_language(code: str, change: Callable[[str], str], shared_data: Path) -> None:
    """Sentences of Lingua, five to a text: another form of the same letters is in the same language as often."""
    rows = [r["text"] for r in labelled(shared_data / "lid_lingua/lingua_testdata.jsonl.zst") if r["lang"] == code]
    texts = [" ".join(rows[at : at + 5]) for at in range(0, 250, 5)]
    plain, _ = identifier().predict(pa.array(texts))
    changed, _ = identifier().predict(pa.array([change(text) for text in texts]))
    assert sum(a != b for a, b in zip(plain.to_pylist(), changed.to_pylist(), strict=True)) <= 1
