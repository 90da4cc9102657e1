"""Conditions on the signals of a ledger, as people write them: `word_count<60`, `perplexity_bucket=tail`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow.compute as pc

from autoclave.cleaning.ngram_model.buckets import BUCKET_NAMES
from autoclave.errors import RecipeError

_FORM = re.compile(r"\s*(\w+)\s*(!=|<=|>=|=|<|>)\s*(.+?)\s*$")
_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def parse_conditions(texts: Sequence[str]) -> tuple[list[str], pc.Expression | None]:
    """Return (signals that are compared, what must all hold of a ledger's row); None where there are no conditions.

    A condition is a signal, one of = != < <= > >=, and a number, true, false or a text; buckets of perplexity go by
    their names. Rows without a value do not meet it. Raises RecipeError for another form.
    """
    signals: list[str] = []
    met: pc.Expression | None = None
    for text in texts:
        match = _FORM.match(text)
        if match is None:
            raise RecipeError(f"--where {text}: write it as signal, comparison, value: word_count<60, language=zh")
        signal, comparison, written = match.groups()
        signals.append(signal)
        one = _COMPARISONS[comparison](pc.field(signal), pc.scalar(_value(signal, written)))
        met = one if met is None else met & one
    return signals, met


def _value(signal: str, written: str) -> float | bool | str:
    if signal.startswith("perplexity_bucket"):
        numbers = {name: number for number, name in BUCKET_NAMES.items()}
        if written in numbers:
            return numbers[written]
    if written in ("true", "false"):
        return written == "true"
    try:
        return float(written)
    except ValueError:
        return written
