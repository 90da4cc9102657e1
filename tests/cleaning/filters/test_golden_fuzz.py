"""The verdicts of datatrove on texts that were changed at random: repeated lines and words, marks, cases, blanks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import zstandard

from autoclave.cleaning.filters.registry import load_filter
from autoclave.cleaning.signals import run_filters


@pytest.fixture(scope="module")
def golden() -> list[dict[str, Any]]:
    with zstandard.open(Path(__file__).with_name("golden_fuzz.jsonl.zst"), "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.mark.parametrize("family", ["gopher_repetition", "gopher_quality", "c4", "fineweb"])
def test_every_verdict_is_datatroves(golden: list[dict[str, Any]], family: str) -> None:
    chosen = load_filter(family, {"dialect": "datatrove"}, "datatrove", "test")
    languages = [None] * len(golden)
    signals = run_filters(pa.array([row["text"] for row in golden]), [chosen], languages)[1]
    said = [reason is not None for reason in chosen.decide(signals, languages)]
    expected = [row["verdicts"][family] is not None for row in golden]
    assert 100 < sum(expected) < len(golden) - 50  # the texts are worth testing with
    differing = [at for at, (ours, theirs) in enumerate(zip(said, expected, strict=True)) if ours != theirs]
    assert differing == []
