"""N-gram models: equal to lmplz number by number, proper distributions, KenLM's scores, CCNet's text and buckets."""

from __future__ import annotations

import itertools
import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from autoclave.cleaning.filters.base import Measurement
from autoclave.cleaning.language.words import scans
from autoclave.cleaning.ngram_model.arpa import ArpaModel, read_arpa, write_arpa
from autoclave.cleaning.ngram_model.buckets import bucket_numbers, fit_cutoffs, load_cutoffs, save_cutoffs
from autoclave.cleaning.ngram_model.counting import Vocabulary, count_ngrams
from autoclave.cleaning.ngram_model.estimation import FALLBACK_DISCOUNTS, estimate
from autoclave.cleaning.ngram_model.normalisation import normalise
from autoclave.cleaning.ngram_model.perplexity_filter import FILTERS, build
from autoclave.cleaning.ngram_model.scoring import KenlmScorer, LanguageModel, OwnScorer, load_scorer
from autoclave.cleaning.ngram_model.units import load_cut
from autoclave.cleaning.signals import run_filters
from autoclave.errors import InputError, RecipeError
from autoclave.pipelines.fitting.ngram_model import NgramTrainingSettings, fit_cutoff_file, train_ngram_model

GOLDEN = Path(__file__).parent / "golden_lm"
Table = Mapping[tuple[bytes, ...], tuple[float, float]]


def golden_lines() -> list[str]:
    return zstandard.decompress((GOLDEN / "pep8.txt.zst").read_bytes(), 1 << 24).decode().splitlines()


@pytest.fixture(scope="module")
def golden() -> ArpaModel:
    return read_arpa(str(GOLDEN / "pep8.arpa.zst"))


@pytest.fixture(scope="module")
def ours() -> ArpaModel:
    return estimate(golden_lines(), 3)


def table(model: ArpaModel) -> Table:
    return {
        tuple(model.words[word] for word in gram): (value, backoff)
        for k in range(model.order)
        for gram, value, backoff in zip(
            model.ngrams[k].tolist(), model.probabilities[k].tolist(), model.backoffs[k].tolist(), strict=True
        )
    }


def plain_log10(entries: Table, context: tuple[bytes, ...], word: bytes) -> float:
    """The definition of a back-off model, word by word."""
    if (*context, word) in entries:
        return entries[*context, word][0]
    if not context:
        return entries[b"<unk>",][0]
    return entries.get(context, (0.0, 0.0))[1] + plain_log10(entries, context[1:], word)


def plain_score(entries: Table, order: int, sentence: str) -> float:
    known = {gram[0] for gram in entries if len(gram) == 1}
    words = [word if word in known else b"<unk>" for word in sentence.encode().split()]
    history: tuple[bytes, ...] = (b"<s>",)
    total = 0.0
    for word in [*words, b"</s>"]:
        total += plain_log10(entries, history[-(order - 1) :] if order > 1 else (), word)
        history = (*history, word)
    return total


def test_every_probability_is_that_of_lmplz(golden: ArpaModel, ours: ArpaModel) -> None:
    theirs, mine = table(golden), table(ours)
    assert len(theirs) == 7812
    assert theirs.keys() == mine.keys()
    worst = max(abs(theirs[gram][i] - mine[gram][i]) for gram in theirs for i in (0, 1))
    assert worst < 1e-5


def test_probabilities_sum_to_one_after_any_context(ours: ArpaModel) -> None:
    entries = table(ours)
    contexts = [gram for gram in itertools.islice(entries, 0, None, 397) if len(gram) < 3 and gram[-1] != b"</s>"]
    contexts += [(), (b"<s>",), (b"never", b"seen")]
    assert len(contexts) > 12
    for context in contexts:
        total = sum(10 ** plain_log10(entries, context, word) for word in ours.words if word != b"<s>")
        assert total == pytest.approx(1.0, abs=2e-5), context


