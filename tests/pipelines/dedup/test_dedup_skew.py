"""The dedup stage where very many documents come together: components over the cap, one page very often."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from dedup_corpus import WORDS, jaccard, ledger, run, write_source
from hypothesis import given, settings
from hypothesis import strategies as st

from autoclave.cleaning.dedup.clusters import runs
from autoclave.pipelines.dedup import clusters, clusters_external
from autoclave.pipelines.dedup.settings import MinHashSettings


def test_component_cap_cuts_to_stars(tmp_path: Path) -> None:
    words = WORDS[:270]
    chain = [" ".join(words[i : i + 150]) for i in range(0, 120, 8)]
    inputs = write_source(tmp_path / "source", [chain])
    context = run(
        tmp_path / "out", inputs, verify="off", minhash=MinHashSettings(bands=50, rows=4), component_cap=5, keep="first"
    )
    assert [r["kept"] for r in ledger(tmp_path / "out")].count(True) >= 2  # one without the cap
    assert context.results["dedup: components cut at component_cap"] == 1
    assert context.results["dedup: documents of the largest, after cutting"] < 15


@pytest.mark.parametrize("externally", [False, True])
def test_one_page_very_often_does_not_fill_a_verification_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, externally: bool
) -> None:
    """Copies are one row a shard, and a bucket of more pages than the cap falls into parts: each leaves one."""
    monkeypatch.setattr(clusters, "DENSE_BYTES", 1 << 40 if externally else 40)
    monkeypatch.setattr(clusters_external, "ROW_BYTES", 1 << 29)  # chunks of 8 rows: a star is in several
    words = [str(word) for word in WORDS[:230]]
    page = " ".join(words[:200])
    near = [" ".join([*words[:100], other, *words[101:200]]) for other in words[200:222]]
    shards = [[page] * 40 + near[:11] + [near[0]] * 9, [page] * 50 + near[11:] + [page + " more"] + [near[0]]]
    inputs = write_source(tmp_path / "source", shards)
    whole = run(tmp_path / "whole", inputs, keep="first")
    rows = ledger(tmp_path / "whole")
    assert [row["kept"] for row in rows] == [True] + [False] * (len(rows) - 1)
    assert {row["cluster_size"] for row in rows} == {len(rows)}
    copies = [row["filter"] for row, text in zip(rows, itertools.chain(*shards), strict=True) if text == page]
    assert copies == [None] + ["exact_duplicate"] * 89
    assert {row["jaccard"] for row in rows[51:60]} == {rows[40]["jaccard"]}  # of near[0] and its copies
    assert rows[51]["filter"] == "near_duplicate"
    held = [_rows_of(path) for path in sorted((tmp_path / "whole/phases/members/members").iterdir())]
    assert held == [1 + 11 + 2, 1 + 11 + 1 + 1]  # page, near ones, and one row for each kind of copies
    assert whole.results["dedup: clusters of duplicates"] == 1

    run(tmp_path / "cut", inputs, keep="first", component_cap=5)
    rows = ledger(tmp_path / "cut")
    assert [row["kept"] for row in rows].count(True) == 5  # 24 texts in runs of 5
    ids = {row["doc_id"]: i for i, row in enumerate(rows)}
    texts = [*itertools.chain(*shards)]
    for i, row in enumerate(rows):
        if not row["kept"]:
            assert rows[ids[row["duplicate_of"]]]["kept"]
            assert row["jaccard"] == pytest.approx(jaccard(texts[i], texts[ids[row["duplicate_of"]]]), abs=1e-6)


def _rows_of(path: Path) -> int:
    with pa.ipc.open_file(path) as reader:
        return sum(reader.get_batch(i).num_rows for i in range(reader.num_record_batches))


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(4, 60)), max_size=50, unique_by=lambda row: row[1]),
    st.integers(1, 9),
    st.integers(1, 60),
)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_runs_by_chunks_are_those_of_memory(rows: list[tuple[int, int]], cap: int, size: int) -> None:
    """Stars of the centres 0 to 3, cut with a chunk at hand and with all of them."""
    rows.sort(key=lambda row: row[1])
    table = np.array(rows, np.uint64).reshape(-1, 2)
    centres = np.unique(table[:, 0])
    label, node = np.concatenate([table[:, 0], centres]), np.concatenate([table[:, 1], centres])
    order = np.lexsort((node, label))
    expected = dict(zip(node[order].tolist(), runs(label[order], node[order], cap).tolist(), strict=True))
    chunks = (table[first : first + size] for first in range(0, len(table), size))
    found = {name: name for name in node.tolist()}
    for nodes, labels in clusters_external._limited(chunks, cap):
        found |= dict(zip(nodes.tolist(), labels.tolist(), strict=True))
    assert found == expected
