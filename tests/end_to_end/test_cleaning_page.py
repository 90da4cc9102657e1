"""The commands of docs/cleaning.md run as written, in its order, on the demo's crawl."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pages import run_page


def ledger(stage: Path) -> list[dict[str, Any]]:
    return [row for path in sorted(stage.glob("ledger/*")) for row in pq.read_table(path).to_pylist()]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_page_runs_as_written(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "examples").symlink_to(repository / "examples")
    (tmp_path / "sets").mkdir()
    item = {
        "question": "Casts are a superset of coercions: every coercion can be explicitly invoked via a cast."
    }  # a page has it
    (tmp_path / "sets/quiz.jsonl").write_text(json.dumps(item) + "\n")
    outputs = run_page(repository / "docs/cleaning.md", tmp_path)
    assert len(outputs) >= 20
    runs = tmp_path / "runs"
    assert "Limits for zh" in next(text for line, text in outputs.items() if line.startswith("autoclave thresholds"))
    scores = [row["quality_score"] for row in ledger(runs / "scored/02-clean")]
    assert len(scores) > 900
    assert (runs / "calibration.svg").read_text().startswith("<?xml")
    assert {row["perplexity_bucket"] for row in ledger(runs / "buckets/02-clean")} == {-1, 0, 1, 2}
    found = [json.loads(line) for line in (runs / "found.jsonl").read_text().splitlines()]
    dropped = [row for row in ledger(runs / "decontaminated/02-clean") if row["filter"] == "decontamination"]
    assert {hit["doc_id"] for hit in found if hit["size"] == 13} == {row["doc_id"].hex() for row in dropped}
    assert len(dropped) >= 1
    assert {row["filter"] for row in ledger(runs / "calm")} >= {"calm", "gopher_quality", None}
