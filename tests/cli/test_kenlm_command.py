"""`autoclave kenlm` on real English and Chinese, a recipe with CCNet's buckets, and samples by bucket."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
import zstandard
from commands import call, rows

from autoclave.cleaning.ngram_model.normalisation import normalise
from autoclave.cleaning.ngram_model.units import cut_words
from autoclave.errors import InputError, RecipeError

SHUFFLED = 40


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """Models of order 3 and cut-offs from three quarters of some texts; a crawl of the rest, whole and shuffled."""
    folder = tmp_path_factory.mktemp("kenlm")
    crawl = repository / "examples" / "crawl"
    with zstandard.open(crawl / "english.jsonl.zst", "rt", encoding="utf-8") as file:
        documents = [document for document in map(json.loads, file) if document["collection"] == "openstax"]
    english = [part for document in documents for part in document["text"].split("\n\n") if len(part.split()) >= 50]
    chinese = [
        part
        for text in pq.read_table(crawl / "chinese.parquet")["text"].to_pylist()
        for part in text.split("\n")
        if sum("\u4e00" <= letter <= "\u9fff" for letter in part) >= 40
    ]
    (folder / "crawl").mkdir()
    for code, texts in (("en", english[:800]), ("zh", chinese[:800])):
        generator = random.Random(3)
        generator.shuffle(texts)
        cut = 3 * len(texts) // 4
        shuffled = []
        for text in texts[cut : cut + SHUFFLED]:
            units = text.split(" ") if code == "en" else list(text)
            generator.shuffle(units)
            shuffled.append((" " if code == "en" else "").join(units))
        parts = [("train", texts[: cut // 2]), ("sample", texts[cut // 2 : cut])]
        parts += [("crawl/whole", texts[cut:]), ("crawl/shuffled", shuffled)]
        for name, chosen in parts:
            lines = [json.dumps({"text": text, "language": code, "url": f"https://{name}.example"}) for text in chosen]
            (folder / f"{name}-{code}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        said = call("kenlm", "train", folder / f"train-{code}.jsonl", "--order", 3, "--out", folder / f"{code}.arpa",
                    "--language", code, "--set", "lmplz=null")  # fmt: skip
        assert "our own estimator" in said
    models = [word for code in ("en", "zh") for word in ("--model", f"{code}={folder}/{code}.arpa")]
    samples = [folder / f"sample-{code}.jsonl" for code in ("en", "zh")]
    said = call("kenlm", "cutoffs", *samples, *models, "--out", folder / "cutoffs.json")
    assert "en: head below" in said
    return folder


def run(place: Path, folder: Path, **changes: Any) -> Path:
    rules: dict[str, Any] = {
        "models": {code: str(place / f"{code}.arpa") for code in ("en", "zh")},
        "cutoffs": str(place / "cutoffs.json"),
        "scorer": "own",
    }
    clean = {"language": {"keep": None}, "transforms": [], "filters": [{"perplexity": rules | changes}]}
    recipe = {"name": "t", "inputs": [str(place / "crawl")], "stages": {"extract": {}, "clean": clean}}
    folder.mkdir(exist_ok=True)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    call("run", folder / "recipe.yaml", "--run-dir", folder / "run", "--workers", 0)
    return folder / "run/02-clean"


@pytest.fixture(scope="module")
def stage(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean stage that measures and drops nothing."""
    return run(place, tmp_path_factory.mktemp("run"))


def texts_of(stage: Path) -> dict[bytes, dict[str, Any]]:
    return {row["doc_id"]: row for row in rows(stage, "documents")}


def test_perplexity_is_kenlms(place: Path, stage: Path) -> None:
    kenlm = pytest.importorskip("kenlm", reason="kenlm-ex is not installed")
    models = {code: kenlm.Model(str(place / f"{code}.arpa")) for code in ("en", "zh")}
    documents, scored = texts_of(stage), rows(stage, "ledger")
    assert len(scored) > 200
    with_model = [row for row in scored if row["language"] in models]
    assert len(with_model) > 0.9 * len(scored)
    for row in with_model:
        [line] = cut_words([normalise(documents[row["doc_id"]]["text"], "ccnet")])
        assert row["perplexity"] == pytest.approx(models[row["language"]].perplexity(line), rel=2e-4)


