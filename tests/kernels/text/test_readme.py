"""The README of the text kernels: its example works, what it names exists, its picture is what comes out."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pytest

from autoclave.cleaning.language.words import scans

FOLDER = Path("autoclave/kernels/text")


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / FOLDER / "README.md").read_text(encoding="utf-8")


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"readme_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_signal_of_the_page_equals_its_oracle(repository: Path, page: str, tmp_path: Path) -> None:
    kernel, measure, definition, test = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    (tmp_path / "digits.py").write_text(kernel + measure)
    digits = load(tmp_path / "digits.py")
    proofs = load(repository / "tests/cleaning/test_signals_oracle.py")
    exec(definition, vars(proofs.oracle))
    vars(proofs)["digits"] = digits
    exec(test, vars(proofs))
    proofs.test_digit_lines_equal_the_oracle()
    scan = proofs.scan_of("One 1.\n\nNone.\n2 and 3")
    assert proofs.measure(digits, "paper", scan)["digit_line_ratio"].tolist() == [pytest.approx(2 / 3)]


def test_what_the_page_names_exists(repository: Path, page: str) -> None:
    folders = [repository / name for name in ("autoclave", "tests", "docs")]
    code = "\n".join(path.read_text(encoding="utf-8") for folder in folders for path in sorted(folder.rglob("*.py")))
    quoted = set(re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", page, flags=re.DOTALL)))
    files = {name for name in quoted if re.fullmatch(r"[\w/]+(\.py|/)", name)}
    parts = [FOLDER, *(FOLDER / name for name in ("raw", "words", "rules", "keys")), "autoclave", "tests/cleaning", "."]
    missing = [name for name in files if not any((repository / part / name).exists() for part in parts)]
    assert missing == []
    named = {
        word for name in quoted - files if re.fullmatch(r"@?\w+(\.\w+)*", name) for word in re.findall(r"\w+", name)
    }
    picture = page[page.index("```") : page.index("## The four folders")]
    named |= set(re.findall(r"\b[a-z]+_[a-z_]+\b|\b[A-Z][a-z]+[A-Z]\w+\b", picture))
    assert len(files) > 25
    assert len(named) > 40
    assert [word for word in sorted(named) if not re.search(rf"\b{word}\b", code)] == []


def test_the_picture_is_what_comes_out(page: str) -> None:
    scan = next(scans(pa.array(["Some words.\nMore.", "数据清洗"])))
    words = scan.words("tokens")
    assert [scan.offsets.tolist(), words.offsets.tolist()] == [[0, 17, 29], [0, 5, 7]]
    cut = [scan.data[a:b].tobytes().decode() for a, b in zip(words.start, words.end, strict=True)]
    assert cut == ["Some", "words", ".", "More", ".", "数据", "清洗"]
    picture = page[page.index("```") : page.index("## The four folders")]
    assert re.findall(r"offsets +int64 +(\d+) +(\d+) +(\d+)", picture) == [("0", "17", "29"), ("0", "5", "7")]
    assert re.search(r"\|\s+Some\s+words\s+\.\s+More\s+\.\s+数据\s+清洗\n", picture)
