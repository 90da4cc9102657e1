"""The commands of docs/dedup.md run as written, in its order, on two small crawls."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from pages import run_page


def write_crawls(folder: Path) -> None:
    rng = np.random.default_rng(4)
    words = [f"{a}{b}{c}" for a in "bdfglmnprst" for b in "aeiou" for c in ("n", "r", "st", "l", "m")]
    texts = [" ".join(np.array(words)[rng.integers(0, len(words), 150)]) + "\nall rights reserved" for _ in range(20)]
    near = texts[3].replace(texts[3].split()[70], "changed", 1)
    for name, crawl in (("monday", [*texts, near, texts[0]]), ("tuesday", [texts[5] + " more", "a b c d e f g h"])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in crawl))


def kept(run: Path) -> list[bool]:
    return [value for path in sorted(run.glob("ledger/*")) for value in pq.read_table(path)["kept"].to_pylist()]


@pytest.mark.slow
def test_commands_run_as_written(tmp_path: Path, repository: Path) -> None:
    write_crawls(tmp_path)

    def with_an_id(words: list[str]) -> list[str]:
        if words[-1].endswith("-of-a-duplicate"):  # stands for the id of a document
            table = pq.read_table(tmp_path / "runs/monday/ledger")
            words[-1] = next(value for value in table["duplicate_of"].to_pylist() if value).hex()
        return words

    outputs = run_page(repository / "docs/dedup.md", tmp_path, change=with_an_id)
    assert len(outputs) >= 9
    runs = tmp_path / "runs"
    assert [kept(runs / name).count(True) for name in ("monday", "versions", "passages", "lines")] == [20, 20, 20, 20]
    assert kept(runs / "tuesday") == [False, True]
