"""Long passages that repeat, against brute force over all windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from dedup_corpus import WORDS, ledger, run, write_source

from autoclave.cleaning.dedup.substring import SubstringSettings
from autoclave.pipelines.dedup.passages import group_shards


def test_long_passages_are_removed_from_later_documents(tmp_path: Path) -> None:
    """Against brute force over all windows; documents that are dropped do not count, groups of shards do."""
    rng = np.random.default_rng(12)

    def words(count: int) -> list[str]:
        return [WORDS[k] for k in rng.integers(0, len(WORDS), count)]

    passage, k = words(80), 30
    first = [*words(40), *passage, *words(40)]
    second = [*words(50), *passage[10:70], *words(5)]
    third = [*words(10), *passage[:29], *words(10)]  # one word too short
    loop = ["again"] * 100
    texts = [" ".join(first), "  ".join(second), " ".join(third), " ".join(loop), " ".join(passage[5:60])]
    inputs = write_source(tmp_path / "source", [texts[:2], texts[2:]])
    run(tmp_path / "out", inputs, minhash=None, substring=SubstringSettings(min_tokens=k))
    seen: set[tuple[str, ...]] = set()
    expected = []
    for number, text in enumerate(texts):
        tokens = text.split()
        cut = set()
        for at in range(len(tokens) - k + 1):
            window = tuple(tokens[at : at + k])
            if window in seen:
                cut |= set(range(max(at, k) if number == 3 else at, at + k))
            seen.add(window)
        expected.append([token for i, token in enumerate(tokens) if i not in cut])
    rows = ledger(tmp_path / "out")
    kept = [row["text"] for p in sorted((tmp_path / "out/documents").iterdir()) for row in pq.read_table(p).to_pylist()]
    assert [text.split() for text in kept] == [tokens for tokens in expected if tokens]
    assert [row["passage_tokens_removed"] for row in rows] == [0, 60, 0, 70, 55]
    assert rows[4]["filter"] == "duplicate_passages"
    assert kept[0] == texts[0]
    assert kept[1].startswith("  ".join(second[:50]))
    alone = SubstringSettings(min_tokens=k, group_mb=1)
    big = write_source(tmp_path / "big", [[texts[0], "filler " + "x" * (1 << 20)], [texts[1]]])
    run(tmp_path / "groups", big, minhash=None, substring=alone)
    assert [row["passage_tokens_removed"] for row in ledger(tmp_path / "groups")] == [0, 0, 0]


def test_chinese_passages(tmp_path: Path) -> None:
    shared = "本协议受中华人民共和国法律管辖，双方应当友好协商解决争议，协商不成的提交仲裁。"
    inputs = write_source(tmp_path / "source", [["甲方说明：" + shared + "完", "乙方补充：" + shared + "尾"]])
    run(tmp_path / "out", inputs, minhash=None, substring=SubstringSettings(min_tokens=20))
    texts = [row["text"] for p in (tmp_path / "out/documents").iterdir() for row in pq.read_table(p).to_pylist()]
    assert texts == ["甲方说明：" + shared + "完", "乙方补充尾"]


def test_shards_fall_into_groups_by_size() -> None:
    assert group_shards([0], 5) == [[0]]
    assert group_shards([3, 2, 1, 9, 0, 5], 5) == [[0, 1], [2], [3], [4, 5]]
    assert group_shards([], 5) == []
