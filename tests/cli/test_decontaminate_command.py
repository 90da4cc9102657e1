"""`autoclave decontaminate`, and recipes with its filter: documents dropped whole, or spans cut out of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
import zstandard
from commands import call, rows

from autoclave.errors import AutoclaveError, InputError

QUESTIONS = [
    "Which of these planets is known for a great red spot that has lasted for centuries and why does it turn?",
    "A baker sells twelve loaves in the morning and twice as many after noon, so how many are sold on that day?",
    "Too short to be looked for",
]
PASSAGES = [
    "The river that runs past the old town has moved its bed more than once, and the people there know it well.",
    "地方各级人民政府应当加强对文物保护工作的领导，把文物保护事业纳入国民经济和社会发展规划。",
]
PLANTED = {3: QUESTIONS[0], 8: QUESTIONS[1].upper(), 12: f"{PASSAGES[0]}\n\n{QUESTIONS[0]}", 17: PASSAGES[1]}
"""Document -> what was put in its middle."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """A crawl of two files of real texts with planted items, two evaluation sets, and their index of two sizes."""
    folder = tmp_path_factory.mktemp("place")
    with zstandard.open(repository / "examples/crawl/english.jsonl.zst", "rt", encoding="utf-8") as file:
        texts = [json.loads(line)["text"][:3000] for line, _ in zip(file, range(20), strict=False)]
    (folder / "crawl").mkdir()
    for part in range(2):
        lines = []
        for row in range(part * 10, part * 10 + 10):
            half = texts[row].index("\n", len(texts[row]) // 2)
            planted = f"\n{PLANTED[row]}" if row in PLANTED else ""
            text = texts[row][:half] + planted + texts[row][half:]
            lines.append(json.dumps({"text": text, "url": f"https://x.example/{row}"}) + "\n")
        (folder / f"crawl/{part}.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "sets").mkdir()
    records = [{"question": text, "source": PASSAGES[0]} for text in QUESTIONS]  # `source` is not to be looked for
    (folder / "sets/quiz.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    pq.write_table(pa.table({"question": PASSAGES}), folder / "sets/passages.parquet")
    out = folder / "index.npz"
    said = call(
        "decontaminate", "index", folder / "sets", "--field", "question", "--ngram", 13, "--ngram", 18, "-o", out
    )
    assert "2 sets, 5 items" in said
    assert "1 items are too short" in said
    return folder


def run(place: Path, folder: Path, rules: dict[str, Any], workers: int = 0) -> Path:
    """Run extract and clean with the filter; one shard a file."""
    recipe = {
        "name": "t",
        "inputs": [str(place / "crawl")],
        "stages": {
            "extract": {"group_files": 1},
            "clean": {"language": None, "transforms": [], "filters": [{"decontamination": rules}]},
        },
    }
    folder.mkdir(exist_ok=True)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    call("run", folder / "recipe.yaml", "--run-dir", folder / "run", "--workers", workers)
    return folder / "run"


def number(url: str) -> int:
    return int(url.rsplit("/", 1)[1])


def documents(run: Path, stage: str, kind: str = "documents") -> dict[int, str]:
    """Document -> text."""
    return {number(row["url"]): row["text"] for row in rows(run / stage, kind)}


def contents(run: Path) -> dict[str, bytes]:
    kinds = ("documents", "ledger", "dropped")
    return {str(path.relative_to(run)): path.read_bytes() for kind in kinds for path in run.glob(f"02-clean/{kind}/*")}


def test_whole_documents_are_dropped_and_listed(place: Path, tmp_path: Path) -> None:
    folder = run(place, tmp_path, {"index": str(place / "index.npz")})
    assert len(list(folder.glob("02-clean/commits/*"))) == 2
    before = documents(folder, "01-extract")
    assert set(documents(folder, "02-clean", "dropped")) == set(PLANTED)
    assert documents(folder, "02-clean") == {row: text for row, text in before.items() if row not in PLANTED}

    said = call("decontaminate", "list", folder, "--out", tmp_path / "hits.jsonl")
    assert "4 of 20 documents" in said
    hits = {number(row["url"]): row for row in map(json.loads, (tmp_path / "hits.jsonl").read_text().splitlines())}
    assert {row: (hit["set"], hit["item"], hit["items"]) for row, hit in hits.items()} == {
        3: ("quiz", 1, 1), 8: ("quiz", 2, 1), 12: ("passages", 1, 2), 17: ("passages", 2, 1),
    }  # fmt: skip
    assert all(hit["kept"] is False and hit["stage"] == "clean" for hit in hits.values())
    ledger = {row["doc_id"].hex(): row for row in pq.read_table(folder / "02-clean/ledger").to_pylist()}
    for hit in hits.values():
        row = ledger[hit["doc_id"]]
        assert (row["filter"], row["reason"]) == ("decontamination", "contaminated_ngrams > 0")
        assert hit["share"] == pytest.approx(row["contaminated_share"], abs=1e-6)
    summary = json.loads(call("decontaminate", "list", folder, "--json", "--count", 1))
    assert (summary["documents"], summary["contaminated"], len(summary["hits"])) == (20, 4, 1)
    assert summary["sets"]["quiz"] == {"items": 3, "items_hit": 2, "documents": 2, "dropped": 2}


def test_spans_are_cut_out_and_listed(place: Path, tmp_path: Path) -> None:
    folder = run(place, tmp_path, {"index": str(place / "index.npz"), "action": "spans"})
    before, after = documents(folder, "01-extract"), documents(folder, "02-clean")
    assert set(after) == set(before)
    for row, text in before.items():
        if row not in PLANTED:
            assert after[row] == text
            continue
        head, _, tail = text.partition(PLANTED[row])
        assert after[row].startswith(head)
        assert after[row].endswith(tail)
        left = after[row][len(head) : len(after[row]) - len(tail)]
        assert not any(letter.isalnum() for letter in left), left
    hits = json.loads(call("decontaminate", "list", folder, "--json"))["hits"]
    assert {number(hit["url"]) for hit in hits} == set(PLANTED)
    assert all(hit["kept"] for hit in hits)
    again = call("decontaminate", "list", folder / "02-clean", "--index", place / "index.npz")
    assert "0 of 20 documents" in again


def test_texts_are_looked_through_item_by_item(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "hits.jsonl"
    said = call("decontaminate", "list", place / "crawl", "--index", place / "index.npz", "--out", out, "-n", 2)
    assert "4 of 20 documents" in said
    hits = [json.loads(line) for line in out.read_text().splitlines()]
    found = sorted((number(hit["url"]), hit["set"], hit["item"]) for hit in hits)
    expected = [(3, "quiz", 1), (8, "quiz", 2), (12, "passages", 1), (12, "quiz", 1), (17, "passages", 2)]
    assert found == expected


@pytest.mark.parametrize("action", ["document", "spans"])
def test_workers_and_resuming_give_the_same_bytes(place: Path, tmp_path: Path, action: str) -> None:
    rules = {"index": str(place / "index.npz"), "action": action}
    first = contents(run(place, tmp_path, rules))
    clean = tmp_path / "run/02-clean"
    (clean / "commits/000001.json").unlink()  # as a kill between writing and committing leaves it
    (clean / "ledger/000001.parquet").write_bytes(b"half")
    assert contents(run(place, tmp_path, rules)) == first
    assert contents(run(place, tmp_path / "two", rules, workers=2)) == first
    assert len(first) == 6


def test_a_size_is_chosen_from_the_ledger(place: Path, tmp_path: Path) -> None:
    """An index of 13 and 18 words: deciding by 18 afterwards is a fresh run with an index of 18 alone."""
    folder = run(place, tmp_path, {"index": str(place / "index.npz")})
    override = f"filters=[{{decontamination: {{index: {place / 'index.npz'}, contaminated_ngrams: null, "
    override += "contaminated_size: [null, 17]}}]"
    call("refilter", folder, "--set", override, "--out", tmp_path / "again")
    alone = tmp_path / "18.npz"
    call("decontaminate", "index", place / "sets", "--field", "question", "--ngram", 18, "--out", alone)
    fresh = run(place, tmp_path / "fresh", {"index": str(alone)})
    kept = [path.name for path in sorted((tmp_path / "again/documents").iterdir())]
    assert len(kept) == 2
    for name in kept:
        assert pq.read_table(tmp_path / "again/documents" / name).equals(
            pq.read_table(fresh / "02-clean/documents" / name)
        )


def test_another_index_of_the_same_name_is_another_run(place: Path, tmp_path: Path) -> None:
    index = tmp_path / "index.npz"
    call("decontaminate", "index", place / "sets/quiz.jsonl", "--field", "question", "--out", index)
    folder = run(place, tmp_path, {"index": str(index)})
    assert set(documents(folder, "02-clean", "dropped")) == {3, 8, 12}
    call("decontaminate", "index", place / "sets/passages.parquet", "--out", index)
    with pytest.raises(InputError, match=r"index\.npz: changed since .*02-clean was made; run that stage again"):
        call("decontaminate", "list", folder)
    run(place, tmp_path, {"index": str(index)})
    assert set(documents(folder, "02-clean", "dropped")) == {12, 17}
    assert json.loads(call("decontaminate", "list", folder, "--json"))["sets"]["passages"]["documents"] == 2


def test_clear_errors(place: Path, tmp_path: Path) -> None:
    folder = run(place, tmp_path, {"index": str(place / "index.npz")})
    with pytest.raises(InputError, match="give --index to look through texts"):
        call("decontaminate", "list", folder / "01-extract")
    with pytest.raises(InputError, match="name one of its stages"):
        call("decontaminate", "list", folder, "--index", place / "index.npz")
    with pytest.raises(AutoclaveError, match=r"ends in \.npz"):
        call("decontaminate", "index", place / "sets", "--out", tmp_path / "index")
