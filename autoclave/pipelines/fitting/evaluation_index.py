"""Indexing evaluation sets and listing what documents hold of them: `autoclave decontaminate index` and `list`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pyarrow.compute as pc

from autoclave.cleaning.chain import CleanSettings, build_filters
from autoclave.cleaning.decontamination.index import ContaminationIndex, IndexSettings, build_index, load_index
from autoclave.cleaning.decontamination.spans import DecontaminationRules, hits, index_of
from autoclave.cleaning.filters.base import Filter
from autoclave.corpus.checksums import read_checked
from autoclave.corpus.sources import resolve_inputs
from autoclave.corpus.storage import Folder, content_fingerprint
from autoclave.errors import InputError, RecipeError
from autoclave.pipelines.clean import FILES_FILE, SETTINGS_FILE
from autoclave.pipelines.fitting.texts import read_batches
from autoclave.pipelines.reading.ledgers import StageView, open_stages, read_ledger, read_shards
from autoclave.pipelines.running.stage import Progress, Silent


class IndexSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What was indexed. sets, items; ngrams: different ones; skipped: items too short to be looked for."""

    sets: int
    items: int
    ngrams: int
    skipped: int


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """A document that holds text of an evaluation set.

    doc_id: hexadecimal; item: line or row of the set, from 1; ngrams: n-grams found; size: the largest of the indexed
    sizes among them; share: part of the document's words that they cover; items: how many items were hit, `item` by
    most n-grams; share, items, kept and stage only from a run's ledger, where a document is one row.
    """

    doc_id: str
    url: str | None
    set: str
    item: int
    ngrams: int
    size: int
    items: int | None = None
    share: float | None = None
    kept: bool | None = None
    stage: str | None = None


class SetSummary(msgspec.Struct, kw_only=True):
    """One evaluation set. items: it has; items_hit: of those; documents: that hold something of it; dropped: of those,
    None where the documents are not a run's."""

    items: int
    items_hit: int = 0
    documents: int = 0
    dropped: int | None = None


class ContaminationSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. documents: looked at; contaminated: of those; sets: by name; hits: the first of them."""

    documents: int
    contaminated: int
    sets: dict[str, SetSummary]
    hits: list[Hit]


def index_evaluation_sets(
    sets: Sequence[str], out: str, settings: IndexSettings | None = None, progress: Progress | None = None
) -> IndexSummary:
    """Index files of evaluation sets (or folders and globs of them) and write the index; `out` ends in .npz.

    Raises InputError for unreadable sets, RecipeError for another name.
    """
    if not out.endswith(".npz"):
        raise RecipeError(f"{out}: the index is NumPy's format; give a name that ends in .npz")
    files = [file.path for file in resolve_inputs(sets)]
    shown = progress or Silent()
    index = build_index(
        files, settings, lambda number: shown.update("index", number, len(files), "evaluation sets read")
    )
    index.save(out)
    return IndexSummary(
        sets=len(files), items=len(index.item_sets), ngrams=len(index.keys), skipped=index.skipped
    )  # fmt: skip


def list_contamination(
    argument: str,
    index_path: str | None = None,
    *,
    out: str | None = None,
    most: int = 20,
    progress: Progress | None = None,
) -> ContaminationSummary:
    """Say which documents hold text of evaluation sets, and write each hit as a line of JSON where `out` is given.

    argument: without an index, a run directory or a clean stage whose recipe has the filter `decontamination`: its
    ledger is read, one hit a document. With one, a stage directory or files of documents: their texts are looked
    through, one hit a document and item. most: hits in the result. Raises InputError where there is no such run, or
    its index has changed since.
    """
    shown = progress or Silent()
    if index_path is not None:
        index = load_index(index_path)
        tally = _Tally([index], most)
        found = _hits_of_documents(argument, index, shown)
    else:
        looked = [(view, chosen) for view in open_stages(argument) for chosen in _filters(view)]
        if not looked:
            raise InputError(
                f"{argument}: no clean stage here has the filter 'decontamination'; give --index to look through texts"
            )
        pairs = [(view, chosen, _index_of(view, chosen)) for view, chosen in looked]
        tally = _Tally([index for _, _, index in pairs], most)
        found = (batch for view, chosen, index in pairs for batch in _hits_of_ledger(view, chosen, index, shown))
    if out is None:
        tally.add(found)
    else:
        parent, _, leaf = out.rpartition("/")
        with Folder(parent or ("/" if out.startswith("/") else ".")).open_write(leaf) as file:
            tally.add(found, file)
    return tally.summary()


Batch = tuple[int, list[Hit]]
"""Documents looked at, and the hits among them in the order of the documents."""


class _Tally:
    """Counts hits, keeps the first of them, writes them all."""

    def __init__(self, indexes: Sequence[ContaminationIndex], most: int) -> None:
        self._most = most
        self._documents = self._contaminated = 0
        self._sets: dict[str, SetSummary] = {}
        self._items: dict[str, set[int]] = {}
        self._first: list[Hit] = []
        for index in indexes:
            for number, name in enumerate(index.sets):
                self._sets[name] = SetSummary(items=int((index.item_sets == number).sum()))
                self._items[name] = set()

    def add(self, found: Iterator[Batch], file: Any = None) -> None:
        """Count the hits of some documents and write them as lines of JSON where there is a file."""
        for looked, rows in found:
            self._documents += looked
            self._contaminated += len({row.doc_id for row in rows})
            self._first += rows[: self._most - len(self._first)]
            for row in rows:
                self._items[row.set].add(row.item)
                if file is not None:
                    file.write(msgspec.json.encode(row) + b"\n")
            for row in {(row.doc_id, row.set): row for row in rows}.values():
                counted = self._sets[row.set]
                counted.documents += 1
                if row.kept is not None:
                    counted.dropped = (counted.dropped or 0) + (not row.kept)

    def summary(self) -> ContaminationSummary:
        for name, counted in self._sets.items():
            counted.items_hit = len(self._items[name])
        return ContaminationSummary(
            documents=self._documents, contaminated=self._contaminated, sets=self._sets, hits=self._first
        )


def _hits_of_documents(argument: str, index: ContaminationIndex, progress: Progress) -> Iterator[Batch]:
    """Look through documents: one hit a document and item."""
    total = 0
    for batch in read_batches(argument):
        batch = batch.filter(batch.column("text").is_valid())
        ids, urls = batch.column("doc_id"), batch.column("url")
        total += batch.num_rows
        progress.update("look for evaluation sets", total, 0, "documents")
        rows = []
        for found in hits(index, batch.column("text")).to_pylist():
            place = found.pop("row")
            rows.append(Hit(doc_id=ids[place].as_py().hex(), url=urls[place].as_py(), **found))
        yield batch.num_rows, rows


def _filters(view: StageView) -> list[Filter]:
    """Return the decontamination filters of a clean stage, none for other stages."""
    if not view.folder.exists(SETTINGS_FILE):
        return []
    settings = msgspec.json.decode(read_checked(view.folder, SETTINGS_FILE), type=CleanSettings)
    return [chosen for chosen in build_filters(settings) if isinstance(chosen.rules, DecontaminationRules)]


def _index_of(view: StageView, chosen: Filter) -> ContaminationIndex:
    """Return the index that a stage used; InputError where its files are not those any more."""
    read = msgspec.json.decode(read_checked(view.folder, FILES_FILE), type=dict[str, str])
    for path in chosen.files:
        if content_fingerprint(path) != read.get(path):
            raise InputError(f"{path}: changed since {view.folder.url} was made; run that stage again")
    assert isinstance(chosen.rules, DecontaminationRules)
    return index_of(chosen.rules)


def _hits_of_ledger(view: StageView, chosen: Filter, index: ContaminationIndex, progress: Progress) -> Iterator[Batch]:
    """Read what a run found: one hit a document, of the item that it holds most n-grams of."""
    suffix = chosen.name.removeprefix("decontamination")  # of a second such filter's signals
    names = {name: f"contaminated_{name}{suffix}" for name in ("item", "ngrams", "size", "items", "share")}
    total = 0
    for shard, ledger in read_ledger(view, ["doc_id", "kept", *names.values()]):
        total += ledger.num_rows
        progress.update(f"read {view.label}", total, view.row.documents_in, "documents")
        found = ledger.filter(pc.greater(ledger.column(names["ngrams"]), 0))
        urls = _urls(view, shard, set(found.column("doc_id").to_pylist()))
        rows = []
        for row in found.to_pylist():
            item = row[names["item"]]
            rows.append(
                Hit(
                    doc_id=row["doc_id"].hex(), url=urls.get(row["doc_id"]), set=index.sets[index.item_sets[item]],
                    item=int(index.item_lines[item]), ngrams=row[names["ngrams"]], size=row[names["size"]],
                    items=row[names["items"]], share=round(row[names["share"]], 6), kept=row["kept"], stage=view.label,
                )
            )  # fmt: skip
        yield ledger.num_rows, rows


def _urls(view: StageView, shard: str, ids: set[bytes]) -> dict[bytes, str | None]:
    """Return the addresses of some documents of a shard, of dropped ones where their texts were stored."""
    found: dict[bytes, str | None] = {}
    for kind in ("documents", "dropped") if ids else ():
        for _, batch in read_shards(view, kind, ["doc_id", "url"], [shard]):
            pairs = zip(batch.column("doc_id").to_pylist(), batch.column("url").to_pylist(), strict=True)
            found |= {doc_id: url for doc_id, url in pairs if doc_id in ids}
    return found
