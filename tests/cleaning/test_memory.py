"""A worker's memory on hostile input: one document, the whole chain with every family, the peak of a process."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIMIT_MB = 1000

WORKER = """
import resource, sys
import numpy as np
import pyarrow as pa
from autoclave.cleaning.chain import Chain, CleanSettings
from autoclave.cleaning.filters.registry import MODULES
from autoclave.corpus.schema import make_documents

piece, size, dialect = sys.argv[1], int(sys.argv[2]), sys.argv[3]
if piece == "all planes":
    piece = "".join(chr(point) for point in range(0x110000) if not 0xD800 <= point < 0xE000)
else:
    piece = piece.encode().decode("unicode_escape").encode("latin-1").decode()
unit = np.frombuffer(piece.encode(), dtype=np.uint8)
data = np.tile(unit, max(size // len(unit), 1))
text = pa.StringArray.from_buffers(1, pa.py_buffer(np.array([0, len(data)], dtype=np.int32)), pa.py_buffer(data))
chain = Chain(CleanSettings(language=None, dialect=dialect, filters=[*MODULES, "line_languages"]))
# All families measure English, and the language of its lines.
edited, verdicts = chain.apply(make_documents(text, "s", language=["en"]))
assert edited.num_rows == len(verdicts.kept) == 1
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""

HUNDRED, TEN, MILLION = 100_000_000, 10_000_000, 1_000_000
CASES = [
    ("the cat of word, ", HUNDRED),
    ("x", HUNDRED),
    ("a ", HUNDRED),
    (r"a\n", HUNDRED),
    (r"12 likes\n", HUNDRED),
    (r"\xe6\x95\xb0\xe6\x8d\xae\xe6\xb8\x85\xe6\xb4\x97", HUNDRED),
    ("the cat of word, ", TEN),
    (".", TEN),
    ("#", TEN),
    (r"\n", MILLION),
    ("all planes", 5 * MILLION),
]


@pytest.mark.slow
@pytest.mark.parametrize("dialect", ["paper", "datatrove"])
@pytest.mark.parametrize(("piece", "size"), CASES)
def test_peak_memory_stays_below_a_gigabyte(piece: str, size: int, dialect: str) -> None:
    command = [sys.executable, "-c", WORKER, piece, str(size), dialect]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    print(f"{size} bytes of {piece!r}, {dialect}: peak {float(done.stdout):.0f} MB")
    assert float(done.stdout) < LIMIT_MB