def test_buckets_follow_the_cutoffs_of_each_language(place: Path, stage: Path) -> None:
    cutoffs = json.loads((place / "cutoffs.json").read_text())
    assert cutoffs["en"] != cutoffs["zh"]
    documents, scored = texts_of(stage), rows(stage, "ledger")
    buckets: dict[str, list[int]] = {}
    others = [row for row in scored if row["language"] not in cutoffs]
    assert all(row["perplexity_bucket"] == -1 and np.isnan(row["perplexity"]) and row["kept"] for row in others)
    for row in (row for row in scored if row["language"] in cutoffs):
        head, middle = cutoffs[row["language"]]
        assert row["perplexity_bucket"] == (row["perplexity"] >= head) + (row["perplexity"] >= middle)
        name = documents[row["doc_id"]]["url"].removeprefix("https://crawl/").removesuffix(".example")
        buckets.setdefault(f"{name} {row['language']}", []).append(row["perplexity_bucket"])
    for code in ("en", "zh"):
        assert len(buckets[f"shuffled {code}"]) > 0.8 * SHUFFLED
        assert np.mean(np.array(buckets[f"shuffled {code}"]) == 2) >= 0.95, "text out of order is in the tail"
        whole = np.bincount(buckets[f"whole {code}"], minlength=3) / len(buckets[f"whole {code}"])
        assert whole == pytest.approx([0.3, 0.3, 0.4], abs=0.15), "unseen text of the same kind keeps to the cut-offs"


def test_inspect_samples_by_bucket(place: Path, stage: Path) -> None:
    scored = {row["doc_id"].hex(): row for row in rows(stage, "ledger")}
    for number, name in enumerate(("head", "middle", "tail")):
        events = json.loads(call("inspect", stage, "sample", "--where", f"perplexity_bucket={name}", "-n", 9, "--json"))
        ids = [event["verdict"]["doc_id"] for event in events]
        assert len(set(ids)) == 9
        assert {scored[doc_id]["perplexity_bucket"] for doc_id in ids} == {number}
    conditions = ["--where", "perplexity_bucket!=tail", "--where", "language=zh", "--where", "perplexity<1e9"]
    events = json.loads(call("inspect", stage, "sample", *conditions, "-n", 1000, "--json"))
    expected = [row for row in scored.values() if row["language"] == "zh" and row["perplexity_bucket"] < 2]
    assert len(events) == len(expected)
    shown = call("inspect", stage, "sample", "--where", "perplexity_bucket=head", "-n", 1)
    assert "perplexity_bucket head" in shown
    for condition, message in (
        ("perplexity", "write it as signal, comparison, value"),
        ("perplxity<3", "no signal 'perplxity'; it has .*perplexity"),
        ("perplexity=good", "a number and a text cannot be compared"),
    ):
        with pytest.raises(RecipeError, match=message):
            call("inspect", stage, "sample", "--where", condition)


def test_refilter_drops_the_tail_as_a_fresh_run_does(place: Path, stage: Path, tmp_path: Path) -> None:
    fresh = run(place, tmp_path, perplexity_bucket=[None, 1])
    call("refilter", stage, "--set", "thresholds.perplexity_bucket=[null, 1]", "--out", tmp_path / "again")
    for kind in ("documents", "ledger", "dropped"):
        assert str(rows(tmp_path / "again", kind)) == str(rows(fresh, kind)), kind  # as text, for undefined values
    dropped = rows(fresh, "dropped")
    assert {row["reason"] for row in dropped} == {"perplexity_bucket > 1"}
    assert 2 * SHUFFLED * 0.8 <= len(dropped) < len(rows(fresh, "ledger")) / 1.5
    assert {row["perplexity_bucket"] for row in rows(fresh, "ledger") if row["kept"]} <= {-1, 0, 1}


def test_clear_errors(place: Path, tmp_path: Path) -> None:
    sample, model, out = place / "sample-en.jsonl", f"{place}/en.arpa", tmp_path / "cutoffs.json"
    with pytest.raises(RecipeError, match="language=file"):
        call("kenlm", "cutoffs", sample, "--model", model, "--out", out)
    with pytest.raises(InputError, match="language fr: 0 documents"):
        call("kenlm", "cutoffs", sample, "--model", f"fr={model}", "--out", out)
    with pytest.raises(RecipeError, match="unknown key 'prunes'; did you mean 'prune'"):
        call("kenlm", "train", sample, "--out", tmp_path / "en.arpa", "--set", "prunes=[0, 0, 1]")