def test_our_scorer_follows_the_definition(ours: ArpaModel) -> None:
    entries = table(ours)
    texts = [" ".join(golden_lines()[i : i + 7]) for i in range(0, 120, 9)]
    texts.append("the </s> of a page about <s> and </s>")  # marks of the model as words of the text end nothing
    texts += ["", "   ", "zzz unseenword the", "the the the the", "programming is \tfun\nnow"]
    scores = OwnScorer(ours).score(pa.array(texts))
    for row, text in enumerate(texts):
        assert scores.log10[row] == pytest.approx(plain_score(entries, 3, text), abs=1e-3)
        assert scores.events[row] == len(text.split()) + 1
    assert scores.unknown.tolist()[-5:-2] == [0, 0, 2]


def test_scores_are_those_of_kenlm(tmp_path: Path, ours: ArpaModel) -> None:
    kenlm = pytest.importorskip("kenlm", reason="the optional package kenlm-ex is not installed")
    path = str(tmp_path / "pep8.arpa")
    write_arpa(ours, path)
    texts = [" ".join(golden_lines()[i : i + 20]) for i in range(0, 600, 20)] + ["", "unseenword"]
    mine, theirs = load_scorer(path, "own").score(pa.array(texts)), KenlmScorer(path).score(pa.array(texts))
    np.testing.assert_allclose(mine.log10, theirs.log10, atol=1e-3)
    assert mine.events.tolist() == theirs.events.tolist()
    assert mine.unknown.tolist() == theirs.unknown.tolist()
    model = kenlm.Model(path)
    np.testing.assert_allclose(mine.perplexity, [model.perplexity(text) for text in texts], rtol=1e-4)


def brute_adjusted(sentences: list[list[str]], order: int, size: int) -> dict[tuple[str, ...], int]:
    """Adjusted counts by their definition, with sets."""
    before: dict[tuple[str, ...], set[str]] = {}
    raw: dict[tuple[str, ...], int] = {}
    for words in sentences:
        line = ["<s>", *words, "</s>"]
        for i in range(len(line) - size + 1):
            gram = tuple(line[i : i + size])
            if gram == ("<s>",):
                continue
            raw[gram] = raw.get(gram, 0) + 1
            before.setdefault(gram, set()).add(line[i - 1] if i else "")
    return {gram: raw[gram] if size == order or gram[0] == "<s>" else len(before[gram]) for gram in raw}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.lists(st.sampled_from("abcde"), max_size=7), min_size=1, max_size=12), st.integers(1, 4))
def test_adjusted_counts_by_brute_force(sentences: list[list[str]], order: int) -> None:
    from autoclave.cleaning.ngram_model.estimation import adjusted_counts

    if not any(sentences):
        return
    vocabulary = Vocabulary()
    rows, counts = count_ngrams([" ".join(words) for words in sentences], order, vocabulary)
    words = [word.decode() for word in vocabulary.ids]
    levels = adjusted_counts(rows, counts, len(words))
    for size, level in enumerate(levels, 1):
        found = {tuple(words[i] for i in g): c for g, c in zip(level.ngrams.tolist(), level.adjusted, strict=True)}
        expected = brute_adjusted(sentences, order, size)
        if size == 1:
            expected |= {("<unk>",): 0, ("<s>",): 0}
        assert found == expected
        if size > 1:
            below = levels[size - 2].ngrams
            assert [below[i].tolist() for i in level.suffix] == level.ngrams[:, 1:].tolist()


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.lists(st.lists(st.sampled_from("abc"), max_size=6), min_size=1, max_size=8), st.integers(1, 4))
def test_any_text_gives_a_distribution(sentences: list[list[str]], order: int) -> None:
    if not any(sentences):
        return
    model = estimate([" ".join(words) for words in sentences], order, discount_fallback=FALLBACK_DISCOUNTS)
    entries = table(model)
    contexts = {gram for gram in entries if len(gram) < order and gram[-1] not in (b"</s>", b"<unk>")} | {()}
    for context in contexts:
        total = sum(10 ** plain_log10(entries, context, word) for word in model.words if word != b"<s>")
        assert total == pytest.approx(1.0, abs=1e-5)


