"""Counts by language, host and source, against plain counting."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa

from autoclave.corpus.commits import read_commit
from autoclave.corpus.groups import GROUPS_OF_A_SHARD, largest_groups, merge_groups
from autoclave.corpus.output import ShardOutput, Verdicts
from autoclave.corpus.schema import DOCUMENT_SCHEMA, make_doc_id
from autoclave.corpus.storage import Folder


def test_a_commit_holds_what_each_group_lost_to_each_filter(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    languages = random.choice(["en", "th", None], 500).tolist()
    hosts = [f"host-{number}" for number in random.zipf(1.5, 500) % 90]
    filters = random.choice(["c4", "fineweb", ""], 500).tolist()
    reasons = [name and str(random.choice(["short", "content_type"])) for name in filters]
    columns = {
        "doc_id": [make_doc_id("s", row) for row in range(500)],
        "text": ["text"] * 500, "source": ["s"] * 500, "offset": list(range(500)),
        "language": languages, "host": hosts,
    }  # fmt: skip
    arrays = [pa.array(columns.get(field.name, [None] * 500), field.type) for field in DOCUMENT_SCHEMA]
    batch = pa.RecordBatch.from_arrays(arrays, schema=DOCUMENT_SCHEMA)
    with ShardOutput(Folder(tmp_path), "clean", "000000") as output:
        for start in range(0, 500, 100):
            rows = slice(start, start + 100)
            kept = np.array([not name for name in filters[rows]])
            verdicts = Verdicts(kept, [n or None for n in filters[rows]], [r or None for r in reasons[rows]])
            output.write(batch.slice(start, 100), verdicts)
        output.commit("f", [])
    commit = read_commit(Folder(tmp_path), "000000")
    assert commit is not None
    texts = [row for row in range(500) if reasons[row] != "content_type"]
    for kind, values in (("language", languages), ("host", hosts)):
        came = Counter(values[row] for row in texts if values[row] is not None)
        lost = Counter((values[row], filters[row]) for row in texts if filters[row] and values[row] is not None)
        for group, counts in commit.groups[kind].items():
            assert counts.pop("") == came[group]
            assert counts == {name: lost[group, name] for name in ("c4", "fineweb") if lost[group, name]}
    assert commit.groups["source"]["s"][""] == len(texts)


def test_only_the_largest_groups_are_kept() -> None:
    counts = {"host": {f"h{number:03d}": {"": number} for number in range(200)}}
    chosen = largest_groups(counts)["host"]
    assert list(chosen) == [f"h{number:03d}" for number in range(200 - GROUPS_OF_A_SHARD, 200)]
    assert merge_groups([{"host": chosen}, {"host": {"h199": {"": 1, "c4": 1}}}])["host"]["h199"] == {"": 200, "c4": 1}
