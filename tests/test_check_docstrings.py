"""The check of docstrings finds what states no shapes or dtypes, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAD = '''
import numpy as np
import pyarrow as pa
from torch import Tensor

ROW_SCHEMA = pa.schema([pa.field("text", pa.string())])
Columns = dict[str, np.ndarray]
"""Signals by name: float32, one value a document."""
Pair = tuple[np.ndarray, np.ndarray]
'''

GOOD = '''
def total(values: np.ndarray) -> float:
    """Return the sum of values, float64[n]."""

def longest(text: pa.StringArray) -> np.ndarray:
    """Return the longest word, int32 a text."""

def attend(q: Tensor, k: Tensor | None = None) -> "Tensor":
    """q, k: [batch, time, heads, key] of one dtype."""

def rows(batch: pa.RecordBatch) -> int:
    """Count the rows of a batch of ROW_SCHEMA."""

def measure() -> Columns:
    return {}

def apply(function: Callable[[np.ndarray], None], seed: np.uint64) -> None:
    """Takes no array itself."""

def _private(values: np.ndarray) -> None: ...

class Words:
    """Words in order. start: int32[words]."""

    start: np.ndarray
    ends: np.ndarray

    def first(self, count: int) -> np.ndarray: ...

class Scorer:
    def score(self, tokens: np.ndarray) -> None:
        """tokens: int64 [n]."""

class Faster(Scorer):
    def score(self, tokens: np.ndarray) -> None: ...

class Field:
    values: np.ndarray
    """float32, as long as the batch."""
'''

BOTH = "no dtypes and no shapes"
FAULTS = [
    ('def f(x: np.ndarray) -> None:\n    """Sort x."""', 1, "f", BOTH),
    ('def f() -> list[np.ndarray]:\n    """Return float32 weights."""', 1, "f", "no shapes"),
    ('def f(x: Tensor | None = None) -> int:\n    """x: [n]."""', 1, "f", "no dtypes"),
    ("def f(*x: np.ndarray) -> None: ...", 1, "f", BOTH),
    ('def f(t: pa.StringArray) -> None:\n    """Read t."""', 1, "f", "no shapes"),
    ('def f(b: pa.Table) -> None:\n    """Read b."""', 1, "f", "no dtypes"),
    ('def f() -> Pair:\n    """Return bounds in [0, 1] of x[i]."""', 1, "f", BOTH),
    ('class A:\n    """Holds."""\n    x: np.ndarray', 3, "A.x", BOTH),
    ("class A:\n    def f(self) -> Tensor: ...", 2, "A.f", BOTH),
]
"""A fault, its line, whose docstring it is, and what that does not state."""


def check(repository: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(repository / "docs" / "check_docstrings.py"), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("code", "line", "name", "absent"), FAULTS)
def test_a_planted_fault_is_found(
    repository: Path, tmp_path: Path, code: str, line: int, name: str, absent: str
) -> None:
    before = HEAD + GOOD
    (tmp_path / "planted.py").write_text(f"{before}{code}\n")
    done = check(repository, tmp_path)
    place = f"{tmp_path / 'planted.py'}:{before.count(chr(10)) + line}"
    assert done.returncode == 1
    assert done.stderr.splitlines()[:-1] == [f"{place}: {name}: its docstring states {absent}"]


def test_good_docstrings_pass(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(HEAD + GOOD)
    (tmp_path / "_private.py").write_text(HEAD + str(FAULTS[0][0]))
    done = check(repository, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
