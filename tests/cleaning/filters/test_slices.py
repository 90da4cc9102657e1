"""Batches of several slices: what one slice found never shows in the next, although they share memory."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import zstandard

from autoclave.cleaning.filters.registry import MODULES, load_filter
from autoclave.cleaning.language import words
from autoclave.cleaning.signals import run_filters

LINES = zstandard.ZstdDecompressor().stream_reader(
    Path(__file__).with_name("golden_dialects.jsonl.zst").read_bytes()
)  # fmt: skip
TEXTS = [json.loads(line)["text"] for line in LINES.read().decode().splitlines()]


@pytest.mark.parametrize("dialect", ["paper", "datatrove"])
def test_slices_do_not_touch_one_another(dialect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    filters = [load_filter(name, {}, dialect, "test") for name in MODULES]
    column, codes = pa.array(TEXTS), ["en", "zh", None] * (len(TEXTS) // 3 + 1)
    text, signals = run_filters(column, filters, codes[: len(TEXTS)])
    monkeypatch.setattr(words, "SLICE_BYTES", 20_000)
    again, several = run_filters(column, filters, codes[: len(TEXTS)])
    assert again.equals(text)
    for name, values in signals.items():
        assert repr(several[name].to_pylist()) == repr(values.to_pylist()), name


def test_memory_is_taken_again_and_large_arrays_are_not_kept() -> None:
    workspace = words.Workspace()
    first = workspace.empty(1000, np.int32)
    large = workspace.empty(words.Workspace.LARGEST_KEPT + 1, np.uint8)
    workspace.rewind()
    assert workspace.empty(1000, np.int32).__array_interface__["data"] == first.__array_interface__["data"]
    again = workspace.empty(words.Workspace.LARGEST_KEPT + 1, np.uint8)
    assert again.__array_interface__["data"] != large.__array_interface__["data"]


def test_a_workspace_is_lent_to_one_at_a_time_and_not_kept_once_it_is_large() -> None:
    with words.borrowed_workspace() as first:
        with words.borrowed_workspace() as second:
            assert second is not first
        first.empty(1000, np.int32)
    with words.borrowed_workspace() as again:
        assert again in (first, second)
        for _ in range(words.Workspace.MOST_KEPT // words.Workspace.LARGEST_KEPT + 1):
            again.empty(words.Workspace.LARGEST_KEPT, np.uint8)
    with words.borrowed_workspace() as other:
        assert other is not again


def test_tokens_are_kept_where_the_first_line_lost_a_citation() -> None:
    """The text is stripped after the edit, so that its first line begins before the text at the start of a slice."""
    text = "[citation needed] Mr. Smith went home.\nHe said so, and slept [12] well."
    kept = load_filter("c4", {}, "datatrove", "test")
    alone = run_filters(pa.array([text]), [kept], ["en"])[1]["c4_sentence_count"].to_pylist()
    after_words = run_filters(pa.array([text]), [load_filter("fineweb", {}, "datatrove", "test"), kept], ["en"])
    assert alone == after_words[1]["c4_sentence_count"].to_pylist() == [2]
