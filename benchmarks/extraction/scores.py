"""How good an extracted text is, against the right text of its page."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from benchmarks.extraction.gold import Page

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|\w+")
_WORD_AS_THERE = re.compile(r"\w+")


def shingles(text: str, word: re.Pattern[str] = _WORD_AS_THERE, size: int = 4) -> Counter[tuple[str, ...]]:
    words = word.findall(text or "")
    if len(words) < size:
        return Counter([tuple(words)]) if words else Counter()
    return Counter(tuple(words[at : at + size]) for at in range(len(words) - size + 1))


def article_score(pages: Iterable[Page], texts: Mapping[str, str]) -> tuple[float, float, float]:
    """(F1, precision, recall) of shingles of four words, macro-averaged, as evaluate.py of the article extraction
    benchmark has them. Chinese and Japanese characters count as words each where the page's group is not "articles"."""
    precisions, recalls = [], []
    for page in pages:
        word = _WORD_AS_THERE if page.group == "articles" else _WORD
        wanted, found = shingles(page.text or "", word), shingles(texts[page.name], word)
        true = sum((wanted & found).values())
        if found:
            precisions.append(true / sum(found.values()))
        if wanted:
            recalls.append(true / sum(wanted.values()))
    precision = sum(precisions) / max(1, len(precisions))
    recall = sum(recalls) / max(1, len(recalls))
    return 2 * precision * recall / max(1e-9, precision + recall), precision, recall


def segment_score(pages: Iterable[Page], texts: Mapping[str, str]) -> tuple[float, float, float]:
    """(F, precision, recall) over wanted and unwanted segments, as in trafilatura's evaluation."""
    hit = miss = wrong = 0
    for page in pages:
        text = texts[page.name]
        found = sum(segment in text for segment in page.wanted)
        hit, miss = hit + found, miss + len(page.wanted) - found
        wrong += sum(segment in text for segment in page.unwanted)
    precision, recall = hit / max(1, hit + wrong), hit / max(1, hit + miss)
    return 2 * precision * recall / max(1e-9, precision + recall), precision, recall
