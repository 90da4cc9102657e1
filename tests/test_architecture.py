"""The house keeps its shape: imports point one way, heavy packages stay where they belong, starting is quick."""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ALLOWED = {
    "errors": set(),
    "corpus": {"errors"},
    "kernels": {"errors"},
    "cleaning": {"corpus", "kernels", "errors"},
    "tokenize": {"corpus", "kernels", "errors"},
    "model": {"corpus", "kernels", "errors"},
    "pipelines": {"cleaning", "tokenize", "model", "corpus", "kernels", "errors"},
    "cli": {"pipelines", "cleaning", "tokenize", "model", "corpus", "kernels", "errors", "__init__"},
    "__main__": {"cli"},
    "__init__": set(),
}
"""part -> the parts it may import besides itself."""

ONLY_IN = {
    "ray": {"pipelines/engine.py", "pipelines/ray_training.py"},
    "triton": {"kernels/"},
    "torch": {"kernels/", "model/", "pipelines/train.py", "pipelines/score.py", "pipelines/selfclean"},
}
"""package -> the places that may import it (a prefix of the path under autoclave/)."""


def modules(root: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (path under autoclave/, part, imported name) for every import statement, nested ones included."""
    for path in sorted((root / "autoclave").rglob("*.py")):
        relative = path.relative_to(root / "autoclave").as_posix()
        part = relative.split("/")[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                for name in node.names:
                    yield relative, part, name.name
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{relative}: imports are absolute"
                module = node.module or ""
                inside = root / module.replace(".", "/")
                submodules = [alias.name for alias in node.names if (inside / f"{alias.name}.py").exists()]
                yield from ((relative, part, f"{module}.{name}") for name in submodules)
                if len(submodules) < len(node.names):
                    yield relative, part, module


def faults(root: Path) -> list[str]:
    """Return every import that goes against the rules of `root`."""
    found = []
    for relative, part, name in modules(root):
        if name == "autoclave" or name.startswith("autoclave."):
            target = [*name.split("."), "__init__"][1]
            if target != part and target not in ALLOWED[part]:
                found.append(f"{relative} imports {name}: {part} may import only {sorted(ALLOWED[part])}")
        package = name.split(".")[0]
        if package in ONLY_IN and not any(relative.startswith(place) for place in ONLY_IN[package]):
            found.append(f"{relative} imports {package}, which belongs in {sorted(ONLY_IN[package])}")
    return found


def test_imports_point_one_way(repository: Path) -> None:
    assert faults(repository) == []


def test_no_two_modules_import_each_other(repository: Path) -> None:
    edges = set()
    for relative, _, name in modules(repository):
        if name.startswith("autoclave."):
            edges.add(
                (
                    relative.removesuffix(".py").removesuffix("/__init__").replace("/", "."),
                    name.removeprefix("autoclave."),
                )
            )
    assert [(a, b) for a, b in sorted(edges) if a < b and (b, a) in edges] == []


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("corpus/bad.py", "from autoclave.cleaning import filters"),
        ("cleaning/bad.py", "import autoclave.model.config"),
        ("kernels/bad.py", "from autoclave.corpus.schema import BATCH_ROWS"),
        ("cleaning/bad.py", "def f():\n    import torch"),
        ("corpus/bad.py", "import ray"),
        ("model/bad.py", "import triton.language as tl"),
    ],
)
def test_a_fault_is_found(tmp_path: Path, path: str, line: str) -> None:
    file = tmp_path / "autoclave" / path
    file.parent.mkdir(parents=True)
    file.write_text(line + "\n")
    assert len(faults(tmp_path)) == 1


def test_tokenize_has_no_init(repository: Path) -> None:
    """With an __init__.py, a script run inside autoclave/ would find our folder instead of the standard library's
    module `tokenize`: inspect, pandas and ray then fail to import, on Ray without a word."""
    assert not (repository / "autoclave" / "tokenize" / "__init__.py").exists()
    assert not (repository / "autoclave" / "pipelines" / "tokenize" / "__init__.py").exists()
    code = "import tokenize, inspect; assert 'autoclave' not in (tokenize.__file__ or 'autoclave'), tokenize"
    subprocess.run([sys.executable, "-c", code], cwd=repository / "autoclave", check=True)


def test_import_is_light(repository: Path) -> None:
    code = "import sys, autoclave, autoclave.errors; print(sorted({'torch', 'ray', 'pyarrow'} & set(sys.modules)))"
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
    assert time.monotonic() - start < 30  # a hang, not a speed: benchmarks/startup.py measures


def test_text_stages_load_neither_torch_nor_ray(repository: Path) -> None:
    code = (
        "import sys; from autoclave.pipelines.running.registry import load_stage\n"
        "for name in ('extract', 'clean', 'dedup', 'tokenize'): load_stage(name)\n"
        "import autoclave.cli.main\n"
        "print(sorted({'torch', 'ray', 'triton'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
