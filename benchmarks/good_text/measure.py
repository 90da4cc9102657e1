"""Running the transforms and the default chain over good text, batch by batch."""

from __future__ import annotations

import itertools
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from autoclave.cleaning.chain import Chain, CleanSettings, LanguageSettings, decide
from autoclave.cleaning.filters.base import Filter
from autoclave.corpus.batches import split_batch
from autoclave.corpus.output import Verdicts
from autoclave.corpus.schema import make_documents
from benchmarks.good_text.differences import Change, changes
from benchmarks.good_text.generated import Written, other_data, telephone_numbers
from benchmarks.good_text.kinds import Judge
from benchmarks.good_text.sets import SETS, Document, bad_pages
from benchmarks.good_text.structure import Survival, survive
from benchmarks.good_text.tallies import CHAIN, PERSONAL, Drops, Edits, Results, excerpt

BATCH = 512
"""Documents that are read at once."""

SURE = 0.65
"""Least score of a label that counts as sure (the default of `clean.language.min_score`)."""


@dataclass(frozen=True)
class Cleaners:
    """The default chain, every language kept, and each transform for itself."""

    chain: Chain
    alone: dict[str, Chain]


def cleaners(transforms: Sequence[str] | None = None) -> Cleaners:
    """Return the chain and the named transforms, the default ones for None; RecipeError for an unknown name."""
    chain = Chain(CleanSettings(language=LanguageSettings(keep=None)))
    names = list(chain.transforms) if transforms is None else transforms
    return Cleaners(chain, {name: _alone(name) for name in names})


def _alone(name: str) -> Chain:
    return Chain(CleanSettings(language=None, transforms=[name], filters=[]))


def as_batch(texts: Sequence[str], extracted: Sequence[bool] | None = None, **columns: pa.Array) -> pa.RecordBatch:
    """Return texts as the documents that the stage `clean` gets; extracted: which of them came out of HTML pages."""
    kinds = ["text/html" if page else None for page in extracted or [False] * len(texts)]
    return make_documents(texts, "good text", content_type=kinds, **columns)


def measure(
    data: Path,
    sets: Iterable[str],
    cleaning: Cleaners,
    limit: int | None = None,
    examples: int = 3,
    recall: int = 0,
    bad: bool = False,
) -> Results:
    """Return what the chain and the transforms do to the documents of some sets.

    limit: documents of a set at most; examples: changes of a kind, set and transform that are kept to be read; recall:
    generated telephone numbers a country and type; bad: whether pages that people found bad are run as well.
    """
    results = Results(filters=[chosen.name for chosen in cleaning.chain.filters if chosen.bounds])
    for name in sets:
        documents = itertools.islice(SETS[name].read(data), limit)
        for batch in _batches(documents):
            _measure_batch(batch, cleaning, results, examples)
    if bad:
        _measure_bad(data, cleaning, results, limit)
    if recall and PERSONAL in cleaning.alone:
        _measure_recall([*telephone_numbers(recall), *other_data(5 * recall)], results)
    return results


def _batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    rest = iter(documents)
    while found := list(itertools.islice(rest, BATCH)):
        whole = as_batch([document.text for document in found])
        at = 0
        for part in split_batch(whole):
            yield found[at : at + part.num_rows]
            at += part.num_rows


def _measure_batch(documents: Sequence[Document], cleaning: Cleaners, results: Results, examples: int) -> None:
    texts, pages = [document.text for document in documents], [document.extracted for document in documents]
    edited, verdicts = cleaning.chain.apply(as_batch(texts, pages))
    _count_drops(documents, edited, verdicts, cleaning.chain, results)
    after = {CHAIN: edited.column("text").to_pylist()}
    for name, chain in cleaning.alone.items():
        after[name] = (
            chain.apply(as_batch(texts, pages, language=edited.column("language")))[0].column("text").to_pylist()
        )
    kept = verdicts.kept.tolist()
    for row, document in enumerate(documents):
        _count_edits(document, {name: column[row] for name, column in after.items()}, kept[row], results, examples)


def _count_edits(document: Document, after: dict[str, str], kept: bool, results: Results, examples: int) -> None:
    of, before = SETS[document.set], unicodedata.normalize("NFC", document.text)
    judge: Judge | None = None
    known: dict[str, list[Change]] = {}
    judged: list[tuple[Change, str]] = []
    for name, text in after.items():
        edits = results.edits.setdefault((document.set, name), Edits())
        edits.documents += 1
        if text == document.text:
            continue
        judge = judge or Judge(before, document, of)
        new = unicodedata.normalize("NFC", text)
        if text not in known:
            known[text] = changes(before, new)
        made = edits.add(document, of, judge, (before, new), known[text], examples)
        judged = made if name == CHAIN else judged
    if kept:
        survival = results.survival.setdefault(document.set, Survival())
        for kind, text in survive(before, unicodedata.normalize("NFC", after[CHAIN]), judged, survival):
            shown = results.lost.setdefault((document.set, kind), [])
            if len(shown) < examples:
                shown.append(f"{document.set}/{document.name}: {excerpt(text)}")


def _count_drops(
    documents: Sequence[Document], edited: pa.RecordBatch, verdicts: Verdicts, chain: Chain, results: Results
) -> None:
    languages, scores = edited.column("language").to_pylist(), edited.column("language_score").to_pylist()
    for document, language, score, one in zip(
        documents, languages, scores, _each(languages, verdicts, chain), strict=True
    ):
        one.sure = int(language == document.language and score is not None and score >= SURE)
        one.sure_kept = one.sure * one.kept
        drops = results.drops.setdefault((document.set, document.language), Drops())
        drops += one


def _each(languages: Sequence[str | None], verdicts: Verdicts, chain: Chain) -> Iterator[Drops]:
    """Yield what the chain, and each of its filters for itself, decided on each document."""

    def kept(filters: Sequence[Filter]) -> list[bool]:
        return decide(filters, verdicts.signals, languages, chain.settings).kept.tolist()

    alone = {chosen.name: kept([chosen]) for chosen in chain.filters}
    names, reasons = pa.array(verdicts.filter).to_pylist(), pa.array(verdicts.reason).to_pylist()
    for row, stays in enumerate(verdicts.kept.tolist()):
        dropped = Counter(name for name, column in alone.items() if not column[row])
        rules = Counter() if stays else Counter([(names[row], reasons[row])])
        yield Drops(1, int(stays), alone=dropped, rules=rules)


def _measure_bad(data: Path, cleaning: Cleaners, results: Results, limit: int | None) -> None:
    """Count what the chain drops of the pages that people found bad: what its filters are for."""
    texts = [page.text for page in itertools.islice(bad_pages(data), limit)]
    for batch in split_batch(as_batch(texts)):
        edited, verdicts = cleaning.chain.apply(batch)
        for one in _each(edited.column("language").to_pylist(), verdicts, cleaning.chain):
            results.bad += one


def _measure_recall(written: Sequence[Written], results: Results) -> None:
    texts, languages = [one.text for one in written], pa.array([one.language for one in written], pa.string())
    redacted = _alone(PERSONAL).apply(as_batch(texts, language=languages))[0].column("text").to_pylist()
    for one, text in zip(written, redacted, strict=True):
        gone = one.is_gone(text)
        cell = results.recall.setdefault(one.group, [0, 0])
        cell[0] += gone
        cell[1] += 1
        if one.counted:
            results.counted[0] += gone
            results.counted[1] += 1