def test_chunks_do_not_change_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = golden_lines()
    whole = count_ngrams(lines, 4, Vocabulary())
    monkeypatch.setattr("autoclave.cleaning.ngram_model.counting.CHUNK", 500)
    pieces = count_ngrams(lines, 4, Vocabulary())
    assert np.array_equal(whole[0], pieces[0])
    assert np.array_equal(whole[1], pieces[1])
    with pytest.raises(InputError, match="lmplz"):
        count_ngrams(lines, 4, Vocabulary(), max_ngrams=1000)


def test_arpa_survives_a_round_trip(tmp_path: Path, ours: ArpaModel) -> None:
    path = str(tmp_path / "model.arpa")
    write_arpa(ours, path)
    again = read_arpa(path)
    assert table(again) == table(ours)
    first = (tmp_path / "model.arpa").read_bytes()
    write_arpa(estimate(golden_lines(), 3), path)
    assert (tmp_path / "model.arpa").read_bytes() == first


def test_damaged_models_are_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.arpa"
    path.write_text("\\data\\\nngram 1=2\n\n\\1-grams:\n-1\tonly\n")
    with pytest.raises(InputError, match=r"broken\.arpa: not an ARPA"):
        read_arpa(str(path))
    with pytest.raises(InputError, match="too little text"):
        estimate(["one two three"], 3)
    with pytest.raises(InputError, match="no words"):
        estimate(["", "  "], 2)


def test_normaliser_is_ccnets() -> None:
    """Expected values are those of cc_net's own tests, and its gluing of lines."""
    marks = "，。、„”“«»」「《》´∶：？！（）；–—．～’…━〈〉【】％"
    assert normalise(marks, "ccnet-exact") == ",.," + '"' * 9 + "'::?!();- - . ~'...-<>[]%"
    assert normalise("０２３４５６７８９ | 0123456789", "ccnet-exact") == "000000000 | 0000000000"
    assert normalise("Été\nÀ la plage\x07!", "ccnet-exact") == "etea la plage!"
    assert normalise("Été\nÀ la  plage\x07!", "ccnet") == "ete a la plage!"
    assert normalise(" As It\n is ", "none") == "As It is"


def test_units() -> None:
    assert load_cut(None)(["two words 我们在 x", "カナ"]) == ["two words 我 们 在 x", "カ ナ"]


def test_buckets(tmp_path: Path) -> None:
    sample = {"en": np.arange(1.0, 1001.0), "zh": [10.0, math.nan] * 200}
    cutoffs = fit_cutoffs(sample)
    assert cutoffs["en"] == pytest.approx((300.7, 600.4))
    save_cutoffs(cutoffs, str(tmp_path / "cutoffs.json"))
    assert load_cutoffs(str(tmp_path / "cutoffs.json")) == cutoffs
    numbers = bucket_numbers(np.array([1.0, 300.7, 600.39, 600.4, 5.0, math.nan]), ["en"] * 4 + [None, "en"], cutoffs)
    assert numbers.tolist() == [0, 1, 1, 2, -1, -1]
    shares = np.bincount(bucket_numbers(sample["en"], ["en"] * 1000, cutoffs)) / 1000
    assert shares.tolist() == pytest.approx([0.3, 0.3, 0.4])
    with pytest.raises(InputError, match="language fr: 3 documents"):
        fit_cutoffs({"fr": [1.0, 2.0, 3.0]})


def test_filter_gives_signals_and_drops_the_tail(tmp_path: Path, ours: ArpaModel) -> None:
    path = str(tmp_path / "en.arpa")
    write_arpa(ours, path)
    good = "pep : 8 title : style guide for python code author : guido van rossum\nwhen in doubt , use judgment ."
    texts = [good, "qwx zrt klm bnv plk", good, ""]
    languages = ["en", "en", "de", "en"]
    rules = {"models": {"en": path}, "scorer": "own", "cutoffs": {"en": [200.0, 300.0]}}
    chosen = build("datatrove", rules, (), "clean.filters.perplexity")
    chosen = chosen.with_bounds({"perplexity_bucket": [None, 1]}, "here")
    _, signals = run_filters(pa.array(texts), [chosen], languages)
    perplexity = signals["perplexity"].to_numpy(zero_copy_only=False)
    model = LanguageModel(path, backend="own")
    assert perplexity[:2] == pytest.approx(model.score(texts[:2]).perplexity, rel=1e-5)
    assert np.isnan(perplexity[2:]).all()
    assert signals["perplexity_bucket"].to_pylist() == [0, 2, -1, -1]
    assert chosen.decide(signals, languages).tolist() == [None, "perplexity_bucket > 1", None, None]
    bits = signals["ngram_bits_per_byte"].to_numpy(zero_copy_only=False)
    assert bits[0] == pytest.approx(-model.score(texts[:1]).log10[0] * math.log2(10) / len(good.encode()), rel=1e-5)


