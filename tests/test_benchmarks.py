"""Benchmarks are called by the names that the documents and the code give them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

NAMED = re.compile(r"\bbenchmarks((?:[./]\w+)+)")
"""A benchmark as a module (benchmarks.filters.speed) or as a file (benchmarks/filters/speed.py)."""


def named_benchmarks(root: Path) -> Iterator[tuple[str, str]]:
    """Yield (page or file, what of a benchmark's name follows `benchmarks`) for every mention of one."""
    pages = [root / "README.md", root / "CONTRIBUTING.md", *(root / "docs").glob("*.md")]
    code = [path for part in ("autoclave", "benchmarks", "tests") for path in (root / part).rglob("*.py")]
    for path in sorted([*pages, *code]):
        if path != Path(__file__):
            for name in NAMED.findall(path.read_text(encoding="utf-8")):
                yield path.relative_to(root).as_posix(), name


def leads_somewhere(root: Path, name: str) -> bool:
    """Whether the name is of a file, of a module, or of a folder that `python -m` runs."""
    if name.startswith("/"):
        return (root / f"benchmarks{name}").exists()
    path = root / f"benchmarks{name.replace('.', '/')}"
    return path.with_suffix(".py").exists() or (path / "__main__.py").exists()


def test_every_named_benchmark_is_there(repository: Path) -> None:
    found = list(named_benchmarks(repository))
    assert {".filters.speed", ".dedup", "/kernels/kernel_budget.json"} <= {name for _, name in found}
    assert [(place, name) for place, name in found if not leads_somewhere(repository, name)] == []


def test_every_benchmark_says_how_it_is_run(repository: Path) -> None:
    """By the command that `make bench` lists for it."""
    found = []
    for path in sorted((repository / "benchmarks").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if '__name__ == "__main__"' in text and path.parent.name != "peers":
            module = path.relative_to(repository).with_suffix("").as_posix().removesuffix("/__main__").replace("/", ".")
            found.append(module)
            assert f"    python -m {module}" in text.split('"""')[1], f"{path}: its docstring names another command"
    assert len(found) >= 18
