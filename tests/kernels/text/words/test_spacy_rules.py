"""Tokens of a chunk do not depend on what stands before it: what is known from before is what would be cut anew."""

from __future__ import annotations

import pyarrow as pa
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
