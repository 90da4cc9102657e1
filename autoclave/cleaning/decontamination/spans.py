"""Decontamination: which documents hold text of evaluation sets, dropped whole or with those spans taken out.

The rule is GPT-3's (Brown et al. 2020, arXiv 2005.14165, appendix C): word 13-grams, lower-cased, without punctuation;
an item too short for one is looked for as a whole, from 8 words on; n-grams of more than ten items are phrases of the
sets and tell nothing; a document that would be cut in more than ten places is dropped. For scripts without spaces a
character is a unit, and n-grams are of 20.
"""

from __future__ import annotations

import functools
from typing import Literal

import msgspec
import numpy as np
import pyarrow as pa

from autoclave.cleaning.decontamination.index import ContaminationIndex, Found, IndexSettings, build_index, load_index
from autoclave.cleaning.dialects import DIALECTS
from autoclave.cleaning.filters.base import Bound, Columns, Edited, Filter, Measurement, ratio
from autoclave.cleaning.language.words import Scan
from autoclave.corpus.storage import local_versions
from autoclave.corpus.yaml_values import with_remedy
from autoclave.errors import RecipeError
from autoclave.kernels.text.texts import text_buffers

SOURCE = "Brown et al. 2020, arXiv 2005.14165, appendix C (GPT-3): 13-gram overlap"

MAX_SPANS = 10
"""GPT-3 drops a document that would fall into more pieces."""


class DecontaminationRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rules of the filter besides its bounds."""

    index: str | None = None
    """An index that `autoclave decontaminate index` wrote; or name `sets`."""
    sets: list[str] = []
    """Files of evaluation sets (JSONL, Parquet, text), indexed when the filter is first used."""
    action: Literal["document", "spans"] = "document"
    """document: drop what holds any known n-gram; spans: cut those out and keep the rest."""
    margin: int = 0
    """With spans: units cut out on both sides besides (GPT-3: 200 characters, about 40 words)."""
    ngram: IndexSettings = IndexSettings()
    """How `sets` are indexed."""

    @property
    def files(self) -> tuple[str, ...]:
        """What is read: the index, or the sets."""
        return (self.index,) if self.index else tuple(self.sets)


def index_of(rules: DecontaminationRules) -> ContaminationIndex:
    """Return the index that the rules name, or that of their sets, loaded once a process and version of the files."""
    return _index(msgspec.json.encode(rules), local_versions(*rules.files))


@functools.lru_cache(maxsize=4)
def _index(rules: bytes, versions: object) -> ContaminationIndex:
    chosen = msgspec.json.decode(rules, type=DecontaminationRules)
    return load_index(chosen.index) if chosen.index else build_index(chosen.sets, chosen.ngram)


def contamination_signals(index: ContaminationIndex, found: Found, margin: int = 0) -> Columns:
    """Return the signals of a slice, one value a document.

    contaminated_ngrams: int32, known n-grams; contaminated_share: float32, share of the units that they cover;
    contaminated_size: int32, the largest indexed size of which it holds an n-gram, 0 for none; contaminated_spans:
    int32, places they form; contaminated_items: int32, items that were hit; contaminated_item: int64, the one hit by
    most n-grams (the first of equals), -1 for none: `ContaminationIndex.names` says which it is.
    """
    documents = len(found.unit_offsets) - 1
    spans = found.spans(margin)
    units = np.diff(found.unit_offsets)
    bare = found.spans(0)
    covered = np.bincount(bare.documents, weights=bare.last - bare.first, minlength=documents)
    document, item, count, size = index.items_hit(found)
    largest = np.zeros(documents, dtype=np.int32)
    np.maximum.at(largest, document, size.astype(np.int32))
    order = np.lexsort((item, -count, document))
    best = np.full(documents, -1, dtype=np.int64)
    best[document[order][::-1]] = item[order][::-1]
    return {
        "contaminated_ngrams": np.diff(found.offsets).astype(np.int32),
        "contaminated_size": largest,
        "contaminated_share": ratio(covered, units),
        "contaminated_spans": np.bincount(spans.documents, minlength=documents).astype(np.int32),
        "contaminated_items": np.bincount(document, minlength=documents).astype(np.int32),
        "contaminated_item": best,
    }


def remove_spans(scan: Scan, found: Found, margin: int = 0) -> Scan:
    """Return the slice without the spans of known n-grams; a line break takes the place of each."""
    spans = found.spans(margin)
    if not len(spans.first):
        return scan
    pieces: list[bytes] = []
    offsets = np.zeros(len(scan) + 1, dtype=np.int64)
    view = memoryview(np.ascontiguousarray(scan.data).data)
    cuts = np.searchsorted(spans.documents, np.arange(len(scan) + 1))
    for document in range(len(scan)):
        at, size = int(scan.offsets[document]), 0
        for span in range(cuts[document], cuts[document + 1]):
            piece = bytes(view[at : int(found.start[spans.first[span]])])
            pieces += [piece, b"\n"]
            size += len(piece) + 1
            at = int(found.end[spans.last[span] - 1])
        rest = bytes(view[at : int(scan.offsets[document + 1])])
        pieces.append(rest)
        offsets[document + 1] = offsets[document] + size + len(rest)
    return Scan(np.frombuffer(b"".join(pieces), dtype=np.uint8), offsets)


def decontamination_filter(rules: DecontaminationRules, languages: tuple[str, ...] | None = None) -> Filter:
    """Return the filter; what its signals are says `contamination_signals`."""

    def look(scan: Scan) -> tuple[ContaminationIndex, Found]:
        if rules.index is None and not rules.sets:
            raise RecipeError("filter 'decontamination': name an index, or sets: [evaluation.jsonl, ...]")
        index = index_of(rules)
        return index, index.find(scan.data, scan.offsets)

    def measure(scan: Scan, measurement: Measurement) -> Columns:
        return contamination_signals(*look(scan))

    def edit(scan: Scan, measurement: Measurement) -> Edited:
        index, found = look(scan)
        if languages is not None:
            chosen = [code is None or code in languages for code in measurement.languages]
            found = found.only(np.array(chosen, dtype=np.bool_))
        return Edited(remove_spans(scan, found, rules.margin), contamination_signals(index, found, rules.margin))

    free = (Bound("contaminated_size"), Bound("contaminated_share"))
    if rules.action == "document":
        bounds = (Bound("contaminated_ngrams", high=0), Bound("contaminated_spans"), *free)
        return Filter("decontamination", SOURCE, bounds, measure, languages=languages, rules=rules, files=rules.files)
    bounds = (Bound("contaminated_spans", high=MAX_SPANS), Bound("contaminated_ngrams"), *free)
    return Filter("decontamination", SOURCE, bounds, edit=edit, languages=languages, rules=rules, files=rules.files)


def hits(index: ContaminationIndex, text: pa.StringArray) -> pa.Table:
    """Return what was hit in a batch, one row a document and item.

    row int64, set string, item int64 (its line or row, from 1), ngrams int64, size int64 (the largest of them).
    """
    document, item, count, size = index.items_hit(index.find(*text_buffers(text)))
    sets = pa.array(index.sets, pa.string())
    return pa.table(
        {
            "row": document,
            "set": sets.take(pa.array(index.item_sets[item])),
            "item": index.item_lines[item],
            "ngrams": count,
            "size": size,
        }
    )


RULES = dict.fromkeys(DIALECTS, DecontaminationRules())
"""Rules by dialect: the dialects do not differ here."""

FILTERS = {name: decontamination_filter(rules) for name, rules in RULES.items()}


def build(dialect: str, rules: dict[str, object], languages: object, where: str) -> Filter:
    """Return the filter with its rules set; RecipeError for values of a wrong type, or neither index nor sets."""
    try:
        chosen = msgspec.convert(rules, DecontaminationRules)
        applied = None if languages == () else msgspec.convert(languages, tuple[str, ...] | None)
    except msgspec.ValidationError as error:
        raise RecipeError(f"{where}: {with_remedy(error)}") from error
    if (chosen.index is None) == (not chosen.sets):
        raise RecipeError(f"{where}: name either an index, or sets: [evaluation.jsonl, ...]")
    if chosen.margin and chosen.action != "spans":
        raise RecipeError(f"{where}.margin: does nothing without action: spans; leave it out")
    if chosen.index is not None and chosen.ngram != IndexSettings():
        raise RecipeError(f"{where}.ngram: does nothing where an index is named, which has its own; leave it out")
    return decontamination_filter(chosen, applied)
