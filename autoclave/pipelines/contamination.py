"""Indexing evaluation sets and listing what documents hold of them: `autoclave decontaminate index` and `list`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pyarrow as pa

from autoclave.cleaning.contamination_index import IndexSettings, build_index, load_index
from autoclave.cleaning.decontamination import hits
from autoclave.corpus.schema import read_documents
from autoclave.corpus.sources import resolve_inputs
from autoclave.corpus.storage import Folder
from autoclave.errors import RecipeError
from autoclave.pipelines.stage import document_shards


class IndexSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What was indexed. sets, items; ngrams: different ones; skipped: items too short to be looked for."""

    sets: int
    items: int
    ngrams: int
    skipped: int


class ContaminationSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. documents: looked at; contaminated: of those; items: by set, how many of its items were hit."""

    documents: int
    contaminated: int
    items: dict[str, int]


def index_evaluation_sets(sets: Sequence[str], out: str, settings: IndexSettings | None = None) -> IndexSummary:
    """Index JSONL files (or folders and globs of them) and write the index; `out` ends in .npz.

    Raises InputError for unreadable sets, RecipeError for another name.
    """
    if not out.endswith(".npz"):
        raise RecipeError(f"{out}: the index is NumPy's format; give a name that ends in .npz")
    files = [file.path for file in resolve_inputs(sets)]
    index = build_index(files, settings)
    index.save(out)
    return IndexSummary(
        sets=len(files), items=len(index.item_sets), ngrams=len(index.keys), skipped=index.skipped
    )  # fmt: skip


def list_contamination(documents: str, index_path: str, out: str) -> ContaminationSummary:
    """Look through a stage's documents and write one JSON line for each item that a document holds n-grams of.

    documents: a stage directory; out: JSONL, doc_id (hexadecimal), url, set, line (from 1), ngrams. Raises InputError
    where the folder or the index cannot be read.
    """
    index = load_index(index_path)
    total = contaminated = 0
    items: dict[str, set[int]] = {name: set() for name in index.sets}
    parent, _, leaf = out.rpartition("/")
    with Folder(parent or ("/" if out.startswith("/") else ".")).open_write(leaf) as file:
        for shard in document_shards(Folder(documents)):
            for batch in read_documents(shard.path, ["doc_id", "text", "url"]):
                found = hits(index, batch.column("text"))
                total += batch.num_rows
                contaminated += len(found.column("row").unique())
                for name, line in zip(*(found.column(part).to_pylist() for part in ("set", "line")), strict=True):
                    items[name].add(line)
                for row in _named(batch, found):
                    file.write(msgspec.json.encode(row) + b"\n")
    return ContaminationSummary(
        documents=total, contaminated=contaminated, items={name: len(lines) for name, lines in items.items() if lines}
    )


def _named(batch: pa.RecordBatch, found: pa.Table) -> list[dict[str, object]]:
    rows = found.to_pylist()
    ids, urls = batch.column("doc_id"), batch.column("url")
    return [
        {"doc_id": ids[row.pop("row")].as_py().hex(), "url": url, **row}
        for row, url in zip(rows, urls.take(found.column("row").combine_chunks()).to_pylist(), strict=True)
    ]
