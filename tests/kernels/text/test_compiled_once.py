"""A worker whose compile cache is warm loads each kernel for one set of types: a second costs start-up each time.

From a cold cache a few more are compiled on the way (`step_back`, `_joins`, `find`), for kernels that call them.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

WORKER = """
import sys
import pyarrow as pa
from numba.core.registry import CPUDispatcher
from autoclave.cleaning.dialects import DIALECTS
from autoclave.cleaning.filters.registry import MODULES, dialects_of, load_filter
from autoclave.cleaning.signals import run_filters

texts = pa.array(["Some words [1] of a text, 3 likes.\\n" * 20, "数据清洗" * 30, "", None])
for dialect in DIALECTS:
    filters = [load_filter(name, {}, dialect, "test") for name in MODULES if dialect in dialects_of(name)]
    run_filters(texts, filters, ["en", "zh", None, "fr"])
for name, module in list(sys.modules.items()):
    if name.startswith("autoclave.kernels.text."):
        for kernel in vars(module).values():
            own = isinstance(kernel, CPUDispatcher) and kernel.py_func.__module__ == name
            if own and len(kernel.overloads) > 1 and "forceinline" not in kernel.targetoptions:
                print(kernel.py_func, kernel.signatures)
"""


def test_no_kernel_is_loaded_for_two_sets_of_types() -> None:
    for _ in range(2):  # the first may find the cache cold
        done = subprocess.run([sys.executable, "-c", WORKER], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == ""


def test_no_two_named_tuples_have_one_name(repository: Path) -> None:
    """Numba looks argument types up by name and fields; for a kernel that takes the second it does so slowly."""
    names = Counter(
        node.name
        for path in sorted((repository / "autoclave").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and any(isinstance(b, ast.Name) and b.id == "NamedTuple" for b in node.bases)
    )
    assert len(names) > 25
    assert [name for name, count in names.items() if count > 1] == []