def test_filter_without_a_model_says_so() -> None:
    with pytest.raises(RecipeError, match="name a model per language"):
        build("datatrove", {}, (), "clean.filters.perplexity")
    scan = next(scans(pa.array(["text"])))
    measure = FILTERS["datatrove"].measure
    assert measure is not None
    with pytest.raises(RecipeError, match="models"):
        measure(scan, Measurement(["en"]))


def documents_file(path: Path, lines: list[str], language: str) -> str:
    path.write_text("".join(json.dumps({"text": line, "language": language}) + "\n" for line in lines), "utf-8")
    return str(path)


def test_training_from_files_and_fitting_buckets(tmp_path: Path) -> None:
    texts = [" ".join(golden_lines()[i : i + 3]) for i in range(0, 600, 3)]
    english = documents_file(tmp_path / "en.jsonl", texts, "en")
    german = documents_file(tmp_path / "de.jsonl", ["der hund und die katze"] * 5, "de")
    own = NgramTrainingSettings(order=3, lmplz=None)
    out = str(tmp_path / "en.arpa")
    assert train_ngram_model([english, german], out, own, language="en") == "own"
    assert table(read_arpa(out)) == table(estimate([normalise(text) for text in texts], 3))
    cutoffs = fit_cutoff_file({"en": out}, [english, german], str(tmp_path / "cutoffs.json"), scorer="own")
    perplexity = LanguageModel(out, backend="own").score(texts).perplexity
    assert cutoffs["en"] == pytest.approx(np.percentile(perplexity, [30, 60]))
    assert load_cutoffs(str(tmp_path / "cutoffs.json")) == cutoffs
    with pytest.raises(InputError, match="no words"):
        train_ngram_model([english], out, own, language="zh")
    with pytest.raises(RecipeError, match="no program"):
        train_ngram_model([english], out, NgramTrainingSettings(lmplz="/no/lmplz"))
    with pytest.raises(RecipeError, match="prune"):
        train_ngram_model([english], out, NgramTrainingSettings(lmplz=None, prune=[0, 0, 1]))


def test_lmplz_is_used_where_it_is_found(tmp_path: Path) -> None:
    if shutil.which("lmplz") is None:
        pytest.skip("KenLM's lmplz is not on PATH")
    english = documents_file(tmp_path / "en.jsonl", golden_lines(), "en")
    out, again = str(tmp_path / "theirs.arpa"), str(tmp_path / "ours.arpa")
    assert train_ngram_model([english], out, NgramTrainingSettings(order=3, memory="50M")) == "lmplz"
    train_ngram_model([english], again, NgramTrainingSettings(order=3, lmplz=None))
    theirs, ours = table(read_arpa(out)), table(read_arpa(again))
    assert theirs.keys() == ours.keys()
    assert max(abs(theirs[gram][i] - ours[gram][i]) for gram in theirs for i in (0, 1)) < 1e-5


def test_a_tokenizer_cuts_the_text(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(
        golden_lines(), trainers.BpeTrainer(vocab_size=300, show_progress=False, special_tokens=["<unk>"])
    )
    path = str(tmp_path / "tokenizer.json")
    tokenizer.save(path)
    line = "programs must be written for people"
    pieces = load_cut(path)([line])[0]
    assert len(pieces.split(" ")) > len(line.split())
    assert pieces.replace(" ", "").replace("▁", " ").strip() == line
    with pytest.raises(InputError, match="not a tokenizer"):
        load_cut(str(tmp_path / "absent.json"))
