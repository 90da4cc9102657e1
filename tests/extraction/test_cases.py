"""Pages of kinds that public bug reports name, with what must and must not be in their texts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autoclave.extraction.engines import extract_page


def fold(text: str) -> str:
    return " ".join(text.split())


def test_all_cases_of_extraction(shared_data: Path) -> None:
    folder = shared_data.parent / "cases" / "extraction"
    if not folder.is_dir():
        pytest.skip(f"no cases of extraction at {folder}")
    wrong: list[tuple[str, str]] = []
    for case in json.loads((folder / "checks.json").read_text(encoding="utf-8")):
        name = case["name"]
        text = extract_page((folder / f"{name}.html").read_text(encoding="utf-8")).text
        folded = fold(text)
        wrong += [(name, f"lacks {part}") for part in case["must"] if fold(part) not in folded]
        wrong += [
            (name, f"lacks {part}") for part in case["exact"] if not any(form in text for form in part.split("|"))
        ]
        wrong += [(name, f"has {part}") for part in case["mustnot"] if part in text]
        wrong += [(name, f"not once: {part}") for part in case["once"] if folded.count(fold(part)) != 1]
        places = [folded.find(fold(part)) for part in case["order"]]
        wrong += [(name, "order")] * (places != sorted(places))
    assert wrong == []
