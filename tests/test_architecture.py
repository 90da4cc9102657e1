"""The house keeps its shape: imports point one way, heavy packages stay where they belong, starting is quick."""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import pytest

ALLOWED = {
    "errors": set(),
    "corpus": {"errors", "__init__"},
    "kernels": {"errors"},
    "extraction": {"corpus", "kernels", "errors"},
    "cleaning": {"corpus", "kernels", "errors"},
    "tokenize": {"corpus", "kernels", "errors"},
    "model": {"corpus", "kernels", "errors"},
    "pipelines": {"extraction", "cleaning", "tokenize", "model", "corpus", "kernels", "errors", "__init__"},
    "cli": {"pipelines", "extraction", "cleaning", "tokenize", "model", "corpus", "kernels", "errors", "__init__"},
    "__main__": {"cli"},
    "__init__": set(),
}
"""part -> the parts it may import besides itself."""

ONLY_IN = {
    "ray": {"pipelines/running/ray_engine.py", "pipelines/train/ray_group.py"},
    "triton": {"kernels/"},
    "torch": {"kernels/", "model/", "pipelines/train/", "pipelines/score.py", "pipelines/selfclean/"},
}
"""package -> the places that may import it (a prefix of the path under autoclave/)."""

FOLDER_SIZE = 16
FILE_LINES = 400


def modules(root: Path, package: str = "autoclave") -> Iterator[tuple[str, str, str]]:
    """Yield (path in the package, part, imported name) for every import statement, nested ones included."""
    for path in sorted((root / package).rglob("*.py")):
        relative = path.relative_to(root / package).as_posix()
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


def import_circles(root: Path, package: str = "autoclave") -> list[list[str]]:
    """Return the modules of every circle of imports, of any length: the strongly connected components of the graph."""
    graph = nx.DiGraph()
    for relative, _, name in modules(root, package):
        importer = relative.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        if name.startswith(f"{package}."):
            graph.add_edge(importer, name.removeprefix(f"{package}."))
    return sorted(sorted(circle) for circle in nx.strongly_connected_components(graph) if len(circle) > 1)


def crowded_folders(root: Path) -> list[str]:
    """Return the folders of the package, the tests and the benchmarks with more than FOLDER_SIZE files of code."""
    found = []
    for part in ("autoclave", "tests", "benchmarks"):
        for folder in [root / part, *(path for path in (root / part).rglob("*") if path.is_dir())]:
            files = [path for path in folder.glob("*.py") if path.name not in ("__init__.py", "__main__.py")]
            if len(files) > FOLDER_SIZE:
                found.append(f"{folder.relative_to(root)} holds {len(files)} files of code; at most {FOLDER_SIZE}")
    return found


def long_files(root: Path) -> list[str]:
    """Return the files of the package and the benchmarks with more than FILE_LINES lines."""
    paths = [path for part in ("autoclave", "benchmarks") for path in sorted((root / part).rglob("*.py"))]
    lengths = {path: path.read_bytes().count(b"\n") for path in paths}
    return [f"{path.relative_to(root)} has {lines} lines" for path, lines in lengths.items() if lines > FILE_LINES]


def test_imports_make_no_circles(repository: Path) -> None:
    assert import_circles(repository) == []
    assert import_circles(repository, "benchmarks") == []


def test_a_folder_is_seen_at_a_glance(repository: Path) -> None:
    assert crowded_folders(repository) == []
    assert long_files(repository) == []


def test_a_circle_of_three_is_found(tmp_path: Path) -> None:
    for name, imported in (("one", "two"), ("two", "three"), ("three", "one")):
        file = tmp_path / "autoclave" / "corpus" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"def f():\n    from autoclave.corpus.{imported} import g\n")
    assert import_circles(tmp_path) == [["corpus.one", "corpus.three", "corpus.two"]]


def test_a_crowded_folder_is_found(tmp_path: Path) -> None:
    for number in range(FOLDER_SIZE + 1):
        file = tmp_path / "autoclave" / "corpus" / f"file_{number}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n" * (FILE_LINES + 1 if number == 0 else 1))
    assert crowded_folders(tmp_path) == [f"autoclave/corpus holds {FOLDER_SIZE + 1} files of code; at most 16"]
    assert long_files(tmp_path) == [f"autoclave/corpus/file_0.py has {FILE_LINES + 1} lines"]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("corpus/bad.py", "from autoclave.cleaning import filters"),
        ("cleaning/bad.py", "import autoclave.model.config"),
        ("kernels/bad.py", "from autoclave.corpus.schema import DOCUMENT_SCHEMA"),
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
    assert time.monotonic() - start < 30  # a hang, not a speed


def test_text_stages_load_neither_torch_nor_ray(repository: Path) -> None:
    code = (
        "import sys; from autoclave.pipelines.running.registry import load_stage\n"
        "for name in ('extract', 'clean', 'dedup', 'tokenize'): load_stage(name)\n"
        "import autoclave.cli.main\n"
        "print(sorted({'torch', 'ray', 'triton'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
