"""Every signal of every dialect, measured by the kernels, against the plain Python of `oracle.py`."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoclave.cleaning.filters import c4, fineweb, gopher_quality, gopher_repetition
from autoclave.cleaning.filters.base import Filter, Measurement
from autoclave.cleaning.language.words import Scan, scans
from autoclave.kernels.text.characters import DATATROVE_PUNCTUATION, TERMINAL, character_tables

_spec = importlib.util.spec_from_file_location("cleaning_oracle", Path(__file__).with_name("oracle.py"))
assert _spec is not None
assert _spec.loader is not None
oracle = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(oracle)

CLASSES = character_tables()[0]
PUNCTUATION = {chr(point) for point in np.flatnonzero(CLASSES & DATATROVE_PUNCTUATION)}
TERMINALS = {chr(point) for point in np.flatnonzero(CLASSES & TERMINAL)}

# Text that repeats itself, breaks lines in every way, and holds every plane of Unicode.
PIECES = [
    "the", "be", "The", "of", "a", "bc", "ab", "c", "word", "…", "...", "....", ". . .", "#", "##", "#a#", "•",
    "●", "-", "*", "- item", "‣ x", "read more", "Read More..", "[...]", "(...)", "[…]", "-»", "\n", "\n\n",
    "\n\n\n", "\r\n", "\r", "\x0b", "\x1c", "\x85", "\u2028", " ", "  ", "\t", "\u3000", "\u00a0", "\x00", "。",
    "！", "?", "!", ".", "'", '"', ",", "[12]", "[edit]", "[citation needed]", "[]", "[٣]", "{", "javascript",
    "JavaScript", "lorem ipsum", "Lorem IPSUM", "terms of use", "Use cookies", "privacy policy", "uses cookies",
    "x" * 1001, "数据", "清洗", "ひらがな", "カナ", "ภาษา", "한국어", "é", "e\u0301", "𝔘", "🙂", "\U0010ffff", "ß", "İ",
    "K",
    "don't", "Mr.", "e.g.", "3.14", "10km",
]  # fmt: skip
TEXT = st.lists(st.one_of(st.sampled_from(PIECES), st.sampled_from(PIECES), st.text(max_size=4)), max_size=60).map(
    "".join
)
REPEATED = st.tuples(TEXT, st.integers(1, 4), TEXT).map(lambda parts: parts[0] * parts[1] + parts[2])
EXAMPLES = settings(max_examples=150, deadline=None, derandomize=True)


def scan_of(text: str) -> Scan:
    return next(scans(pa.array([text])))


def words_of(scan: Scan, kind: str) -> list[str]:
    words, data = scan.words(kind), scan.data.tobytes()
    return [data[a:b].decode() for a, b in zip(words.start.tolist(), words.end.tolist(), strict=True)]


def compare(measured: dict[str, np.ndarray], expected: dict[str, float], text: str) -> None:
    assert measured.keys() == expected.keys()
    for name, value in expected.items():
        assert measured[name][0] == np.float32(value), (name, text)


def measure(module: object, dialect: str, scan: Scan) -> dict[str, np.ndarray]:
    return module.FILTERS[dialect].measure(scan, Measurement(["en"]))  # type: ignore[attr-defined]


QUALITY: dict[str, Callable[[str, Scan], dict[str, float]]] = {
    "paper": lambda text, scan: oracle.quality_paper(text, words_of(scan, "script")),
    "datatrove": lambda text, scan: oracle.quality_datatrove(text, words_of(scan, "tokens"), PUNCTUATION),
    "dclm": lambda text, scan: oracle.quality_dclm(text),
    "dolma": lambda text, scan: oracle.quality_dolma(text),
    "curator": lambda text, scan: oracle.quality_curator(text),
}
REPETITION: dict[str, Callable[[str, Scan], dict[str, float]]] = {
    "paper": lambda text, scan: oracle.repetition_union(text, words_of(scan, "script")),
    "datatrove": lambda text, scan: oracle.repetition_datatrove(text, words_of(scan, "tokens")),
    "dclm": lambda text, scan: oracle.repetition_union(text, words_of(scan, "unicode"), empty=1.0),
    "dolma": lambda text, scan: oracle.repetition_dolma(text),
    "curator": lambda text, scan: oracle.repetition_curator(text),
}


@pytest.mark.parametrize("dialect", QUALITY)
@EXAMPLES
@given(text=REPEATED)
def test_gopher_quality_equals_the_oracle(dialect: str, text: str) -> None:
    scan = scan_of(text)
    compare(measure(gopher_quality, dialect, scan), QUALITY[dialect](text, scan), text)


@pytest.mark.parametrize("dialect", REPETITION)
@EXAMPLES
@given(text=REPEATED)
def test_gopher_repetition_equals_the_oracle(dialect: str, text: str) -> None:
    scan = scan_of(text)
    compare(measure(gopher_repetition, dialect, scan), REPETITION[dialect](text, scan), text)


@EXAMPLES
@given(words=st.lists(st.sampled_from(["1", "11", "111", "a", "bb"]), max_size=120))
def test_glued_ngrams_repeat_as_in_datatrove(words: list[str]) -> None:
    """'1 11' and '11 1' are the same to datatrove; numeric tables have such n-grams."""
    text = " ".join(words)
    scan = scan_of(text)
    compare(measure(gopher_repetition, "datatrove", scan), oracle.repetition_datatrove(text, words), text)


@EXAMPLES
@given(text=REPEATED)
def test_fineweb_equals_the_oracle(text: str) -> None:
    scan = scan_of(text)
    compare(measure(fineweb, "datatrove", scan), oracle.fineweb(text, words_of(scan, "tokens"), TERMINALS), text)


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("dialect", ["datatrove", "paper"])
@EXAMPLES
@given(text=REPEATED)
def test_c4_edits_as_the_oracle(dialect: str, terminal: bool, text: str) -> None:
    chosen = c4.build(dialect, {"terminal_punctuation": terminal}, (), "test")
    assert chosen.edit is not None
    scan = scan_of(text)
    scan.words("tokens")
    edited = chosen.edit(scan, Measurement(["en"]))
    of_paper = {"single_quote": False, "policies": False, "min_words": 5} if dialect == "paper" else {}
    expected, counts = oracle.c4_lines(text, terminal, **of_paper)
    assert edited.scan.data.tobytes().decode() == expected
    assert {name: int(column[0]) for name, column in edited.signals.items()} == counts
    assert words_of(edited.scan, "tokens") == words_of(scan_of(expected), "tokens")


@pytest.mark.parametrize(("terminal", "min_words"), [(True, 3), (False, 3), (True, 0)])
@EXAMPLES
@given(text=REPEATED)
def test_c4_of_dolma_edits_as_the_oracle(terminal: bool, min_words: int, text: str) -> None:
    rules: dict[str, object] = {"terminal_punctuation": terminal, "min_words_per_line": min_words}
    edited = edit(c4.build("dolma", rules, (), "test"), text)
    assert edited == oracle.c4_dolma(text, terminal, min_words)


@EXAMPLES
@given(paragraphs=st.lists(st.one_of(REPEATED, st.sampled_from(["Privacy Overview", "use cookies. \n", "A line."]))))
def test_c4_of_curator_edits_as_the_oracle(paragraphs: list[str]) -> None:
    text = "\n\n".join(paragraphs)
    expected, signals = oracle.c4_curator(text)
    as_stored = {name: np.float32(value) for name, value in signals.items()}
    assert edit(c4.FILTERS["curator"], text) == (expected, as_stored)
    left = edit(c4.build("curator", {"cut_boilerplate": False}, (), "test"), text)
    assert left == (text, as_stored | {"c4_paragraphs_removed": 0})


def edit(chosen: Filter, text: str) -> tuple[str, dict[str, float]]:
    assert chosen.edit is not None
    edited = chosen.edit(scan_of(text), Measurement(["en"]))
    return edited.scan.data.tobytes().decode(), {name: column[0] for name, column in edited.signals.items()}


@EXAMPLES
@given(texts=st.lists(REPEATED, min_size=1, max_size=6), languages=st.lists(st.sampled_from(["en", "de"]), min_size=6))
@pytest.mark.parametrize("dialect", ["dolma", "curator"])
def test_c4_edits_each_document_on_its_own(dialect: str, texts: list[str], languages: list[str]) -> None:
    """Documents are edited as if alone, those in another language not at all."""
    chosen, codes = c4.FILTERS[dialect], languages[: len(texts)]
    assert chosen.edit is not None
    edited = chosen.edit(next(scans(pa.array(texts))), Measurement(codes, chosen.languages)).scan
    together = [edited.data[a:b].tobytes().decode() for a, b in itertools.pairwise(edited.offsets.tolist())]
    expected = [edit(chosen, x)[0] if code == "en" else x for x, code in zip(texts, codes, strict=True)]
    assert together == expected


@EXAMPLES
@given(texts=st.lists(REPEATED, min_size=1, max_size=6))
def test_documents_do_not_touch_one_another(texts: list[str]) -> None:
    """A document has the same signals alone and among others, at any place of a sliced array."""
    together = pa.array(["padding", *texts, "padding"]).slice(1, len(texts))
    joined = next(scans(together))
    for module, dialect in (
        (gopher_quality, "datatrove"),
        (gopher_repetition, "dclm"),
        (gopher_repetition, "datatrove"),
    ):
        chosen = module.FILTERS[dialect]
        assert chosen.measure is not None
        all_at_once = chosen.measure(joined, Measurement(["en"] * len(texts)))
        for row, text in enumerate(texts):
            alone = chosen.measure(scan_of(text), Measurement(["en"]))
            assert {k: v[row] for k, v in all_at_once.items()} == {k: v[0] for k, v in alone.items()}


@pytest.mark.slow
def test_a_line_of_ten_megabytes() -> None:
    """One line of 10 MB, without and with white space: measured, equal to the oracle, in bounded time."""
    for text in ("x" * 10_000_000, "-" * 10_000_000, "数" * 3_400_000, "the cat of " * 950_000):
        scan = scan_of(text)
        for module, dialects in ((gopher_quality, QUALITY), (gopher_repetition, REPETITION)):
            for dialect in dialects:
                measure(module, dialect, scan)
        compare(measure(gopher_quality, "dolma", scan), oracle.quality_dolma(text), text[:20])
