"""Tokens of a chunk do not depend on what stands before it: what is known from before is what would be cut anew."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from autoclave.cleaning.language.words import scans

PIECES = [
    "a",
    "Is",
    "cannot",
    "can't",
    "n't",
    "Mr.",
    "e.g.",
    "U.S.",
    "x@y.com",
    "http://a.b/c",
    "10km",
    "$5",
    "5%",
    "7",
]
MARKS = [*".,:;!?'\"()[]{}<>-_#*=+/@&%$", "...", "--", "’", "é", "字", "\0", "\x1b", "\x7f"]


@st.composite
def chunks_with_spaces(draw: st.DrawFn) -> str:
    piece = st.one_of(st.sampled_from(PIECES), st.sampled_from(MARKS))
    chunks = draw(st.lists(st.lists(piece, min_size=1, max_size=6).map("".join), min_size=1, max_size=6))
    spaces = st.sampled_from([" ", " ", "  ", "\n", "\t", "      ", "\n    ", "\u3000", "\x85"])
    again = draw(st.lists(st.tuples(st.sampled_from(chunks), spaces), min_size=1, max_size=30))
    return "".join(chunk + space for chunk, space in again)


def tokens(text: str) -> list[tuple[str, int, int, int]]:
    """Return (token, characters, hash, flags) of a text; its last 18 bytes are cut the slow way."""
    scan = next(scans(pa.array([text])))
    words = scan.words("tokens")
    return [
        (
            scan.data[words.start[word] : words.end[word]].tobytes().decode(),
            int(words.chars[word]),
            int(words.hashes[word]),
            int(words.flags[word]),
        )
        for word in range(words.offsets[1])
    ]


@settings(max_examples=400, deadline=None, derandomize=True)
@given(chunks_with_spaces())
def test_tokens_are_those_of_each_chunk_alone(text: str) -> None:
    alone = [token for chunk in text.split() for token in tokens(chunk)]
    assert tokens(text) == alone, text
    assert "".join(token[0] for token in alone) == "".join(text.split())
    assert all(len(token) == chars for token, chars, _, _ in alone)


def golden(kind: str) -> list[tuple[str, list[str], list[str]]]:
    """(chunk, spaCy's tokens, ours): chunks made at random, cut by spaCy 3.8.18 as datatrove 0.10.1 calls it."""
    with zstandard.open(Path(__file__).with_name("golden_spacy.jsonl.zst"), "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    chosen = [row for row in rows if row["kind"] == kind]
    return [(row["chunk"], row["tokens"], [token[0] for token in tokens(row["chunk"])]) for row in chosen]


def test_hyphens_and_dashes_part_as_in_spacy() -> None:
    """Letters and digits before them, letters behind: 10-inch, mp3-file; digits on both sides of a hyphen alone."""
    differing = [row for row in golden("hyphen") if row[1] != row[2]]
    assert len(differing) <= 0.01 * 1500, differing[:20]


def test_most_chunks_of_any_signs_are_cut_as_by_spacy() -> None:
    """What is left out: emoticons, and units and abbreviations that are glued to other signs."""
    differing = [row for row in golden("any") if row[1] != row[2]]
    assert len(differing) <= 0.05 * 1500, differing[:40]


def test_the_cases_of_digits_before_hyphens(shared_data: Path) -> None:
    for case in json.loads((shared_data.parent / "cases" / "text" / "spacy_digit_hyphen.json").read_text()):
        assert [token[0] for token in tokens(case["text"])] == case["spacy"]
