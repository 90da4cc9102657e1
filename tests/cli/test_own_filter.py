"""A filter of one's own in the current directory: found as an installed command finds it, followed when it changes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from commands import rows

FILTER = """
import numpy as np

from autoclave.cleaning.filters.base import Bound, Filter


def questions(scan, measurement):
    before = np.concatenate([[0], np.cumsum(scan.data == ord("?"))])
    return {"question_count": (before[scan.offsets[1:]] - before[scan.offsets[:-1]]).astype(np.int32)}


FEW = Filter("few_questions", "our own", (Bound("question_count", high=HIGH),), measure=questions)
"""


def clean(folder: Path, high: int) -> list[tuple[int, bool, str | None]]:
    """Run the stage in the folder with two workers; return (marks, kept, reason) of each document."""
    (folder / "my_filters.py").write_text(FILTER.replace("HIGH", str(high)))
    words = ["clean", "docs.jsonl", "--out", "out", "--workers", "2", "--set", "filters=['my_filters:FEW']"]
    done = subprocess.run(  # -P: as with an installed command, the current directory is not on Python's path
        [sys.executable, "-P", "-m", "autoclave", *words, "--set", "language=null", "--set", "transforms=[]"],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return sorted((row["question_count"], row["kept"], row["reason"]) for row in rows(folder / "out", "ledger"))


def test_it_is_found_and_a_change_of_it_is_another_run(tmp_path: Path) -> None:
    lines = [json.dumps({"text": f"What is it{'?' * number} It is not known."}) + "\n" for number in range(4)]
    (tmp_path / "docs.jsonl").write_text("".join(lines))
    reason = "question_count > 2"
    assert clean(tmp_path, 2) == [(0, True, None), (1, True, None), (2, True, None), (3, False, reason)]
    before = (tmp_path / "out/ledger/000000.parquet").stat().st_mtime_ns
    clean(tmp_path, 2)
    assert (tmp_path / "out/ledger/000000.parquet").stat().st_mtime_ns == before
    assert [kept for _, kept, _ in clean(tmp_path, 0)] == [True, False, False, False]
