"""What becomes of a document depends on it alone: never on what lies next to it in the buffers of its batch."""

from __future__ import annotations

import pyarrow as pa
import pytest

from autoclave.cleaning.chain import Chain, CleanSettings
from autoclave.cleaning.filters.registry import MODULES
from autoclave.cleaning.transforms.registry import TRANSFORMS
from autoclave.corpus.schema import make_documents

# Beginnings and ends that mean something together with what could stand before and behind them.
EDGES = [
    "283 282 0000", "+49 30 000000", "(212) 345-6789", "10.0.0.1", "93.184.216.34", "1", "+", "(", "-", " ", "\n", "x",
    "Tel.: 030 1234567", "phone", "user", "@example.com", "jane@gmail.com", "DE", "89370400440532013000", "AKIA",
    "ghp_0123456789abcdefghijABCDEFGHIJ0123", "a<b", "<p>", "p>", "</p>", "&amp", ";", "http://", "a.example/x", "www.",
    "!!!", "...", "``", "```\ncode\n```", "$$", "| a |", "Leave a comment", "12 likes", "comments", "# ", "Ã", "©",
    "cafÃ©", "é", "\u0301", "字", "\ue407", "\u200b", "\u200d", "कक", "ก", "2024-05-06", "6e", "=",
    "\u00a0", "\U0001f600",
]  # fmt: skip


@pytest.mark.parametrize("name", sorted(TRANSFORMS))
def test_no_transform_looks_beyond_its_text(name: str) -> None:
    apply = TRANSFORMS[name].apply
    alone = {text: apply(pa.array([text], pa.string()))[0][0].as_py() for text in EDGES}
    for text in EDGES:
        rows = [row for neighbour in EDGES for row in (neighbour, text)]
        for batch in (pa.array(rows, pa.string()), pa.array(["7", *rows], pa.string()).slice(1)):
            assert apply(batch)[0].to_pylist() == [alone[row] for row in rows], text


@pytest.mark.parametrize("dialect", ["paper", "datatrove"])
def test_no_filter_looks_beyond_its_text(dialect: str) -> None:
    chain = Chain(CleanSettings(language=None, dialect=dialect, transforms=[], filters=[*MODULES, "line_languages"]))

    def signals(texts: list[str]) -> list[dict[str, object]]:
        _, verdicts = chain.apply(make_documents(texts, "s", language=["en"] * len(texts)))
        return pa.table(verdicts.signals).to_pylist()

    alone = {text: signals([text])[0] for text in EDGES}
    for text in EDGES:
        rows = [row for neighbour in EDGES for row in (neighbour, text)]
        assert [repr(row) for row in signals(rows)] == [repr(alone[row]) for row in rows], text
