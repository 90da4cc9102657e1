"""What each normalisation finds and what it takes for a copy: `python -m benchmarks.dedup normalisation [--data DIR]`.

Labelled pairs, natural articles with another date, view counter, comment count and price of the day (real copies), and
documents that differ in numbers only (none is a copy).
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

from autoclave.pipelines.dedup.settings import MinHashSettings
from benchmarks.data import read_set
from benchmarks.dedup.corpus import labelled_sets
from benchmarks.dedup.runs import stage_groups
from benchmarks.dedup.scores import pair_scores, pairs_of_groups
from tests.pipelines.dedup.number_texts import DIGITS, number_texts, with_numbers_of_the_day

SETTINGS = {
    "fineweb, min_units 1": MinHashSettings(normalisation="fineweb", min_units=1),
    "fineweb": MinHashSettings(normalisation="fineweb"),
    "words (the default)": MinHashSettings(),
    "whitespace": MinHashSettings(normalisation="whitespace"),
}
LENGTHS = (40, 100, 200, 400, 1 << 30)
"""Limits of the lengths of articles, in words (characters in Chinese and Japanese)."""


def articles(data: Path) -> Iterator[tuple[str, str]]:
    """Yield (language, text) of natural documents whose language has a template of added lines."""
    for record in read_set(data / "web_registers"):
        language = {"jp": "ja"}.get(record["lang"], record["lang"])
        if language in DIGITS:
            yield language, record["text"]
    for record in read_set(data / "quality_lines"):
        if record["lang"] in DIGITS:
            yield record["lang"], "\n".join(record["lines"])


def length(text: str, language: str) -> int:
    return len(text) if language in ("zh", "ja") else len(text.split())


def labelled(data: Path) -> None:
    print("pairs of the same label: precision / recall / F1")
    for name, corpus, labels in labelled_sets(data):
        for title, minhash in SETTINGS.items():
            found = pairs_of_groups(stage_groups(corpus, minhash=minhash))
            print(f"  {name:<46} {title:<22} {'{:.3f} / {:.3f} / {:.3f}'.format(*pair_scores(found, labels))}")


def copies(data: Path) -> None:
    """Share of articles found again with other numbers around them, by their length."""
    chosen = [(language, text) for language, text in articles(data) if length(text, language) >= LENGTHS[0]]
    corpus = [
        with_numbers_of_the_day(text, language, 2 * number + copy)
        for number, (language, text) in enumerate(chosen)
        for copy in (0, 1)
    ]
    sizes = [length(text, language) for language, text in chosen]
    print(f"{len(chosen)} articles with another date, view counter, comment count and price: copies found, by length")
    for title, minhash in SETTINGS.items():
        groups = stage_groups(corpus, minhash=minhash)
        row = []
        for low, high in itertools.pairwise(LENGTHS):
            inside = [number for number, size in enumerate(sizes) if low <= size < high]
            found = sum(groups[2 * number] == groups[2 * number + 1] for number in inside)
            row.append(f"{low}+: {found / len(inside):.3f} of {len(inside)}")
        print(f"  {title:<22} {', '.join(row)}")


def numbers() -> None:
    """Share of documents lost that differ in numbers only."""
    print("documents of ten languages that differ in numbers only: called copies, by kind")
    kinds: dict[str, list[str]] = {}
    for seed, language in enumerate(DIGITS):
        for kind, texts in number_texts(language, seed, 8).items():
            kinds.setdefault(kind, []).extend(texts)
    for title, minhash in SETTINGS.items():
        lost = {kind: len(texts) - len(set(stage_groups(texts, minhash=minhash))) for kind, texts in kinds.items()}
        print(f"  {title:<22} {', '.join(f'{kind} {lost[kind]} of {len(texts)}' for kind, texts in kinds.items())}")


def normalisation(arguments: argparse.Namespace) -> None:
    """Each normalisation on labelled pairs, on copies of articles, on documents that differ in numbers only."""
    labelled(arguments.data)
    copies(arguments.data)
    numbers()
