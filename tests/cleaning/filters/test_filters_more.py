"""Nemotron's heuristics, RefinedWeb's line rules and the text statistics against plain Python."""

from __future__ import annotations

import math
import re
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoclave.cleaning.filters import nemotron, refinedweb
from autoclave.cleaning.filters.base import Measurement
from autoclave.cleaning.language.words import scans
from autoclave.cleaning.signals import measure, run_filters

PIECES = [
    "Hello there", "WORLD", "12345", "3,402 likes", "17K views!", "Sign-in", "sign-in here", "items in cart",
    "5 Items In Cart", "Read more...", "read moreXYZ", "\n", "\n\n", "  ", "\t", "a",
    "the quick brown fox jumps over a very lazy dog today", "terms of use", "Privacy Overview", "lorem ipsum",
    "http://x.org/a?b=%20c", "https://", "(x)", "[y]", "{z}", "⟨q⟩", "?", "'", '"', ".", "数据清洗", "é", "٣",
    "\u3000", "1", "x" * 1001,
]  # fmt: skip
TEXT = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)), max_size=30).map("".join)
EXAMPLES = settings(max_examples=150, deadline=None, derandomize=True)
URL = re.compile(r"https?://(?:[A-Za-z0-9$\-_@.&+/:=?#~]|[!*\(\),]|(?:%[0-9A-Fa-f]{2}))+")


def lowered(text: str) -> str:
    return "".join(chr(ord(c) | 0x20) if "A" <= c <= "Z" else c for c in text)


def share(part: float, whole: float, empty: float = 0.0) -> np.float32:
    return np.float32(part / whole if whole else empty)


@EXAMPLES
@given(text=TEXT)
def test_nemotron_equals_plain_python(text: str) -> None:
    signals = {name: column[0].as_py() for name, column in measure(pa.array([text]), ["nemotron"]).items()}
    size, lines, paragraphs = len(text), [x for x in text.split("\n") if x.strip()], text.split("\n\n")
    phrases = [phrase.decode() for phrase in nemotron.BOILERPLATE]
    boilerplate = sum(any(phrase in lowered(x) for phrase in phrases) for x in paragraphs)
    lorem = any("lorem ipsum" in lowered(x) for x in paragraphs)
    assert signals == {
        "non_alphanumeric_ratio": share(size - len(re.findall("[a-zA-Z0-9\n?!,.]", text)), size, 1.0),
        "numbers_ratio": share(len(re.findall("[0-9]", text)), size, 1.0),
        "url_ratio": share(sum(map(len, URL.findall(text))), size, 1.0),
        "white_space_ratio": share(sum(text.count(x) for x in "\t\n\r\b "), size, 1.0),
        "bracket_ratio": share(len(re.findall(r"[{}⟨⟩\[\]()]", text)), size, 1.0),
        "boilerplate_paragraph_ratio": np.float32(1) if lorem else share(boilerplate, len(paragraphs)),
        "unpunctuated_line_ratio": share(
            sum(not x.strip().endswith((".", "?", "!", '"', "'")) for x in lines), len(lines)
        ),
        "longest_word": max(map(len, text.split()), default=0),
    }


def refinedweb_lines(text: str) -> str:
    """The rules one after another over the whole text, as DCLM applies them."""
    lines = text.strip().split("\n")
    lines = [x for x in lines if not x or sum(c.isupper() for c in x) / len(x) <= 0.5]
    lines = [x for x in lines if not x or sum(c.isdigit() for c in x) / len(x) <= 0.999999]
    lines = [x for x in lines if not refinedweb.COUNTER.search(x.lower())]
    lines = [x for x in lines if not x or len(x.split()) >= 2]
    for pattern in (r"\s?items in cart", r"\s?read more...$", r"^sign-in\s?"):
        kept = []
        for line in lines:
            if len(line.split()) <= 10:
                shorter = re.sub(pattern, "", line, flags=re.I)
                if line and (not shorter or shorter.isspace()):
                    continue
                kept.append(shorter)
            else:
                kept.append(line)
        lines = kept
    return "\n".join(lines).strip()


@EXAMPLES
@given(text=TEXT)
def test_refinedweb_equals_plain_python(text: str) -> None:
    edit = refinedweb.FILTERS["dclm"].edit
    assert edit is not None
    edited = edit(next(scans(pa.array([text]))), Measurement(["en"]))
    assert edited.scan.data.tobytes().decode() == refinedweb_lines(text)


def test_refinedweb_says_nothing_of_other_languages() -> None:
    """Signals of a language that the rules do not apply to are null, so that no bound can drop the text."""
    text = pa.array(["KURZ\nEine Zeile auf Deutsch.", "SHORT\nA line of English text."])
    edited, signals = run_filters(text, [refinedweb.FILTERS["dclm"]], ["de", "en"])
    assert edited.to_pylist() == [text[0].as_py(), "A line of English text."]
    assert signals["refinedweb_removed_word_ratio"].is_null().to_pylist() == [True, False]


@EXAMPLES
@given(text=TEXT)
def test_entropy_and_scripts_equal_plain_python(text: str) -> None:
    signals = {name: column[0].as_py() for name, column in measure(pa.array([text]), ["text_statistics"]).items()}
    data = text.encode()
    entropy = -sum(n / len(data) * math.log2(n / len(data)) for n in Counter(data).values()) if data else 0.0
    assert signals["byte_entropy"] == pytest.approx(entropy, abs=1e-5)
    assert signals["uppercase_ratio"] == share(sum(c.isupper() for c in text), len(text))
    assert signals["digit_ratio"] == share(len(re.findall(r"\d", text)), len(text))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("write to joe.bloggs@example.org today", (1, 0, 0)),
        ("a @ b, @user, me@localhost, x@y.z", (0, 0, 0)),
        ("host 192.168.1.10 and 10.0.0.1.", (0, 2, 0)),
        ("version 1.2.3, 300.1.1.1, 1.2.3.4.5", (0, 0, 0)),
        ("call +44 20 7946 0958 or (030) 123-4567", (0, 0, 2)),
        ("1234567890 is one number, 2026-11-23 a date", (0, 0, 0)),
    ],
)
def test_signs_of_personal_data_are_counted(text: str, found: tuple[int, int, int]) -> None:
    signals = measure(pa.array([text]), ["text_statistics"])
    assert tuple(signals[name][0].as_py() for name in ("email_count", "ip_address_count", "phone_count")) == found


def test_repetition_compresses() -> None:
    signals = measure(
        pa.array(["the same again " * 200, "".join(map(chr, range(0x4E00, 0x5200)))]), ["text_statistics"]
    )
    assert signals["compression_ratio"][0].as_py() < 0.05 < 0.5 < signals["compression_ratio"][1].as_py()
