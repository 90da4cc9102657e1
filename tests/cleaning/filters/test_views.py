"""Filters that judge an edited view of a text and leave the text: C4 as the default chain has it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from autoclave.cleaning.chain import Chain, CleanSettings, check_refilter
from autoclave.cleaning.filters.registry import load_filter
from autoclave.cleaning.signals import run_filters
from autoclave.errors import RecipeError

PAGE = """How the reader works

Overview

The reader keeps a buffer of bytes and a position in it [12]. It never copies more than it must.

```python
def head(buf):
    size = buf[4]
    return size
```

| byte | meaning |
| --- | --- |
| 4 | size |

$$c = a n + b$$

Every call moves the position forward and returns what was asked for. This page uses cookies.
"""


def run(filters: list[Any], text: str = PAGE) -> tuple[str, dict[str, Any]]:
    chosen = [load_filter(name, options, "datatrove", "test") for name, options in filters]
    edited, signals = run_filters(pa.array([text]), chosen, ["en"])
    return edited[0].as_py(), {name: column[0].as_py() for name, column in signals.items()}


def test_a_view_is_judged_as_the_rewritten_text_and_the_text_stays() -> None:
    c4: dict[str, Any] = {"terminal_punctuation": False}
    rewritten, expected = run([("c4", c4), ("fineweb", None)])
    kept, signals = run([("c4", c4 | {"rewrite": False}), ("fineweb", None)])
    assert "buf[4]" not in rewritten
    assert "Overview" not in rewritten
    assert kept == PAGE
    assert signals == expected


def test_a_filter_that_rewrites_starts_from_the_text_and_ends_the_view() -> None:
    view = ("c4", {"rewrite": False, "dialect": "datatrove"})
    text, signals = run([view, ("refinedweb", None), ("fineweb", None)])
    alone, expected = run([("refinedweb", None), ("fineweb", None)])
    assert text == alone
    assert {name: signals[name] for name in expected} == expected


def test_the_default_chain_leaves_code_tables_formulas_and_headings() -> None:
    text = pa.array([PAGE * 4])
    edited, _ = Chain(CleanSettings()).measure(text, pa.array(["en"]))
    assert edited.equals(text)


@pytest.mark.parametrize(("name", "value"), [("gopher_quality", False), ("c4", "no"), ("c4", 0)])
def test_rewrite_is_refused_where_nothing_is_edited_or_the_value_is_none(name: str, value: object) -> None:
    with pytest.raises(RecipeError, match=rf"{name}\.rewrite: true or false, for a filter that edits text"):
        CleanSettings(filters=[{name: {"rewrite": value}}])


def test_refilter_refuses_a_view_in_place_of_an_edit() -> None:
    old, new = (CleanSettings(filters=[{"c4": {"rewrite": value}}, "fineweb"]) for value in (True, False))
    with pytest.raises(RecipeError, match="run the stage again"):
        check_refilter(old, new)
    check_refilter(new, new)
